//! Checkpoints of a group's state in the state store: what lets a restart load, the log be purged, and a follower that lags
//! be filled.
//!
//! A checkpoint never overwrites the last one: its chunks go under new keys, (chunk, generation, part), and a manifest names the
//! generation of each chunk. Then the store is synced, and last the control file's record names the generation and the digest
//! of the state. Only that record is believed: a start loads what it names, recomputes the digest from the records, and
//! compares. A node killed in the middle of a checkpoint finds the last one whole. The manifest also tells a digest of each
//! chunk, so that what rots while the node runs is found chunk by chunk ([`StoredSnapshot::is_whole`]) and written anew.
//!
//! Order of what is durable: change log ≥ checkpoint's sequence, own log ≥ checkpoint's applied id, store ≥ generation, and
//! only then the record. Superseded chunks are removed after that, once nobody reads them.

mod keys;
pub(crate) mod manifest;
mod snapshot;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use holdfast_mutation::{Mutation, is_on};
use holdfast_world::{EndReason, StateBatch, StateStore, World};
use openraft::StoredMembership;
use openraft::type_config::alias::{SnapshotMetaOf, StoredMembershipOf};
use serde::{Deserialize, Serialize};

use crate::change_log::ChangeLog;
use crate::control::{CheckpointRecord, Control, InstallIntent};
use crate::log::{GroupId, Log, LogId};
use crate::machine::{ChunkKey, LoadMachineError, Machine, MachineCut, MachineKind};
use crate::store::{decode_membership, encode_membership, from_log_id, to_log_id};
use crate::types::Types;

pub use manifest::Manifest;
pub use snapshot::{ReceivedSnapshot, Snapshot, StoredSnapshot};

/// Bytes written to the state store at once: between two writes others get their turn.
const BATCH_BYTES: usize = 512 * 1_024;

/// Why a checkpoint cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The store failed.
    #[error("the state store of {group} failed: {error}")]
    Store {
        /// The group.
        group: GroupId,
        /// What it said.
        error: io::Error,
    },
    /// What the control file names is not there, or is not what was written.
    #[error("the checkpoint of {group} at generation {generation} is damaged: {what}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// The generation that the control file names.
        generation: u64,
        /// What does not fit.
        what: String,
    },
}

/// What a checkpoint is taken of: a machine's cut and where in the log it stands.
#[derive(Debug)]
pub struct Cut {
    /// The machine's part.
    pub machine: MachineCut,
    /// The last entry applied.
    pub applied: Option<LogId>,
    /// The membership in force.
    pub membership: StoredMembershipOf<Types>,
    /// The last event of the change log.
    pub last_event: (u64, [u8; 32]),
}

/// The checkpoints of one group.
#[derive(Debug)]
pub struct Checkpoints {
    world: World,
    group: GroupId,
    tree: String,
    store: Arc<dyn StateStore>,
    control: Control,
    log: Log,
    current: Mutex<Current>,
    /// Held by whoever writes: a build or an install.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Current {
    record: Option<CheckpointRecord>,
    manifest: Arc<Manifest>,
    /// The last generation begun; never used twice.
    last_generation: u64,
    garbage: Vec<Garbage>,
    /// Manifests of earlier checkpoints that a reader may still hold.
    earlier: Vec<Weak<Manifest>>,
}

/// Keys that a newer checkpoint superseded, and the manifests that still name them.
#[derive(Debug)]
struct Garbage {
    readers: Vec<Weak<Manifest>>,
    keys: Vec<Vec<u8>>,
}

impl Checkpoints {
    /// The checkpoints of `group` in `store`.
    #[must_use]
    pub fn new(world: &World, group: GroupId, store: Arc<dyn StateStore>, control: &Control, log: &Log) -> Self {
        Self {
            world: world.clone(),
            group,
            tree: format!("group-{}", group.0),
            store,
            control: control.clone(),
            log: log.clone(),
            current: Mutex::default(),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last checkpoint's record.
    #[must_use]
    pub fn record(&self) -> Option<CheckpointRecord> {
        self.current().record.clone()
    }

    /// Loads what the control file names, or gives a fresh machine where it names nothing. Removes what no checkpoint names.
    ///
    /// # Errors
    ///
    /// The store failed, or what is there is not what the control file says.
    pub async fn load(&self, kind: &MachineKind) -> Result<Machine, CheckpointError> {
        let Some(record) = self.control.read(|state| state.groups.get(&self.group)?.checkpoint.clone()) else {
            self.remove_unnamed(&BTreeSet::new()).await;
            return Ok(Machine::fresh(kind));
        };
        let damaged =
            |what: String| CheckpointError::Damaged { group: self.group, generation: record.generation, what };
        let unread = |error: io::Error| {
            if is_of_the_machine(&error) { self.store_error(error) } else { damaged(error.to_string()) }
        };
        let manifest = self.read_manifest(record.generation).await.map_err(unread)?;
        let (mut manifest, has_digests) = manifest;
        let mut chunks = Vec::with_capacity(manifest.len());
        let mut digests = Vec::with_capacity(manifest.len());
        for (key, place) in manifest.chunks() {
            let bytes = self.read_parts(|part| keys::chunk(key, place.generation, part), place.parts).await;
            let bytes = bytes.map_err(unread)?;
            let digest = manifest::chunk_digest(&bytes);
            if has_digests && digest != place.digest && !is_on(Mutation::DigestNotCompared) {
                return Err(damaged("a chunk is not what was written".to_owned()));
            }
            digests.push((key.clone(), digest));
            chunks.push((key.clone(), bytes));
        }
        let machine = Machine::load(kind, chunks).map_err(|error: LoadMachineError| damaged(error.to_string()))?;
        let digest = machine.recompute_digest();
        if digest != record.digest && !is_on(Mutation::DigestNotCompared) {
            return Err(damaged("its digest is not the one that was written".to_owned()));
        }
        for (key, digest) in digests {
            manifest.learn(&key, digest);
        }
        let mut named = manifest.keys();
        named.extend(keys::manifest_parts(record.generation, manifest.stored_parts()));
        self.remove_unnamed(&named).await;
        let mut current = self.current();
        current.last_generation = record.generation;
        current.record = Some(record);
        current.manifest = Arc::new(manifest);
        drop(current);
        Ok(machine)
    }

    fn store_error(&self, error: io::Error) -> CheckpointError {
        CheckpointError::Store { group: self.group, error }
    }

    /// Removes what no checkpoint names; what cannot be is tried again at the next start. A full drive must not keep a node from it.
    async fn remove_unnamed(&self, named: &BTreeSet<Vec<u8>>) {
        let removed = async {
            let present = self.store.keys(&self.tree, &[]).await?;
            let unnamed: StateBatch =
                present.into_iter().filter(|key| !named.contains(key)).map(|key| (key, None)).collect();
            if unnamed.is_empty() { Ok(()) } else { self.store.write(&self.tree, unnamed).await }
        };
        if let Err(error) = removed.await {
            tracing::warn!(group = %self.group, %error, "chunks that no checkpoint names were not removed");
        }
    }

    /// Writes a checkpoint of what changed since the last one. `None`: it was given up since a newer one was installed
    /// meanwhile, or since the store would not take it; then the cut must be taken back.
    pub async fn write(&self, cut: &Cut, changes: Option<&ChangeLog>) -> Option<CheckpointRecord> {
        let _writing = self.writing.lock().await;
        let (old, generation) = {
            let mut current = self.current();
            if current.record.as_ref().is_some_and(|record| record.applied > cut.applied) {
                return None;
            }
            current.last_generation += 1;
            (current.manifest.clone(), current.last_generation)
        };
        let mut manifest = (*old).clone();
        for key in cut.machine.removed() {
            manifest.remove(&key);
        }
        if let Err(error) = self.write_chunks(&mut manifest, generation, cut.machine.changed()).await {
            tracing::error!(group = %self.group, %error, "a checkpoint was given up: the state store does not take it");
            return None;
        }
        if let Some(changes) = changes {
            changes.sync_through(cut.last_event.0).await;
        }
        let record = CheckpointRecord {
            generation,
            applied: cut.applied,
            digest: cut.machine.digest(),
            changes_seq: cut.last_event.0,
            changes_hash: cut.last_event.1,
            membership: encode_stored_membership(&cut.membership),
        };
        self.log_is_synced().await;
        self.make_current(record.clone(), manifest).await;
        Some(record)
    }

    /// Puts a received snapshot in place of whatever there is, durably. The caller has loaded it and compared its digest.
    ///
    /// # Errors
    ///
    /// The state store does not take it.
    pub async fn install(&self, received: &ReceivedSnapshot, from_node: u64) -> io::Result<CheckpointRecord> {
        let _writing = self.writing.lock().await;
        let generation = {
            let mut current = self.current();
            current.last_generation += 1;
            current.last_generation
        };
        let record = CheckpointRecord { generation, ..received.record.clone() };
        let (group, intent) = (self.group, InstallIntent { checkpoint: record.clone(), from_node });
        self.update_control(move |state| state.group_mut(group).installing = Some(intent)).await;
        let mut manifest = Manifest::default();
        let chunks = received.chunks.iter().map(|(key, bytes)| (key.clone(), bytes.to_vec()));
        self.write_chunks(&mut manifest, generation, Box::new(chunks)).await?;
        self.make_current(record.clone(), manifest).await;
        Ok(record)
    }

    /// Writes the whole of a machine that was loaded from a checkpoint of this group into another store, under the same record. It
    /// is durable after that store's next sync.
    ///
    /// # Errors
    ///
    /// The store does not take it.
    pub async fn write_copy(&self, machine: &Machine, record: &CheckpointRecord) -> io::Result<()> {
        self.write_chunks(&mut Manifest::default(), record.generation, machine.all_chunks()).await
    }

    /// Forgets the last checkpoint: what it held is all in the log.
    pub async fn forget(&self) {
        let group = self.group;
        self.update_control(move |state| state.group_mut(group).checkpoint = None).await;
    }

    async fn write_chunks(
        &self,
        manifest: &mut Manifest,
        generation: u64,
        chunks: Box<dyn Iterator<Item = (ChunkKey, Vec<u8>)> + Send + '_>,
    ) -> io::Result<()> {
        let mut batch: StateBatch = Vec::new();
        let mut bytes_in_batch = 0;
        for (key, bytes) in chunks {
            let digest = manifest::chunk_digest(&bytes);
            let parts = split(bytes.into());
            manifest.put(key.clone(), generation, parts.len(), digest);
            for (part, bytes) in (0_u16..).zip(parts) {
                bytes_in_batch += bytes.len();
                batch.push((keys::chunk(&key, generation, part), Some(bytes)));
            }
            if bytes_in_batch >= BATCH_BYTES {
                self.store.write(&self.tree, std::mem::take(&mut batch)).await?;
                bytes_in_batch = 0;
                tokio::task::yield_now().await;
            }
        }
        let parts = split(manifest.encode().into());
        manifest.set_stored_parts(parts.len());
        for (part, bytes) in (0_u16..).zip(parts) {
            batch.push((keys::manifest(generation, part), Some(bytes)));
        }
        self.store.write(&self.tree, batch).await
    }

    /// The durable switch from the last checkpoint to this one.
    async fn make_current(&self, record: CheckpointRecord, manifest: Manifest) {
        if !is_on(Mutation::CheckpointNotSynced)
            && let Err(error) = self.store.sync().await
        {
            self.end_of_disk("synced the state store", &error).await;
        }
        let (group, named) = (self.group, record.clone());
        self.update_control(move |state| {
            let group = state.group_mut(group);
            group.checkpoint = Some(named);
            group.installing = None;
        })
        .await;
        let removable = {
            let mut current = self.current();
            let old = std::mem::replace(&mut current.manifest, Arc::new(manifest));
            let mut keys = old.superseded_by(&current.manifest);
            if let Some(old_record) = current.record.replace(record) {
                keys.extend(keys::manifest_parts(old_record.generation, old.stored_parts()));
            }
            current.earlier.push(Arc::downgrade(&old));
            drop(old);
            current.earlier.retain(|manifest| manifest.strong_count() > 0);
            // A key may be named by any earlier manifest, not only by the last one.
            let readers = current.earlier.clone();
            current.garbage.push(Garbage { readers, keys });
            current.take_removable()
        };
        let batch: StateBatch = removable.into_iter().map(|key| (key, None)).collect();
        if !batch.is_empty()
            && let Err(error) = self.store.write(&self.tree, batch).await
        {
            // They are found again and removed at the next start.
            tracing::warn!(group = %self.group, %error, "superseded chunks were not removed");
        }
    }

    /// Ready once everything that was appended to the node's own log before this call is durable.
    async fn log_is_synced(&self) {
        let (synced, wait) = tokio::sync::oneshot::channel();
        let done = Box::new(move |_| {
            let _ = synced.send(());
        });
        // A log that takes nothing any more belongs to a node that ends: the record is not written then.
        if self.log.append(self.group, Vec::new(), done).await.is_err() || wait.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn update_control(&self, change: impl FnOnce(&mut crate::control::ControlState) + Send + 'static) {
        if let Err(error) = self.control.update(change).await {
            let reason = EndReason::DiskFailed { doing: "wrote the control file".to_owned(), error: error.to_string() };
            self.world.end.end(reason);
            std::future::pending::<()>().await;
        }
    }

    async fn end_of_disk(&self, doing: &str, error: &io::Error) {
        self.world.end.end(EndReason::DiskFailed { doing: doing.to_owned(), error: error.to_string() });
        std::future::pending::<()>().await;
    }

    /// A reader of the last checkpoint, which keeps its chunks while it lives.
    #[must_use]
    pub fn snapshot(&self) -> Option<StoredSnapshot> {
        let current = self.current();
        let record = current.record.clone()?;
        Some(StoredSnapshot {
            record,
            manifest: current.manifest.clone(),
            store: self.store.clone(),
            tree: self.tree.clone(),
        })
    }

    async fn read_manifest(&self, generation: u64) -> io::Result<(Manifest, bool)> {
        snapshot::read_manifest(self.store.as_ref(), &self.tree, generation).await
    }

    async fn read_parts(&self, key: impl Fn(u16) -> Vec<u8>, parts: u16) -> io::Result<Bytes> {
        snapshot::read_parts(self.store.as_ref(), &self.tree, key, parts).await
    }
}

impl Current {
    fn take_removable(&mut self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        self.garbage.retain_mut(|garbage| {
            let is_read = garbage.readers.iter().any(|manifest| manifest.strong_count() > 0);
            if !is_read {
                keys.append(&mut garbage.keys);
            }
            is_read
        });
        keys
    }
}

/// Whether an error says something of the machine, and nothing of what a store holds: it has too little of something, or its drive
/// did not answer. That may befall all nodes at once, whose drives are of one kind or one storage's, and be over a moment later.
pub(crate) fn is_of_the_machine(error: &io::Error) -> bool {
    /// A drive's failure; out of file descriptors, of the machine and of the process. No kind of the library's says so.
    const CODES: [i32; 3] = [5, 23, 24];
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::Interrupted
    ) || error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{what} is missing"))
}

/// Cuts bytes into parts that the state store takes; no bytes are one empty part.
fn split(bytes: Bytes) -> Vec<Bytes> {
    if bytes.is_empty() {
        return vec![bytes];
    }
    (0..bytes.len())
        .step_by(keys::PART_BYTES)
        .map(|at| bytes.slice(at..bytes.len().min(at + keys::PART_BYTES)))
        .collect()
}

#[derive(Serialize, Deserialize)]
struct RecordedMembership {
    log_id: Option<LogId>,
    membership: Vec<u8>,
}

fn encode_stored_membership(stored: &StoredMembershipOf<Types>) -> Vec<u8> {
    let recorded = RecordedMembership {
        log_id: stored.log_id().as_ref().map(to_log_id),
        membership: encode_membership(stored.membership()),
    };
    postcard::to_stdvec(&recorded).expect("plain collections are always encoded")
}

/// The membership that a checkpoint's record holds.
///
/// # Errors
///
/// `InvalidData` if it is none.
pub fn membership_of(record: &CheckpointRecord) -> io::Result<StoredMembershipOf<Types>> {
    let recorded: RecordedMembership = postcard::from_bytes(&record.membership)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not a membership: {error}")))?;
    let membership = decode_membership(&recorded.membership)?;
    Ok(StoredMembership::new(recorded.log_id.map(from_log_id), membership))
}

/// What openraft knows of a checkpoint.
///
/// # Errors
///
/// As [`membership_of`].
pub fn meta_of(record: &CheckpointRecord) -> io::Result<SnapshotMetaOf<Types>> {
    Ok(SnapshotMetaOf::<Types> {
        last_log_id: record.applied.map(from_log_id),
        last_membership: membership_of(record)?,
    })
}
