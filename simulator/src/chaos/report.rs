//! What a run came to: counted season by season, told in the end.

use std::collections::BTreeMap;

use serde::Serialize;

use super::weather::Happened;
use super::windows::{Windows, quantile};
use crate::checkers::Finding;
use crate::history::{Answer, Asked, History, Outcome, Standing, operations};

/// Notes that are told.
const MOST_TOLD: usize = 200;
/// Violations of one kind that are told: a broken cluster has thousands, and those of another kind should not drown in them.
const MOST_OF_A_KIND: usize = 20;

/// Operations by what became of them, each counted once however often it was tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Operations {
    /// Commands that were done.
    pub done: u64,
    /// Commands that were refused.
    pub refused: u64,
    /// Reads that were answered.
    pub read: u64,
    /// Reads that were not.
    pub not_read: u64,
    /// Commands of which no attempt reached the log.
    pub not_admitted: u64,
    /// Commands whose outcome their customer never learned.
    pub unknown: u64,
}

/// What rounds of one fault came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rounds {
    /// Rounds after which every shard decided again.
    pub recovered: u64,
    /// From the fault on until every shard had decided something again: the middle one.
    pub recovery_p50_ms: u64,
    /// The longest.
    pub recovery_max_ms: u64,
    /// Findings that something acknowledged is not there.
    pub lost: u64,
    /// Findings that something was decided or counted twice.
    pub doubled: u64,
}

/// How long the cluster took to serve after the last fault of a season was over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// The middle one.
    pub p50_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// A fault that this machine does not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which.
    pub fault: String,
    /// Why.
    pub why: String,
}

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the plans were drawn from.
    pub seed: u64,
    /// `own`, or `foreign`: started by somebody else.
    pub cluster: String,
    /// How long it took.
    pub seconds: f64,
    /// Seasons that were played.
    pub seasons: u64,
    /// Operations by what became of them.
    pub operations: Operations,
    /// How often each kind of fault has begun.
    pub faults: BTreeMap<String, u64>,
    /// Faults that were wanted and could not be.
    pub skipped: Vec<Skipped>,
    /// Stretches of more than a second in which nothing that was asked of a shard succeeded.
    pub unavailable_shards: Windows,
    /// The same of the whole cluster.
    pub unavailable_cluster: Windows,
    /// How soon the cluster served when all was whole again.
    pub served: Served,
    /// Of a run in rounds.
    pub rounds: Option<Rounds>,
    /// What was seen of the machine.
    pub notes: Vec<String>,
    /// What could not be decided.
    pub undecided: Vec<String>,
    /// What is not as it must be.
    pub violations: Vec<String>,
    /// The folder that was kept, with the nodes' data, messages and histories.
    pub folder: Option<String>,
}

/// The counts of some seasons.
#[derive(Debug, Default)]
pub struct Tally {
    operations: Operations,
    faults: BTreeMap<String, u64>,
    shards_ms: Vec<u64>,
    cluster_ms: Vec<u64>,
    recoveries_ms: Vec<u64>,
    lost: u64,
    doubled: u64,
    notes: Vec<String>,
    undecided: Vec<String>,
    /// How long the cluster took to serve again.
    pub served_ms: Vec<u64>,
    /// What is not as it must be.
    pub violations: Vec<String>,
}

impl Tally {
    /// How many faults have begun.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Takes in what has happened.
    pub fn take(&mut self, happened: Happened) {
        for (kind, count) in happened.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.recoveries_ms.extend(happened.recoveries_ms);
        self.violations.extend(happened.findings);
        self.notes.extend(happened.notes);
    }

    /// Takes in what checkers found.
    pub fn find(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let list = if finding.decided { &mut self.violations } else { &mut self.undecided };
            list.push(finding.to_string());
        }
    }

    /// Takes in the lengths of windows, of shards and of the cluster.
    pub fn windows(&mut self, (shards_ms, cluster_ms): (Vec<u64>, Vec<u64>)) {
        self.shards_ms.extend(shards_ms);
        self.cluster_ms.extend(cluster_ms);
    }

    /// Counts a season's operations.
    pub fn count(&mut self, history: &History) {
        let counts = &mut self.operations;
        for operation in operations(history) {
            let count = match operation.asked {
                Asked::Commands(commands) => commands.len() as u64,
                Asked::Read(..) => 1,
            };
            match &operation.standing {
                Standing::Seen { .. } => counts.read += 1,
                Standing::Unknown => counts.unknown += count,
                Standing::Nothing => counts.not_admitted += count,
                Standing::Decided(answers) => {
                    let done = answers.iter().filter(|answer| matches!(answer, Answer::Done(_))).count() as u64;
                    counts.done += done;
                    counts.refused += answers.len() as u64 - done;
                }
            }
        }
        let is_unread = |outcome: &Outcome| !matches!(outcome, Outcome::Seen { .. });
        let unread = history.records.iter().filter(|record| match &record.asked {
            Asked::Read(..) => is_unread(&record.outcome),
            Asked::Commands(_) => false,
        });
        counts.not_read += unread.count() as u64;
    }

    /// Adds those of another season.
    pub fn add(&mut self, other: Self) {
        let (sum, more) = (&mut self.operations, other.operations);
        sum.done += more.done;
        sum.refused += more.refused;
        sum.read += more.read;
        sum.not_read += more.not_read;
        sum.not_admitted += more.not_admitted;
        sum.unknown += more.unknown;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        let is_doubled = |what: &&String| what.starts_with("exactly_once");
        self.doubled += other.violations.iter().filter(is_doubled).count() as u64;
        let is_lost =
            |what: &&String| ["lost", "conservation", "holds", "kept"].iter().any(|checker| what.starts_with(checker));
        self.lost += other.violations.iter().filter(is_lost).count() as u64;
        self.shards_ms.extend(other.shards_ms);
        self.cluster_ms.extend(other.cluster_ms);
        self.recoveries_ms.extend(other.recoveries_ms);
        self.served_ms.extend(other.served_ms);
        for (list, more) in [(&mut self.notes, other.notes), (&mut self.undecided, other.undecided)] {
            let room = MOST_TOLD.saturating_sub(list.len());
            list.extend(more.into_iter().take(room));
        }
        self.violations.extend(shortened(other.violations));
    }

    /// As a report.
    #[must_use]
    pub fn report(mut self, in_rounds: bool) -> Report {
        self.recoveries_ms.sort_unstable();
        self.served_ms.sort_unstable();
        let rounds = in_rounds.then(|| Rounds {
            recovered: self.recoveries_ms.len() as u64,
            recovery_p50_ms: quantile(&self.recoveries_ms, 50),
            recovery_max_ms: self.recoveries_ms.last().copied().unwrap_or(0),
            lost: self.lost,
            doubled: self.doubled,
        });
        Report {
            operations: self.operations,
            faults: self.faults,
            unavailable_shards: Windows::of(&self.shards_ms),
            unavailable_cluster: Windows::of(&self.cluster_ms),
            served: Served {
                p50_ms: quantile(&self.served_ms, 50),
                max_ms: self.served_ms.last().copied().unwrap_or(0),
            },
            rounds,
            notes: self.notes,
            undecided: self.undecided,
            violations: self.violations,
            ..Report::default()
        }
    }
}

/// What was found, with the number in place of what is too much of a kind; a kind is what stands before the first colon.
fn shortened(violations: Vec<String>) -> Vec<String> {
    let mut by_kind: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for what in violations {
        let kind = what.split(':').next().unwrap_or_default().to_owned();
        by_kind.entry(kind).or_default().push(what);
    }
    let told = by_kind.into_iter().flat_map(|(kind, mut found)| {
        let more = found.len().saturating_sub(MOST_OF_A_KIND);
        found.truncate(MOST_OF_A_KIND);
        if more > 0 {
            found.push(format!("{kind}: and {more} more"));
        }
        found
    });
    told.collect()
}

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let windows = |windows: &Windows| {
            format!("{} windows over 1 s, longest {} ms, p99 {} ms", windows.count, windows.max_ms, windows.p99_ms)
        };
        let Operations { done, refused, read, not_read, not_admitted, unknown } = &self.operations;
        let mut lines = vec![
            format!("seed         {}", self.seed),
            format!("cluster      {}, {:.0} s in {} seasons", self.cluster, self.seconds, self.seasons),
            format!("operations   {}", done + refused + read + not_read + not_admitted + unknown),
            format!("  done       {done}"),
            format!("  refused    {refused}"),
            format!("  read       {read}, {not_read} unanswered"),
            format!("  not taken  {not_admitted}"),
            format!("  unknown    {unknown}"),
        ];
        lines.extend(self.faults.iter().map(|(kind, count)| format!("fault        {count:>5} {kind}")));
        lines.extend(self.skipped.iter().map(|skipped| format!("skipped      {}: {}", skipped.fault, skipped.why)));
        lines.push(format!("shards       {}", windows(&self.unavailable_shards)));
        lines.push(format!("cluster      {}", windows(&self.unavailable_cluster)));
        lines.push(format!(
            "served again {} ms after a season's last fault (p50), at most {} ms",
            self.served.p50_ms, self.served.max_ms
        ));
        if let Some(rounds) = &self.rounds {
            lines.push(format!(
                "rounds       {} recovered, in {} ms (p50), at most {} ms; {} lost, {} doubled",
                rounds.recovered, rounds.recovery_p50_ms, rounds.recovery_max_ms, rounds.lost, rounds.doubled
            ));
        }
        lines.extend(self.notes.iter().map(|note| format!("note         {note}")));
        lines.extend(self.undecided.iter().map(|what| format!("undecided    {what}")));
        lines.extend(self.violations.iter().map(|what| format!("VIOLATION    {what}")));
        lines.extend(self.folder.iter().map(|folder| format!("kept         {folder}")));
        lines.push(match (self.violations.len(), self.undecided.len()) {
            (0, 0) => "verdict      all is as it must be".to_owned(),
            (0, undecided) => format!("verdict      none: {undecided} undecided"),
            (violations, _) => format!("verdict      {violations} violations"),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, receive, refused, unknown};

    #[test]
    fn operations_are_counted_once_by_what_became_of_them() {
        let story = Story::stocked()
            .command(1, 3, 4, receive("A", 10), done(1, 10))
            .command(2, 5, 6, receive("A", 1), unknown())
            .command(3, 7, 8, receive("A", 1), refused("UNKNOWN_SKU", &[]))
            .command(4, 9, 10, receive("A", 1), Outcome::NotAdmitted("OVERLOADED".to_owned()));
        let mut tally = Tally::default();
        tally.count(&story.0);
        let expected = Operations { done: 1, refused: 1, not_admitted: 1, unknown: 1, ..Operations::default() };
        assert_eq!(tally.operations, expected);
    }

    #[test]
    fn of_many_violations_of_a_kind_some_are_told_and_the_rest_is_counted() {
        let mut season = Tally::default();
        season.violations.extend((0..30).map(|number| format!("lost: {number}")));
        season.violations.push("healed: late".to_owned());
        let mut all = Tally::default();
        all.add(season);
        assert_eq!(all.lost, 30);
        assert_eq!(all.violations.len(), 22);
        assert_eq!((all.violations[0].as_str(), all.violations[21].as_str()), ("healed: late", "lost: and 10 more"));
    }

    #[test]
    fn what_is_undecided_is_no_violation_and_what_is_found_is_lost_or_doubled() {
        let mut season = Tally::default();
        season.find(vec![
            Finding::new("exactly_once", "twice"),
            Finding::new("conservation", "gone"),
            Finding::undecided("linearizable", "too much"),
        ]);
        let mut all = Tally::default();
        all.add(season);
        let report = all.report(true);
        assert_eq!((report.violations.len(), report.undecided.len()), (2, 1));
        let rounds = report.rounds.expect("rounds were asked for");
        assert_eq!((rounds.lost, rounds.doubled), (1, 1));
    }
}
