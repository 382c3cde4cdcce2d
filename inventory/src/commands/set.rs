//! `set`: `on_hand` becomes a counted number, if nothing happened since the count.

use serde::{Deserialize, Serialize};

use crate::{Field, InvalidArgument, LocationId, LotId, MAX_UNITS, Revision, Sku};

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
}
