//! What can be wrong with a log that was read back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ids::{LogId, LogPosition, Vote};

/// The damage of one group: it may take part in no quorum of the group until it is mended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What was found, in the order it was found.
    pub causes: Vec<DamageCause>,
    /// The entries whose contents are rotten while their ids are known: a copy from any peer, by exact id, mends them.
    pub lost: BTreeSet<LogId>,
}

impl Damage {
    /// Whether fetching [`Damage::lost`] from peers mends everything.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        self.causes.iter().all(|cause| matches!(cause, DamageCause::RottenEntries { .. }))
    }

    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        if self.is_repairable() {
            "the entries are fetched from the other members: start those that are down; while a majority is clean nothing is \
             lost, and where no member has them whole this node is replaced with `holdfast cluster replace`"
        } else {
            "this node may not vote under its id any more; replace it with `holdfast cluster replace`"
        }
    }

    pub(crate) fn add(&mut self, cause: DamageCause) {
        if !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum DamageCause {
    /// The contents of entries changed after they were written.
    #[error("entries in batch {} of segment {} are rotten", at.batch, at.generation)]
    RottenEntries {
        /// The batch; 0 if it was found while reading single entries.
        at: LogPosition,
    },
    /// Batches are gone or their headers rotten, so that it is not known what they held.
    #[error("batches {first} to {last} are rotten or gone")]
    LostBatches {
        /// The first lost.
        first: u64,
        /// The last lost.
        last: u64,
    },
    /// The log ends before what is known to have been synced.
    #[error("the log ends at batch {found}, but was synced up to batch {floor}")]
    EndsEarly {
        /// The last batch found.
        found: u64,
        /// The last batch known to be synced.
        floor: u64,
    },
    /// A segment that the control file names is not there, or has another length.
    #[error("segment file {file} (generation {generation}) is gone")]
    MissingSegment {
        /// The number in the file's name.
        file: u32,
        /// The use of the file.
        generation: u64,
    },
    /// The log holds an older vote than the control file.
    #[error("the log's vote {log} is older than the control file's {control}")]
    VoteRolledBack {
        /// The latest in the log.
        log: Vote,
        /// The control file's.
        control: Vote,
    },
    /// The log was written under a newer control file than there is.
    #[error("the control file is at {control}, but the log was written under {log}: an older copy was put back")]
    ControlRolledBack {
        /// The generation of the control file.
        control: u64,
        /// The generation the log knows.
        log: u64,
    },
    /// Entries are missing in the middle of a group's log.
    #[error("an entry follows at index {found} where {expected} was expected")]
    Gap {
        /// The index that was expected.
        expected: u64,
        /// The index found.
        found: u64,
    },
}
