//! `return`: shipped units come back.

use serde::{Deserialize, Serialize};

use crate::{Condition, Field, InvalidArgument, LineUnits, LocationId, ReservationId, validate_parts};

/// Takes shipped units back: a new entry of the ledger, which changes nothing of the sale but its `returned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Return {
    /// The reservation they were shipped under.
    pub reservation: ReservationId,
    /// Which, at least one.
    pub parts: Vec<LineUnits>,
    /// Where they arrive; `None`: where they were shipped from.
    pub location: Option<LocationId>,
    /// As what they come back.
    pub condition: Condition,
}

impl Return {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.parts.is_empty() {
            return Err(InvalidArgument::of(Field::Lines));
        }
        validate_parts(&self.parts)
    }
}
