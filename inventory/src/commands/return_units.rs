//! `return`: shipped units come back.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::Picked;
use crate::parts::units_of_lines;
use crate::state::{LineRecord, LotNo, PartPhase, RemotePart, ReservationRecord};
use crate::turn::{Move, Turn};
use crate::{
    Condition, EventKind, Field, InvalidArgument, LineUnits, LocationId, LogTime, LotId, Refusal, ReservationId,
    StockDelta, StockFlow, Success, validate_parts,
};

/// Takes shipped units back: a new entry of the ledger, which changes nothing of the sale but its `returned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The reservation they were shipped under.
    pub reservation: ReservationId,
    /// Which, at least one. A lot must be named where units of several were shipped and not returned.
    pub parts: Vec<Picked>,
    /// Where they arrive; `None`: where they were shipped from.
    pub location: Option<LocationId>,
    /// As what they come back.
    pub condition: Condition,
}

impl Return {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.parts.is_empty() {
            return Err(InvalidArgument::of(Field::Lines));
        }
        validate_parts(&self.units())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let elsewhere = self.location.as_ref().map(|location| turn.location(location)).transpose()?;
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        self.check_place(record)?;
        self.check_no_counter(turn, record)?;
        let exceeds = |line, available| Refusal::ExceedsFulfilled { line, available };
        let parts: Vec<LineUnits> = self.units();
        let returned = units_of_lines(record, &parts, |units| units.fulfilled - units.returned, exceeds)?.own;
        let numbers: Vec<usize> = (0..record.lines.len()).map(|at| record.number_of(at)).collect();
        let mut lines = record.lines.clone();
        let mut moves = Vec::new();
        let back = lines.iter_mut().zip(&returned).zip(numbers).filter(|((_, units), _)| **units > 0);
        for ((line, &units), number) in back {
            let named = self.parts.iter().find(|part| part.line as usize == number).and_then(|part| part.lot.as_ref());
            let lot = self.lot(turn, line, number, units, named)?;
            line.units.returned += units;
            if let (Some(by_lot), Some(lot)) = (&mut line.by_lot, lot) {
                by_lot.bound_mut(lot).returned += units;
            }
            if line.counted {
                let delta = StockDelta::of_condition(self.condition, units as i64);
                let flow = StockFlow { returned: units, ..StockFlow::default() };
                let location = elsewhere.unwrap_or(line.location);
                moves.push(Move { sku: line.sku, location, lot, delta, flow });
            }
        }
        turn.check(&moves)?;
        moves.iter().for_each(|change| turn.change(change));
        turn.state.change_reservation(no, |record| record.lines = lines);
        if turn.state.reservation(no).part().is_some() {
            turn.state.change_part(no, |part| part.is_news_told = is_on(Mutation::ReturnNotTold));
        }
        turn.record(EventKind::StockReturned, Some(no), None);
        Ok(turn.reservation_success(no))
    }

    /// Refuses lines that are not of this shard. Units come back to the shelves of the shard that shipped them, and it alone knows their
    /// lots: where all lines are of one other shard, that one is asked.
    fn check_place(&self, record: &ReservationRecord) -> Result<(), Refusal> {
        if record.part().is_some_and(|part| part.phase != PartPhase::Decided) {
            return Err(Refusal::OrderUndecided);
        }
        let remote = record.whole().map_or(&[][..], |whole| &whole.parts);
        let shard_of = |part: &Picked| {
            let has_line = |remote: &&RemotePart| remote.lines.iter().any(|line| u32::from(line.number) == part.line);
            remote.iter().find(has_line).map(|remote| remote.slot)
        };
        let mut shards = self.parts.iter().map(shard_of);
        let Some(first) = shards.next() else { return Ok(()) };
        match first {
            _ if shards.any(|slot| slot != first) => Err(Refusal::LinesSpanShards),
            Some(slot) => Err(Refusal::LinesElsewhere { slot }),
            None => Ok(()),
        }
    }

    /// Refuses lines of a part that are counters, as the whole would.
    fn check_no_counter(&self, turn: &Turn<'_>, record: &ReservationRecord) -> Result<(), Refusal> {
        let line_of = |part: &Picked| record.lines.get(record.place_of(part.line as usize)?);
        let is_counter = |part: &&Picked| line_of(part).is_some_and(|line| turn.state.item(line.sku).sku.is_counter());
        match self.parts.iter().find(is_counter) {
            Some(part) => Err(InvalidArgument::in_line(Field::LineNumber, part.line as usize).into()),
            None => Ok(()),
        }
    }

    fn units(&self) -> Vec<LineUnits> {
        self.parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect()
    }

    /// The lot that comes back: the one that was shipped, or the named one of several.
    fn lot(
        &self,
        turn: &Turn<'_>,
        line: &LineRecord,
        number: usize,
        units: u64,
        named: Option<&LotId>,
    ) -> Result<Option<LotNo>, Refusal> {
        let Some(by_lot) = &line.by_lot else {
            let refused = InvalidArgument::in_line(Field::LotId, number);
            return if named.is_some() { Err(refused.into()) } else { Ok(None) };
        };
        let named = named.map(|lot| turn.lot(line.sku, lot)).transpose()?;
        let mut shipped = by_lot.bound.iter().filter(|bound| bound.fulfilled > bound.returned);
        let bound = match named {
            Some(lot) => shipped.find(|bound| bound.lot == lot),
            None => {
                let (first, second) = (shipped.next(), shipped.next());
                if second.is_some() {
                    return Err(Refusal::LotRequired);
                }
                first
            }
        };
        let available = bound.map_or(0, |bound| bound.fulfilled - bound.returned);
        let Some(bound) = bound.filter(|_| units <= available) else {
            return Err(Refusal::ExceedsFulfilled { line: number as u32, available });
        };
        if self.condition == Condition::Resellable {
            turn.check_lot_sellable(bound.lot, LogTime(0))?;
        }
        Ok(Some(bound.lot))
    }
}

#[cfg(test)]
mod tests {
    use super::Return;
    use crate::test_shop::{Shop, id, picks_of};
    use crate::*;

    fn shop_that_shipped_3() -> Shop {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop
    }

    #[test]
    fn what_comes_back_is_looked_at_before_it_is_sold() {
        let mut shop = shop_that_shipped_3();
        shop.take_back(1, &[(0, 1)], None, Condition::QualityControl).unwrap();
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.counts.quality_control, level.atp), (3, 1, 2));
        shop.take_back(1, &[(0, 1)], None, Condition::Resellable).unwrap();
        assert_eq!(shop.stock("rouge").atp, 3);
        assert_eq!(shop.reservation(1).state, ReservationState::Fulfilled);
    }

    #[test]
    fn no_more_comes_back_than_was_shipped() {
        let mut shop = shop_that_shipped_3();
        shop.take_back(1, &[(0, 2)], None, Condition::Damaged).unwrap();
        let refused = shop.take_back(1, &[(0, 2)], None, Condition::Damaged);
        assert_eq!(refused, Err(Refusal::ExceedsFulfilled { line: 0, available: 1 }));
    }

    #[test]
    fn it_may_come_back_elsewhere_and_the_item_s_sum_still_holds() {
        let mut shop = shop_that_shipped_3();
        shop.take_back(1, &[(0, 3)], Some("LYO"), Condition::Resellable).unwrap();
        let totals = shop.inventory.totals(&"rouge".parse().unwrap()).unwrap();
        assert_eq!((totals.counts.on_hand, totals.flow.returned, totals.flow.shipped), (5, 3, 3));
        assert_eq!(shop.stock("rouge").counts.on_hand, 2);
    }

    #[test]
    fn what_comes_back_goes_to_the_lot_that_was_shipped() {
        let mut shop = Shop::with_cream(&[("A", 10, 1), ("B", 20, 5)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        let back = |lot| (picks_of(&[(0, 1)], lot), Condition::Resellable);
        let take_back = |shop: &mut Shop, (parts, condition)| {
            shop.run(Operation::Return(Return { reservation: id(1), parts, location: None, condition }))
        };
        assert_eq!(take_back(&mut shop, back(None)), Err(Refusal::LotRequired));
        take_back(&mut shop, back(Some("A"))).unwrap();
        take_back(&mut shop, back(None)).unwrap();
        let refused = take_back(&mut shop, back(Some("A")));
        assert_eq!(refused, Err(Refusal::ExceedsFulfilled { line: 0, available: 0 }));
        assert_eq!(shop.stock("cream").atp, 6);
    }

    #[test]
    fn of_a_blocked_lot_nothing_comes_back_into_sale() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.block("A", LotStatus::Recalled).unwrap();
        let status = LotStatus::Recalled;
        let refused = shop.take_back(1, &[(0, 1)], None, Condition::Resellable);
        assert_eq!(refused, Err(Refusal::LotBlocked { status }));
        shop.take_back(1, &[(0, 1)], None, Condition::Damaged).unwrap();
        assert_eq!(shop.stock("cream").counts.damaged, 1);
    }
}
