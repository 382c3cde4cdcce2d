//! The ends of the change logs of some shards, followed as they grow.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_inventory::Event;
use holdfast_proto::v1::{self, CommandError};
use holdfast_raft::host::Group;
use holdfast_raft::log::LogId;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::Cursor;
use crate::refusals;

/// The most events that are read at once.
const AT_ONCE: usize = 256;
/// The most bytes of events that are read at once, but for a single one that is larger.
const BYTES_AT_ONCE: usize = 1 << 20;
/// How long the events of an entry that is applied are waited for.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Some events of one shard, in order.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) shard: u32,
    /// What is missing before them.
    pub(crate) gap: Option<v1::EventGap>,
    pub(crate) events: Vec<Event>,
}

#[derive(Debug)]
struct Followed {
    group: Group,
    applied: watch::Receiver<Option<LogId>>,
    /// The last event seen.
    seen: u64,
    /// The shard's last event, as far as was looked.
    last: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tail {
    shards: BTreeMap<u32, Followed>,
    /// Which shard was read from last: each has its turn.
    turn: u32,
}

impl Tail {
    /// Follows these shards after a cursor; a shard that the cursor does not name from the first event that is kept. Without a
    /// cursor from now on.
    pub(crate) fn new(groups: impl IntoIterator<Item = (u32, Group)>, after: Option<&Cursor>) -> Self {
        let follow = |(shard, group): (u32, Group)| {
            let applied = group.watch_applied();
            let last = last_event(&group);
            let seen = match after {
                None => last,
                Some(cursor) => cursor.0.get(&shard).copied().unwrap_or_else(|| group.first_kept_event() - 1),
            };
            (shard, Followed { group, applied, seen, last })
        };
        Self { shards: groups.into_iter().map(follow).collect(), turn: 0 }
    }

    /// What was seen.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor(self.shards.iter().map(|(shard, followed)| (*shard, followed.seen)).collect())
    }

    /// A shard that is followed.
    pub(crate) fn group(&self, shard: u32) -> Option<&Group> {
        self.shards.get(&shard).map(|followed| &followed.group)
    }

    /// The next events; `None`: there were none until the deadline.
    pub(crate) async fn next(&mut self, until: Instant) -> Result<Option<Batch>, CommandError> {
        loop {
            if let Some(shard) = self.shard_with_more() {
                self.turn = shard;
                let Some(followed) = self.shards.get_mut(&shard) else { continue };
                return followed.read(shard).await.map(Some);
            }
            // One of them applies something; it may have no events.
            let changes = self.shards.values_mut().map(|followed| Box::pin(followed.applied.changed()));
            let (changed, ..) = match timeout_at(until, futures_util::future::select_all(changes)).await {
                Err(_) => return Ok(None),
                Ok(changed) => changed,
            };
            if changed.is_err() {
                return Err(refusals::stopping());
            }
        }
    }

    /// The next shard in turn of which there is something that was not seen.
    fn shard_with_more(&mut self) -> Option<u32> {
        for followed in self.shards.values_mut().filter(|followed| followed.last <= followed.seen) {
            followed.applied.borrow_and_update();
            followed.last = last_event(&followed.group);
        }
        let with_more = || self.shards.iter().filter(|(_, followed)| followed.last > followed.seen);
        let after_turn = with_more().find(|(shard, _)| **shard > self.turn);
        after_turn.or_else(|| with_more().next()).map(|(shard, _)| *shard)
    }
}

impl Followed {
    async fn read(&mut self, shard: u32) -> Result<Batch, CommandError> {
        let unreadable = |fault| refusals::unavailable(shard, &format!("its change log here: {fault}"));
        let from = self.seen + 1;
        let deadline = Instant::now() + WRITTEN_WITHIN;
        let mut events = self.group.events(from, self.last, AT_ONCE, deadline).await.map_err(unreadable)?;
        let mut bytes = 0;
        let fits = |event: &&Event| {
            bytes += event.encoded().len();
            bytes <= BYTES_AT_ONCE
        };
        let count = events.iter().take_while(fits).count().max(1);
        events.truncate(count);
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            return Err(refusals::unavailable(shard, "its change log here ends early"));
        };
        let gap = (first.body.seq > from).then(|| v1::EventGap { shard, from_seq: from, to_seq: first.body.seq - 1 });
        self.seen = last.body.seq;
        Ok(Batch { shard, gap, events })
    }
}

fn last_event(group: &Group) -> u64 {
    group.read_shard(|shard| shard.last_event().0).unwrap_or(0)
}
