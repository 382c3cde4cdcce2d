//! How long answers take: gathered by many tasks, told by percentiles.

use std::sync::Mutex;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer times count as this: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// Times from question to answer, retries included, in microseconds.
#[derive(Debug)]
pub struct Latency(Mutex<Histogram<u64>>);

impl Default for Latency {
    fn default() -> Self {
        Self(Mutex::new(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order")))
    }
}

impl Latency {
    /// Takes one time into account.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // A thread that panicked here leaves a histogram that is still whole.
        let mut times = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        times.saturating_record(us);
    }

    /// The times of several together.
    pub fn sum(of: &[Self]) -> Histogram<u64> {
        let mut sum = Self::default().times();
        for times in of {
            sum.add(times.times()).expect("all have the same bounds");
        }
        sum
    }

    /// The times so far.
    pub fn times(&self) -> Histogram<u64> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

/// Percentiles, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50: u64,
    /// 99 of 100 were.
    pub p99: u64,
    /// 999 of 1 000 were.
    pub p999: u64,
    /// The slowest.
    pub max: u64,
}

impl Percentiles {
    /// Those of a histogram in microseconds.
    pub fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile| times.value_at_quantile(quantile);
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: times.max() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_several_are_told_together_and_the_slowest_is_exact_to_a_thousandth() {
        let several = [Latency::default(), Latency::default()];
        for us in 1..=1_000 {
            several[us % 2].record(Duration::from_micros(us as u64));
        }
        several[0].record(Duration::from_secs(2));
        let told = Percentiles::of(&Latency::sum(&several));
        assert_eq!((told.p50, told.p99), (501, 991));
        assert!((2_000_000..2_002_000).contains(&told.max), "{told:?}");
    }
}
