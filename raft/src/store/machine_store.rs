//! A group's state machine as openraft wants it: the machine in memory, checkpoints as its snapshots.
//!
//! openraft's apply task is the machine's only writer. Readers take the read lock for a moment ([`SharedMachine`]).

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use holdfast_inventory as inventory;
use holdfast_mutation::{Mutation, is_on};
use holdfast_world::{EndReason, World};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::type_config::alias::{EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StoredMembership};
use tokio::sync::watch;
use tokio::time::Instant;

use super::changes::Changes;
use super::convert::to_log_id;
use crate::checkpoint::{Checkpoints, Cut, ReceivedSnapshot, Snapshot, membership_of, meta_of};
use crate::encode::{SCHEMA, decode_entry, schema_of};
use crate::log::{GroupId, LogId};
use crate::machine::{ChunkKey, Machine, MachineKind};
use crate::stages::{Stage, Stages};
use crate::types::{Payload, Reply, Types};

/// How often, and how long after the last attempt, a group's first checkpoint is tried where the store does not take it.
const FIRST_CHECKPOINT_TRIES: u32 = 600;
const FIRST_CHECKPOINT_PAUSE: Duration = Duration::from_secs(1);

/// The machine of a group as its readers see it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedMachine {
    machine: Arc<RwLock<Machine>>,
    applied: watch::Receiver<Option<LogId>>,
    unreadable: Arc<OnceLock<String>>,
    schemas: Arc<SeenSchemas>,
    changes: Option<Arc<Changes>>,
}

/// What is known of the schemas of the entries in a replica's log.
#[derive(Debug, Default)]
struct SeenSchemas {
    /// The latest of those applied since the start.
    latest: AtomicU32,
    /// The state began with a checkpoint or a peer's snapshot: what lies behind those was not seen.
    has_unseen: AtomicBool,
}

/// The schemas of the entries that a replica has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppliedSchemas {
    /// The latest of the entries applied since the start; 0: there were none.
    pub latest: u32,
    /// There were entries before them.
    pub has_unseen: bool,
}

impl SharedMachine {
    /// Looks at the machine. Applying waits meanwhile: be brief.
    pub fn read<R>(&self, look: impl FnOnce(&Machine) -> R) -> R {
        look(&self.machine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the machine, told which entry it has applied last.
    pub fn read_at<R>(&self, look: impl FnOnce(&Machine, Option<LogId>) -> R) -> R {
        let machine = self.machine.read().unwrap_or_else(PoisonError::into_inner);
        let applied = *self.applied.borrow();
        look(&machine, applied)
    }

    /// Has the next checkpoint hold these chunks; the state stays what it is.
    pub fn mark_changed(&self, chunks: &[ChunkKey]) {
        self.machine.write().unwrap_or_else(PoisonError::into_inner).mark_changed(chunks);
    }

    /// The entry that this version cannot read, if it has met one: the group has stopped before it.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        self.unreadable.get().cloned()
    }

    /// The schemas of the entries applied.
    #[must_use]
    pub fn schemas(&self) -> AppliedSchemas {
        let Self { schemas, .. } = self;
        AppliedSchemas { latest: schemas.latest.load(Relaxed), has_unseen: schemas.has_unseen.load(Relaxed) }
    }

    /// The change log; `None` for the meta group, which has none.
    #[must_use]
    pub fn changes(&self) -> Option<&Changes> {
        self.changes.as_deref()
    }

    /// The last entry applied, and when it changes.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Option<LogId>> {
        self.applied.clone()
    }
}

/// The state machine of one group.
#[derive(Debug)]
pub struct MachineStore {
    shared: Arc<Shared>,
    room: inventory::Applied,
    /// The latest schema that this node understands.
    known_schema: u32,
}

#[derive(Debug)]
struct Shared {
    world: World,
    group: GroupId,
    kind: MachineKind,
    machine: Arc<RwLock<Machine>>,
    /// Changed only while the machine's write lock is held.
    applied: watch::Sender<Option<LogId>>,
    membership: Mutex<StoredMembershipOf<Types>>,
    checkpoints: Arc<Checkpoints>,
    changes: Option<Arc<Changes>>,
    unreadable: Arc<OnceLock<String>>,
    schemas: Arc<SeenSchemas>,
    stages: Stages,
}

impl MachineStore {
    /// The machine as its last checkpoint has it; entries after it come from the log.
    ///
    /// # Errors
    ///
    /// The checkpoint's membership is damaged.
    pub fn new(
        world: &World,
        group: GroupId,
        kind: MachineKind,
        machine: Machine,
        checkpoints: Arc<Checkpoints>,
        changes: Option<Changes>,
        stages: Stages,
    ) -> io::Result<Self> {
        let record = checkpoints.record();
        let membership = record.as_ref().map_or(Ok(StoredMembership::default()), membership_of)?;
        let schemas = SeenSchemas { has_unseen: AtomicBool::new(record.is_some()), ..SeenSchemas::default() };
        let shared = Shared {
            world: world.clone(),
            group,
            kind,
            machine: Arc::new(RwLock::new(machine)),
            applied: watch::channel(record.and_then(|record| record.applied)).0,
            membership: Mutex::new(membership),
            checkpoints,
            changes: changes.map(Arc::new),
            unreadable: Arc::default(),
            schemas: Arc::new(schemas),
            stages,
        };
        Ok(Self { shared: Arc::new(shared), room: inventory::Applied::default(), known_schema: SCHEMA })
    }

    /// The same on a node that understands the schemas up to this one.
    #[must_use]
    pub fn reading_up_to(self, schema: u32) -> Self {
        Self { known_schema: schema, ..self }
    }

    /// What readers use.
    #[must_use]
    pub fn machine(&self) -> SharedMachine {
        let shared = &self.shared;
        SharedMachine {
            machine: shared.machine.clone(),
            applied: shared.applied.subscribe(),
            unreadable: shared.unreadable.clone(),
            schemas: shared.schemas.clone(),
            changes: shared.changes.clone(),
        }
    }

    async fn apply_one(&mut self, entry: EntryOf<Types>) -> io::Result<Reply> {
        let shared = &self.shared;
        let id = to_log_id(&entry.log_id);
        match entry.payload {
            EntryPayload::Blank => {
                shared.applied.send_replace(Some(id));
                Ok(Reply::Nothing)
            }
            EntryPayload::Membership(membership) => {
                *shared.membership() = StoredMembership::new(Some(entry.log_id), membership);
                shared.applied.send_replace(Some(id));
                Ok(Reply::Nothing)
            }
            EntryPayload::Normal(payload) => {
                let begun = Instant::now();
                let reply = shared.decide(id, &payload, self.known_schema, &mut self.room)?;
                let decided = Instant::now();
                shared.stages.note(Stage::Apply, decided - begun);
                if let Some(changes) = &shared.changes {
                    let changes = changes.present();
                    for event in &self.room.events {
                        if is_on(Mutation::EventNotRecorded) && event.body.seq.is_multiple_of(20) {
                            continue;
                        }
                        changes.append(event.body.seq, event.encoded()).await.map_err(io::Error::other)?;
                    }
                    shared.stages.note(Stage::Record, decided.elapsed());
                }
                if let Some(passage) = &payload.passage {
                    passage.note_applied(begun);
                }
                Ok(reply)
            }
        }
    }
}

/// The payload as if its entry had been stamped here and now.
fn at_local_time(payload: &Payload, known: u32, wall_ms: u64) -> Payload {
    let decoded = payload.decoded.as_deref().cloned().or_else(|| decode_entry(&payload.bytes, known).ok());
    let here = decoded.map(|entry| Arc::new(inventory::Entry { time: inventory::LogTime(wall_ms), ..entry }));
    Payload { decoded: here, ..payload.clone() }
}

impl Shared {
    fn membership(&self) -> std::sync::MutexGuard<'_, StoredMembershipOf<Types>> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a payload under the write lock. A panic in there would leave a machine nobody can vouch for: it ends the node.
    fn decide(&self, id: LogId, payload: &Payload, known: u32, room: &mut inventory::Applied) -> io::Result<Reply> {
        let mut machine = self.machine.write().unwrap_or_else(PoisonError::into_inner);
        let local;
        let payload = if is_on(Mutation::LocalClockExpiry) {
            local = at_local_time(payload, known, self.world.clock.wall_ms());
            &local
        } else {
            payload
        };
        let apply = || machine.apply(id.index, payload, known, room);
        let decided = std::panic::catch_unwind(std::panic::AssertUnwindSafe(apply));
        let Ok(decided) = decided else {
            let belief = format!("applying entry {id} of {} does not panic", self.group);
            self.world.end.end(EndReason::BrokenInvariant { belief });
            return Err(io::Error::other("the node has ended"));
        };
        let reply = decided.map_err(|error| {
            let _ = self.unreadable.set(format!("entry {id}: {error}"));
            io::Error::other(error)
        })?;
        self.schemas.latest.fetch_max(schema_of(&payload.bytes), Relaxed);
        self.applied.send_replace(Some(id));
        Ok(reply)
    }

    /// What a checkpoint needs, all of one position.
    fn cut(&self) -> Cut {
        let mut machine = self.machine.write().unwrap_or_else(PoisonError::into_inner);
        let (applied, membership) = (*self.applied.borrow(), self.membership().clone());
        Cut { last_event: machine.last_event(), machine: machine.cut(), applied, membership }
    }

    fn uncut(&self, cut: &Cut) {
        self.machine.write().unwrap_or_else(PoisonError::into_inner).uncut(&cut.machine);
    }

    fn current_snapshot(&self) -> io::Result<Option<SnapshotOf<Types, Snapshot>>> {
        let Some(stored) = self.checkpoints.snapshot() else { return Ok(None) };
        let meta = meta_of(&stored.record)?;
        Ok(Some(SnapshotOf::<Types, Snapshot> { meta, snapshot: Snapshot::Stored(stored) }))
    }

    async fn install(&self, received: ReceivedSnapshot) -> io::Result<()> {
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        let machine = received.machine(&self.kind).map_err(|error| invalid(error.to_string()))?;
        let membership = membership_of(&received.record)?;
        let from_node = received.record.applied.map_or(0, |id| id.leader_node);
        let record = self.checkpoints.install(&received, from_node).await?;
        if let Some(changes) = &self.changes {
            changes.restart(machine.history()).await.map_err(io::Error::other)?;
        }
        let mut present = self.machine.write().unwrap_or_else(PoisonError::into_inner);
        *present = machine;
        self.schemas.has_unseen.store(true, Relaxed);
        *self.membership() = membership;
        self.applied.send_replace(record.applied);
        Ok(())
    }
}

impl RaftStateMachine<Types> for MachineStore {
    type SnapshotData = Snapshot;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>), io::Error> {
        let applied = *self.shared.applied.borrow();
        let membership = self.shared.membership().clone();
        Ok((applied.map(super::from_log_id), membership))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let reply = self.apply_one(entry).await?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        // The cut is taken here, between two entries; writing it goes on beside apply.
        SnapshotBuilder { shared: self.shared.clone(), cut: Some(self.shared.cut()) }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMetaOf<Types>, snapshot: Snapshot) -> Result<(), io::Error> {
        match snapshot {
            Snapshot::Received(received) => self.shared.install(received).await,
            // openraft hands back only what a peer sent.
            Snapshot::Stored(stored) => self.shared.install(stored.gather().await?).await,
        }
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, Snapshot>>, io::Error> {
        self.shared.current_snapshot()
    }
}

/// Writes one checkpoint.
#[derive(Debug)]
pub struct SnapshotBuilder {
    shared: Arc<Shared>,
    cut: Option<Cut>,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = Snapshot;

    /// openraft ends a group whose snapshot cannot be built. So where the store takes none (a full disk), the last one is given
    /// again, and where there was none yet it is tried again for a while: there may be room then.
    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Snapshot>, io::Error> {
        let shared = &self.shared;
        let changes = shared.changes.as_ref().map(|changes| changes.present());
        for _ in 0..FIRST_CHECKPOINT_TRIES {
            let cut = self.cut.take().unwrap_or_else(|| shared.cut());
            if shared.checkpoints.write(&cut, changes.as_ref()).await.is_none() {
                shared.uncut(&cut);
            }
            if let Some(snapshot) = shared.current_snapshot()? {
                return Ok(snapshot);
            }
            tokio::time::sleep(FIRST_CHECKPOINT_PAUSE).await;
        }
        Err(io::Error::other("the state store took no checkpoint for ten minutes, and there was none before"))
    }
}
