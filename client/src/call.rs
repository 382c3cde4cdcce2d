//! Calls that are not commands: reads, and questions to the cluster. Each is one unary request to a node that may answer
//! it, repeated elsewhere or later where that is safe.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{Effect, ErrorReason, Retry};
use holdfast_world::GrpcChannel;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::answer::Error;
use crate::core::{Core, no_members};
use crate::node::{Node, error_of, no_answer, within};
use crate::retry::Standing;

/// Who may answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Any node.
    Any,
    /// That node and no other.
    Node(u64),
    /// Any node but that one.
    Other(u64),
    /// The leader of that shard.
    Leader(u32),
    /// The leader of the meta group.
    MetaLeader,
}

/// What a repetition may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// It changes nothing: an attempt without an answer is no matter.
    Read,
    /// It changes something and has no id: after an attempt without an answer it is not repeated.
    Change,
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calling {
    pub(crate) target: Target,
    pub(crate) nature: Nature,
    pub(crate) deadline: Instant,
    /// Bounds one attempt.
    pub(crate) attempt: Duration,
}

impl Core {
    /// A read with the client's own time limits.
    pub(crate) fn reading(&self, target: Target) -> Calling {
        let (deadline, attempt) = (self.deadline(None), self.options.attempt_timeout);
        Calling { target, nature: Nature::Read, deadline, attempt }
    }

    /// Asks until there is an answer that counts.
    pub(crate) async fn call<Q, A, F>(
        &self,
        calling: Calling,
        question: Q,
        ask: impl Fn(GrpcChannel, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut pacer = self.pacer(calling.deadline);
        let mut standing = Standing::default();
        loop {
            let node = self.node_for(calling.target).ok_or_else(no_members)?;
            let ends = calling.deadline.min(Instant::now() + calling.attempt);
            let asking = ask(node.channel.clone(), within(question.clone(), ends));
            let error = match tokio::time::timeout_at(ends, asking).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => error_of(&status),
                Err(_) => {
                    // Who asks one node may give it less time than it needs: that says nothing to those who ask any.
                    if !matches!(calling.target, Target::Node(_)) {
                        node.note_silence();
                    }
                    no_answer(&node.address)
                }
            };
            let shard = match calling.target {
                Target::Leader(shard) => Some(shard),
                Target::Any | Target::Node(_) | Target::Other(_) | Target::MetaLeader => None,
            };
            let hinted = self.mend(&error, shard, node.node_id);
            let mut error = standing.judge(of_nature(error, calling.nature))?;
            if matches!(calling.target, Target::Node(_)) {
                return Err(standing.told(error));
            }
            let retry_after = error.failure_mut().retry_after;
            if !pacer.pause(hinted, retry_after).await {
                return Err(standing.told(error));
            }
        }
    }

    fn node_for(&self, target: Target) -> Option<Arc<Node>> {
        match target {
            Target::Any => self.any_node(),
            Target::Node(node_id) => self.node(node_id),
            Target::Other(node_id) => self.other_node(node_id),
            Target::Leader(shard) => {
                let leader = self.with_routes(|routes| routes.leader_of(shard));
                leader.and_then(|node_id| self.node(node_id)).or_else(|| self.any_node())
            }
            Target::MetaLeader => self.meta_leader(),
        }
    }
}

/// An attempt without an answer means nothing for a read, and is the end of a change.
fn of_nature(error: Error, nature: Nature) -> Error {
    match (error, nature) {
        (Error::Unknown(mut failure), Nature::Read) => {
            failure.effect = Effect::None;
            if failure.reason == ErrorReason::OutcomeUnknown {
                failure.reason = ErrorReason::Unavailable;
            }
            Error::NotAdmitted(failure)
        }
        (Error::Unknown(mut failure), Nature::Change) => {
            failure.retry = Retry::Never;
            Error::Unknown(failure)
        }
        (other, _) => other,
    }
}
