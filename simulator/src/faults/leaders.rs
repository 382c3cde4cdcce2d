//! Leaders change again and again: since somebody asks them to hand over, or since something befalls whoever leads.

use std::time::Duration;

use super::{Fault, Field, pick};
use crate::run::{CONDUCTOR, operator};
use crate::{Crash, HostId};

/// An operator asks one node after another to hand over, every few hundred milliseconds.
#[derive(Debug)]
pub(super) struct HandOver;

impl Fault for HandOver {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let nodes = field.cluster.hosts().iter().map(|host| host.0).collect();
        field.simulation.start(CONDUCTOR, |world| operator::hand_over(world, nodes));
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        field.simulation.crash(CONDUCTOR, Crash::Kill);
    }
}

/// Whichever node leads a group is paused or cut off for a moment, and then the next one.
#[derive(Debug, Default)]
pub(super) struct Struck {
    next: Duration,
    cut: Vec<(HostId, HostId)>,
}

impl Struck {
    fn heal(&mut self, field: &Field<'_>) {
        for (from, to) in self.cut.drain(..) {
            field.simulation.net().heal(from, to);
        }
    }
}

impl Fault for Struck {
    fn begin(&mut self, _field: &mut Field<'_>) -> bool {
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let now = field.simulation.now();
        if now < self.next {
            return;
        }
        self.heal(field);
        let time = Duration::from_millis(field.dice.between(200, 2_500));
        self.next = now + time;
        let leaders: Vec<HostId> = field.cluster.hosts().iter().copied().filter(|host| leads(field, *host)).collect();
        if leaders.is_empty() {
            return;
        }
        let leader = pick(field.dice, &leaders);
        if field.dice.below(2) == 0 {
            field.simulation.pause(leader, time);
            return;
        }
        let is_one_way = field.dice.below(2) == 0;
        for other in field.cluster.nodes().into_iter().filter(|other| *other != leader) {
            field.simulation.net().cut_way(leader, other);
            if !is_one_way {
                field.simulation.net().cut_way(other, leader);
            }
            self.cut.push((leader, other));
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        self.heal(field);
    }
}

fn leads(field: &Field<'_>, host: HostId) -> bool {
    field.simulation.is_running(host) && !field.cluster.groups_led_by(host).is_empty()
}
