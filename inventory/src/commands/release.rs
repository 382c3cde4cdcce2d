//! `release`: a hold is given back.

use serde::{Deserialize, Serialize};

use crate::ReservationId;

/// Gives back everything that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The reservation.
    pub reservation: ReservationId,
}
