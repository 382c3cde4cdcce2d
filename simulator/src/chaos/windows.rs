//! Unavailability, as clients felt it: the stretches of more than a second in which somebody waited for a shard, or for the
//! cluster, and nothing that was asked of it succeeded.
//!
//! A refusal is a success here: the cluster has decided. A stretch begins with the last success before it, or with the first
//! call after that, when nobody asked before; so a shop in which nobody asks is not unavailable.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{Asked, History, Id, Outcome, Record, Request, Subject, item_of};

/// What is shorter is no window.
pub const LEAST_US: u64 = 1_000_000;

/// How often nothing succeeded, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Windows {
    /// How many.
    pub count: u64,
    /// The longest, in milliseconds.
    pub max_ms: u64,
    /// 99 of a hundred are no longer, in milliseconds.
    pub p99_ms: u64,
}

impl Windows {
    /// Of those lengths.
    #[must_use]
    pub fn of(lengths_ms: &[u64]) -> Self {
        let mut sorted = lengths_ms.to_vec();
        sorted.sort_unstable();
        Self { count: sorted.len() as u64, max_ms: sorted.last().copied().unwrap_or(0), p99_ms: quantile(&sorted, 99) }
    }
}

/// By nearest rank; of nothing 0.
#[must_use]
pub fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
struct Try {
    call_us: u64,
    return_us: Option<u64>,
    succeeded: bool,
}

/// The lengths in milliseconds of the windows of each shard, and of the cluster as a whole.
#[must_use]
pub fn measure(history: &History, shard_of: impl Fn(&str) -> u32) -> (Vec<u64>, Vec<u64>) {
    let skus = skus_of_reservations(history);
    let mut by_shard: BTreeMap<u32, Vec<Try>> = BTreeMap::new();
    let mut all = Vec::new();
    for record in &history.records {
        let succeeded = matches!(record.outcome, Outcome::Answered(_) | Outcome::Seen { .. });
        let tried = Try { call_us: record.call_us, return_us: record.return_us, succeeded };
        all.push(tried);
        if let Some(sku) = sku_of(record, &skus) {
            by_shard.entry(shard_of(item_of(sku))).or_default().push(tried);
        }
    }
    let of_shards = by_shard.values().flat_map(|tries| windows(tries)).collect();
    (of_shards, windows(&all))
}

fn skus_of_reservations(history: &History) -> BTreeMap<Id, &str> {
    let commands = history.records.iter().filter_map(|record| match &record.asked {
        Asked::Commands(commands) => Some(commands),
        Asked::Read(..) => None,
    });
    let reserves = commands.flatten().filter_map(|command| match &command.request {
        Request::Reserve { reservation, lines, .. } => Some((*reservation, lines.first()?.sku.as_str())),
        _ => None,
    });
    reserves.collect()
}

/// A SKU of the shard that was asked.
fn sku_of<'a>(record: &'a Record, skus: &BTreeMap<Id, &'a str>) -> Option<&'a str> {
    match &record.asked {
        Asked::Read(Subject::Stock(sku) | Subject::Count { sku, .. } | Subject::Trace { sku, .. }, _) => Some(sku),
        Asked::Read(Subject::Reservation(id), _) => skus.get(id).copied(),
        Asked::Read(Subject::Room(_), _) => None,
        Asked::Commands(commands) => commands.iter().find_map(|command| {
            let of_reservation = command.request.reservation().and_then(|id| skus.get(&id).copied());
            command.request.skus().next().or(of_reservation)
        }),
    }
}

fn windows(tries: &[Try]) -> Vec<u64> {
    let mut successes: Vec<u64> = tries.iter().filter(|it| it.succeeded).filter_map(|it| it.return_us).collect();
    successes.sort_unstable();
    let mut by_call = tries.to_vec();
    by_call.sort_unstable_by_key(|it| it.call_us);
    let mut lengths = Vec::new();
    let mut last_us = by_call.first().map_or(0, |it| it.call_us);
    // A stretch that never ends ends with the last that is known.
    let end_us = tries.iter().map(|it| it.return_us.unwrap_or(it.call_us)).max().unwrap_or(0);
    for success_us in successes.into_iter().chain([end_us]) {
        if success_us - last_us.min(success_us) > LEAST_US {
            let waited = |it: &&Try| it.return_us.is_none_or(|back| back > last_us) && it.call_us < success_us;
            let since = by_call.iter().find(waited).map_or(success_us, |it| it.call_us.max(last_us));
            if success_us - since > LEAST_US {
                lengths.push((success_us - since) / 1_000);
            }
        }
        last_us = success_us.max(last_us);
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, unknown};

    /// Lengths by shard, and of the cluster; a SKU's first letter is its shard.
    fn measured(story: &Story) -> (Vec<u64>, Vec<u64>) {
        measure(&story.0, |sku| u32::from(sku.as_bytes()[0]))
    }

    #[test]
    fn a_stretch_without_a_success_is_a_window_from_the_last_success_on() {
        let story = Story::default()
            .command(1, 0, 10, receive("A", 1), done(1, 1))
            .command(2, 5, 900, receive("A", 1), unknown())
            .command(3, 910, 2_510, receive("A", 1), done(2, 2));
        assert_eq!(measured(&story), (vec![2_500], vec![2_500]));
    }

    #[test]
    fn a_stretch_that_never_ends_is_a_window_up_to_the_last_that_is_known() {
        let story = Story::default()
            .command(1, 0, 10, receive("A", 1), done(1, 1))
            .command(2, 100, 2_100, receive("A", 1), unknown())
            .command(3, 2_200, 4_200, receive("A", 1), unknown());
        assert_eq!(measured(&story), (vec![4_100], vec![4_100]));
    }

    #[test]
    fn where_nobody_asks_nothing_is_unavailable() {
        let story = Story::default()
            .command(1, 0, 10, receive("A", 1), done(1, 1))
            .command(2, 5_000, 5_010, receive("A", 1), done(2, 2))
            .command(3, 9_000, 10_100, receive("A", 1), done(3, 3));
        assert_eq!(measured(&story), (vec![1_100], vec![1_100]));
    }

    #[test]
    fn a_shard_may_be_unavailable_while_the_cluster_is_not() {
        let story = Story::default()
            .command(1, 0, 10, receive("A", 1), done(1, 1))
            .command(2, 20, 3_010, receive("A", 1), done(2, 2))
            .command(3, 900, 910, receive("B", 1), done(1, 1))
            .command(4, 1_800, 1_810, receive("B", 1), done(2, 2))
            .command(5, 2_700, 2_710, receive("B", 1), done(3, 3));
        assert_eq!(measured(&story), (vec![2_990], vec![]));
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        assert_eq!(Windows::of(&[]), Windows::default());
        assert_eq!(Windows::of(&[5, 1, 9]), Windows { count: 3, max_ms: 9, p99_ms: 9 });
        assert_eq!(quantile(&(1..=200).collect::<Vec<u64>>(), 99), 198);
        assert_eq!(quantile(&[1, 2, 3, 4], 50), 2);
    }
}
