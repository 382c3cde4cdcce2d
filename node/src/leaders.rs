//! Asks the leaders of shards, wherever they are.
//!
//! Responsible for finding who leads a shard now, for the connections to the other nodes that do, and for asking again while no leader
//! answers. Promises that nothing takes longer than its deadline. Remembers no leader: a shard's replica here knows it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use holdfast_proto::peer::v1::order_service_client::OrderServiceClient;
use holdfast_raft::types::NodeId;
use holdfast_world::{GrpcChannel, Lane};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Response, Status};

use crate::core::Core;
use crate::shard::ShardHandle;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long one attempt may take.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(1);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections to the other nodes' leaders, one a node.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    channels: Mutex<BTreeMap<NodeId, (String, GrpcChannel)>>,
}

impl Connections {
    /// The channel to a node; made anew where its address is another now.
    fn channel(&self, core: &Core, node: NodeId) -> Result<GrpcChannel, String> {
        let routes = core.routes().map_err(|error| error.message)?;
        let member = routes.members.get(&node).ok_or_else(|| format!("node {node} is no member"))?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, channel)) = channels.get(&node).filter(|(address, _)| *address == member.peer_address) {
            return Ok(channel.clone());
        }
        channels.retain(|node, _| routes.members.contains_key(node));
        let made = core.world.network.channel(&member.peer_address, Lane::Control, CONNECT);
        let channel = made.map_err(|error| format!("node {node} has an address that cannot be used: {error}"))?;
        let channel = channel.traced(core.world.tracer.clone());
        channels.insert(node, (member.peer_address.clone(), channel.clone()));
        Ok(channel)
    }
}

/// Who leads a shard.
pub(crate) enum Leader {
    /// This node.
    Here(ShardHandle),
    /// Another.
    There(Remote),
}

/// Another node that leads a shard.
pub(crate) struct Remote {
    node: NodeId,
    channel: GrpcChannel,
}

/// Who leads the shard now, as far as its replica here knows.
///
/// # Errors
///
/// It is not known, or cannot be reached.
pub(crate) fn leader_of(core: &Core, shard: u32) -> Result<Leader, String> {
    let routes = core.routes().map_err(|error| error.message)?;
    let handle = core.shard(shard, &routes).map_err(|error| error.message)?;
    if handle.group().is_leader() {
        return Ok(Leader::Here(handle));
    }
    let node = handle.group().leader().ok_or_else(|| "no leader is known".to_owned())?;
    let channel = core.connections.channel(core, node)?;
    Ok(Leader::There(Remote { node, channel }))
}

impl Remote {
    /// What the node answers to one call.
    ///
    /// # Errors
    ///
    /// It refuses, or takes longer than the deadline.
    pub(crate) async fn ask<T, Call>(
        &self,
        deadline: Instant,
        call: impl FnOnce(OrderServiceClient<GrpcChannel>) -> Call,
    ) -> Result<T, String>
    where
        Call: Future<Output = Result<Response<T>, Status>>,
    {
        let response = timeout_at(deadline, call(OrderServiceClient::new(self.channel.clone()))).await;
        let response = response.map_err(|_| format!("node {} took too long", self.node))?;
        Ok(response.map_err(|status| self.says(status))?.into_inner())
    }

    /// Names the node in what went wrong there.
    pub(crate) fn says(&self, what: impl std::fmt::Display) -> String {
        format!("node {}: {what}", self.node)
    }
}

/// The first answer that an attempt gives; each is told when it must be over.
///
/// # Errors
///
/// None came before the deadline: why the last had none.
pub(crate) async fn until_answered<T, Attempt>(
    deadline: Instant,
    mut attempt: impl FnMut(Instant) -> Attempt,
) -> Result<T, String>
where
    Attempt: Future<Output = Result<T, String>>,
{
    loop {
        let why = match attempt(deadline.min(Instant::now() + ATTEMPT)).await {
            Ok(answer) => return Ok(answer),
            Err(why) => why,
        };
        let again_at = Instant::now() + PAUSE;
        if again_at >= deadline {
            return Err(why);
        }
        sleep_until(again_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_asked_again_until_there_is_an_answer() {
        let mut asked = 0;
        let answer = until_answered(Instant::now() + Duration::from_secs(5), |_| {
            asked += 1;
            std::future::ready(if asked < 4 { Err("no leader".to_owned()) } else { Ok(asked) })
        });
        assert_eq!(answer.await, Ok(4));
    }

    #[tokio::test(start_paused = true)]
    async fn no_attempt_lasts_longer_than_the_deadline_and_the_last_reason_is_told() {
        let started = Instant::now();
        let deadline = started + Duration::from_millis(2_500);
        let mut ends = Vec::new();
        let attempt = |until: Instant| {
            ends.push(until);
            async move {
                tokio::time::sleep_until(until).await;
                Err::<(), _>(format!("late at {:?}", until - started))
            }
        };
        assert_eq!(until_answered(deadline, attempt).await, Err("late at 2.5s".to_owned()));
        assert_eq!(ends.len(), 3);
        assert!(ends.iter().all(|until| *until <= deadline) && Instant::now() <= deadline);
    }
}
