//! Faults of the drives that take nothing of what is on them.

use super::Field;
use crate::world::ReadFailure;
use crate::{Crash, HostId};

/// A sync fails once; later ones would succeed.
pub(super) fn fail_sync(field: &mut Field<'_>, node: HostId) {
    let nth = field.dice.between(1, 20);
    field.simulation.drive(node).fail_sync(nth);
}

/// A read fails or ends early, once; often while the node starts.
pub(super) fn fail_read(field: &mut Field<'_>, node: HostId) {
    let failure = if field.dice.below(2) == 0 { ReadFailure::Error } else { ReadFailure::Short };
    let nth = field.dice.between(1, 10);
    field.simulation.drive(node).fail_read(nth, failure);
    if field.dice.below(2) == 0 {
        field.cluster.crash(field.simulation, node, Crash::Kill);
    }
}

/// A drive is full.
pub(super) fn fill(field: &mut Field<'_>, node: HostId) {
    field.simulation.drive(node).set_full(true);
}

/// A drive has room again.
pub(super) fn make_room(field: &mut Field<'_>, node: HostId) {
    field.simulation.drive(node).set_full(false);
}

/// A drive takes its time for each sync.
pub(super) fn slow_down(field: &mut Field<'_>, node: HostId) {
    let most = field.dice.between(20, 4_000);
    field.simulation.drive(node).set_sync_ms(most / 4, most);
}

/// A drive is as quick as it was.
pub(super) fn speed_up(field: &mut Field<'_>, node: HostId) {
    field.simulation.drive(node).set_sync_ms(1, 2);
}
