//! Compares this node's wall clock with its peers': one that is too far off does not lead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_raft::types::NodeId;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::core::Core;
use crate::metrics;
use crate::services::introduce;

/// Between two comparisons.
const COMPARE_EVERY: Duration = Duration::from_secs(2);

/// Compares until the node stops.
pub(crate) async fn compare_clocks(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(COMPARE_EVERY) => {}
        }
        let peers = peers(&core);
        if peers.is_empty() {
            continue;
        }
        let mut offsets = Vec::with_capacity(peers.len() + 1);
        for address in peers.values() {
            if let Some(ahead_ms) = ahead_of_me(&core, address).await {
                offsets.push(ahead_ms);
            }
        }
        // Alone with nobody to compare with, nothing is known; and then there is no majority either.
        if offsets.is_empty() {
            core.clock_offset_ms.send_replace(None);
            continue;
        }
        offsets.push(0);
        let offset_ms = median(offsets).saturating_neg();
        core.clock_offset_ms.send_replace(Some(offset_ms));
        metrics::clock_offset(offset_ms);
        if core.is_clock_off(offset_ms) {
            hand_over(&core, offset_ms).await;
        }
    }
}

fn peers(core: &Core) -> BTreeMap<NodeId, String> {
    let routes = core.routes.borrow().clone();
    let known = routes.map(|routes| {
        routes.members.iter().map(|(id, member)| (*id, member.peer_address.clone())).collect::<BTreeMap<_, _>>()
    });
    let mut peers =
        known.unwrap_or_else(|| core.config.nodes.iter().map(|node| (node.id, node.peer.clone())).collect());
    peers.remove(&core.config.node_id);
    peers
}

/// How far a peer's wall clock is ahead of this node's, in milliseconds, taking half of the way there and back as the way
/// back.
async fn ahead_of_me(core: &Core, address: &str) -> Option<i64> {
    let before = core.world.clock.monotonic();
    let said = introduce(&core.world, address, &core.config.cluster_id, core.config.node_id).await?;
    let way = core.world.clock.monotonic().saturating_sub(before);
    let now = i64::try_from(core.world.clock.wall_ms()).ok()?;
    let theirs = i64::try_from(said.wall_ms).ok()? + i64::try_from(way.as_millis() / 2).ok()?;
    Some(theirs - now)
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(mut offsets: Vec<i64>) -> i64 {
    offsets.sort_unstable();
    let middle = offsets.len() / 2;
    if offsets.len() % 2 == 1 { offsets[middle] } else { i64::midpoint(offsets[middle - 1], offsets[middle]) }
}

async fn hand_over(core: &Core, offset_ms: i64) {
    for group in core.groups() {
        if !group.is_leader() {
            continue;
        }
        match group.transfer_leadership(None).await {
            Ok(to) => tracing::warn!(group = %group.id(), to, offset_ms, "handed over: this node's clock is off"),
            Err(error) => {
                tracing::warn!(group = %group.id(), %error, offset_ms, "this node's clock is off, and nobody takes over")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_in_the_middle() {
        assert_eq!(median(vec![9_000, 0, 10]), 10);
        assert_eq!(median(vec![0, 10]), 5);
        assert_eq!(median(vec![0]), 0);
    }
}
