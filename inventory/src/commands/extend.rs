//! `extend`: a hold lives longer.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_TTL_S;
use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, Refusal, ReservationId, Success};

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

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if !record.is_holding() {
            return Err(record.refuse_without_hold());
        }
        let asked = turn.now().plus_seconds(self.ttl_s);
        if asked > record.max_expires_at {
            return Err(Refusal::ExtendLimitReached { max_expires_at: record.max_expires_at });
        }
        if asked > record.expires_at {
            turn.state.change_reservation(no, |record| record.expires_at = asked);
            turn.record(EventKind::ReservationExtended, Some(no), None);
        }
        Ok(turn.reservation_success(no))
    }
}
