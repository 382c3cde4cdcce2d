//! A checkpoint on its way to another node: read chunk by chunk on one side, gathered and verified on the other.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use holdfast_inventory as inventory;
use holdfast_mutation::{Mutation, is_on};
use holdfast_world::StateStore;

use super::manifest::chunk_digest;
use super::{Manifest, keys, missing};
use crate::control::CheckpointRecord;
use crate::machine::{ChunkKey, LoadMachineError, Machine, MachineKind};

/// What openraft hands from one side to the other.
#[derive(Debug)]
pub enum Snapshot {
    /// The last checkpoint of this node.
    Stored(StoredSnapshot),
    /// One that another node has sent.
    Received(ReceivedSnapshot),
}

/// A reader of a checkpoint. While it lives its chunks are kept.
#[derive(Clone, Debug)]
pub struct StoredSnapshot {
    /// What the checkpoint is.
    pub record: CheckpointRecord,
    pub(super) manifest: Arc<Manifest>,
    pub(super) store: Arc<dyn StateStore>,
    pub(super) tree: String,
}

impl StoredSnapshot {
    /// The keys of its chunks, in order.
    #[must_use]
    pub fn chunk_keys(&self) -> Vec<ChunkKey> {
        self.manifest.chunks().map(|(key, _)| key.clone()).collect()
    }

    /// Reads one chunk.
    ///
    /// # Errors
    ///
    /// It is missing, or the store failed.
    pub async fn chunk(&self, key: &ChunkKey) -> io::Result<Bytes> {
        let place = self.manifest.place(key).ok_or_else(|| missing("a chunk"))?;
        read_parts(self.store.as_ref(), &self.tree, |part| keys::chunk(key, place.generation, part), place.parts).await
    }

    /// Reads one chunk back: how many bytes it has, and whether they are what was written.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn is_whole(&self, key: &ChunkKey) -> io::Result<(usize, bool)> {
        let Some(place) = self.manifest.place(key) else { return Ok((0, true)) };
        match self.chunk(key).await {
            Ok(bytes) => Ok((bytes.len(), chunk_digest(&bytes) == place.digest)),
            Err(error) if is_rot(&error) => Ok((0, false)),
            Err(error) => Err(error),
        }
    }

    /// Reads the manifest back, and says whether it is what was written.
    ///
    /// # Errors
    ///
    /// The store failed.
    pub async fn is_manifest_whole(&self) -> io::Result<bool> {
        match read_manifest(self.store.as_ref(), &self.tree, self.record.generation).await {
            Ok((stored, true)) => Ok(stored == *self.manifest),
            // Written by an earlier version.
            Ok((stored, false)) => Ok(stored.names_the_same(&self.manifest)),
            Err(error) if is_rot(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The checkpoint that wrote a chunk; `None`: this one does not have it.
    #[must_use]
    pub fn written_by(&self, key: &ChunkKey) -> Option<u64> {
        self.manifest.place(key).map(|place| place.generation)
    }
}

/// Whether the store gives something else than what was written, rather than fail.
fn is_rot(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData)
}

impl StoredSnapshot {
    /// The whole checkpoint, in memory.
    ///
    /// # Errors
    ///
    /// As [`StoredSnapshot::chunk`].
    pub async fn gather(&self) -> io::Result<ReceivedSnapshot> {
        let mut chunks = Vec::new();
        for key in self.chunk_keys() {
            let bytes = self.chunk(&key).await?;
            chunks.push((key, bytes));
        }
        Ok(ReceivedSnapshot { record: self.record.clone(), chunks })
    }
}

/// A whole checkpoint of another node, in memory.
#[derive(Clone, Debug)]
pub struct ReceivedSnapshot {
    /// What it claims to be.
    pub record: CheckpointRecord,
    /// Its chunks.
    pub chunks: Vec<(ChunkKey, Bytes)>,
}

/// Why a received snapshot is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Its chunks are not a state.
    #[error("the snapshot does not load: {0}")]
    Load(#[from] LoadMachineError),
    /// They are another state than it claims.
    #[error("the snapshot's digest is not that of its state")]
    Digest,
}

impl ReceivedSnapshot {
    /// The machine in it, its digest recomputed and compared.
    ///
    /// # Errors
    ///
    /// It is damaged.
    pub fn machine(&self, kind: &MachineKind) -> Result<Machine, SnapshotError> {
        if is_on(Mutation::SnapshotWithoutResults) {
            let is_result = |key: &ChunkKey| {
                inventory::ChunkId::from_key(key).is_some_and(|id| id.kind == inventory::ChunkKind::Results)
            };
            let rest = self.chunks.iter().filter(|(key, _)| !is_result(key)).cloned().collect();
            return Ok(Machine::load(kind, rest)?);
        }
        let machine = Machine::load(kind, self.chunks.clone())?;
        let is_it = machine.recompute_digest() == self.record.digest || is_on(Mutation::DigestNotCompared);
        if is_it { Ok(machine) } else { Err(SnapshotError::Digest) }
    }
}

pub(super) async fn read_parts(
    store: &dyn StateStore,
    tree: &str,
    key: impl Fn(u16) -> Vec<u8>,
    parts: u16,
) -> io::Result<Bytes> {
    let part = |part| {
        let key = key(part);
        async move { store.get(tree, &key).await?.ok_or_else(|| missing("a part of a chunk")) }
    };
    if parts == 1 {
        return part(0).await;
    }
    let mut bytes = BytesMut::new();
    for number in 0..parts {
        bytes.extend_from_slice(&part(number).await?);
    }
    Ok(bytes.freeze())
}

/// Reads the manifest of a generation, and says whether it tells the chunks' digests.
pub(super) async fn read_manifest(store: &dyn StateStore, tree: &str, generation: u64) -> io::Result<(Manifest, bool)> {
    let first = store.get(tree, &keys::manifest(generation, 0)).await?;
    let first = first.ok_or_else(|| missing("the manifest"))?;
    let mut bytes = first.to_vec();
    let mut parts = 1;
    while let Some(part) = store.get(tree, &keys::manifest(generation, parts)).await? {
        bytes.extend_from_slice(&part);
        parts += 1;
    }
    let (mut manifest, has_digests) = Manifest::decode(&bytes)?;
    manifest.set_stored_parts(usize::from(parts));
    Ok((manifest, has_digests))
}
