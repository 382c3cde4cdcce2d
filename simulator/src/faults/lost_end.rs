//! A node comes back without the last it has acknowledged, together with peers that lag: with its vote they would elect one of
//! them, and what the others have acknowledged would be lost. It must have no vote until it has been mended, or replaced.
//!
//! Either its drive is as it was before its last life, of which those peers know; or the end of its log has rotted, which must not
//! be taken for a write that was torn.

use std::time::Duration;

use super::decay::{is_segment, spoil};
use super::{Fault, Field, Harm};
use crate::world::DriveCopy;
use crate::{Crash, HostId};

/// How long the peers lag while the others go on.
const LAG: Duration = Duration::from_millis(1_500);
/// How long the node and those that lag are alone.
const ALONE: Duration = Duration::from_secs(5);

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
}

#[derive(Debug, Default)]
enum Step {
    /// The node was started anew, and all others have yet to see that.
    Seen(Box<DriveCopy>),
    /// Some lag. The copy is put back, if there is one; else the end rots.
    Lag { copy: Option<Box<DriveCopy>>, until: Duration },
    /// Only the node and those that lag are there.
    Alone { until: Duration },
    #[default]
    Over,
}

impl LostEnd {
    pub(super) fn by(loss: Loss) -> Self {
        Self { loss, step: Step::Over, node: None, lag: Vec::new(), go_on: Vec::new() }
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

    /// Cuts those that lag from all others, or lets them hear each other again.
    fn cut(&self, field: &Field<'_>, is_cut: bool) {
        for one in &self.lag {
            for other in self.go_on.iter().chain(&self.node) {
                for (from, to) in [(*one, *other), (*other, *one)] {
                    if is_cut {
                        field.simulation.net().cut_way(from, to);
                    } else {
                        field.simulation.net().heal(from, to);
                    }
                }
            }
        }
    }

    /// All go down; the node comes back without its end, with those that lag.
    fn turn_back(&self, field: &mut Field<'_>, node: HostId, copy: Option<DriveCopy>) {
        for host in field.cluster.nodes() {
            field.cluster.crash(field.simulation, host, Crash::Kill);
        }
        match copy {
            Some(copy) => field.simulation.drive(node).put_back(copy),
            None => flip_at_end(field, node),
        }
        for host in &self.go_on {
            field.cluster.hold_back(*host);
        }
        for host in self.lag.iter().chain([&node]) {
            field.cluster.start(field.simulation, *host);
        }
    }
}

/// Flips a bit in what was written to a node's log last.
fn flip_at_end(field: &mut Field<'_>, node: HostId) {
    let Some((file, offset, len)) = field.simulation.drive(node).newest_write(is_segment) else { return };
    let at = offset + field.dice.below(len.max(1));
    field.simulation.drive(node).flip(&file, at, field.dice.below(8) as u8);
}

impl Fault for LostEnd {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let hosts = field.cluster.hosts().to_vec();
        let is_up = |host: &HostId| field.simulation.is_running(*host) && !field.cluster.is_left_out(*host);
        if !hosts.iter().all(is_up) || field.cluster.nodes() != hosts {
            return false;
        }
        let Some(node) = spoil(field, Harm::MayLose) else { return false };
        let mut others: Vec<HostId> = hosts.into_iter().filter(|host| *host != node).collect();
        for at in (1..others.len()).rev() {
            others.swap(at, field.dice.below(at as u64 + 1) as usize);
        }
        self.go_on = others.split_off(others.len() / 2);
        self.lag = others;
        self.node = Some(node);
        if self.loss == Loss::OlderLife {
            self.step = Step::Seen(Box::new(field.simulation.drive(node).copy()));
            field.cluster.crash(field.simulation, node, Crash::Kill);
        } else {
            self.cut(field, true);
            self.step = Step::Lag { copy: None, until: field.simulation.now() + LAG };
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
                self.cut(field, true);
                Step::Lag { copy: Some(copy), until: now + LAG }
            }
            Step::Lag { copy, until } if now >= until => {
                self.cut(field, false);
                self.turn_back(field, node, copy.map(|copy| *copy));
                Step::Alone { until: now + ALONE }
            }
            Step::Alone { until } if now >= until => {
                self.go_on.iter().for_each(|host| field.cluster.release(*host));
                Step::Over
            }
            step => step,
        };
    }

    fn end(&mut self, field: &mut Field<'_>) {
        match std::mem::take(&mut self.step) {
            Step::Seen(_) | Step::Over => {}
            Step::Lag { .. } => self.cut(field, false),
            Step::Alone { .. } => self.go_on.iter().for_each(|host| field.cluster.release(*host)),
        }
    }
}
