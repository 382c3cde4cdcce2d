//! Says, for the shards that this node leads, what they have to say to others, again and again until it is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_inventory::commands::{Abandon, AskDecision, Follow, Told};
use holdfast_inventory::{LogTime, Operation, Refusal, ReservationId, Slot};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::carry::carry;
use crate::core::Core;
use crate::shard::ShardHandle;

/// Between two looks at what there is to say.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of one shard is said at once.
const AT_ONCE: usize = 64;
/// How long one thing may take to be said.
const SAID_WITHIN: Duration = Duration::from_secs(2);
/// What could not be said or done is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How many such things are remembered.
const REMEMBERED: usize = 10_000;

/// What waits until it is tried again, and until when.
type Waiting = BTreeMap<(ReservationId, Slot), Instant>;

/// Log time as it goes on while no shard has an entry. Where it is ahead of the wall clock, which jumped and came back, a quiet cluster would
/// never come to the time at which a part is to ask; and who asks too early is told to ask again.
#[derive(Debug)]
struct RunningTime {
    /// In milliseconds: the latest that was seen.
    seen: u64,
    since: Instant,
}

impl RunningTime {
    /// `seen_ms` is what the shards of this node have seen by `at`.
    fn now(&mut self, seen_ms: u64, at: Instant) -> LogTime {
        if seen_ms > self.seen {
            *self = Self { seen: seen_ms, since: at };
        }
        let elapsed = at.saturating_duration_since(self.since).as_millis();
        LogTime(self.seen).plus_ms(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

/// Until the node stops.
pub(crate) async fn drive(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    let mut waiting = Waiting::new();
    let mut time = RunningTime { seen: 0, since: Instant::now() };
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(LOOK_EVERY) => {}
        }
        let now = Instant::now();
        waiting.retain(|_, until| *until > now);
        let log_time = time.now(core.log_time_ms(), now);
        let shards = core.shards();
        let led = shards.iter().filter(|shard| shard.group().is_leader());
        let said = join_all(led.map(|shard| say(&core, shard, log_time, &waiting))).await;
        for key in said.into_iter().flatten().take(REMEMBERED.saturating_sub(waiting.len())) {
            waiting.insert(key, Instant::now() + AGAIN_AFTER);
        }
    }
}

/// Says what one shard has to say; answers what came to nothing.
async fn say(core: &Core, shard: &ShardHandle, now: LogTime, waiting: &Waiting) -> Vec<(ReservationId, Slot)> {
    let look = |shard: &holdfast_inventory::Inventory| {
        let room = AT_ONCE + waiting.len();
        (shard.parts_behind(room), shard.parts_in_doubt(now, room))
    };
    let Some((mut behind, mut in_doubt)) = shard.group().read_shard(look) else { return Vec::new() };
    behind.retain(|(slot, follow)| !waiting.contains_key(&(follow.reservation, *slot)));
    in_doubt.retain(|ask| !waiting.contains_key(&(ask.reservation, ask.slot)));
    behind.truncate(AT_ONCE);
    in_doubt.truncate(AT_ONCE);
    let told = join_all(behind.into_iter().map(|(slot, follow)| tell(core, slot, follow)));
    let asked = join_all(in_doubt.into_iter().map(|question| ask(core, question)));
    let (told, asked) = futures_util::future::join(told, asked).await;
    told.into_iter().chain(asked).flatten().collect()
}

/// Has a part follow, and notes that it has.
async fn tell(core: &Core, slot: Slot, follow: Follow) -> Option<(ReservationId, Slot)> {
    let Follow { reservation, attempt, version, .. } = follow;
    let deadline = Instant::now() + SAID_WITHIN;
    match carry(core, slot, Operation::Follow(Box::new(follow)), deadline).await {
        // A part that is not there any more had followed to the end.
        Ok(Ok(_) | Err(Refusal::ReservationNotFound)) => {}
        Ok(Err(refusal)) => {
            tracing::warn!(%reservation, %refusal, "a part of a reservation does not follow; it is tried again");
            return Some((reservation, slot));
        }
        Err(why) => {
            tracing::debug!(%reservation, why, "a part of a reservation could not be told; it is tried again");
            return Some((reservation, slot));
        }
    }
    let told = Operation::Told(Told { reservation, slot, attempt, version });
    let noted = carry(core, reservation.slot(), told, deadline).await;
    noted.is_err().then_some((reservation, slot))
}

/// Asks the deciding shard, which tells the part later where the whole stands; gives the part back where there is no whole.
async fn ask(core: &Core, ask: AskDecision) -> Option<(ReservationId, Slot)> {
    let (reservation, slot, attempts) = (ask.reservation, ask.slot, ask.attempts.clone());
    let until = Instant::now() + SAID_WITHIN;
    match carry(core, reservation.slot(), Operation::AskDecision(ask), until).await {
        Ok(Err(Refusal::ReservationNotFound)) => {
            let abandon = Operation::Abandon(Abandon { reservation, attempts });
            carry(core, slot, abandon, until).await.is_err().then_some((reservation, slot))
        }
        // It was decided, and the part will be told; or it is too early.
        Ok(_) => Some((reservation, slot)),
        Err(why) => {
            tracing::debug!(%reservation, why, "the deciding shard could not be asked; it is tried again");
            Some((reservation, slot))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn log_time_goes_on_on_a_quiet_cluster_and_never_back() {
        let begun = Instant::now();
        let mut time = RunningTime { seen: 0, since: begun };
        let after = |ms| begun + Duration::from_millis(ms);
        assert_eq!(time.now(5_000, after(0)), LogTime(5_000));
        assert_eq!(time.now(5_000, after(2_000)), LogTime(7_000), "nothing happens");
        assert_eq!(time.now(1_000, after(3_000)), LogTime(8_000), "the wall clock has come back");
        assert_eq!(time.now(9_000, after(3_500)), LogTime(9_000), "an entry says how late it is");
        assert_eq!(time.now(9_000, after(4_000)), LogTime(9_500));
    }
}
