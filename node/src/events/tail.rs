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
use crate::from_proto::invalid;
use crate::refusals;

/// The most events that are read at once.
const AT_ONCE: usize = 256;
/// The most bytes of events that are read at once, but for a single one that is larger.
const BYTES_AT_ONCE: usize = 1 << 20;
/// How often it is looked whether a cursor is still ahead of what is known here.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// By so much a replica may be older than it says it is, at most: by the way of what its leader told it.
const ON_ITS_WAY: Duration = Duration::from_secs(5);
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
    began: Instant,
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
        Self { shards: groups.into_iter().map(follow).collect(), turn: 0, began: Instant::now() }
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
    ///
    /// # Errors
    ///
    /// They cannot be read, or the cursor is of another history: it is ahead of everything that was decided before it was shown.
    pub(crate) async fn next(&mut self, until: Instant) -> Result<Option<Batch>, CommandError> {
        loop {
            let is_ahead = self.is_ahead()?;
            let look_again = if is_ahead { until.min(Instant::now() + LOOK_AGAIN) } else { until };
            if let Some(shard) = self.shard_with_more() {
                self.turn = shard;
                let Some(followed) = self.shards.get_mut(&shard) else { continue };
                return followed.read(shard).await.map(Some);
            }
            // One of them applies something; it may have no events.
            let changes = self.shards.values_mut().map(|followed| Box::pin(followed.applied.changed()));
            let (changed, ..) = match timeout_at(look_again, futures_util::future::select_all(changes)).await {
                Err(_) if look_again < until => continue,
                Err(_) => return Ok(None),
                Ok(changed) => changed,
            };
            if changed.is_err() {
                return Err(refusals::stopping());
            }
        }
    }

    /// Whether more was seen of a shard than has happened here. A replica may lag: so it is only when it is known to have all that its
    /// shard had when the cursor was shown that nobody can have seen more.
    fn is_ahead(&self) -> Result<bool, CommandError> {
        let mut is_ahead = false;
        for (shard, followed) in &self.shards {
            if followed.seen <= followed.last {
                continue;
            }
            // Asked first: what is read then has no less.
            let age = followed.group.age();
            let last = last_event(&followed.group);
            if followed.seen <= last {
                continue;
            }
            is_ahead = true;
            if age.is_some_and(|age| age + ON_ITS_WAY < self.began.elapsed()) {
                let problem = format!("is ahead of shard {shard}, whose last event is {last}");
                let hint = "it is of another history, as of a cluster that was founded anew: begin without one";
                return Err(invalid("cursor", &problem, hint));
            }
        }
        Ok(is_ahead)
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
        let events = self.group.events(from, self.last, AT_ONCE, deadline).await.map_err(unreadable)?;
        let batch = batch_of(shard, from, self.last, events);
        self.seen = batch.last_seq();
        Ok(batch)
    }
}

impl Batch {
    /// The last event that it tells of, or of which it tells that it is missing.
    fn last_seq(&self) -> u64 {
        let of_gap = self.gap.as_ref().map_or(0, |gap| gap.to_seq);
        self.events.last().map_or(of_gap, |event| event.body.seq)
    }
}

/// What was read of the events `from` to `last` that were asked for: in order, and some or all of them may not be kept here any more, as on
/// a replica that has its state from another one.
fn batch_of(shard: u32, from: u64, last: u64, mut events: Vec<Event>) -> Batch {
    let mut bytes = 0;
    let fits = |event: &&Event| {
        bytes += event.encoded().len();
        bytes <= BYTES_AT_ONCE
    };
    let count = events.iter().take_while(fits).count().max(1);
    events.truncate(count);
    let kept_from = events.first().map_or(last + 1, |event| event.body.seq);
    let gap = (kept_from > from).then(|| v1::EventGap { shard, from_seq: from, to_seq: kept_from - 1 });
    Batch { shard, gap, events }
}

fn last_event(group: &Group) -> u64 {
    group.read_shard(|shard| shard.last_event().0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::commands::PutItem;
    use holdfast_inventory::{
        Applied, BodyHash, Command, CommandId, Entry, Inventory, ItemSpec, Limits, LogTime, Operation, Sku,
    };

    use super::*;

    /// The first events of a shop that opens: an item each.
    fn events(count: u64) -> Vec<Event> {
        let mut shop = Inventory::new(Limits::default());
        let put = |number: u64| {
            let sku = Sku::new(&format!("SKU-{number}")).unwrap();
            let put = PutItem { sku, spec: ItemSpec::default(), if_revision: None, if_absent: false };
            let operation = Operation::PutItem(Box::new(put));
            let id = CommandId(number.into());
            let body = BodyHash::default();
            Command { id, minted_at: LogTime(1_000), keyed: false, body, linked: false, cause: None, operation }
        };
        let mut applied = Applied::default();
        let entry = Entry { time: LogTime(1_000), commands: (1..=count).map(put).collect() };
        shop.apply(&entry, &mut applied);
        applied.events
    }

    fn told(batch: &Batch) -> (Option<(u64, u64)>, Vec<u64>, u64) {
        let gap = batch.gap.as_ref().map(|gap| (gap.from_seq, gap.to_seq));
        (gap, batch.events.iter().map(|event| event.body.seq).collect(), batch.last_seq())
    }

    #[test]
    fn what_is_missing_is_told_before_what_is_there_and_alone_where_nothing_is() {
        let events = events(5);
        assert_eq!(told(&batch_of(0, 1, 5, events.clone())), (None, vec![1, 2, 3, 4, 5], 5));
        assert_eq!(told(&batch_of(0, 1, 5, events[2..].to_vec())), (Some((1, 2)), vec![3, 4, 5], 5));
        assert_eq!(told(&batch_of(0, 3, 5, Vec::new())), (Some((3, 5)), Vec::new(), 5), "they are all gone");
    }
}
