//! Members are replaced while everything else goes wrong.
//!
//! What is begun is known to the cluster, not to the fault: an operator who is not done when the fault ends gives up, and
//! the next one, or the operator after the storm, takes it up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Fault, Field, Harm};
use crate::run::cluster::Replacement;
use crate::run::{REPLACER, operator};
use crate::{Crash, HostId};

/// A fresh node takes the place of a member.
#[derive(Debug, Default)]
pub(super) struct Replace {
    replacement: Option<Replacement>,
    is_done: Arc<AtomicBool>,
    /// The links of the member that are cut meanwhile.
    cut: Vec<(HostId, HostId)>,
}

impl Fault for Replace {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let begun = field.cluster.replacement();
        let old = begun.map_or_else(|| field.member(), |replacement| replacement.old);
        let Some(replacement) = begun.or_else(|| field.cluster.begin_replacement(field.simulation, old)) else {
            return false;
        };
        self.replacement = Some(replacement);
        match field.dice.below(4) {
            0 if field.spoiled.allow(old, field.cluster.size(), Harm::MayLose) => {
                field.cluster.lose(field.simulation, old)
            }
            1 => field.cluster.crash(field.simulation, old, Crash::Kill),
            2 => {
                let others = field.cluster.nodes().into_iter().filter(|node| *node != old);
                self.cut = others.map(|other| (old, other)).collect();
                for (one, other) in &self.cut {
                    field.simulation.net().cut(*one, *other);
                }
            }
            // It is well.
            _ => {}
        }
        let is_done = self.is_done.clone();
        field.simulation.start(REPLACER, |world| operator::replace(world, replacement, is_done));
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        if self.is_done.load(Ordering::Relaxed)
            && let Some(Replacement { old, new }) = self.replacement.take()
        {
            field.cluster.crash(field.simulation, old, Crash::Kill);
            field.cluster.replaced(old, new);
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        for (one, other) in &self.cut {
            field.simulation.net().heal(*one, *other);
        }
        field.simulation.crash(REPLACER, Crash::Kill);
    }
}
