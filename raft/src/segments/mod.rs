//! Stamped segment files: how bytes lie in blocks and sectors, and how the files come to be.
//!
//! Promises: every 512-byte sector of a write carries a stamp that no other write ever uses, so that a sector that was
//! not written can be told from one that changed afterwards. Leaves to others what the bytes mean.

mod buffer;
mod files;
#[cfg(test)]
pub(crate) mod memory_disk;
mod stamp;

pub(crate) use buffer::{StampedBuffer, StampedReader, physical_len};
pub(crate) use files::{SegmentFile, create_zeroed, segment_path};
pub(crate) use stamp::{BLOCK, ROOM, SECTOR, SegmentSeed, Stamp};
