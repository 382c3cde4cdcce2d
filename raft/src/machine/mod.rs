//! The two machines that groups replicate: a shard's stock and the cluster's own records. What differs between them is here;
//! checkpoints, snapshots and the store for openraft know only this.

use bytes::Bytes;
use holdfast_inventory as inventory;

use crate::encode::{DecodeError, decode_entry};
use crate::meta::{Meta, decode_change};
use crate::types::{Payload, Reply};

/// Which machine a group runs.
#[derive(Clone, Debug)]
pub enum MachineKind {
    /// A shard's stock, with the bounds a fresh one begins with.
    Shard(inventory::Limits),
    /// The cluster's own records.
    Meta,
}

/// A machine with its state.
#[derive(Debug)]
pub enum Machine {
    /// A shard's stock.
    Shard(Box<inventory::Inventory>),
    /// The cluster's own records.
    Meta(Box<Meta>),
}

/// What a checkpoint takes of a machine at one position of the log.
#[derive(Debug)]
pub enum MachineCut {
    /// The chunks that changed since the last cut.
    Shard(Box<inventory::Cut>),
    /// All of it.
    Meta(Box<Meta>),
}

/// A chunk's key in a checkpoint. The header's sorts first.
pub type ChunkKey = Vec<u8>;

/// The key of the one chunk that every checkpoint has.
pub const HEADER_KEY: &[u8] = &[0];

/// Why chunks are not the state of a machine.
#[derive(Debug, thiserror::Error)]
pub enum LoadMachineError {
    /// The chunk that every state has is missing.
    #[error("the header is missing")]
    NoHeader,
    /// A key that no chunk has.
    #[error("a chunk under an unknown key")]
    UnknownKey,
    /// A shard's chunks do not load.
    #[error(transparent)]
    Shard(#[from] inventory::LoadError),
    /// The cluster's records do not decode.
    #[error("the cluster's records do not decode")]
    Meta,
}

impl Machine {
    /// A machine without any state.
    #[must_use]
    pub fn fresh(kind: &MachineKind) -> Self {
        match kind {
            MachineKind::Shard(limits) => Self::Shard(Box::new(inventory::Inventory::new(limits.clone()))),
            MachineKind::Meta => Self::Meta(Box::default()),
        }
    }

    /// The machine whose state lies in these chunks.
    ///
    /// # Errors
    ///
    /// The chunks are damaged or do not belong together.
    pub fn load(kind: &MachineKind, chunks: Vec<(ChunkKey, Bytes)>) -> Result<Self, LoadMachineError> {
        let mut header = None;
        let mut rest = Vec::with_capacity(chunks.len());
        for (key, bytes) in chunks {
            if key == HEADER_KEY { header = Some(bytes) } else { rest.push((key, bytes)) }
        }
        let header = header.ok_or(LoadMachineError::NoHeader)?;
        match kind {
            MachineKind::Meta => {
                let meta = Meta::decode(&header).ok_or(LoadMachineError::Meta)?;
                Ok(Self::Meta(Box::new(meta)))
            }
            MachineKind::Shard(_) => {
                let chunks = rest
                    .into_iter()
                    .map(|(key, bytes)| Some((inventory::ChunkId::from_key(&key)?, bytes)))
                    .collect::<Option<Vec<_>>>()
                    .ok_or(LoadMachineError::UnknownKey)?;
                Ok(Self::Shard(Box::new(inventory::Inventory::load(&header, chunks)?)))
            }
        }
    }

    /// Applies the payload of one entry on a node that understands the schemas up to `known`. `applied` is working room; after a
    /// shard's entry its events are in it.
    ///
    /// # Errors
    ///
    /// The entry cannot be decoded by this node: the group must stop, for skipping it would differ silently.
    pub fn apply(
        &mut self,
        index: u64,
        payload: &Payload,
        known: u32,
        applied: &mut inventory::Applied,
    ) -> Result<Reply, DecodeError> {
        match self {
            Self::Shard(inventory) => {
                match &payload.decoded {
                    Some(entry) => inventory.apply(entry, applied),
                    None => inventory.apply(&decode_entry(&payload.bytes, known)?, applied),
                }
                let answers = std::mem::take(&mut applied.answers);
                Ok(Reply::Shard { index, log_time: inventory.now(), answers })
            }
            Self::Meta(meta) => {
                applied.events.clear();
                let (id, change) = decode_change(&payload.bytes, known)?;
                let answer = meta.apply(id, change);
                Ok(Reply::Meta { revision: answer.revision, refusal: answer.refusal })
            }
        }
    }

    /// What a checkpoint needs, without copying the state.
    pub fn cut(&mut self) -> MachineCut {
        match self {
            Self::Shard(inventory) => MachineCut::Shard(Box::new(inventory.cut())),
            Self::Meta(meta) => MachineCut::Meta(meta.clone()),
        }
    }

    /// Takes back a cut that was not written.
    pub fn uncut(&mut self, cut: &MachineCut) {
        if let (Self::Shard(inventory), MachineCut::Shard(cut)) = (self, cut) {
            inventory.uncut(cut);
        }
    }

    /// Has the next cut hold these chunks, changed or not: what is stored of them is not what it should be. The header is in
    /// every cut.
    pub fn mark_changed(&mut self, keys: &[ChunkKey]) {
        if let Self::Shard(inventory) = self {
            inventory.mark_changed(keys.iter().filter_map(|key| inventory::ChunkId::from_key(key)));
        }
    }

    /// Every chunk of the state as it is now, the header first; encoded as they are asked for.
    #[must_use]
    pub fn all_chunks(&self) -> Box<dyn Iterator<Item = (ChunkKey, Vec<u8>)> + Send + '_> {
        match self {
            Self::Shard(inventory) => {
                let header = std::iter::once((HEADER_KEY.to_vec(), inventory.encode_header()));
                let chunks = inventory.chunk_ids().into_iter();
                let encoded = chunks.filter_map(|id| Some((id.key().to_vec(), inventory.encode_chunk(id)?)));
                Box::new(header.chain(encoded))
            }
            Self::Meta(meta) => Box::new(std::iter::once((HEADER_KEY.to_vec(), meta.encode()))),
        }
    }

    /// The digest of the state, recomputed from the records.
    #[must_use]
    pub fn recompute_digest(&self) -> [u8; 32] {
        match self {
            Self::Shard(inventory) => widen(inventory.recompute_digest().0),
            Self::Meta(meta) => widen(meta.digest()),
        }
    }

    /// The digest of the state.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Shard(inventory) => widen(inventory.digest().0),
            Self::Meta(meta) => widen(meta.digest()),
        }
    }

    /// All events of the change log, as a tree; the meta group has none.
    #[must_use]
    pub fn history(&self) -> inventory::Frontier {
        match self {
            Self::Shard(inventory) => inventory.history().clone(),
            Self::Meta(_) => inventory::Frontier::default(),
        }
    }

    /// The last event of the change log: its sequence and hash.
    #[must_use]
    pub fn last_event(&self) -> (u64, [u8; 32]) {
        match self {
            Self::Shard(inventory) => {
                let (seq, hash) = inventory.last_event();
                (seq, hash.0)
            }
            Self::Meta(_) => (0, [0; 32]),
        }
    }
}

impl MachineCut {
    /// The chunks that changed since the last cut, the header first; encoded as they are asked for.
    pub fn changed(&self) -> Box<dyn Iterator<Item = (ChunkKey, Vec<u8>)> + Send + '_> {
        match self {
            Self::Shard(cut) => {
                let header = std::iter::once((HEADER_KEY.to_vec(), cut.header()));
                Box::new(header.chain(cut.encode().map(|(id, bytes)| (id.key().to_vec(), bytes))))
            }
            Self::Meta(meta) => Box::new(std::iter::once((HEADER_KEY.to_vec(), meta.encode()))),
        }
    }

    /// The chunks that are gone since the last cut.
    #[must_use]
    pub fn removed(&self) -> Vec<ChunkKey> {
        match self {
            Self::Shard(cut) => cut.removed().into_iter().map(|id| id.key().to_vec()).collect(),
            Self::Meta(_) => Vec::new(),
        }
    }

    /// The digest of the whole state at the cut. It hashes what changed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::Shard(cut) => widen(cut.digest().0),
            Self::Meta(meta) => widen(meta.digest()),
        }
    }
}

/// A digest in the room of a checkpoint record.
fn widen(digest: u128) -> [u8; 32] {
    let mut wide = [0; 32];
    wide[..16].copy_from_slice(&digest.to_be_bytes());
    wide
}
