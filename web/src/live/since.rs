//! What has changed for a reader who comes back, since the id that it was told last.
//!
//! The change logs tell, up to where the node's own watch goes on: so nothing is left out between. Where they cannot, or it would be too
//! much, the reader is told what there is now.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_client::{AvailabilityWatch, Client};
use holdfast_proto::v1;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::cursor::Cursor;

/// Events that are read over for one reader: what there is now is cheaper to read than more.
const EVENTS: u64 = 100_000;
/// How long a reader waits for its turn, and how long its turn is.
const TURN: Duration = Duration::from_secs(5);
/// They come together at the end anyway.
const COALESCE: Duration = Duration::from_millis(1);

/// Changes of each SKU and location of the latest, in order.
pub(super) type Changes = Vec<v1::AvailabilityChange>;

/// What has changed of those SKUs between two positions; `None`: that is not known, or too far apart.
pub(super) async fn since(
    client: &Client,
    skus: &BTreeSet<String>,
    after: &Cursor,
    until: &Cursor,
    turns: &Semaphore,
) -> Option<Changes> {
    let shards: BTreeSet<u32> = skus.iter().map(|sku| client.shard_of(sku)).collect();
    match behind(after, until, &shards)? {
        0 => return Some(Vec::new()),
        events if events > EVENTS => return None,
        _ => {}
    }
    let _turn = timeout(TURN, turns.acquire()).await.ok()?.ok()?;
    let cursor =
        Cursor(after.0.iter().filter(|(shard, _)| shards.contains(shard)).map(|(at, seq)| (*at, *seq)).collect());
    let skus = skus.iter().cloned().collect();
    let mut watch = client.watch_availability(AvailabilityWatch { skus, cursor: cursor.text(), coalesce: COALESCE });
    let read = async {
        let mut latest = BTreeMap::new();
        loop {
            let v1::WatchAvailabilityResponse { changes, cursor, gaps } = watch.next().await.ok()?;
            if !gaps.is_empty() {
                return None;
            }
            changes.into_iter().for_each(|change| note(&mut latest, change));
            if behind(&Cursor::read(&cursor).ok()?, until, &shards).is_none_or(|behind| behind == 0) {
                return Some(latest.into_values().collect());
            }
        }
    };
    timeout(TURN, read).await.ok()?
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
