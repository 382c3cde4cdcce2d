//! Of a family of SKUs over several shards nobody has more than one customer may have together, at any instant, as far as it was told;
//! and once nothing is broken any more, nobody is refused who may have it.
//!
//! Knows nothing of counters: it adds up what was acknowledged. A hold counts from its acknowledgement to the first time that anybody asks
//! to give it back, or that it may have expired; what is sold until somebody asks to cancel it.

use std::collections::BTreeMap;

use super::{Finding, LogTimeBound};
use crate::history::{Answer, Asked, History, Id, Operation, Refused, Request, Standing, operations};

const NAME: &str = "shared_limits";
/// How long what was given back may still be counted elsewhere, where nothing is broken.
const TOLD_WITHIN_US: u64 = 2_000_000;
/// How long an attempt that came to nothing may still be counted: shards ask ten seconds later.
const GIVEN_UP_WITHIN_US: u64 = 15_000_000;
/// The end of time.
const NEVER: u64 = u64::MAX;

/// One hold of a customer.
struct Hold<'a> {
    family: &'a str,
    customer: u8,
    units: u64,
    most: u64,
    asked_us: u64,
    returned_us: u64,
    expires_ms: Option<u64>,
    refused: Option<&'a Refused>,
    /// It was sold, or may be.
    sold: bool,
    may_be_sold: bool,
    /// When it was acknowledged that it is given back, and when somebody first asked for that, whatever came of it.
    given_back_us: Option<u64>,
    give_back_asked_us: u64,
    operation: &'a Operation<'a>,
}

/// Checks every family. `calm_us`: from when on nothing is broken and leaders are found again, if ever.
#[must_use]
pub fn check(history: &History, bound: &LogTimeBound, calm_us: Option<u64>) -> Vec<Finding> {
    let operations = operations(history);
    let holds = holds(&operations);
    let mut findings = beyond(&holds, bound);
    for hold in holds.values().filter(|hold| calm_us.is_some_and(|calm| hold.asked_us >= calm + TOLD_WITHIN_US)) {
        let Some(refused) = hold.refused.filter(|refused| refused.reason == "CUSTOMER_LIMIT_EXCEEDED") else {
            continue;
        };
        let others = holds.values().filter(|other| (other.family, other.customer) == (hold.family, hold.customer));
        let counted: u64 = others.filter(|other| other.may_count(hold, bound)).map(|other| other.units).sum();
        if counted + hold.units <= hold.most {
            let (customer, units, most) = (hold.customer, hold.units, hold.most);
            let what = format!("customer {customer} asked for {units} of {most} with {counted} at most: {refused:?}");
            findings.push(hold.finding(&what));
        }
    }
    findings
}

fn holds<'a>(operations: &'a [Operation<'a>]) -> BTreeMap<Id, Hold<'a>> {
    let mut holds: BTreeMap<Id, Hold<'a>> = BTreeMap::new();
    for operation in operations {
        let Asked::Commands(commands) = operation.asked else { continue };
        let answers = if let Standing::Decided(answers) = &operation.standing { Some(answers) } else { None };
        for (at, command) in commands.iter().enumerate() {
            let answer = answers.and_then(|answers| answers.get(at));
            if let Request::Reserve { reservation, lines, customer, together: most @ 1.., .. } = &command.request {
                let family = lines.first().map_or("", |line| line.sku.rsplit_once('-').map_or("", |(name, _)| name));
                let hold = Hold {
                    family,
                    customer: *customer,
                    units: lines.iter().map(|line| u64::from(line.units)).sum(),
                    most: u64::from(*most),
                    asked_us: operation.call_us,
                    returned_us: operation.return_us.unwrap_or(NEVER),
                    expires_ms: answer.and_then(|answer| match answer {
                        Answer::Done(done) => Some(done.expires_at_ms),
                        Answer::Refused(_) => None,
                    }),
                    refused: answer.and_then(|answer| match answer {
                        Answer::Done(_) => None,
                        Answer::Refused(refused) => Some(refused),
                    }),
                    sold: false,
                    may_be_sold: false,
                    given_back_us: None,
                    give_back_asked_us: NEVER,
                    operation,
                };
                holds.insert(*reservation, hold);
                continue;
            }
            let Some(hold) = command.request.reservation().and_then(|id| holds.get_mut(&id)) else { continue };
            let is_done = matches!(answer, Some(Answer::Done(_)));
            match command.request {
                Request::Commit { .. } => {
                    hold.sold |= is_done;
                    hold.may_be_sold = true;
                }
                Request::Release { .. } | Request::Cancel { .. } => {
                    hold.give_back_asked_us = hold.give_back_asked_us.min(operation.call_us);
                    if is_done {
                        hold.given_back_us = operation.return_us;
                    }
                }
                _ => {}
            }
        }
    }
    holds
}

impl Hold<'_> {
    /// From when to when it surely is the customer's; `None`: it never was, as far as is known.
    fn surely(&self, bound: &LogTimeBound) -> Option<(u64, u64)> {
        let expires_ms = self.expires_ms?;
        // The first instant at which some log time may be that of its expiry.
        let expires_us = expires_ms.saturating_sub(bound.most(0)).saturating_mul(1_000);
        let end = if self.sold { self.give_back_asked_us } else { self.give_back_asked_us.min(expires_us) };
        (self.returned_us < end).then_some((self.returned_us, end))
    }

    /// Whether it may have been counted when that other one was refused.
    fn may_count(&self, refused: &Self, bound: &LogTimeBound) -> bool {
        if self.asked_us > refused.returned_us || std::ptr::eq(self, refused) {
            return false;
        }
        let is_over = |ended_us: u64, within_us: u64| ended_us.saturating_add(within_us) < refused.asked_us;
        match (self.expires_ms, self.refused) {
            // One that the limit has refused was never counted: there is one counter for all of its lines.
            (None, Some(answer)) if answer.reason == "CUSTOMER_LIMIT_EXCEEDED" => false,
            (None, _) => !is_over(self.returned_us, GIVEN_UP_WITHIN_US),
            (Some(expires_ms), _) => {
                let is_given_back = self.given_back_us.is_some_and(|at| is_over(at, TOLD_WITHIN_US));
                let told_us = refused.asked_us.saturating_sub(TOLD_WITHIN_US);
                let has_expired = !self.may_be_sold && bound.least(told_us) > expires_ms;
                !is_given_back && !has_expired
            }
        }
    }

    fn finding(&self, what: &str) -> Finding {
        let record = self.operation.records.last().map(|record| format!("\n    {record}")).unwrap_or_default();
        Finding::new(NAME, format!("{}: {what}{record}", self.family))
    }
}

/// Instants at which somebody surely has more than one may have.
fn beyond(holds: &BTreeMap<Id, Hold<'_>>, bound: &LogTimeBound) -> Vec<Finding> {
    let sure: Vec<_> = holds.values().filter_map(|hold| Some((hold, hold.surely(bound)?))).collect();
    let mut findings = Vec::new();
    for (hold, (from, _)) in &sure {
        let is_same = |other: &Hold<'_>| (other.family, other.customer) == (hold.family, hold.customer);
        let there = sure.iter().filter(|(other, (begin, end))| is_same(other) && begin <= from && from < end);
        let units: u64 = there.map(|(other, _)| other.units).sum();
        if units > hold.most {
            findings.push(hold.finding(&format!("customer {} has {units} of {}", hold.customer, hold.most)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::checkers::stories::{Story, done};
    use crate::history::Line;

    const BOUND: LogTimeBound = LogTimeBound { zero_ms: 0, behind_ms: 0, ahead_ms: 0 };

    fn reserve(id: u128, sku: &str, units: u32) -> Request {
        let lines = vec![Line { sku: sku.to_owned(), units }];
        Request::Reserve { reservation: Id(id), lines, ttl_s: 600, over_shards: true, customer: 1, together: 3 }
    }

    fn held() -> crate::history::Outcome {
        crate::checkers::stories::held(1, 8, 1_000_000)
    }

    fn refused() -> crate::history::Outcome {
        crate::history::Outcome::Answered(vec![Answer::Refused(Refused {
            reason: "CUSTOMER_LIMIT_EXCEEDED".to_owned(),
            field: String::new(),
            details: BTreeMap::new(),
            is_final: true,
        })])
    }

    #[test]
    fn more_than_one_may_have_of_all_skus_together_is_found_and_what_was_given_back_before_does_not_count() {
        let story = || Story::default().command(1, 10, 12, reserve(1, "F-1", 2), held());
        let both = story().command(2, 20, 22, reserve(2, "F-2", 2), held());
        assert_eq!(check(&both.0, &BOUND, None).len(), 1);
        let other = story().command(2, 20, 22, reserve(2, "G-2", 2), held());
        assert_eq!(check(&other.0, &BOUND, None), []);
        let between = story().command(3, 13, 19, Request::Release { reservation: Id(1) }, done(1, 9));
        let between = between.command(2, 20, 22, reserve(2, "F-2", 2), held());
        assert_eq!(check(&between.0, &BOUND, None), []);
    }

    #[test]
    fn who_has_nothing_and_is_refused_is_found_once_it_is_calm() {
        let late = 5_000;
        let story = || Story::default().command(1, 10, 12, reserve(1, "F-1", 2), held());
        let full = story().command(2, late, late + 1, reserve(2, "F-2", 2), refused());
        assert_eq!(check(&full.0, &BOUND, Some(100)), [], "two and two are more than three");
        let given_back = story().command(3, 13, 19, Request::Release { reservation: Id(1) }, done(1, 9));
        let given_back = given_back.command(2, late, late + 1, reserve(2, "F-2", 2), refused());
        assert_eq!(check(&given_back.0, &BOUND, Some(100)).len(), 1);
        assert_eq!(check(&given_back.0, &BOUND, None), []);
    }
}
