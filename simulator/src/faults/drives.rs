//! Faults of the drives that take nothing of what is on them.

use super::{Fault, Field};
use crate::HostId;
use crate::world::ReadFailure;

/// A sync fails once; later ones would succeed.
#[derive(Debug, Default)]
pub(super) struct FailedSync;

impl Fault for FailedSync {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = field.running_node() else { return false };
        let nth = field.dice.between(1, 20);
        field.simulation.drive(node).fail_sync(nth);
        true
    }
}

/// A read fails or ends early, once; often while the node starts.
#[derive(Debug, Default)]
pub(super) struct FailedRead;

impl Fault for FailedRead {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let failure = if field.dice.below(2) == 0 { ReadFailure::Error } else { ReadFailure::Short };
        let nth = field.dice.between(1, 10);
        field.simulation.drive(node).fail_read(nth, failure);
        if field.dice.below(2) == 0 {
            field.cluster.crash(field.simulation, node, crate::Crash::Kill);
        }
        true
    }
}

/// A drive is full for a while.
#[derive(Debug, Default)]
pub(super) struct Full(Option<HostId>);

impl Fault for Full {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        field.simulation.drive(node).set_full(true);
        self.0 = Some(node);
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            field.simulation.drive(node).set_full(false);
        }
    }
}

/// A drive takes its time for each sync.
#[derive(Debug, Default)]
pub(super) struct Slow(Option<HostId>);

impl Fault for Slow {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let most = field.dice.between(20, 4_000);
        field.simulation.drive(node).set_sync_ms(most / 4, most);
        self.0 = Some(node);
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            field.simulation.drive(node).set_sync_ms(1, 2);
        }
    }
}
