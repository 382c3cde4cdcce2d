//! A token is a position of a shard's log by which something is applied. A read at least as fresh as a token sees what the
//! token's reply had done, and no read is of an older state than the position it names, whatever its consistency.

use std::collections::BTreeMap;

use super::Finding;
use crate::history::{Answer, Asked, Freshness, History, Outcome, Position, Record, Request, Seen, StockSeen, Subject};

const NAME: &str = "tokens";

/// Checks every read that names its position.
#[must_use]
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut marks: BTreeMap<(Subject, u32), Vec<Mark<'_>>> = BTreeMap::new();
    for record in &history.records {
        for (subject, mark) in marks_of(record) {
            marks.entry((subject, mark.position.shard)).or_default().push(mark);
        }
        if let (Asked::Read(_, Freshness::AtLeast(asked)), Outcome::Seen { position: Some(position), .. }) =
            (&record.asked, &record.outcome)
            && (position.shard != asked.shard || position.index < asked.index)
        {
            let what = format!("a read at least at {} names {}:\n    {record}", asked.index, position.index);
            findings.push(Finding::new(NAME, what));
        }
    }
    for ((subject, _), mut marks) in marks {
        marks.sort_by_key(|mark| mark.position);
        findings.extend(check_subject(&subject, &marks));
    }
    findings
}

/// What is known of a subject at a position.
#[derive(Debug)]
struct Mark<'a> {
    position: Position,
    revision: u64,
    /// A read is of just its position; what a command tells was so at its position or before.
    read: Option<Option<StockSeen>>,
    record: &'a Record,
}

fn marks_of(record: &Record) -> Vec<(Subject, Mark<'_>)> {
    match (&record.asked, &record.outcome) {
        (Asked::Read(subject, _), Outcome::Seen { seen, position: Some(position), .. }) => {
            let (revision, stock) = match seen {
                Seen::Stock(stock) => (stock.map_or(0, |stock| stock.revision), *stock),
                Seen::Reservation(seen) => (seen.as_ref().map_or(0, |seen| seen.revision), None),
                Seen::Count(seen) => (seen.as_ref().map_or(0, |seen| seen.revision), None),
                // A room has none, and its reads tell no position; nor does a list.
                Seen::Room(_) | Seen::Trace(_) => return Vec::new(),
            };
            vec![(subject.clone(), Mark { position: *position, revision, read: Some(stock), record })]
        }
        (Asked::Commands(commands), Outcome::Answered(answers)) => {
            let told = commands.iter().zip(answers).filter_map(|(command, answer)| {
                let Answer::Done(done) = answer else { return None };
                let subject = match &command.request {
                    Request::Receive { sku, .. }
                    | Request::ReceiveLot { sku, .. }
                    | Request::ReceiveExpected { sku, .. }
                    | Request::Set { sku, .. } => Subject::Stock(sku.clone()),
                    Request::OpenCount { count, sku }
                    | Request::RecordCount { count, sku, .. }
                    | Request::ApplyCount { count, sku }
                    | Request::CancelCount { count, sku } => Subject::Count { count: *count, sku: sku.clone() },
                    // Its revision is the item's, the lot's, the transfer's or the receipt's.
                    Request::PutItem { .. }
                    | Request::PutItemByLot { .. }
                    | Request::BlockLot { .. }
                    | Request::PutItemToWaitFor { .. }
                    | Request::Send { .. }
                    | Request::Arrive { .. }
                    | Request::Lose { .. }
                    | Request::CallBack { .. }
                    | Request::Expect { .. }
                    | Request::CloseReceipt { .. }
                    | Request::PutLimit { .. }
                    | Request::Recall { .. }
                    | Request::UnblockLot { .. } => return None,
                    other => Subject::Reservation(other.reservation()?),
                };
                let position = done.position?;
                Some((subject, Mark { position, revision: done.revision, read: None, record }))
            });
            told.collect()
        }
        _ => Vec::new(),
    }
}

/// `marks` in the order of their positions.
fn check_subject(subject: &Subject, marks: &[Mark<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut newest: Option<&Mark<'_>> = None;
    let mut last_read: Option<&Mark<'_>> = None;
    for mark in marks {
        let Some(stock) = mark.read else {
            newest = newer(newest, mark);
            continue;
        };
        // Marks of the same position may stand behind this one.
        let same = marks.iter().filter(|other| other.read.is_none() && other.position == mark.position);
        let before = same.fold(newest, newer);
        if let Some(before) = before.filter(|before| before.revision > mark.revision) {
            let what = format!(
                "{subject:?} has revision {} at {}, and had {} by {}:\n    {}\n    {}",
                mark.revision, mark.position.index, before.revision, before.position.index, before.record, mark.record
            );
            findings.push(Finding::new(NAME, what));
        }
        if let Some(other) = last_read.filter(|other| other.position == mark.position)
            && (other.revision != mark.revision || other.read != Some(stock))
        {
            let what = format!("two reads at one position differ:\n    {}\n    {}", other.record, mark.record);
            findings.push(Finding::new(NAME, what));
        }
        last_read = Some(mark);
        newest = newer(newest, mark);
    }
    findings
}

fn newer<'a, 'b>(newest: Option<&'a Mark<'b>>, mark: &'a Mark<'b>) -> Option<&'a Mark<'b>> {
    Some(newest.filter(|newest| newest.revision >= mark.revision).unwrap_or(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done_at, receive, stock};

    fn read(story: Story, at_least: u64, index: u64, seen: StockSeen) -> Story {
        let asked =
            Asked::Read(Subject::Stock("A".to_owned()), Freshness::AtLeast(Position { shard: 0, index: at_least }));
        let position = Some(Position { shard: 0, index });
        story.tell(20, 21, asked, Outcome::Seen { seen: Seen::Stock(Some(seen)), position, log_time_ms: None })
    }

    fn received(index: u64) -> Story {
        Story::default().command(1, 1, 2, receive("A", 10), done_at(1, 10, index))
    }

    #[test]
    fn a_read_that_sees_what_its_token_had_done_is_good() {
        assert_eq!(check(&read(received(5), 5, 5, stock(0, 0, 1)).0), []);
        assert_eq!(check(&read(received(5), 5, 9, stock(3, 0, 2)).0), []);
        // Before the position it may be there or not.
        assert_eq!(check(&read(received(5), 3, 4, stock(0, 0, 0)).0), []);
    }

    #[test]
    fn a_read_that_does_not_see_what_its_token_had_done_is_found() {
        assert_eq!(check(&read(received(5), 5, 5, StockSeen::default()).0).len(), 1);
        assert_eq!(check(&read(received(5), 5, 9, StockSeen::default()).0).len(), 1);
    }

    #[test]
    fn a_read_below_its_token_is_found() {
        assert_eq!(check(&read(received(5), 6, 5, stock(0, 0, 1)).0).len(), 1);
    }

    #[test]
    fn reads_that_go_back_or_differ_at_one_position_are_found() {
        let seen = |first: (u64, StockSeen), second: (u64, StockSeen)| {
            let story = read(received(1), 1, first.0, first.1);
            check(&read(story, 1, second.0, second.1).0).len()
        };
        assert_eq!(seen((5, stock(3, 0, 2)), (6, stock(3, 3, 3))), 0);
        assert_eq!(seen((5, stock(3, 0, 2)), (6, stock(0, 0, 1))), 1);
        assert_eq!(seen((5, stock(3, 0, 2)), (5, stock(2, 0, 2))), 1);
    }
}
