//! Walks over the batches of a segment that was read back, and tells torn from rotten.

use super::format::{Prologue, Row, Run};
use super::ids::Incarnation;
use crate::segments::{BLOCK, SECTOR, SegmentSeed, Stamp, StampedReader, physical_len};

/// A segment's bytes.
#[derive(Clone, Copy)]
pub(crate) struct SegmentImage<'a> {
    pub(crate) seed: SegmentSeed,
    pub(crate) bytes: &'a [u8],
}

/// An entry's row with the place of its body in the contents of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundRow {
    pub(crate) row: Row,
    pub(crate) offset: u32,
    pub(crate) is_whole: bool,
}

/// The table of a batch, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundTable {
    /// Each run with its rows.
    pub(crate) runs: Vec<(Run, Vec<FoundRow>)>,
}

/// How a batch was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Everything in it is as it was written.
    Whole,
    /// Something in it is wrong, though every sector was written: it changed afterwards.
    Rotten,
    /// Something in it is wrong, and some sectors bear no stamp of it: torn, if it is the very last and was not known to
    /// be synced; otherwise rotten.
    TornOrRotten,
}

/// A batch whose prologue is whole.
#[derive(Clone, Debug)]
pub(crate) struct FoundBatch {
    pub(crate) prologue: Prologue,
    pub(crate) generation: u64,
    pub(crate) condition: Condition,
    /// `None` if the table is wrong.
    pub(crate) table: Option<FoundTable>,
}

impl FoundBatch {
    /// Its first byte in the segment.
    pub(crate) fn start(&self) -> usize {
        self.prologue.block as usize * BLOCK
    }

    /// One past its last byte in the segment.
    pub(crate) fn end(&self) -> usize {
        self.start() + physical_len(self.prologue.contents as usize)
    }

    /// Looks at a batch whose prologue is whole; `bytes` are all of its own.
    pub(crate) fn examine(seed: SegmentSeed, prologue: Prologue, bytes: &[u8]) -> Self {
        let contents = prologue.contents as usize;
        let reader = StampedReader::new(bytes);
        let table = Self::table(seed, &prologue, reader);
        let is_whole =
            table.as_ref().is_some_and(|table| table.runs.iter().all(|(_, rows)| rows.iter().all(|row| row.is_whole)));
        let stamp = seed.stamp(prologue.incarnation.counter, prologue.batch);
        let condition = if is_whole {
            Condition::Whole
        } else if reader.is_stamped(stamp, contents) {
            Condition::Rotten
        } else {
            Condition::TornOrRotten
        };
        Self { prologue, generation: seed.generation, condition, table }
    }

    fn table(seed: SegmentSeed, prologue: &Prologue, reader: StampedReader<'_>) -> Option<FoundTable> {
        let seed = Prologue::table_seed(seed, prologue.incarnation, prologue.batch);
        let len = prologue.table_len();
        if reader.checksum(seed, Prologue::LEN, len) != prologue.table_crc {
            return None;
        }
        let mut bytes = Vec::with_capacity(len);
        reader.copy(Prologue::LEN, len, &mut bytes);
        let (runs, rows) = bytes.split_at(prologue.runs as usize * Run::LEN);
        let mut rows = rows.chunks_exact(Row::LEN).map(Row::decode);
        let mut offset = Prologue::LEN + len;
        let mut table = FoundTable::default();
        for run in runs.chunks_exact(Run::LEN) {
            let run = Run::decode(run)?;
            let mut found = Vec::with_capacity(run.count as usize);
            for _ in 0..run.count {
                let row = rows.next()?;
                let body = row.len as usize;
                if offset + body > prologue.contents as usize {
                    return None;
                }
                let is_whole = reader.checksum(0, offset, body) == row.crc;
                found.push(FoundRow { row, offset: offset as u32, is_whole });
                offset += body;
            }
            table.runs.push((run, found));
        }
        Some(table)
    }
}

impl SegmentImage<'_> {
    /// The first batch at or after byte `from` that is younger than batch `after`.
    pub(crate) fn next_batch(&self, from: usize, after: u64) -> Option<FoundBatch> {
        (from..self.bytes.len()).step_by(BLOCK).find_map(|at| {
            let prologue = Prologue::decode(self.seed, &self.bytes[at..])?;
            let contents = prologue.contents as usize;
            let fits =
                physical_len(contents) <= self.bytes.len() - at && Prologue::LEN + prologue.table_len() <= contents;
            let belongs = prologue.block as usize * BLOCK == at && prologue.batch > after;
            (fits && belongs).then(|| {
                let start = prologue.block as usize * BLOCK;
                let batch = &self.bytes[start..start + physical_len(contents)];
                FoundBatch::examine(self.seed, prologue, batch)
            })
        })
    }

    /// Whether the sector at `at` was written as the first of batch `batch`, in any of the lives given.
    pub(crate) fn began_here(&self, at: usize, batch: u64, first: Incarnation, last: Incarnation) -> bool {
        let Some(sector) = self.bytes.get(at..at + SECTOR) else { return false };
        let stamp = Stamp::of_sector(sector);
        self.seed.owns(stamp) && (first.counter..=last.counter).any(|counter| self.seed.stamp(counter, batch) == stamp)
    }

    /// One past the last block at or after byte `from` that holds a sector stamped in this use of the segment.
    pub(crate) fn last_stamped_block(&self, from: usize) -> Option<usize> {
        let sectors = self.bytes[from..].chunks_exact(SECTOR);
        let last = sectors.rev().position(|sector| self.seed.owns(Stamp::of_sector(sector)))?;
        Some((self.bytes.len() - last * SECTOR).next_multiple_of(BLOCK))
    }
}
