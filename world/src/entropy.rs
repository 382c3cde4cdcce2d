//! Randomness.

use std::fmt::Debug;

/// A source of random bytes. The simulator's is seeded.
pub trait Entropy: Send + Sync + Debug {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// Eight random bytes as a number.
    fn next_u64(&self) -> u64 {
        let mut buffer = [0; 8];
        self.fill(&mut buffer);
        u64::from_le_bytes(buffer)
    }

    /// Sixteen random bytes as a number.
    fn next_u128(&self) -> u128 {
        let mut buffer = [0; 16];
        self.fill(&mut buffer);
        u128::from_le_bytes(buffer)
    }
}

/// The operating system's randomness.
#[derive(Debug)]
pub struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        // A system without randomness cannot mint ids that are unique: there is no way to go on.
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}
