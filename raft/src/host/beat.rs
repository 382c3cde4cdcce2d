//! The host's slow pulse: it raises the control file's generation and tells it to the peers, so that an older copy of this
//! node's folder, or of a peer's, is known for what it is.
//!
//! The write also carries the log's synced-through position into the control file, which bounds how much of the log's end could
//! be lost unseen.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use holdfast_mutation::{Mutation, is_on};
use tokio::time::Instant;

use super::{Host, Inner};
use crate::transport::HandshakeError;
use crate::types::NodeId;

/// Between two beats.
const EVERY: Duration = Duration::from_secs(3);

/// Beats while the host lives; and tells the members of a group that starts at once that the node begins a new life, so that a
/// copy of an earlier one is known for one.
pub(super) async fn beat(host: Weak<Inner>) {
    let mut next = Instant::now() + EVERY;
    loop {
        let Some(started) = host.upgrade().map(|inner| inner.started.clone()) else { return };
        let is_due = tokio::time::timeout_at(next, started.notified()).await.is_err();
        let Some(host) = host.upgrade().map(|inner| Host { inner }) else { return };
        if is_due {
            next = Instant::now() + EVERY;
            if let Err(error) = host.inner.control.update(|_| {}).await {
                tracing::debug!(%error, "the host's pulse stops with the control file");
                return;
            }
        }
        let mut peers: Vec<_> = host.peers().into_iter().collect();
        if is_on(Mutation::HashOrderLeaks) {
            peers = peers.into_iter().collect::<std::collections::HashMap<_, _>>().into_iter().collect();
        }
        // A group has started, or a peer: only who has not yet said what it thinks of this life of the node is asked now.
        peers.retain(|(node, _)| is_due || !host.inner.standing.knows(*node));
        // All at once: one that does not answer must not keep the others from being heard.
        futures_util::future::join_all(peers.into_iter().map(|(node, address)| host.meet(node, address))).await;
        host.inner.standing.heed_only(&host.peers());
    }
}

impl Host {
    /// The other members of this node's groups, with their peer addresses; the other nodes that the configuration names where no
    /// group has any, or none has told them yet.
    pub(super) fn peers(&self) -> BTreeMap<NodeId, String> {
        let mut peers = BTreeMap::new();
        for group in self.groups() {
            peers.extend(group.member_addresses());
        }
        if peers.is_empty() {
            peers.clone_from(&self.inner.options.peers);
        }
        peers.remove(&self.node_id());
        peers
    }

    /// Shakes hands with a peer, and keeps what it thinks of this node.
    async fn meet(&self, node: NodeId, address: String) {
        let shaken = self.inner.transport.handshake_with(node, &address).await.map(drop);
        self.inner.standing.hear(node, shaken.as_ref().copied());
        match shaken {
            // Who refused it has said so.
            Ok(()) | Err(HandshakeError::NotTaken(_)) => {}
            Err(HandshakeError::Unreachable(why)) => tracing::debug!(node, why, "a peer does not answer"),
            Err(error) => self.warn_once(format!("node {node}: {error}")),
        }
    }

    pub(super) fn warn_once(&self, warning: String) {
        if !self.warnings().contains(&warning) {
            self.warn(warning);
        }
    }
}
