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
        for (node, address) in peers {
            // A group has started: only who was not told yet of this life of the node is told now.
            if !is_due && host.inner.transport.has_judged(node) {
                continue;
            }
            let shaken = host.inner.transport.handshake(&address).await;
            host.note_refusal(node, shaken.as_ref().err());
            match shaken {
                // Who refused it has said so.
                Ok(_) | Err(HandshakeError::NotTaken(_)) => {}
                Err(HandshakeError::Unreachable(why)) => tracing::debug!(node, why, "a peer does not answer"),
                Err(error) => host.warn_once(format!("node {node}: {error}")),
            }
        }
    }
}

impl Host {
    /// The other members of this node's groups, with their peer addresses.
    fn peers(&self) -> BTreeMap<NodeId, String> {
        let mut peers = BTreeMap::new();
        for group in self.groups() {
            peers.extend(group.member_addresses());
        }
        peers.remove(&self.node_id());
        peers
    }

    /// Keeps whether a peer refuses this node, as it said when it was last asked.
    fn note_refusal(&self, node: NodeId, error: Option<&HandshakeError>) {
        let mut refused_by = Self::lock(&self.inner.refused_by);
        match error {
            Some(HandshakeError::Refused(why)) => refused_by.insert(node, why.clone()),
            _ => refused_by.remove(&node),
        };
    }

    pub(super) fn warn_once(&self, warning: String) {
        if !self.warnings().contains(&warning) {
            self.warn(warning);
        }
    }
}
