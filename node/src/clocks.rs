//! Compares the wall clocks of the nodes: one whose clock is too far off does not lead.
//!
//! It hands over what it leads, stands for no election and takes no leadership until its clock is right again; nobody hands one
//! to it. It votes and follows meanwhile.

use std::collections::{BTreeMap, BTreeSet};
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

/// The same while no other clock was heard of yet: sooner than an election.
const COMPARE_FIRST: Duration = Duration::from_millis(200);

/// Compares until the node stops.
pub(crate) async fn compare_clocks(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    loop {
        compare(&core).await;
        let pause = if core.clock_offset_ms.borrow().is_some() { COMPARE_EVERY } else { COMPARE_FIRST };
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(pause) => {}
        }
    }
}

async fn compare(core: &Core) {
    let mut ahead_ms = BTreeMap::new();
    for (id, address) in peers(core) {
        if let Some(peer_ms) = ahead_of_me(core, &address).await {
            ahead_ms.insert(id, peer_ms);
        }
    }
    // Alone with nobody to compare with, nothing is known; and then there is no majority either.
    if ahead_ms.is_empty() {
        core.clock_offset_ms.send_replace(None);
        return;
    }
    let me = core.config.node_id;
    ahead_ms.insert(me, 0);
    let offset_ms = median(ahead_ms.values().copied().collect()).saturating_neg();
    core.clock_offset_ms.send_replace(Some(offset_ms));
    metrics::clock_offset(offset_ms);
    let off = judge(&ahead_ms, core.config.raft.max_clock_offset_ms, &core.clocks_off.borrow());
    let is_off = off.contains(&me);
    core.clocks_off.send_replace(off);
    core.host.let_lead(!is_off);
    if is_off {
        hand_over(core, offset_ms).await;
    }
}

/// The nodes whose clocks are further than the limit from the median of those that answer. Where no majority of these agree
/// nobody can tell which are right: then what was judged before stays.
fn judge(ahead_ms: &BTreeMap<NodeId, i64>, limit_ms: u64, was_off: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let median = median(ahead_ms.values().copied().collect());
    let is_off = |ahead_ms: &i64| ahead_ms.abs_diff(median) > limit_ms;
    let off: BTreeSet<NodeId> = ahead_ms.iter().filter(|(_, ahead_ms)| is_off(ahead_ms)).map(|(id, _)| *id).collect();
    if 2 * off.len() < ahead_ms.len() { off } else { was_off.clone() }
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
/// back. An answer whose way took longer than clocks may be apart says nothing.
async fn ahead_of_me(core: &Core, address: &str) -> Option<i64> {
    let before = core.world.clock.monotonic();
    let said = introduce(&core.world, address, &core.config.cluster_id, core.config.node_id).await?;
    let way = core.world.clock.monotonic().saturating_sub(before);
    if way > Duration::from_millis(core.config.raft.max_clock_offset_ms) {
        return None;
    }
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
        match group.transfer_leadership_among(|id| core.may_lead(id)).await {
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

    #[test]
    fn a_clock_far_from_those_that_most_agree_on_is_off() {
        let judged = |ahead_ms: &[i64], was_off: &[NodeId]| {
            let ahead_ms = (1..).zip(ahead_ms.iter().copied()).collect();
            judge(&ahead_ms, 500, &was_off.iter().copied().collect()).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(judged(&[0, 10, 9_000], &[]), [3]);
        assert_eq!(judged(&[-9_000, 10, 0], &[3]), [1]);
        assert_eq!(judged(&[0, 400, -90], &[2]), [0; 0]);
        // Two that differ, or three that all do: what was known before stays.
        assert_eq!(judged(&[0, 9_000], &[2]), [2]);
        assert_eq!(judged(&[0, 9_000], &[]), [0; 0]);
        assert_eq!(judged(&[0, 9_000, -9_000], &[]), [0; 0]);
        // Two that agree are right.
        assert_eq!(judged(&[0, 100], &[2]), [0; 0]);
    }
}
