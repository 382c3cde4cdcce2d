//! What the control file holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::log::{DamageCause, GroupId, Incarnation, LogId, LogPosition, Vote};

/// Who a folder belongs to. Never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeIdentity {
    /// The cluster.
    pub cluster: u128,
    /// The node in it.
    pub node: u64,
    /// The log, drawn at random when the folder was made.
    pub log: u128,
}

/// One use of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// The number in the file's name.
    pub file: u32,
    /// The use; grows with every use of any file.
    pub generation: u64,
    /// The length of the file.
    pub bytes: u64,
}

/// A checkpoint of a group's state in the state store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRecord {
    /// The generation of its chunks.
    pub generation: u64,
    /// The last entry applied in it.
    pub applied: Option<LogId>,
    /// The digest of the state.
    pub digest: [u8; 32],
    /// The last sequence of the change log in it.
    pub changes_seq: u64,
    /// The chain's hash at that sequence.
    pub changes_hash: [u8; 32],
    /// The membership in force, as the store code encodes it.
    pub membership: Vec<u8>,
}

/// A snapshot of a peer that is being put in place of a group's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallIntent {
    /// What the snapshot claims to be.
    pub checkpoint: CheckpointRecord,
    /// The node it comes from.
    pub from_node: u64,
}

/// The floor of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupControl {
    /// The group's Raft has been initialised, or has joined: it is never initialised again.
    pub initialised: bool,
    /// A vote this node has cast; the log's may be higher.
    pub vote: Option<Vote>,
    /// The log is purged up to here; the log's own mark may be higher.
    pub purged: Option<LogId>,
    /// The last whole checkpoint.
    pub checkpoint: Option<CheckpointRecord>,
    /// A snapshot being installed.
    pub installing: Option<InstallIntent>,
}

/// How far a peer's log of a group has been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerGroupMark {
    /// The highest last log id it has told or acknowledged.
    pub last: Option<LogId>,
}

/// The highest that was seen of a peer: it may never come back with less.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerMark {
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The generation of its control file.
    pub control_generation: u64,
    /// Its logs.
    pub groups: BTreeMap<GroupId, PeerGroupMark>,
}

/// So many lives before the present one are remembered.
pub const PAST_LIVES: usize = 64;

/// The contents of the control file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlState {
    /// Raised with each write of the file.
    pub generation: u64,
    /// Who the folder belongs to.
    pub identity: NodeIdentity,
    /// The present life of the node.
    pub incarnation: Incarnation,
    /// The nonces of the lives before it, the latest last; at most [`PAST_LIVES`].
    pub past_lives: Vec<u64>,
    /// What was found wrong with this file itself, once and for all.
    pub damage: Vec<DamageCause>,
    /// The log was synced at least this far.
    pub log_floor: LogPosition,
    /// The segments in use, by rising generation. The last may still be unwritten.
    pub segments: Vec<SegmentRef>,
    /// The generation the next segment gets.
    pub next_segment_generation: u64,
    /// The groups.
    pub groups: BTreeMap<GroupId, GroupControl>,
    /// The peers, by node id.
    pub peers: BTreeMap<u64, PeerMark>,
}

impl ControlState {
    pub(super) fn new(identity: NodeIdentity) -> Self {
        Self {
            generation: 0,
            identity,
            incarnation: Incarnation::default(),
            past_lives: Vec::new(),
            damage: Vec::new(),
            log_floor: LogPosition::default(),
            segments: Vec::new(),
            next_segment_generation: 1,
            groups: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// The group's floor, added if it is new.
    pub fn group_mut(&mut self, group: GroupId) -> &mut GroupControl {
        self.groups.entry(group).or_default()
    }
}
