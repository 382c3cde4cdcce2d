//! `reconcile`: another system's records say something else than the books.

use serde::{Deserialize, Serialize};

use crate::turn::{CellOf, Move, Turn};
use crate::{
    Condition, EventKind, Field, InvalidArgument, LocationId, LotId, MAX_UNITS, Refusal, Sku, StockDelta, StockFlow,
    Subject, Success,
};

/// What a difference between two systems' records was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Discrepancy {
    /// The other system has sold what the books know nothing of.
    MissingSale,
    /// The same units were shipped twice, or the books have shipped what the other system has not.
    DoubleShipment,
    /// Somebody has set the books by hand.
    ManualOverride,
    /// Nothing of that explains it.
    Drift,
}

/// Notes the difference in the change log; with `repair` the books are brought to what the other system says: what it has more is
/// found, what it has less is written off, whoever it was promised to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconcile {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// What the difference was found to be.
    pub discrepancy: Discrepancy,
    /// How many resellable units more (above 0) or fewer the other system says are there; not 0, at most [`MAX_UNITS`] either
    /// way.
    pub delta: i64,
    /// Bring the books to it.
    pub repair: bool,
}

impl Reconcile {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        let size = self.delta.unsigned_abs();
        if size >= 1 && size <= u64::from(MAX_UNITS) { Ok(()) } else { Err(InvalidArgument::of(Field::Delta)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        let subject = Subject::Reconciliation {
            sku: self.sku.clone(),
            location: self.location.clone(),
            discrepancy: self.discrepancy,
            delta: self.delta,
        };
        if !self.repair {
            // A difference of a whole item may be noted; only what is repaired must say of which lot.
            if let Some(lot) = &self.lot {
                turn.lot_of_stock(sku, Some(lot))?;
            }
            turn.record(EventKind::ReconciliationDrift, None, Some(subject));
            return Ok(turn.stock_success(sku, location));
        }
        let lot = turn.lot_of_stock(sku, self.lot.as_ref())?;
        turn.end_what_is_due_of(sku);
        let cell = CellOf { sku, location, lot };
        let (found, gone) = (self.delta.max(0) as u64, self.delta.min(0).unsigned_abs());
        let available = turn.lying(cell, Condition::Resellable);
        if gone > available {
            return Err(Refusal::TooFewToWriteOff { available });
        }
        let flow = StockFlow { found, ..StockFlow::default() };
        let delta = StockDelta::of_condition(Condition::Resellable, found as i64);
        let change = Move { sku, location, lot, delta, flow };
        turn.check(&[change])?;
        turn.check_flow(sku, location, &StockFlow { written_off: gone, ..StockFlow::default() })?;
        let short_before = turn.short_at(sku, location);
        if found > 0 {
            turn.change(&change);
        }
        turn.write_off(cell, Condition::Resellable, gone);
        turn.record(EventKind::ReconciliationRepaired, None, Some(subject));
        turn.tell_shortfall(sku, location, &short_before);
        Ok(turn.stock_success(sku, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, reconcile};
    use crate::*;

    #[test]
    fn a_difference_is_noted_and_changes_nothing_until_it_is_repaired() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.stock("rouge");
        shop.run(reconcile("rouge", -2, false)).unwrap();
        assert_eq!((shop.events(), shop.stock("rouge")), (vec![EventKind::ReconciliationDrift], before));
        shop.run(reconcile("rouge", -2, true)).unwrap();
        assert_eq!(shop.events(), [EventKind::ReconciliationRepaired]);
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").flow.written_off), (3, 2));
        shop.run(reconcile("rouge", 4, true)).unwrap();
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").flow.found), (7, 4));
    }

    #[test]
    fn what_another_system_has_sold_leaves_the_newest_holds_short_and_never_goes_below_zero() {
        let mut shop = Shop::with_rouge(3);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.run(reconcile("rouge", -1, true)).unwrap();
        let events =
            [EventKind::ReservationShort, EventKind::ReconciliationRepaired, EventKind::StockShortfall].to_vec();
        assert_eq!((shop.events(), shop.reservation(1).lines[0].units.short), (events, 1));
        assert_eq!(shop.run(reconcile("rouge", -3, true)), Err(Refusal::TooFewToWriteOff { available: 2 }));
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::Delta)));
        assert_eq!(shop.run(reconcile("rouge", 0, false)), refused);
    }
}
