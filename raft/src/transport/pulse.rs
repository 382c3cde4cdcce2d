//! One pulse for the heartbeats of all groups.
//!
//! Left to themselves groups beat each at an instant of its own, and between two idle nodes the frames grow with the groups.
//! So openraft's own timer for heartbeats is off, and every group that the node leads is told to beat at the same instant: its
//! heartbeats then leave in one frame for each peer, whatever their number, and are answered in one. What a group sends for
//! other reasons (a round for a read, a vote, an append) waits for no pulse.

use std::time::Duration;

use futures_util::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver;
use tokio::time::MissedTickBehavior;

use super::registry::GroupRaft;

/// Lets all groups that this node leads beat together, until `groups` gives `None`.
pub(crate) async fn pulse(every: Duration, groups: impl Fn() -> Option<Vec<GroupRaft>>) {
    let mut beats = tokio::time::interval(every.max(Duration::from_millis(1)));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let Some(mut groups) = groups() else { return };
        groups.retain(|raft| raft.metrics().borrow_watched().state == ServerState::Leader);
        let told = join_all(groups.iter().map(|raft| async {
            if let Err(fatal) = raft.trigger().heartbeat().await {
                tracing::debug!(%fatal, "a group that has stopped does not beat");
            }
        }));
        // A core that takes nothing must not hold up the others' next beat.
        if tokio::time::timeout(every, told).await.is_err() {
            tracing::warn!("a group was too busy to be told to beat");
        }
    }
}
