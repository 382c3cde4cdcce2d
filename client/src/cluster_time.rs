//! Cluster time as this client knows it, and the ids it mints from it.
//!
//! Promises never to be ahead of the latest log time learned plus the time since: an id is minted in the cluster's time,
//! not in that of the machine the caller runs on. Log times of the shards differ a little; the greatest counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use holdfast_world::{Clock, World};

/// An estimate of cluster time, carried on by the monotonic clock.
#[derive(Debug)]
pub(crate) struct ClusterTime {
    clock: Arc<dyn Clock>,
    /// Cluster time less monotonic time, in milliseconds; `UNKNOWN` until the first reply.
    ahead_ms: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl ClusterTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ahead_ms: AtomicI64::new(UNKNOWN) }
    }

    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.clock.monotonic().as_millis()).unwrap_or(i64::MAX)
    }

    /// Takes a reply's log time into account; 0 says nothing.
    pub(crate) fn learn(&self, log_time_ms: u64) {
        let Ok(log_time_ms) = i64::try_from(log_time_ms) else { return };
        if log_time_ms > 0 {
            self.ahead_ms.fetch_max(log_time_ms.saturating_sub(self.monotonic_ms()), Ordering::Relaxed);
        }
    }

    /// Milliseconds since the Unix epoch. Before any reply told a time it is the wall clock's.
    pub(crate) fn now_ms(&self) -> u64 {
        match self.ahead_ms.load(Ordering::Relaxed) {
            UNKNOWN => self.clock.wall_ms(),
            ahead_ms => u64::try_from(self.monotonic_ms().saturating_add(ahead_ms)).unwrap_or(0),
        }
    }
}

/// Random bits for ids: a hash over a seed drawn once and a counter, so that minting makes no system call.
#[derive(Debug)]
pub(crate) struct RandomBits {
    seed: u128,
    drawn: AtomicU64,
}

impl RandomBits {
    pub(crate) fn new(world: &World) -> Self {
        Self { seed: world.entropy.next_u128(), drawn: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> u128 {
        let mut input = [0; 24];
        input[..16].copy_from_slice(&self.seed.to_le_bytes());
        input[16..].copy_from_slice(&self.drawn.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        xxhash_rust::xxh3::xxh3_128(&input)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    #[derive(Debug, Default)]
    struct SetClock(Mutex<Duration>);

    impl Clock for SetClock {
        fn wall_ms(&self) -> u64 {
            77
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn cluster_time_is_the_greatest_log_time_learned_and_what_has_passed_since() {
        let clock = Arc::new(SetClock::default());
        let time = ClusterTime::new(clock.clone());
        assert_eq!(time.now_ms(), 77);
        time.learn(1_000_000);
        *clock.0.lock().unwrap() = Duration::from_millis(250);
        assert_eq!(time.now_ms(), 1_000_250);
        time.learn(1_000_100);
        time.learn(0);
        assert_eq!(time.now_ms(), 1_000_250);
        time.learn(1_000_400);
        assert_eq!(time.now_ms(), 1_000_400);
    }

    #[test]
    fn random_bits_do_not_repeat() {
        let bits = RandomBits { seed: 1, drawn: AtomicU64::new(0) };
        let drawn: std::collections::BTreeSet<u128> = (0..10_000).map(|_| bits.next()).collect();
        assert_eq!(drawn.len(), 10_000);
    }
}
