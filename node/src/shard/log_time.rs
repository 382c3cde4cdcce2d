//! The stamps of a shard's log entries.
//!
//! Within a term log time advances by the leader's monotonic clock; at a term's start it is the greatest of the last stamp
//! and the wall clock. So it never goes back, and a wall clock that jumps moves nothing before the next term.

use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::LogTime;
use holdfast_mutation::{Mutation, is_on};
use holdfast_world::Clock;

/// The clock of one shard's leader.
#[derive(Debug)]
pub(super) struct LogClock {
    clock: Arc<dyn Clock>,
    term: Option<u64>,
    /// Log time at the start of the term, and the monotonic clock then.
    base: LogTime,
    since: Duration,
    last: LogTime,
}

impl LogClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, term: None, base: LogTime::default(), since: Duration::ZERO, last: LogTime::default() }
    }

    /// Log time now, in that term, after `applied`, which is the shard's.
    pub(super) fn now(&mut self, term: u64, applied: LogTime) -> LogTime {
        if self.term != Some(term) {
            self.term = Some(term);
            let mut wall_ms = self.clock.wall_ms();
            if is_on(Mutation::WallClockLeaks) {
                let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                wall_ms = u64::try_from(real.as_millis()).unwrap_or(u64::MAX);
            }
            self.base = LogTime(wall_ms).max(self.last).max(applied);
            self.since = self.clock.monotonic();
        }
        let elapsed = self.clock.monotonic().saturating_sub(self.since);
        let now = self.base.plus_ms(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.last = self.last.max(now).max(applied);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct TestClock {
        wall_ms: AtomicU64,
        monotonic_ms: AtomicU64,
    }

    impl Clock for TestClock {
        fn wall_ms(&self) -> u64 {
            self.wall_ms.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.monotonic_ms.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn within_a_term_a_jump_of_the_wall_clock_moves_nothing() {
        let clock = Arc::new(TestClock::default());
        clock.wall_ms.store(1_000, Ordering::Relaxed);
        let mut log = LogClock::new(clock.clone());
        assert_eq!(log.now(1, LogTime(0)), LogTime(1_000));
        clock.wall_ms.store(9_000, Ordering::Relaxed);
        clock.monotonic_ms.store(5, Ordering::Relaxed);
        assert_eq!(log.now(1, LogTime(1_000)), LogTime(1_005));
    }

    #[test]
    fn a_term_never_starts_before_the_last_stamp() {
        let clock = Arc::new(TestClock::default());
        clock.wall_ms.store(1_000, Ordering::Relaxed);
        let mut log = LogClock::new(clock.clone());
        assert_eq!(log.now(1, LogTime(7_000)), LogTime(7_000));
        clock.wall_ms.store(500, Ordering::Relaxed);
        assert_eq!(log.now(2, LogTime(6_000)), LogTime(7_000));
        clock.wall_ms.store(8_000, Ordering::Relaxed);
        assert_eq!(log.now(3, LogTime(7_000)), LogTime(8_000));
    }
}
