//! How this node is, and what it knows of the others: what probes, load balancers and operators are told.
//!
//! Three questions, which must not be mixed up. Does the process live? Whoever restarts it asks that, and nothing more than an answer
//! is told. Is this node ready? Whoever sends it customers, or restarts one node after the other, asks that. Is the cluster well?
//! People and alerts ask that, never probes: a probe that failed for the cluster's sake would take every node away at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_proto::v1::{
    alert_service_server, cluster_service_server, endpoint_service_server, event_service_server,
    inventory_service_server, shard_service_server,
};
use holdfast_raft::types::NodeId;
use serde::Serialize;
use tokio::time::timeout;

use crate::core::{Core, group_name};
use crate::metrics::result_window_ms;
use crate::services::introduce;

/// How long another node may take to answer that it is there.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// What `/readyz` says: what is missing, and the rest where it is asked for.
pub(crate) fn readiness(core: &Core, is_verbose: bool) -> (bool, String) {
    let missing = core.not_ready();
    let mut text = if missing.is_empty() { "ready\n".to_owned() } else { "not ready\n".to_owned() };
    for line in &missing {
        let _infallible = writeln!(text, "- {line}");
    }
    if is_verbose {
        describe(core, &mut text);
    }
    (missing.is_empty(), text)
}

fn describe(core: &Core, text: &mut String) {
    let _infallible = writeln!(text, "node {} of {}", core.config.node_id, core.config.cluster_id);
    let draining = if *core.stopping.borrow() { "draining: the node is stopping" } else { "not draining" };
    let _infallible = writeln!(text, "{draining}");
    for group in core.groups() {
        let status = group.status();
        let leader = status.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let alive = if group.core_fault().is_none() { "alive" } else { "ended" };
        let age = group.age().map_or_else(
            || "lacks what was decided before the start".to_owned(),
            |age| format!("at most {} ms behind", age.as_millis()),
        );
        let _infallible = writeln!(
            text,
            "{}: leader {leader}, term {}, core {alive}, applied {} of {}, checkpoint {}, {age}",
            group_name(group.id()),
            status.term,
            status.applied_index,
            status.last_log_index,
            status.checkpointed_index
        );
    }
    for shard in core.shards().iter() {
        let window_ms = shard.group().read_shard(result_window_ms).unwrap_or(0);
        let (waiting, capacity) = shard.waiting();
        let _infallible = writeln!(
            text,
            "shard {}: {waiting} of {capacity} commands wait; results of the last {window_ms} ms are remembered",
            shard.shard()
        );
    }
    for warning in core.warnings() {
        let _infallible = writeln!(text, "warning: {warning}");
    }
}

/// Whether each service of the wire can do its work here, by the name that `grpc.health.v1` knows it by; empty: the node.
///
/// What changes or reads stock needs a node that is ready; the cluster's records need somebody who leads them; events are read where
/// the shards run; and what a node says of itself it can say from the start.
pub(crate) fn services(core: &Core) -> [(&'static str, bool); 7] {
    let is_ready = core.not_ready().is_empty();
    let goes_on = !*core.stopping.borrow();
    let has_records =
        core.meta.get().is_some_and(|meta| core.confirmed_leader(meta).is_some()) && core.routes.borrow().is_some();
    let has_shards = core.routes.borrow().as_ref().is_some_and(|routes| core.shards().len() >= routes.shards as usize);
    [
        ("", is_ready),
        (inventory_service_server::SERVICE_NAME, is_ready),
        (event_service_server::SERVICE_NAME, goes_on && has_shards),
        (endpoint_service_server::SERVICE_NAME, goes_on && has_records),
        (cluster_service_server::SERVICE_NAME, goes_on),
        (shard_service_server::SERVICE_NAME, goes_on),
        (alert_service_server::SERVICE_NAME, goes_on),
    ]
}

/// What one node knows of the whole cluster.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterHealth {
    /// `ok`, `degraded` (it serves, and could lose fewer nodes than when all answer) or `down` (some group has no leader or no majority).
    status: &'static str,
    /// Who says so.
    node: NodeId,
    /// How many nodes answer, of all.
    answering: usize,
    members: usize,
    /// How many of the nodes that answer may be lost, whichever they are, and all groups go on.
    can_lose: usize,
    nodes: Vec<NodeHealth>,
    groups: Vec<GroupHealth>,
}

#[derive(Debug, Serialize)]
struct NodeHealth {
    node: NodeId,
    address: String,
    answers: bool,
}

#[derive(Debug, Serialize)]
struct GroupHealth {
    /// `meta`, or the shard's number.
    group: String,
    leader: Option<NodeId>,
    voters: BTreeSet<NodeId>,
    answering: usize,
    can_lose: usize,
    /// Whether an audit keeps the shard from taking commands.
    halted: bool,
}

impl ClusterHealth {
    /// Whether every group has a leader and a majority.
    pub(crate) fn serves(&self) -> bool {
        self.status != "down"
    }
}

/// Asks every node whether it is there, and looks at what this one knows of the groups.
pub(crate) async fn cluster_health(core: &Arc<Core>) -> ClusterHealth {
    let known = core.routes.borrow().clone();
    let members: BTreeMap<NodeId, String> = known.as_ref().map_or_else(
        || core.config.nodes.iter().map(|node| (node.id, node.peer.clone())).collect(),
        |routes| routes.members.iter().map(|(id, member)| (*id, member.peer_address.clone())).collect(),
    );
    let asked = members.into_iter().map(|(node, address)| async move {
        let answers = node == core.config.node_id || answers(core, node, &address).await;
        NodeHealth { node, address, answers }
    });
    let nodes: Vec<NodeHealth> = join_all(asked).await;
    let answering: BTreeSet<NodeId> = nodes.iter().filter(|node| node.answers).map(|node| node.node).collect();
    let groups: Vec<GroupHealth> = core
        .groups()
        .iter()
        .map(|group| {
            let status = group.status();
            let (here, can_lose) = spare(&status.voters, &answering);
            let group_name = group.id().shard().map_or_else(|| "meta".to_owned(), |shard| shard.to_string());
            let halted = group.read_shard(|shard| shard.halt().is_some()).unwrap_or(false);
            let leader = status.leader.filter(|leader| answering.contains(leader) && group.core_fault().is_none());
            GroupHealth {
                group: group_name,
                leader,
                voters: status.voters,
                answering: here,
                can_lose: can_lose.unwrap_or(0),
                halted,
            }
        })
        .collect();
    let expected = known.map_or(usize::MAX, |routes| routes.shards as usize + 1);
    ClusterHealth {
        status: judge(&nodes, &groups, expected),
        node: core.config.node_id,
        answering: answering.len(),
        members: nodes.len(),
        can_lose: groups.iter().map(|group| group.can_lose).min().unwrap_or(0),
        nodes,
        groups,
    }
}

async fn answers(core: &Core, node: NodeId, address: &str) -> bool {
    let asked = introduce(&core.world, address, &core.config.cluster_id, core.config.node_id);
    let said = timeout(ANSWERS_WITHIN, asked).await.ok().flatten();
    said.is_some_and(|said| said.node_id == node && said.cluster_id == core.config.cluster_id)
}

/// How many voters answer, and how many of those may go before there is no majority; `None`: there is none now.
fn spare(voters: &BTreeSet<NodeId>, answering: &BTreeSet<NodeId>) -> (usize, Option<usize>) {
    let here = voters.intersection(answering).count();
    (here, here.checked_sub(voters.len() / 2 + 1))
}

fn judge(nodes: &[NodeHealth], groups: &[GroupHealth], expected: usize) -> &'static str {
    let serves = |group: &GroupHealth| group.leader.is_some() && group.answering > group.voters.len() / 2;
    if groups.len() < expected || !groups.iter().all(serves) {
        return "down";
    }
    let is_whole = nodes.iter().all(|node| node.answers) && !groups.iter().any(|group| group.halted);
    if is_whole { "ok" } else { "degraded" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u64]) -> BTreeSet<u64> {
        ids.iter().copied().collect()
    }

    fn group(leader: Option<u64>, answering: &[u64]) -> GroupHealth {
        let voters = set(&[1, 2, 3]);
        let (answering, can_lose) = spare(&voters, &set(answering));
        GroupHealth { group: "0".to_owned(), leader, voters, answering, can_lose: can_lose.unwrap_or(0), halted: false }
    }

    fn nodes(answering: &[u64]) -> Vec<NodeHealth> {
        let node = |node| NodeHealth { node, address: String::new(), answers: answering.contains(&node) };
        (1..=3).map(node).collect()
    }

    #[test]
    fn as_many_may_be_lost_as_leave_a_majority() {
        assert_eq!(spare(&set(&[1, 2, 3]), &set(&[1, 2, 3])), (3, Some(1)));
        assert_eq!(spare(&set(&[1, 2, 3, 4, 5]), &set(&[1, 2, 3, 4, 5])), (5, Some(2)));
        assert_eq!(spare(&set(&[1, 2, 3]), &set(&[1, 3, 9])), (2, Some(0)));
        assert_eq!(spare(&set(&[1, 2, 3]), &set(&[3])), (1, None));
        assert_eq!(spare(&set(&[1]), &set(&[1])), (1, Some(0)));
    }

    #[test]
    fn a_cluster_is_down_without_a_leader_or_a_majority_and_degraded_without_a_node() {
        let judged = |leader, answering: &[u64]| judge(&nodes(answering), &[group(leader, answering)], 1);
        assert_eq!(judged(Some(1), &[1, 2, 3]), "ok");
        assert_eq!(judged(Some(1), &[1, 2]), "degraded");
        assert_eq!(judged(None, &[1, 2, 3]), "down");
        assert_eq!(judged(Some(1), &[1]), "down");
        assert_eq!(judge(&nodes(&[1, 2, 3]), &[group(Some(1), &[1, 2, 3])], 2), "down", "a group does not run here");
    }

    #[test]
    fn a_halted_shard_is_no_whole_cluster() {
        let halted = GroupHealth { halted: true, ..group(Some(1), &[1, 2, 3]) };
        assert_eq!(judge(&nodes(&[1, 2, 3]), &[halted], 1), "degraded");
    }
}
