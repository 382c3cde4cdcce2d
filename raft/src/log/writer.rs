//! The single writer: takes what waits, writes it as one batch, syncs once, then reports in order.

use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};
use holdfast_world::EndReason;
use tokio::time::Instant;

use super::batch::{BatchPlace, BatchTable, CommittedMark};
use super::format::Row;
use super::group::{Place, Slot};
use super::ids::LogPosition;
use super::record::LogRecord;
use super::state::{Command, Shared};
use crate::segments::{BLOCK, SegmentFile, StampedBuffer};
use crate::stages::Stage;

/// Committed ids that ride in one batch, at most.
const COMMITTED_AT_ONCE: usize = 64;

/// Where the next batch goes.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) segment: Arc<SegmentFile>,
    /// The next free byte of the segment; the start of a block.
    pub(crate) offset: u64,
    /// The number of the last batch.
    pub(crate) last_batch: u64,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    cursor: Cursor,
    commands: Vec<Command>,
    /// The sequence of the first run of each command.
    sequences: Vec<u64>,
    committed: Vec<CommittedMark>,
    table: BatchTable,
    buffer: StampedBuffer,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, cursor: Cursor) -> Self {
        let buffer = StampedBuffer::new(shared.options.batch_limit().min(1 << 20));
        Self {
            shared,
            cursor,
            commands: Vec::new(),
            sequences: Vec::new(),
            committed: Vec::new(),
            table: BatchTable::default(),
            buffer,
        }
    }

    pub(crate) async fn run(mut self) {
        while self.take().await {
            if let Err((doing, error)) = self.write().await {
                let reason = EndReason::DiskFailed { doing: doing.to_owned(), error: error.to_string() };
                self.shared.world.end.end(reason);
                // The callbacks must never be called; they are kept, unanswered, with this future.
                std::future::pending::<()>().await;
            }
            self.report();
        }
        self.shared.lock().drained = true;
        self.shared.keeping.notify_one();
    }

    /// Waits for commands and takes a batch of them; `false` once the log is closed and nothing waits.
    async fn take(&mut self) -> bool {
        let shared = self.shared.clone();
        let limit = shared.options.batch_limit();
        loop {
            {
                let mut state = shared.lock();
                let mut cost = 0;
                while let Some(command) = state.queue.front() {
                    cost += command.cost();
                    if cost > limit && !self.commands.is_empty() {
                        break;
                    }
                    let (group, runs) = (command.group(), command.runs());
                    self.commands.extend(state.queue.pop_front());
                    let log = state.groups.entry(group).or_default();
                    self.sequences.push(log.last_sequence + 1);
                    log.last_sequence += runs;
                }
                if !self.commands.is_empty() {
                    // Not before the entries that it speaks of, and what was cut off for them: a log that ends between would
                    // call other entries committed, or ones that it does not have.
                    let is_all = state.queue.is_empty();
                    let fresh = state.groups.iter_mut().filter(|(_, log)| is_all && log.committed_is_new);
                    for (group, log) in fresh.take(COMMITTED_AT_ONCE) {
                        let Some(id) = log.committed else { continue };
                        log.last_sequence += 1;
                        self.committed.push(CommittedMark { group: *group, sequence: log.last_sequence, id });
                        log.committed_is_new = false;
                    }
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            shared.queued.notified().await;
        }
    }

    async fn write(&mut self) -> Result<(), (&'static str, std::io::Error)> {
        self.table.fill(&self.commands, &self.sequences, &self.committed);
        let len = crate::segments::physical_len(self.table.contents()) as u64;
        // A segment made under other options may be too small even when empty.
        let left = self.shared.lock().leave_behind;
        while self.cursor.offset + len > self.cursor.segment.len || left >= Some(self.cursor.segment.seed.generation) {
            self.cursor.segment = next_segment(&self.shared).await;
            self.cursor.offset = 0;
        }
        let place = BatchPlace {
            seed: self.cursor.segment.seed,
            incarnation: self.shared.incarnation,
            batch: self.cursor.last_batch + 1,
            block: (self.cursor.offset / BLOCK as u64) as u32,
            synced_through: self.cursor.last_batch,
            control_generation: self.shared.control.generation(),
        };
        let image = self.table.encode(place, &self.commands, &mut self.buffer);
        let file = &self.cursor.segment.file;
        file.write_all_at(image, self.cursor.offset).await.map_err(|error| ("wrote the log", error))?;
        // Not one write with O_DSYNC: measured side by side it was no faster.
        let sync = Instant::now();
        let synced = if is_on(Mutation::LostSync) { Ok(()) } else { file.sync_data().await };
        synced.or_else(|error| if is_on(Mutation::IgnoredEio) { Ok(()) } else { Err(("synced the log", error)) })?;
        self.shared.options.stages.note(Stage::Sync, sync.elapsed());
        self.settle(place);
        self.cursor.last_batch += 1;
        self.cursor.offset += len;
        Ok(())
    }

    /// Notes in the index where everything lies now.
    fn settle(&mut self, place: BatchPlace) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let mut written = Written { place, table: &self.table, offset: self.table.first_body(), row: 0 };
        let (mut freed_room, mut healed) = (0, false);
        for command in &self.commands {
            freed_room += command.cost();
            match command {
                Command::Append { group, ticket, records, .. } => {
                    let mut log = state.groups.get_mut(group);
                    for record in records {
                        let (place, row) = written.next(record);
                        let slot = log.as_mut().and_then(|log| log.slot_mut(record.index));
                        // It may have been truncated and written anew meanwhile.
                        if let Some(slot) = slot.filter(|slot| slot.place == Place::Waiting { ticket: *ticket }) {
                            *slot = Slot { place, row };
                        }
                    }
                }
                Command::Repair { group, records, .. } => {
                    for record in records {
                        let (place, row) = written.next(record);
                        let is_mended =
                            state.groups.get_mut(group).is_some_and(|log| log.mend(record.id(), place, row));
                        state.rot.mended += u64::from(is_mended);
                    }
                    healed = true;
                }
                Command::Vote { group, vote, .. } => {
                    if let Some(log) = state.groups.get_mut(group) {
                        log.durable_vote = log.durable_vote.max(Some(*vote));
                    }
                }
                // What was rotten may be among what has gone.
                Command::Truncate { .. } => {
                    state.truncations_waiting -= 1;
                    healed = true;
                }
                Command::Purge { .. } => {
                    state.may_free = true;
                    healed = true;
                }
            }
        }
        if healed {
            state.release_evidence();
        }
        state.synced = LogPosition { generation: place.seed.generation, batch: place.batch };
        state.shrink_cache(shared.options.cache_bytes);
        let keep = state.may_free || state.next_segment.is_none();
        drop(state);
        if healed {
            shared.mended.notify_waiters();
        }
        shared.room.add_permits(freed_room.min(shared.options.queue_bytes));
        if keep {
            shared.keeping.notify_one();
        }
    }

    /// Reports everything in the batch as done, in order.
    fn report(&mut self) {
        self.committed.clear();
        self.sequences.clear();
        for command in self.commands.drain(..) {
            match command {
                Command::Append { done, taken, .. } => {
                    self.shared.options.stages.note(Stage::Append, taken.elapsed());
                    if let Some(done) = done {
                        done(Ok(()));
                    }
                }
                Command::Repair { done, .. }
                | Command::Vote { done, .. }
                | Command::Truncate { done, .. }
                | Command::Purge { done, .. } => {
                    // Nobody waits any more: that is the waiter's business.
                    let _ = done.send(());
                }
            }
        }
    }
}

/// Walks over the entries of a batch in the order they were laid out.
struct Written<'a> {
    place: BatchPlace,
    table: &'a BatchTable,
    offset: usize,
    row: usize,
}

impl Written<'_> {
    fn next(&mut self, record: &LogRecord) -> (Place, Row) {
        let place = Place::Written {
            generation: self.place.seed.generation,
            block: self.place.block,
            offset: self.offset as u32,
        };
        let row = Row { kind: record.kind, len: record.payload.len() as u32, crc: self.table.row_crc(self.row) };
        self.offset += record.payload.len();
        self.row += 1;
        (place, row)
    }
}

/// Takes the segment that is ready, waiting for the keeper if it is not.
async fn next_segment(shared: &Shared) -> Arc<SegmentFile> {
    loop {
        {
            let mut state = shared.lock();
            if let Some(next) = state.next_segment.take() {
                state.segments.insert(next.seed.generation, next.clone());
                state.writer_waits = false;
                shared.keeping.notify_one();
                return next;
            }
            state.writer_waits = true;
        }
        shared.keeping.notify_one();
        shared.segment_ready.notified().await;
    }
}
