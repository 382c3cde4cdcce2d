//! `commit`: a hold becomes a sale.

use serde::{Deserialize, Serialize};

use crate::{InvalidArgument, LineUnits, LogTime, ReservationId, validate_parts};

/// How far ahead `cancel_at` may lie, in ms.
pub const MAX_CANCEL_AHEAD_MS: u64 = 31 * 24 * 3_600_000;

/// What a commit does where the hold's time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IfExpired {
    /// It is refused.
    #[default]
    Fail,
    /// The units are tried for anew in the same decision.
    Retake,
}

/// Turns what is held into a sale: all of it, or some units of some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The reservation.
    pub reservation: ReservationId,
    /// Empty: everything held.
    pub parts: Vec<LineUnits>,
    /// What is not committed is released.
    pub last: bool,
    /// Where the hold's time is over.
    pub if_expired: IfExpired,
    /// What is committed and not shipped by then is cancelled; at most [`MAX_CANCEL_AHEAD_MS`] ahead.
    pub cancel_at: Option<LogTime>,
}

impl Commit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_parts(&self.parts)
    }
}
