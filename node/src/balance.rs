//! Spreads the leaders over the nodes: each group has a member that leads it by preference, where that member is well.

use std::sync::Arc;
use std::time::Duration;

use holdfast_raft::host::Group;
use holdfast_raft::types::NodeId;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::core::Core;

/// Between two looks. A group is handed over at most once a look, one group after the other.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Hands groups to those that lead them by preference, until the node stops.
pub(crate) async fn balance_leaders(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(LOOK_EVERY) => {}
        }
        for group in core.groups() {
            if !group.is_leader() {
                continue;
            }
            let status = group.status();
            let voters: Vec<NodeId> = status.voters.iter().copied().collect();
            let Some(preferred) = preferred(&group, &voters) else { continue };
            if preferred == core.config.node_id || !core.may_lead(preferred) {
                continue;
            }
            // Only a replica that has everything gets the lead; one that is down or behind is tried again later.
            match group.transfer_leadership(Some(preferred)).await {
                Ok(to) => tracing::info!(group = %group.id(), to, "handed over, to spread the leaders"),
                Err(error) => tracing::debug!(group = %group.id(), preferred, %error, "not handed over"),
            }
        }
    }
}

/// The member that leads a group by preference.
fn preferred(group: &Group, voters: &[NodeId]) -> Option<NodeId> {
    let at = usize::try_from(group.id().0).ok()?.checked_rem(voters.len())?;
    voters.get(at).copied()
}
