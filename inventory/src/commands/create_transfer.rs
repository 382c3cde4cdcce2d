//! `transfer create`: units leave one location for another.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::shelf::Shelf;
use crate::state::{DocumentBody, LocationNo, LotNo, SkuNo, TransferLineRecord, TransferRecord};
use crate::turn::{Move, Turn};
use crate::{
    EventKind, Field, InvalidArgument, LocationId, LotId, MAX_DOCUMENT_LINES, Refusal, Sku, StockDelta, StockFlow,
    Success, TransferId, TransferUnits, Units,
};

/// Units of one lot, or of an item that has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentLine {
    /// The lot.
    pub lot: Option<LotId>,
    /// How many.
    pub units: Units,
}

/// Takes free resellable units off one location and sends them to another: until they arrive they lie nowhere and are not
/// sold. Never units that are promised. The source may be out of use, so that it can be emptied; the destination may not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateTransfer {
    /// The transfer to make.
    pub transfer: TransferId,
    /// The item.
    pub sku: Sku,
    /// Where the units are.
    pub from: LocationId,
    /// Where they go.
    pub to: LocationId,
    /// 1 to [`MAX_DOCUMENT_LINES`], each lot at most once.
    pub lines: Vec<DocumentLine>,
}

/// Checks that there are 1 to [`MAX_DOCUMENT_LINES`] lines, each lot at most once, units in range.
pub(super) fn validate_lines(lines: &[DocumentLine]) -> Result<(), InvalidArgument> {
    if lines.is_empty() || lines.len() > MAX_DOCUMENT_LINES {
        return Err(InvalidArgument::of(Field::DocumentLines));
    }
    for (at, line) in lines.iter().enumerate() {
        if !line.units.is_askable() {
            return Err(InvalidArgument::in_line(Field::Units, at));
        }
        if lines[..at].iter().any(|other| other.lot == line.lot) {
            return Err(InvalidArgument::in_line(Field::LotId, at));
        }
    }
    Ok(())
}

impl CreateTransfer {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.transfer.is_well_formed() {
            return Err(InvalidArgument::of(Field::TransferId));
        }
        if self.from == self.to {
            return Err(InvalidArgument::of(Field::ToLocation));
        }
        validate_lines(&self.lines)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        turn.check_new_document(self.transfer.0, FULL_RETRY_MS)?;
        let sku = turn.sku(&self.sku)?;
        let from = turn.location(&self.from)?;
        let to = turn.active_location(&self.to)?;
        let lots: Vec<Option<LotNo>> =
            self.lines.iter().map(|line| turn.lot_of_stock(sku, line.lot.as_ref())).collect::<Result<_, _>>()?;
        turn.end_what_is_due_of(sku);
        self.check_free(turn, sku, from, &lots)?;
        let sent: u64 = self.lines.iter().map(|line| line.units.count()).sum();
        let leave = |(line, lot): (&DocumentLine, &Option<LotNo>)| {
            let units = line.units.count();
            let delta = StockDelta { on_hand: -(units as i64), ..StockDelta::default() };
            let flow = StockFlow { sent: units, ..StockFlow::default() };
            Move { sku, location: from, lot: *lot, delta, flow }
        };
        let moves: Vec<Move> = self.lines.iter().zip(&lots).map(leave).collect();
        turn.check(&moves)?;
        turn.check_flow(sku, from, &StockFlow { sent, ..StockFlow::default() })?;
        turn.check_on_the_way(sku, to, sent)?;
        if !is_on(Mutation::TransferredUnitsStillSold) {
            moves.iter().for_each(|change| turn.change(change));
        }
        turn.change_place(sku, to, |place| place.in_transit += sent);
        let line = |(line, lot): (&DocumentLine, &Option<LotNo>)| {
            let units = TransferUnits { sent: line.units.count(), ..TransferUnits::default() };
            TransferLineRecord { lot: *lot, units }
        };
        let lines = self.lines.iter().zip(&lots).map(line).collect();
        let body = DocumentBody::Transfer(TransferRecord { from, to, lines });
        let no = turn.add_document(self.transfer.0, sku, body);
        turn.record(EventKind::TransferCreated, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, from))
    }

    /// Refuses more than is free of each lot, needed by no hold that is bound to none yet, and no campaign's.
    fn check_free(&self, turn: &Turn<'_>, sku: SkuNo, from: LocationNo, lots: &[Option<LotNo>]) -> Result<(), Refusal> {
        let place = turn.state.stock(sku).place(from);
        let mut shelf = place.map(|place| Shelf::of(turn.state, place));
        let mut spare = turn.units_to_spare(sku, from);
        for (number, (line, lot)) in self.lines.iter().zip(lots).enumerate() {
            let counts = place.map(|place| place.counts_of(*lot)).unwrap_or_default();
            let free = counts.free().expect("[H-QTY] no part is below 0");
            let units = line.units.count();
            let available = match (&mut shelf, lot) {
                (Some(shelf), Some(lot)) if turn.state.lot(*lot).is_sellable(turn.now()) => {
                    let left = shelf.left_of(*lot);
                    shelf.take(*lot, units);
                    left
                }
                _ => free,
            };
            let is_on_sale = lot.is_none_or(|lot| turn.state.lot(lot).is_sellable(turn.now()));
            let available = if is_on_sale { available.min(spare) } else { available };
            spare = spare.saturating_sub(if is_on_sale { units } else { 0 });
            let available = if is_on(Mutation::TransferTakesPromisedUnits) { free } else { available };
            if units > available {
                return Err(Refusal::InsufficientStock { available, line: number as u32, recorded: true });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, transfer, transfer_id};
    use crate::*;

    #[test]
    fn what_is_sent_lies_nowhere_and_is_not_sold() {
        let mut shop = Shop::with_rouge(5);
        let success = shop.send(1, "rouge", &[(None, 3)]).unwrap();
        assert_eq!((success.revision, success.atp_after), (Revision(1), 2));
        assert_eq!(shop.events(), [EventKind::TransferCreated]);
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").flow.sent), (2, 3));
        let there = shop.stock_at("rouge", "LYO");
        assert_eq!((there.in_transit, there.counts.on_hand, there.atp), (3, 0, 0));
        let shown = shop.inventory.transfer(transfer_id(1)).unwrap();
        let units = TransferUnits { sent: 3, ..TransferUnits::default() };
        assert_eq!((shown.state, shown.lines), (TransferState::InTransit, vec![TransferLine { lot: None, units }]));
    }

    #[test]
    fn no_unit_that_is_promised_is_sent() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        let lack = |available, line| Err(Refusal::InsufficientStock { available, line, recorded: true });
        assert_eq!(shop.send(1, "rouge", &[(None, 3)]), lack(2, 0));
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 3)]).unwrap();
        assert_eq!(shop.send(1, "cream", &[(Some("A"), 1), (Some("B"), 1)]), lack(0, 1));
        shop.send(2, "cream", &[(Some("A"), 1)]).unwrap();
        shop.commit(1).unwrap();
    }

    #[test]
    fn a_blocked_lot_may_be_sent_and_units_that_are_not_resellable_may_not() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.block("A", LotStatus::Quarantined).unwrap();
        shop.send(1, "cream", &[(Some("A"), 2)]).unwrap();
        let mut shop = Shop::with_rouge(1);
        shop.adjust("rouge", 2, Condition::Damaged).unwrap();
        let lack = Refusal::InsufficientStock { available: 1, line: 0, recorded: true };
        assert_eq!(shop.send(1, "rouge", &[(None, 2)]), Err(lack));
    }

    #[test]
    fn a_place_out_of_use_is_emptied_and_not_filled() {
        let mut shop = Shop::with_rouge(2);
        shop.put_location("LYO", false).unwrap();
        let location: LocationId = "LYO".parse().unwrap();
        assert_eq!(shop.send(1, "rouge", &[(None, 1)]), Err(Refusal::UnknownLocation { location }));
        shop.put_location("LYO", true).unwrap();
        shop.put_location("PAR", false).unwrap();
        shop.send(1, "rouge", &[(None, 2)]).unwrap();
    }

    #[test]
    fn input_that_is_no_transfer_is_refused_by_its_field() {
        let mut shop = Shop::with_cream(&[("A", 10, 5)]);
        let mut refused = |change: fn(&mut super::CreateTransfer)| {
            let Operation::CreateTransfer(mut it) = transfer(1, "cream", &[(Some("A"), 1)]) else { unreachable!() };
            change(&mut it);
            match shop.run(Operation::CreateTransfer(it)) {
                Err(Refusal::InvalidArgument(refused)) => (refused.field, refused.line),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|it| it.transfer = TransferId(7)), (Field::TransferId, None));
        assert_eq!(refused(|it| it.to = it.from.clone()), (Field::ToLocation, None));
        assert_eq!(refused(|it| it.lines.clear()), (Field::DocumentLines, None));
        assert_eq!(refused(|it| it.lines[0].units = Units(0)), (Field::Units, Some(0)));
        assert_eq!(refused(|it| it.lines.push(it.lines[0].clone())), (Field::LotId, Some(1)));
    }

    #[test]
    fn an_id_is_taken_once_and_no_more_are_open_than_may_be() {
        let mut shop = Shop::with_limits(Limits { live_reservations: 80, ended_reservations: 80, ..Limits::default() });
        shop.receive("rouge", "PAR", 9).unwrap();
        shop.send(1, "rouge", &[(None, 1)]).unwrap();
        assert_eq!(shop.send(1, "rouge", &[(None, 1)]), Err(Refusal::Exists));
        assert_eq!(shop.expect(1, "rouge", &[(None, 1)]), Err(Refusal::Exists));
        shop.send(2, "rouge", &[(None, 1)]).unwrap();
        assert!(matches!(shop.send(3, "rouge", &[(None, 1)]), Err(Refusal::Overloaded { .. })));
        shop.call_back(1).unwrap();
        shop.send(3, "rouge", &[(None, 1)]).unwrap();
    }

    #[test]
    fn what_has_ended_is_kept_for_a_while_and_then_forgotten() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 80, keep_ended_ms: 60_000, ..Limits::default() });
        shop.receive("rouge", "PAR", 9).unwrap();
        for number in 1..=3 {
            shop.send(number, "rouge", &[(None, 1)]).unwrap();
            shop.call_back(number).unwrap();
        }
        shop.tick();
        let is_known = |shop: &Shop, number| shop.inventory.transfer(transfer_id(number)).is_some();
        assert_eq!([1, 2, 3].map(|number| is_known(&shop, number)), [false, true, true]);
        shop.after_s(60).tick();
        assert_eq!([1, 2, 3].map(|number| is_known(&shop, number)), [false; 3]);
    }

    #[test]
    fn an_item_does_not_change_how_it_is_tracked_while_units_of_it_are_on_their_way() {
        let mut shop = Shop::with_rouge(2);
        shop.send(1, "rouge", &[(None, 2)]).unwrap();
        let by_lot = ItemSpec { lot_tracked: true, ..ItemSpec::default() };
        let refused = Refusal::ExistsWithDifferent { field: DifferentField::LotTracked };
        assert_eq!(shop.put_item("rouge", by_lot), Err(refused));
    }

    #[test]
    fn a_chain_that_fails_sends_nothing() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.digest();
        shop.inventory.state.header.limits.live_reservations = 40;
        let full = shop.digest();
        // The last one is overloaded, which decides nothing: not even results are kept.
        let chain = shop.chain(vec![
            transfer(1, "rouge", &[(None, 1)]),
            crate::test_shop::receive_transfer(1, &[(0, 1, Condition::Resellable)]),
            transfer(2, "rouge", &[(None, 1)]),
            transfer(3, "rouge", &[(None, 1)]),
        ]);
        let answers = shop.apply(chain);
        assert!(matches!(answers[3].outcome, Err(Refusal::Overloaded { .. })), "{answers:?}");
        assert_ne!(before, full);
        assert_eq!((shop.digest(), shop.inventory.recompute_digest()), (full, full));
        assert!(shop.inventory.transfer(transfer_id(1)).is_none());
    }
}
