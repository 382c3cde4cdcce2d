//! What is submitted, and how its caller is answered, whatever happens on the way.

use bytes::Bytes;
use holdfast_inventory::{Answer, Command, LogTime};
use holdfast_raft::types::NodeId;
use holdfast_world::traces::{TraceContext, current};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::gate::Permit;

/// How long a caller should wait where a shard's queue is full.
const FULL_RETRY_MS: u32 = 50;

/// A command with its bytes as they will stand in the log.
#[derive(Debug)]
pub(crate) struct EncodedCommand {
    pub(crate) command: Command,
    pub(crate) bytes: Bytes,
}

/// What a submission was decided to.
#[derive(Debug)]
pub(crate) struct Decided {
    /// The index of the last entry it stood in.
    pub(crate) index: u64,
    /// The shard's log time after it.
    pub(crate) log_time: LogTime,
    /// One a command, in order.
    pub(crate) answers: Vec<Answer>,
}

/// Why commands have no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotDecided {
    /// Not admitted: another node leads the shard, or none.
    NotLeader {
        /// Who does, if it is known.
        leader: Option<NodeId>,
    },
    /// Not admitted: as much waits as may, or it waited until its time was over.
    Overloaded {
        /// How long to wait.
        retry_after_ms: u32,
    },
    /// Not admitted, for another reason.
    Unavailable {
        /// The reason.
        why: &'static str,
    },
    /// Proposed; whether it is decided is not known.
    OutcomeUnknown {
        /// What happened.
        why: String,
    },
}

impl NotDecided {
    /// Proposed, and then this happened.
    pub(crate) fn unknown(why: &str) -> Self {
        Self::OutcomeUnknown { why: why.to_owned() }
    }

    /// As much waits as may.
    pub(crate) fn overloaded() -> Self {
        Self::Overloaded { retry_after_ms: FULL_RETRY_MS }
    }
}

pub(crate) type Outcome = Result<Decided, NotDecided>;

/// Who waits for a part. Whoever drops it unanswered answers it: with a refusal before it was proposed, with an unknown
/// outcome after.
#[derive(Debug)]
pub(super) struct Caller {
    sender: Option<oneshot::Sender<Outcome>>,
    is_proposed: bool,
    commands: usize,
    /// Where it stands in a trace that somebody keeps, and since when it waits: remembered here alone, and no part of the log.
    trace: Option<(TraceContext, Instant)>,
}

impl Caller {
    pub(super) fn commands(&self) -> usize {
        self.commands
    }

    pub(super) fn trace(&self) -> Option<(TraceContext, Instant)> {
        self.trace
    }

    pub(super) fn mark_proposed(&mut self) {
        self.is_proposed = true;
    }

    pub(super) fn answer(mut self, outcome: Outcome) {
        if let Some(sender) = self.sender.take() {
            // A caller whose time was over has gone.
            let _caller_is_gone = sender.send(outcome);
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        let outcome = if self.is_proposed {
            NotDecided::unknown("the shard's actor ended before the answer came")
        } else {
            NotDecided::Unavailable { why: "the shard's actor ended before it took the command" }
        };
        let _caller_is_gone = sender.send(Err(outcome));
    }
}

/// Commands of one submission that go into one log entry, next to those of others.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) commands: Vec<EncodedCommand>,
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    pub(super) caller: Caller,
    /// Given back when the part is proposed.
    pub(super) permit: Permit,
    pub(super) submitted_at: Instant,
}

impl Part {
    pub(super) fn new(
        commands: Vec<EncodedCommand>,
        bytes: usize,
        deadline: Instant,
        permit: Permit,
    ) -> (Self, (usize, oneshot::Receiver<Outcome>)) {
        let (sender, receiver) = oneshot::channel();
        let (count, submitted_at) = (commands.len(), Instant::now());
        let trace = current().filter(|context| context.is_sampled()).map(|context| (context, submitted_at));
        let caller = Caller { sender: Some(sender), is_proposed: false, commands: count, trace };
        (Self { commands, bytes, deadline, caller, permit, submitted_at }, (count, receiver))
    }
}

/// The message to the shard's actor.
#[derive(Debug)]
pub(crate) struct Submit {
    pub(super) parts: Vec<Part>,
}

/// A submission on its way.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// How many commands each part has, and where its outcome comes.
    parts: Vec<(usize, oneshot::Receiver<Outcome>)>,
    deadline: Instant,
}

impl Submitted {
    pub(super) fn new(parts: Vec<(usize, oneshot::Receiver<Outcome>)>, deadline: Instant) -> Self {
        Self { parts, deadline }
    }

    /// What became of it, at the deadline at the latest. Where a part has no answer the others' are still given: each
    /// comes with the number of commands it has.
    pub(crate) async fn outcomes(self) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(self.parts.len());
        for (commands, part) in self.parts {
            let outcome = match timeout_at(self.deadline, part).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(NotDecided::unknown("the shard's actor ended")),
                Err(_) => Err(NotDecided::unknown("the request's time was over")),
            };
            outcomes.push((commands, outcome));
        }
        outcomes
    }
}
