//! What a lottery is held to, and the order that its seed gives.

use std::collections::BTreeSet;

use super::Room;
use crate::history::{Id, seed_of};

/// Where a customer stands in the order that a seed gives: BLAKE3 of the seed and the 16 bytes of the customer's hash.
pub(super) fn place(seed: &[u8], customer: Id) -> [u8; 32] {
    let said: Vec<u8> = seed.iter().copied().chain(customer.0.to_be_bytes()).collect();
    *blake3::hash(&said).as_bytes()
}

/// What is told of a seed before it is.
fn commitment(number: u64) -> Vec<u8> {
    blake3::hash(&seed_of(number)).as_bytes().to_vec()
}

impl Room<'_> {
    pub(super) fn lottery_breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let held_to: BTreeSet<u64> =
            self.commitments.iter().filter(|(_, told)| told.done().is_some()).map(|(seed, _)| *seed).collect();
        let may_be_held_to: BTreeSet<u64> =
            self.commitments.iter().filter(|(_, told)| told.may_be_done()).map(|(seed, _)| *seed).collect();
        if held_to.len() > 1 {
            breaches.push(format!("it is held to seeds {held_to:?}"));
        }
        let possible = if held_to.is_empty() { &may_be_held_to } else { &held_to };
        for (seed, told) in &self.draws {
            let is_possible = possible.contains(seed)
                && self
                    .commitments
                    .iter()
                    .any(|(of, by)| of == seed && by.may_be_done() && by.call_us <= told.return_us);
            if told.done().is_some() && !is_possible {
                breaches.push(format!("it is drawn with seed {seed}, and held to {possible:?}"));
            }
            let is_refused = told.refused().is_some_and(|refused| refused.reason == "DRAW_SEED_MISMATCH");
            if is_refused && may_be_held_to.len() == 1 && held_to.contains(seed) {
                breaches.push(format!("seed {seed} is refused, and it is held to that"));
            }
        }
        if self.by_lot {
            breaches.extend(self.list_breaches());
        }
        for (call_us, _, seen) in &self.reads {
            let known: Vec<Vec<u8>> = possible.iter().map(|seed| commitment(*seed)).collect();
            if !seen.commitment.is_empty() && !known.contains(&seen.commitment) {
                breaches.push(format!("at {call_us} µs it is held to what nobody held it to"));
            }
            if !seen.seed.is_empty() && blake3::hash(&seen.seed).as_bytes().as_slice() != seen.commitment {
                breaches.push(format!("at {call_us} µs its seed is not the one that it is held to"));
            }
        }
        breaches
    }

    /// The list opens when the lottery is held to a seed, and is closed when that is told.
    fn list_breaches(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let is_open_by = |at_us| self.commitments.iter().any(|(_, by)| by.may_be_done() && by.call_us <= at_us);
        let was_open_by = |at_us| self.commitments.iter().any(|(_, by)| by.done().is_some() && by.is_before(at_us));
        let is_drawn_by = |at_us| self.draws.iter().any(|(_, by)| by.may_be_done() && by.call_us <= at_us);
        let closed_us = self.draws.iter().filter(|(_, by)| by.done().is_some()).map(|(_, by)| by.return_us).min();
        for (customer, told) in &self.joins {
            let was_there = self
                .joins
                .iter()
                .any(|(of, by)| of == customer && by.may_be_done() && closed_us.is_none_or(|at| by.call_us < at));
            match (told.done(), told.refused()) {
                (Some(_), _) if !is_open_by(told.return_us) => {
                    breaches.push(format!("customer {customer} has a ticket of a lottery that is held to nothing"));
                }
                (Some(_), _) if !was_there => {
                    breaches.push(format!("customer {customer} has come to a list that was closed"));
                }
                (_, Some(refused)) if refused.reason == "QUEUE_CLOSED" && !is_drawn_by(told.return_us) => {
                    breaches.push(format!("customer {customer} was refused, and nobody has drawn it"));
                }
                (_, Some(refused)) if refused.reason == "DRAW_NOT_COMMITTED" && was_open_by(told.call_us) => {
                    breaches.push(format!("customer {customer} was refused by a list that was open"));
                }
                _ => {}
            }
        }
        breaches
    }
}
