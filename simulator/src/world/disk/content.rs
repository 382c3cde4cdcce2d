//! The bytes of one file: as they are read, and as they would be after a loss of power.

use std::collections::{BTreeMap, VecDeque};
use std::io;

const PAGE: u64 = 4_096;

/// The content of a file, and the writes that no sync has covered yet, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Pages,
    durable: Pages,
    unsynced: VecDeque<Write>,
    /// How many writes were ever taken from the front of `unsynced`, so that a sync that was begun earlier still knows
    /// which it covers.
    taken: u64,
}

/// The position in a file's writes up to which a sync covers them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Covers(u64);

#[derive(Clone, Debug)]
enum Write {
    Bytes { offset: u64, bytes: Vec<u8> },
    Len(u64),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.current.len
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.take(Write::Len(len));
    }

    pub(super) fn write_all_at(&mut self, bytes: &[u8], offset: u64) {
        self.take(Write::Bytes { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.current.read(buffer, offset)
    }

    fn take(&mut self, write: Write) {
        self.current.apply(&write);
        self.unsynced.push_back(write);
    }

    /// All writes up to now.
    pub(super) fn unsynced(&self) -> Covers {
        Covers(self.taken + self.unsynced.len() as u64)
    }

    /// Makes the covered writes durable.
    pub(super) fn keep(&mut self, covers: Covers) {
        while self.taken < covers.0 {
            let Some(write) = self.unsynced.pop_front() else { break };
            self.durable.apply(&write);
            self.taken += 1;
        }
    }

    /// Lets go of the covered writes without making them durable: they are read until a crash, and no sync covers them.
    pub(super) fn forget(&mut self, covers: Covers) {
        while self.taken < covers.0 && self.unsynced.pop_front().is_some() {
            self.taken += 1;
        }
    }

    /// A kill of the process: the system writes everything that it was given, as far as no sync of it has failed.
    pub(super) fn settle(&mut self) {
        self.keep(self.unsynced());
    }

    /// A loss of power: what was not synced is gone.
    pub(super) fn lose_unsynced(&mut self) {
        self.forget(self.unsynced());
        self.current = self.durable.clone();
    }
}

/// Bytes in pages; a page that is missing reads as zeros.
#[derive(Clone, Debug, Default)]
struct Pages {
    len: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Pages {
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Bytes { offset, bytes } => self.write(bytes, *offset),
            Write::Len(len) => self.set_len(*len),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        for (number, within, range) in pieces(offset, bytes.len()) {
            let piece = &bytes[range];
            let is_zero = piece.iter().all(|byte| *byte == 0);
            match self.pages.get_mut(&number) {
                Some(_) if is_zero && piece.len() as u64 == PAGE => {
                    self.pages.remove(&number);
                }
                Some(page) => page[within..within + piece.len()].copy_from_slice(piece),
                None if is_zero => {}
                None => {
                    let mut page = vec![0; PAGE as usize].into_boxed_slice();
                    page[within..within + piece.len()].copy_from_slice(piece);
                    self.pages.insert(number, page);
                }
            }
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE));
            let within = (len % PAGE) as usize;
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                page[within..].fill(0);
            }
        }
        self.len = len;
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + buffer.len() as u64 > self.len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        for (number, within, range) in pieces(offset, buffer.len()) {
            let piece = &mut buffer[range];
            match self.pages.get(&number) {
                Some(page) => piece.copy_from_slice(&page[within..within + piece.len()]),
                None => piece.fill(0),
            }
        }
        Ok(())
    }
}

/// The pages that `len` bytes at `offset` touch: the page's number, where in the page, and which of the bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset + done as u64;
        let within = (at % PAGE) as usize;
        let size = (PAGE as usize - within).min(len - done);
        let range = done..done + size;
        done += size;
        Some((at / PAGE, within, range))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &Content, offset: u64, len: usize) -> Vec<u8> {
        let mut buffer = vec![0xee; len];
        content.read_exact_at(&mut buffer, offset).unwrap();
        buffer
    }

    #[test]
    fn writes_across_pages_are_read_back() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..10_000u32).map(|n| n as u8 | 1).collect();
        content.write_all_at(&bytes, 4_000);
        assert_eq!(read(&content, 4_000, 10_000), bytes);
        assert_eq!(read(&content, 3_990, 10), vec![0; 10]);
        content.write_all_at(&[0; 4_096], 4_096);
        assert_eq!(read(&content, 4_090, 10), [&bytes[90..96], &[0; 4][..]].concat());
        assert!(content.read_exact_at(&mut [0; 2], 13_999).is_err());
    }

    #[test]
    fn a_file_that_was_cut_and_grows_again_reads_as_zeros() {
        let mut content = Content::default();
        content.write_all_at(&[7; 9_000], 0);
        content.set_len(5_000);
        content.set_len(9_000);
        assert_eq!(read(&content, 4_999, 2), [7, 0]);
        assert_eq!(read(&content, 8_192, 8), [0; 8]);
    }

    #[test]
    fn a_sync_covers_only_what_was_written_before_it_began() {
        let mut content = Content::default();
        content.write_all_at(b"ab", 0);
        let covers = content.unsynced();
        content.write_all_at(b"X", 0);
        content.keep(covers);
        content.lose_unsynced();
        assert_eq!(read(&content, 0, 2), b"ab");
    }

    #[test]
    fn after_a_failed_sync_another_one_saves_nothing() {
        let mut content = Content::default();
        content.write_all_at(b"ab", 0);
        content.forget(content.unsynced());
        content.keep(content.unsynced());
        assert_eq!(read(&content, 0, 2), b"ab");
        content.lose_unsynced();
        assert_eq!(content.len(), 0);
    }
}
