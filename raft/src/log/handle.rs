//! The log as others use it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};
use holdfast_world::World;
use tokio::sync::oneshot;

use super::damage::Damage;
use super::ids::{GroupId, LogId, LogPosition, Vote};
use super::keeper::Keeper;
use super::read;
use super::record::{AppendError, Done, GroupLogState, LogOptions, LogRecord, ReadError};
use super::recover::{self, OpenError};
use super::state::{Command, Shared, State, cost_of};
use super::writer::Writer;
use crate::control::{Control, ControlState};
use crate::stages::Stages;

/// What was found when the log was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The groups that the log or the control file knows.
    pub groups: BTreeMap<GroupId, GroupLogState>,
    /// The groups that must stay out of their quorums.
    pub damaged: BTreeMap<GroupId, Damage>,
    /// Damage that concerns every group of the node, also those it does not know: nothing at all may be written.
    pub node_damage: Option<Damage>,
    /// Damage of any group that is not in `groups`: it may have lost all there was of it.
    pub strangers_damage: Option<Damage>,
    /// Bytes of a torn tail that were cut; they had never been acknowledged.
    pub cut_bytes: u64,
    /// How far the log reaches.
    pub end: LogPosition,
}

/// A group that keeps the oldest segment from being freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The group.
    pub group: GroupId,
    /// Its first entry.
    pub first_index: u64,
    /// The segment the entry lies in.
    pub generation: u64,
}

/// The room the log takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// Segments in use.
    pub segments: usize,
    /// Bytes of the files in use.
    pub file_bytes: u64,
    /// Bytes of entries in memory.
    pub cached_bytes: usize,
    /// Bytes of entries kept for each group.
    pub group_bytes: BTreeMap<GroupId, u64>,
}

/// The open log of a node. Cheap to clone; it is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Log {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
}

impl Drop for Open {
    fn drop(&mut self) {
        close(&self.shared);
    }
}

fn close(shared: &Shared) {
    shared.lock().closed = true;
    shared.queued.notify_one();
    shared.keeping.notify_one();
    shared.mended.notify_waiters();
}

impl Log {
    /// Opens the log in `dir`, creating the folder if the control file names no segment, and starts its writer. What
    /// rotted is in [`Recovered`]; the log of the other groups works. [`Control::begin_incarnation`] must have been called.
    ///
    /// # Errors
    /// The disk failed, or the options are out of range.
    pub async fn open(
        world: &World,
        dir: &Path,
        options: LogOptions,
        control: &Control,
    ) -> Result<(Self, Recovered), OpenError> {
        let options = recover::checked(options)?;
        let found = recover::recover(world, dir, &options, control).await?;
        let recovered = found.summary();
        let mut state = State::new(found.groups, found.segments);
        state.synced = recovered.end;
        state.node_damage = found.node_damage;
        state.strangers_damage = found.strangers_damage;
        state.evidence_from = found.evidence_from;
        state.next_segment = found.next_segment;
        state.rot.found = recovered.damaged.values().map(|damage| damage.lost.len() as u64).sum();
        state.release_evidence();
        let shared = Shared::new(world.clone(), dir.to_owned(), options, control.clone(), state);
        let marks_of = Arc::downgrade(&shared);
        control.set_marks(Box::new(move |control| {
            if let Some(shared) = marks_of.upgrade() {
                mark(&shared, control);
            }
        }));
        let keeper = Keeper::new(shared.clone(), found.spares, found.next_file);
        world.threads.dedicated("log-keeper", Box::pin(keeper.run()));
        if let Some(cursor) = found.cursor {
            world.threads.dedicated("log-writer", Box::pin(Writer::new(shared.clone(), cursor).run()));
        }
        Ok((Self { open: Arc::new(Open { shared }) }, recovered))
    }

    /// Where this log notes how long its part of a command's way takes.
    pub(crate) fn stages(&self) -> &Stages {
        &self.open.shared.options.stages
    }

    /// Appends entries to a group's log. When this returns they can be read; `done` is called once they are durable.
    /// Waits while the queue is full. Entries must follow the last one without a gap.
    ///
    /// # Errors
    /// `done` is dropped uncalled, and nothing was taken (but when the log closes meanwhile, part of a large append may
    /// have been).
    pub async fn append(&self, group: GroupId, mut records: Vec<LogRecord>, done: Done) -> Result<(), AppendError> {
        let shared = &self.open.shared;
        let limit = shared.options.max_record_bytes();
        if let Some(record) = records.iter().find(|record| record.payload.len() > limit) {
            return Err(AppendError::TooLarge { bytes: record.payload.len(), limit });
        }
        if records.is_empty() {
            // Done when all before it is.
            self.queue(Vec::new(), group, Some(done)).await?;
            return Ok(());
        }
        let mut done = Some(done);
        while !records.is_empty() {
            let rest = records.split_off(first_part(&records, shared.options.batch_limit()));
            let part_done = if rest.is_empty() { done.take() } else { None };
            self.queue(records, group, part_done).await?;
            records = rest;
        }
        Ok(())
    }

    async fn queue(&self, records: Vec<LogRecord>, group: GroupId, done: Option<Done>) -> Result<(), AppendError> {
        let shared = &self.open.shared;
        let room = self.room(cost_of(&records)).await?;
        let done = done.and_then(|done| {
            if is_on(Mutation::AppendAcknowledgedEarly) && !records.is_empty() {
                done(Ok(()));
                return None;
            }
            Some(done)
        });
        // `done` is dropped outside the lock: it may call back into who waits for it.
        let result = shared.lock().append(group, records, done);
        match result {
            Ok(()) => {
                room.forget();
                shared.queued.notify_one();
                Ok(())
            }
            Err((error, _done)) => Err(error),
        }
    }

    /// Saves a vote; ready once it is durable.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn save_vote(&self, group: GroupId, vote: Vote) -> Result<(), AppendError> {
        self.mark_durably(group, |_, log, done| {
            log.vote = Some(vote);
            Some(Command::Vote { group, vote, done })
        })
        .await
    }

    /// Removes the entries after `index`, all of them for `None`; ready once that is durable.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn truncate_after(&self, group: GroupId, index: Option<u64>) -> Result<(), AppendError> {
        let from_index = index.map_or(0, |index| index.saturating_add(1));
        self.mark_durably(group, |freed, log, done| {
            *freed = log.truncate_from(from_index);
            if is_on(Mutation::TruncationNotLogged) {
                return None;
            }
            Some(Command::Truncate { group, from_index, done })
        })
        .await
    }

    /// Removes the entries up to and with `upto`, which need not be there; ready once that is durable. Frees segments.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn purge(&self, group: GroupId, upto: LogId) -> Result<(), AppendError> {
        // Rotten entries that a checkpoint holds the outcome of are needed no more.
        let takes_it_all =
            |damage: &Damage| damage.is_repairable() && damage.lost.last().is_none_or(|last| last.index <= upto.index);
        self.mark_durably_if(group, takes_it_all, |freed, log, done| {
            *freed = log.purge(upto);
            Some(Command::Purge { group, upto, done })
        })
        .await
    }

    /// Notes the committed id: it rides in the next batch, unsynced by itself.
    pub fn save_committed(&self, group: GroupId, id: LogId) {
        let mut state = self.open.shared.lock();
        if let Ok(log) = state.writable(group) {
            log.committed_is_new |= log.committed != Some(id);
            log.committed = Some(id);
        }
    }

    /// The entries at `indexes` in order, from memory or from disk with their checksums verified: as many as fit
    /// `max_bytes` of payload, but at least one. An empty range gives none.
    ///
    /// # Errors
    /// [`ReadError::Missing`] if a part of the range is not there; it may have been purged meanwhile.
    pub async fn entries(
        &self,
        group: GroupId,
        indexes: Range<u64>,
        max_bytes: usize,
    ) -> Result<Vec<LogRecord>, ReadError> {
        read::entries(&self.open.shared, group, indexes, max_bytes).await
    }

    /// The entry with exactly this id, for a peer that repairs its log; works on damaged groups too.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] if it is rotten here as well.
    pub async fn entry(&self, group: GroupId, id: LogId) -> Result<Option<LogRecord>, ReadError> {
        let purged = self.log_state(group).purged;
        if self.log_id(group, id.index) != Some(id) || purged.is_some_and(|purged| id.index <= purged.index) {
            return Ok(None);
        }
        match self.entries(group, id.index..id.index + 1, usize::MAX).await {
            Ok(mut entries) => Ok(entries.pop().filter(|entry| entry.id() == id)),
            Err(ReadError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the log holds of a group, writes under way included.
    #[must_use]
    pub fn log_state(&self, group: GroupId) -> GroupLogState {
        self.open.shared.lock().groups.get(&group).map(super::group::GroupLog::state).unwrap_or_default()
    }

    /// The latest vote of a group.
    #[must_use]
    pub fn vote(&self, group: GroupId) -> Option<Vote> {
        self.log_state(group).vote
    }

    /// The committed id as last saved.
    #[must_use]
    pub fn committed(&self, group: GroupId) -> Option<LogId> {
        self.log_state(group).committed
    }

    /// The id of the entry at `index`, or the purged id there.
    #[must_use]
    pub fn log_id(&self, group: GroupId, index: u64) -> Option<LogId> {
        self.open.shared.lock().groups.get(&group)?.id(index)
    }

    /// The index of the first entry there is.
    #[must_use]
    pub fn first_index(&self, group: GroupId) -> Option<u64> {
        self.open.shared.lock().groups.get(&group)?.first_index()
    }

    /// Whether the group must stay out of its quorum on this node.
    #[must_use]
    pub fn is_damaged(&self, group: GroupId) -> bool {
        self.open.shared.lock().is_damaged(group)
    }

    /// What is wrong with a group now.
    #[must_use]
    pub fn damage(&self, group: GroupId) -> Option<Damage> {
        self.open.shared.lock().damage(group).cloned()
    }

    /// Everything up to here is durable. It rides in every write of the control file as a floor.
    #[must_use]
    pub fn synced_through(&self) -> LogPosition {
        self.open.shared.lock().synced
    }

    /// The groups whose first entries lie in the oldest segment, if there is more than one segment: purging them (after a
    /// checkpoint) lets it be freed.
    #[must_use]
    pub fn pinned_by(&self) -> Vec<Pin> {
        let state = self.open.shared.lock();
        let Some((&oldest, _)) = state.segments.first_key_value().filter(|_| state.segments.len() > 1) else {
            return Vec::new();
        };
        let pins = state.groups.iter().filter_map(|(&group, log)| {
            let generation = log.first_generation().filter(|generation| *generation == oldest)?;
            Some(Pin { group, first_index: log.first_index()?, generation })
        });
        pins.collect()
    }

    /// The room the log takes now.
    #[must_use]
    pub fn usage(&self) -> LogUsage {
        let state = self.open.shared.lock();
        LogUsage {
            segments: state.segments.len(),
            file_bytes: state.segments.values().map(|segment| segment.len).sum(),
            cached_bytes: state.cached_bytes,
            group_bytes: state.groups.iter().map(|(&group, log)| (group, log.bytes())).collect(),
        }
    }

    /// Closes the log: what waits is written, later calls are refused. Ready when nothing of it touches the folder any
    /// more, so that it may be opened again.
    pub async fn close(&self) {
        let shared = &self.open.shared;
        let ended = shared.ended.notified();
        tokio::pin!(ended);
        // Listens before the state is looked at, so that the end cannot slip between.
        ended.as_mut().enable();
        close(shared);
        if shared.lock().is_over {
            return;
        }
        ended.await;
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.open.shared
    }

    pub(super) async fn room(&self, cost: usize) -> Result<tokio::sync::SemaphorePermit<'_>, AppendError> {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.open.shared.room.acquire_many(cost).await.map_err(|_| AppendError::Closed)
    }

    async fn mark_durably(
        &self,
        group: GroupId,
        command: impl FnOnce(&mut usize, &mut super::group::GroupLog, oneshot::Sender<()>) -> Option<Command>,
    ) -> Result<(), AppendError> {
        self.mark_durably_if(group, |_| false, command).await
    }

    /// The same, even where the group's damage is such.
    async fn mark_durably_if(
        &self,
        group: GroupId,
        even_so: impl FnOnce(&Damage) -> bool,
        command: impl FnOnce(&mut usize, &mut super::group::GroupLog, oneshot::Sender<()>) -> Option<Command>,
    ) -> Result<(), AppendError> {
        let room = self.room(super::state::RECORD_OVERHEAD).await?;
        let (done, durable) = oneshot::channel();
        {
            let mut state = self.open.shared.lock();
            let mut freed = 0;
            let log = state.writable_if(group, even_so)?;
            let Some(command) = command(&mut freed, log, done) else { return Ok(()) };
            state.truncations_waiting += usize::from(matches!(command, Command::Truncate { .. }));
            state.uncache(freed);
            state.queue.push_back(command);
        }
        room.forget();
        self.open.shared.queued.notify_one();
        if is_on(Mutation::VoteAfterLog) {
            return Ok(());
        }
        durable.await.map_err(|_| AppendError::Closed)
    }
}

/// How many of the records make the first part of an append: as many as fit a batch, but at least one.
fn first_part(records: &[LogRecord], limit: usize) -> usize {
    let mut cost = 0;
    let fitting = records.iter().take_while(|record| {
        cost += cost_of(std::slice::from_ref(*record));
        cost <= limit
    });
    fitting.count().max(1)
}

/// Raises the floors in the control file to what is durable in the log, and the purged ids to what was decided.
fn mark(shared: &Shared, control: &mut ControlState) {
    let state = shared.lock();
    if state.node_damage.is_some() {
        // Nothing in the log is to be believed.
        return;
    }
    control.log_floor = control.log_floor.max(state.synced);
    for (&group, log) in &state.groups {
        if log.durable_vote.is_none() && log.purged.is_none() {
            continue;
        }
        let floor = control.group_mut(group);
        floor.vote = floor.vote.max(log.durable_vote);
        floor.purged = floor.purged.max(log.purged);
    }
}
