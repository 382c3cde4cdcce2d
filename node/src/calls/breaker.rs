//! The circuit breakers of endpoints, one each, of this node: an endpoint that does not answer is left alone for a while, so that it is
//! not buried under attempts, and orders do not wait for it in vain.
//!
//! After M. Nygard, "Release It!": closed, open, half-open.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_inventory::EndpointId;
use holdfast_raft::meta::EndpointSpec;
use tokio::time::Instant;

use crate::metrics;

/// Those of one node.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<BTreeMap<EndpointId, Breaker>>);

/// An endpoint that has none is called.
#[derive(Clone, Copy, Debug)]
struct Breaker {
    /// Attempts in a row that came to nothing.
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It is called.
    Closed,
    /// It is left alone until then.
    Open { until: Instant },
    /// One attempt is under way that shows whether it is called again.
    HalfOpen,
}

impl Breakers {
    /// Whether it may be called now.
    pub(super) fn admits(&self, endpoint: &EndpointId, now: Instant) -> bool {
        self.lock().get(endpoint).is_none_or(|breaker| breaker.admits(now))
    }

    /// Begins an attempt, if it may be called now.
    pub(super) fn begin(&self, endpoint: &EndpointId, now: Instant) -> bool {
        let mut breakers = self.lock();
        let Some(breaker) = breakers.get_mut(endpoint) else { return true };
        let admits = breaker.admits(now);
        if admits && matches!(breaker.state, State::Open { .. }) {
            breaker.state = State::HalfOpen;
        }
        admits
    }

    /// It has answered, whatever it said.
    pub(super) fn succeeded(&self, endpoint: &EndpointId) {
        let breaker = self.lock().remove(endpoint);
        if breaker.is_some_and(|breaker| !matches!(breaker.state, State::Closed)) {
            tracing::info!(%endpoint, "an endpoint answers again");
            metrics::breaker_is_open(endpoint, false);
        }
    }

    /// It has not answered.
    pub(super) fn failed(&self, endpoint: &EndpointId, spec: &EndpointSpec, now: Instant) {
        let mut breakers = self.lock();
        let breaker = breakers.entry(endpoint.clone()).or_insert(Breaker { failures: 0, state: State::Closed });
        breaker.failures = breaker.failures.saturating_add(1);
        match breaker.state {
            // One that was under way when it opened.
            State::Open { .. } => return,
            State::Closed if breaker.failures < spec.breaker_failures => return,
            State::Closed | State::HalfOpen => {}
        }
        let failures = breaker.failures;
        breaker.state = State::Open { until: now + std::time::Duration::from_millis(spec.breaker_open_ms) };
        tracing::warn!(%endpoint, failures, "an endpoint does not answer; it is left alone for a while");
        metrics::breaker_is_open(endpoint, true);
    }

    /// It was not asked after all: another attempt shows whether it answers.
    pub(super) fn abandoned(&self, endpoint: &EndpointId, now: Instant) {
        if let Some(breaker) = self.lock().get_mut(endpoint)
            && matches!(breaker.state, State::HalfOpen)
        {
            breaker.state = State::Open { until: now };
        }
    }

    /// Forgets the others.
    pub(super) fn keep_only(&self, is_kept: impl Fn(&EndpointId) -> bool) {
        self.lock().retain(|endpoint, _| is_kept(endpoint));
    }

    /// Those that are left alone.
    pub(crate) fn open(&self, now: Instant) -> Vec<EndpointId> {
        let breakers = self.lock();
        let open = breakers.iter().filter(|(_, breaker)| !breaker.admits(now));
        open.map(|(endpoint, _)| endpoint.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Breaker {
    fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until } => now >= until,
            State::HalfOpen => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use holdfast_raft::meta::Fallback;

    use super::*;

    fn spec() -> EndpointSpec {
        EndpointSpec {
            url: "http://pay.shop/".to_owned(),
            timeout_ms: 100,
            breaker_failures: 3,
            breaker_open_ms: 1_000,
            fallback: Fallback::None,
        }
    }

    #[test]
    fn an_endpoint_that_does_not_answer_is_left_alone_and_then_tried_once() {
        let (breakers, endpoint, begin) = (Breakers::default(), "payments".parse().unwrap(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        for _ in 0..3 {
            assert!(breakers.begin(&endpoint, at(0)));
            breakers.failed(&endpoint, &spec(), at(0));
        }
        assert_eq!((breakers.admits(&endpoint, at(999)), breakers.open(at(999)).len()), (false, 1));
        assert!(breakers.begin(&endpoint, at(1_000)), "one attempt");
        assert!(!breakers.begin(&endpoint, at(1_000)), "and no second beside it");
        breakers.abandoned(&endpoint, at(1_000));
        assert!(breakers.begin(&endpoint, at(1_000)), "it was not asked: another one");
        breakers.failed(&endpoint, &spec(), at(1_100));
        assert!(!breakers.admits(&endpoint, at(2_099)));
        assert!(breakers.begin(&endpoint, at(2_100)));
        breakers.succeeded(&endpoint);
        assert!(breakers.begin(&endpoint, at(2_100)) && breakers.begin(&endpoint, at(2_100)));
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let (breakers, endpoint, now) = (Breakers::default(), "payments".parse().unwrap(), Instant::now());
        for round in 0..9 {
            breakers.failed(&endpoint, &spec(), now);
            breakers.failed(&endpoint, &spec(), now);
            assert!(breakers.admits(&endpoint, now), "round {round}");
            breakers.succeeded(&endpoint);
        }
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_make_it_longer() {
        let (breakers, endpoint, begin) = (Breakers::default(), "payments".parse().unwrap(), Instant::now());
        (0..3).for_each(|_| breakers.failed(&endpoint, &spec(), begin));
        breakers.failed(&endpoint, &spec(), begin + Duration::from_millis(900));
        assert!(breakers.admits(&endpoint, begin + Duration::from_millis(1_000)));
    }
}
