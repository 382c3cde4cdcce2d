//! From a key's hash to an ordinal: an open-addressed table without a random seed.
//!
//! It is only asked for one key at a time and never walked, so its order can decide nothing. It is split into parts that
//! grow one by one, so that no single insert pays for moving millions of entries. Keys lie in the records; the asker
//! compares them.

const PARTS: usize = 256;
const EMPTY: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u64,
    ordinal: u64,
}

#[derive(Clone, Debug, Default)]
struct Part {
    /// A power of two of places, or none.
    places: Vec<Place>,
    used: usize,
}

/// The table.
#[derive(Clone, Debug)]
pub(crate) struct HashIndex {
    parts: Vec<Part>,
}

impl Part {
    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(8);
        let old = std::mem::replace(&mut self.places, vec![Place { hash: 0, ordinal: EMPTY }; size]);
        for place in old {
            if place.ordinal != EMPTY {
                self.put(place);
            }
        }
    }

    fn put(&mut self, new: Place) {
        let mask = self.places.len() - 1;
        let mut at = new.hash as usize & mask;
        while self.places[at].ordinal != EMPTY {
            at = (at + 1) & mask;
        }
        self.places[at] = new;
    }

    fn find(&self, hash: u64, mut is_it: impl FnMut(u64) -> bool) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let place = self.places[at];
            if place.ordinal == EMPTY {
                return None;
            }
            if place.hash == hash && is_it(place.ordinal) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// Empties the place and moves back what was pushed past it, so that no search ends too early.
    fn remove_at(&mut self, mut hole: usize) {
        let mask = self.places.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let place = self.places[at];
            if place.ordinal == EMPTY {
                break;
            }
            let home = place.hash as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.places[hole] = place;
                hole = at;
            }
        }
        self.places[hole].ordinal = EMPTY;
        self.used -= 1;
    }
}

impl HashIndex {
    pub(crate) fn new() -> Self {
        Self { parts: vec![Part::default(); PARTS] }
    }

    const fn part_of(hash: u64) -> usize {
        (hash >> 56) as usize
    }

    /// The ordinal under that hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u64, is_it: impl FnMut(u64) -> bool) -> Option<u64> {
        let part = &self.parts[Self::part_of(hash)];
        part.find(hash, is_it).map(|at| part.places[at].ordinal)
    }

    /// Adds an ordinal that is not there yet.
    pub(crate) fn insert(&mut self, hash: u64, ordinal: u64) {
        let part = &mut self.parts[Self::part_of(hash)];
        if (part.used + 1) * 8 > part.places.len() * 7 {
            part.grow();
        }
        part.used += 1;
        part.put(Place { hash, ordinal });
    }

    /// Takes an ordinal out.
    pub(crate) fn remove(&mut self, hash: u64, ordinal: u64) {
        let part = &mut self.parts[Self::part_of(hash)];
        let found = part.find(hash, |other| other == ordinal);
        part.remove_at(found.expect("what is removed was inserted"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_index_agrees_with_a_map(steps in prop::collection::vec((any::<bool>(), 0_u64..40), 1..400)) {
            let mut index = HashIndex::new();
            let mut map = BTreeMap::new();
            for (insert, key) in steps {
                // Few homes, so that places collide and wrap around.
                let hash = (key % 5) * 7;
                if insert && !map.contains_key(&key) {
                    index.insert(hash, key);
                    map.insert(key, hash);
                } else if let Some(hash) = map.remove(&key) {
                    index.remove(hash, key);
                }
                for key in 0..40 {
                    let found = index.find((key % 5) * 7, |ordinal| ordinal == key);
                    prop_assert_eq!(found, map.contains_key(&key).then_some(key));
                }
            }
        }
    }
}
