//! `set_safety_stock`: units of an item at a location that are kept back from sale.

use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, LocationId, MAX_UNITS, Refusal, Revision, Sku, Subject, Success};

/// Sets how many units are kept back. Only new holds feel it: what is promised stays promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSafetyStock {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// How many, at most [`MAX_UNITS`]; 0: none.
    pub units: u64,
    /// Only if the stock's revision is this.
    pub if_revision: Option<Revision>,
}

impl SetSafetyStock {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units <= u64::from(MAX_UNITS) { Ok(()) } else { Err(InvalidArgument::of(Field::SafetyStock)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        turn.end_what_is_due_of(sku);
        let place = turn.state.stock(sku).place(location);
        let (actual, before) = place.map(|place| (place.revision, place.safety_stock)).unwrap_or_default();
        if self.if_revision.is_some_and(|expected| expected != actual) {
            return Err(Refusal::RevisionMismatch { actual });
        }
        if before == self.units {
            return Ok(turn.stock_success(sku, location));
        }
        turn.change_place(sku, location, |place| place.safety_stock = self.units);
        let revision = turn.stock_success(sku, location).revision;
        let subject = Subject::SafetyStock {
            sku: self.sku.clone(),
            location: self.location.clone(),
            safety_stock: self.units,
            revision,
        };
        turn.record(EventKind::StockSafetyChanged, None, Some(subject));
        Ok(turn.stock_success(sku, location))
    }
}

#[cfg(test)]
mod tests {
    use super::SetSafetyStock;
    use crate::test_shop::Shop;
    use crate::*;

    fn set(shop: &mut Shop, sku: &str, units: u64, if_revision: Option<u64>) -> Result<Success, Refusal> {
        let (sku, location) = (sku.parse().unwrap(), "PAR".parse().unwrap());
        let if_revision = if_revision.map(Revision);
        shop.run(Operation::SetSafetyStock(SetSafetyStock { sku, location, units, if_revision }))
    }

    #[test]
    fn what_is_kept_back_is_not_promised_and_what_was_promised_stands() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        assert_eq!(set(&mut shop, "rouge", 4, None).unwrap().atp_after, 0);
        assert_eq!(shop.events(), [EventKind::StockSafetyChanged, EventKind::AvailabilityOut]);
        assert_eq!((shop.stock("rouge").safety_stock, shop.reservation(1).lines[0].units.held), (4, 3));
        let lack = Refusal::InsufficientStock { available: 0, line: 0, recorded: true };
        assert_eq!(shop.reserve(2, &[("rouge", 1)]), Err(lack));
        shop.commit(1).unwrap();
        assert_eq!(set(&mut shop, "rouge", 1, None).unwrap().atp_after, 1);
        assert_eq!(shop.events(), [EventKind::StockSafetyChanged, EventKind::AvailabilityBack]);
    }

    #[test]
    fn stock_by_lot_is_kept_back_of_all_lots_together() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        set(&mut shop, "cream", 3, None).unwrap();
        assert_eq!(shop.stock("cream").atp, 1);
        let lack = Refusal::InsufficientStock { available: 1, line: 0, recorded: true };
        assert_eq!(shop.reserve(1, &[("cream", 2)]), Err(lack));
        shop.reserve_of(1, "B", 1).unwrap();
    }

    #[test]
    fn it_is_set_only_at_the_revision_that_was_seen_and_the_same_again_changes_nothing() {
        let mut shop = Shop::with_rouge(5);
        let actual = shop.stock("rouge").revision;
        assert_eq!(set(&mut shop, "rouge", 1, Some(actual.0 + 1)), Err(Refusal::RevisionMismatch { actual }));
        assert_eq!(set(&mut shop, "rouge", 1, Some(actual.0)).unwrap().revision, actual.next());
        assert_eq!(set(&mut shop, "rouge", 1, None).unwrap().revision, actual.next());
        assert_eq!(shop.events(), []);
        let refused = Err(Refusal::InvalidArgument(InvalidArgument::of(Field::SafetyStock)));
        assert_eq!(set(&mut shop, "rouge", u64::from(MAX_UNITS) + 1, None), refused);
    }
}
