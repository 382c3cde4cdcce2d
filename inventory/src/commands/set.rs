//! `set`: `on_hand` becomes a counted number, if nothing happened since the count.

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
        turn.check_lot_of_stock(sku, &self.lot)?;
        turn.end_what_is_due_of(sku);
        let place = turn.state.stock(sku).place(location);
        let actual = place.map(|place| place.revision).unwrap_or_default();
        if actual != self.if_revision {
            return Err(Refusal::RevisionMismatch { actual });
        }
        let on_hand = place.and_then(|place| place.cell(&self.lot)).map_or(0, |cell| cell.counts.on_hand);
        // Neither is above i64::MAX: the one by its range, the other by every change's check.
        let delta = self.on_hand as i64 - on_hand as i64;
        find_or_write_off(turn, sku, location, &self.lot, delta, Condition::Resellable)
    }
}
