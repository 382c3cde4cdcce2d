//! Which generation of each chunk a checkpoint consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use super::keys;
use crate::machine::ChunkKey;

/// Its format, raised when it changes.
const VERSION: u8 = 1;

/// The chunks of one checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    chunks: BTreeMap<ChunkKey, Place>,
    /// In how many parts it is stored itself.
    stored_parts: u16,
}

/// Where a chunk lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The checkpoint that wrote it.
    pub(super) generation: u64,
    /// In how many parts.
    pub(super) parts: u16,
}

impl Manifest {
    pub(super) fn put(&mut self, key: ChunkKey, generation: u64, parts: usize) {
        let parts = u16::try_from(parts).expect("a chunk is far below 2 GiB");
        self.chunks.insert(key, Place { generation, parts });
    }

    pub(super) fn remove(&mut self, key: &ChunkKey) {
        self.chunks.remove(key);
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = (&ChunkKey, &Place)> {
        self.chunks.iter()
    }

    pub(super) fn place(&self, key: &ChunkKey) -> Option<Place> {
        self.chunks.get(key).copied()
    }

    /// How many chunks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    /// Whether there is no chunk at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn set_stored_parts(&mut self, parts: usize) {
        self.stored_parts = u16::try_from(parts).expect("a manifest is far below 2 GiB");
    }

    pub(super) fn stored_parts(&self) -> u16 {
        self.stored_parts
    }

    /// The store's keys of all its chunks.
    pub(super) fn keys(&self) -> BTreeSet<Vec<u8>> {
        self.chunks.iter().flat_map(|(key, place)| place_keys(key, *place)).collect()
    }

    /// The store's keys of the chunks that `newer` does not name any more.
    pub(super) fn superseded_by(&self, newer: &Self) -> Vec<Vec<u8>> {
        let superseded = self.chunks.iter().filter(|(key, place)| newer.chunks.get(*key) != Some(place));
        superseded.flat_map(|(key, place)| place_keys(key, *place)).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(&(VERSION, &self.chunks)).expect("plain collections are always encoded")
    }

    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let (version, chunks): (u8, BTreeMap<ChunkKey, Place>) =
            postcard::from_bytes(bytes).map_err(|error| invalid(format!("not a manifest: {error}")))?;
        if version != VERSION {
            return Err(invalid(format!("a manifest of version {version}, which is not known")));
        }
        Ok(Self { chunks, stored_parts: 0 })
    }
}

fn place_keys(key: &ChunkKey, place: Place) -> impl Iterator<Item = Vec<u8>> {
    (0..place.parts).map(move |part| keys::chunk(key, place.generation, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let mut manifest = Manifest::default();
        manifest.put(vec![1, 2], 7, 2);
        manifest.put(vec![0], 8, 1);
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
        assert!(Manifest::decode(&[9, 0]).is_err());
    }

    #[test]
    fn only_what_a_newer_one_does_not_name_is_superseded() {
        let mut old = Manifest::default();
        old.put(vec![1], 1, 1);
        old.put(vec![2], 1, 1);
        old.put(vec![3], 1, 2);
        let mut new = old.clone();
        new.put(vec![2], 2, 1);
        new.remove(&vec![3]);
        let superseded = old.superseded_by(&new);
        assert_eq!(superseded, vec![keys::chunk(&[2], 1, 0), keys::chunk(&[3], 1, 0), keys::chunk(&[3], 1, 1)]);
    }

    fn three_chunks() -> Vec<u8> {
        let mut manifest = Manifest::default();
        manifest.put(vec![1, 2], 7, 2);
        manifest.put(vec![0], 8, 1);
        manifest.put(vec![3; 9], u64::MAX, 9);
        manifest.encode()
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_manifest_is_refused_or_read_and_never_a_panic(
            bytes in holdfast_mangle::mangled(three_chunks()),
        ) {
            if let Ok(manifest) = Manifest::decode(&bytes) {
                assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);
            }
        }
    }
}
