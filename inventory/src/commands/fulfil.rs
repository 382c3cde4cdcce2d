//! `fulfil`: sold units are shipped.

use serde::{Deserialize, Serialize};

use crate::parts::units_of_lines;
use crate::turn::Turn;
use crate::{
    EventKind, InvalidArgument, LineUnits, Refusal, ReservationId, StockDelta, StockFlow, Success, validate_parts,
};

/// Ships committed units: all, or some of some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfil {
    /// The reservation.
    pub reservation: ReservationId,
    /// Empty: everything committed.
    pub parts: Vec<LineUnits>,
}

impl Fulfil {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_parts(&self.parts)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if record.state().is_ended() {
            return Err(record.refuse_without_hold());
        }
        let exceeds = |line, available| Refusal::ExceedsHeldQuantity { line, available };
        if !record.has(|units| units.committed) {
            return Err(exceeds(0, 0));
        }
        let shipped = units_of_lines(record, &self.parts, |units| units.committed, exceeds)?;
        let lines = record.lines.clone();
        let delta = |units: u64| {
            let units = units as i64;
            StockDelta { on_hand: -units, committed: -units, ..StockDelta::default() }
        };
        let flow = |units: u64| StockFlow { shipped: units, ..StockFlow::default() };
        turn.check_lines(&lines, &shipped, |units| (delta(units), flow(units)))?;
        for (line, &units) in lines.iter().zip(&shipped).filter(|(_, units)| **units > 0) {
            turn.change_line(line, &delta(units), &flow(units));
        }
        turn.state.change_reservation(no, |record| {
            for (line, &units) in record.lines.iter_mut().zip(&shipped) {
                line.units.committed -= units;
                line.units.fulfilled += units;
            }
        });
        turn.record(EventKind::ReservationFulfilled, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
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
}
