//! A node's folder, opened with the parts that ship: control file, log, sled, checkpoints and change logs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use holdfast_inventory::Applied;
use holdfast_raft::change_log::{ChangeLog, ChangeLogOptions};
use holdfast_raft::checkpoint::{CheckpointError, Checkpoints, Cut};
use holdfast_raft::control::Control;
use holdfast_raft::encode::SCHEMA;
use holdfast_raft::log::{GroupId, Log, LogId, LogOptions, LogRecord};
use holdfast_raft::machine::Machine;
use holdfast_raft::types::Payload;
use holdfast_world::{EndReason, ProcessEnd, StateStore, World};
use xxhash_rust::xxh3::xxh3_128;

use crate::promises::Promises;
use crate::shop::{GROUPS, States, kind};

/// The node's folder below the recorded one.
pub const NODE: &str = "node";
pub const CLUSTER: &str = "power-cuts";

/// The real world, but for the end of the process, which is a panic: the test must hear of it.
pub fn world() -> World {
    #[derive(Debug)]
    struct Panics;
    impl ProcessEnd for Panics {
        fn end(&self, reason: EndReason) {
            panic!("the node ends itself: {reason}");
        }
    }
    World { end: Arc::new(Panics), ..World::real() }
}

pub fn log_options() -> LogOptions {
    LogOptions { segment_bytes: 512 * 1_024, ..LogOptions::default() }
}

pub fn id(index: u64) -> LogId {
    LogId { term: 1, leader_node: 1, index }
}

/// Why a folder was not opened.
#[derive(Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// What the state store holds is not to be believed, and the code says so: a peer's copy takes its place.
    Refused(String),
    /// What must never happen.
    Wrong(String),
}

pub struct Node {
    pub control: Control,
    pub log: Log,
    pub store: Arc<dyn StateStore>,
    pub shards: Vec<Shard>,
}

/// A group with its state.
pub struct Shard {
    pub group: GroupId,
    pub log: Log,
    pub checkpoints: Checkpoints,
    pub changes: ChangeLog,
    pub machine: Machine,
    room: Applied,
    /// The next index to apply.
    pub next: u64,
}

fn wrong(what: &str, error: impl fmt::Display) -> NotOpened {
    NotOpened::Wrong(format!("{what}: {error}"))
}

impl Node {
    /// Opens the folder below `root`, and brings every group to the end of its log; fresh where there is none.
    pub async fn open(root: &Path) -> Result<Self, NotOpened> {
        let (world, dir) = (world(), root.join(NODE));
        let failed = |error| wrong("the folder", error);
        world.disk.create_dir_all(&dir).await.map_err(failed)?;
        world.disk.sync_dir(root).await.map_err(failed)?;
        let control = match Control::exists(&world, &dir).await {
            Ok(true) => Control::open(&world, &dir).await,
            Ok(false) => Control::create(&world, &dir, xxh3_128(CLUSTER.as_bytes()), 1).await,
            Err(error) => Err(error),
        };
        let control = control.map_err(|error| wrong("the control file", error))?;
        control.begin_incarnation().await.map_err(|error| wrong("a new life", error))?;
        let opened = Log::open(&world, &dir.join("log"), log_options(), &control).await;
        let (log, recovered) = opened.map_err(|error| wrong("the log", error))?;
        if !recovered.damaged.is_empty() || recovered.node_damage.is_some() {
            return Err(NotOpened::Wrong(format!("the log takes itself for damaged: {recovered:?}")));
        }
        let store = world.states.open(&dir.join("state")).await;
        let store = store.map_err(|error| NotOpened::Refused(format!("the state store does not open: {error}")))?;
        world.disk.sync_dir(&dir).await.map_err(failed)?;
        let mut node = Self { control, log, store, shards: Vec::new() };
        for group in GROUPS {
            match node.load(&world, &dir, group).await {
                Ok(shard) => node.shards.push(shard),
                Err(error) => {
                    // Its threads must be gone when the folder is.
                    node.close().await;
                    return Err(error);
                }
            }
        }
        Ok(node)
    }

    async fn load(&self, world: &World, dir: &Path, group: GroupId) -> Result<Shard, NotOpened> {
        let checkpoints = Checkpoints::new(world, group, self.store.clone(), &self.control, &self.log);
        let machine = checkpoints.load(&kind()).await.map_err(|error| match error {
            CheckpointError::Damaged { .. } | CheckpointError::Store { .. } => NotOpened::Refused(error.to_string()),
        })?;
        let record = checkpoints.record();
        let next = record.and_then(|record| record.applied).map_or(0, |applied| applied.index + 1);
        let changes = dir.join(format!("changes-{}", group.0));
        let changes = ChangeLog::open(world, &changes, group, 1, ChangeLogOptions::default(), machine.history()).await;
        let changes = changes.map_err(|error| wrong("a change log", error))?;
        Ok(Shard { group, log: self.log.clone(), checkpoints, changes, machine, room: Applied::default(), next })
    }

    /// Holds what was opened against what was promised before, and brings every group to the end of its log.
    pub async fn check(
        &mut self,
        promises: &Promises,
        states: &Mutex<BTreeMap<GroupId, States>>,
    ) -> Result<(), NotOpened> {
        for shard in &mut self.shards {
            shard.check(promises, states).await?;
        }
        Ok(())
    }

    pub async fn close(self) {
        drop(self.shards);
        self.store.close().await.expect("an open store is closed");
    }
}

impl Shard {
    /// Applies an entry.
    pub async fn apply(&mut self, bytes: Bytes) {
        self.machine.apply(self.next, &Payload::of(bytes), SCHEMA, &mut self.room).unwrap();
        for event in &self.room.events {
            self.changes.append(event.body.seq, event.encoded()).await.unwrap();
        }
        self.next += 1;
    }

    async fn check(&mut self, promises: &Promises, states: &Mutex<BTreeMap<GroupId, States>>) -> Result<(), NotOpened> {
        let (group, found) = (self.group, self.next.checked_sub(1));
        let digest_after = |index| states.lock().unwrap().get_mut(&group).unwrap().digest_after(index);
        let promised = promises.checkpoint(group);
        if found < promised {
            let what = format!("{group} gives its checkpoint at {found:?}, and one at {promised:?} was reported");
            return Err(NotOpened::Wrong(what));
        }
        if let Some(found) = found
            && self.machine.recompute_digest() != digest_after(found)
        {
            return Err(NotOpened::Wrong(format!("{group} gives a checkpoint at {found} with other contents")));
        }
        let (last, promised) = (self.log.log_state(group).last.map(|id| id.index), promises.entry(group));
        if last < promised {
            return Err(NotOpened::Wrong(format!("the log of {group} ends at {last:?}, {promised:?} was promised")));
        }
        let end = last.map_or(0, |last| last + 1).max(self.next);
        let entries = self.log.entries(group, self.next..end, usize::MAX).await;
        for record in entries.map_err(|error| wrong("an entry", error))? {
            self.apply(record.payload).await;
            if self.machine.digest() != digest_after(record.index) {
                return Err(NotOpened::Wrong(format!("{group} has another state after entry {}", record.index)));
            }
        }
        if self.next != end {
            return Err(NotOpened::Wrong(format!("{group} has entries up to {}, not to {end}", self.next)));
        }
        Ok(())
    }

    /// Puts an entry at the end of the log; `done` is called when it is durable.
    pub async fn append(&mut self, bytes: Bytes, done: impl FnOnce() + Send + 'static) {
        let record = LogRecord { index: self.next, term: 1, leader_node: 1, kind: 0, payload: bytes };
        let done = Box::new(move |result: std::io::Result<()>| {
            result.unwrap();
            done();
        });
        self.log.append(self.group, vec![record], done).await.unwrap();
    }

    /// Takes a checkpoint of everything applied, and says where it stands.
    pub async fn checkpoint(&mut self) -> u64 {
        let applied = self.next - 1;
        let last_event = self.machine.last_event();
        let membership = openraft::StoredMembership::default();
        let cut = Cut { machine: self.machine.cut(), applied: Some(id(applied)), membership, last_event };
        self.checkpoints.write(&cut, Some(&self.changes)).await.expect("the store takes a checkpoint");
        applied
    }
}
