//! The cluster that the faults happen to, whoever has started it.

use std::path::PathBuf;

use super::foreign::ForeignCluster;
use super::own::{self, OwnCluster};
use super::plan::Planned;

/// A cluster.
#[derive(Debug)]
pub enum Cluster {
    /// One of the harness's own.
    Own(Box<OwnCluster>),
    /// One that was there.
    Foreign(ForeignCluster),
}

/// How a fault is taken back.
#[derive(Debug)]
pub enum Undo {
    /// At a cluster of the harness's own.
    Own(own::Undo),
    /// By commands.
    Commands(Vec<String>),
}

impl Cluster {
    /// The ids of its nodes.
    #[must_use]
    pub fn node_ids(&self) -> Vec<u64> {
        match self {
            Self::Own(cluster) => cluster.node_ids(),
            Self::Foreign(cluster) => cluster.node_ids(),
        }
    }

    /// Where clients find it.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Self::Own(cluster) => cluster.addresses(),
            Self::Foreign(cluster) => cluster.addresses(),
        }
    }

    /// Lets a fault begin.
    ///
    /// # Errors
    /// Why it did not.
    pub async fn begin(&mut self, fault: &Planned) -> Result<Undo, String> {
        match self {
            Self::Own(cluster) => cluster.begin(fault).await.map(Undo::Own),
            Self::Foreign(cluster) => cluster.begin(fault).await.map(Undo::Commands),
        }
    }

    /// Takes a fault back.
    ///
    /// # Errors
    /// Why it is still there.
    pub async fn end(&mut self, undo: Undo) -> Result<(), String> {
        match (self, undo) {
            (Self::Own(cluster), Undo::Own(undo)) => {
                cluster.end(undo).await;
                Ok(())
            }
            (Self::Foreign(cluster), Undo::Commands(commands)) => cluster.end(commands).await,
            (Self::Own(_), Undo::Commands(_)) | (Self::Foreign(_), Undo::Own(_)) => {
                unreachable!("a fault is taken back from the cluster it happened to")
            }
        }
    }

    /// Starts nodes of one's own that have ended by themselves; what they should not have done is told.
    pub fn look_after(&mut self) -> Vec<String> {
        match self {
            Self::Own(cluster) => {
                let findings = cluster.look_after();
                cluster.start_all();
                findings
            }
            Self::Foreign(_) => Vec::new(),
        }
    }

    /// By how much the harness has ever put a wall clock off.
    #[must_use]
    pub fn greatest_skew_ms(&self) -> u64 {
        match self {
            Self::Own(cluster) => cluster.greatest_skew_ms(),
            Self::Foreign(_) => 0,
        }
    }

    /// What was seen of the machine.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        match self {
            Self::Own(cluster) => cluster.notes(),
            Self::Foreign(_) => Vec::new(),
        }
    }

    /// The folder of a cluster of one's own.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Own(cluster) => Some(cluster.folder().to_owned()),
            Self::Foreign(_) => None,
        }
    }

    /// Ends a cluster of one's own; leaves another one as it is. With `keep` the folder stays, and its path is given.
    pub async fn close(self, keep: bool) -> Option<PathBuf> {
        match self {
            Self::Own(cluster) => cluster.close(keep).await,
            Self::Foreign(_) => None,
        }
    }
}
