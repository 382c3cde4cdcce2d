//! The reservations of one state of the model. A search keeps very many states that differ in few reservations: so copies
//! share what is equal, and what is the same for a whole piece (its hash, whether anything in it is held) is found once.

use std::cell::OnceCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use xxhash_rust::xxh3::Xxh3;

use super::model::Hold;
use crate::history::Phase;

/// Large enough that a copy is short, small enough that a change copies little.
const PIECE: usize = 16;

/// Reservations by number, some of which are not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SharedHolds(Vec<Rc<Piece>>);

#[derive(Clone, Debug, Default)]
struct Piece {
    holds: [Option<Hold>; PIECE],
    hash: OnceCell<u64>,
    is_any_held: OnceCell<bool>,
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        self.holds == other.holds
    }
}

impl Eq for Piece {}

impl Piece {
    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let mut hasher = Xxh3::new();
            self.holds.hash(&mut hasher);
            hasher.digest()
        })
    }

    fn is_any_held(&self) -> bool {
        *self.is_any_held.get_or_init(|| self.holds.iter().flatten().any(|hold| hold.phase == Phase::Held))
    }
}

impl SharedHolds {
    /// Room for so many, none of which is there.
    pub(super) fn new(count: usize) -> Self {
        Self(vec![Rc::default(); count.div_ceil(PIECE)])
    }

    pub(super) fn get(&self, at: usize) -> Option<&Hold> {
        self.0[at / PIECE].holds[at % PIECE].as_ref()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Hold> {
        self.place(at).as_mut()
    }

    pub(super) fn put(&mut self, at: usize, hold: Hold) {
        *self.place(at) = Some(hold);
    }

    fn place(&mut self, at: usize) -> &mut Option<Hold> {
        let piece = Rc::make_mut(&mut self.0[at / PIECE]);
        (piece.hash, piece.is_any_held) = (OnceCell::new(), OnceCell::new());
        &mut piece.holds[at % PIECE]
    }

    /// Those that are held, with their numbers, in order.
    pub(super) fn held(&self) -> impl Iterator<Item = (usize, &Hold)> {
        let pieces = self.0.iter().enumerate().filter(|(_, piece)| piece.is_any_held());
        pieces.flat_map(|(number, piece)| {
            let there = piece.holds.iter().enumerate().filter_map(|(nth, hold)| Some((nth, hold.as_ref()?)));
            let held = there.filter(|(_, hold)| hold.phase == Phase::Held);
            held.map(move |(nth, hold)| (number * PIECE + nth, hold))
        })
    }
}

impl Hash for SharedHolds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for piece in &self.0 {
            state.write_u64(piece.hash());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(holds: &SharedHolds) -> u64 {
        let mut hasher = Xxh3::new();
        holds.hash(&mut hasher);
        hasher.digest()
    }

    #[test]
    fn what_was_found_of_a_piece_is_found_anew_after_a_change_and_a_copy_keeps_what_it_was() {
        let mut holds = SharedHolds::new(40);
        holds.put(17, Hold::held(5));
        let (before, copy) = (hash(&holds), holds.clone());
        assert_eq!(holds.held().map(|(at, _)| at).collect::<Vec<_>>(), [17]);
        holds.get_mut(17).unwrap().phase = Phase::Released;
        assert_eq!(holds.held().count(), 0);
        assert_ne!(hash(&holds), before);
        assert_eq!((copy.held().count(), hash(&copy)), (1, before));
        holds.get_mut(17).unwrap().phase = Phase::Held;
        assert_eq!((&holds, hash(&holds)), (&copy, before));
        holds.put(39, Hold::held(1));
        assert_eq!(holds.held().map(|(at, _)| at).collect::<Vec<_>>(), [17, 39]);
        assert!(holds.get(38).is_none());
    }
}
