//! The randomness of a simulated process: seeded dice.

use std::sync::Mutex;

use holdfast_world::Entropy;

use crate::Dice;

#[derive(Debug)]
pub(super) struct SimEntropy {
    dice: Mutex<Dice>,
}

impl SimEntropy {
    pub(super) fn new(dice: Dice) -> Self {
        Self { dice: Mutex::new(dice) }
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.dice.lock().expect("no panic happens while dice are locked").fill(buffer);
    }
}
