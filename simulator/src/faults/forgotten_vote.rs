//! A node votes, and loses its power before the vote is on its drive: its candidate leads by a vote of which the voter knows nothing
//! any more, and the voter goes on with the leader before, who commits what the new one then cuts off again. A vote must be durable
//! before it is told.
//!
//! The voter is the one that both need: with it the old leader's side is a majority, and so is the side of those that elect a new one.
//! Its drive is slow while they do, so that its vote is long under way.

use super::drives::speed_up;
use super::{Cuts, Fault, Field, Led};
use crate::{Crash, HostId};

/// So many entries are committed by the old leader meanwhile: the answers to customers are among them.
const COMMITTED: u64 = 3;
/// What a sync takes of the voter's drive, in ms: longer than an election.
const SLOW_MS: (u64, u64) = (3_000, 4_000);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ForgottenVote {
    scene: Option<Scene>,
    cuts: Cuts,
}

#[derive(Debug)]
struct Scene {
    group: u64,
    voter: HostId,
    /// The side of the leader that there was, who is the first.
    old: Vec<HostId>,
    /// The side that shall elect another one.
    new: Vec<HostId>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// One of the new side is to be elected, by the voter too.
    Elect,
    /// The voter follows the old leader, who is to commit something behind this index, the last that any of the new side has.
    Follow(u64),
    /// The voter meets the new leader, who is to commit something behind this index, the last that it had applied.
    Meet(u64),
}

impl Scene {
    /// Who leads the group on a side, by its own account.
    fn leads(&self, field: &Field<'_>, side: &[HostId]) -> Option<HostId> {
        side.iter().copied().find(|host| field.cluster.groups_led_by(*host).contains(&self.group))
    }

    fn last(&self, field: &Field<'_>, host: HostId) -> u64 {
        field.cluster.reached(host, self.group).map_or(0, |reached| reached.last)
    }

    fn applied(&self, field: &Field<'_>, host: HostId) -> u64 {
        field.cluster.reached(host, self.group).map_or(0, |reached| reached.applied)
    }

    /// The voter is with one side, and cut off from the other.
    fn join(&self, field: &Field<'_>, cuts: &mut Cuts, side: &[HostId], other: &[HostId]) {
        other.iter().for_each(|host| cuts.cut(field, self.voter, *host));
        side.iter().for_each(|host| cuts.heal(field, self.voter, *host));
    }

    /// What comes next; `None`: it is over.
    fn step(&self, field: &mut Field<'_>, cuts: &mut Cuts) -> Option<Step> {
        match self.step {
            Step::Elect => {
                if self.leads(field, &self.new).is_none() {
                    let is_lost = self.leads(field, &[self.voter]).is_some();
                    return (!is_lost).then_some(self.step);
                }
                let end = self.new.iter().map(|host| self.last(field, *host)).max().unwrap_or(0);
                field.cluster.crash(field.simulation, self.voter, Crash::PowerLoss);
                speed_up(field, self.voter);
                self.join(field, cuts, &self.old, &self.new);
                field.cluster.start(field.simulation, self.voter);
                Some(Step::Follow(end))
            }
            Step::Follow(end) => {
                let leader = self.leads(field, &self.old)?;
                let new = self.leads(field, &self.new)?;
                if self.applied(field, leader) < end + COMMITTED {
                    return Some(self.step);
                }
                self.join(field, cuts, &self.new, &self.old);
                Some(Step::Meet(self.applied(field, new)))
            }
            Step::Meet(applied) => {
                let new = self.leads(field, &self.new)?;
                (self.applied(field, new) <= applied).then_some(self.step)
            }
        }
    }
}

impl Fault for ForgottenVote {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(Led { group, leader, mut followers }) = field.led_group() else { return false };
        let Some(voter) = followers.pop() else { return false };
        let new = followers.split_off(followers.len() / 2);
        let old: Vec<HostId> = [leader].into_iter().chain(followers).collect();
        for one in &new {
            for other in &old {
                self.cuts.cut(field, *one, *other);
            }
        }
        let scene = Scene { group, voter, old, new, step: Step::Elect };
        field.simulation.drive(voter).set_sync_ms(SLOW_MS.0, SLOW_MS.1);
        scene.join(field, &mut self.cuts, &scene.new, &scene.old);
        self.scene = Some(scene);
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let Self { scene: Some(scene), cuts } = self else { return };
        match scene.step(field, cuts) {
            Some(step) => scene.step = step,
            None => self.end(field),
        }
    }

    fn end(&mut self, field: &mut Field<'_>) {
        self.cuts.heal_all(field);
        if let Some(scene) = self.scene.take() {
            speed_up(field, scene.voter);
        }
    }
}
