//! The bytes of one file: as they are read, and as they would be after a loss of power.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use crate::Dice;

const PAGE: u64 = 4_096;
/// What a drive writes as a whole or not at all.
const SECTOR: u64 = 512;

/// The content of a file, and the writes that no sync has covered yet, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    current: Pages,
    durable: Pages,
    unsynced: VecDeque<Write>,
    /// How many writes were ever taken from the front of `unsynced`, so that a sync that was begun earlier still knows
    /// which it covers.
    taken: u64,
    /// The drive's number of the last write here.
    last_write: u64,
    /// Offset and length of the last write of something other than zeros that is durable.
    newest: Option<(u64, u64)>,
}

/// The position in a file's writes up to which a sync covers them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Covers(u64);

#[derive(Clone, Debug)]
enum Write {
    Bytes {
        offset: u64,
        bytes: Vec<u8>,
    },
    /// The same, of nothing but zeroes: a fresh segment is written whole, and nothing of that need be kept.
    Zeroes {
        offset: u64,
        len: u64,
    },
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
        let write = match is_zero(bytes) {
            true => Write::Zeroes { offset, len: bytes.len() as u64 },
            false => Write::Bytes { offset, bytes: bytes.to_vec() },
        };
        self.take(write);
    }

    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.current.read(buffer, offset)
    }

    /// Notes that the last write was the drive's `nth`.
    pub(super) fn number_write(&mut self, nth: u64) {
        self.last_write = nth;
    }

    /// What was written last and is durable: the number of the drive's last write here, the offset and the length.
    pub(super) fn newest(&self) -> Option<(u64, u64, u64)> {
        self.newest.map(|(offset, len)| (self.last_write, offset, len))
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
            if let Write::Bytes { offset, bytes } = &write
                && bytes.iter().any(|byte| *byte != 0)
            {
                self.newest = Some((*offset, bytes.len() as u64));
            }
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

    /// A loss of power while the system was writing by itself: of what was not synced any part is there, down to a sector.
    pub(super) fn lose_some(&mut self, dice: &mut Dice) {
        self.keep_some(self.unsynced(), dice);
        self.current = self.durable.clone();
    }

    /// Lets go of the covered writes; any part of them has become durable.
    ///
    /// The system writes a sector as it stands at some moment. So a sector that is kept as of one write holds all earlier
    /// writes to it, and a sector is never torn within.
    pub(super) fn keep_some(&mut self, covers: Covers, dice: &mut Dice) {
        if self.taken >= covers.0 || self.unsynced.is_empty() {
            return;
        }
        let mut seen = self.durable.clone();
        // All, none, or as it comes: what happens often, and what happens seldom.
        let often = dice.below(5) * 250;
        while self.taken < covers.0 {
            let Some(write) = self.unsynced.pop_front() else { break };
            self.taken += 1;
            seen.apply(&write);
            let (offset, len) = match write {
                Write::Len(len) => {
                    if dice.below(1_000) < often {
                        self.durable.set_len(len);
                    }
                    continue;
                }
                Write::Bytes { offset, bytes } => (offset, bytes.len() as u64),
                Write::Zeroes { offset, len } => (offset, len),
            };
            let sectors = offset / SECTOR..(offset + len).div_ceil(SECTOR);
            let kept = Kept::draw(often, sectors.end - sectors.start, dice);
            for (nth, sector) in sectors.enumerate() {
                if kept.has(nth as u64, dice) {
                    self.durable.take_sector(&seen, sector);
                }
            }
        }
    }

    /// Flips one bit, as rot does: what is read and what is durable both have it.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        for pages in [&mut self.current, &mut self.durable] {
            let mut byte = [0];
            if pages.read(&mut byte, offset).is_ok() {
                pages.write(&[byte[0] ^ (1 << (bit % 8))], offset);
            }
        }
    }

    /// The numbers of the sectors that hold anything but zeros, rising.
    pub(super) fn used_sectors(&self) -> Vec<u64> {
        let per_page = PAGE / SECTOR;
        let sectors = self.current.pages.iter().flat_map(|(number, page)| {
            let used =
                page.chunks(SECTOR as usize).enumerate().filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
            used.map(move |(nth, _)| number * per_page + nth as u64)
        });
        sectors.filter(|sector| sector * SECTOR < self.current.len).collect()
    }
}

/// Which sectors of a write are kept.
enum Kept {
    None,
    All,
    /// The first ones: the write was under way.
    First(u64),
    /// Any, each by a coin.
    Any,
}

impl Kept {
    fn draw(often: u64, sectors: u64, dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 => Self::First(dice.below(sectors + 1)),
            1 => Self::Any,
            _ if dice.below(1_000) < often => Self::All,
            _ => Self::None,
        }
    }

    fn has(&self, nth: u64, dice: &mut Dice) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::First(first) => nth < *first,
            Self::Any => dice.below(2) == 0,
        }
    }
}

/// Bytes in pages; a page that is missing reads as zeros. Copies share the pages that neither has written since.
#[derive(Clone, Debug, Default)]
struct Pages {
    len: u64,
    pages: BTreeMap<u64, Arc<[u8]>>,
}

impl Pages {
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Bytes { offset, bytes } => self.write(bytes, *offset),
            Write::Zeroes { offset, len } => self.clear(*offset, *len),
            Write::Len(len) => self.set_len(*len),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        for (number, within, range) in pieces(offset, bytes.len()) {
            let piece = &bytes[range];
            let is_zero = is_zero(piece);
            match self.pages.get_mut(&number) {
                Some(_) if is_zero && piece.len() as u64 == PAGE => {
                    self.pages.remove(&number);
                }
                Some(page) => Arc::make_mut(page)[within..within + piece.len()].copy_from_slice(piece),
                None if is_zero => {}
                None => {
                    let mut page = vec![0; PAGE as usize];
                    page[within..within + piece.len()].copy_from_slice(piece);
                    self.pages.insert(number, page.into());
                }
            }
        }
        self.len = self.len.max(offset + bytes.len() as u64);
    }

    /// Writes zeroes: pages of nothing else are not kept.
    fn clear(&mut self, offset: u64, len: u64) {
        let end = offset + len;
        let whole = offset.div_ceil(PAGE)..(end / PAGE).max(offset.div_ceil(PAGE));
        if !whole.is_empty() && self.pages.range(whole.clone()).next().is_some() {
            let mut after = self.pages.split_off(&whole.start);
            self.pages.append(&mut after.split_off(&whole.end));
        }
        let edges = [(offset, end.min(whole.start * PAGE)), (offset.max(whole.end * PAGE), end)];
        for (from, to) in edges.into_iter().filter(|(from, to)| from < to) {
            if let Some(page) = self.pages.get_mut(&(from / PAGE)) {
                let within = (from % PAGE) as usize;
                Arc::make_mut(page)[within..within + (to - from) as usize].fill(0);
            }
        }
        self.len = self.len.max(end);
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.split_off(&len.div_ceil(PAGE));
            let within = (len % PAGE) as usize;
            if let Some(page) = self.pages.get_mut(&(len / PAGE)) {
                Arc::make_mut(page)[within..].fill(0);
            }
        }
        self.len = len;
    }

    /// Takes over one sector as it is in `from`, as far as the file reaches there.
    fn take_sector(&mut self, from: &Self, sector: u64) {
        let at = sector * SECTOR;
        let len = SECTOR.min(from.len.saturating_sub(at));
        let mut bytes = [0; SECTOR as usize];
        let bytes = &mut bytes[..len as usize];
        if from.read(bytes, at).is_ok() {
            self.write(bytes, at);
        }
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

/// By pieces, each of which is looked at as a whole: that is done many bytes at once.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(SECTOR as usize).all(|piece| piece.iter().fold(0, |all, byte| all | byte) == 0)
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
    fn zeroes_are_read_where_they_were_written_and_nowhere_else() {
        let page = PAGE as usize;
        for (offset, len) in
            [(100, 50), (100, 2 * page), (0, 3 * page), (page, page), (page - 1, 2), (3 * page, 2 * page)]
        {
            let mut content = Content::default();
            content.write_all_at(&vec![7; 4 * page], 0);
            content.write_all_at(&vec![0; len], offset as u64);
            let mut expected = vec![7; (4 * page).max(offset + len)];
            expected[offset..offset + len].fill(0);
            assert_eq!(read(&content, 0, expected.len()), expected, "{len} at {offset}");
            assert!(content.read_exact_at(&mut [0], expected.len() as u64).is_err());
        }
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

    #[test]
    fn a_partial_loss_keeps_any_writes_in_whole_sectors_as_they_stood_at_some_moment() {
        let sector = SECTOR as usize;
        let (mut out_of_order, mut torn) = (0, 0);
        for seed in 0..2_000 {
            let mut content = Content::default();
            content.write_all_at(&[1; 4 * SECTOR as usize], 0);
            content.keep(content.unsynced());
            content.write_all_at(&vec![2; 3 * sector], 0);
            // Into the middle of sectors that the write before has touched.
            content.write_all_at(&vec![3; sector], SECTOR / 2);
            content.write_all_at(&vec![4; sector], 3 * SECTOR);
            content.lose_some(&mut Dice::new(seed));
            assert_eq!(content.len(), 4 * SECTOR);
            let found: Vec<Vec<u8>> = (0..4).map(|nth| read(&content, nth * SECTOR, sector)).collect();
            let all = |byte: u8| vec![byte; sector];
            let halves = |first: u8, second: u8| [vec![first; sector / 2], vec![second; sector / 2]].concat();
            assert!([all(1), all(2), halves(2, 3)].contains(&found[0]), "seed {seed}: torn within a sector");
            assert!([all(1), all(2), halves(3, 2)].contains(&found[1]), "seed {seed}: torn within a sector");
            assert!([all(1), all(2)].contains(&found[2]) && [all(1), all(4)].contains(&found[3]), "seed {seed}");
            out_of_order += u32::from(found[..3].iter().all(|sector| *sector == all(1)) && found[3] == all(4));
            torn += u32::from((found[0] == all(1)) != (found[2] == all(1)));
        }
        assert!(out_of_order > 20 && torn > 20, "{out_of_order} times out of order, {torn} torn");
    }

    #[test]
    fn a_flipped_bit_is_read_and_stays() {
        let mut content = Content::default();
        content.write_all_at(b"ab", 600);
        content.keep(content.unsynced());
        assert_eq!(content.used_sectors(), [1]);
        content.flip(601, 0);
        assert_eq!(read(&content, 600, 2), b"ac");
        content.lose_unsynced();
        assert_eq!(read(&content, 600, 2), b"ac");
    }
}
