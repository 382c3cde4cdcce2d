//! Once nothing is broken any more, the cluster serves again: every operation asked later than a grace is answered within a
//! stated time, and its outcome is known.

use std::time::Duration;

use super::Finding;
use crate::history::{Asked, History, Outcome, Request};

const NAME: &str = "healed";

/// What is promised after the last fault.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// How long the cluster may take to find its leaders again.
    pub grace: Duration,
    /// How long an operation may take after that.
    pub answer: Duration,
}

/// Checks what was asked after the grace. `healed_us`: when the last fault was over; `now_us`: when the history was taken,
/// so that what was asked only just before says nothing.
#[must_use]
pub fn check(history: &History, healed_us: u64, now_us: u64, promise: &Promise) -> Vec<Finding> {
    let in_us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let from_us = healed_us.saturating_add(in_us(promise.grace));
    let answer_us = in_us(promise.answer);
    let mut findings = Vec::new();
    for record in history.records.iter().filter(|record| record.call_us >= from_us) {
        let took_us = record.return_us.unwrap_or(now_us).saturating_sub(record.call_us);
        let is_known = match &record.outcome {
            Outcome::Answered(_) | Outcome::Seen { .. } => true,
            Outcome::NotAdmitted(reason) => reason == "INVALID_ARGUMENT" && has_its_time(&record.asked),
            Outcome::Unknown(_) => record.return_us.is_none() && took_us <= answer_us,
        };
        if !is_known || took_us > answer_us {
            let after_ms = (record.call_us - healed_us) / 1_000;
            let what = format!(
                "asked {after_ms} ms after the last fault, {} ms without a good answer:\n    {record}",
                took_us / 1_000
            );
            findings.push(Finding::new(NAME, what));
        }
    }
    findings
}

/// Whether it may be asked again after its own time: a commit that is to be cancelled at an instant that has passed is out of range.
fn has_its_time(asked: &Asked) -> bool {
    let Asked::Commands(commands) = asked else { return false };
    commands.iter().all(|command| matches!(command.request, Request::CommitUntil { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, unknown};
    use crate::history::Id;

    const PROMISE: Promise = Promise { grace: Duration::from_millis(100), answer: Duration::from_millis(10) };

    fn findings(story: &Story) -> usize {
        check(&story.0, 1_000_000, 2_000_000, &PROMISE).len()
    }

    #[test]
    fn what_is_answered_in_time_or_was_asked_before_is_good() {
        let story = Story::default().command(1, 900, 0, receive("A", 1), unknown());
        assert_eq!(findings(&story.command(2, 1_200, 1_210, receive("A", 1), done(1, 1))), 0);
    }

    #[test]
    fn what_is_not_answered_or_late_or_unknown_is_found() {
        let after = |back, outcome| findings(&Story::default().command(1, 1_200, back, receive("A", 1), outcome));
        assert_eq!(after(0, unknown()), 1);
        assert_eq!(after(1_202, unknown()), 1);
        assert_eq!(after(1_202, Outcome::NotAdmitted("UNAVAILABLE".to_owned())), 1);
        let invalid = || Outcome::NotAdmitted("INVALID_ARGUMENT".to_owned());
        assert_eq!(after(1_202, invalid()), 1, "what was good once is good again");
        let until = Request::CommitUntil { reservation: Id(1), cancel_at_ms: 5 };
        assert_eq!(findings(&Story::default().command(1, 1_200, 1_202, until, invalid())), 0, "its time has passed");
        assert_eq!(after(1_211, done(1, 1)), 1);
    }
}
