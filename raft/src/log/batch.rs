//! Lays commands out as one batch.

use super::format::{Prologue, Row, Run, RunKind};
use super::ids::{GroupId, Incarnation, LogId};
use super::record::LogRecord;
use super::state::{Command, run_lengths};
use crate::segments::{SegmentSeed, StampedBuffer};

/// Where a batch is to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchPlace {
    pub(crate) seed: SegmentSeed,
    pub(crate) incarnation: Incarnation,
    pub(crate) batch: u64,
    pub(crate) block: u32,
    pub(crate) synced_through: u64,
    pub(crate) control_generation: u64,
}

/// A committed id that rides in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommittedMark {
    pub(crate) group: GroupId,
    pub(crate) sequence: u64,
    pub(crate) id: LogId,
}

/// The table of a batch under construction; reused from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct BatchTable {
    runs: Vec<u8>,
    rows: Vec<u8>,
    run_count: u32,
    row_count: u32,
    bodies: usize,
}

impl BatchTable {
    /// Collects the ids, lengths and checksums of what is to be written.
    /// `sequences` are those of the commands' first runs.
    pub(crate) fn fill(&mut self, commands: &[Command], sequences: &[u64], committed: &[CommittedMark]) {
        self.runs.clear();
        self.rows.clear();
        (self.run_count, self.row_count, self.bodies) = (0, 0, 0);
        for (command, &sequence) in commands.iter().zip(sequences) {
            match command {
                Command::Append { group, records, .. } => {
                    self.records(RunKind::Append, *group, sequence, records);
                }
                Command::Repair { group, records, .. } => {
                    self.records(RunKind::Repair, *group, sequence, records);
                }
                Command::Vote { group, vote, .. } => {
                    let index = u64::from(vote.committed);
                    self.mark(RunKind::Vote, *group, sequence, vote.term, vote.node, index);
                }
                Command::Truncate { group, from_index, .. } => {
                    self.mark(RunKind::Truncate, *group, sequence, 0, 0, *from_index);
                }
                Command::Purge { group, upto, .. } => {
                    self.mark(RunKind::Purge, *group, sequence, upto.term, upto.leader_node, upto.index);
                }
            }
        }
        for CommittedMark { group, sequence, id } in committed {
            self.mark(RunKind::Committed, *group, *sequence, id.term, id.leader_node, id.index);
        }
    }

    /// Bytes of contents of the batch.
    pub(crate) fn contents(&self) -> usize {
        Prologue::LEN + self.runs.len() + self.rows.len() + self.bodies
    }

    /// The offset of the first body in the contents.
    pub(crate) fn first_body(&self) -> usize {
        Prologue::LEN + self.runs.len() + self.rows.len()
    }

    /// Encodes the whole batch; the commands are those it was filled with.
    pub(crate) fn encode<'a>(&self, place: BatchPlace, commands: &[Command], out: &'a mut StampedBuffer) -> &'a [u8] {
        let table_seed = Prologue::table_seed(place.seed, place.incarnation, place.batch);
        let table_crc = crc32c::crc32c_append(crc32c::crc32c_append(table_seed, &self.runs), &self.rows);
        let prologue = Prologue {
            incarnation: place.incarnation,
            batch: place.batch,
            block: place.block,
            synced_through: place.synced_through,
            control_generation: place.control_generation,
            runs: self.run_count,
            rows: self.row_count,
            contents: u32::try_from(self.contents()).expect("a batch is smaller than a segment"),
            table_crc,
        };
        out.begin(place.seed.stamp(place.incarnation.counter, place.batch), self.contents());
        out.put(&prologue.encode(place.seed));
        out.put(&self.runs);
        out.put(&self.rows);
        for command in commands {
            if let Command::Append { records, .. } | Command::Repair { records, .. } = command {
                for record in records {
                    out.put(&record.payload);
                }
            }
        }
        out.finish()
    }

    fn records(&mut self, kind: RunKind, group: GroupId, mut sequence: u64, records: &[LogRecord]) {
        let mut rest = records;
        for len in run_lengths(records) {
            let (run, after) = rest.split_at(len);
            rest = after;
            let LogRecord { index, term, leader_node, .. } = run[0];
            let count = u32::try_from(len).expect("a batch holds fewer records than its bytes");
            Run { kind, group, sequence, term, leader: leader_node, index, count }.encode(&mut self.runs);
            self.run_count += 1;
            self.row_count += count;
            sequence += 1;
            for record in run {
                let crc = crc32c::crc32c(&record.payload);
                Row { kind: record.kind, len: record.payload.len() as u32, crc }.encode(&mut self.rows);
                self.bodies += record.payload.len();
            }
        }
    }

    fn mark(&mut self, kind: RunKind, group: GroupId, sequence: u64, term: u64, leader: u64, index: u64) {
        Run { kind, group, sequence, term, leader, index, count: 0 }.encode(&mut self.runs);
        self.run_count += 1;
    }

    /// The checksum of the `row`-th entry of the batch.
    pub(crate) fn row_crc(&self, row: usize) -> u32 {
        Row::decode(&self.rows[row * Row::LEN..]).crc
    }
}
