//! The keys of a group's tree in the state store, all of them:
//!
//! | key | value |
//! | --- | --- |
//! | `c`, length of the chunk's key (1 byte), the chunk's key, generation (8), part (2) | a part of a chunk |
//! | `m`, generation (8), part (2) | a part of the manifest of a generation |
//!
//! Numbers are big-endian, so that the order of the keys is the order of the numbers.

/// Longest part of a chunk or manifest, in bytes: the state store takes values of up to 32 KiB.
pub(super) const PART_BYTES: usize = 32 * 1_024;

pub(super) fn chunk(key: &[u8], generation: u64, part: u16) -> Vec<u8> {
    let length = u8::try_from(key.len()).expect("a chunk's key has a few bytes");
    let mut bytes = Vec::with_capacity(12 + key.len());
    bytes.push(b'c');
    bytes.push(length);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(&part.to_be_bytes());
    bytes
}

pub(super) fn manifest(generation: u64, part: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(11);
    bytes.push(b'm');
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes.extend_from_slice(&part.to_be_bytes());
    bytes
}

pub(super) fn manifest_parts(generation: u64, parts: u16) -> impl Iterator<Item = Vec<u8>> {
    (0..parts).map(move |part| manifest(generation, part))
}
