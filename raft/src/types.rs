//! The types that openraft is used with, for every group of a node.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_inventory as inventory;

use crate::stages::Passage;

openraft::declare_raft_types!(
    /// One configuration for all groups: the meta group and the shards.
    pub Types:
        D = Payload,
        R = Reply,
        NodeId = u64,
        Node = openraft::BasicNode,
        AsyncRuntime = crate::runtime::Runtime,
);

/// A node of the cluster; never given to another node again.
pub type NodeId = u64;

pub use crate::log::GroupId;

impl GroupId {
    /// The group of members, slot map, placement, settings and locations.
    pub const META: Self = Self(0);

    /// The group of a shard.
    #[must_use]
    pub fn of_shard(shard: u32) -> Self {
        Self(u64::from(shard) + 1)
    }

    /// The shard of a group; `None` for the meta group.
    #[must_use]
    pub fn shard(self) -> Option<u32> {
        self.0.checked_sub(1).and_then(|shard| u32::try_from(shard).ok())
    }
}

/// What one log entry carries: the encoded bytes that are replicated and stored, and on the node that proposed it what they
/// decode to, so that it need not decode them again.
#[derive(Clone)]
pub struct Payload {
    /// A `holdfast.log.v1.Entry` (shards) or `MetaEntry` (meta group).
    pub bytes: Bytes,
    /// The same, decoded; only of a shard's entry and only where it was proposed.
    pub decoded: Option<Arc<inventory::Entry>>,
    /// Where somebody follows it; only where it was proposed, and only beside what is decoded. It is no part of the log.
    pub passage: Option<Arc<Passage>>,
}

impl Payload {
    /// What others wrote, or nobody follows.
    #[must_use]
    pub fn of(bytes: Bytes) -> Self {
        Self { bytes, decoded: None, passage: None }
    }

    /// The same, with what it decodes to.
    #[must_use]
    pub fn decoded(bytes: Bytes, entry: inventory::Entry) -> Self {
        Self { bytes, decoded: Some(Arc::new(entry)), passage: None }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.bytes.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

/// What applying one entry answered.
#[derive(Debug)]
pub enum Reply {
    /// Of a blank or membership entry.
    Nothing,
    /// Of a shard's entry: the index it was applied at, the log time, and an answer for each command, in order.
    Shard {
        /// The index of the entry.
        index: u64,
        /// The shard's log time after it.
        log_time: inventory::LogTime,
        /// One a command, in order.
        answers: Vec<inventory::Answer>,
    },
    /// Of a meta entry: whether it changed anything, and the revision of what it was about.
    Meta {
        /// The revision after it.
        revision: u64,
        /// Why it changed nothing, if it was refused.
        refusal: Option<String>,
    },
}
