//! Where the time of a command goes: for each stage of its way how often it was passed, and how long that took in all.
//!
//! Counters that only grow, so that whoever asks twice knows what was between. They cost two additions a passage; nothing is
//! kept for a single command, but where somebody follows its entry by a [`Passage`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

/// A part of a command's way, in the order it is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// A request's commands are checked, translated and encoded for the log. Work.
    Check,
    /// Commands of a submission wait at the shard until their entry is proposed.
    Wait,
    /// An entry on its way on the leader: from its proposal until its answers are there.
    Commit,
    /// Entries of an append wait for the log's writer, are written and synced; a part of `Commit`, on the followers too.
    Append,
    /// One sync of the log, for all groups that waited.
    Sync,
    /// An entry is decoded and decided. Work, on every replica.
    Apply,
    /// The events of an entry join the change log. Work, on every replica.
    Record,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Check, Self::Wait, Self::Commit, Self::Append, Self::Sync, Self::Apply, Self::Record];

    /// Its name on the wire and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Wait => "wait",
            Self::Commit => "commit",
            Self::Append => "append",
            Self::Sync => "sync",
            Self::Apply => "apply",
            Self::Record => "record",
        }
    }
}

/// How often a stage was passed, and how long that took in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTotal {
    /// Passages.
    pub count: u64,
    /// Their time, in microseconds.
    pub total_us: u64,
}

/// When one entry passed the stages on the node that proposed it, for whoever follows it. Each is noted once: the entry may be read
/// and written again.
#[derive(Debug, Default)]
pub struct Passage {
    append_began: OnceLock<Instant>,
    append_ended: OnceLock<Instant>,
    applied: OnceLock<(Instant, Instant)>,
}

impl Passage {
    /// From its way to the log's writer until it was synced, on this node; without an end where a majority of the others was faster, and
    /// it is under way.
    #[must_use]
    pub fn appended(&self) -> Option<(Instant, Option<Instant>)> {
        Some((*self.append_began.get()?, self.append_ended.get().copied()))
    }

    /// It was decided and its events recorded, on this node. What lies between its proposal and this is the way to its commit.
    #[must_use]
    pub fn applied(&self) -> Option<(Instant, Instant)> {
        self.applied.get().copied()
    }

    pub(crate) fn note_append_began(&self) {
        let _noted_before = self.append_began.set(Instant::now());
    }

    pub(crate) fn note_append_ended(&self) {
        let _noted_before = self.append_ended.set(Instant::now());
    }

    pub(crate) fn note_applied(&self, began: Instant) {
        let _noted_before = self.applied.set((began, Instant::now()));
    }
}

#[derive(Debug, Default)]
struct Cell {
    count: AtomicU64,
    total_ns: AtomicU64,
}

/// The stages of one node. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stages {
    cells: Arc<[Cell; Stage::ALL.len()]>,
}

impl Stages {
    /// Notes one passage.
    pub fn note(&self, stage: Stage, took: Duration) {
        let cell = &self.cells[stage as usize];
        cell.count.fetch_add(1, Ordering::Relaxed);
        // 584 years of nanoseconds fit.
        cell.total_ns.fetch_add(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// What was noted since the node started, in the order of the stages.
    #[must_use]
    pub fn totals(&self) -> Vec<(Stage, StageTotal)> {
        let total = |stage: Stage| {
            let cell = &self.cells[stage as usize];
            let total_us = cell.total_ns.load(Ordering::Relaxed) / 1_000;
            (stage, StageTotal { count: cell.count.load(Ordering::Relaxed), total_us })
        };
        Stage::ALL.into_iter().map(total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_counts_for_itself() {
        let stages = Stages::default();
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            for _ in 0..=at {
                stages.note(stage, Duration::from_micros(3));
            }
        }
        for (at, (stage, total)) in stages.totals().into_iter().enumerate() {
            let count = at as u64 + 1;
            assert_eq!((stage, total), (Stage::ALL[at], StageTotal { count, total_us: 3 * count }));
        }
    }
}
