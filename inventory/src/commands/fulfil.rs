//! `fulfil`: sold units are shipped.

use serde::{Deserialize, Serialize};

use crate::{InvalidArgument, LineUnits, ReservationId, validate_parts};

/// Ships committed units: all, or some of some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fulfil {
    /// The reservation.
    pub reservation: ReservationId,
    /// Empty: everything committed.
    pub parts: Vec<LineUnits>,
}

impl Fulfil {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_parts(&self.parts)
    }
}
