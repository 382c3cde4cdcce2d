//! `move`: units get another condition, where they lie.

use serde::{Deserialize, Serialize};

use crate::turn::{Move, Turn};
use crate::{
    Condition, EventKind, Field, InvalidArgument, LocationId, LotId, Refusal, Sku, StockDelta, StockFlow, Success,
    Units,
};

/// Gives units of one item, location and lot another condition. Only what is bound by nothing and needed by no hold leaves
/// the resellable ones; what of a blocked or expired lot joins them is not sold all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveUnits {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// How many.
    pub units: Units,
    /// What they were.
    pub from: Condition,
    /// What they are from now on; not what they were.
    pub to: Condition,
}

impl MoveUnits {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.units.is_askable() {
            return Err(InvalidArgument::of(Field::Units));
        }
        if self.from == self.to { Err(InvalidArgument::of(Field::ToCondition)) } else { Ok(()) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        let lot = turn.lot_of_stock(sku, self.lot.as_ref())?;
        turn.end_what_is_due_of(sku);
        let mut available = turn.units_to_take(sku, location, lot, self.from);
        if self.from == Condition::Resellable && lot.is_none_or(|lot| turn.state.lot(lot).is_sellable(turn.now())) {
            available = available.min(turn.units_to_spare(sku, location));
        }
        if self.units.count() > available {
            return Err(Refusal::TooFewOfCondition { condition: self.from, available });
        }
        let mut delta = StockDelta::of_condition(self.from, -(self.units.count() as i64));
        delta.add(&StockDelta::of_condition(self.to, self.units.count() as i64));
        let change = Move { sku, location, lot, delta, flow: StockFlow::default() };
        turn.check(&[change])?;
        turn.change(&change);
        turn.record(EventKind::StockMoved, None, None);
        Ok(turn.stock_success(sku, location))
    }
}

#[cfg(test)]
mod tests {
    use super::MoveUnits;
    use crate::test_shop::Shop;
    use crate::*;

    use Condition::{Damaged, QualityControl, Resellable};

    fn shift(
        shop: &mut Shop,
        (sku, lot): (&str, Option<&str>),
        units: u32,
        from: Condition,
        to: Condition,
    ) -> Result<Success, Refusal> {
        let lot = lot.map(|lot| lot.parse().unwrap());
        let (sku, location) = (sku.parse().unwrap(), "PAR".parse().unwrap());
        shop.run(Operation::MoveUnits(MoveUnits { sku, location, lot, units: Units(units), from, to }))
    }

    #[test]
    fn damaged_units_leave_sale_and_come_back_once_they_are_whole() {
        let mut shop = Shop::with_rouge(5);
        shift(&mut shop, ("rouge", None), 2, Resellable, Damaged).unwrap();
        assert_eq!(shop.events(), [EventKind::StockMoved]);
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.counts.damaged, level.atp), (5, 2, 3));
        shift(&mut shop, ("rouge", None), 1, Damaged, QualityControl).unwrap();
        shift(&mut shop, ("rouge", None), 1, QualityControl, Resellable).unwrap();
        assert_eq!((shop.stock("rouge").counts.damaged, shop.stock("rouge").atp), (1, 4));
    }

    #[test]
    fn no_more_is_moved_than_is_there_and_promised_to_nobody() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 4)]).unwrap();
        let too_few = |condition, available| Err(Refusal::TooFewOfCondition { condition, available });
        assert_eq!(shift(&mut shop, ("rouge", None), 2, Resellable, Damaged), too_few(Resellable, 1));
        assert_eq!(shift(&mut shop, ("rouge", None), 1, Damaged, Resellable), too_few(Damaged, 0));
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 1)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        assert_eq!(shift(&mut shop, ("cream", Some("A")), 2, Resellable, Damaged), too_few(Resellable, 1));
        shift(&mut shop, ("cream", Some("A")), 1, Resellable, Damaged).unwrap();
    }

    #[test]
    fn of_a_blocked_lot_nothing_becomes_sellable_by_being_moved() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shift(&mut shop, ("cream", Some("A")), 2, Resellable, QualityControl).unwrap();
        shop.block("A", LotStatus::Quarantined).unwrap();
        shift(&mut shop, ("cream", Some("A")), 2, QualityControl, Resellable).unwrap();
        assert_eq!((shop.stock("cream").free, shop.stock("cream").atp), (2, 0));
        shop.block("A", LotStatus::Approved).unwrap();
        assert_eq!(shop.stock("cream").atp, 2);
    }

    #[test]
    fn what_becomes_resellable_goes_to_what_is_short_first() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shift(&mut shop, ("cream", Some("B")), 2, Resellable, Damaged).unwrap();
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!(shop.reservation(1).lines[0].units.short, 2);
        shift(&mut shop, ("cream", Some("B")), 1, Damaged, Resellable).unwrap();
        assert_eq!((shop.reservation(1).lines[0].units.held, shop.stock("cream").atp), (1, 0));
    }

    #[test]
    fn units_are_not_moved_to_what_they_are() {
        let mut shop = Shop::with_rouge(5);
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::ToCondition)));
        assert_eq!(shift(&mut shop, ("rouge", None), 1, Damaged, Damaged), refused);
    }
}
