//! The state that callers, writer and keeper share: index, queue and segments, under one lock that is held briefly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_world::World;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;

use super::damage::{Damage, DamageCause};
use super::group::{GroupLog, Place, Slot};
use super::ids::{GroupId, Incarnation, LogId, LogPosition, Vote};
use super::record::{AppendError, Done, LogOptions, LogRecord};
use crate::control::Control;
use crate::log::format::Row;
use crate::segments::SegmentFile;

/// What a record costs in a batch besides its payload, at most.
pub(crate) const RECORD_OVERHEAD: usize = 64;

/// Something for the writer to write.
pub(crate) enum Command {
    Append { group: GroupId, ticket: u64, records: Vec<LogRecord>, taken: Instant, done: Option<Done> },
    Repair { group: GroupId, records: Vec<LogRecord>, done: oneshot::Sender<()> },
    Vote { group: GroupId, vote: Vote, done: oneshot::Sender<()> },
    Truncate { group: GroupId, from_index: u64, done: oneshot::Sender<()> },
    Purge { group: GroupId, upto: LogId, done: oneshot::Sender<()> },
}

impl Command {
    pub(crate) fn group(&self) -> GroupId {
        match self {
            Self::Append { group, .. }
            | Self::Repair { group, .. }
            | Self::Vote { group, .. }
            | Self::Truncate { group, .. }
            | Self::Purge { group, .. } => *group,
        }
    }

    /// How many runs it makes in a batch.
    pub(crate) fn runs(&self) -> u64 {
        match self {
            Self::Append { records, .. } | Self::Repair { records, .. } => run_lengths(records).count() as u64,
            Self::Vote { .. } | Self::Truncate { .. } | Self::Purge { .. } => 1,
        }
    }

    /// Bytes it takes in a batch, at most.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Append { records, .. } | Self::Repair { records, .. } => cost_of(records),
            Self::Vote { .. } | Self::Truncate { .. } | Self::Purge { .. } => RECORD_OVERHEAD,
        }
    }
}

pub(crate) fn cost_of(records: &[LogRecord]) -> usize {
    records.iter().map(|record| record.payload.len() + RECORD_OVERHEAD).sum()
}

/// The lengths of the stretches of `records` with one leader and consecutive indexes each.
pub(crate) fn run_lengths(records: &[LogRecord]) -> impl Iterator<Item = usize> + '_ {
    records
        .chunk_by(|a, b| (a.term, a.leader_node, a.index + 1) == (b.term, b.leader_node, b.index))
        .map(<[LogRecord]>::len)
}

pub(crate) struct State {
    pub(crate) groups: BTreeMap<GroupId, GroupLog>,
    pub(crate) queue: VecDeque<Command>,
    /// Names the next append while it waits.
    next_ticket: u64,
    /// Truncations that are not durable yet: no segment is freed meanwhile.
    pub(crate) truncations_waiting: usize,
    /// The entries whose bodies are in memory, oldest first; may name some that are gone.
    cached: VecDeque<(GroupId, u64)>,
    pub(crate) cached_bytes: usize,
    /// The segments in use, by generation.
    pub(crate) segments: BTreeMap<u64, Arc<SegmentFile>>,
    /// Everything up to here is durable.
    pub(crate) synced: LogPosition,
    /// The segment that follows the active one, if it is ready.
    pub(crate) next_segment: Option<Arc<SegmentFile>>,
    /// The writer cannot go on without it.
    pub(crate) writer_waits: bool,
    /// Something was purged since the keeper last looked.
    pub(crate) may_free: bool,
    /// Damage that concerns every group, also those not known yet.
    pub(crate) node_damage: Option<Damage>,
    /// Damage of every group that was not found.
    pub(crate) strangers_damage: Option<Damage>,
    /// No segment from this generation on is freed: it holds evidence.
    pub(crate) evidence_from: Option<u64>,
    /// Groups that run: what rots of them is mended while they wait, and they may be written to meanwhile.
    pub(crate) attended: BTreeSet<GroupId>,
    /// The writer leaves the segments up to this generation behind.
    pub(crate) leave_behind: Option<u64>,
    pub(crate) rot: RotCounts,
    pub(crate) closed: bool,
    /// The writer has written everything after `closed`.
    pub(crate) drained: bool,
    /// The keeper has ended as well: nothing touches the folder any more.
    pub(crate) is_over: bool,
}

impl State {
    pub(crate) fn new(groups: BTreeMap<GroupId, GroupLog>, segments: BTreeMap<u64, Arc<SegmentFile>>) -> Self {
        Self {
            groups,
            queue: VecDeque::new(),
            next_ticket: 0,
            truncations_waiting: 0,
            cached: VecDeque::new(),
            cached_bytes: 0,
            segments,
            synced: LogPosition::default(),
            next_segment: None,
            writer_waits: false,
            may_free: true,
            node_damage: None,
            strangers_damage: None,
            evidence_from: None,
            attended: BTreeSet::new(),
            leave_behind: None,
            rot: RotCounts::default(),
            closed: false,
            drained: false,
            is_over: false,
        }
    }

    /// The group, if it may be written to.
    pub(crate) fn writable(&mut self, group: GroupId) -> Result<&mut GroupLog, AppendError> {
        self.writable_if(group, |_| false)
    }

    /// The group, if it may be written to, or its damage is such that it may even so.
    pub(crate) fn writable_if(
        &mut self,
        group: GroupId,
        even_so: impl FnOnce(&Damage) -> bool,
    ) -> Result<&mut GroupLog, AppendError> {
        if self.closed {
            return Err(AppendError::Closed);
        }
        if self.node_damage.is_some() {
            return Err(AppendError::Damaged { group });
        }
        let damage = &self.strangers_damage;
        let log = self.groups.entry(group).or_insert_with(|| GroupLog::new(damage.clone()));
        let is_attended = self.attended.contains(&group);
        let may = |damage: &Damage| (is_attended && damage.is_repairable()) || even_so(damage);
        if log.damage.as_ref().is_none_or(may) { Ok(log) } else { Err(AppendError::Damaged { group }) }
    }

    /// An entry in segment `generation` is rotten: its group counts as damaged from now on. Says whether that is new.
    pub(crate) fn note_rot(&mut self, group: GroupId, id: LogId, generation: u64) -> bool {
        let Some(log) = self.groups.get_mut(&group).filter(|log| log.id(id.index) == Some(id)) else { return false };
        let damage = log.damage.get_or_insert_default();
        damage.add(DamageCause::RottenEntries { at: LogPosition { batch: 0, generation } });
        let is_new = damage.lost.insert(id);
        self.rot.found += u64::from(is_new);
        let evidence = self.evidence_from.map_or(generation, |from| from.min(generation));
        self.evidence_from = Some(evidence);
        is_new
    }

    /// Puts entries into index, cache and queue.
    pub(crate) fn append(
        &mut self,
        group: GroupId,
        records: Vec<LogRecord>,
        done: Option<Done>,
    ) -> Result<(), (AppendError, Option<Done>)> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let log = match self.writable(group) {
            Ok(log) => log,
            Err(error) => return Err((error, done)),
        };
        let mut expected = log.next_index();
        for record in &records {
            if expected.is_some_and(|expected| record.index != expected) {
                let last = expected.and_then(|next| next.checked_sub(1));
                return Err((AppendError::NotConsecutive { group, index: record.index, last }, done));
            }
            expected = Some(record.index + 1);
        }
        for record in &records {
            // The checksum is the writer's to compute; the body in memory is not checked against it.
            let row = Row { kind: record.kind, len: record.payload.len() as u32, crc: 0 };
            log.push(record.id(), Slot { place: Place::Waiting { ticket }, row }, Some(record.payload.clone()));
        }
        self.cached_bytes += records.iter().map(|record| record.payload.len()).sum::<usize>();
        self.cached.extend(records.iter().map(|record| (group, record.index)));
        self.queue.push_back(Command::Append { group, ticket, records, taken: Instant::now(), done });
        Ok(())
    }

    /// Puts an empty append into the queue, of any group; false: there is none.
    pub(crate) fn push_nothing(&mut self, done: Done) -> bool {
        let Some((&group, _)) = self.groups.first_key_value() else { return false };
        let (records, done) = (Vec::new(), Some(done));
        self.queue.push_back(Command::Append { group, ticket: self.next_ticket, records, taken: Instant::now(), done });
        self.next_ticket += 1;
        true
    }

    /// Lets go of the oldest bodies in memory until they are within `budget`, but of none that is not written yet.
    pub(crate) fn shrink_cache(&mut self, budget: usize) {
        while self.cached_bytes > budget {
            let Some(&(group, index)) = self.cached.front() else { break };
            let freed = match self.groups.get_mut(&group) {
                Some(log) => log.forget_body(index),
                None => Some(0),
            };
            let Some(freed) = freed else { break };
            self.cached_bytes -= freed;
            self.cached.pop_front();
        }
    }

    /// Counts down after a truncation or purge, and drops stale names from the cache's list when they pile up.
    pub(crate) fn uncache(&mut self, freed: usize) {
        self.cached_bytes -= freed;
        if self.cached.len() > 1_024 {
            let Self { groups, cached, .. } = self;
            while cached
                .front()
                .is_some_and(|(group, index)| groups.get(group).is_none_or(|log| log.body(*index).is_none()))
            {
                cached.pop_front();
            }
        }
    }

    /// Lets segments be freed again once nothing in the log is damaged any more.
    pub(crate) fn release_evidence(&mut self) {
        if self.evidence_from.is_none() {
            return;
        }
        let is_whole = self.node_damage.is_none() && self.strangers_damage.is_none();
        if is_whole && self.groups.values().all(|log| log.damage.is_none()) {
            self.evidence_from = None;
            self.may_free = true;
        }
    }

    /// What keeps the group out of its quorum.
    pub(crate) fn damage(&self, group: GroupId) -> Option<&Damage> {
        let own = || match self.groups.get(&group) {
            Some(log) => log.damage.as_ref(),
            None => self.strangers_damage.as_ref(),
        };
        self.node_damage.as_ref().or_else(own)
    }

    pub(crate) fn is_damaged(&self, group: GroupId) -> bool {
        self.damage(group).is_some()
    }
}

/// How many entries were found rotten since the log was opened, and how many of them have new copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotCounts {
    /// Found, when the log was opened or since.
    pub found: u64,
    /// Mended. An entry that was purged or truncated before it was mended is not among them.
    pub mended: u64,
}

/// What the handles, the writer and the keeper hold in common.
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) dir: PathBuf,
    pub(crate) options: LogOptions,
    pub(crate) control: Control,
    pub(crate) identity: u128,
    pub(crate) incarnation: Incarnation,
    state: Mutex<State>,
    /// Bytes of the queue that are free.
    pub(crate) room: Semaphore,
    /// There is work for the writer.
    pub(crate) queued: Notify,
    /// There is work for the keeper.
    pub(crate) keeping: Notify,
    /// The next segment is ready.
    pub(crate) segment_ready: Notify,
    /// Something has rotted.
    pub(crate) rot_found: Arc<Notify>,
    /// Something rotten was mended or has gone, or is not waited for any more.
    pub(crate) mended: Notify,
    /// Writer and keeper have ended.
    pub(crate) ended: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.dir).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(world: World, dir: PathBuf, options: LogOptions, control: Control, state: State) -> Arc<Self> {
        let (identity, incarnation) = control.read(|control| (control.identity.log, control.incarnation));
        let room = Semaphore::new(options.queue_bytes);
        Arc::new(Self {
            world,
            dir,
            options,
            control,
            identity,
            incarnation,
            state: Mutex::new(state),
            room,
            queued: Notify::new(),
            keeping: Notify::new(),
            segment_ready: Notify::new(),
            rot_found: Arc::default(),
            mended: Notify::new(),
            ended: Notify::new(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
