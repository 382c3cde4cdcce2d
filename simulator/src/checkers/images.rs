//! The replicas of a shard hold the same state, and its digest covers all of it. The digest that nodes compare is part of what
//! is judged here: so the encoded state is hashed once more, apart from the code that ships.

use std::collections::BTreeMap;

use holdfast_inventory::{ChunkId, Inventory};
use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use super::Finding;

const NAME: &str = "images";

/// A replica's state, each part of it hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The last entry in it.
    pub applied_index: u64,
    /// The digest as the replica gives it.
    pub digest: u128,
    /// The hash of its header.
    pub header: u128,
    /// The hash of each of its chunks.
    pub chunks: BTreeMap<ChunkId, u128>,
}

impl Image {
    /// Of a shard after an entry.
    #[must_use]
    pub fn of(shard: &Inventory, applied_index: u64) -> Self {
        let chunks = shard.chunk_ids().into_iter().filter_map(|id| Some((id, hash(id, &shard.encode_chunk(id)?))));
        Self {
            applied_index,
            digest: shard.digest().0,
            header: xxh3_128(&shard.encode_header()),
            chunks: chunks.collect(),
        }
    }

    /// What the digest must be: the sum of the hashes of all parts.
    fn sum(&self) -> u128 {
        self.chunks.values().fold(self.header, |sum, hash| sum.wrapping_add(*hash))
    }
}

/// A chunk's hash, seeded with its name: kind and number.
fn hash(id: ChunkId, encoded: &[u8]) -> u128 {
    let [kind, number @ ..] = id.key();
    xxh3_128_with_seed(encoded, u64::from(kind) << 56 ^ u64::from_be_bytes(number))
}

/// Judges the images of a shard, by node.
#[must_use]
pub fn check(shard: u32, images: &BTreeMap<u64, Image>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(NAME, format!("shard {shard}: {what}")));
    for (node, image) in images {
        if image.digest != image.sum() {
            find(format!("the digest of node {node} is not that of its state"));
        }
        let same = images.iter().find(|(_, other)| other.applied_index == image.applied_index);
        let Some((first, other)) = same.filter(|(first, _)| *first != node) else { continue };
        let parts = image.chunks.keys().chain(other.chunks.keys());
        if let Some(id) = parts.into_iter().find(|id| image.chunks.get(id) != other.chunks.get(id)) {
            find(format!("nodes {first} and {node} differ in {id:?} at position {}", image.applied_index));
        } else if image.header != other.header {
            find(format!("nodes {first} and {node} differ in the header at position {}", image.applied_index));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::{ChunkKind, Limits};

    use super::*;

    fn images() -> BTreeMap<u64, Image> {
        (1..=3).map(|node| (node, Image::of(&Inventory::new(Limits::default()), 7))).collect()
    }

    fn found(images: &BTreeMap<u64, Image>) -> Vec<String> {
        check(0, images).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_states_with_their_digests_are_good() {
        assert_eq!(found(&images()), Vec::<String>::new());
    }

    #[test]
    fn a_digest_that_leaves_a_chunk_out_is_found() {
        let mut images = images();
        for image in images.values_mut() {
            image.chunks.insert(ChunkId { kind: ChunkKind::Results, number: 0 }, 5);
        }
        assert_eq!(found(&images).len(), 3);
        assert!(found(&images)[0].contains("the digest of node 1 is not that of its state"));
    }

    #[test]
    fn states_that_differ_at_one_position_are_found_and_at_two_they_are_not_compared() {
        let mut images = images();
        let id = ChunkId { kind: ChunkKind::Stock, number: 3 };
        let third = images.get_mut(&3).unwrap();
        third.chunks.insert(id, 5);
        third.digest = third.sum();
        let words = "images: shard 0: nodes 1 and 3 differ in ChunkId { kind: Stock, number: 3 } at position 7";
        assert_eq!(found(&images), [words]);
        images.get_mut(&3).unwrap().applied_index = 8;
        assert_eq!(found(&images), Vec::<String>::new());
    }
}
