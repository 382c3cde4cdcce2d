//! The two shapes of most faults: what befalls one node and is over at once, and what is in force on one node for a while.

use super::{Fault, Field};
use crate::HostId;

type OnNode = fn(&mut Field<'_>, HostId);

/// Befalls one node that runs, and needs no end.
pub(super) struct Strike(pub(super) OnNode);

impl Fault for Strike {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = field.running_node() else { return false };
        (self.0)(field, node);
        true
    }
}

/// Is in force on one node, whether it runs or not.
pub(super) struct Spell {
    node: Option<HostId>,
    begin: OnNode,
    tick: OnNode,
    end: OnNode,
}

impl Spell {
    /// Begins, and is as it began until it ends.
    pub(super) fn new(begin: OnNode, end: OnNode) -> Self {
        Self { node: None, begin, tick: nothing, end }
    }

    /// Waits for its moment, and needs no end: whatever it hits clears it.
    pub(super) fn armed(begin: OnNode) -> Self {
        Self::new(begin, nothing)
    }

    /// Is another at every tick until it ends.
    pub(super) fn of_ticks(tick: OnNode, end: OnNode) -> Self {
        Self { node: None, begin: nothing, tick, end }
    }
}

impl Fault for Spell {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        (self.begin)(field, node);
        self.node = Some(node);
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.node {
            (self.tick)(field, node);
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.node {
            (self.end)(field, node);
        }
    }
}

fn nothing(_: &mut Field<'_>, _: HostId) {}
