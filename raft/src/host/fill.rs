//! Filling a group whose checkpoint is lost from a peer's, before its Raft is built.
//!
//! The vote and the log are whole, so that the node keeps its voice; only the state that the log was purged behind is missing.
//! Any replica's checkpoint holds it, at the purged id or after it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Host, StartGroupError};
use crate::checkpoint::{Checkpoints, membership_of};
use crate::log::{AppendError, GroupId, LogId};
use crate::machine::{Machine, MachineKind};
use crate::types::NodeId;

/// Between two rounds over the peers.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

impl Host {
    /// Asks peer after peer for a checkpoint until one is whole and put in place. It goes on as long as the node runs: without a
    /// state there is nothing this replica could do.
    pub(super) async fn fill(
        &self,
        group: GroupId,
        kind: &MachineKind,
        checkpoints: &Checkpoints,
    ) -> Result<Machine, StartGroupError> {
        let log = self.inner.log.log_state(group);
        let least = log.purged.map_or(0, |purged| purged.index);
        if log.purged.is_none() {
            // Everything is still in the log, from the first entry on.
            checkpoints.forget().await;
            return Ok(Machine::fresh(kind));
        }
        let peers = self.peers_of(group);
        self.warn(format!("group {group} has lost its state and waits for a peer's, at index {least} or after"));
        loop {
            for (node, address) in &peers {
                let received = match self.inner.transport.fetch_snapshot(address, group).await {
                    Ok(received) if received.record.applied.is_none_or(|applied| applied.index < least) => {
                        tracing::warn!(%group, node, "a peer's checkpoint ends before the log begins; it is asked again");
                        continue;
                    }
                    Ok(received) => received,
                    Err(error) => {
                        tracing::warn!(%group, node, %error, "a peer did not give its checkpoint");
                        continue;
                    }
                };
                let machine = match received.machine(kind) {
                    Ok(machine) => machine,
                    Err(error) => {
                        self.warn(format!("the checkpoint of {group} that node {node} gave is not taken: {error}"));
                        continue;
                    }
                };
                if let Err(error) = self.cut_what_was_never_committed(group, received.record.applied).await {
                    tracing::error!(%group, %error, "the log was not cut where it differs from the peer's checkpoint");
                    continue;
                }
                match checkpoints.install(&received, *node).await {
                    Ok(record) => {
                        if let Some(applied) = record.applied
                            && log.last.is_none_or(|last| last.index < applied.index)
                            && let Err(error) = self.inner.log.purge(group, applied).await
                        {
                            tracing::error!(%group, %error, "the log was not moved behind the peer's checkpoint");
                            continue;
                        }
                        self.warn(format!("group {group} was filled from node {node}"));
                        return Ok(machine);
                    }
                    Err(error) => tracing::error!(%group, %error, "the state store does not take a peer's checkpoint"),
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Where the log has another entry in the place of the checkpoint's last one, that and all after it were never committed:
    /// a leader that nobody followed any more had written them. openraft starts no group whose log differs from its state.
    async fn cut_what_was_never_committed(&self, group: GroupId, applied: Option<LogId>) -> Result<(), AppendError> {
        let log = &self.inner.log;
        let Some(applied) = applied else { return Ok(()) };
        match log.log_id(group, applied.index) {
            Some(own) if own != applied => log.truncate_after(group, applied.index.checked_sub(1)).await,
            _ => Ok(()),
        }
    }

    /// The other members of a group with their peer addresses, as its last checkpoint's record and the group itself, where it
    /// runs, know them, and the nodes that the configuration names.
    pub(super) fn peers_of(&self, group: GroupId) -> BTreeMap<NodeId, String> {
        let mut peers = self.inner.options.peers.clone();
        let record = self.inner.control.read(|state| state.groups.get(&group)?.checkpoint.clone());
        if let Some(membership) = record.as_ref().and_then(|record| membership_of(record).ok()) {
            peers.extend(membership.nodes().map(|(id, node)| (*id, node.addr.clone())));
        }
        if let Some(group) = self.group(group) {
            peers.extend(group.member_addresses());
        }
        peers.remove(&self.node_id());
        peers
    }
}
