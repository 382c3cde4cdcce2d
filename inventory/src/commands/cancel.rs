//! `cancel`: what is sold and not shipped is given back.

use serde::{Deserialize, Serialize};

use crate::ReservationId;

/// Gives back everything that is committed and not shipped, and what is still held with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The reservation.
    pub reservation: ReservationId,
}
