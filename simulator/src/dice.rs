//! The seeded randomness that everything simulated draws from.
//!
//! SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): small, and equal on all
//! machines. Each part of the world has dice of its own, so that a draw more in one does not shift the others.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A stream of random numbers, fixed by its seed.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The dice of one part of the world: the same seed, name and number give the same dice.
    #[must_use]
    pub fn of(seed: u64, part: &str, number: u64) -> Self {
        let named = xxh3_64_with_seed(part.as_bytes(), seed);
        Self::new(xxh3_64_with_seed(&number.to_le_bytes(), named))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 for a bound of 0. Its slight bias towards small numbers does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Fills a buffer.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_parts_differ() {
        let draw = |mut dice: Dice| [dice.next_u64(), dice.next_u64(), dice.below(7)];
        assert_eq!(draw(Dice::of(7, "disk", 1)), draw(Dice::of(7, "disk", 1)));
        assert_ne!(draw(Dice::of(7, "disk", 1)), draw(Dice::of(7, "disk", 2)));
        assert_ne!(draw(Dice::of(7, "disk", 1)), draw(Dice::of(7, "network", 1)));
        assert_ne!(draw(Dice::of(7, "disk", 1)), draw(Dice::of(8, "disk", 1)));
    }
}
