//! The format of a change log file, version 2: a header, then events one after the other.
//!
//! An event is its length, its sequence and a CRC32C (seeded with the log's identity and the group), then its bytes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use holdfast_inventory::{EventHash, Frontier, MAX_PEAKS};
use holdfast_world::DiskFile;

use super::{Change, ChangeLogError, MAX_EVENT_BYTES, READ_BYTES};
use crate::log::GroupId;

const MAGIC: [u8; 8] = *b"HFCHANG2";
const EVENT_HEADER: usize = 16;
const HASH: usize = 32;
/// Where in an encoded event its hash stands, behind a version byte.
const HASH_AT: usize = 1;

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: u128,
    pub(super) group: GroupId,
    /// The sequence of its first event.
    pub(super) first: u64,
}

impl Header {
    /// Room for the roots of the complete subtrees of all events before the first, whose number follows from it.
    const PEAKS_AT: usize = 40;
    const CRC_AT: usize = Self::PEAKS_AT + MAX_PEAKS * HASH;
    pub(super) const LEN: u64 = Self::CRC_AT as u64 + 4;

    /// `before` is the tree of the events before the first.
    pub(super) fn encode(&self, before: &Frontier) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN as usize);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.identity.to_le_bytes());
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        before.peaks().iter().for_each(|peak| out.extend_from_slice(&peak.0));
        out.resize(Self::CRC_AT, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// The tree of the events before the first, from a header that must be this one; `None` where it is not, or is not whole.
    fn decode(&self, bytes: &[u8]) -> Option<Frontier> {
        let (peaks, _) = bytes.get(Self::PEAKS_AT..Self::CRC_AT)?.as_chunks::<HASH>();
        let before = self.first.checked_sub(1)?;
        let peaks = peaks.iter().take(before.count_ones() as usize).map(|peak| EventHash(*peak)).collect();
        let before = Frontier::of_parts(before, peaks)?;
        (self.encode(&before) == bytes).then_some(before)
    }
}

/// The hash of an event, which it begins with. Bytes that are no event have one too: what they mean is not for this module.
pub(super) fn hash_of(event: &[u8]) -> EventHash {
    match event.get(HASH_AT..).and_then(|rest| rest.first_chunk::<HASH>()) {
        Some(hash) => EventHash(*hash),
        None => EventHash::default(),
    }
}

/// The path of the file whose first event is `first`; names sort as the sequences do.
pub(super) fn file_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.changes"))
}

/// The first sequence in a file's name, if it is one of ours.
pub(super) fn first_seq_of(path: &Path) -> Option<u64> {
    let is_ours = path.extension().is_some_and(|extension| extension == "changes");
    path.file_stem().filter(|_| is_ours)?.to_str()?.parse().ok()
}

fn checksum(identity: u128, group: GroupId, seq: u64, bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&identity.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &group.0.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &seq.to_le_bytes());
    crc32c::crc32c_append(crc, bytes)
}

pub(super) fn encode_event(identity: u128, group: GroupId, seq: u64, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&checksum(identity, group, seq, bytes).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Reads a file's events in order.
pub(super) struct Scan {
    file: Arc<dyn DiskFile>,
    header: Header,
    len: u64,
    seq: u64,
    /// Where the next event begins in the file.
    offset: u64,
    /// Bytes of the file from `offset` on.
    read: BytesMut,
    /// The tree of the events before the file's first, once its header is read.
    before: Option<Frontier>,
}

impl Scan {
    /// Begins at `offset`, where event `seq` must stand, in a file of `len` bytes.
    pub(super) fn new(file: Arc<dyn DiskFile>, header: Header, len: u64, seq: u64, offset: u64) -> Self {
        Self { file, header, len, seq, offset, read: BytesMut::new(), before: None }
    }

    /// The sequence that comes next.
    pub(super) fn next_seq(&self) -> u64 {
        self.seq
    }

    /// Where it begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The tree of the events before the file's first; `None` where the header is not whole.
    pub(super) async fn before(&mut self) -> Result<Option<&Frontier>, ChangeLogError> {
        if self.before.is_none() && self.len >= Header::LEN {
            let mut header = vec![0; Header::LEN as usize];
            self.file.read_exact_at(&mut header, 0).await?;
            self.before = self.header.decode(&header);
        }
        Ok(self.before.as_ref())
    }

    /// The next event; `None` where the file ends or is not whole.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, ChangeLogError> {
        if self.before().await?.is_none() {
            return Ok(None);
        }
        if !self.fill(EVENT_HEADER).await? {
            return Ok(None);
        }
        let mut fields = &self.read[..EVENT_HEADER];
        let (len, seq, crc) = (fields.get_u32_le() as usize, fields.get_u64_le(), fields.get_u32_le());
        if seq != self.seq || len > MAX_EVENT_BYTES || !self.fill(EVENT_HEADER + len).await? {
            return Ok(None);
        }
        let bytes = &self.read[EVENT_HEADER..EVENT_HEADER + len];
        if checksum(self.header.identity, self.header.group, seq, bytes) != crc {
            return Ok(None);
        }
        let bytes = Bytes::copy_from_slice(bytes);
        self.read.advance(EVENT_HEADER + len);
        self.offset += (EVENT_HEADER + len) as u64;
        self.seq += 1;
        Ok(Some(Change { seq, bytes }))
    }

    /// Has `wanted` bytes read; `false` if the file ends before.
    async fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.read.len() >= wanted {
            return Ok(true);
        }
        let held = self.read.len();
        let at = self.offset + held as u64;
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let take = left.min(READ_BYTES.max(wanted - held));
        self.read.resize(held + take, 0);
        self.file.read_exact_at(&mut self.read[held..], at).await?;
        Ok(self.read.len() >= wanted)
    }
}
