//! The names of things in the log: groups, log ids, votes, incarnations.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A Raft group: a shard, or the meta group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupId(pub u64);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The id of an entry: openraft's `leader_id_adv` log id. Ordered by term, then leader, then index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// The leader's term.
    pub term: u64,
    /// The node that led.
    pub leader_node: u64,
    /// The place in the group's log, from 0.
    pub index: u64,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}-N{}.{}", self.term, self.leader_node, self.index)
    }
}

/// A vote: openraft's `leader_id_adv` vote. Ordered by term, then node, then committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote {
    /// The term voted in.
    pub term: u64,
    /// The node voted for.
    pub node: u64,
    /// Whether a quorum is known to have granted it.
    pub committed: bool,
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let committed = if self.committed { "committed" } else { "uncommitted" };
        write!(f, "T{}-N{}:{committed}", self.term, self.node)
    }
}

/// One life of a node's process: a counter raised and synced at each start, and a random number, so that two lives that
/// begin from copies of one folder differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// Starts of this node so far, this one included.
    pub counter: u64,
    /// Random.
    pub nonce: u64,
}

/// A place in the log: everything up to and with this batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The number of the batch; batches are numbered from 1 over the whole life of the log, and 0 is before the first.
    pub batch: u64,
    /// The generation of the segment it lies in.
    pub generation: u64,
}
