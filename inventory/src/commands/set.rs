//! `set`: `on_hand` becomes a counted number, if nothing happened since the count.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::adjust::find_or_write_off;
use crate::turn::Turn;
use crate::{Condition, Field, InvalidArgument, LocationId, LotId, MAX_UNITS, Refusal, Revision, Sku, Success};

/// Sets `on_hand`, by what is found or written off of the resellable units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// What was counted, at most [`MAX_UNITS`].
    pub on_hand: u64,
    /// The stock's revision when it was counted; 0 where there was none yet.
    pub if_revision: Revision,
}

impl Set {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.on_hand <= u64::from(MAX_UNITS) { Ok(()) } else { Err(InvalidArgument::of(Field::OnHand)) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        let lot = turn.lot_of_stock(sku, self.lot.as_ref())?;
        turn.end_what_is_due_of(sku);
        let place = turn.state.stock(sku).place(location);
        let actual = place.map(|place| place.revision).unwrap_or_default();
        if actual != self.if_revision && !is_on(Mutation::RevisionIgnored) {
            return Err(Refusal::RevisionMismatch { actual });
        }
        let on_hand = place.map_or(0, |place| place.counts_of(lot).on_hand);
        // Neither is above i64::MAX: the one by its range, the other by every change's check.
        let delta = self.on_hand as i64 - on_hand as i64;
        find_or_write_off(turn, sku, location, lot, delta, Condition::Resellable)
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn a_count_holds_only_at_the_revision_it_was_made_at() {
        let mut shop = Shop::with_rouge(10);
        let counted_at = shop.stock("rouge").revision.0;
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let actual = shop.stock("rouge").revision;
        assert_eq!(shop.set("rouge", 8, counted_at), Err(Refusal::RevisionMismatch { actual }));
        shop.set("rouge", 8, actual.0).unwrap();
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.atp, level.flow.written_off), (8, 6, 2));
    }

    #[test]
    fn a_count_below_what_is_bound_is_refused() {
        let mut shop = Shop::with_rouge(10);
        shop.reserve(1, &[("rouge", 6)]).unwrap();
        let revision = shop.stock("rouge").revision.0;
        let refused = shop.set("rouge", 5, revision);
        assert_eq!(refused, Err(Refusal::TooFewToWriteOff { available: 4 }));
    }

    #[test]
    fn stock_that_never_was_has_revision_0() {
        let mut shop = Shop::new();
        assert_eq!(shop.set("rouge", 3, 0).unwrap().revision, Revision(1));
        assert_eq!(shop.stock("rouge").flow.found, 3);
    }
}
