//! Whether and when a command or a read is asked again.
//!
//! Promises that a caller's deadline bounds everything, that pauses grow and are spread at random, that a client's
//! retries cannot become a storm (the budget), and that the last answer says what all the attempts together mean.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1::{Effect, ErrorReason, Retry};
use holdfast_world::World;
use tokio::time::Instant;

use crate::answer::{Error, Failure};
use crate::options::ClientOptions;

/// What the attempts made so far say of one command.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    attempts: u32,
    /// An attempt may have been decided without our having heard.
    may_be_done: bool,
}

impl Standing {
    /// Takes an attempt's error in: `Ok` with it where another attempt may follow, else what is to be told to the caller.
    pub(crate) fn judge(&mut self, error: Error) -> Result<Error, Error> {
        self.attempts += 1;
        self.may_be_done |= error.is_unknown();
        let again = match &error {
            // Sold out without a log entry says nothing of an earlier attempt that may still be decided.
            Error::Refused(failure) => {
                self.may_be_done && is_unrecorded(failure) && !is_on(Mutation::UnrecordedTakenAsFinal)
            }
            Error::NotAdmitted(failure) | Error::Unknown(failure) => failure.retry == Retry::SameKey,
        };
        if again { Ok(error) } else { Err(self.told(error)) }
    }

    /// Whether an attempt may have been decided, or may be yet.
    pub(crate) fn may_be_done(&self) -> bool {
        self.may_be_done
    }

    /// Takes in what is known of another command that shares this one's fate.
    pub(crate) fn join(&mut self, other: Self) {
        self.attempts = self.attempts.max(other.attempts);
        self.may_be_done |= other.may_be_done;
    }

    /// The last attempt's error as what all attempts together mean.
    pub(crate) fn told(&self, mut error: Error) -> Error {
        error.failure_mut().attempts = self.attempts;
        let unrecorded = is_unrecorded(error.failure()) && !is_on(Mutation::UnrecordedTakenAsFinal);
        match error {
            Error::NotAdmitted(mut failure) | Error::Refused(mut failure)
                if self.may_be_done && (unrecorded || failure.retry == Retry::SameKey) =>
            {
                failure.metadata.insert("last_reason".to_owned(), failure.reason.name().to_owned());
                failure.message = format!("an attempt may have been done; the last one: {}", failure.message);
                failure.reason = ErrorReason::OutcomeUnknown;
                failure.retry = Retry::SameKey;
                failure.effect = Effect::Unknown;
                Error::Unknown(failure)
            }
            other => other,
        }
    }
}

/// Whether nothing was written, and the id is unused.
fn is_unrecorded(failure: &Failure) -> bool {
    failure.metadata.get("recorded").is_some_and(|recorded| recorded == "false")
}

/// The pauses of one call.
#[derive(Debug)]
pub(crate) struct Pacer<'a> {
    world: &'a World,
    options: &'a ClientOptions,
    budget: &'a RetryBudget,
    pub(crate) deadline: Instant,
    pauses: u32,
    followed_a_hint: bool,
}

impl<'a> Pacer<'a> {
    pub(crate) fn new(options: &'a ClientOptions, budget: &'a RetryBudget, deadline: Instant) -> Self {
        Self { world: &options.world, options, budget, deadline, pauses: 0, followed_a_hint: false }
    }

    /// When the attempt that begins now is given up.
    pub(crate) fn attempt_ends(&self) -> Instant {
        self.deadline.min(Instant::now() + self.options.attempt_timeout)
    }

    /// Waits for the next attempt; false where the deadline would be past.
    pub(crate) async fn pause(&mut self, hinted: bool, retry_after: Option<Duration>) -> bool {
        if hinted && !self.followed_a_hint {
            // Once a call: as many retries as calls is no storm.
            self.followed_a_hint = true;
            return Instant::now() < self.deadline;
        }
        loop {
            let pause = self.next_pause(retry_after);
            if Instant::now() + pause >= self.deadline {
                return false;
            }
            tokio::time::sleep(pause).await;
            if self.budget.take(self.world.clock.monotonic()) {
                return true;
            }
        }
    }

    fn next_pause(&mut self, retry_after: Option<Duration>) -> Duration {
        let ceiling = self.options.backoff_base.saturating_mul(1 << self.pauses.min(16)).min(self.options.backoff_max);
        self.pauses += 1;
        let floor = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        floor + ceiling / 2 + jitter(self.world, ceiling / 2)
    }
}

/// A node that says to come back later than this is not believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A time below `bound`, evenly spread.
fn jitter(world: &World, bound: Duration) -> Duration {
    let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(if bound_us == 0 { 0 } else { world.entropy.next_u64() % bound_us })
}

/// A bucket of retries, filled by time and by calls that ended well: a tenth of a retry for each.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    burst: f64,
    per_second: f64,
    successes: AtomicU64,
    level: Mutex<Level>,
}

#[derive(Debug)]
struct Level {
    retries: f64,
    at: Duration,
}

impl RetryBudget {
    const FOR_A_SUCCESS: f64 = 0.1;

    pub(crate) fn new(burst: u32, per_second: u32, now: Duration) -> Self {
        Self {
            burst: burst.into(),
            per_second: per_second.into(),
            successes: AtomicU64::new(0),
            level: Mutex::new(Level { retries: burst.into(), at: now }),
        }
    }

    /// A call has ended well.
    pub(crate) fn succeeded(&self) {
        self.successes.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one retry out, if there is one. `now` is monotonic time.
    pub(crate) fn take(&self, now: Duration) -> bool {
        let earned = self.successes.swap(0, Ordering::Relaxed) as f64 * Self::FOR_A_SUCCESS;
        let mut level = self.level.lock().expect("nothing panics while it holds the level");
        let passed = now.saturating_sub(level.at).as_secs_f64();
        level.retries = (level.retries + earned + passed * self.per_second).min(self.burst);
        level.at = now;
        let allowed = level.retries >= 1.0;
        if allowed {
            level.retries -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use holdfast_proto::v1::CommandError;

    use super::*;

    fn error(reason: ErrorReason) -> Error {
        CommandError::of(reason, "so").into()
    }

    #[test]
    fn what_is_not_admitted_is_asked_again_unless_the_input_is_at_fault() {
        assert!(Standing::default().judge(error(ErrorReason::Overloaded)).is_ok());
        assert!(Standing::default().judge(error(ErrorReason::NotLeader)).is_ok());
        assert!(Standing::default().judge(error(ErrorReason::InvalidArgument)).is_err());
        assert!(Standing::default().judge(error(ErrorReason::IdFromFuture)).is_err());
    }

    #[test]
    fn a_refusal_is_final_even_after_an_unknown_attempt() {
        let mut standing = Standing::default();
        assert!(standing.judge(error(ErrorReason::OutcomeUnknown)).is_ok());
        let told = standing.judge(error(ErrorReason::InsufficientStock)).unwrap_err();
        assert!(told.is_refused());
        assert_eq!(told.failure().attempts, 2);
    }

    #[test]
    fn sold_out_without_a_log_entry_is_not_final_after_an_unknown_attempt() {
        let unrecorded = || Error::from(CommandError::of(ErrorReason::InsufficientStock, "so").with("recorded", false));
        assert!(Standing::default().judge(unrecorded()).unwrap_err().is_refused());
        let mut standing = Standing::default();
        assert!(standing.judge(error(ErrorReason::OutcomeUnknown)).is_ok());
        let last = standing.judge(unrecorded()).unwrap();
        assert!(standing.told(last).is_unknown());
    }

    #[test]
    fn not_admitted_after_an_unknown_attempt_is_unknown() {
        let mut standing = Standing::default();
        assert!(standing.judge(error(ErrorReason::OutcomeUnknown)).is_ok());
        let last = standing.judge(error(ErrorReason::Overloaded)).unwrap();
        let told = standing.told(last);
        assert!(told.is_unknown());
        assert_eq!(told.reason(), ErrorReason::OutcomeUnknown);
        assert_eq!(told.failure().metadata.get("last_reason").map(String::as_str), Some("OVERLOADED"));
    }

    #[test]
    fn an_id_too_old_is_unknown_and_not_asked_again() {
        assert!(Standing::default().judge(error(ErrorReason::IdTooOld)).unwrap_err().is_unknown());
    }

    #[test]
    fn the_budget_allows_a_burst_and_then_what_time_and_successes_earn() {
        let budget = RetryBudget::new(2, 1, Duration::ZERO);
        assert_eq!([(); 3].map(|()| budget.take(Duration::ZERO)), [true, true, false]);
        assert!(budget.take(Duration::from_secs(1)));
        assert!(!budget.take(Duration::from_secs(1)));
        (0..10).for_each(|_| budget.succeeded());
        assert!(budget.take(Duration::from_secs(1)));
        assert!(!budget.take(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_stay_bounded_and_end_at_the_deadline() {
        let options = ClientOptions::new(["a:1"]);
        let budget = RetryBudget::new(100, 100, Duration::ZERO);
        let mut pacer = Pacer::new(&options, &budget, Instant::now() + Duration::from_secs(3));
        let pauses: Vec<Duration> = (0..12).map(|_| pacer.next_pause(None)).collect();
        assert!(pauses[0] <= options.backoff_base);
        assert!(pauses.iter().all(|pause| *pause <= options.backoff_max));
        assert!(pauses[11] >= options.backoff_max / 2);
        assert!(pacer.next_pause(Some(Duration::from_millis(700))) >= Duration::from_millis(700));
        assert!(pacer.pause(true, None).await);
        while pacer.pause(true, None).await {}
        assert!(Instant::now() < pacer.deadline);
    }
}
