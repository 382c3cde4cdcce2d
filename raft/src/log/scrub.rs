//! The scrubber's way through the log: reads back, batch by batch, what is written, to find rot before somebody needs what has
//! rotted. How fast, and what is done about it, is the caller's.
//!
//! Batches are numbered without gaps, so where the next one is not found, though it was synced, its head has rotted. What is
//! found of entries that are truncated, purged or mended already is nobody's loss, and left alone.

use std::io;
use std::sync::Arc;

use super::format::{Prologue, RunKind};
use super::group::Place;
use super::handle::Log;
use super::ids::{GroupId, LogId};
use super::record::AppendError;
use super::scan::{FoundBatch, FoundTable};
use super::state::Shared;
use crate::segments::{BLOCK, SECTOR, SegmentFile, Stamp, physical_len};

/// Bytes read in one step, at most.
const PIECE: usize = 256 << 10;

/// Where a walk through the log stands. A fresh one begins at the oldest segment.
#[derive(Debug, Default)]
pub struct Scrub {
    generation: u64,
    /// The byte of the segment where the next batch is to be.
    at: usize,
    /// The number it is to have; `None`: any, at the beginning of a segment.
    batch: Option<u64>,
    reading: Option<Reading>,
}

/// A batch that is being read, piece by piece.
#[derive(Debug)]
struct Reading {
    segment: Arc<SegmentFile>,
    prologue: Prologue,
    bytes: Vec<u8>,
    read: usize,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// Bytes read.
    pub bytes: usize,
    /// What has rotted.
    pub found: Vec<Rot>,
}

/// Something that has rotted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rot {
    /// An entry, whose body was in memory and is written anew.
    Mended {
        /// Its group.
        group: GroupId,
        /// Which it is.
        id: LogId,
    },
    /// An entry: its group counts as damaged.
    Entry {
        /// Its group.
        group: GroupId,
        /// Which it is.
        id: LogId,
    },
    /// What says what a batch holds. A start would not know which groups have lost what; while the node runs it knows all that
    /// was in it, so that the segment has only to be left behind ([`Log::leave_behind`]) and its entries purged.
    Batch {
        /// The segment.
        generation: u64,
    },
}

/// What stands at the place where the next batch is to be.
enum Next {
    /// A batch.
    Batch(Arc<SegmentFile>, Prologue, Vec<u8>),
    /// Nothing, and so it must be; the walk is over.
    End,
    /// Nothing, though there must be something; the walk goes on in the next segment.
    Rotten { generation: u64 },
}

impl Log {
    /// Reads on by a piece; `None`: the walk is over.
    ///
    /// # Errors
    /// The disk does not give what is asked for. The walk goes on behind that segment.
    pub async fn scrub(&self, walk: &mut Scrub) -> io::Result<Option<Scrubbed>> {
        let stepped = self.step(walk).await;
        if stepped.is_err() {
            walk.skip_segment();
        }
        stepped
    }

    async fn step(&self, walk: &mut Scrub) -> io::Result<Option<Scrubbed>> {
        let mut step = Scrubbed { bytes: 0, found: Vec::new() };
        let mut reading = match walk.reading.take() {
            Some(reading) => reading,
            None => match next(self.shared(), walk, &mut step.bytes).await? {
                Next::End => return Ok(None),
                Next::Rotten { generation } => {
                    step.found.push(Rot::Batch { generation });
                    return Ok(Some(step));
                }
                Next::Batch(segment, prologue, mut bytes) => {
                    let read = bytes.len();
                    bytes.resize(physical_len(prologue.contents as usize), 0);
                    Reading { segment, prologue, bytes, read }
                }
            },
        };
        let upto = reading.bytes.len().min(reading.read + PIECE);
        if reading.read < upto {
            let at = (walk.at + reading.read) as u64;
            reading.segment.file.read_exact_at(&mut reading.bytes[reading.read..upto], at).await?;
            step.bytes += upto - reading.read;
            reading.read = upto;
        }
        if reading.read < reading.bytes.len() {
            walk.reading = Some(reading);
            return Ok(Some(step));
        }
        let Reading { segment, prologue, bytes, .. } = reading;
        walk.at += bytes.len();
        walk.batch = Some(prologue.batch + 1);
        let found = FoundBatch::examine(segment.seed, prologue, &bytes);
        match found.table {
            None => step.found.push(Rot::Batch { generation: segment.seed.generation }),
            Some(table) => {
                for (group, id) in rotten_entries(self.shared(), &table, segment.seed.generation, prologue.block) {
                    step.found.extend(self.take_rot(group, id, segment.seed.generation).await);
                }
            }
        }
        Ok(Some(step))
    }

    /// Mends a rotten entry from memory if it is there, else has its group count as damaged.
    async fn take_rot(&self, group: GroupId, id: LogId, generation: u64) -> Option<Rot> {
        match self.mend_from_memory(group, id).await {
            Ok(true) => return Some(Rot::Mended { group, id }),
            Ok(false) => {}
            // A log that is closed is scrubbed no more.
            Err(AppendError::Closed) => return None,
            Err(error) => tracing::warn!(%group, %id, %error, "a rotten entry is not written anew from memory"),
        }
        let is_new = self.shared().lock().note_rot(group, id, generation);
        if is_new {
            self.shared().rot_found.notify_one();
        }
        is_new.then_some(Rot::Entry { group, id })
    }
}

impl Scrub {
    fn skip_segment(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }
}

/// Finds the next batch. `bytes` counts what is read for it.
async fn next(shared: &Shared, walk: &mut Scrub, bytes: &mut usize) -> io::Result<Next> {
    loop {
        // What is synced by now is on the disk when it is read below.
        let (segment, following, synced) = {
            let state = shared.lock();
            let mut segments = state.segments.range(walk.generation..).map(|(_, segment)| segment.clone());
            (segments.next(), segments.next(), state.synced)
        };
        let Some(segment) = segment else { return Ok(Next::End) };
        let generation = segment.seed.generation;
        if generation != walk.generation {
            // Those before it were freed.
            *walk = Scrub { generation, ..Scrub::default() };
        }
        let is_over = match walk.batch {
            Some(batch) => batch > synced.batch,
            None => synced.batch == 0 || generation > synced.generation,
        };
        if is_over {
            return Ok(Next::End);
        }
        let block = read_block(&segment, walk.at, bytes).await?;
        let found = block.as_deref().and_then(|block| batch_at(&segment, walk.at, block));
        let is_next =
            |found: &Prologue| walk.batch.is_none_or(|batch| batch == found.batch) && found.batch <= synced.batch;
        if let (Some(found), Some(block)) = (found.filter(is_next), block.as_ref()) {
            let len = block.len().min(physical_len(found.contents as usize));
            return Ok(Next::Batch(segment, found, block[..len].to_vec()));
        }
        let was_written = block.as_deref().is_some_and(|block| segment.seed.owns(Stamp::of_sector(&block[..SECTOR])));
        match (walk.batch, following) {
            // The segment is full: the next one must begin with the batch.
            (Some(_), Some(following)) if !was_written => {
                walk.generation = following.seed.generation;
                walk.at = 0;
                let block = read_block(&following, 0, bytes).await?;
                let found = block.as_deref().and_then(|block| batch_at(&following, 0, block));
                if found.is_some_and(|found| Some(found.batch) == walk.batch) {
                    continue;
                }
                walk.skip_segment();
                return Ok(Next::Rotten { generation: following.seed.generation });
            }
            _ => {
                walk.skip_segment();
                return Ok(Next::Rotten { generation });
            }
        }
    }
}

/// The block at `at`; `None` past the end of the segment.
async fn read_block(segment: &SegmentFile, at: usize, bytes: &mut usize) -> io::Result<Option<Vec<u8>>> {
    if (at + BLOCK) as u64 > segment.len {
        return Ok(None);
    }
    let mut block = vec![0; BLOCK];
    segment.file.read_exact_at(&mut block, at as u64).await?;
    *bytes += BLOCK;
    Ok(Some(block))
}

/// The batch whose first block this is.
fn batch_at(segment: &SegmentFile, at: usize, block: &[u8]) -> Option<Prologue> {
    let found = Prologue::decode(segment.seed, block)?;
    let contents = found.contents as usize;
    let fits = (at + physical_len(contents)) as u64 <= segment.len && Prologue::LEN + found.table_len() <= contents;
    (fits && found.block as usize * BLOCK == at).then_some(found)
}

/// The entries of a batch that are rotten and that the index still points to.
fn rotten_entries(shared: &Shared, table: &FoundTable, generation: u64, block: u32) -> Vec<(GroupId, LogId)> {
    let state = shared.lock();
    let mut rotten = Vec::new();
    for (run, rows) in table.runs.iter().filter(|(run, _)| matches!(run.kind, RunKind::Append | RunKind::Repair)) {
        let Some(log) = state.groups.get(&run.group) else { continue };
        for (index, row) in (run.index..).zip(rows).filter(|(_, row)| !row.is_whole) {
            let id = LogId { term: run.term, leader_node: run.leader, index };
            let place = Place::Written { generation, block, offset: row.offset };
            let is_needed = log.id(index) == Some(id) && log.slot(index).is_some_and(|slot| slot.place == place);
            if is_needed {
                rotten.push((run.group, id));
            }
        }
    }
    rotten
}
