//! What the transport asks of the node it belongs to.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::handshake::HandshakeError;
use crate::checkpoint::{ReceivedSnapshot, StoredSnapshot};
use crate::log::{Incarnation, LogId, LogRecord, Vote};
use crate::store::MachineStore;
use crate::types::{GroupId, NodeId, Types};

/// openraft's handle of a group.
pub type GroupRaft = openraft::Raft<Types, MachineStore>;

/// Why a group does not answer on this node. Peers take it as unreachable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReplica {
    /// The node has no such group, or has not started it yet.
    #[error("group {group} does not run on node {node}")]
    Unknown {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
    },
    /// Its log or state is damaged: it takes no part until it is mended.
    #[error("group {group} of node {node} is damaged and takes no part: {what}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        what: String,
    },
    /// A peer takes the whole node for an older copy of itself: it may have forgotten votes and entries.
    #[error("node {node} is silent, since it is taken for an older copy of itself: {why}")]
    Outcast {
        /// The node.
        node: NodeId,
        /// Which peer says so, and why.
        why: String,
    },
}

/// Why a peer is not spoken with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// More was seen of it than it has: it may have forgotten votes and entries, and shall be told.
    #[error("{0}")]
    OlderCopy(String),
    /// It is none of the cluster, or another node than it says.
    #[error("{0}")]
    Stranger(String),
    /// This node cannot judge it now.
    #[error("{0}")]
    NotNow(String),
}

/// What a node tells of itself before it says anything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its cluster.
    pub cluster_id: String,
    /// Its id.
    pub node_id: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// How often its control file was written.
    pub control_generation: u64,
    /// No group of it has a vote or a log.
    pub fresh: bool,
    /// Its groups, in order.
    pub groups: Vec<GroupFacts>,
    /// The schemas of log entries it understands.
    pub schemas: Vec<u32>,
    /// The version of its program.
    pub version: String,
    /// The nonces of its lives before this one, the latest last.
    pub past_lives: Vec<u64>,
}

impl NodeFacts {
    /// The nonce of its start with this number, if it was before the present one and is still remembered.
    #[must_use]
    pub fn nonce_at(&self, counter: u64) -> Option<u64> {
        let back = usize::try_from(self.incarnation.counter.checked_sub(counter)?).ok()?;
        let at = self.past_lives.len().checked_sub(back)?;
        self.past_lives.get(at).copied().filter(|_| counter > 0)
    }
}

/// What a node tells of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// The group.
    pub group: GroupId,
    /// The last entry of its log there.
    pub last_log_id: Option<LogId>,
    /// Its vote there.
    pub vote: Option<Vote>,
    /// Why it does not run there.
    pub damage: Option<String>,
}

/// The groups of a node, and what it knows of itself and of its peers.
pub trait GroupRegistry: Send + Sync + 'static {
    /// The group's Raft, or why it does not answer.
    ///
    /// # Errors
    ///
    /// The group is not there, or is damaged.
    fn replica(&self, group: GroupId) -> Result<GroupRaft, NoReplica>;

    /// The present life of this node.
    fn incarnation(&self) -> Incarnation;

    /// What this node tells its peers.
    fn facts(&self) -> NodeFacts;

    /// Judges what a peer tells, and remembers the highest seen of it, durably. `Err`: no word is exchanged with it, for
    /// the reason given.
    fn greet<'a>(&'a self, peer: &'a NodeFacts) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Keeps what a peer has said of this node in a handshake.
    fn judged_by(&self, peer: NodeId, answer: Result<(), &HandshakeError>);

    /// Why the peer is not believed, if it was refused when it last told who it is: it has no voice then.
    fn refusal(&self, peer: NodeId) -> Option<String>;

    /// A replica of this node has taken a heartbeat of a leader in `term`, which knows `committed` to be committed. `confirmed`:
    /// how long ago a majority last confirmed that leader, at most.
    fn heard(&self, group: GroupId, term: u64, committed: Option<LogId>, confirmed: Option<Duration>);

    /// Whether this node may lead a group: where not, it takes no leadership that is handed to it.
    fn may_lead(&self) -> bool;

    /// Whether a node is a member of the group as this node knows it, or one that its configuration names.
    fn is_member(&self, group: GroupId, node: NodeId) -> bool;

    /// The entry with exactly this id, for a peer whose copy has rotted; also where the group's Raft does not run.
    fn entry(&self, group: GroupId, id: LogId) -> BoxFuture<'_, Option<LogRecord>>;

    /// The group's last checkpoint, for a peer that asks for it; also where the group's Raft does not run.
    fn checkpoint(&self, group: GroupId) -> Option<StoredSnapshot>;

    /// Whether a received snapshot is what it claims to be: asked before openraft hears of it.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    fn verify(&self, group: GroupId, received: &ReceivedSnapshot) -> Result<(), String>;
}
