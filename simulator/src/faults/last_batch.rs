//! What lies in the batch that a node has written to its log last, by what is seen of the node alone: how far its logs reach, and
//! where on its drive something was written last.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Field;
use super::decay::is_segment;
use crate::HostId;
use crate::run::cluster::SHARDS;

/// The groups of the shards.
pub(super) fn shards() -> impl Iterator<Item = u64> {
    1..=u64::from(SHARDS)
}

/// Bytes of a batch's head, at least: with another bit in it nothing says any more that there is a batch.
const HEAD: u64 = 128;
/// A sector of the log, and what of it is contents: behind them stands whose sector it is.
const SECTOR: u64 = 512;
const CONTENTS: u64 = 504;

/// A batch on a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    file: PathBuf,
    offset: u64,
    len: u64,
}

/// Where in a batch something rots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere, but for the head and whose sectors they are.
    Anywhere,
    /// In the last entry.
    LastEntry,
}

impl Batch {
    /// The last one on a node's drive that is durable.
    pub(super) fn last(field: &Field<'_>, node: HostId) -> Option<Self> {
        let newest = field.simulation.drive(node).newest_write(is_segment);
        newest.map(|(file, offset, len)| Self { file, offset, len })
    }

    /// Whether nothing was written between the two.
    fn follows(&self, before: &Self) -> bool {
        self.file == before.file && self.offset == before.offset + before.len
    }

    /// Flips one bit of it, of what is in use: most of a small batch is filled up with zeros, which nobody reads. False: there
    /// is nothing that could rot.
    pub(super) fn rot(&self, field: &mut Field<'_>, node: HostId, place: Place) -> bool {
        let drive = field.simulation.drive(node);
        let used = drive.used_bytes(&self.file, self.offset..self.offset + self.len);
        let contents = contents(&used, self.offset);
        let from = match place {
            Place::Anywhere => 0,
            // The bodies lie behind what is said of them, which is shorter.
            Place::LastEntry => contents.len() - contents.len().div_ceil(4),
        };
        let Some(among) = contents.get(from..).filter(|among| !among.is_empty()) else { return false };
        let at = among[field.dice.below(among.len() as u64) as usize];
        field.simulation.drive(node).flip(&self.file, at, field.dice.below(8) as u8);
        true
    }
}

/// Of the bytes in use those of a batch at `start` that are contents behind its head.
fn contents(used: &[u64], start: u64) -> Vec<u64> {
    used.iter().copied().filter(|at| *at >= start + HEAD && at % SECTOR < CONTENTS).collect()
}

/// Follows what a node writes.
#[derive(Debug, Default)]
pub(super) struct LastBatch {
    /// By group, the last index in the log, and what was the last batch shortly before it was there.
    ends: BTreeMap<u64, (u64, Option<Batch>)>,
    /// The last batch at the two looks before and at the last one: a log may tell a little late how far it reaches.
    seen: [Option<Batch>; 2],
}

impl LastBatch {
    /// A look, at every tick.
    pub(super) fn look(&mut self, field: &Field<'_>, node: HostId) {
        let last = |group| Some((group, field.cluster.reached(node, group)?.last));
        self.note(Batch::last(field, node), shards().filter_map(last));
    }

    fn note(&mut self, batch: Option<Batch>, last: impl Iterator<Item = (u64, u64)>) {
        for (group, last) in last {
            if self.ends.get(&group).is_none_or(|(known, _)| *known != last) {
                self.ends.insert(group, (last, self.seen[0].clone()));
            }
        }
        self.seen = [self.seen[1].take(), batch];
    }

    /// The last batch, if the last entry of a group lies in it; that entry must be known to be durable.
    pub(super) fn with_end_of(&self, group: u64) -> Option<&Batch> {
        let (_, before) = self.ends.get(&group)?;
        let last = self.seen[1].as_ref()?;
        last.follows(before.as_ref()?).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(nth: u64) -> Option<Batch> {
        Some(Batch { file: "1.segment".into(), offset: nth * 4_096, len: 4_096 })
    }

    /// Looks at a log that reaches as far as is told, with the last batch each time.
    fn looked(looks: &[(u64, u64)]) -> LastBatch {
        let mut last_batch = LastBatch::default();
        for (nth, last) in looks {
            last_batch.note(batch(*nth), [(1, *last)].into_iter());
        }
        last_batch
    }

    #[test]
    fn an_entry_that_came_before_the_only_write_since_lies_in_it() {
        let followed = looked(&[(3, 7), (3, 7), (3, 8), (3, 8), (4, 8)]);
        assert_eq!(followed.with_end_of(1), batch(4).as_ref());
        assert_eq!(followed.with_end_of(2), None, "nothing is known of that group");
        // In one turn of its process.
        assert_eq!(looked(&[(3, 7), (3, 7), (4, 8)]).with_end_of(1), batch(4).as_ref());
    }

    #[test]
    fn an_entry_that_is_not_written_or_behind_which_more_was_written_does_not() {
        assert_eq!(looked(&[(3, 7), (3, 7), (3, 8), (3, 8)]).with_end_of(1), None);
        assert_eq!(looked(&[(3, 7), (3, 7), (3, 8), (4, 8), (5, 8)]).with_end_of(1), None);
        assert_eq!(looked(&[(3, 7), (3, 7)]).with_end_of(1), None, "when it came was not seen");
    }

    #[test]
    fn a_batch_at_the_start_of_another_segment_is_not_known_to_be_the_next_one() {
        let mut followed = looked(&[(3, 7), (3, 7), (3, 8)]);
        let elsewhere = Batch { file: "2.segment".into(), offset: 4 * 4_096, len: 4_096 };
        followed.note(Some(elsewhere), [(1, 8)].into_iter());
        assert_eq!(followed.with_end_of(1), None);
    }

    #[test]
    fn what_rots_is_neither_the_head_nor_whose_sector_it_is() {
        let used: Vec<u64> = (8_192..8_192 + 1_024).collect();
        let contents = contents(&used, 8_192);
        assert_eq!((contents.first(), contents.last()), (Some(&(8_192 + 128)), Some(&(8_192 + 512 + 503))));
        assert_eq!(contents.len(), 504 - 128 + 504);
    }
}
