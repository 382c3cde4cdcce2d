//! What the peers think of this node: whether one of them takes it for an older copy of itself.
//!
//! A node that was started on an older copy of its folder cannot know it: it has forgotten what it acknowledged. A peer that saw
//! a later life of it knows, and says so in the handshake. A peer that joined since, or was away, does not, and would give the
//! copy its vote and take its word. So **one** peer that knows is enough: the node believes it and falls silent in all its
//! groups, until the peer takes that back or an operator replaces the node. And before it has asked every peer once it has no
//! vote, or it could elect a leader with one that does not know while the answer of one that does is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_mutation::{Mutation, is_on};

use crate::transport::HandshakeError;
use crate::types::NodeId;

/// Far more than a cluster has nodes.
const PEERS: usize = 1_024;

/// What a peer said when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// It speaks with this node.
    Taken,
    /// It does not.
    Refused(String),
    /// It does not, since it has seen this node in a later life, or with more than it has now.
    OlderCopy(String),
}

/// The peers' verdicts on this node in its present life.
#[derive(Debug, Default)]
pub(super) struct Standing {
    verdicts: Mutex<BTreeMap<NodeId, Verdict>>,
    /// One of the verdicts is `OlderCopy`: looked at for each message.
    is_outcast: AtomicBool,
    /// The peers that were asked in this life of the node, whether or not they have answered.
    asked: Mutex<BTreeSet<NodeId>>,
}

impl Standing {
    fn verdicts(&self) -> MutexGuard<'_, BTreeMap<NodeId, Verdict>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a peer has answered to a handshake. One that cannot be reached, or whose address is another's now, has said
    /// nothing new of what it saw; that it would not speak with this node is no longer known.
    pub(super) fn hear(&self, peer: NodeId, answer: Result<(), &HandshakeError>) {
        self.asked().insert(peer);
        let mut verdicts = self.verdicts();
        let verdict = match answer {
            // Who is not taken has itself no objection.
            Ok(()) | Err(HandshakeError::NotTaken(_)) => Verdict::Taken,
            Err(HandshakeError::OlderCopy(why)) => Verdict::OlderCopy(why.clone()),
            Err(HandshakeError::Refused(why)) => Verdict::Refused(why.clone()),
            Err(
                HandshakeError::Unreachable(_) | HandshakeError::OtherCluster { .. } | HandshakeError::OtherNode { .. },
            ) => {
                if let Some(Verdict::Refused(_)) = verdicts.get(&peer) {
                    verdicts.remove(&peer);
                }
                return;
            }
        };
        if verdicts.len() < PEERS || verdicts.contains_key(&peer) || matches!(verdict, Verdict::OlderCopy(_)) {
            verdicts.insert(peer, verdict);
        }
        self.look(&verdicts);
    }

    fn look(&self, verdicts: &BTreeMap<NodeId, Verdict>) {
        let is_outcast = verdicts.values().any(|verdict| matches!(verdict, Verdict::OlderCopy(_)));
        self.is_outcast.store(is_outcast, Ordering::Relaxed);
    }

    fn asked(&self) -> MutexGuard<'_, BTreeSet<NodeId>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is none of these any more has no say.
    pub(super) fn heed_only(&self, peers: &BTreeMap<NodeId, String>) {
        self.asked().retain(|peer| peers.contains_key(peer));
        let mut verdicts = self.verdicts();
        verdicts.retain(|peer, _| peers.contains_key(peer));
        self.look(&verdicts);
    }

    /// Whether each of the peers was asked once.
    pub(super) fn has_asked(&self, peers: &BTreeMap<NodeId, String>) -> bool {
        let asked = self.asked();
        peers.keys().all(|peer| asked.contains(peer)) || is_on(Mutation::OlderCopyVotes)
    }

    /// Whether the peer has said what it thinks of this life of the node.
    pub(super) fn knows(&self, peer: NodeId) -> bool {
        self.verdicts().contains_key(&peer)
    }

    /// Why this node has no voice: a peer that takes it for an older copy, and what it says.
    pub(super) fn outcast(&self) -> Option<String> {
        if !self.is_outcast.load(Ordering::Relaxed) {
            return None;
        }
        self.verdicts().iter().find_map(|(peer, verdict)| match verdict {
            Verdict::OlderCopy(why) => Some(format!("node {peer} says: {why}")),
            Verdict::Taken | Verdict::Refused(_) => None,
        })
    }

    /// The peers that refuse this node, and why.
    pub(super) fn refused_by(&self) -> BTreeMap<NodeId, String> {
        let verdicts = self.verdicts();
        let refusals = verdicts.iter().filter_map(|(peer, verdict)| match verdict {
            Verdict::Refused(why) | Verdict::OlderCopy(why) => Some((*peer, why.clone())),
            Verdict::Taken => None,
        });
        refusals.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers<const N: usize>(ids: [NodeId; N]) -> BTreeMap<NodeId, String> {
        ids.into_iter().map(|id| (id, format!("n{id}:7401"))).collect()
    }

    fn older() -> HandshakeError {
        HandshakeError::OlderCopy("start 7 of it was seen".to_owned())
    }

    #[test]
    fn one_peer_that_saw_more_of_the_node_silences_it_whatever_the_others_say() {
        let standing = Standing::default();
        standing.hear(1, Ok(()));
        standing.hear(2, Err(&older()));
        standing.hear(3, Ok(()));
        assert_eq!(standing.outcast().unwrap(), "node 2 says: start 7 of it was seen");
        assert_eq!(standing.refused_by().into_keys().collect::<Vec<_>>(), vec![2]);
    }

    #[test]
    fn a_refusal_for_another_reason_silences_nobody() {
        let standing = Standing::default();
        standing.hear(2, Err(&HandshakeError::Refused("it is of another cluster".to_owned())));
        assert_eq!(standing.outcast(), None);
        assert_eq!(standing.refused_by().len(), 1);
    }

    #[test]
    fn only_the_peer_itself_takes_its_verdict_back() {
        let standing = Standing::default();
        standing.hear(2, Err(&older()));
        standing.hear(1, Ok(()));
        standing.hear(2, Err(&HandshakeError::Unreachable("gone".to_owned())));
        assert!(standing.outcast().is_some());
        standing.hear(2, Ok(()));
        assert_eq!(standing.outcast(), None);
    }

    #[test]
    fn who_is_no_peer_any_more_has_no_say() {
        let standing = Standing::default();
        standing.hear(2, Err(&older()));
        standing.hear(3, Err(&older()));
        standing.heed_only(&peers([1, 3]));
        assert!(standing.outcast().unwrap().starts_with("node 3"));
        standing.heed_only(&peers([1]));
        assert_eq!(standing.outcast(), None);
    }

    #[test]
    fn who_answers_in_the_place_of_a_peer_takes_nothing_back_in_its_name() {
        let standing = Standing::default();
        standing.hear(3, Err(&older()));
        standing.hear(3, Err(&HandshakeError::OtherNode { found: 4, meant: 3 }));
        assert!(standing.outcast().is_some());
    }

    #[test]
    fn a_refusal_is_not_held_against_the_node_once_the_peer_is_gone() {
        let standing = Standing::default();
        standing.hear(2, Err(&HandshakeError::Refused("it is of another cluster".to_owned())));
        standing.hear(2, Err(&HandshakeError::Unreachable("gone".to_owned())));
        assert!(standing.refused_by().is_empty() && !standing.knows(2));
    }

    #[test]
    fn there_is_no_vote_before_each_of_the_peers_was_asked_once() {
        let standing = Standing::default();
        assert!(standing.has_asked(&peers([])), "it is alone");
        standing.heed_only(&peers([]));
        assert!(!standing.has_asked(&peers([1, 2])), "nobody was there to be asked yet");
        standing.hear(1, Ok(()));
        assert!(!standing.has_asked(&peers([1, 2])));
        standing.hear(2, Err(&HandshakeError::Unreachable("gone".to_owned())));
        assert!(standing.has_asked(&peers([1, 2])) && !standing.has_asked(&peers([1, 2, 3])));
    }
}
