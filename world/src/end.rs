//! The end of the process.

use std::fmt::Debug;

/// Why a node ends itself: going on would risk a promise. Each reason has an exit status of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// A sync, write or read of the log or the control file failed. It is never tried again: after a failed sync nobody
    /// knows what is on the disk.
    #[error("the disk failed while the node {doing}: {error}")]
    DiskFailed {
        /// What was being done, as a phrase: `synced the log`.
        doing: String,
        /// The system's error.
        error: String,
    },
    /// A belief that must hold does not: a bug, or memory that changed by itself.
    #[error("a broken invariant: {belief}")]
    BrokenInvariant {
        /// The belief that turned out wrong.
        belief: String,
    },
    /// The Raft core of a group has ended by itself.
    #[error("the raft core of group {group} has ended: {error}")]
    RaftCoreEnded {
        /// The group.
        group: u64,
        /// What openraft says of it.
        error: String,
    },
}

impl EndReason {
    /// The exit status of the process, from 20 on, so that it is never mistaken for one of the command line's.
    #[must_use]
    pub fn exit_status(&self) -> i32 {
        match self {
            Self::DiskFailed { .. } => 20,
            Self::BrokenInvariant { .. } => 21,
            Self::RaftCoreEnded { .. } => 22,
        }
    }
}

/// Ends the node.
pub trait ProcessEnd: Send + Sync + Debug {
    /// Ends the node at once; nothing is acknowledged after this. In production it does not return. In simulation it
    /// marks the node as dead and returns: the caller must then never answer (await a future that is never ready).
    fn end(&self, reason: EndReason);
}

/// Ends the process.
#[derive(Debug)]
pub struct RealEnd;

impl ProcessEnd for RealEnd {
    fn end(&self, reason: EndReason) {
        tracing::error!(%reason, "the node ends itself");
        std::process::exit(reason.exit_status());
    }
}
