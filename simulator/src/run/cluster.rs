//! The cluster of a run: three nodes built by the constructor that ships, and what is seen of them from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use holdfast_node::config::{NodeAddresses, NodeLimits};
use holdfast_node::{Node, NodeConfig};
use holdfast_raft::types::GroupId;

use crate::checkers::replicas::Positions;
use crate::{HostId, Simulation};

/// Enough that routing matters, few enough that a run is quick.
pub(super) const SHARDS: u32 = 3;
const NODES: u64 = 3;
/// The least that a configuration takes, so that segments and checkpoints change within a run.
const LEAST_BYTES: u64 = 1_024 * 1_024;

/// The nodes by host, those that have started.
type Nodes = Arc<Mutex<BTreeMap<HostId, Node>>>;

/// What was last seen of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    term: u64,
    leader: Option<u64>,
    applied: u64,
}

pub(super) struct Cluster {
    nodes: Nodes,
    seen: BTreeMap<(HostId, GroupId), Seen>,
    leader_changes: u64,
    positions: Positions,
}

impl Cluster {
    /// Adds the hosts and starts a fresh node on each.
    pub(super) fn found(simulation: &mut Simulation) -> Self {
        let mut cluster =
            Self { nodes: Nodes::default(), seen: BTreeMap::new(), leader_changes: 0, positions: Positions::default() };
        for host in Self::hosts() {
            simulation.add_host(host, &format!("n{}", host.0));
            cluster.start(simulation, host);
        }
        cluster
    }

    pub(super) fn hosts() -> impl Iterator<Item = HostId> {
        (1..=NODES).map(HostId)
    }

    pub(super) fn client_addresses() -> Vec<String> {
        Self::hosts().map(|host| addresses(host.0).client).collect()
    }

    /// Starts a node on a host that has no process.
    pub(super) fn start(&mut self, simulation: &mut Simulation, host: HostId) {
        let nodes = self.nodes.clone();
        simulation.start(host, |world| async move {
            match Node::start(world, config(host.0)).await {
                Ok(node) => {
                    nodes.lock().expect("no panic happens while the nodes are locked").insert(host, node);
                }
                Err(error) => panic!("node {} does not start: {error}", host.0),
            }
        });
    }

    /// Looks at every replica, and records what is new since the last look: leaders, terms, what is applied and the digest
    /// of the state after it.
    pub(super) fn watch(&mut self, simulation: &Simulation) {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        for (host, node) in nodes.iter() {
            for number in 0..=u64::from(SHARDS) {
                let group_id = GroupId(number);
                let Some(group) = node.group(group_id) else { continue };
                let now = Seen { term: group.term(), leader: group.leader(), applied: group.applied_index() };
                let before = self.seen.insert((*host, group_id), now).unwrap_or_default();
                let record = |event: std::fmt::Arguments<'_>| simulation.trace().record(simulation.now(), *host, event);
                if (now.term, now.leader) != (before.term, before.leader) {
                    record(format_args!("group {number} term {} leader {:?}", now.term, now.leader));
                }
                if now.leader == Some(host.0) && before.leader != now.leader {
                    self.leader_changes += 1;
                }
                if now.applied != before.applied {
                    let digest = group.read_shard(|shard| shard.digest());
                    record(format_args!("group {number} applied {} digest {digest:?}", now.applied));
                    if let Some(digest) = digest {
                        self.positions.see(number, host.0, now.applied, &digest.0.to_be_bytes());
                    }
                }
            }
        }
    }

    /// Which host leads a group, by its own belief and that of most.
    pub(super) fn leader(&self, group: GroupId) -> Option<HostId> {
        let believed: Vec<u64> =
            self.seen.iter().filter(|((_, seen), _)| *seen == group).filter_map(|(_, seen)| seen.leader).collect();
        Self::hosts().find(|host| believed.iter().filter(|leader| **leader == host.0).count() * 2 > NODES as usize)
    }

    /// How often a node was seen to begin to lead a group.
    pub(super) fn leader_changes(&self) -> u64 {
        self.leader_changes
    }

    /// The states that were seen at the positions of the logs.
    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Loses the power of a host.
    pub(super) fn forget(&mut self, host: HostId) {
        self.nodes.lock().expect("no panic happens while the nodes are locked").remove(&host);
        self.seen.retain(|(seen, _), _| *seen != host);
    }
}

fn addresses(id: u64) -> NodeAddresses {
    NodeAddresses { id, client: format!("n{id}:7400"), peer: format!("n{id}:7401"), http: None }
}

fn config(id: u64) -> NodeConfig {
    NodeConfig {
        node_id: id,
        cluster_id: "simulated".to_owned(),
        shards: SHARDS,
        join: false,
        data_dir: PathBuf::from("data"),
        nodes: (1..=NODES).map(addresses).collect(),
        raft: Default::default(),
        limits: NodeLimits { segment_bytes: LEAST_BYTES, checkpoint_bytes: LEAST_BYTES, ..NodeLimits::default() },
        log: Default::default(),
        shard_limits: Default::default(),
    }
}
