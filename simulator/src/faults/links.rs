//! Faults of the network.

use super::{Fault, Field, pick};
use crate::HostId;
use crate::world::{Decay, Weather};

/// Several nodes do not hear each other: apart in two parts, one way only, over a bridge, or in a ring.
#[derive(Debug, Default)]
pub(super) struct Partition(Vec<(HostId, HostId)>);

impl Fault for Partition {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let mut nodes = field.cluster.nodes();
        for at in (1..nodes.len()).rev() {
            nodes.swap(at, field.dice.below(at as u64 + 1) as usize);
        }
        let count = nodes.len();
        let half = field.dice.between(1, count as u64 - 1) as usize;
        let shape = field.dice.below(4);
        for (at, from) in nodes.iter().enumerate() {
            for (other, to) in nodes.iter().enumerate().filter(|(other, _)| *other != at) {
                let is_apart = (at < half) != (other < half);
                let is_cut = match shape {
                    0 => is_apart,
                    1 => is_apart && at < half,
                    // The first node hears both parts.
                    2 => at != 0 && other != 0 && (at <= count / 2) != (other <= count / 2),
                    _ => count > 3 && !matches!(at.abs_diff(other), 1) && at.abs_diff(other) != count - 1,
                };
                if is_cut {
                    self.0.push((*from, *to));
                    field.simulation.net().cut_way(*from, *to);
                }
            }
        }
        !self.0.is_empty()
    }

    fn end(&mut self, field: &mut Field<'_>) {
        for (from, to) in &self.0 {
            field.simulation.net().heal(*from, *to);
        }
    }
}

/// Bad weather on the links of one host.
#[derive(Debug)]
pub(super) struct Gale {
    weather: Weather,
    ways: Vec<(HostId, HostId)>,
    is_of_clients: bool,
}

impl Gale {
    fn of(weather: Weather) -> Self {
        Self { is_of_clients: weather.lost_answer_ppm > 0, weather, ways: Vec::new() }
    }

    pub(super) fn late() -> Self {
        Self::of(Weather { late_ppm: 200_000, late_ms: 400, ..Weather::default() })
    }

    pub(super) fn stalls() -> Self {
        Self::of(Weather { stalls_ppm: 20_000, stall_ms: 3_000, ..Weather::default() })
    }

    pub(super) fn lost_answers() -> Self {
        Self::of(Weather { lost_answer_ppm: 200_000, ..Weather::default() })
    }
}

impl Fault for Gale {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let hosts: Vec<HostId> = field.cluster.nodes().iter().chain(field.clients).copied().collect();
        for other in hosts.into_iter().filter(|other| *other != node) {
            self.ways.push((node, other));
            if !self.is_of_clients {
                self.ways.push((other, node));
            }
        }
        for (from, to) in &self.ways {
            field.simulation.net().set_weather(*from, *to, self.weather);
        }
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        for (from, to) in &self.ways {
            field.simulation.net().set_weather(*from, *to, Weather::default());
        }
    }
}

/// The connections between two hosts break.
#[derive(Debug)]
pub(super) struct Break;

impl Fault for Break {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let node = field.node();
        let hosts: Vec<HostId> =
            field.cluster.nodes().iter().chain(field.clients).copied().filter(|host| *host != node).collect();
        let other = pick(field.dice, &hosts);
        field.simulation.net().break_between(node, other);
        true
    }
}

/// Transfers of snapshots break, again and again, at some moment of each.
#[derive(Debug, Default)]
pub(super) struct CutTransfers;

impl Fault for CutTransfers {
    fn begin(&mut self, _field: &mut Field<'_>) -> bool {
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        if field.dice.below(8) == 0 {
            field.simulation.net().break_calls("Snapshot");
        }
    }
}

/// Bits flip in what nodes send one another.
#[derive(Debug)]
pub(super) struct Noise(Decay);

impl Noise {
    /// In every second frame of a snapshot.
    pub(super) fn in_snapshots() -> Self {
        Self(Decay { calls: "Snapshot", ppm: 500_000 })
    }

    /// Now and then in anything: votes, entries, what is known of a group.
    pub(super) fn in_anything() -> Self {
        Self(Decay { calls: "holdfast.peer", ppm: 5_000 })
    }
}

impl Fault for Noise {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        field.simulation.net().begin_decay(self.0);
        true
    }

    fn end(&mut self, field: &mut Field<'_>) {
        field.simulation.net().end_decay(self.0);
    }
}
