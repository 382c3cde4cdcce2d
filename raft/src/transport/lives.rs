//! Which peers this node has judged in their present lives, and who may vote for whom because of it.
//!
//! A node that was started on an older copy of its folder has forgotten votes and entries: until its peers know it for what it
//! is it must have no voice. So a vote goes only between two nodes of which each has judged the other **in the life in which it
//! speaks**. A request carries the incarnation of the one who asks: who is asked answers only if it has judged exactly that one
//! since its own start. An answer carries the incarnation of the one who answers: it counts only if the asker has judged exactly
//! that one. Where either is not so the two shake hands, in which each judges the other, and it is asked once more.
//!
//! What was judged is kept in memory alone. A node that starts has judged nobody, however much its folder knows: that may be what
//! an older copy knew. When all nodes start at once they all shake hands, and vote.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tonic::{Code, Status};

use crate::log::Incarnation;
use crate::types::NodeId;

/// Far more than a cluster has nodes.
const PEERS: usize = 1_024;

/// The peers that were judged and found well, each in the life it was judged in.
#[derive(Debug, Default)]
pub(super) struct Lives(Mutex<BTreeMap<NodeId, Incarnation>>);

impl Lives {
    fn judged(&self) -> MutexGuard<'_, BTreeMap<NodeId, Incarnation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer was judged in this life, and is well.
    pub(super) fn judge(&self, peer: NodeId, life: Incarnation) {
        let mut judged = self.judged();
        if judged.len() >= PEERS && !judged.contains_key(&peer) {
            // They are judged anew when they speak again.
            judged.clear();
        }
        judged.insert(peer, life);
    }

    /// The peer is not what it should be, or lives another life by now.
    pub(super) fn forget(&self, peer: NodeId) {
        self.judged().remove(&peer);
    }

    /// The life in which the peer was judged last.
    pub(super) fn of(&self, peer: NodeId) -> Option<Incarnation> {
        self.judged().get(&peer).copied()
    }

    /// Whether the peer was judged in this very life.
    ///
    /// # Errors
    ///
    /// It was not: it may shake hands and ask again.
    pub(super) fn check(&self, peer: NodeId, life: Incarnation) -> Result<(), Status> {
        if self.of(peer) == Some(life) {
            return Ok(());
        }
        Err(Status::unauthenticated(format!("node {peer} has not shaken hands in the lives of both nodes")))
    }
}

/// Whether the peer asks for a handshake before it answers.
pub(super) fn asks_for_a_handshake(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
}
