//! `return`: shipped units come back.

use serde::{Deserialize, Serialize};

use crate::parts::units_of_lines;
use crate::state::{LineRecord, LocationNo};
use crate::turn::Turn;
use crate::{
    Condition, EventKind, Field, InvalidArgument, LineUnits, LocationId, Refusal, ReservationId, StockDelta, StockFlow,
    Success, validate_parts,
};

/// Takes shipped units back: a new entry of the ledger, which changes nothing of the sale but its `returned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The reservation they were shipped under.
    pub reservation: ReservationId,
    /// Which, at least one.
    pub parts: Vec<LineUnits>,
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
        validate_parts(&self.parts)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let elsewhere = self.location.as_ref().map(|location| turn.location(location)).transpose()?;
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        let exceeds = |line, available| Refusal::ExceedsFulfilled { line, available };
        let returned = units_of_lines(record, &self.parts, |units| units.fulfilled - units.returned, exceeds)?;
        let lines: Vec<LineRecord> = record.lines.iter().map(|line| at_location(line, elsewhere)).collect();
        let delta = |units: u64| StockDelta::of_condition(self.condition, units as i64);
        let flow = |units: u64| StockFlow { returned: units, ..StockFlow::default() };
        turn.check_lines(&lines, &returned, |units| (delta(units), flow(units)))?;
        for (line, &units) in lines.iter().zip(&returned).filter(|(_, units)| **units > 0) {
            turn.change_line(line, &delta(units), &flow(units));
        }
        turn.state.change_reservation(no, |record| {
            for (line, &units) in record.lines.iter_mut().zip(&returned) {
                line.units.returned += units;
            }
        });
        turn.record(EventKind::StockReturned, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}

fn at_location(line: &LineRecord, elsewhere: Option<LocationNo>) -> LineRecord {
    LineRecord { location: elsewhere.unwrap_or(line.location), ..line.clone() }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
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
}
