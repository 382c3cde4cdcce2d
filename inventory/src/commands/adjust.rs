//! `adjust`: units are found or written off.

use serde::{Deserialize, Serialize};

use crate::state::{LocationNo, LotNo, SkuNo};
use crate::turn::{Move, Turn};
use crate::{
    Condition, EventKind, Field, InvalidArgument, LocationId, LotId, MAX_UNITS, Refusal, Sku, StockDelta, StockFlow,
    Success,
};

/// Units are found (delta above 0) or written off (below 0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjust {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// How many more or fewer; not 0, at most [`MAX_UNITS`] either way.
    pub delta: i64,
    /// Among which units they are added or taken.
    pub condition: Condition,
}

impl Adjust {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        let size = self.delta.unsigned_abs();
        if size >= 1 && size <= u64::from(MAX_UNITS) { Ok(()) } else { Err(InvalidArgument::of(Field::Delta)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        let lot = turn.lot_of_stock(sku, self.lot.as_ref())?;
        turn.end_what_is_due_of(sku);
        find_or_write_off(turn, sku, location, lot, self.delta, self.condition)
    }
}

/// Adds units that were found, or takes units that are gone. Only what is bound by nothing can be gone.
pub(super) fn find_or_write_off(
    turn: &mut Turn<'_>,
    sku: SkuNo,
    location: LocationNo,
    lot: Option<LotNo>,
    delta: i64,
    condition: Condition,
) -> Result<Success, Refusal> {
    let gone = if delta < 0 { delta.unsigned_abs() } else { 0 };
    let available = turn.units_to_take(sku, location, lot, condition);
    if gone > available {
        return Err(Refusal::TooFewToWriteOff { available });
    }
    let flow = StockFlow { found: delta.max(0) as u64, written_off: gone, ..StockFlow::default() };
    let delta = StockDelta::of_condition(condition, delta);
    let change = Move { sku, location, lot, delta, flow };
    turn.check(&[change])?;
    turn.change(&change);
    turn.record(EventKind::StockAdjusted, None, None);
    Ok(turn.stock_success(sku, location))
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn only_what_is_bound_by_nothing_can_be_written_off() {
        let mut shop = Shop::with_rouge(10);
        shop.reserve(1, &[("rouge", 7)]).unwrap();
        let refused = shop.adjust("rouge", -4, Condition::Resellable);
        assert_eq!(refused, Err(Refusal::TooFewToWriteOff { available: 3 }));
        shop.adjust("rouge", -3, Condition::Resellable).unwrap();
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.atp, level.flow.written_off), (7, 0, 3));
    }

    #[test]
    fn damaged_units_are_found_and_written_off_beside_what_is_sold() {
        let mut shop = Shop::with_rouge(1);
        shop.adjust("rouge", 2, Condition::Damaged).unwrap();
        assert_eq!((shop.stock("rouge").counts.damaged, shop.stock("rouge").atp), (2, 1));
        shop.adjust("rouge", -2, Condition::Damaged).unwrap();
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").atp), (1, 1));
    }

    #[test]
    fn a_hold_whose_time_is_over_does_not_stand_in_the_way() {
        let mut shop = Shop::with_limits(Limits { sweep: 1, ..Limits::default() });
        shop.receive("mascara", "PAR", 1).unwrap();
        shop.receive("rouge", "PAR", 1).unwrap();
        shop.reserve(1, &[("mascara", 1)]).unwrap();
        shop.reserve(2, &[("rouge", 1)]).unwrap();
        shop.after_s(600).adjust("rouge", -1, Condition::Resellable).unwrap();
    }
}
