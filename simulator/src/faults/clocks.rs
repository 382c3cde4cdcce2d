//! Faults of the clocks.

use std::time::Duration;

use super::{Fault, Field};
use crate::HostId;

/// A node's wall clock is off for a while.
#[derive(Debug, Default)]
pub(super) struct Jump(Option<HostId>);

impl Fault for Jump {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let most = [200, 2_000, 120_000][field.dice.below(3) as usize];
        let by = field.dice.between(1, most) as i64;
        field.simulation.set_wall_offset_ms(node, if field.dice.below(2) == 0 { by } else { -by });
        self.0 = Some(node);
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            field.simulation.set_wall_offset_ms(node, 0);
        }
    }
}

/// A node's wall clock goes to and fro.
#[derive(Debug, Default)]
pub(super) struct Strobe(Option<HostId>);

impl Fault for Strobe {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        self.0 = Some(field.node());
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            let offset = field.dice.below(4_000) as i64 - 2_000;
            field.simulation.set_wall_offset_ms(node, offset);
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            field.simulation.set_wall_offset_ms(node, 0);
        }
    }
}

/// A node's clock runs at half or twice the rate.
#[derive(Debug, Default)]
pub(super) struct Rate(Option<HostId>);

impl Fault for Rate {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let permille = if field.dice.below(2) == 0 { 500 } else { 2_000 };
        field.simulation.set_clock_rate(node, permille);
        self.0 = Some(node);
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        if let Some(node) = self.0 {
            field.simulation.set_clock_rate(node, 1_000);
        }
    }
}

/// A node's process gets no turn, often for longer than any lease.
#[derive(Debug)]
pub(super) struct Pause;

impl Fault for Pause {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(node) = field.running_node() else { return false };
        let time = Duration::from_millis(field.dice.between(100, 6_000));
        field.simulation.pause(node, time);
        true
    }
}
