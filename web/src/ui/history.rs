//! What the curves are drawn from: sums of this node's replicas over the last minutes, and what happened to nodes meanwhile.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Samples that are kept: fifteen minutes at one a second.
const KEPT: usize = 900;
/// Marks that are kept.
const MARKS: usize = 100;

/// The sums at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// By this node's clock.
    pub(crate) at_ms: u64,
    /// Units ever sold.
    pub(crate) sold: u64,
    /// Units held and not paid.
    pub(crate) reserved: u64,
    /// Commands decided a second since the sample before.
    pub(crate) commands_per_s: f64,
}

/// Something that happened to a node, or to all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mark {
    pub(crate) at_ms: u64,
    /// `node 2 is down`.
    pub(crate) what: String,
    /// good or bad.
    pub(crate) kind: &'static str,
}

/// The last minutes.
#[derive(Debug, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
    marks: VecDeque<Mark>,
    commands: u64,
    up: BTreeMap<u64, bool>,
    /// When the shards lost their last leader, while they have none.
    silent_since_ms: Option<u64>,
}

impl History {
    /// Takes in the sums of one look. What a replica that was filled anew has is less for a moment: rates are never below 0.
    pub(crate) fn take_in(&mut self, at_ms: u64, sold: u64, reserved: u64, commands: u64) {
        let before = self.samples.back().map_or(at_ms, |last| last.at_ms);
        let elapsed = at_ms.saturating_sub(before);
        let decided = commands.saturating_sub(self.commands);
        // Fewer than 2^53 in a second.
        let commands_per_s =
            if elapsed == 0 || self.commands == 0 { 0.0 } else { decided as f64 * 1_000.0 / elapsed as f64 };
        self.commands = commands;
        self.samples.push_back(Sample { at_ms, sold, reserved, commands_per_s });
        while self.samples.len() > KEPT {
            self.samples.pop_front();
        }
    }

    /// Takes in which nodes answer.
    pub(crate) fn nodes(&mut self, at_ms: u64, up: impl IntoIterator<Item = (u64, bool)>) {
        let up: BTreeMap<u64, bool> = up.into_iter().collect();
        let before = std::mem::replace(&mut self.up, up.clone());
        for (node, is_up) in up {
            match (before.get(&node), is_up) {
                (Some(true), false) => self.mark(at_ms, format!("node {node} is down"), "bad"),
                (Some(false), true) => self.mark(at_ms, format!("node {node} is back"), "good"),
                _ => {}
            }
        }
    }

    /// Takes in whether every shard has a leader.
    pub(crate) fn serving(&mut self, at_ms: u64, is_serving: bool) {
        match (self.silent_since_ms, is_serving) {
            (None, false) => self.silent_since_ms = Some(at_ms),
            (Some(since), true) => {
                self.silent_since_ms = None;
                self.mark(at_ms, format!("serves again after {} ms", at_ms.saturating_sub(since)), "good");
            }
            (Some(_), false) | (None, true) => {}
        }
    }

    fn mark(&mut self, at_ms: u64, what: String, kind: &'static str) {
        self.marks.push_back(Mark { at_ms, what, kind });
        while self.marks.len() > MARKS {
            self.marks.pop_front();
        }
    }

    /// All samples, oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }

    /// All marks, oldest first.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        self.marks.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_time_between_two_samples_and_never_below_0() {
        let mut history = History::default();
        for (at_ms, commands) in [(1_000, 50), (2_000, 150), (2_500, 250), (3_500, 10), (3_500, 20)] {
            history.take_in(at_ms, 0, 0, commands);
        }
        let rates: Vec<f64> = history.samples().iter().map(|sample| sample.commands_per_s).collect();
        assert_eq!(rates, [0.0, 100.0, 200.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = History::default();
        for at_ms in 0..3_000 {
            history.take_in(at_ms, at_ms, 0, 0);
            history.nodes(at_ms, [(1, at_ms % 2 == 0)]);
        }
        assert_eq!((history.samples().len(), history.marks().len()), (KEPT, MARKS));
        assert_eq!(history.samples()[0].sold, 3_000 - KEPT as u64);
    }

    #[test]
    fn a_node_that_goes_and_comes_is_marked_each_time_and_one_that_was_never_seen_is_not() {
        let mut history = History::default();
        for (at_ms, up) in [(1, false), (2, true), (3, true), (4, false), (5, false), (6, true)] {
            history.nodes(at_ms, [(2, up)]);
            history.serving(at_ms, up);
        }
        let told: Vec<(u64, String)> = history.marks().into_iter().map(|mark| (mark.at_ms, mark.what)).collect();
        let mark = |at_ms, what: &str| (at_ms, what.to_owned());
        assert_eq!(
            told,
            [
                mark(2, "node 2 is back"),
                mark(2, "serves again after 1 ms"),
                mark(4, "node 2 is down"),
                mark(6, "node 2 is back"),
                mark(6, "serves again after 2 ms"),
            ]
        );
    }
}
