//! Nodes of two versions: one is stopped, and comes back as another version.

use super::{Fault, Field, processes};
use crate::Crash;

/// The next node of a rollout is started anew, as an operator or a crash does.
#[derive(Debug)]
pub(super) struct RollOn;

impl Fault for RollOn {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = field.cluster.roll_on(field.simulation, field.dice) else { return false };
        match field.dice.below(3) {
            0 => processes::lose_power(field, node),
            1 => field.cluster.crash(field.simulation, node, Crash::Kill),
            _ => processes::stop(field, node),
        }
        true
    }
}
