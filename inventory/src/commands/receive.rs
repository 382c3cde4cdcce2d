//! `receive`: units arrive.

use serde::{Deserialize, Serialize};

use crate::{Field, InvalidArgument, LocationId, LotId, Sku, Units};

/// Units arrive at a location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receive {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot, for an item tracked by lot.
    pub lot: Option<LotId>,
    /// How many.
    pub units: Units,
}

impl Receive {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.units.is_askable() { Ok(()) } else { Err(InvalidArgument::of(Field::Units)) }
    }
}
