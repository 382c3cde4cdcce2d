//! The header: what the state has once.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::chunk::ChunkKind;
use crate::{EventHash, Frontier, Halt, Limits, LogTime};

/// The version byte that an encoded header starts with.
const HEADER_VERSION: u8 = 5;

/// What the state has once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// Log time: never goes back.
    pub(crate) now: LogTime,
    /// Of the last event.
    pub(crate) seq: u64,
    pub(crate) last_hash: EventHash,
    /// The greatest mint time of a result that was forgotten.
    pub(crate) horizon: Option<LogTime>,
    pub(crate) limits: Limits,
    /// Commands decided since the shard began.
    pub(crate) decided: u64,
    /// All events so far, as a tree.
    pub(crate) history: Frontier,
    /// Why callers' commands are refused.
    pub(crate) halt: Option<Box<Halt>>,
    /// The event by which it was last let go on; 0: never. What was found before it is known to whoever let it go on.
    pub(crate) resumed_seq: u64,
}

impl Header {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            now: LogTime::default(),
            seq: 0,
            last_hash: EventHash::default(),
            horizon: None,
            limits,
            decided: 0,
            history: Frontier::default(),
            halt: None,
            resumed_seq: 0,
        }
    }

    fn is_sound(&self) -> bool {
        self.history.size() == self.seq && self.history.is_sound()
    }
}

/// The header as it is written: with the next ordinal of each kind, so that none is given twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredHeader {
    pub(super) header: Header,
    pub(super) next_ordinals: [u64; ChunkKind::ALL.len()],
}

impl StoredHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![HEADER_VERSION])
            .expect("the header's types serialise, and a Vec takes every byte")
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        match postcard::take_from_bytes::<Self>(rest) {
            Ok((stored, [])) if version == HEADER_VERSION && stored.header.is_sound() => Some(stored),
            _ => None,
        }
    }

    pub(super) fn digest(&self) -> u128 {
        xxh3_128(&self.encode())
    }
}
