//! A Merkle tree over a shard's events, in the shape of RFC 6962 (section 2.1) with BLAKE3 in place of SHA-256: whoever keeps a root
//! can later be shown that an event is among those it was made of, and how many there were.
//!
//! The leaf of an event is `BLAKE3(0x00 ‖ its hash)`, a node `BLAKE3(0x01 ‖ left ‖ right)`; the root of no events is `BLAKE3()`.
//! A tree that grows is kept as its [`Frontier`]: the roots of its complete subtrees, one for each bit of its size, from which its
//! root follows and to which leaves are added at a cost that does not grow.

use serde::{Deserialize, Serialize};

use crate::EventHash;

/// The most complete subtrees that a tree has: one a bit of its size.
pub const MAX_PEAKS: usize = 64;

fn leaf_of(event: EventHash) -> EventHash {
    hash_all(&[&[0], &event.0])
}

fn node_of(left: EventHash, right: EventHash) -> EventHash {
    hash_all(&[&[1], &left.0, &right.0])
}

fn hash_all(parts: &[&[u8]]) -> EventHash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    EventHash(*hasher.finalize().as_bytes())
}

/// A tree that events are added to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    /// The roots of its complete subtrees, the largest first.
    peaks: Vec<EventHash>,
}

impl Frontier {
    /// The tree of `size` events with these complete subtrees; `None` where a tree of that size has another number of them.
    #[must_use]
    pub fn of_parts(size: u64, peaks: Vec<EventHash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// False for what no tree can be.
    pub(crate) fn is_sound(&self) -> bool {
        self.peaks.len() == self.size.count_ones() as usize
    }

    /// How many events it has: the sequence of the last one.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[EventHash] {
        &self.peaks
    }

    /// Adds an event.
    pub fn push(&mut self, event: EventHash) {
        let mut node = leaf_of(event);
        // As in counting: each set bit at the end is a subtree that the new one completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_of(left, node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> EventHash {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else { return hash_all(&[]) };
        peaks.fold(last, |right, left| node_of(left, right))
    }

    /// The part of it from `start` on, which must be where one of its complete subtrees begins.
    fn from(&self, start: u64) -> Self {
        let mut at = 0;
        let mut skipped = 0;
        for bit in (0..64).rev().filter(|bit| self.size >> bit & 1 == 1) {
            if at >= start {
                break;
            }
            at += 1 << bit;
            skipped += 1;
        }
        Self { size: self.size - at, peaks: self.peaks[skipped..].to_vec() }
    }
}

/// That an event is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The event's sequence, from 1.
    pub seq: u64,
    /// How many events the tree has.
    pub size: u64,
    /// The roots of the subtrees beside its way to the root, from the leaf up: the audit path of RFC 6962.
    pub path: Vec<EventHash>,
}

impl InclusionProof {
    /// The root of a tree in which an event of that hash has this place (RFC 9162, section 2.1.3.2); `None` where no tree of that
    /// size has such a path.
    #[must_use]
    pub fn root(&self, event: EventHash) -> Option<EventHash> {
        let (mut at, mut last) = (self.seq.checked_sub(1)?, self.size.checked_sub(1)?);
        if at > last {
            return None;
        }
        let mut node = leaf_of(event);
        for &beside in &self.path {
            if last == 0 {
                return None;
            }
            if at & 1 == 1 || at == last {
                node = node_of(beside, node);
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            } else {
                node = node_of(node, beside);
            }
            at >>= 1;
            last >>= 1;
        }
        (last == 0).then_some(node)
    }
}

/// A subtree beside the way from a leaf to the root.
#[derive(Debug)]
struct Beside {
    /// How far below the root.
    depth: usize,
    /// Its first event, from 0.
    from: u64,
    len: u64,
    /// What of it was shown.
    part: Frontier,
}

/// Makes an [`InclusionProof`] of the events of a tree, shown to it one after the other.
#[derive(Debug)]
pub struct Prover {
    seq: u64,
    size: u64,
    /// The subtrees beside the way, in the order of their events.
    beside: Vec<Beside>,
    /// Which of them the next event may be in.
    at: usize,
    /// Events seen.
    seen: u64,
}

impl Prover {
    /// Of the event `seq` in a tree of `size`; `known` is the tree as it was at some time before the event, and the first event to
    /// show is the one after it. `None` where there is no such event, or it is in what is known.
    #[must_use]
    pub fn new(seq: u64, size: u64, known: &Frontier) -> Option<Self> {
        if seq == 0 || seq > size || known.size >= seq {
            return None;
        }
        let (index, mut start, mut end) = (seq - 1, 0, size);
        let mut beside = Vec::new();
        while end - start > 1 {
            // The largest power of two below the number of events splits them.
            let middle = start + (1 << (63 - (end - start - 1).leading_zeros()));
            let (from, until) = if index < middle { (middle, end) } else { (start, middle) };
            let part = if until <= known.size {
                // Complete, and since the event comes after all that is known one of its subtrees.
                known.subtree(from, until - from)?
            } else if from < known.size {
                known.from(from)
            } else {
                Frontier::default()
            };
            beside.push(Beside { depth: beside.len(), from, len: until - from, part });
            if index < middle {
                end = middle;
            } else {
                start = middle;
            }
        }
        beside.sort_by_key(|subtree| subtree.from);
        Some(Self { seq, size, beside, at: 0, seen: known.size })
    }

    /// The sequence of the event to show next; `None`: all have been.
    #[must_use]
    pub const fn wants(&self) -> Option<u64> {
        if self.seen < self.size { Some(self.seen + 1) } else { None }
    }

    /// Shows the next event.
    pub fn show(&mut self, event: EventHash) {
        let index = self.seen;
        self.seen += 1;
        while self.beside.get(self.at).is_some_and(|subtree| subtree.from + subtree.len <= index) {
            self.at += 1;
        }
        if let Some(subtree) = self.beside.get_mut(self.at)
            && subtree.from <= index
        {
            subtree.part.push(event);
        }
    }

    /// The proof; `None` before all events were shown.
    #[must_use]
    pub fn proof(mut self) -> Option<InclusionProof> {
        if self.seen < self.size || self.beside.iter().any(|subtree| subtree.part.size != subtree.len) {
            return None;
        }
        self.beside.sort_by_key(|subtree| std::cmp::Reverse(subtree.depth));
        let path = self.beside.iter().map(|subtree| subtree.part.root()).collect();
        Some(InclusionProof { seq: self.seq, size: self.size, path })
    }
}

impl Frontier {
    /// The complete subtree of `len` events that begins with the event at `start`, if it is one of these.
    fn subtree(&self, start: u64, len: u64) -> Option<Self> {
        let mut at = 0;
        let mut peaks = self.peaks.iter();
        for bit in (0..64).rev().filter(|bit| self.size >> bit & 1 == 1) {
            let peak = peaks.next()?;
            if at == start && 1 << bit == len {
                return Some(Self { size: len, peaks: vec![*peak] });
            }
            at += 1 << bit;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> EventHash {
        hash_all(&[&number.to_le_bytes()])
    }

    fn frontier(size: u64) -> Frontier {
        let mut frontier = Frontier::default();
        (1..=size).for_each(|seq| frontier.push(event(seq)));
        frontier
    }

    /// The definition of RFC 6962, word for word: slow, and independent of all that is above.
    fn root_by_definition(events: &[EventHash]) -> EventHash {
        match events {
            [] => EventHash(*blake3::hash(b"").as_bytes()),
            [only] => leaf_of(*only),
            many => {
                let (left, right) = many.split_at(split_of(many.len()));
                node_of(root_by_definition(left), root_by_definition(right))
            }
        }
    }

    fn path_by_definition(at: usize, events: &[EventHash]) -> Vec<EventHash> {
        if events.len() <= 1 {
            return Vec::new();
        }
        let (left, right) = events.split_at(split_of(events.len()));
        let (mut path, beside) = if at < left.len() {
            (path_by_definition(at, left), right)
        } else {
            (path_by_definition(at - left.len(), right), left)
        };
        path.push(root_by_definition(beside));
        path
    }

    fn split_of(len: usize) -> usize {
        let mut power = 1;
        while power * 2 < len {
            power *= 2;
        }
        power
    }

    #[test]
    fn a_tree_that_grows_has_the_root_of_the_definition_at_every_size() {
        let events: Vec<EventHash> = (1..=70).map(event).collect();
        let mut grown = Frontier::default();
        for size in 0..=events.len() {
            assert_eq!(grown.root(), root_by_definition(&events[..size]), "{size} events");
            assert_eq!(Frontier::of_parts(grown.size(), grown.peaks().to_vec()), Some(grown.clone()));
            events.get(size).into_iter().for_each(|event| grown.push(*event));
        }
        assert_eq!(Frontier::of_parts(3, vec![event(1)]), None);
    }

    #[test]
    fn every_event_is_proved_from_whatever_is_known_before_it() {
        for size in 1..=40 {
            let events: Vec<EventHash> = (1..=size).map(event).collect();
            let root = frontier(size).root();
            for seq in 1..=size {
                let path = path_by_definition(seq as usize - 1, &events);
                for known in 0..seq {
                    let mut prover =
                        Prover::new(seq, size, &frontier(known)).expect("the event comes after what is known");
                    while let Some(next) = prover.wants() {
                        prover.show(event(next));
                    }
                    let proof = prover.proof().expect("all were shown");
                    assert_eq!(proof.path, path, "event {seq} of {size}, {known} known");
                    assert_eq!(proof.root(event(seq)), Some(root), "event {seq} of {size}");
                }
            }
        }
    }

    #[test]
    fn a_proof_of_another_event_place_size_or_path_leads_to_another_root_or_none() {
        let root = Some(frontier(21).root());
        let mut prover = Prover::new(6, 21, &frontier(3)).expect("it comes after");
        while let Some(next) = prover.wants() {
            prover.show(event(next));
        }
        let proof = prover.proof().expect("all were shown");
        assert_eq!(proof.root(event(6)), root);
        assert_ne!(proof.root(event(7)), root);
        for seq in (0..=22).filter(|seq| *seq != 6) {
            assert_ne!(InclusionProof { seq, ..proof.clone() }.root(event(6)), root, "place {seq}");
        }
        for at in 0..proof.path.len() {
            let mut other = proof.clone();
            other.path[at].0[5] ^= 1;
            assert_ne!(other.root(event(6)), root);
            other.path.remove(at);
            assert_ne!(other.root(event(6)), root);
        }
        let longer = InclusionProof { path: [proof.path.as_slice(), &[event(1)]].concat(), ..proof };
        assert_eq!(longer.root(event(6)), None);
    }

    #[test]
    fn there_is_no_proof_of_what_is_not_there_or_not_shown() {
        assert!(Prover::new(0, 5, &Frontier::default()).is_none());
        assert!(Prover::new(6, 5, &Frontier::default()).is_none());
        assert!(Prover::new(3, 5, &frontier(3)).is_none(), "it is in what is known");
        assert!(Prover::new(3, 5, &frontier(2)).and_then(Prover::proof).is_none());
    }
}
