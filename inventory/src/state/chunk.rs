//! Chunks: the unit in which the state is copied on write, encoded, digested and written to disk.

use std::sync::{Arc, OnceLock};

use holdfast_mutation::{Mutation, is_on};
use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The version byte that an encoded chunk starts with.
pub(super) const CHUNK_VERSION: u8 = 8;

/// What a chunk's records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChunkKind {
    /// Locations.
    Locations,
    /// Items: names and attributes.
    Items,
    /// Quantities, by item.
    Stock,
    /// Lots: dates and status.
    Lots,
    /// Reservations, by age.
    Reservations,
    /// Results of commands, by age.
    Results,
    /// Results of commands under the callers' own keys, by age.
    KeyedResults,
    /// Transfers and expected receipts, by age.
    Documents,
    /// Limits per customer.
    CustomerLimits,
    /// What customers have under them.
    CustomerCounters,
    /// Channels.
    Channels,
    /// Campaigns.
    Campaigns,
    /// Waiting rooms of campaigns, and spent tokens.
    Rooms,
}

impl ChunkKind {
    /// All kinds, in the order of their keys.
    pub const ALL: [Self; 13] = [
        Self::Locations,
        Self::Items,
        Self::Stock,
        Self::Lots,
        Self::Reservations,
        Self::Results,
        Self::KeyedResults,
        Self::Documents,
        Self::CustomerLimits,
        Self::CustomerCounters,
        Self::Channels,
        Self::Campaigns,
        Self::Rooms,
    ];

    const fn code(self) -> u8 {
        match self {
            Self::Locations => 1,
            Self::Items => 2,
            Self::Stock => 3,
            Self::Lots => 4,
            Self::Reservations => 5,
            Self::Results => 6,
            Self::KeyedResults => 7,
            Self::Documents => 8,
            Self::CustomerLimits => 9,
            Self::CustomerCounters => 10,
            Self::Channels => 11,
            Self::Campaigns => 12,
            Self::Rooms => 13,
        }
    }
}

/// A chunk's name. Ordered as its key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkId {
    /// What its records are.
    pub kind: ChunkKind,
    /// Its number among the chunks of its kind.
    pub number: u64,
}

impl ChunkId {
    /// Length of [`ChunkId::key`], in bytes.
    pub const KEY_BYTES: usize = 9;

    /// The name as a key, ordered as the ids are: the kind, then the number, most significant byte first.
    #[must_use]
    pub fn key(self) -> [u8; Self::KEY_BYTES] {
        let mut key = [0; Self::KEY_BYTES];
        key[0] = self.kind.code();
        key[1..].copy_from_slice(&self.number.to_be_bytes());
        key
    }

    /// Reads what [`ChunkId::key`] wrote; `None` for anything else.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (&code, number) = key.split_first()?;
        let kind = ChunkKind::ALL.into_iter().find(|kind| kind.code() == code)?;
        Some(Self { kind, number: u64::from_be_bytes(number.try_into().ok()?) })
    }

    fn seed(self) -> u64 {
        (u64::from(self.kind.code()) << 56) ^ self.number
    }
}

/// What is kept in an arena of its own.
pub(crate) trait Record: Clone + Serialize + DeserializeOwned {
    /// Its kind.
    const KIND: ChunkKind;
    /// How many lie in one chunk.
    const PER_CHUNK: usize;
}

/// Records of neighbouring ordinals.
#[derive(Debug)]
pub(crate) struct Chunk<T> {
    pub(super) records: Vec<Option<T>>,
    pub(super) live: usize,
    /// Computed once for this content, by whoever needs it first, on whatever thread.
    digest: OnceLock<u128>,
}

impl<T: Clone> Clone for Chunk<T> {
    /// A clone is made to be changed, so it knows no digest.
    fn clone(&self) -> Self {
        Self { records: self.records.clone(), live: self.live, digest: OnceLock::new() }
    }
}

impl<T: Record> Chunk<T> {
    pub(super) fn empty() -> Self {
        Self { records: Vec::new(), live: 0, digest: OnceLock::new() }
    }

    /// The chunk itself, to be changed: copied where somebody else still reads it.
    pub(super) fn to_change(chunk: &mut Arc<Self>) -> &mut Self {
        let chunk = Arc::make_mut(chunk);
        chunk.digest = OnceLock::new();
        chunk
    }

    /// Version, number of records, then each record's place in the chunk and the record.
    pub(super) fn encode(&self) -> Vec<u8> {
        const BELIEF: &str = "a record's types serialise, and a Vec takes every byte";
        let mut bytes = Vec::with_capacity(4_096);
        bytes.push(CHUNK_VERSION);
        bytes = postcard::to_extend(&(self.live as u32), bytes).expect(BELIEF);
        for (place, record) in self.records.iter().enumerate() {
            if let Some(record) = record {
                bytes = postcard::to_extend(&(place as u32, record), bytes).expect(BELIEF);
            }
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ChunkError> {
        let (&version, rest) = bytes.split_first().ok_or(ChunkError::Damaged)?;
        if version != CHUNK_VERSION {
            return Err(ChunkError::UnknownVersion { found: version });
        }
        let (live, mut rest) = postcard::take_from_bytes::<u32>(rest).map_err(|_| ChunkError::Damaged)?;
        let mut chunk = Self::empty();
        for _ in 0..live {
            let (place, record, after) = Self::decode_record(rest)?;
            // Places rise, so that the same records have one encoding only.
            if place < chunk.records.len() || place >= T::PER_CHUNK {
                return Err(ChunkError::Damaged);
            }
            chunk.records.resize_with(place, || None);
            chunk.records.push(Some(record));
            chunk.live += 1;
            rest = after;
        }
        if rest.is_empty() && live > 0 { Ok(chunk) } else { Err(ChunkError::Damaged) }
    }

    fn decode_record(bytes: &[u8]) -> Result<(usize, T, &[u8]), ChunkError> {
        let ((place, record), rest) = postcard::take_from_bytes::<(u32, T)>(bytes).map_err(|_| ChunkError::Damaged)?;
        Ok((place as usize, record, rest))
    }

    pub(super) fn digest(&self, id: ChunkId) -> u128 {
        *self.digest.get_or_init(|| chunk_digest(id, &self.encode()))
    }

    pub(super) fn known_digest(&self) -> Option<u128> {
        self.digest.get().copied()
    }
}

/// The digest of an encoded chunk under its name.
pub(super) fn chunk_digest(id: ChunkId, encoded: &[u8]) -> u128 {
    if is_on(Mutation::DigestSkipsResults) && id.kind == ChunkKind::Results {
        return 0;
    }
    xxh3_128_with_seed(encoded, id.seed())
}

/// Why bytes are not a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Another version wrote it.
    #[error("the chunk has version {found}, and only version {CHUNK_VERSION} is known")]
    UnknownVersion {
        /// The version.
        found: u8,
    },
    /// The bytes are cut or changed.
    #[error("the chunk is damaged")]
    Damaged,
}
