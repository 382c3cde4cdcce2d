//! The shortest history that still fails.
//!
//! Something may be dropped only where dropping cannot make a good history bad: what is left must prove what the whole
//! proved. What that is depends on the checker.
//!
//! - `linearizable`: the history of one group of SKUs that no reservation ties to others (judged alone as it is), cut to a
//!   prefix: what had not returned by then is of unknown outcome. A prefix of a good history is good, so the first prefix
//!   that fails is found by halving. Of it, whole operations that changed nothing are dropped: reads, refused commands, and
//!   commands of which no attempt did anything; an order that explains the rest with them explains it without them. So are
//!   attempts without which an operation is the very same. Commands
//!   that were done stay, since others stand on them, and so do commands of unknown outcome, since they may explain what was
//!   seen.
//! - `exactly_once`, `tokens`: each breach is of two attempts, whatever else there is, so that any attempt may be dropped.
//! - `holds`: the commands of one reservation, all of them, since one that was asked for may be why it ended; of its reads
//!   those that are not needed are dropped.
//!
//! Other checkers need more than a history; of those the attempts are named that their findings name.

use std::collections::{BTreeMap, BTreeSet};

use super::{kind_of, smallest};
use crate::checkers::linearizable::{self, Effort};
use crate::checkers::{Finding, LogTimeBound, exactly_once, holds, tokens};
use crate::history::{Asked, History, Id, Operation, Outcome, Record, Request, Standing, Subject, operations};

/// How often a history is judged to make it shorter.
const MOST_CHECKS: usize = 400;
/// How much one of these judgements may cost: what they cannot decide counts as not failing.
const EFFORT: Effort = Effort { places: 50_000, operations: 3_000 };

/// A call, by its client and its instant: no client has two at one.
pub type CallId = (u64, u64);

/// A history that fails, and from which nothing was found that could still be left out.
#[derive(Clone, Debug)]
pub struct Shortest {
    /// The history.
    pub history: History,
    /// What was done to make it, for people.
    pub how: String,
}

/// The name of a call.
#[must_use]
pub fn id_of(record: &Record) -> CallId {
    (record.client, record.call_us)
}

/// The shortest history in which a checker (by its findings' name) still finds something; `None` where it needs more than a
/// history, or finds nothing in this one.
#[must_use]
pub fn shortest(history: &History, bound: &LogTimeBound, checker: &str) -> Option<Shortest> {
    match checker {
        "linearizable" => shortest_unexplained(history, bound),
        "unrecorded" => of_named(history, &exactly_once::check_unrecorded, |_| true),
        "exactly_once" => of_named(history, &exactly_once::check, |_| true),
        "tokens" => of_named(history, &tokens::check, |_| true),
        "holds" => of_named(history, &|history| holds::check(history, bound), is_read),
        _ => None,
    }
}

/// The calls of the commands and reservations that findings of a checker name; of the SKUs, where they name none of those.
#[must_use]
pub fn named(history: &History, findings: &[String], checker: &str) -> BTreeSet<CallId> {
    let of_checker = || findings.iter().filter(|finding| kind_of(finding) == checker);
    let ids: BTreeSet<Id> = of_checker().flat_map(|finding| ids_in(finding)).collect();
    let words: BTreeSet<&str> = of_checker().flat_map(|finding| finding.split([' ', ':', ','])).collect();
    let by_id: BTreeSet<CallId> = history.records.iter().filter(|record| has_id(record, &ids)).map(id_of).collect();
    if !by_id.is_empty() {
        return by_id;
    }
    let has_sku = |record: &&Record| skus_of(record).any(|sku| words.contains(sku));
    history.records.iter().filter(has_sku).map(id_of).collect()
}

fn is_read(record: &Record) -> bool {
    matches!(record.asked, Asked::Read(..))
}

/// The ids in a text: 32 digits of hexadecimal.
fn ids_in(text: &str) -> Vec<Id> {
    text.split(|letter: char| !letter.is_ascii_hexdigit())
        .filter(|word| word.len() == 32)
        .filter_map(|word| u128::from_str_radix(word, 16).ok().map(Id))
        .collect()
}

/// Whether a call is of one of these commands or reservations.
fn has_id(record: &Record, ids: &BTreeSet<Id>) -> bool {
    match &record.asked {
        Asked::Read(Subject::Reservation(id), _) => ids.contains(id),
        Asked::Read(Subject::Stock(_) | Subject::Count { .. } | Subject::Room(_) | Subject::Trace { .. }, _) => false,
        Asked::Commands(commands) => commands.iter().any(|command| {
            ids.contains(&command.id) || command.request.reservation().is_some_and(|id| ids.contains(&id))
        }),
    }
}

fn skus_of(record: &Record) -> impl Iterator<Item = &str> {
    let (read, commands): (Option<&str>, &[_]) = match &record.asked {
        Asked::Read(Subject::Stock(sku) | Subject::Count { sku, .. } | Subject::Trace { sku, .. }, _) => {
            (Some(sku), &[])
        }
        Asked::Read(Subject::Reservation(_) | Subject::Room(_), _) => (None, &[]),
        Asked::Commands(commands) => (None, commands),
    };
    read.into_iter().chain(commands.iter().flat_map(|command| command.request.skus()))
}

fn with(records: Vec<Record>) -> History {
    History { records, dropped: 0 }
}

fn is_breach(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.decided)
}

/// Of the calls that the first breach names those that are needed for it. Only what `may_go` is dropped.
fn of_named(
    history: &History,
    check: &dyn Fn(&History) -> Vec<Finding>,
    may_go: impl Fn(&Record) -> bool,
) -> Option<Shortest> {
    let findings = check(history);
    let finding = findings.iter().find(|finding| finding.decided)?.to_string();
    let quoted = |record: &Record| finding.contains(&record.to_string());
    let ids: BTreeSet<Id> = ids_in(&finding).into_iter().collect();
    let of_ids = |record: &&Record| has_id(record, &ids) || quoted(record);
    let mut records: Vec<Record> = history.records.iter().filter(of_ids).cloned().collect();
    if !is_breach(&check(&with(records.clone()))) {
        // The finding leans on something that it does not name.
        records = history.records.clone();
    }
    let named = records.len();
    let kept = drop_unneeded(&with(records), may_go, |history| is_breach(&check(history)));
    let how = format!(
        "of {} attempts {named} are of the ids that the finding names, and {} of them are enough",
        history.records.len(),
        kept.records.len()
    );
    Some(Shortest { history: kept, how })
}

/// Drops calls that are not needed to fail, of those that may go.
fn drop_unneeded(
    history: &History,
    may_go: impl Fn(&Record) -> bool,
    mut fails: impl FnMut(&History) -> bool,
) -> History {
    let candidates: Vec<usize> = (0..history.records.len()).filter(|at| may_go(&history.records[*at])).collect();
    let fixed: BTreeSet<usize> = (0..history.records.len()).filter(|at| !may_go(&history.records[*at])).collect();
    let of = |kept: &[usize]| {
        let kept: BTreeSet<usize> = kept.iter().copied().collect();
        let is_kept = |at: &usize| fixed.contains(at) || kept.contains(at);
        with((0..history.records.len()).filter(is_kept).map(|at| history.records[at].clone()).collect())
    };
    let mut checks = 0;
    let kept = smallest(&candidates, 0, |kept| {
        checks += 1;
        (checks <= MOST_CHECKS).then(|| fails(&of(kept)))
    });
    of(&kept)
}

fn shortest_unexplained(history: &History, bound: &LogTimeBound) -> Option<Shortest> {
    let fails = |history: &History| is_breach(&linearizable::check(history, bound, &Effort::default()));
    let mut groups: Vec<(BTreeSet<String>, History)> = linearizable::groups(history)
        .into_iter()
        .map(|skus| {
            let of_group = of_group(history, &skus);
            (skus, of_group)
        })
        .collect();
    groups.sort_by_key(|(_, history)| history.records.len());
    let (skus, whole) = groups.into_iter().find(|(_, history)| fails(history))?;
    let cut = first_failing_prefix(&whole, fails);
    let kept = drop_operations(&cut, |history| is_breach(&linearizable::check(history, bound, &EFFORT)));
    let kept = drop_repetitions(&kept);
    let skus: Vec<String> = skus.into_iter().collect();
    let how = format!(
        "of {} attempts {} are of {}; the shortest prefix that fails has {}, and {} of them are enough",
        history.records.len(),
        whole.records.len(),
        skus.join(", "),
        cut.records.len(),
        kept.records.len()
    );
    Some(Shortest { history: kept, how })
}

/// The calls that have to do with a group of SKUs: those that name one, and those of a reservation that may have lines of one.
fn of_group(history: &History, skus: &BTreeSet<String>) -> History {
    let commands = history.records.iter().filter_map(|record| match &record.asked {
        Asked::Commands(commands) => Some(commands),
        Asked::Read(..) => None,
    });
    let reservations: BTreeSet<Id> = commands
        .flatten()
        .filter(|command| command.request.skus().any(|sku| skus.contains(sku)))
        .filter_map(|command| command.request.reservation())
        .collect();
    let is_of_group = |record: &&Record| {
        skus_of(record).any(|sku| skus.contains(sku))
            || match &record.asked {
                Asked::Read(Subject::Reservation(id), _) => reservations.contains(id),
                Asked::Read(
                    Subject::Stock(_) | Subject::Count { .. } | Subject::Room(_) | Subject::Trace { .. },
                    _,
                ) => false,
                Asked::Commands(commands) => commands
                    .iter()
                    .any(|command| command.request.reservation().is_some_and(|id| reservations.contains(&id))),
            }
    };
    with(history.records.iter().filter(is_of_group).cloned().collect())
}

/// What had been called and had returned by an instant.
fn prefix(history: &History, until_us: u64) -> History {
    let called = history.records.iter().filter(|record| record.call_us <= until_us);
    let records = called.map(|record| match record.return_us {
        Some(back_us) if back_us <= until_us => record.clone(),
        _ => Record { return_us: None, outcome: Outcome::Unknown("no answer yet".to_owned()), ..record.clone() },
    });
    with(records.collect())
}

/// The prefix up to the first return with which it fails. Never before all items were asked to be put: an item that nobody
/// puts is taken to have been there before the history, which is not so of one that is put later.
fn first_failing_prefix(whole: &History, fails: impl Fn(&History) -> bool) -> History {
    let puts = whole.records.iter().filter(|record| is_put(record)).map(|record| record.call_us);
    let from_us = puts.max().unwrap_or(0);
    let mut instants: Vec<u64> = whole.records.iter().filter_map(|record| record.return_us).collect();
    instants.retain(|at_us| *at_us >= from_us);
    instants.sort_unstable();
    instants.dedup();
    // Up to `good` it does not fail, up to `bad` it does.
    let (mut good, mut bad) = (0, instants.len());
    while good < bad {
        let half = good + (bad - good) / 2;
        if fails(&prefix(whole, instants[half])) { bad = half } else { good = half + 1 }
    }
    instants.get(bad).map_or_else(|| whole.clone(), |until_us| prefix(whole, *until_us))
}

fn is_put(record: &Record) -> bool {
    let is_put = |request: &Request| matches!(request, Request::PutItem { .. } | Request::PutItemByLot { .. });
    matches!(&record.asked, Asked::Commands(commands) if commands.iter().any(|command| is_put(&command.request)))
}

/// Drops operations that changed nothing and are not needed to fail, each with all its attempts.
fn drop_operations(history: &History, mut fails: impl FnMut(&History) -> bool) -> History {
    let mut operation_of: BTreeMap<CallId, usize> = BTreeMap::new();
    let mut stay: BTreeSet<CallId> = BTreeSet::new();
    for (number, operation) in operations(history).iter().enumerate() {
        for record in &operation.records {
            operation_of.insert(id_of(record), number);
        }
        let changed_nothing = match &operation.standing {
            Standing::Seen { .. } | Standing::Nothing => true,
            Standing::Unknown => false,
            Standing::Decided(answers) => {
                answers.iter().any(|answer| matches!(answer, crate::history::Answer::Refused(_)))
            }
        };
        if !changed_nothing || operation.records.iter().any(|record| is_put(record)) {
            stay.extend(operation.records.iter().map(|record| id_of(record)));
        }
    }
    // Attempts of one operation go together: one that did nothing may still say since when it was asked for.
    let mut units: BTreeMap<(bool, u64, u64), Vec<CallId>> = BTreeMap::new();
    for record in history.records.iter().filter(|record| !stay.contains(&id_of(record))) {
        let unit = match operation_of.get(&id_of(record)) {
            Some(number) => (true, *number as u64, 0),
            // A read without an answer.
            None => (false, record.client, record.call_us),
        };
        units.entry(unit).or_default().push(id_of(record));
    }
    let units: Vec<Vec<CallId>> = units.into_values().collect();
    let of = |kept: &[Vec<CallId>]| {
        let kept: BTreeSet<&CallId> = kept.iter().flatten().collect();
        let is_kept = |record: &&Record| stay.contains(&id_of(record)) || kept.contains(&id_of(record));
        with(history.records.iter().filter(is_kept).cloned().collect())
    };
    let mut checks = 0;
    let kept = smallest(&units, 0, |kept| {
        checks += 1;
        (checks <= MOST_CHECKS).then(|| fails(&of(kept)))
    });
    of(&kept)
}

/// Drops attempts without which the operations are the very same ones: when each was first asked for, when it was decided, and
/// how. The checker sees nothing but those.
fn drop_repetitions(history: &History) -> History {
    let essence = |records: &[Record]| -> Vec<_> {
        let history = with(records.to_vec());
        let of = |operation: &Operation<'_>| (operation.call_us, operation.return_us, operation.standing.clone());
        operations(&history).iter().map(of).collect()
    };
    let mut needless: BTreeSet<CallId> = BTreeSet::new();
    for operation in operations(history) {
        let mut records: Vec<Record> = operation.records.into_iter().cloned().collect();
        let whole = essence(&records);
        // The latest go first.
        for at in (0..records.len()).rev().filter(|_| whole.len() == 1) {
            let dropped = records.remove(at);
            if essence(&records) == whole {
                needless.insert(id_of(&dropped));
            } else {
                records.insert(at, dropped);
            }
        }
    }
    with(history.records.iter().filter(|record| !needless.contains(&id_of(record))).cloned().collect())
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
