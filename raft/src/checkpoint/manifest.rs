//! Which generation of each chunk a checkpoint consists of, and what each was when it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::keys;
use crate::machine::ChunkKey;

/// Its format, raised when it changes.
const VERSION: u8 = 2;

/// The format in which chunks had no digests: still read.
const WITHOUT_DIGESTS: u8 = 1;

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
    /// The digest of its bytes.
    pub(super) digest: u64,
}

/// A place as the first format has it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(Serialize))]
struct PlaceWithoutDigest {
    generation: u64,
    parts: u16,
}

/// The digest of a chunk as it is stored. It finds rot, not forgery.
pub(super) fn chunk_digest(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

impl Manifest {
    pub(super) fn put(&mut self, key: ChunkKey, generation: u64, parts: usize, digest: u64) {
        let parts = u16::try_from(parts).expect("a chunk is far below 2 GiB");
        self.chunks.insert(key, Place { generation, parts, digest });
    }

    /// Notes what a chunk is, where its manifest does not tell: the caller has checked the whole state.
    pub(super) fn learn(&mut self, key: &ChunkKey, digest: u64) {
        if let Some(place) = self.chunks.get_mut(key) {
            place.digest = digest;
        }
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

    /// Reads a manifest, and says whether it tells the chunks' digests.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<(Self, bool)> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let not_one = |error: postcard::Error| invalid(format!("not a manifest: {error}"));
        let (version, rest) = postcard::take_from_bytes::<u8>(bytes).map_err(not_one)?;
        let chunks = match version {
            VERSION => postcard::from_bytes(rest).map_err(not_one)?,
            WITHOUT_DIGESTS => {
                let chunks: BTreeMap<ChunkKey, PlaceWithoutDigest> = postcard::from_bytes(rest).map_err(not_one)?;
                let place = |PlaceWithoutDigest { generation, parts }| Place { generation, parts, digest: 0 };
                chunks.into_iter().map(|(key, found)| (key, place(found))).collect()
            }
            _ => return Err(invalid(format!("a manifest of version {version}, which is not known"))),
        };
        Ok((Self { chunks, stored_parts: 0 }, version == VERSION))
    }

    /// Whether two name the same chunks.
    pub(super) fn names_the_same(&self, other: &Self) -> bool {
        let place = |place: &Place| (place.generation, place.parts);
        self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(|(a, b)| (a.0, place(a.1)) == (b.0, place(b.1)))
    }
}

fn place_keys(key: &ChunkKey, place: Place) -> impl Iterator<Item = Vec<u8>> {
    (0..place.parts).map(move |part| keys::chunk(key, place.generation, part))
}

/// A manifest, as any bytes.
#[cfg(any(test, fuzzing))]
pub mod untrusted {
    use super::Manifest;

    /// A valid input.
    #[must_use]
    pub fn valid() -> Vec<u8> {
        let mut manifest = Manifest::default();
        manifest.put(vec![1, 2], 7, 2, 1);
        manifest.put(vec![0], 8, 1, u64::MAX);
        manifest.put(vec![3; 9], u64::MAX, 9, 0);
        manifest.encode()
    }

    /// Refuses it, or reads it (true): what is read is written and read again as the same.
    pub fn read(bytes: &[u8]) -> bool {
        let Ok((manifest, _)) = Manifest::decode(bytes) else { return false };
        let again = Manifest::decode(&manifest.encode()).expect("what was written can be read");
        assert_eq!(again.0, manifest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_as_it_was_written() {
        let mut manifest = Manifest::default();
        manifest.put(vec![1, 2], 7, 2, 70);
        manifest.put(vec![0], 8, 1, 80);
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), (manifest, true));
        assert!(Manifest::decode(&[9, 0]).is_err());
    }

    #[test]
    fn a_manifest_of_the_first_format_is_read_and_learns_its_digests() {
        let chunks = BTreeMap::from([(vec![1_u8, 2], PlaceWithoutDigest { generation: 7, parts: 2 })]);
        let bytes = postcard::to_stdvec(&(WITHOUT_DIGESTS, &chunks)).unwrap();
        let (mut manifest, has_digests) = Manifest::decode(&bytes).unwrap();
        assert!(!has_digests);
        manifest.learn(&vec![1, 2], 70);
        let mut expected = Manifest::default();
        expected.put(vec![1, 2], 7, 2, 70);
        assert_eq!(manifest, expected);
    }

    #[test]
    fn only_what_a_newer_one_does_not_name_is_superseded() {
        let mut old = Manifest::default();
        old.put(vec![1], 1, 1, 10);
        old.put(vec![2], 1, 1, 20);
        old.put(vec![3], 1, 2, 30);
        let mut new = old.clone();
        new.put(vec![2], 2, 1, 20);
        new.remove(&vec![3]);
        let superseded = old.superseded_by(&new);
        assert_eq!(superseded, vec![keys::chunk(&[2], 1, 0), keys::chunk(&[3], 1, 0), keys::chunk(&[3], 1, 1)]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_manifest_is_refused_or_read_and_never_a_panic(
            bytes in holdfast_mangle::mangled(untrusted::valid()),
        ) {
            untrusted::read(&bytes);
        }
    }
}
