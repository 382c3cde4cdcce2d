//! A node comes back without the last it has acknowledged, together with peers that lag: with its vote they would elect one of
//! them, and what the others have acknowledged would be lost. It must have no vote until it has been mended, or replaced.
//!
//! Either its drive is as it was before its last life, of which those peers know; or the end of its log has rotted, which must not
//! be taken for a write that was torn.
//!
//! When it goes back is told by the logs. While some lag, the node and the others are just enough for a majority: what they commit
//! those that lag do not have, and it could not be committed without the node. Once there is such an entry, which is in no older
//! copy, or in the very batch that will rot, all go down.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decay::spoil;
use super::last_batch::{Batch, LastBatch, Place, shards};
use super::{Cuts, Fault, Field, Harm};
use crate::world::DriveCopy;
use crate::{Crash, HostId};

/// How long the node and those that lag are alone.
const ALONE: Duration = Duration::from_secs(5);
/// So many entries are committed without those that lag: the first may be a new leader's, and say nothing.
const COMMITTED: u64 = 3;

/// How the end is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The drive is as it was before its node's last life.
    OlderLife,
    /// A bit flips in what was written to the log last.
    RottenTail,
}

/// See the module.
#[derive(Debug)]
pub(super) struct LostEnd {
    loss: Loss,
    step: Step,
    node: Option<HostId>,
    /// Those that lag: with the node they are a majority.
    lag: Vec<HostId>,
    /// Those that go on: with the node they are a majority too.
    go_on: Vec<HostId>,
    cuts: Cuts,
    ends: Ends,
    batch: LastBatch,
}

/// By group, the last index in any log when some began to lag. They have nothing that is committed behind it, and no older copy
/// has it.
#[derive(Debug, Default)]
struct Ends(BTreeMap<u64, u64>);

impl Ends {
    fn note(&mut self, group: u64, last: u64) {
        let end = self.0.entry(group).or_default();
        *end = last.max(*end);
    }

    /// Whether enough is committed behind it.
    fn are_left_behind(&self, group: u64, committed: u64) -> bool {
        self.0.get(&group).is_some_and(|end| committed >= end + COMMITTED)
    }
}

#[derive(Debug, Default)]
enum Step {
    /// The node was started anew, and all others have yet to see that.
    Seen(Box<DriveCopy>),
    /// Some lag. The copy is put back, if there is one; else the end rots.
    Lag { copy: Option<Box<DriveCopy>> },
    /// Only the node and those that lag are there.
    Alone { until: Duration },
    #[default]
    Over,
}

impl LostEnd {
    pub(super) fn by(loss: Loss) -> Self {
        Self {
            loss,
            step: Step::Over,
            node: None,
            lag: Vec::new(),
            go_on: Vec::new(),
            cuts: Cuts::default(),
            ends: Ends::default(),
            batch: LastBatch::default(),
        }
    }

    /// Whether these, and no others, are the nodes of the cluster.
    fn are_members(&self, field: &Field<'_>) -> bool {
        let mut nodes: Vec<HostId> = self.lag.iter().chain(&self.go_on).chain(&self.node).copied().collect();
        let mut present = field.cluster.nodes();
        nodes.sort_unstable();
        present.sort_unstable();
        nodes == present
    }

    /// All nodes but the one that comes back.
    fn others(&self) -> impl Iterator<Item = HostId> {
        self.lag.iter().chain(&self.go_on).copied()
    }

    /// From now on some lag: they are cut off from all others.
    fn let_lag(&mut self, field: &Field<'_>) {
        for one in &self.lag {
            for other in self.go_on.iter().chain(&self.node) {
                self.cuts.cut(field, *one, *other);
            }
        }
        for host in field.cluster.nodes() {
            for group in shards() {
                let last = field.cluster.reached(host, group).map_or(0, |reached| reached.last);
                self.ends.note(group, last);
            }
        }
    }

    /// Whether those that lag and the node without its end would lack something that is committed.
    fn would_lose(&self, field: &Field<'_>, node: HostId) -> bool {
        let applied = |host: &HostId, group| field.cluster.reached(*host, group).map(|reached| reached.applied);
        shards().any(|group| {
            let committed = self.go_on.iter().chain([&node]).filter_map(|host| applied(host, group)).max();
            let is_lost = match self.loss {
                Loss::OlderLife => true,
                Loss::RottenTail => {
                    let last = field.cluster.reached(node, group).map(|reached| reached.last);
                    committed >= last && self.batch.with_end_of(group).is_some()
                }
            };
            is_lost && self.ends.are_left_behind(group, committed.unwrap_or(0))
        })
    }

    /// All go down; the node comes back without its end, with those that lag.
    fn turn_back(&self, field: &mut Field<'_>, node: HostId, copy: Option<DriveCopy>) {
        // What the node was about to write would be behind the end.
        let batch = Batch::last(field, node);
        field.cluster.crash(field.simulation, node, Crash::PowerLoss);
        for host in self.others() {
            field.cluster.crash(field.simulation, host, Crash::Kill);
        }
        match (copy, batch) {
            (Some(copy), _) => field.simulation.drive(node).put_back(copy),
            (None, Some(batch)) => drop(batch.rot(field, node, Place::Anywhere)),
            (None, None) => {}
        }
        for host in &self.go_on {
            field.cluster.hold_back(*host);
        }
        for host in self.lag.iter().chain([&node]) {
            field.cluster.start(field.simulation, *host);
        }
    }
}

impl Fault for LostEnd {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(mut others) = field.all_members() else { return false };
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        others.retain(|host| *host != node);
        self.go_on = others.split_off(others.len() / 2);
        self.lag = others;
        self.node = Some(node);
        if self.loss == Loss::OlderLife {
            self.step = Step::Seen(Box::new(field.simulation.drive(node).copy()));
            field.cluster.crash(field.simulation, node, Crash::Kill);
            field.cluster.start(field.simulation, node);
        } else {
            self.let_lag(field);
            self.step = Step::Lag { copy: None };
        }
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let Some(node) = self.node else { return };
        if !self.are_members(field) {
            // With other members these are no majorities any more.
            return self.end(field);
        }
        let now = field.simulation.now();
        self.step = match std::mem::take(&mut self.step) {
            // A peer that has not seen it could not tell, as is known (docs/known-issues.md).
            Step::Seen(copy) if self.others().all(|peer| field.cluster.has_seen_life(peer, node)) => {
                self.let_lag(field);
                Step::Lag { copy: Some(copy) }
            }
            Step::Lag { copy } => {
                self.batch.look(field, node);
                if self.would_lose(field, node) {
                    self.cuts.heal_all(field);
                    self.turn_back(field, node, copy.map(|copy| *copy));
                    Step::Alone { until: now + ALONE }
                } else {
                    Step::Lag { copy }
                }
            }
            Step::Alone { until } if now >= until => {
                self.go_on.iter().for_each(|host| field.cluster.release(*host));
                Step::Over
            }
            step => step,
        };
    }

    fn end(&mut self, field: &mut Field<'_>) {
        self.cuts.heal_all(field);
        if let Step::Alone { .. } = std::mem::take(&mut self.step) {
            self.go_on.iter().for_each(|host| field.cluster.release(*host));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_log_had_when_some_began_to_lag_is_not_left_behind() {
        let mut ends = Ends::default();
        for last in [7, 9, 8] {
            ends.note(1, last);
        }
        assert!(!ends.are_left_behind(1, 9) && !ends.are_left_behind(1, 9 + COMMITTED - 1));
        assert!(ends.are_left_behind(1, 9 + COMMITTED));
        assert!(!ends.are_left_behind(2, 100), "of that group nothing was seen");
    }
}
