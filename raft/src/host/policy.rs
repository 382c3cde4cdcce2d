//! When a group is checkpointed and its log purged, and what happens when its core ends by itself.

use std::time::Duration;

use holdfast_world::EndReason;
use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use openraft::type_config::alias::WatchReceiverOf;
use tokio::time::Instant;

use super::{Group, Host};
use crate::types::Types;

/// How often the policy looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a checkpoint may take before the policy says so and tries again.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(120);

impl Host {
    /// Starts what watches over a group while it runs.
    pub(super) fn watch(&self, group: &Group) {
        tokio::spawn(end_with_the_core(self.clone(), group.clone()));
        tokio::spawn(checkpoint_when_due(self.clone(), group.clone()));
    }
}

/// A core that has ended by itself (a storage error, a panic) leaves a group that answers nothing for ever: the node ends and
/// starts anew.
async fn end_with_the_core(host: Host, group: Group) {
    let mut metrics = group.raft().metrics();
    loop {
        let (state, has_begun) = {
            let now = metrics.borrow_watched();
            (now.running_state.clone(), now.last_log_index.is_some())
        };
        match state {
            Ok(()) => {}
            Err(Fatal::Stopped) => return,
            Err(fatal) => return ended(&host, &group, &fatal.to_string()),
        }
        if has_begun && let Err(error) = host.mark_initialised(group.id()).await {
            tracing::warn!(group = %group.id(), %error, "the group's beginning was not noted");
        }
        if metrics.changed().await.is_err() {
            if metrics.borrow_watched().running_state.is_ok() {
                ended(&host, &group, "its task is gone without a word: it has panicked");
            }
            return;
        }
    }
}

fn ended(host: &Host, group: &Group, error: &str) {
    let id = group.id();
    if let Some(what) = group.unreadable() {
        // It would be the same after a start: this group waits for a newer version, the others go on.
        host.warn(format!("group {id} has stopped on this node: {what}"));
        return;
    }
    host.inner.world.end.end(EndReason::RaftCoreEnded { group: id.0, error: error.to_owned() });
}

/// A group is checkpointed when its log has grown by so many bytes or entries since the last one, or when its first entries
/// keep the log's oldest segment from being freed.
async fn checkpoint_when_due(host: Host, group: Group) {
    let options = host.options().clone();
    let mut metrics = group.raft().metrics();
    // What the log keeps behind the last checkpoint, for followers that lag.
    let mut kept_bytes = 0;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut metrics) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let status = group.status();
        let since = status.applied_index.saturating_sub(status.checkpointed_index);
        let usage = host.inner.log.usage();
        let held_bytes = usage.group_bytes.get(&group.id()).copied().unwrap_or(0);
        // A purge may come late: it never counts as growth.
        kept_bytes = held_bytes.min(kept_bytes);
        let bytes = held_bytes - kept_bytes;
        let crowded = usage.file_bytes > 4 * options.log.segment_bytes;
        let pins = crowded && host.inner.log.pinned_by().iter().any(|pin| pin.group == group.id());
        if since == 0 || (since < options.checkpoint_entries && bytes < options.checkpoint_bytes && !pins) {
            continue;
        }
        let kept = if pins { 0 } else { options.kept_entries };
        let _writing = host.inner.checkpointing.lock().await;
        match group.checkpoint(kept, Instant::now() + CHECKPOINT_WAIT).await {
            Ok(_) => kept_bytes = held_bytes,
            Err(error) => {
                tracing::warn!(group = %group.id(), %error, "a checkpoint was not taken; it is tried again");
            }
        }
    }
}

async fn stopped(metrics: &mut WatchReceiverOf<Types, RaftMetrics<Types>>) {
    loop {
        if metrics.borrow_watched().running_state.is_err() || metrics.changed().await.is_err() {
            return;
        }
    }
}
