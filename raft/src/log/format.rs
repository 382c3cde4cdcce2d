//! The format of a batch, version 1. All numbers are little endian.
//!
//! A batch begins on a block. Its contents (see `segments`: 504 bytes a sector, then the stamp) are a prologue, a table
//! and the bodies of the entries one after the other. The prologue lies in the first sector and has a checksum of its own;
//! the table has one too, in the prologue, so that a rotten body still says what it was. Both checksums are seeded with
//! the identity of the log, the generation of the segment, incarnation and batch. A body's checksum stands in the table,
//! which vouches for it.

use super::ids::{GroupId, Incarnation};
use crate::segments::SegmentSeed;

const MAGIC: [u8; 8] = *b"HFBATCH\0";
const VERSION: u32 = 1;

/// Where a batch lies and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prologue {
    pub(crate) incarnation: Incarnation,
    /// The number of the batch.
    pub(crate) batch: u64,
    /// The block of the segment it begins at.
    pub(crate) block: u32,
    /// The batch up to which the log was known to be synced when this one was written.
    pub(crate) synced_through: u64,
    /// The durable generation of the control file then.
    pub(crate) control_generation: u64,
    pub(crate) runs: u32,
    pub(crate) rows: u32,
    /// Bytes of contents, this prologue included.
    pub(crate) contents: u32,
    pub(crate) table_crc: u32,
}

impl Prologue {
    pub(crate) const LEN: usize = 100;

    pub(crate) fn encode(&self, seed: SegmentSeed) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&VERSION.to_le_bytes());
        put(&seed.identity.to_le_bytes());
        put(&seed.generation.to_le_bytes());
        put(&self.incarnation.counter.to_le_bytes());
        put(&self.incarnation.nonce.to_le_bytes());
        put(&self.batch.to_le_bytes());
        put(&self.block.to_le_bytes());
        put(&self.synced_through.to_le_bytes());
        put(&self.control_generation.to_le_bytes());
        put(&self.runs.to_le_bytes());
        put(&self.rows.to_le_bytes());
        put(&self.contents.to_le_bytes());
        put(&self.table_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seed.checksum(), &out[..Self::LEN - 4]);
        out[Self::LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The prologue at the start of `bytes`, if it is whole and belongs to this use of the segment.
    pub(crate) fn decode(seed: SegmentSeed, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::LEN)?;
        if bytes[..8] != MAGIC {
            return None;
        }
        let crc = crc32c::crc32c_append(seed.checksum(), &bytes[..Self::LEN - 4]);
        let mut fields = Fields(&bytes[8..]);
        let (version, identity, generation) = (fields.u32(), fields.u128(), fields.u64());
        let prologue = Self {
            incarnation: Incarnation { counter: fields.u64(), nonce: fields.u64() },
            batch: fields.u64(),
            block: fields.u32(),
            synced_through: fields.u64(),
            control_generation: fields.u64(),
            runs: fields.u32(),
            rows: fields.u32(),
            contents: fields.u32(),
            table_crc: fields.u32(),
        };
        let belongs = version == VERSION && identity == seed.identity && generation == seed.generation;
        (fields.u32() == crc && belongs).then_some(prologue)
    }

    /// Bytes of the table.
    pub(crate) fn table_len(&self) -> usize {
        self.runs as usize * Run::LEN + self.rows as usize * Row::LEN
    }

    /// The seed of the table's checksum.
    pub(crate) fn table_seed(seed: SegmentSeed, incarnation: Incarnation, batch: u64) -> u32 {
        let crc = crc32c::crc32c_append(seed.checksum(), &incarnation.counter.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &incarnation.nonce.to_le_bytes());
        crc32c::crc32c_append(crc, &batch.to_le_bytes())
    }
}

/// What a run of records is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunKind {
    /// Entries at consecutive indexes of one leader.
    Append,
    /// A vote; leader is the node voted for, index 1 if committed.
    Vote,
    /// The entries from the index on are gone.
    Truncate,
    /// The entries up to the log id are gone.
    Purge,
    /// The log id is committed.
    Committed,
    /// Copies of entries whose first ones rotted.
    Repair,
}

impl RunKind {
    fn number(self) -> u32 {
        match self {
            Self::Append => 1,
            Self::Vote => 2,
            Self::Truncate => 3,
            Self::Purge => 4,
            Self::Committed => 5,
            Self::Repair => 6,
        }
    }

    fn of(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Append,
            2 => Self::Vote,
            3 => Self::Truncate,
            4 => Self::Purge,
            5 => Self::Committed,
            6 => Self::Repair,
            _ => return None,
        })
    }
}

/// Records of one group and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) kind: RunKind,
    pub(crate) group: GroupId,
    /// Numbers the runs of a group without gaps, so that it can be proven that a lost batch held none of it.
    pub(crate) sequence: u64,
    pub(crate) term: u64,
    pub(crate) leader: u64,
    pub(crate) index: u64,
    /// How many rows and bodies are its own.
    pub(crate) count: u32,
}

impl Run {
    pub(crate) const LEN: usize = 48;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.leader.to_le_bytes());
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.kind.number().to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let (group, sequence, term) = (GroupId(fields.u64()), fields.u64(), fields.u64());
        let (leader, index) = (fields.u64(), fields.u64());
        let kind = RunKind::of(fields.u32())?;
        Some(Self { kind, group, sequence, term, leader, index, count: fields.u32() })
    }
}

/// One entry in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: u8,
    /// Bytes of the body, below 2^24.
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl Row {
    pub(crate) const LEN: usize = 8;

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&((u32::from(self.kind) << 24) | self.len).to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let mut fields = Fields(bytes);
        let word = fields.u32();
        let [.., kind] = word.to_le_bytes();
        Self { kind, len: word & 0x00ff_ffff, crc: fields.u32() }
    }
}

/// Reads numbers one after the other; the caller has checked the length.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_at(N);
        self.0 = rest;
        let mut out = [0; N];
        out.copy_from_slice(field);
        out
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn u128(&mut self) -> u128 {
        u128::from_le_bytes(self.take())
    }
}
