//! Contents to sectors and back.

use super::stamp::{BLOCK, ROOM, SECTOR, Stamp};

/// The bytes on disk of a write of `contents` bytes: whole blocks.
pub(crate) fn physical_len(contents: usize) -> usize {
    (contents.div_ceil(ROOM) * SECTOR).next_multiple_of(BLOCK)
}

/// A reusable buffer of stamped sectors, aligned to a block in memory as a direct write wants it.
#[derive(Debug)]
pub(crate) struct StampedBuffer {
    bytes: Vec<u8>,
    start: usize,
    stamp: Stamp,
    /// Bytes of contents put so far.
    contents: usize,
}

impl StampedBuffer {
    /// A buffer with room for `capacity` bytes on disk; it grows if it must.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut buffer = Self { bytes: Vec::new(), start: 0, stamp: Stamp(0), contents: 0 };
        buffer.reserve(capacity.next_multiple_of(BLOCK));
        buffer
    }

    /// Begins a write of `contents` bytes.
    pub(crate) fn begin(&mut self, stamp: Stamp, contents: usize) {
        self.reserve(physical_len(contents));
        self.stamp = stamp;
        self.contents = 0;
    }

    /// Adds contents.
    pub(crate) fn put(&mut self, mut contents: &[u8]) {
        while !contents.is_empty() {
            let within = self.contents % ROOM;
            let sector = self.start + self.contents / ROOM * SECTOR;
            let take = contents.len().min(ROOM - within);
            self.bytes[sector + within..sector + within + take].copy_from_slice(&contents[..take]);
            self.contents += take;
            contents = &contents[take..];
        }
    }

    /// Ends the write: fills up to a whole block, stamps every sector and gives the bytes for the disk.
    pub(crate) fn finish(&mut self) -> &[u8] {
        let len = physical_len(self.contents);
        let written = self.contents / ROOM * SECTOR + self.contents % ROOM;
        let stamp = self.stamp.to_bytes();
        let image = &mut self.bytes[self.start..self.start + len];
        image[written..].fill(0);
        for sector in image.chunks_exact_mut(SECTOR) {
            sector[ROOM..].copy_from_slice(&stamp);
        }
        image
    }

    fn reserve(&mut self, len: usize) {
        if self.bytes.len() < self.start + len || self.bytes.is_empty() {
            self.bytes = vec![0; len + BLOCK];
            self.start = self.bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        }
    }
}

/// Reads contents out of sectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StampedReader<'a> {
    sectors: &'a [u8],
}

impl<'a> StampedReader<'a> {
    /// A reader over whole sectors.
    pub(crate) fn new(sectors: &'a [u8]) -> Self {
        debug_assert_eq!(sectors.len() % SECTOR, 0, "whole sectors");
        Self { sectors }
    }

    /// Appends `len` bytes of contents from `offset` on to `out`; the caller has checked that they are there.
    pub(crate) fn copy(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        self.pieces(offset, len, |piece| out.extend_from_slice(piece));
    }

    /// The checksum of `len` bytes of contents from `offset` on, continued from `seed`.
    pub(crate) fn checksum(&self, seed: u32, offset: usize, len: usize) -> u32 {
        let mut crc = seed;
        self.pieces(offset, len, |piece| crc = crc32c::crc32c_append(crc, piece));
        crc
    }

    /// Whether each of the first `contents` bytes lies in a sector with this stamp.
    pub(crate) fn is_stamped(&self, stamp: Stamp, contents: usize) -> bool {
        self.sectors.chunks_exact(SECTOR).take(contents.div_ceil(ROOM)).all(|sector| Stamp::of_sector(sector) == stamp)
    }

    fn pieces(&self, mut offset: usize, mut len: usize, mut each: impl FnMut(&'a [u8])) {
        while len > 0 {
            let within = offset % ROOM;
            let sector = offset / ROOM * SECTOR;
            let take = len.min(ROOM - within);
            each(&self.sectors[sector + within..sector + within + take]);
            offset += take;
            len -= take;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_and_every_sector_is_stamped() {
        let mut buffer = StampedBuffer::new(BLOCK);
        for len in [0, 1, 503, 504, 505, 4_031, 4_032, 4_033, 20_000] {
            let contents: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            buffer.begin(Stamp(77), len);
            for piece in contents.chunks(97) {
                buffer.put(piece);
            }
            let image = buffer.finish().to_vec();
            assert_eq!(image.len(), physical_len(len));
            let reader = StampedReader::new(&image);
            let mut back = Vec::new();
            reader.copy(0, len, &mut back);
            assert_eq!(back, contents);
            assert!(reader.is_stamped(Stamp(77), image.len() / SECTOR * ROOM));
            assert_eq!(reader.checksum(5, 0, len), crc32c::crc32c_append(5, &contents));
        }
    }
}
