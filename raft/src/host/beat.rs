//! The host's slow pulse: it raises the control file's generation and tells it to the peers, so that an older copy of this
//! node's folder, or of a peer's, is known for what it is.
//!
//! The write also carries the log's synced-through position into the control file, which bounds how much of the log's end could
//! be lost unseen.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use super::{Host, Inner};
use crate::transport::HandshakeError;
use crate::types::NodeId;

/// Between two beats.
const EVERY: Duration = Duration::from_secs(3);

/// Beats while the host lives.
pub(super) async fn beat(host: Weak<Inner>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(host) = host.upgrade().map(|inner| Host { inner }) else { return };
        if let Err(error) = host.inner.control.update(|_| {}).await {
            tracing::debug!(%error, "the host's pulse stops with the control file");
            return;
        }
        for (node, address) in host.peers() {
            match host.inner.transport.handshake(&address).await {
                Ok(_) => {}
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

    fn warn_once(&self, warning: String) {
        if !self.warnings().contains(&warning) {
            self.warn(warning);
        }
    }
}
