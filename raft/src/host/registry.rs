//! What the transport asks of the host: which groups run, what this node tells its peers, and whether a peer can be believed.

use std::cmp::Ordering;
use std::sync::Weak;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::future::BoxFuture;
use holdfast_mutation::{Mutation, is_on};
use tokio::time::{Duration, Instant};

use super::{Host, Inner};
use crate::checkpoint::{ReceivedSnapshot, StoredSnapshot};
use crate::control::PeerMark;
use crate::log::{GroupId, Incarnation, LogId, LogRecord};
use crate::machine::MachineKind;
use crate::transport::{GroupFacts, GroupRaft, GroupRegistry, HandshakeError, NoReplica, NodeFacts, Refusal};
use crate::types::NodeId;

/// How long a checkpoint may take that a peer has asked for.
const ASKED_CHECKPOINT_WAIT: Duration = Duration::from_secs(60);

/// The host as its transport sees it; the transport must not keep it alive.
pub(super) struct Registry {
    pub(super) host: Weak<Inner>,
    pub(super) node: NodeId,
}

impl Registry {
    fn host(&self) -> Option<Host> {
        self.host.upgrade().map(|inner| Host { inner })
    }
}

impl GroupRegistry for Registry {
    fn replica(&self, group: GroupId) -> Result<GroupRaft, NoReplica> {
        let unknown = NoReplica::Unknown { group, node: self.node };
        let host = self.host().ok_or_else(|| unknown.clone())?;
        if let Some(why) = host.inner.standing.outcast() {
            return Err(NoReplica::Outcast { node: self.node, why });
        }
        if let Some(damage) = host.inner.log.damage(group) {
            return Err(NoReplica::Damaged { group, node: self.node, what: super::told(&damage) });
        }
        host.group(group).map(|group| group.raft().clone()).ok_or(unknown)
    }

    fn incarnation(&self) -> Incarnation {
        self.host().map(|host| host.inner.control.read(|state| state.incarnation)).unwrap_or_default()
    }

    fn facts(&self) -> NodeFacts {
        self.host().map(|host| host.facts()).unwrap_or_default()
    }

    fn greet<'a>(&'a self, peer: &'a NodeFacts) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let host = self.host().ok_or_else(|| Refusal::NotNow("this node is stopping".to_owned()))?;
            host.greet(peer).await
        })
    }

    fn judged_by(&self, peer: NodeId, answer: Result<(), &HandshakeError>) {
        if let Some(host) = self.host() {
            host.inner.standing.hear(peer, answer);
        }
    }

    fn refusal(&self, peer: NodeId) -> Option<String> {
        let host = self.host()?;
        if !host.inner.standing.has_asked(&host.peers()) {
            return Some("this node has not asked all its peers yet whether it may vote".to_owned());
        }
        Host::lock(&host.inner.refused).get(&peer).cloned()
    }

    fn heard(&self, group: GroupId, term: u64, committed: Option<LogId>, confirmed: Option<Duration>) {
        if let Some(group) = self.host().and_then(|host| host.group(group)) {
            group.hear(term, committed, confirmed);
        }
    }

    fn may_lead(&self) -> bool {
        self.host().is_some_and(|host| host.inner.may_lead.load(Relaxed))
    }

    fn is_member(&self, group: GroupId, node: NodeId) -> bool {
        self.host().is_some_and(|host| host.peers_of(group).contains_key(&node))
    }

    fn entry(&self, group: GroupId, id: LogId) -> BoxFuture<'_, Option<LogRecord>> {
        Box::pin(async move { self.host()?.inner.log.entry(group, id).await.ok().flatten() })
    }

    fn checkpoint(&self, group: GroupId) -> Option<StoredSnapshot> {
        let group = self.host()?.group(group)?;
        let status = group.status();
        if status.checkpointed_index < status.applied_index {
            // Whoever asks may need a newer one than there is: it asks again.
            let fresher = group.clone();
            tokio::spawn(async move {
                if let Err(error) = fresher.checkpoint(u64::MAX, Instant::now() + ASKED_CHECKPOINT_WAIT).await {
                    tracing::warn!(group = %fresher.id(), %error, "no checkpoint was taken for a peer that asked for one");
                }
            });
        }
        group.stored_snapshot()
    }

    fn verify(&self, group: GroupId, received: &ReceivedSnapshot) -> Result<(), String> {
        let kind = match group.shard() {
            None => MachineKind::Meta,
            // Its limits are in the snapshot.
            Some(_) => MachineKind::Shard(holdfast_inventory::Limits::default()),
        };
        received.machine(&kind).map(drop).map_err(|error| error.to_string())
    }
}

impl Host {
    /// What this node tells of itself.
    #[must_use]
    pub fn facts(&self) -> NodeFacts {
        let inner = &self.inner;
        let groups = self.known_groups().into_iter().map(|group| {
            let state = inner.log.log_state(group);
            let damage = inner.log.damage(group).map(|damage| super::told(&damage));
            GroupFacts { group, last_log_id: state.last, vote: state.vote, damage }
        });
        NodeFacts {
            cluster_id: inner.options.cluster_id.clone(),
            node_id: self.node_id(),
            incarnation: inner.control.read(|state| state.incarnation),
            control_generation: inner.control.generation(),
            fresh: self.is_fresh(),
            groups: groups.collect(),
            schemas: (1..=inner.options.schema).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            past_lives: inner.control.read(|state| state.past_lives.clone()),
        }
    }

    /// Judges a peer: it may never come back with less than was seen of it.
    pub(super) async fn greet(&self, peer: &NodeFacts) -> Result<(), Refusal> {
        if peer.cluster_id != self.inner.options.cluster_id {
            let (theirs, ours) = (&peer.cluster_id, &self.inner.options.cluster_id);
            return Err(Refusal::Stranger(format!("it belongs to cluster `{theirs}`, not to `{ours}`")));
        }
        if peer.node_id == self.node_id() {
            let why = format!("it says that it is node {}, which is this node", peer.node_id);
            return Err(Refusal::Stranger(why));
        }
        let known = self.inner.control.read(|state| state.peers.get(&peer.node_id).cloned()).unwrap_or_default();
        let judged = self.judge(peer, &known);
        {
            let mut refused = Self::lock(&self.inner.refused);
            match &judged {
                Ok(()) => refused.remove(&peer.node_id),
                Err(why) => refused.insert(peer.node_id, why.clone()),
            };
        }
        if let Err(why) = &judged {
            self.warn_once(format!("the peer is refused: {why}"));
        }
        judged.map_err(Refusal::OlderCopy)?;
        if !self.inner.standing.knows(peer.node_id) {
            // It is there: it may be asked at once what it thinks of this node.
            self.inner.started.notify_one();
        }
        self.inner.schemas.hear(peer);
        if known.incarnation != peer.incarnation || known.control_generation < peer.control_generation {
            let (id, incarnation, generation) = (peer.node_id, peer.incarnation, peer.control_generation);
            let noted = self.inner.control.update(move |state| {
                let mark = state.peers.entry(id).or_default();
                // Two handshakes with a peer may overtake each other: a mark is never lowered.
                mark.incarnation = mark.incarnation.max(incarnation);
                mark.control_generation = mark.control_generation.max(generation);
            });
            noted.await.map_err(|error| Refusal::NotNow(error.to_string()))?;
        }
        Ok(())
    }

    fn judge(&self, peer: &NodeFacts, known: &PeerMark) -> Result<(), String> {
        const OLD_COPY: &str = "its folder is an older copy of itself, or two processes run on copies of one folder; it may not \
                                vote under its id any more: replace it with `holdfast cluster replace`";
        let id = peer.node_id;
        if is_on(Mutation::OlderCopyVotes) {
            return Ok(());
        }
        match peer.incarnation.counter.cmp(&known.incarnation.counter) {
            Ordering::Less => {
                let (now, then) = (peer.incarnation.counter, known.incarnation.counter);
                return Err(format!("node {id} comes in its start {now}, but start {then} of it was seen: {OLD_COPY}"));
            }
            Ordering::Equal if peer.incarnation.nonce != known.incarnation.nonce => {
                return Err(format!(
                    "node {id} was seen in two lives at its start {}: {OLD_COPY}",
                    known.incarnation.counter
                ));
            }
            // The process that was seen before: what it says may be older than what it has said or acknowledged meanwhile.
            Ordering::Equal => return Ok(()),
            Ordering::Greater => {}
        }
        // A copy that was started often enough has as many starts as were seen, but not the same ones.
        if let Some(nonce) = peer.nonce_at(known.incarnation.counter)
            && nonce != known.incarnation.nonce
        {
            let then = known.incarnation.counter;
            return Err(format!("node {id} tells of another start {then} than was seen of it: {OLD_COPY}"));
        }
        if peer.control_generation < known.control_generation {
            let (now, then) = (peer.control_generation, known.control_generation);
            return Err(format!("node {id} has generation {now} of its control file, but {then} was seen: {OLD_COPY}"));
        }
        for group in self.groups() {
            let Some(acknowledged) = group.acknowledged_by(id) else { continue };
            let told = peer.groups.iter().find(|facts| facts.group == group.id());
            // A later leader may have had it cut off what it acknowledged to this one.
            if told.and_then(|facts| facts.vote).is_some_and(|vote| vote.term > group.term()) {
                continue;
            }
            let last = told.and_then(|facts| facts.last_log_id);
            let is_damaged = told.is_some_and(|facts| facts.damage.is_some());
            if !is_damaged && last < Some(acknowledged) {
                let group = group.id();
                return Err(format!(
                    "node {id} has acknowledged {acknowledged} of {group}, but its log ends before: {OLD_COPY}"
                ));
            }
        }
        Ok(())
    }
}
