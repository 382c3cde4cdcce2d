//! When each event of a trace is due.

use std::time::Duration;

/// No event waits longer than this: a clock that is far off is not waited for, and no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Turns the times of a trace into times since the replay began.
#[derive(Debug)]
pub(super) struct Pace {
    speed: Option<f64>,
    /// Of the first event, in seconds since the Unix epoch.
    first_s: Option<u64>,
}

impl Pace {
    /// So many times as fast as it was recorded; `None`: as fast as it goes.
    pub(super) const fn new(speed: Option<f64>) -> Self {
        Self { speed, first_s: None }
    }

    /// How long after the replay began an event recorded at `at_s` is due; `None`: at once. The first one is due when the
    /// replay begins, and so is one that was recorded before it.
    pub(super) fn due_after(&mut self, at_s: u64) -> Option<Duration> {
        let speed = self.speed?;
        let since_first = at_s.saturating_sub(*self.first_s.get_or_insert(at_s));
        #[allow(clippy::cast_precision_loss)] // seconds of a trace
        let due = Duration::try_from_secs_f64(since_first as f64 / speed);
        Some(due.map_or(LONGEST, |due| due.min(LONGEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due_at(speed: f64, times: &[u64]) -> Vec<f64> {
        let mut pace = Pace::new(Some(speed));
        times.iter().map(|at_s| pace.due_after(*at_s).expect("it is paced").as_secs_f64()).collect()
    }

    #[test]
    fn the_first_event_is_due_at_once_and_the_others_as_far_apart_as_recorded_divided_by_the_speed() {
        let times = [1_569_888_000, 1_569_888_000, 1_569_888_001, 1_569_888_060];
        assert_eq!(due_at(1.0, &times), [0.0, 0.0, 1.0, 60.0]);
        assert_eq!(due_at(60.0, &times)[3], 1.0);
        assert_eq!(due_at(0.5, &times), [0.0, 0.0, 2.0, 120.0]);
    }

    #[test]
    fn an_event_recorded_before_the_first_is_due_at_once_and_moves_no_other() {
        assert_eq!(due_at(2.0, &[100, 40, 104]), [0.0, 0.0, 2.0]);
    }

    #[test]
    fn no_speed_means_no_wait() {
        assert_eq!(Pace::new(None).due_after(5), None);
    }

    #[test]
    fn no_speed_and_no_time_is_too_extreme() {
        for speed in [f64::MIN_POSITIVE, 1e-300, 1e-9, 1.0, f64::MAX] {
            for due in due_at(speed, &[0, 1, u64::MAX]) {
                assert!((0.0..=LONGEST.as_secs_f64()).contains(&due), "{speed}: {due}");
            }
        }
    }
}
