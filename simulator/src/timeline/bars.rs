//! The clients' calls: which of them are shown, in which lane, and what is told of each.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{seconds, shorten};
use crate::history::{Answer, Asked, History, Outcome, Record};

/// The most bars on one page.
pub(super) const MOST_BARS: usize = 3_000;
/// The most lanes of clients.
pub(super) const MOST_CLIENTS: usize = 64;
/// Rows of one client whose calls do not follow one another.
const MOST_ROWS: usize = 4;
/// Letters of what was asked, and of what was answered.
const MOST_SAID: usize = 300;

/// A call to be drawn.
pub(super) struct Bar<'a> {
    pub(super) record: &'a Record,
    pub(super) row: usize,
    pub(super) is_marked: bool,
}

/// The bars of each client.
pub(super) type Lanes<'a> = BTreeMap<u64, Vec<Bar<'a>>>;

/// The calls that are shown, by client: the marked ones, then those whose outcome nobody knows, then the first.
pub(super) fn lanes<'a>(history: &'a History, marked: &BTreeSet<(u64, u64)>) -> Lanes<'a> {
    let is_marked = |record: &Record| marked.contains(&(record.client, record.call_us));
    let mut order: Vec<&Record> = history.records.iter().collect();
    order.sort_by_key(|record| (!is_marked(record), class(record) != "unknown", record.call_us));
    order.truncate(MOST_BARS);
    order.sort_by_key(|record| record.call_us);
    let mut lanes: Lanes<'_> = BTreeMap::new();
    for record in order {
        if lanes.len() >= MOST_CLIENTS && !lanes.contains_key(&record.client) {
            continue;
        }
        let lane = lanes.entry(record.client).or_default();
        let is_free = |row: &usize| {
            let last = lane.iter().rev().find(|bar| bar.row == *row);
            last.is_none_or(|last| last.record.return_us.is_some_and(|back_us| back_us <= record.call_us))
        };
        let row = (0..MOST_ROWS).find(is_free).unwrap_or(MOST_ROWS - 1);
        lane.push(Bar { record, row, is_marked: is_marked(record) });
    }
    lanes
}

/// How many rows a lane has.
pub(super) fn rows(lane: &[Bar<'_>]) -> usize {
    lane.iter().map(|bar| bar.row + 1).max().unwrap_or(1)
}

/// The outcome, as the name of a colour.
pub(super) fn class(record: &Record) -> &'static str {
    match &record.outcome {
        _ if record.return_us.is_none() => "unknown",
        Outcome::Answered(answers) if answers.iter().all(|answer| matches!(answer, Answer::Done(_))) => "done",
        Outcome::Answered(_) => "refused",
        Outcome::Seen { .. } => "seen",
        Outcome::NotAdmitted(_) => "nothing",
        Outcome::Unknown(_) => "unknown",
    }
}

/// What is told of a call.
pub(super) fn told(record: &Record) -> String {
    let returned = match record.return_us {
        None => "never answered".to_owned(),
        Some(back_us) => {
            format!("answered {} ({} µs)", seconds(back_us), back_us.saturating_sub(record.call_us))
        }
    };
    let ids = match &record.asked {
        Asked::Read(..) => "a read".to_owned(),
        Asked::Commands(commands) => {
            let ids: Vec<String> = commands.iter().map(|command| command.id.to_string()).collect();
            format!("id {}", shorten(&ids.join(", "), MOST_SAID))
        }
    };
    let json = |value: Result<String, serde_json::Error>| shorten(&value.unwrap_or_default(), MOST_SAID);
    format!(
        "client {}, asked {}, {returned}\n{ids}\nasked {}\ntold {}",
        record.client,
        seconds(record.call_us),
        json(serde_json::to_string(&record.asked)),
        json(serde_json::to_string(&record.outcome))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, unknown};

    #[test]
    fn what_is_marked_or_unknown_is_shown_before_all_else() {
        let mut history = History::default();
        for at in 0..MOST_BARS as u64 + 10 {
            history = Story(history).command(u128::from(at), at + 1, at + 2, receive("A", 1), done(1, 1)).0;
        }
        for record in &mut history.records {
            record.client %= 3;
        }
        let count = history.records.len();
        history.records[count - 1].outcome = unknown_outcome();
        let marked = BTreeSet::from([(history.records[count - 2].client, history.records[count - 2].call_us)]);
        let lanes = lanes(&history, &marked);
        let shown: Vec<&Bar<'_>> = lanes.values().flatten().collect();
        assert_eq!(shown.len(), MOST_BARS);
        let shows = |at: usize| shown.iter().any(|bar| bar.record.call_us == history.records[at].call_us);
        assert!(shows(count - 1) && shows(count - 2) && shows(0));
        assert!(!shows(count - 3));
        assert_eq!(shown.iter().filter(|bar| bar.is_marked).count(), 1);
    }

    fn unknown_outcome() -> Outcome {
        unknown()
    }

    #[test]
    fn calls_of_one_client_at_once_have_rows_of_their_own() {
        let mut story = Story::default();
        for (id, call, back) in [(1, 10, 20), (2, 15, 30), (3, 20, 25)] {
            story = story.command(id, call, back, receive("A", 1), done(1, 1));
        }
        for record in &mut story.0.records {
            record.client = 7;
        }
        let lanes = lanes(&story.0, &BTreeSet::new());
        assert_eq!(lanes[&7].iter().map(|bar| bar.row).collect::<Vec<_>>(), [0, 1, 0]);
        assert_eq!(rows(&lanes[&7]), 2);
    }
}
