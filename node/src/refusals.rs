//! Requests that are not admitted, or whose outcome is not known, as errors of the wire.

use holdfast_proto::v1::{CommandError, ErrorReason};
use holdfast_raft::host::GroupError;
use holdfast_raft::types::NodeId;

use crate::routing::Routes;
use crate::shard::NotDecided;

/// How long to wait for an election.
const ELECTION_RETRY_MS: u32 = 200;
/// How long to wait for a place among the readers of a node.
const READER_RETRY_MS: u32 = 1_000;

/// The error of commands that have no answer.
pub(crate) fn not_decided(why: &NotDecided, shard: u32, routes: &Routes, route_epoch: u64) -> CommandError {
    match why {
        NotDecided::NotLeader { leader } => not_leader(*leader, shard, routes, route_epoch),
        NotDecided::Overloaded { retry_after_ms } => {
            let message = format!("shard {shard} has as much to do as may wait; ask again in {retry_after_ms} ms");
            CommandError::of(ErrorReason::Overloaded, message).with("shard", shard).after_ms(*retry_after_ms)
        }
        NotDecided::Unavailable { why } => unavailable(shard, why),
        NotDecided::OutcomeUnknown { why } => {
            let message =
                format!("it is not known whether shard {shard} decided this: {why}; ask again with the same id");
            CommandError::of(ErrorReason::OutcomeUnknown, message).with("shard", shard)
        }
    }
}

/// Another node leads the shard, or none.
pub(crate) fn not_leader(leader: Option<NodeId>, shard: u32, routes: &Routes, route_epoch: u64) -> CommandError {
    if route_epoch != 0 && route_epoch < routes.epoch {
        let message =
            format!("the slot map of epoch {route_epoch} is out of date; the present one is {}", routes.epoch);
        return CommandError::of(ErrorReason::StaleRoute, message).with("epoch", routes.epoch).with("shard", shard);
    }
    let address = leader.and_then(|leader| routes.client_address(leader));
    match (leader, address) {
        (Some(leader), Some(address)) => {
            let message = format!("node {leader} at {address} leads shard {shard}");
            CommandError::of(ErrorReason::NotLeader, message)
                .with("leader", address)
                .with("leader_node_id", leader)
                .with("shard", shard)
        }
        _ => {
            let message = format!("no leader of shard {shard} is known yet; ask again in {ELECTION_RETRY_MS} ms");
            CommandError::of(ErrorReason::NotLeader, message).with("shard", shard).after_ms(ELECTION_RETRY_MS)
        }
    }
}

/// The shard cannot serve now.
pub(crate) fn unavailable(shard: u32, why: &str) -> CommandError {
    let message = format!("shard {shard} cannot serve now: {why}");
    CommandError::of(ErrorReason::Unavailable, message).with("shard", shard).after_ms(ELECTION_RETRY_MS)
}

/// The node knows no cluster yet.
pub(crate) fn not_founded() -> CommandError {
    let message =
        "the cluster is not founded yet, or this node has not heard of it: /readyz?verbose says what is missing";
    CommandError::of(ErrorReason::Unavailable, message).after_ms(ELECTION_RETRY_MS)
}

/// The node serves nothing more.
pub(crate) fn stopping() -> CommandError {
    CommandError::of(ErrorReason::Unavailable, "the node is stopping").after_ms(ELECTION_RETRY_MS)
}

/// As many read events or availability here as may.
pub(crate) fn too_many_readers(most: usize) -> CommandError {
    let message = format!("{most} readers watch this node, which is as many as may; ask another node");
    CommandError::of(ErrorReason::Overloaded, message).after_ms(READER_RETRY_MS)
}

/// There is no such shard.
pub(crate) fn no_such_shard(shard: u32, routes: &Routes) -> CommandError {
    let message = format!("shard is {shard}; the cluster has shards 0 to {}", routes.shards.saturating_sub(1));
    CommandError::of(ErrorReason::InvalidArgument, message).at("shard")
}

/// A read that could not be done.
pub(crate) fn not_read(error: &GroupError, shard: u32, routes: &Routes) -> CommandError {
    match error {
        GroupError::NotLeader { leader } => not_leader(*leader, shard, routes, 0),
        GroupError::NoQuorum { .. }
        | GroupError::TimedOut
        | GroupError::InProgress { .. }
        | GroupError::Stopped { .. }
        | GroupError::Refused { .. } => unavailable(shard, &error.to_string()),
    }
}
