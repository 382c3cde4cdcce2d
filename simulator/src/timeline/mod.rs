//! What happened in a run beside its clients' calls, and the page that shows all of it on one axis of time.
//!
//! Promises bounded size, of what is noted and of the page; what is left out is said. Nothing here is part of the trace, and
//! nothing draws: a run is the same whether it is looked at or not.

mod bars;
mod lanes;
mod page;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use page::{Subject, page};

/// The changes that are noted of all nodes together.
const MOST_NODE_SPANS: usize = 20_000;
const MOST_MOMENTS: usize = 100;

/// A fault while it was in force, in microseconds of simulated time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultSpan {
    /// Its kind.
    pub name: String,
    /// When it began.
    pub from_us: u64,
    /// When it was over; `None`: it never was.
    pub until_us: Option<u64>,
}

impl FaultSpan {
    /// One that begins.
    #[must_use]
    pub fn begun(name: &str, now: Duration) -> Self {
        Self { name: name.to_owned(), from_us: in_us(now), until_us: None }
    }

    /// It is over.
    pub fn end(&mut self, now: Duration) {
        self.until_us = Some(in_us(now));
    }
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Its process runs.
    Up,
    /// It has a process that gets no turn.
    Paused,
    /// It has no process.
    Down,
    /// It is not started again: it may not come back, or is held back.
    LeftOut,
    /// Another one has taken its place.
    Replaced,
}

impl NodeState {
    const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Paused => "paused",
            Self::Down => "down",
            Self::LeftOut => "left out",
            Self::Replaced => "replaced",
        }
    }
}

/// How a node stands from an instant on, until the next span or the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpan {
    /// Since when.
    pub from_us: u64,
    /// How it stands.
    pub state: NodeState,
    /// The groups that it leads, by its own account.
    pub leads: Vec<u64>,
    /// Why it stands so, where that is known.
    pub why: String,
}

/// A moment of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Moment {
    pub at_us: u64,
    pub what: String,
}

/// What happened to the nodes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When the run was over.
    pub ends_us: u64,
    /// The stages of the run.
    pub moments: Vec<Moment>,
    /// The faults, in the order in which they began.
    pub faults: Vec<FaultSpan>,
    /// By node.
    pub nodes: BTreeMap<u64, Vec<NodeSpan>>,
    /// There was no room for later changes of nodes.
    pub is_cut: bool,
}

impl Happened {
    /// A node was seen to stand so.
    pub fn see(&mut self, now: Duration, node: u64, state: NodeState, leads: Vec<u64>, why: &str) {
        let last = self.nodes.get(&node).and_then(|spans| spans.last());
        if last.is_some_and(|last| last.state == state && last.leads == leads && last.why == why) {
            return;
        }
        if self.nodes.values().map(Vec::len).sum::<usize>() >= MOST_NODE_SPANS {
            self.is_cut = true;
            return;
        }
        let span = NodeSpan { from_us: in_us(now), state, leads, why: why.to_owned() };
        self.nodes.entry(node).or_default().push(span);
    }

    /// These are the members: others that were have been replaced.
    pub fn see_members(&mut self, now: Duration, members: &[u64]) {
        let gone: Vec<u64> = self.nodes.keys().copied().filter(|node| !members.contains(node)).collect();
        for node in gone {
            self.see(now, node, NodeState::Replaced, Vec::new(), "");
        }
    }

    /// Notes a stage of the run.
    pub fn mark(&mut self, now: Duration, what: &str) {
        if self.moments.len() < MOST_MOMENTS {
            self.moments.push(Moment { at_us: in_us(now), what: what.to_owned() });
        }
    }

    /// The run is over.
    pub fn close(&mut self, now: Duration, faults: Vec<FaultSpan>) {
        self.ends_us = in_us(now);
        self.faults = faults;
    }
}

fn in_us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_of_a_node_are_noted_and_one_that_is_no_member_is_replaced() {
        let mut happened = Happened::default();
        let at = Duration::from_millis;
        for ms in 0..5 {
            happened.see(at(ms), 1, NodeState::Up, vec![0], "");
        }
        happened.see(at(5), 1, NodeState::Down, Vec::new(), "");
        happened.see_members(at(6), &[2]);
        happened.see_members(at(7), &[2]);
        let spans: Vec<(u64, NodeState)> = happened.nodes[&1].iter().map(|span| (span.from_us, span.state)).collect();
        assert_eq!(spans, [(0, NodeState::Up), (5_000, NodeState::Down), (6_000, NodeState::Replaced)]);
        assert_eq!(serde_json::from_str::<Happened>(&serde_json::to_string(&happened).unwrap()).unwrap(), happened);
    }
}
