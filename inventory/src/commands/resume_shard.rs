//! `resume_shard`: somebody has looked at what an audit found, and the shard takes commands again.

use serde::{Deserialize, Serialize};

use crate::turn::Turn;
use crate::{Cause, EventKind, Field, InvalidArgument, Refusal, Subject, Success};

/// Lifts the halt that it names. Who does it must say why: it stands in the change log. Of a shard that is not halted, or is for
/// another reason by now, it changes nothing, so that it may be said again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeShard {
    /// The event of the halt that is lifted.
    pub halted_seq: u64,
}

impl ResumeShard {
    pub(crate) fn validate(&self, cause: Option<&Cause>) -> Result<(), InvalidArgument> {
        if cause.is_some_and(|cause| !cause.reason.is_empty()) {
            return Ok(());
        }
        Err(InvalidArgument::of(Field::Reason))
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let header = &mut turn.state.header;
        let Some(halt) = header.halt.take_if(|halt| halt.seq == self.halted_seq) else { return Ok(Success::default()) };
        header.resumed_seq = header.seq + 1;
        let subject = Subject::Breach { invariant: halt.invariant, finding: halt.finding, node: halt.node };
        turn.record(EventKind::ShardResumed, None, Some(subject));
        Ok(Success::default())
    }
}
