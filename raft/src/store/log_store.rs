//! A group's log as openraft wants it, over the node's one log.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_inventory as inventory;
use holdfast_mutation::{Mutation, is_on};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};

use super::convert::{entry_from_record, from_log_id, from_vote, record_from_entry, to_log_id, to_vote};
use crate::log::{AppendError, GroupId, Log, ReadError};
use crate::stages::Passage;
use crate::types::Types;

/// Bytes of entries given at once: with what surrounds them they fit a frame between nodes (4 MiB).
const READ_BYTES: usize = 3 * 1_024 * 1_024;

/// Decoded entries kept between their proposal and their application on the node that proposed them.
const DECODED_ENTRIES: usize = 256;

/// The log of one group. Clones share it.
#[derive(Clone, Debug)]
pub struct LogStore {
    log: Log,
    group: GroupId,
    decoded: Arc<Mutex<Decoded>>,
}

/// Decoded entries by index, each with the id it is of.
type Decoded = BTreeMap<u64, (LogIdOf<Types>, Kept)>;

/// What the log has no place for of a payload that was proposed here.
#[derive(Clone, Debug)]
struct Kept {
    decoded: Arc<inventory::Entry>,
    passage: Option<Arc<Passage>>,
}

/// Reads the log of one group.
pub type LogReader = LogStore;

impl LogStore {
    /// The log of `group` in the node's log.
    #[must_use]
    pub fn new(log: Log, group: GroupId) -> Self {
        Self { log, group, decoded: Arc::default() }
    }

    fn keep_decoded(&self, entry: &EntryOf<Types>) {
        let EntryPayload::Normal(payload) = &entry.payload else { return };
        let Some(decoded) = &payload.decoded else { return };
        let one = Kept { decoded: decoded.clone(), passage: payload.passage.clone() };
        let mut kept = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(entry.log_id.index, (entry.log_id, one));
        while kept.len() > DECODED_ENTRIES {
            kept.pop_first();
        }
    }

    fn give_decoded(&self, entry: &mut EntryOf<Types>) {
        let EntryPayload::Normal(payload) = &mut entry.payload else { return };
        let kept = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kept)) = kept.get(&entry.log_id.index).filter(|(id, _)| *id == entry.log_id) {
            payload.decoded = Some(kept.decoded.clone());
            payload.passage = kept.passage.clone();
        }
    }

    async fn read(&self, start: u64, end: u64) -> io::Result<Vec<EntryOf<Types>>> {
        let records = loop {
            match self.log.entries(self.group, start..end, READ_BYTES).await {
                Ok(records) => break records,
                // It is fetched from a peer: openraft, which would end the group, waits for it.
                Err(ReadError::Damaged { .. }) if self.log.is_mended(self.group).await => {}
                Err(error) => return Err(read_error(error)),
            }
        };
        records
            .into_iter()
            .map(|record| {
                let mut entry = entry_from_record(record)?;
                self.give_decoded(&mut entry);
                Ok(entry)
            })
            .collect()
    }
}

fn passage_of(entry: &EntryOf<Types>) -> Option<Arc<Passage>> {
    match &entry.payload {
        EntryPayload::Normal(payload) => payload.passage.clone(),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    }
}

fn append_error(error: AppendError) -> io::Error {
    io::Error::other(error)
}

fn read_error(error: ReadError) -> io::Error {
    io::Error::other(error)
}

/// `range` as a half-open range, its end bounded by the last entry.
fn bounds(range: &impl RangeBounds<u64>, after_last: u64) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => after_last,
    };
    (start, end.min(after_last))
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let after_last = self.log.log_state(self.group).last.map_or(0, |last| last.index + 1);
        let (start, end) = bounds(&range, after_last);
        let Some(first) = self.log.first_index(self.group) else { return Ok(Vec::new()) };
        let mut start = start.max(first);
        let mut entries = Vec::new();
        while start < end {
            let read = self.read(start, end).await?;
            let Some(last) = read.last() else { break };
            start = last.log_id.index + 1;
            entries.extend(read);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        Ok(self.log.vote(self.group).map(from_vote))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<EntryOf<Types>>, io::Error> {
        self.read(start, end).await
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.log.log_state(self.group);
        Ok(LogState { last_purged_log_id: state.purged.map(from_log_id), last_log_id: state.last.map(from_log_id) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        self.log.save_vote(self.group, to_vote(vote)).await.map_err(append_error)
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.log.save_committed(self.group, to_log_id(&committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types>>, io::Error> {
        Ok(self.log.committed(self.group).map(from_log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        // Empty, and nothing is allocated for it, but where somebody follows an entry.
        let mut followed = Vec::new();
        let records = entries
            .into_iter()
            .map(|entry| {
                self.keep_decoded(&entry);
                followed.extend(passage_of(&entry).inspect(|passage| passage.note_append_began()));
                record_from_entry(entry)
            })
            .collect();
        let done = Box::new(move |result| {
            followed.iter().for_each(|passage| passage.note_append_ended());
            callback.io_completed(result);
        });
        self.log.append(self.group, records, done).await.map_err(append_error)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        self.log.truncate_after(self.group, last_log_id.map(|id| id.index)).await.map_err(append_error)
    }

    async fn purge(&mut self, log_id: LogIdOf<Types>) -> Result<(), io::Error> {
        let mut upto = to_log_id(&log_id);
        if is_on(Mutation::EarlyPurge) {
            // Nothing is applied that is not committed.
            upto = upto.max(self.log.committed(self.group).unwrap_or(upto));
        }
        self.log.purge(self.group, upto).await.map_err(append_error)
    }
}
