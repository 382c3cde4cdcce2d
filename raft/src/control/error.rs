//! What can be wrong with the control file.

use std::io;

/// Why the control file could not be opened or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is none.
    #[error("the control file is missing")]
    Missing,
    /// There is one already.
    #[error("there is a control file already")]
    Exists,
    /// Neither slot is whole.
    #[error("neither slot of the control file is whole")]
    Damaged,
    /// It was written by a version of Holdfast that this one does not know.
    #[error("the control file has the unknown format {version}")]
    UnknownVersion {
        /// The version found.
        version: u32,
    },
    /// The state has outgrown its slot.
    #[error("the control state of {bytes} bytes is larger than its slot of {limit}")]
    TooLarge {
        /// What it would take.
        bytes: usize,
        /// What there is.
        limit: usize,
    },
    /// The node ends; the change may or may not be on disk.
    #[error("the control file is closed")]
    Closed,
    /// The disk failed.
    #[error("the control file: {0}")]
    Io(#[from] io::Error),
}

impl ControlError {
    /// What an operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing | Self::Damaged => {
                "this node may not vote under its id any more; replace it with `holdfast cluster replace`"
            }
            Self::Exists => "the folder belongs to a node; give a fresh node a folder of its own",
            Self::UnknownVersion { .. } => "start the version that wrote it, or a newer one",
            Self::TooLarge { .. } => "the node has too many groups or peers; report this",
            Self::Closed => "the node is stopping",
            Self::Io(_) => "look at the disk and its permissions",
        }
    }
}
