//! Notes what a run's nodes do, for people: it looks on from outside, draws nothing and records nothing in the trace.

use super::cluster::Cluster;
use crate::Simulation;
use crate::timeline::{Happened, NodeState};
use crate::world::Death;

/// Notes how every node stands now that has a place, or is about to take one.
pub(super) fn note(happened: &mut Happened, simulation: &Simulation, cluster: &Cluster) {
    let now = simulation.now();
    let nodes: Vec<u64> = cluster.nodes().iter().map(|host| host.0).collect();
    for host in &cluster.nodes() {
        let (state, leads, why) = if simulation.is_running(*host) {
            let state = if simulation.is_paused(*host) { NodeState::Paused } else { NodeState::Up };
            (state, cluster.groups_led_by(*host), "")
        } else if let Some(why) = cluster.why_left_out(*host) {
            (NodeState::LeftOut, Vec::new(), why)
        } else {
            let ended_itself = matches!(simulation.last_death(*host), Some(Death::Ended(_)));
            (NodeState::Down, Vec::new(), if ended_itself { "it ended itself" } else { "" })
        };
        happened.see(now, host.0, state, leads, why);
    }
    happened.see_members(now, &nodes);
}
