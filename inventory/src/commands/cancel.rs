//! `cancel`: what is sold and not shipped is given back.

use serde::{Deserialize, Serialize};

use crate::turn::{GiveBack, Turn};
use crate::{EventKind, Refusal, ReservationId, Success};

/// Gives back everything that is committed and not shipped, and what is still held with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The reservation.
    pub reservation: ReservationId,
}

impl Cancel {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if record.state().is_ended() {
            return Err(record.refuse_without_hold());
        }
        turn.give_back(no, GiveBack::CancelAll);
        turn.record(EventKind::ReservationCancelled, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}
