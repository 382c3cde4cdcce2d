//! The SKUs that are asked for most at this node, within bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient
//! computation of frequent and top-k elements in data streams", ICDT 2005, section 3.1).
//!
//! Of n reserves each SKU with more than n / [`COUNTED`] of them is among those that are counted, with too high a count by at most
//! that of the SKU whose place it took. Two windows of time are kept, so that what was hot a week ago goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// SKUs that are counted at once.
const COUNTED: usize = 256;
/// SKUs that are shown.
const SHOWN: usize = 50;
/// A window; what is shown is of the present one and the one before.
const WINDOW: Duration = Duration::from_secs(600);

/// The most frequent SKUs of a stream.
#[derive(Debug, Default)]
struct SpaceSaving {
    counts: BTreeMap<Arc<str>, u64>,
    by_count: BTreeSet<(u64, Arc<str>)>,
}

impl SpaceSaving {
    fn note(&mut self, sku: &str) {
        let (sku, before) = match self.counts.get_key_value(sku) {
            Some((known, count)) => {
                let (known, count) = (Arc::clone(known), *count);
                self.by_count.remove(&(count, Arc::clone(&known)));
                (known, count)
            }
            None if self.counts.len() < COUNTED => (Arc::from(sku), 0),
            None => {
                let (least, leaves) = self.by_count.pop_first().expect("it is full");
                self.counts.remove(&leaves);
                (Arc::from(sku), least)
            }
        };
        self.counts.insert(Arc::clone(&sku), before + 1);
        self.by_count.insert((before + 1, sku));
    }
}

/// What is asked for most: in the present window, and in the one before.
#[derive(Debug)]
pub(super) struct Hot {
    now: SpaceSaving,
    before: SpaceSaving,
    began: Instant,
}

impl Hot {
    pub(super) fn new(now: Instant) -> Self {
        Self { now: SpaceSaving::default(), before: SpaceSaving::default(), began: now }
    }

    pub(super) fn note(&mut self, sku: &str, now: Instant) {
        self.turn(now);
        self.now.note(sku);
    }

    /// Those asked for most, the hottest first.
    pub(super) fn top(&mut self, now: Instant) -> Vec<(Arc<str>, u64)> {
        self.turn(now);
        let mut sums = self.before.counts.clone();
        for (sku, count) in &self.now.counts {
            *sums.entry(Arc::clone(sku)).or_default() += count;
        }
        let mut top: Vec<(Arc<str>, u64)> = sums.into_iter().collect();
        top.sort_by(|(one, a), (other, b)| b.cmp(a).then_with(|| one.cmp(other)));
        top.truncate(SHOWN);
        top
    }

    fn turn(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.began);
        if since >= WINDOW {
            let over = std::mem::take(&mut self.now);
            self.before = if since < 2 * WINDOW { over } else { SpaceSaving::default() };
            self.began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_most_is_found_among_more_skus_than_are_counted() {
        let now = Instant::now();
        let mut hot = Hot::new(now);
        for round in 0..10_000_u32 {
            hot.note("DROP-07", now);
            if round % 3 == 0 {
                hot.note("LIP-01", now);
            }
            hot.note(&format!("RARE-{round}"), now);
        }
        let top = hot.top(now);
        assert_eq!((&*top[0].0, &*top[1].0, top.len()), ("DROP-07", "LIP-01", SHOWN));
        assert!(top[0].1 >= 10_000 && top[1].1 >= 3_334, "never fewer than there were: {top:?}");
        assert_eq!((hot.now.counts.len(), hot.now.by_count.len()), (COUNTED, COUNTED));
    }

    #[test]
    fn what_was_hot_before_the_last_window_is_not() {
        let began = Instant::now();
        let mut hot = Hot::new(began);
        hot.note("DROP-07", began);
        let next = began + WINDOW;
        hot.note("LIP-01", next);
        assert_eq!(hot.top(next).len(), 2);
        let names = |top: Vec<(Arc<str>, u64)>| top.into_iter().map(|(sku, _)| sku.to_string()).collect::<Vec<_>>();
        assert_eq!(names(hot.top(next + WINDOW)), ["LIP-01"]);
        assert!(hot.top(next + 9 * WINDOW).is_empty());
    }
}
