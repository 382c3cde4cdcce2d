//! [H-ONCE] from outside: an id is decided once. Every attempt of the same id and body is told the same, another body under
//! the same id is not decided, and no effect is counted twice.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Inventory};
use crate::history::{Answer, Asked, Command, Done, History, Id, Outcome, Record, Request, Standing, operations};

const NAME: &str = "exactly_once";
const UNRECORDED: &str = "unrecorded";

/// What was decided under an id, and what it was told.
#[derive(Debug, Default)]
struct Decisions<'a> {
    /// By body, the first answer.
    answers: Vec<(&'a Request, Answer)>,
}

/// Checks what the attempts of each id were told.
#[must_use]
pub fn check(history: &History) -> Vec<Finding> {
    let mut by_id: BTreeMap<Id, Decisions<'_>> = BTreeMap::new();
    let mut findings = Vec::new();
    for record in &history.records {
        let (Asked::Commands(commands), Outcome::Answered(answers)) = (&record.asked, &record.outcome) else {
            continue;
        };
        for (Command { id, request }, answer) in commands.iter().zip(answers) {
            if matches!(answer, Answer::Refused(refused) if !refused.is_final) {
                continue;
            }
            let answer = essence(answer);
            let decisions = by_id.entry(*id).or_default();
            match decisions.answers.iter().find(|(body, _)| *body == request) {
                Some((_, first)) if *first == answer => {}
                Some((_, first)) => findings
                    .push(Finding::new(NAME, format!("command {id} was answered {first:?}, and then {answer:?}"))),
                None => {
                    if let Some((other, _)) = decisions.answers.first() {
                        let what = format!("command {id} was decided as {other:?} and also as {request:?}");
                        findings.push(Finding::new(NAME, what));
                    }
                    decisions.answers.push((request, answer));
                }
            }
        }
    }
    findings
}

/// Checks that nobody was told of a refusal that was not recorded while another attempt of the id was under way, or of unknown
/// outcome: it would be taken for final, and the other one may be done yet.
#[must_use]
pub fn check_unrecorded(history: &History) -> Vec<Finding> {
    let mut by_id: BTreeMap<Id, Vec<&Record>> = BTreeMap::new();
    for record in &history.records {
        let Asked::Commands(commands) = &record.asked else { continue };
        for command in commands {
            by_id.entry(command.id).or_default().push(record);
        }
    }
    let mut findings = Vec::new();
    for (id, records) in by_id {
        for told in records.iter().filter(|record| record.unrecorded_lack().is_some()) {
            let may_be_done = |other: &&&Record| {
                let is_under_way = other.return_us.is_none_or(|at| at > told.call_us);
                let is_before = told.return_us.is_none_or(|at| other.call_us < at);
                let is_open = is_under_way || matches!(other.outcome, Outcome::Unknown(_));
                !std::ptr::eq(**other, *told) && is_before && is_open
            };
            if let Some(other) = records.iter().find(may_be_done) {
                let what =
                    format!("command {id} was refused for good, and nothing written, while {other} may be done yet");
                findings.push(Finding::new(UNRECORDED, what));
            }
        }
    }
    findings
}

/// What must be the same however often it is told: where and by which attempt it was decided is not part of it.
fn essence(answer: &Answer) -> Answer {
    match answer {
        Answer::Done(done) => Answer::Done(Done { position: None, replayed: false, ..done.clone() }),
        Answer::Refused(refused) => Answer::Refused(refused.clone()),
    }
}

/// Checks that no effect is there more often than it was asked for: the receipts of each SKU, counted once an id, and the
/// units of each reservation, over whatever became of them.
#[must_use]
pub fn check_effects(history: &History, inventory: &Inventory) -> Vec<Finding> {
    let mut receipts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut reserved: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
    // How many units a cart of kits has, their recipes say, and of one that is amended, its amends; those who know them judge it.
    let mut judged_elsewhere: BTreeSet<Id> = BTreeSet::new();
    for operation in operations(history) {
        let Asked::Commands(commands) = operation.asked else { continue };
        if operation.standing == Standing::Nothing {
            continue;
        }
        for command in commands {
            match &command.request {
                Request::Receive { sku, units }
                | Request::ReceiveLot { sku, units, .. }
                | Request::ReceiveExpected { sku, units, .. } => *receipts.entry(sku).or_default() += u64::from(*units),
                Request::Reserve { reservation, lines, .. } | Request::ReserveThrough { reservation, lines, .. } => {
                    let units = lines.iter().map(|line| u64::from(line.units)).sum();
                    reserved.entry(*reservation).or_default().push(units);
                }
                Request::ReserveIn { reservation, units, .. } | Request::ReserveToOrder { reservation, units, .. } => {
                    reserved.entry(*reservation).or_default().push(u64::from(*units));
                }
                Request::ReserveKits { reservation, .. }
                | Request::ReserveOfLots { reservation, .. }
                | Request::ReserveInParts { reservation, .. } => {
                    judged_elsewhere.insert(*reservation);
                }
                _ => {}
            }
        }
    }
    let mut findings = Vec::new();
    for (sku, stock) in &inventory.stocks {
        let most = receipts.get(sku.as_str()).copied().unwrap_or(0);
        if stock.received > most {
            let what = format!("{} units of {sku} are received of {most} that were sent", stock.received);
            findings.push(Finding::new(NAME, what));
        }
    }
    for (id, seen) in &inventory.reservations {
        let of_line = |line: &crate::history::LineSeen| {
            line.held + line.committed + line.fulfilled + line.given_back + line.short + line.backordered
        };
        let units: u64 = seen.lines.iter().map(of_line).sum();
        match reserved.get(id) {
            None if judged_elsewhere.contains(id) => {}
            None => findings.push(Finding::new(NAME, format!("nobody asked for reservation {id}"))),
            Some(asked) if !asked.contains(&units) => {
                let what = format!("reservation {id} has {units} units, asked for were {asked:?}");
                findings.push(Finding::new(NAME, what));
            }
            Some(_) => {}
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, refused, reserve, unknown, unrecorded};
    use crate::history::StockSeen;

    #[test]
    fn a_retry_that_is_told_the_same_is_good() {
        let story = Story::stocked().command(1, 5, 6, receive("A", 10), done(1, 10));
        assert_eq!(check(&story.0), []);
    }

    #[test]
    fn two_answers_under_one_id_are_found() {
        let story = Story::stocked().command(1, 5, 6, receive("A", 10), done(2, 20));
        assert_eq!(check(&story.0).len(), 1);
        let story = Story::stocked().command(1, 5, 6, receive("A", 10), refused("UNKNOWN_SKU", &[]));
        assert_eq!(check(&story.0).len(), 1);
    }

    #[test]
    fn another_body_under_one_id_is_found_where_it_is_decided() {
        let story = Story::stocked().command(1, 5, 6, receive("A", 11), done(2, 21));
        assert_eq!(check(&story.0).len(), 1);
        let mut exists = refused("EXISTS_WITH_DIFFERENT", &[]);
        if let Outcome::Answered(answers) = &mut exists
            && let Some(Answer::Refused(refused)) = answers.first_mut()
        {
            refused.is_final = false;
        }
        let story = Story::stocked().command(1, 5, 6, receive("A", 11), exists);
        assert_eq!(check(&story.0), []);
    }

    #[test]
    fn a_refusal_that_was_not_recorded_is_found_where_another_attempt_may_be_done() {
        let sold_out = || unrecorded(refused("INSUFFICIENT_STOCK", &[("available", 0)]));
        let told = |story: Story, at| story.command(2, at, at + 1, reserve(2, "A", 3), sold_out());
        assert_eq!(check_unrecorded(&told(Story::stocked(), 20).0), []);
        let lost = told(Story::stocked().command(2, 10, 12, reserve(2, "A", 3), unknown()), 20);
        assert_eq!(check_unrecorded(&lost.0).len(), 1);
        let beside = told(Story::stocked().command(2, 10, 30, reserve(2, "A", 3), done(1, 7)), 20);
        assert_eq!(check_unrecorded(&beside.0).len(), 1);
        let later = told(Story::stocked(), 20).command(2, 30, 31, reserve(2, "A", 3), done(1, 7));
        assert_eq!(check_unrecorded(&later.0), []);
    }

    #[test]
    fn an_effect_that_is_counted_twice_is_found() {
        let story = Story::stocked().command(2, 5, 0, receive("A", 5), unknown()).0;
        let inventory = |received| {
            let stock = StockSeen { received, ..StockSeen::default() };
            Inventory { stocks: BTreeMap::from([("A".to_owned(), stock)]), ..Inventory::default() }
        };
        assert_eq!(check_effects(&story, &inventory(15)), []);
        assert_eq!(check_effects(&story, &inventory(20)).len(), 1);
    }
}
