//! What a command answers, and what an entry yields.

use serde::{Deserialize, Serialize};

use crate::{CommandId, Event, LogTime, Refusal, ReservationState, Revision};

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The command.
    pub id: CommandId,
    /// What became of it.
    pub outcome: Result<Success, Refusal>,
    /// True where it was decided earlier, by another attempt with this id.
    pub replayed: bool,
}

/// A command that was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Success {
    /// Revision of the item, location, stock or reservation that the command was about.
    pub revision: Revision,
    /// What may be promised of the command's first SKU, at the location it named first, after the command.
    pub atp_after: u64,
    /// When the hold ends, where the reservation has one.
    pub expires_at: Option<LogTime>,
    /// Of the reservation, where the command was about one.
    pub state: Option<ReservationState>,
    /// For a reserve: units held for each line, in order. `None`: all as asked.
    pub held: Option<Box<[u32]>>,
    /// For a reserve: units of each line that are promised without stock, in order. `None`: none.
    pub backordered: Option<Box<[u32]>>,
    /// For a part of a reservation over several shards: before this instant some of it may not be shipped.
    pub release_at: Option<LogTime>,
    /// Of the customer who joined a queue.
    pub ticket: Option<u32>,
    /// For an admit: how many were let in.
    pub admitted: Option<u32>,
}

/// What an entry yields. The caller may hand in the same value again and again; `apply` clears it first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// One a command, in order.
    pub answers: Vec<Answer>,
    /// What the change log gains, in order.
    pub events: Vec<Event>,
}

impl Answer {
    /// An outcome as bytes, for another node.
    #[must_use]
    pub fn encode_outcome(outcome: &Result<Success, Refusal>) -> Vec<u8> {
        postcard::to_extend(outcome, Vec::new()).expect("an outcome's types serialise, and a Vec takes every byte")
    }

    /// Reads what [`Answer::encode_outcome`] gave; `None` for anything else.
    #[must_use]
    pub fn decode_outcome(bytes: &[u8]) -> Option<Result<Success, Refusal>> {
        match postcard::take_from_bytes(bytes) {
            Ok((outcome, [])) => Some(outcome),
            _ => None,
        }
    }
}
