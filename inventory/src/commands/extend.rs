//! `extend`: a hold lives longer.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_TTL_S;
use crate::{Field, InvalidArgument, ReservationId};

/// Moves the expiry to now plus the time to live, never to an earlier time than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extend {
    /// The reservation.
    pub reservation: ReservationId,
    /// From now, in seconds, 1 to [`MAX_TTL_S`].
    pub ttl_s: u32,
}

impl Extend {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.ttl_s == 0 || self.ttl_s > MAX_TTL_S { Err(InvalidArgument::of(Field::Ttl)) } else { Ok(()) }
    }
}
