//! `release`: a hold is given back.

use serde::{Deserialize, Serialize};

use crate::turn::{GiveBack, Turn};
use crate::{EventKind, Refusal, ReservationId, Success};

/// Gives back everything that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The reservation.
    pub reservation: ReservationId,
}

impl Release {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if !record.is_holding() {
            return Err(record.refuse_without_hold());
        }
        turn.give_back(no, GiveBack::Release);
        turn.record(EventKind::ReservationReleased, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}
