//! `fulfil`: sold units are shipped.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use crate::parts::{check_whole_kits, units_of_lines, whole_kits_of};
use crate::shelf::Shelf;
use crate::state::{LineRecord, LocationNo, LotNo, SkuNo};
use crate::turn::{Move, Turn, check_released_at};
use crate::{
    EventKind, Field, InvalidArgument, LineUnits, LotId, LotStatus, Refusal, ReservationId, StockDelta, StockFlow,
    Success, Units, validate_parts,
};

/// Units of one line, and the lot of which they are picked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    /// The line, by its number in the reservation, from 0.
    pub line: u32,
    /// How many.
    pub units: Units,
    /// The lot that was picked, of an item tracked by lot; `None`: the ones that the sale was bound to.
    pub lot: Option<LotId>,
}

/// Ships committed units: all, or some of some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfil {
    /// The reservation.
    pub reservation: ReservationId,
    /// Empty: everything committed.
    pub parts: Vec<Picked>,
}

impl Fulfil {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_parts(&self.units())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if record.state().is_ended() {
            return Err(record.refuse_without_hold());
        }
        if record.part().is_some() {
            return Err(Refusal::LinesSpanShards);
        }
        // Which lots another shard has picked is not known here.
        let names_lot = |part: &&Picked| part.lot.is_some() && record.place_of(part.line as usize).is_none();
        if let Some(part) = self.parts.iter().find(names_lot) {
            return Err(InvalidArgument::in_line(Field::LotId, part.line as usize).into());
        }
        let exceeds = |line, available| Refusal::ExceedsHeldQuantity { line, available };
        if !record.items_have(|units| units.committed) {
            return Err(exceeds(0, 0));
        }
        let mut shipped = units_of_lines(record, &self.units(), |units| units.committed, exceeds)?;
        if self.parts.is_empty() {
            shipped = whole_kits_of(record, shipped);
        }
        // What another shard only counts is not shipped there.
        let remote = record.remote_lines().zip(&shipped.remote).filter(|(_, units)| **units > 0);
        if remote.filter(|(line, _)| !record.is_counter(line.number.into())).count() > 0 {
            check_released_at(record.whole().and_then(|whole| whole.release_at), turn.now())?;
        }
        check_whole_kits(record, &shipped)?;
        let is_item = |number: usize| !record.is_counter(number);
        let own =
            shipped.own.iter().enumerate().filter(|(at, _)| is_item(record.number_of(*at))).map(|(_, units)| units);
        let remote = record.remote_lines().zip(&shipped.remote).filter(|(line, _)| is_item(line.number.into()));
        if own.chain(remote.map(|(_, units)| units)).all(|units| *units == 0) {
            // Of every kit a component is waited for, and the others wait with it.
            let units = record.lines.iter().map(|line| line.units.short_sold + line.units.backordered_sold).sum();
            return Err(Refusal::HoldShort { units });
        }
        let mut lines = record.lines.clone();
        let mut moves = Vec::new();
        let numbers: Vec<usize> = (0..lines.len()).map(|at| record.number_of(at)).collect();
        for (at, (line, &units)) in lines.iter_mut().zip(&shipped.own).enumerate().filter(|(_, (_, units))| **units > 0)
        {
            turn.check_released(line.sku)?;
            let picked =
                self.parts.iter().find(|part| part.line as usize == numbers[at]).and_then(|part| part.lot.as_ref());
            ship(turn, line, units, picked, &mut moves)?;
        }
        turn.check(&moves)?;
        moves.iter().for_each(|change| turn.change(change));
        turn.state.change_reservation(no, |record| {
            record.lines = lines;
            for (line, units) in record.remote_lines_mut().zip(&shipped.remote) {
                line.units.committed -= units;
                line.units.fulfilled += units;
            }
        });
        turn.record(EventKind::ReservationFulfilled, Some(no), None);
        Ok(turn.reservation_success(no))
    }

    fn units(&self) -> Vec<LineUnits> {
        self.parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect()
    }
}

/// Ships units of a line: of the lots they are bound to, in the order of the binding, or of the one that was picked.
pub(super) fn ship(
    turn: &Turn<'_>,
    line: &mut LineRecord,
    units: u64,
    picked: Option<&LotId>,
    moves: &mut Vec<Move>,
) -> Result<(), Refusal> {
    line.units.committed -= units;
    line.units.fulfilled += units;
    let (sku, location) = (line.sku, line.location);
    let is_counted = line.counted;
    let leave = |moves: &mut Vec<Move>, lot, delta, shipped| {
        if is_counted {
            let flow = StockFlow { shipped, ..StockFlow::default() };
            moves.push(Move { sku, location, lot, delta, flow });
        }
    };
    let Some(by_lot) = &mut line.by_lot else {
        if picked.is_some() {
            return Err(InvalidArgument::of(Field::LotId).into());
        }
        let delta = StockDelta { on_hand: -(units as i64), committed: -(units as i64), ..StockDelta::default() };
        leave(moves, None, delta, units);
        return Ok(());
    };
    let picked = picked.map(|lot| turn.lot(sku, lot)).transpose()?;
    let mut left = units;
    // What was picked of the lot that the units are bound to goes first; else they change places with those of the picked one.
    let mut bound: Vec<(LotNo, u64)> = by_lot.bound.iter().map(|bound| (bound.lot, bound.committed)).collect();
    bound.sort_by_key(|(lot, _)| picked.is_some_and(|picked| picked != *lot));
    for (lot, committed) in bound {
        let part = left.min(committed);
        if part == 0 {
            continue;
        }
        left -= part;
        let shipped = picked.unwrap_or(lot);
        check_may_ship(turn, shipped)?;
        by_lot.bound_mut(lot).committed -= part;
        by_lot.bound_mut(shipped).fulfilled += part;
        let units = part as i64;
        if shipped == lot {
            leave(moves, Some(lot), StockDelta { on_hand: -units, committed: -units, ..StockDelta::default() }, part);
        } else {
            leave(moves, Some(lot), StockDelta { committed: -units, ..StockDelta::default() }, 0);
            check_may_swap(turn, moves, sku, location, shipped, part)?;
            leave(moves, Some(shipped), StockDelta { on_hand: -units, ..StockDelta::default() }, part);
        }
    }
    Ok(())
}

/// Refuses to ship what is blocked or may not be used any more. What has left sale and was sold before may be shipped.
fn check_may_ship(turn: &Turn<'_>, lot: LotNo) -> Result<(), Refusal> {
    let record = turn.state.lot(lot);
    if record.status != LotStatus::Approved && !is_recalled_and_ships(turn, lot) {
        return Err(Refusal::LotBlocked { status: record.status });
    }
    match record.dates.expires_at {
        Some(expires_at) if expires_at < turn.now() => Err(Refusal::LotExpired { removal_at: record.removal_at }),
        _ => Ok(()),
    }
}

fn is_recalled_and_ships(turn: &Turn<'_>, lot: LotNo) -> bool {
    is_on(Mutation::RecalledLotShips) && turn.state.lot(lot).status == LotStatus::Recalled
}

/// Refuses units of a lot in the place of others where holds that are bound to no lot yet need them, once the others are free, and
/// what the same command has moved before is done.
fn check_may_swap(
    turn: &Turn<'_>,
    moves: &[Move],
    sku: SkuNo,
    location: LocationNo,
    shipped: LotNo,
    units: u64,
) -> Result<(), Refusal> {
    let place = turn.state.stock(sku).place(location).expect("what is bound lies at a place");
    let mut shelf = Shelf::of(turn.state, place);
    for moved in moves.iter().filter(|moved| (moved.sku, moved.location) == (sku, location)) {
        let Some(lot) = moved.lot.filter(|lot| turn.state.lot(*lot).is_sellable(turn.now())) else { continue };
        match moved.delta.on_hand - moved.delta.committed {
            more @ 1.. => shelf.give(turn.state, lot, more.unsigned_abs()),
            less => shelf.take(lot, less.unsigned_abs()),
        }
    }
    let available = shelf.left_of(shipped);
    if units > available && !is_recalled_and_ships(turn, shipped) {
        Err(Refusal::TooFewOfLot { available })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{DAY_S, OPENING, Shop};
    use crate::*;

    #[test]
    fn what_is_shipped_leaves_the_stock() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        let success = shop.fulfil(1, &[(0, 1)]).unwrap();
        assert_eq!(success.state, Some(ReservationState::PartiallyFulfilled));
        let success = shop.fulfil(1, &[]).unwrap();
        assert_eq!(success.state, Some(ReservationState::Fulfilled));
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.flow.shipped, level.atp), (2, 3, 2));
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::AlreadyFulfilled));
    }

    #[test]
    fn only_what_is_sold_is_shipped() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        assert_eq!(shop.fulfil(1, &[]), Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        shop.commit(1).unwrap();
        let refused = shop.fulfil(1, &[(0, 4)]);
        assert_eq!(refused, Err(Refusal::ExceedsHeldQuantity { line: 0, available: 3 }));
    }

    #[test]
    fn the_lot_that_was_picked_changes_places_with_the_one_that_was_sold() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil_of(1, &[(0, 1)], "B").unwrap();
        let lots = shop.inventory.lots(&"cream".parse().unwrap()).unwrap();
        let counts: Vec<(u64, u64)> =
            lots.iter().map(|lot| (lot.places[0].1.on_hand, lot.places[0].1.committed)).collect();
        assert_eq!(counts, [(2, 1), (1, 0)]);
        assert_eq!(shop.stock("cream").atp, 2);
        shop.fulfil(1, &[]).unwrap();
    }

    #[test]
    fn a_picked_lot_does_not_take_what_a_hold_needs() {
        let mut shop = Shop::with_cream(&[("A", 10, 1), ("B", 100, 1)]);
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        let spec = ItemSpec { lot_tracked: true, min_remaining_days: 30, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.reserve(2, &[("cream", 1)]).unwrap();
        assert_eq!(shop.fulfil_of(1, &[(0, 1)], "B"), Err(Refusal::TooFewOfLot { available: 0 }));
        shop.fulfil_of(1, &[(0, 1)], "A").unwrap();
    }

    #[test]
    fn a_lot_that_is_picked_for_units_of_several_is_picked_once() {
        let mut shop = Shop::with_cream(&[("A", 10, 1), ("B", 20, 1), ("C", 100, 1)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.fulfil_of(1, &[(0, 2)], "C"), Err(Refusal::TooFewOfLot { available: 0 }));
        shop.receive_lot("cream", "C", 100, 1).unwrap();
        shop.put_item("cream", ItemSpec { lot_tracked: true, min_remaining_days: 30, ..ItemSpec::default() }).unwrap();
        shop.reserve(2, &[("cream", 1)]).unwrap();
        // One of the two that are free of it, the hold needs.
        assert_eq!(shop.fulfil_of(1, &[(0, 2)], "C"), Err(Refusal::TooFewOfLot { available: 0 }));
        shop.fulfil_of(1, &[(0, 1)], "C").unwrap();
        shop.fulfil(1, &[]).unwrap();
    }

    #[test]
    fn what_was_sold_in_time_is_shipped_until_it_expires() {
        let mut shop = Shop::new();
        let spec = ItemSpec { lot_tracked: true, removal_days: 5, ..ItemSpec::default() };
        shop.put_item("cream", spec).unwrap();
        shop.receive_lot("cream", "A", 10, 2).unwrap();
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.after_s(10 * DAY_S).fulfil(1, &[(0, 1)]).unwrap();
        let refused = shop.after_s(1).fulfil(1, &[]);
        assert_eq!(refused, Err(Refusal::ExceedsHeldQuantity { line: 0, available: 0 }));
        assert_eq!(shop.reservation(1).lines[0].units.short_sold, 1);
        shop.receive_lot("cream", "B", 30, 2).unwrap();
        let removal_at = LogTime(OPENING + 5 * DAY_S * 1_000);
        assert_eq!(shop.fulfil_of(1, &[(0, 1)], "A"), Err(Refusal::LotExpired { removal_at }));
        shop.fulfil(1, &[]).unwrap();
    }
}
