//! What there is now of some SKUs, and what has changed of them since the id that a reader was told last.
//!
//! Both are read of one replica until that has come as far as the node's own watch had, from where a reader hears the changes: so nothing is
//! left out between, whichever replica it is. Where the change logs cannot tell what has changed, or it would be too much, the reader is told
//! what there is now; where that cannot be read either, nobody is told anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_client::{AvailabilityWatch, Client};
use holdfast_proto::v1::{self, ErrorReason};
use tokio::time::timeout;

use crate::cursor::Cursor;
use crate::problem::Problem;

/// Events that are read over for one reader: what there is now is cheaper to read than more.
const EVENTS: u64 = 100_000;
/// How long a reader's change logs are read over.
const READ_OVER: Duration = Duration::from_secs(5);
/// How long one replica may take to tell what there is now, and how many are asked: one may be cut off from the others.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;
/// They come together at the end anyway.
const COALESCE: Duration = Duration::from_millis(1);
/// How often a replica says how far it is.
const IDLE: Duration = Duration::from_millis(100);

/// Changes of each SKU and location of the latest, in order.
pub(super) type Changes = Vec<v1::AvailabilityChange>;

/// What has changed of those SKUs between two positions; `None`: that is not known, or too far apart.
pub(super) async fn since(client: &Client, skus: &BTreeSet<String>, after: &Cursor, until: &Cursor) -> Option<Changes> {
    let shards = shards_of(client, skus);
    match behind(after, until, &shards)? {
        0 => return Some(Vec::new()),
        events if events > EVENTS => return None,
        _ => {}
    }
    let (after, until) = (of_shards(after, &shards), of_shards(until, &shards));
    timeout(READ_OVER, read(client, skus, &after, &until)).await.ok()?.ok()?
}

/// What there is now of those SKUs, no older than that position.
///
/// # Errors
///
/// It could not be read in time, or is not to be had (400).
pub(super) async fn now(client: &Client, skus: &BTreeSet<String>, until: &Cursor) -> Result<Changes, Problem> {
    if skus.is_empty() {
        return Ok(Changes::new());
    }
    let until = of_shards(until, &shards_of(client, skus));
    for _ in 0..ATTEMPTS {
        if let Ok(read) = timeout(ATTEMPT, read(client, skus, &Cursor::default(), &until)).await {
            let changes = match read {
                Err(problem) if problem.status == 400 => return Err(problem),
                // Which node does not answer is nothing to a reader.
                Err(_) => break,
                Ok(changes) => changes.unwrap_or_default().into_iter(),
            };
            return Ok(changes.map(|change| v1::AvailabilityChange { back: false, ..change }).collect());
        }
    }
    let detail = "what there is now could not be read in time: it is told as soon as it can be";
    Err(Problem::of(ErrorReason::Unavailable, detail))
}

/// What is told behind `after` (nothing: of everything there is) by a replica until it is no older than `until`; `None`: some of it is not
/// kept any more.
async fn read(
    client: &Client,
    skus: &BTreeSet<String>,
    after: &Cursor,
    until: &Cursor,
) -> Result<Option<Changes>, Problem> {
    let skus = skus.iter().cloned().collect();
    let watch = AvailabilityWatch { skus, cursor: after.text(), coalesce: COALESCE, idle: IDLE };
    let mut watch = client.watch_availability(watch);
    let mut told = Told { latest: BTreeMap::new(), until, is_since: !after.0.is_empty() };
    loop {
        match told.take(watch.next().await?)? {
            Standing::More => {}
            Standing::Whole => return Ok(Some(told.latest.into_values().collect())),
            Standing::Missing => return Ok(None),
        }
    }
}

/// What a replica has told until now.
struct Told<'a> {
    latest: BTreeMap<(String, String), v1::AvailabilityChange>,
    until: &'a Cursor,
    /// Only what has changed since somewhere.
    is_since: bool,
}

/// How far that is.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    More,
    Whole,
    /// Some of it is not kept any more.
    Missing,
}

impl Told<'_> {
    fn take(&mut self, answer: v1::WatchAvailabilityResponse) -> Result<Standing, Problem> {
        let v1::WatchAvailabilityResponse { changes, cursor, gaps } = answer;
        if self.is_since && !gaps.is_empty() {
            return Ok(Standing::Missing);
        }
        changes.into_iter().for_each(|change| note(&mut self.latest, change));
        // Without a cursor not everything is told yet.
        let is_whole = !cursor.is_empty() && Cursor::read(&cursor)?.covers(self.until);
        Ok(if is_whole { Standing::Whole } else { Standing::More })
    }
}

fn shards_of(client: &Client, skus: &BTreeSet<String>) -> BTreeSet<u32> {
    skus.iter().map(|sku| client.shard_of(sku)).collect()
}

fn of_shards(cursor: &Cursor, shards: &BTreeSet<u32>) -> Cursor {
    Cursor(cursor.0.iter().filter(|(shard, _)| shards.contains(shard)).map(|(at, seq)| (*at, *seq)).collect())
}

/// How many events of those shards lie between; `None`: what was seen is of another history, for it is ahead, or does not say.
fn behind(seen: &Cursor, until: &Cursor, shards: &BTreeSet<u32>) -> Option<u64> {
    let of_shard = |shard: &u32| until.0.get(shard)?.checked_sub(*seen.0.get(shard)?);
    shards.iter().map(of_shard).try_fold(0, |sum: u64, behind| Some(sum.saturating_add(behind?)))
}

/// The latest counts; that something was out meanwhile is not forgotten.
fn note(latest: &mut BTreeMap<(String, String), v1::AvailabilityChange>, mut change: v1::AvailabilityChange) {
    let place = (change.sku.clone(), change.location_id.clone());
    change.back |= change.atp > 0 && latest.get(&place).is_some_and(|before| before.back);
    latest.insert(place, change);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(places: &[(u32, u64)]) -> Cursor {
        Cursor(places.iter().copied().collect())
    }

    #[test]
    fn how_far_a_reader_is_behind_counts_its_own_shards_and_an_id_from_the_future_is_of_another_history() {
        let until = cursor(&[(0, 10), (1, 20), (2, 30)]);
        let of = |seen: &[(u32, u64)], shards: &[u32]| behind(&cursor(seen), &until, &shards.iter().copied().collect());
        assert_eq!(of(&[(0, 7), (1, 20), (2, 1)], &[0, 1]), Some(3));
        assert_eq!(of(&[(0, 10)], &[0]), Some(0));
        assert_eq!(of(&[(0, 11)], &[0]), None);
        assert_eq!(of(&[(0, 7)], &[0, 1]), None, "it says nothing of shard 1");
        assert_eq!(of(&[(0, 7), (5, 7)], &[5]), None, "there is no shard 5");
        assert_eq!(of(&[], &[]), Some(0));
    }

    #[test]
    fn what_there_is_now_is_whole_when_its_replica_is_as_far_as_the_watch_and_not_before() {
        let answer = |atp, cursor: &str| {
            let change = v1::AvailabilityChange { sku: "A".to_owned(), atp, ..v1::AvailabilityChange::default() };
            v1::WatchAvailabilityResponse { changes: vec![change], cursor: cursor.to_owned(), gaps: Vec::new() }
        };
        let until = cursor(&[(0, 9), (1, 4)]);
        let told = || Told { latest: BTreeMap::new(), until: &until, is_since: false };
        let mut now = told();
        assert_eq!(now.take(answer(7, "")), Ok(Standing::More), "not everything is told");
        assert_eq!(now.take(answer(1, "0=8,1=9")), Ok(Standing::More), "the replica lags in a shard");
        assert_eq!(now.take(answer(0, "0=9,1=9")), Ok(Standing::Whole));
        assert_eq!(now.latest.into_values().map(|change| change.atp).collect::<Vec<_>>(), [0]);
        let gap = v1::EventGap { shard: 0, from_seq: 3, to_seq: 5 };
        let missing = v1::WatchAvailabilityResponse { gaps: vec![gap], ..answer(0, "0=9,1=4") };
        assert_eq!(told().take(missing.clone()), Ok(Standing::Whole), "everything is told anyway");
        assert_eq!(Told { is_since: true, ..told() }.take(missing), Ok(Standing::Missing));
    }

    #[test]
    fn of_several_changes_the_latest_counts_and_what_was_out_is_remembered_while_there_is_some() {
        let change = |atp, back| v1::AvailabilityChange {
            sku: "A".to_owned(),
            location_id: "MAIN".to_owned(),
            atp,
            back,
            ..v1::AvailabilityChange::default()
        };
        let told = |changes: &[v1::AvailabilityChange]| {
            let mut latest = BTreeMap::new();
            changes.iter().for_each(|change| note(&mut latest, change.clone()));
            latest.into_values().map(|change| (change.atp, change.back)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[change(4, true), change(3, false)]), [(3, true)]);
        assert_eq!(told(&[change(4, true), change(0, false)]), [(0, false)]);
        assert_eq!(told(&[change(4, true), change(0, false), change(2, false)]), [(2, false)]);
    }
}
