//! The stamp at the end of each sector.

/// The unit the disk writes or does not write as a whole.
pub(crate) const SECTOR: usize = 512;
/// A write begins at a multiple of this.
pub(crate) const BLOCK: usize = 4_096;
/// The bytes of a sector that hold contents; the rest is the stamp.
pub(crate) const ROOM: usize = SECTOR - Stamp::LEN;

/// What makes the stamps and checksums of one use of a segment file its own: the identity of the log and the generation,
/// which grows with every use of any file. Leftovers of earlier uses never read as valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentSeed {
    pub(crate) identity: u128,
    pub(crate) generation: u64,
}

impl SegmentSeed {
    /// A checksum over the seed, to be continued over what it protects.
    pub(crate) fn checksum(self) -> u32 {
        let crc = crc32c::crc32c(&self.identity.to_le_bytes());
        crc32c::crc32c_append(crc, &self.generation.to_le_bytes())
    }

    /// The stamp of one write, named by the node's incarnation counter and a number that grows with each write.
    pub(crate) fn stamp(self, incarnation: u64, write: u64) -> Stamp {
        // Checksums of numbers that differ in 32 bits at most are never equal, hence stamps of neighbouring generations,
        // incarnations and writes never are.
        let high = u64::from(self.checksum());
        let crc = crc32c::crc32c(&incarnation.to_le_bytes());
        let low = u64::from(crc32c::crc32c_append(crc, &write.to_le_bytes()));
        // A zeroed sector must never look stamped.
        Stamp(((high << 32) | low).max(1))
    }

    /// Whether the stamp belongs to this use of the segment, whatever the write.
    pub(crate) fn owns(self, stamp: Stamp) -> bool {
        stamp.0 != 0 && stamp.0 >> 32 == u64::from(self.checksum())
    }
}

/// Eight bytes that name one write into one use of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) u64);

impl Stamp {
    pub(crate) const LEN: usize = 8;

    pub(crate) fn of_sector(sector: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes.copy_from_slice(&sector[ROOM..SECTOR]);
        Self(u64::from_le_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.to_le_bytes()
    }
}
