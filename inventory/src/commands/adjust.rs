//! `adjust`: units are found or written off.

use serde::{Deserialize, Serialize};

use crate::{Condition, Field, InvalidArgument, LocationId, LotId, MAX_UNITS, Sku};

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
}
