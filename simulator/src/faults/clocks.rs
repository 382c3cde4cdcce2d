//! Faults of the clocks.

use std::time::Duration;

use super::Field;
use crate::HostId;

/// A node's wall clock is off.
pub(super) fn jump(field: &mut Field<'_>, node: HostId) {
    let most = [200, 2_000, 120_000][field.dice.below(3) as usize];
    let by = field.dice.between(1, most) as i64;
    field.simulation.set_wall_offset_ms(node, if field.dice.below(2) == 0 { by } else { -by });
}

/// A node's wall clock is off by another time than a moment ago.
pub(super) fn sway(field: &mut Field<'_>, node: HostId) {
    let offset = field.dice.below(4_000) as i64 - 2_000;
    field.simulation.set_wall_offset_ms(node, offset);
}

/// A node's wall clock is right again.
pub(super) fn set_right(field: &mut Field<'_>, node: HostId) {
    field.simulation.set_wall_offset_ms(node, 0);
}

/// A node's clock runs at half or twice the rate.
pub(super) fn run_wrong(field: &mut Field<'_>, node: HostId) {
    let permille = if field.dice.below(2) == 0 { 500 } else { 2_000 };
    field.simulation.set_clock_rate(node, permille);
}

/// A node's clock runs as it should.
pub(super) fn run_right(field: &mut Field<'_>, node: HostId) {
    field.simulation.set_clock_rate(node, 1_000);
}

/// A node's process gets no turn, often for longer than any lease.
pub(super) fn pause(field: &mut Field<'_>, node: HostId) {
    let time = Duration::from_millis(field.dice.between(100, 6_000));
    field.simulation.pause(node, time);
}
