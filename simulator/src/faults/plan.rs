//! The kinds of faults, and which of them a run has: a random part of them, each with a rate of its own. A run in which
//! everything happens at once hides what needs calm (Groce et al., "Swarm testing", ISSTA 2012).

use std::time::Duration;

use super::one_node::{Spell, Strike};
use super::{
    Fault, FaultKind, clocks, decay, drives, forgotten_vote, lagging_reader, leaders, links, lost_end, members,
    overtaken, processes, strangers, versions,
};
use crate::Dice;

struct Kind {
    name: &'static str,
    /// Between two beginnings, on average, at its most frequent and at its rarest.
    every_ms: (u64, u64),
    lasts_ms: (u64, u64),
    make: fn() -> Box<dyn Fault>,
}

/// One row of the table below.
const fn kind(name: &'static str, every_ms: (u64, u64), lasts_ms: (u64, u64), make: fn() -> Box<dyn Fault>) -> Kind {
    Kind { name, every_ms, lasts_ms, make }
}

/// How long something lasts that is over at once.
const AT_ONCE: (u64, u64) = (0, 0);

const KINDS: &[Kind] = &[
    kind("partition", (4_000, 12_000), (500, 6_000), || Box::<links::Partition>::default()),
    kind("late frames", (3_000, 9_000), (500, 6_000), || Box::new(links::Gale::late())),
    kind("stalls", (3_000, 9_000), (500, 6_000), || Box::new(links::Gale::stalls())),
    kind("lost answers", (3_000, 9_000), (500, 6_000), || Box::new(links::Gale::lost_answers())),
    kind("broken connection", (500, 4_000), AT_ONCE, || Box::new(links::Break)),
    kind("cut snapshot transfer", (2_000, 6_000), (2_000, 9_000), || Box::new(links::CutTransfers)),
    kind("wall clock jump", (4_000, 12_000), (500, 9_000), || Box::new(Spell::new(clocks::jump, clocks::set_right))),
    kind("wall clock strobe", (6_000, 15_000), (500, 4_000), || {
        Box::new(Spell::of_ticks(clocks::sway, clocks::set_right))
    }),
    kind("clock rate", (4_000, 12_000), (1_000, 9_000), || Box::new(Spell::new(clocks::run_wrong, clocks::run_right))),
    kind("pause", (4_000, 12_000), AT_ONCE, || Box::new(Strike(clocks::pause))),
    kind("kill", (3_000, 12_000), AT_ONCE, || Box::new(Strike(processes::kill))),
    kind("power loss", (3_000, 12_000), AT_ONCE, || Box::new(Strike(processes::lose_power))),
    kind("crash in an operation", (3_000, 9_000), AT_ONCE, || Box::new(Strike(processes::crash_in_operation))),
    kind("crash in a poll", (3_000, 9_000), AT_ONCE, || Box::new(Strike(processes::crash_in_poll))),
    kind("crashes in recovery", (5_000, 15_000), (3_000, 8_000), || Box::<processes::InRecovery>::default()),
    kind("kill of all", (8_000, 20_000), AT_ONCE, || Box::new(processes::AllKilled)),
    kind("power loss of all", (3_000, 12_000), AT_ONCE, || Box::new(processes::AllWithoutPower)),
    kind("failed sync", (4_000, 12_000), (2_000, 2_000), || Box::new(Strike(drives::fail_sync))),
    kind("failed read", (4_000, 12_000), (4_000, 4_000), || Box::new(Spell::armed(drives::fail_read))),
    kind("full drive", (6_000, 15_000), (1_000, 6_000), || Box::new(Spell::new(drives::fill, drives::make_room))),
    kind("slow drive", (4_000, 12_000), (1_000, 8_000), || Box::new(Spell::new(drives::slow_down, drives::speed_up))),
    kind("rot in the log", (3_000, 12_000), AT_ONCE, || Box::new(decay::Rot::Log)),
    kind("rot in the control file", (6_000, 20_000), AT_ONCE, || Box::new(decay::Rot::Control)),
    kind("rot in a checkpoint", (6_000, 20_000), AT_ONCE, || Box::new(decay::Rot::Checkpoint)),
    kind("rot in a change log", (6_000, 20_000), AT_ONCE, || Box::new(decay::Rot::Changes)),
    kind("rot at the end of the log", (4_000, 15_000), (12_000, 12_000), || {
        Box::new(lost_end::LostEnd::by(lost_end::Loss::RottenTail))
    }),
    kind("one flipped bit", (6_000, 20_000), AT_ONCE, || Box::new(decay::OneBit)),
    kind("lost file", (10_000, 30_000), AT_ONCE, || Box::new(decay::LostFile)),
    kind("older file", (10_000, 30_000), (500, 8_000), || Box::<decay::OlderFile>::default()),
    kind("older drive", (10_000, 40_000), (500, 8_000), || Box::<decay::OlderDrive>::default()),
    kind("older life", (4_000, 15_000), (14_000, 14_000), || {
        Box::new(lost_end::LostEnd::by(lost_end::Loss::OlderLife))
    }),
    kind("wiped drive", (15_000, 40_000), AT_ONCE, || Box::new(decay::Wipe)),
    kind("member replaced", (4_000, 15_000), (1_000, 15_000), || Box::<members::Replace>::default()),
    kind("graceful stop", (3_000, 12_000), AT_ONCE, || Box::new(Strike(processes::stop))),
    kind("leaders handed over", (4_000, 12_000), (1_000, 8_000), || Box::new(leaders::HandOver)),
    kind("leaders struck", (4_000, 12_000), (2_000, 12_000), || Box::<leaders::Struck>::default()),
    kind("vanishing client", (2_000, 8_000), (200, 4_000), || Box::<strangers::Vanish>::default()),
    kind("deaf client", (4_000, 12_000), (1_000, 8_000), || Box::<strangers::Deaf>::default()),
    kind("flood", (6_000, 15_000), (2_500, 5_000), || Box::new(strangers::Flood)),
    kind("two versions", (1_500, 5_000), AT_ONCE, || Box::new(versions::RollOn)),
    kind("rot that a laggard reads", (3_000, 12_000), (4_000, 6_000), || Box::<lagging_reader::RotBefore>::default()),
    kind("followers overtaken", (3_000, 10_000), (3_000, 5_000), || Box::<overtaken::Overtaken>::default()),
    kind("forgotten vote", (4_000, 15_000), (12_000, 12_000), || Box::<forgotten_vote::ForgottenVote>::default()),
    kind("noise in snapshots", (2_000, 6_000), (2_000, 9_000), || Box::new(links::Noise::in_snapshots())),
    kind("noise between nodes", (4_000, 12_000), (500, 6_000), || Box::new(links::Noise::in_anything())),
];

/// The dice of a kind's times (0), and of each of its faults (from 1 on).
fn dice_of(seed: u64, name: &str, number: u64) -> Dice {
    Dice::of(seed, &format!("fault: {name}"), number)
}

/// The names of all kinds.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// Which kinds of faults a run has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Those that the seed draws.
    #[default]
    AsDrawn,
    /// Of those that the seed draws only these.
    OnlyOf(Vec<FaultKind>),
    /// These, whatever the seed draws.
    Exactly(Vec<FaultKind>),
}

/// What one run has.
pub(super) struct Plan(Vec<Planned>);

struct Planned {
    kind: usize,
    every_ms: u64,
    next: Duration,
    /// When faults of this kind begin and how long they last: its own, so that it is the same with and without the others.
    dice: Dice,
    /// How many were due so far.
    begun: u64,
}

/// A fault that is due.
pub(super) struct Due {
    pub(super) fault: Box<dyn Fault>,
    pub(super) ends: Duration,
    /// What it draws from, its own: another fault less in the run shifts nothing in it.
    pub(super) dice: Dice,
}

impl Plan {
    /// Draws a part of the kinds, from a few to nearly all; or takes those that are chosen.
    pub(super) fn draw(seed: u64, now: Duration, choice: &Choice) -> Self {
        let mut dice = Dice::of(seed, "faults", 0);
        let often = dice.between(150, 850);
        let mut planned = Vec::new();
        for (kind, Kind { name, every_ms: (most, least), .. }) in KINDS.iter().enumerate() {
            let is_drawn = dice.below(1_000) < often;
            let is_on = match choice {
                Choice::AsDrawn => is_drawn,
                Choice::OnlyOf(kept) => is_drawn && kept.contains(&FaultKind(name)),
                Choice::Exactly(chosen) => chosen.contains(&FaultKind(name)),
            };
            let every_ms = dice.between(*most, *least);
            let next = now + Duration::from_millis(dice.below(2 * every_ms));
            if is_on {
                planned.push(Planned { kind, every_ms, next, dice: dice_of(seed, name, 0), begun: 0 });
            }
        }
        Self(planned)
    }

    pub(super) fn kinds(&self) -> Vec<FaultKind> {
        self.0.iter().map(|planned| FaultKind(KINDS[planned.kind].name)).collect()
    }

    pub(super) fn name(&self, kind: usize) -> &'static str {
        KINDS[kind].name
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.0.iter().map(|planned| format!("{} every {} ms", KINDS[planned.kind].name, planned.every_ms)).collect()
    }

    /// The next kind that is due.
    pub(super) fn due(&self, now: Duration) -> Option<usize> {
        self.0.iter().find(|planned| planned.next <= now).map(|planned| planned.kind)
    }

    /// A fault of a kind; draws when the next one is due. `None`: the plan has no such kind.
    pub(super) fn begin(&mut self, kind: usize, seed: u64, now: Duration) -> Option<Due> {
        let Kind { name, lasts_ms: (least, most), make, .. } = &KINDS[kind];
        let planned = self.0.iter_mut().find(|planned| planned.kind == kind)?;
        planned.next = now + Duration::from_millis(1 + planned.dice.below(2 * planned.every_ms));
        planned.begun += 1;
        let ends = now + Duration::from_millis(planned.dice.between(*least, *most));
        Some(Due { fault: make(), ends, dice: dice_of(seed, name, planned.begun) })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn seeds_turn_on_different_parts_and_every_kind_is_in_some() {
        let plans: Vec<Vec<usize>> = (0..50)
            .map(|seed| {
                Plan::draw(seed, Duration::ZERO, &Choice::AsDrawn).0.iter().map(|planned| planned.kind).collect()
            })
            .collect();
        assert!((0..KINDS.len()).all(|kind| plans.iter().any(|plan| plan.contains(&kind))));
        assert!((0..KINDS.len()).all(|kind| plans.iter().any(|plan| !plan.contains(&kind))));
        let sizes: Vec<usize> = plans.iter().map(Vec::len).collect();
        assert!(sizes.iter().min() < sizes.iter().max());
    }

    /// When the faults of each kind begin and end within a minute, and the first number that each draws.
    fn course(mut plan: Plan, seed: u64) -> BTreeMap<usize, Vec<(Duration, Duration, u64)>> {
        let mut course: BTreeMap<usize, Vec<(Duration, Duration, u64)>> = BTreeMap::new();
        for now in (0..60_000).map(Duration::from_millis) {
            while let Some(kind) = plan.due(now) {
                let mut due = plan.begin(kind, seed, now).unwrap();
                course.entry(kind).or_default().push((now, due.ends, due.dice.next_u64()));
            }
        }
        course
    }

    #[test]
    fn kinds_that_are_chosen_are_there_whatever_the_seed_draws() {
        let chosen = vec![FaultKind(KINDS[3].name), FaultKind(KINDS[9].name)];
        for seed in 0..20 {
            assert_eq!(Plan::draw(seed, Duration::ZERO, &Choice::Exactly(chosen.clone())).kinds(), chosen);
        }
    }

    #[test]
    fn leaving_a_kind_out_changes_nothing_in_what_the_others_draw() {
        let whole = course(Plan::draw(7, Duration::ZERO, &Choice::AsDrawn), 7);
        assert!(whole.len() > 3);
        for left_out in whole.keys() {
            let drawn = Plan::draw(7, Duration::ZERO, &Choice::AsDrawn).kinds();
            let kept = drawn.into_iter().filter(|kind| kind.0 != KINDS[*left_out].name).collect();
            let plan = Plan::draw(7, Duration::ZERO, &Choice::OnlyOf(kept));
            let mut expected = whole.clone();
            expected.remove(left_out);
            assert_eq!(course(plan, 7), expected);
        }
    }
}
