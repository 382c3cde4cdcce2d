//! Faults of the processes: they end, and come back after a while.

use super::{Fault, Field};
use crate::{Crash, HostId};

fn power(field: &mut Field<'_>) -> Crash {
    if field.dice.below(4) == 0 { Crash::PowerLoss } else { Crash::PartialLoss }
}

fn any(field: &mut Field<'_>) -> Crash {
    if field.dice.below(3) == 0 { Crash::Kill } else { power(field) }
}

/// A process is killed.
pub(super) fn kill(field: &mut Field<'_>, node: HostId) {
    field.cluster.crash(field.simulation, node, Crash::Kill);
}

/// A process is told to stop, as by SIGTERM: it hands over what it leads.
pub(super) fn stop(field: &mut Field<'_>, node: HostId) {
    field.cluster.stop(field.simulation, node);
}

/// A machine loses its power.
pub(super) fn lose_power(field: &mut Field<'_>, node: HostId) {
    let crash = power(field);
    field.cluster.crash(field.simulation, node, crash);
}

/// A machine goes down in some operation on its drive.
pub(super) fn crash_in_operation(field: &mut Field<'_>, node: HostId) {
    let crash = any(field);
    let nth = field.dice.between(1, 100);
    field.simulation.drive(node).crash_in(nth, crash);
}

/// A process crashes at some await.
pub(super) fn crash_in_poll(field: &mut Field<'_>, node: HostId) {
    let crash = any(field);
    let nth = field.dice.below(2_000);
    field.simulation.crash_in_poll(node, nth, crash);
}

/// A node goes down, and again and again while it comes back.
#[derive(Debug, Default)]
pub(super) struct InRecovery {
    node: Option<HostId>,
    was_running: bool,
}

impl Fault for InRecovery {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        self.node = field.running_node();
        let Some(node) = self.node else { return false };
        let crash = any(field);
        field.cluster.crash(field.simulation, node, crash);
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let Some(node) = self.node else { return };
        let is_running = field.simulation.is_running(node);
        if is_running && !self.was_running {
            let crash = any(field);
            let nth = field.dice.between(1, 80);
            field.simulation.drive(node).crash_in(nth, crash);
        }
        self.was_running = is_running;
    }
}

/// The processes of all nodes end at once.
#[derive(Debug)]
pub(super) struct AllKilled;

impl Fault for AllKilled {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        for node in field.cluster.nodes() {
            field.cluster.crash(field.simulation, node, Crash::Kill);
        }
        true
    }
}

/// All machines lose their power at once.
#[derive(Debug)]
pub(super) struct AllWithoutPower;

impl Fault for AllWithoutPower {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        cut_power(field);
        true
    }
}

/// Cuts the power of all machines.
pub(super) fn cut_power(field: &mut Field<'_>) {
    for node in field.cluster.nodes() {
        lose_power(field, node);
    }
}
