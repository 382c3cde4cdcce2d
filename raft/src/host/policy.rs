//! When a group is checkpointed and its log purged, and what happens when its core ends by itself.

use std::convert::Infallible;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use holdfast_world::EndReason;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::Fatal;
use tokio::time::Instant;

use super::{Group, Host};
use crate::types::GroupId;

/// How often the policy looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a checkpoint may take before the policy says so and tries again.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(120);

impl Host {
    /// Starts what watches over a group while it runs.
    pub(super) fn watch(&self, group: &Group) {
        let (host, group) = (self.clone(), group.clone());
        tokio::spawn(async move {
            // One task: what it waits for changes with every entry, and each waiter is woken for it.
            tokio::select! {
                biased;
                () = end_with_the_core(&host, &group) => {}
                never = checkpoint_when_due(&host, &group) => match never {},
            }
        });
    }
}

/// A core that has ended by itself (a storage error, a panic) leaves a group that answers nothing for ever: the node ends and
/// starts anew.
async fn end_with_the_core(host: &Host, group: &Group) {
    let mut metrics = group.raft().metrics();
    loop {
        let (state, has_begun) = {
            let now = metrics.borrow_watched();
            (now.running_state.clone(), now.last_log_index.is_some())
        };
        match state {
            Ok(()) => {}
            Err(Fatal::Stopped) => return,
            Err(fatal) => return ended(host, group, &fatal.to_string()),
        }
        if has_begun && let Err(error) = host.mark_initialised(group.id()).await {
            tracing::warn!(group = %group.id(), %error, "the group's beginning was not noted");
        }
        if metrics.changed().await.is_err() {
            if metrics.borrow_watched().running_state.is_ok() {
                ended(host, group, "its task is gone without a word: it has panicked");
            }
            return;
        }
    }
}

fn ended(host: &Host, group: &Group, error: &str) {
    if host.inner.stopping.load(Relaxed) {
        // A group that waited for a copy of a rotten entry, which nobody fetches any more.
        return;
    }
    let id = group.id();
    if let Some(what) = group.unreadable() {
        // It would be the same after a start: this group waits for a newer version, the others go on.
        host.warn(format!("group {id} has stopped on this node: {what}"));
        return;
    }
    host.inner.world.end.end(EndReason::RaftCoreEnded { group: id.0, error: error.to_owned() });
}

/// Since when a group has something that its last checkpoint lacks.
#[derive(Debug, Default)]
struct Unwritten {
    checkpointed: u64,
    since: Option<Instant>,
}

impl Unwritten {
    /// How long there has been something; `None`: there is nothing. A checkpoint begun at `began` is the last one known.
    fn age(&mut self, applied: u64, checkpointed: u64, began: Option<Instant>, now: Instant) -> Option<Duration> {
        if applied <= checkpointed {
            self.since = None;
        } else if self.since.is_none() || self.checkpointed != checkpointed {
            // What a checkpoint lacks was applied after it began.
            self.since = Some(began.filter(|_| self.checkpointed != checkpointed).unwrap_or(now));
        }
        self.checkpointed = checkpointed;
        self.since.map(|since| now.saturating_duration_since(since))
    }
}

/// The age at which a group is checkpointed: each at another between half of what is allowed and all of it, so that groups that
/// were busy at the same time do not all write at the same time.
fn age_of(group: GroupId, at_most: Duration) -> Duration {
    // Multiples of the golden ratio lie well apart, however many there are.
    let spread = (group.0 as u32).wrapping_mul(0x9E37_79B9);
    at_most / 2 + (at_most / 2).mul_f64(f64::from(spread) / f64::from(u32::MAX))
}

/// A group is checkpointed when its log has grown by so many bytes or entries since the last one, when something in it has been
/// without a checkpoint for so long, or when its first entries keep the log's oldest segment from being freed.
async fn checkpoint_when_due(host: &Host, group: &Group) -> Infallible {
    let options = host.options().clone();
    // What the log keeps behind the last checkpoint, for followers that lag.
    let mut kept_bytes = 0;
    let age = age_of(group.id(), options.checkpoint_age);
    let (mut unwritten, mut began) = (Unwritten::default(), None);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let status = group.status();
        let since = status.applied_index.saturating_sub(status.checkpointed_index);
        let waits = unwritten.age(status.applied_index, status.checkpointed_index, began.take(), Instant::now());
        let usage = host.inner.log.usage();
        let held_bytes = usage.group_bytes.get(&group.id()).copied().unwrap_or(0);
        // A purge may come late: it never counts as growth.
        kept_bytes = held_bytes.min(kept_bytes);
        let bytes = held_bytes - kept_bytes;
        let crowded = usage.file_bytes > 4 * options.log.segment_bytes;
        let pins = crowded && host.inner.log.pinned_by().iter().any(|pin| pin.group == group.id());
        let is_old = waits.is_some_and(|waits| waits >= age);
        let has_grown = since >= options.checkpoint_entries || bytes >= options.checkpoint_bytes;
        if since == 0 || !(has_grown || is_old || pins) {
            continue;
        }
        let kept = if pins { 0 } else { options.kept_entries };
        let _writing = host.inner.checkpointing.lock().await;
        began = Some(Instant::now());
        match group.checkpoint(kept, Instant::now() + CHECKPOINT_WAIT).await {
            Ok(_) => kept_bytes = held_bytes,
            Err(error) => {
                tracing::warn!(group = %group.id(), %error, "a checkpoint was not taken; it is tried again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_age_counts_from_the_first_entry_that_the_last_checkpoint_lacks() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.age(5, 5, None, start), None);
        assert_eq!(unwritten.age(6, 5, None, start + second), Some(Duration::ZERO));
        // What comes later does not make it younger.
        assert_eq!(unwritten.age(9, 5, None, start + 3 * second), Some(2 * second));
        // A checkpoint up to 8 that began then: what it lacks is as old as its beginning at most.
        assert_eq!(unwritten.age(9, 8, Some(start + 3 * second), start + 4 * second), Some(second));
        assert_eq!(unwritten.age(9, 9, None, start + 5 * second), None);
    }

    #[test]
    fn groups_are_checkpointed_at_ages_that_lie_apart() {
        let most = Duration::from_secs(600);
        let mut ages: Vec<Duration> = (0..64).map(|group| age_of(GroupId(group), most)).collect();
        ages.sort();
        assert!(ages[0] >= most / 2 && ages[63] <= most, "{ages:?}");
        let closest = ages.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(closest > Duration::from_secs(1), "{closest:?} between two of 64 groups");
    }
}
