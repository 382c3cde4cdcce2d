//! How the cluster's log time stands to the harness's clock: leaders stamp by the wall clocks of their machines.

use std::time::Duration;

use holdfast_world::Clock;

use crate::checkers::LogTimeBound;

/// What the wall clock shows at the harness's time zero, as it was seen at several times: a clock that is set meanwhile shows
/// here.
#[derive(Debug)]
pub struct LogTime {
    zero_ms: u64,
    earliest_ms: u64,
    latest_ms: u64,
}

/// Clocks are read in whole milliseconds, twice for a stamp, and here twice more.
const ROUNDING_MS: u64 = 5;

impl LogTime {
    /// As it is now.
    #[must_use]
    pub fn new(clock: &dyn Clock) -> Self {
        let zero_ms = zero(clock);
        Self { zero_ms, earliest_ms: zero_ms, latest_ms: zero_ms }
    }

    /// Looks again.
    pub fn look(&mut self, clock: &dyn Clock) {
        let zero_ms = zero(clock);
        self.earliest_ms = self.earliest_ms.min(zero_ms);
        self.latest_ms = self.latest_ms.max(zero_ms);
    }

    /// What log times there may be, where wall clocks were off by at most so much.
    #[must_use]
    pub fn bound(&self, off: Duration) -> LogTimeBound {
        let off_ms = u64::try_from(off.as_millis()).unwrap_or(u64::MAX).saturating_add(ROUNDING_MS);
        LogTimeBound {
            zero_ms: self.zero_ms,
            behind_ms: (self.zero_ms - self.earliest_ms).saturating_add(off_ms),
            ahead_ms: (self.latest_ms - self.zero_ms).saturating_add(off_ms),
        }
    }
}

fn zero(clock: &dyn Clock) -> u64 {
    let monotonic = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    clock.wall_ms().saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct SetClock(AtomicU64);

    impl Clock for SetClock {
        fn wall_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(1_000)
        }
    }

    #[test]
    fn a_wall_clock_that_is_set_widens_the_bound_and_so_do_skews() {
        let clock = SetClock(AtomicU64::new(51_000));
        let mut time = LogTime::new(&clock);
        let bound = |behind_ms, ahead_ms| LogTimeBound { zero_ms: 50_000, behind_ms, ahead_ms };
        assert_eq!(time.bound(Duration::ZERO), bound(5, 5));
        clock.0.store(51_700, Ordering::Relaxed);
        time.look(&clock);
        clock.0.store(50_900, Ordering::Relaxed);
        time.look(&clock);
        assert_eq!(time.bound(Duration::from_millis(10)), bound(115, 715));
    }
}
