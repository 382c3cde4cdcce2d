//! Attempts of one command joined into the one operation that they are.
//!
//! The same commands under the same ids are decided once: the operation begins with the first call, and is over with the
//! first answer that is final. Where no attempt has one, but one is unknown, it may happen at any time after the first
//! call, whatever later attempts were refused or not admitted.

use std::collections::BTreeMap;

use super::{Answer, Asked, Freshness, History, Id, Outcome, Record, Seen, Subject};

/// What is known of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Commands that were decided, with their answers in order.
    Decided(Vec<Answer>),
    /// Commands that may have been decided, or be decided at any time.
    Unknown,
    /// Commands of which no attempt did anything.
    Nothing,
    /// A read that was answered.
    Seen {
        /// What was there.
        seen: Seen,
        /// The log time of what the replica had applied last.
        log_time_ms: Option<u64>,
    },
}

/// One operation, over all its attempts.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// When it was first asked.
    pub call_us: u64,
    /// When the answer that decided came; `None`: it never did.
    pub return_us: Option<u64>,
    /// What was asked.
    pub asked: &'a Asked,
    /// What is known of it.
    pub standing: Standing,
    /// The attempts.
    pub records: Vec<&'a Record>,
}

impl Operation<'_> {
    /// A linearizable read that was answered, or commands.
    #[must_use]
    pub fn read(&self) -> Option<(&Subject, Freshness)> {
        match self.asked {
            Asked::Read(subject, freshness) => Some((subject, *freshness)),
            Asked::Commands(_) => None,
        }
    }
}

/// All operations, in the order of their first calls. Reads without an answer are left out: they say nothing.
#[must_use]
pub fn operations(history: &History) -> Vec<Operation<'_>> {
    let mut operations: Vec<Operation<'_>> = Vec::new();
    let mut by_first_id: BTreeMap<Id, Vec<usize>> = BTreeMap::new();
    for record in &history.records {
        let new = |standing| Operation {
            call_us: record.call_us,
            return_us: record.return_us,
            asked: &record.asked,
            standing,
            records: vec![record],
        };
        let commands = match &record.asked {
            Asked::Commands(commands) => commands,
            Asked::Read(..) => {
                if let Outcome::Seen { seen, log_time_ms, .. } = &record.outcome {
                    operations.push(new(Standing::Seen { seen: seen.clone(), log_time_ms: *log_time_ms }));
                }
                continue;
            }
        };
        let Some(first) = commands.first() else { continue };
        let same_id = by_first_id.entry(first.id).or_default();
        let known = same_id.iter().copied().find(|at| *operations[*at].asked == record.asked);
        match known {
            Some(at) => operations[at].take(record),
            None => {
                same_id.push(operations.len());
                let mut operation = new(Standing::Nothing);
                (operation.return_us, operation.records) = (None, Vec::new());
                operation.take(record);
                operations.push(operation);
            }
        }
    }
    operations
}

impl<'a> Operation<'a> {
    fn take(&mut self, record: &'a Record) {
        self.records.push(record);
        self.call_us = self.call_us.min(record.call_us);
        let said = standing_of(&record.outcome);
        match (&self.standing, said) {
            (Standing::Decided(_), Standing::Decided(_)) => {
                // Whether they are the same is for another to check.
                self.return_us = self.return_us.min(record.return_us);
            }
            (Standing::Decided(_) | Standing::Seen { .. }, _) | (_, Standing::Nothing | Standing::Seen { .. }) => {}
            (Standing::Unknown | Standing::Nothing, said) => {
                self.return_us = if matches!(said, Standing::Decided(_)) { record.return_us } else { None };
                self.standing = said;
            }
        }
    }
}

fn standing_of(outcome: &Outcome) -> Standing {
    match outcome {
        Outcome::Answered(answers) => {
            let decides_nothing = |answer: &Answer| matches!(answer, Answer::Refused(refused) if !refused.is_final);
            if answers.iter().any(decides_nothing) { Standing::Nothing } else { Standing::Decided(answers.clone()) }
        }
        Outcome::NotAdmitted(_) => Standing::Nothing,
        Outcome::Unknown(_) | Outcome::Seen { .. } => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Command, Done, Refused, Request};

    fn attempt(call_us: u64, return_us: Option<u64>, outcome: Outcome) -> Record {
        let request = Request::Receive { sku: "A".to_owned(), units: 1 };
        Record { client: 1, call_us, return_us, asked: Asked::Commands(vec![Command { id: Id(1), request }]), outcome }
    }

    fn joined(records: Vec<Record>) -> (u64, Option<u64>, Standing) {
        let history = History { records, dropped: 0 };
        let operations = operations(&history);
        assert_eq!(operations.len(), 1);
        (operations[0].call_us, operations[0].return_us, operations[0].standing.clone())
    }

    #[test]
    fn not_admitted_after_an_unknown_attempt_leaves_the_operation_unknown() {
        let not_admitted = Outcome::NotAdmitted("OVERLOADED".to_owned());
        let unknown = Outcome::Unknown("OUTCOME_UNKNOWN".to_owned());
        let history = vec![attempt(1, Some(2), unknown), attempt(3, Some(4), not_admitted.clone())];
        assert_eq!(joined(history), (1, None, Standing::Unknown));
        assert_eq!(joined(vec![attempt(1, Some(2), not_admitted)]), (1, None, Standing::Nothing));
    }

    #[test]
    fn an_operation_lasts_from_its_first_call_to_the_answer_that_decides() {
        let unknown = Outcome::Unknown("OUTCOME_UNKNOWN".to_owned());
        let unrecorded = Outcome::Answered(vec![Answer::Refused(Refused::default())]);
        let answers = vec![Answer::Done(Done::default())];
        let done = Outcome::Answered(answers.clone());
        let history = vec![
            attempt(1, Some(2), unknown),
            attempt(3, Some(4), unrecorded),
            attempt(5, Some(6), done.clone()),
            attempt(7, Some(8), done),
        ];
        assert_eq!(joined(history), (1, Some(6), Standing::Decided(answers)));
    }
}
