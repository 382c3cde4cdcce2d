//! What callers put into the log and get back.

use std::io;
use std::ops::RangeInclusive;

use bytes::Bytes;

use super::ids::{LogId, Vote};
use crate::stages::Stages;

/// One entry of a group's log. Cloning shares the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its place in the group's log.
    pub index: u64,
    /// The term it was proposed in.
    pub term: u64,
    /// The leader that proposed it.
    pub leader_node: u64,
    /// What kind of entry it is; the meaning is the caller's.
    pub kind: u8,
    /// Its contents, at most [`LogOptions::max_record_bytes`] long.
    pub payload: Bytes,
}

impl LogRecord {
    /// The entry's log id.
    #[must_use]
    pub fn id(&self) -> LogId {
        LogId { term: self.term, leader_node: self.leader_node, index: self.index }
    }
}

/// Called once the entries of an append are durable, in the order of the appends of a group. It runs on the writer's
/// thread and must not block. It is never called if the disk fails.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What the log knows of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupLogState {
    /// The last purged id; entries up to it are gone. `purged ≤ last`.
    pub purged: Option<LogId>,
    /// The id of the last entry, or the purged id if there is none after it.
    pub last: Option<LogId>,
    /// The latest vote.
    pub vote: Option<Vote>,
    /// The committed id as last saved; it may lag behind the truth, and after a crash lag further.
    pub committed: Option<LogId>,
}

/// The limits of a log.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The size of a segment file; a multiple of 4 096 of at least 65 536.
    pub segment_bytes: u64,
    /// A batch closes when it holds this many bytes of entries.
    pub batch_bytes: usize,
    /// Bytes of entries that may wait for the writer; who brings more waits.
    pub queue_bytes: usize,
    /// Bytes of entries kept in memory for reading, over all groups.
    pub cache_bytes: usize,
    /// Freed segment files kept for reuse.
    pub spare_segments: usize,
    /// Where the log notes how long its part of the way takes.
    pub stages: Stages,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            batch_bytes: 4 << 20,
            queue_bytes: 64 << 20,
            cache_bytes: 128 << 20,
            spare_segments: 4,
            stages: Stages::default(),
        }
    }
}

impl LogOptions {
    /// The largest payload of one entry, in bytes: 8 MiB, or what fits a quarter of a segment.
    #[must_use]
    pub fn max_record_bytes(&self) -> usize {
        let quarter = usize::try_from(self.segment_bytes / 4).unwrap_or(usize::MAX);
        quarter.min(8 << 20)
    }

    /// A batch never holds more entry bytes than this, so that it fits a segment with its table.
    pub(crate) fn batch_limit(&self) -> usize {
        let quarter = usize::try_from(self.segment_bytes / 4).unwrap_or(usize::MAX);
        self.batch_bytes.min(quarter)
    }
}

/// Why entries could not be appended, or a vote, truncation or purge not be taken. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The group is damaged on this node: it takes part in no quorum until it is repaired or the node replaced.
    #[error("the log of group {group} is damaged on this node")]
    Damaged {
        /// The group.
        group: super::GroupId,
    },
    /// The entries do not follow the last one.
    #[error("an append at index {index} of group {group} does not follow its last index {last:?}")]
    NotConsecutive {
        /// The group.
        group: super::GroupId,
        /// The index offered.
        index: u64,
        /// The last index held.
        last: Option<u64>,
    },
    /// One entry is larger than the log takes.
    #[error("an entry of {bytes} bytes is larger than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        Self::other(error)
    }
}

/// Why entries could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A part of the range is not there: purged, truncated or never written.
    #[error("entries {wanted:?} of group {group} are not all there")]
    Missing {
        /// The group.
        group: super::GroupId,
        /// What was asked for.
        wanted: RangeInclusive<u64>,
    },
    /// An entry's checksum is wrong: it rotted on the disk. The group counts as damaged from now on.
    #[error("entry {id} of group {group} is damaged on the disk")]
    Damaged {
        /// The group.
        group: super::GroupId,
        /// The entry.
        id: LogId,
    },
    /// The disk failed.
    #[error("reading the log failed: {0}")]
    Io(#[from] io::Error),
}
