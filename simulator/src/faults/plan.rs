//! The kinds of faults, and which of them a run has: a random part of them, each with a rate of its own. A run in which
//! everything happens at once hides what needs calm (Groce et al., "Swarm testing", ISSTA 2012).

use std::time::Duration;

use super::{Fault, clocks, decay, drives, links, processes};
use crate::Dice;

struct Kind {
    name: &'static str,
    /// Between two beginnings, on average, at its most frequent and at its rarest.
    every_ms: (u64, u64),
    lasts_ms: (u64, u64),
    make: fn() -> Box<dyn Fault>,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "partition",
        every_ms: (4_000, 12_000),
        lasts_ms: (500, 6_000),
        make: || Box::<links::Partition>::default(),
    },
    Kind {
        name: "late frames",
        every_ms: (3_000, 9_000),
        lasts_ms: (500, 6_000),
        make: || Box::new(links::Gale::late()),
    },
    Kind { name: "stalls", every_ms: (3_000, 9_000), lasts_ms: (500, 6_000), make: || Box::new(links::Gale::stalls()) },
    Kind {
        name: "lost answers",
        every_ms: (3_000, 9_000),
        lasts_ms: (500, 6_000),
        make: || Box::new(links::Gale::lost_answers()),
    },
    Kind { name: "broken connection", every_ms: (500, 4_000), lasts_ms: (0, 0), make: || Box::new(links::Break) },
    Kind {
        name: "cut snapshot transfer",
        every_ms: (2_000, 6_000),
        lasts_ms: (2_000, 9_000),
        make: || Box::<links::CutTransfers>::default(),
    },
    Kind {
        name: "wall clock jump",
        every_ms: (4_000, 12_000),
        lasts_ms: (500, 9_000),
        make: || Box::<clocks::Jump>::default(),
    },
    Kind {
        name: "wall clock strobe",
        every_ms: (6_000, 15_000),
        lasts_ms: (500, 4_000),
        make: || Box::<clocks::Strobe>::default(),
    },
    Kind {
        name: "clock rate",
        every_ms: (4_000, 12_000),
        lasts_ms: (1_000, 9_000),
        make: || Box::<clocks::Rate>::default(),
    },
    Kind { name: "pause", every_ms: (4_000, 12_000), lasts_ms: (0, 0), make: || Box::new(clocks::Pause) },
    Kind { name: "kill", every_ms: (3_000, 12_000), lasts_ms: (0, 0), make: || Box::new(processes::Kill) },
    Kind { name: "power loss", every_ms: (3_000, 12_000), lasts_ms: (0, 0), make: || Box::new(processes::PowerLoss) },
    Kind {
        name: "crash in an operation",
        every_ms: (3_000, 9_000),
        lasts_ms: (0, 0),
        make: || Box::new(processes::InOperation),
    },
    Kind { name: "crash in a poll", every_ms: (3_000, 9_000), lasts_ms: (0, 0), make: || Box::new(processes::InPoll) },
    Kind {
        name: "crashes in recovery",
        every_ms: (5_000, 15_000),
        lasts_ms: (3_000, 8_000),
        make: || Box::<processes::InRecovery>::default(),
    },
    Kind { name: "all nodes down", every_ms: (8_000, 20_000), lasts_ms: (0, 0), make: || Box::new(processes::AllDown) },
    Kind {
        name: "failed sync",
        every_ms: (4_000, 12_000),
        lasts_ms: (2_000, 2_000),
        make: || Box::<drives::FailedSync>::default(),
    },
    Kind {
        name: "failed read",
        every_ms: (4_000, 12_000),
        lasts_ms: (4_000, 4_000),
        make: || Box::<drives::FailedRead>::default(),
    },
    Kind {
        name: "full drive",
        every_ms: (6_000, 15_000),
        lasts_ms: (1_000, 6_000),
        make: || Box::<drives::Full>::default(),
    },
    Kind {
        name: "slow drive",
        every_ms: (4_000, 12_000),
        lasts_ms: (1_000, 8_000),
        make: || Box::<drives::Slow>::default(),
    },
    Kind { name: "rot in the log", every_ms: (6_000, 20_000), lasts_ms: (0, 0), make: || Box::new(decay::Rot::Log) },
    Kind {
        name: "rot in the control file",
        every_ms: (6_000, 20_000),
        lasts_ms: (0, 0),
        make: || Box::new(decay::Rot::Control),
    },
    Kind {
        name: "rot in a checkpoint",
        every_ms: (6_000, 20_000),
        lasts_ms: (0, 0),
        make: || Box::new(decay::Rot::Checkpoint),
    },
    Kind {
        name: "rot in a change log",
        every_ms: (6_000, 20_000),
        lasts_ms: (0, 0),
        make: || Box::new(decay::Rot::Changes),
    },
    Kind { name: "lost file", every_ms: (10_000, 30_000), lasts_ms: (0, 0), make: || Box::new(decay::LostFile) },
    Kind {
        name: "older file",
        every_ms: (10_000, 30_000),
        lasts_ms: (500, 8_000),
        make: || Box::<decay::OlderFile>::default(),
    },
    Kind {
        name: "older drive",
        every_ms: (10_000, 40_000),
        lasts_ms: (500, 8_000),
        make: || Box::<decay::OlderDrive>::default(),
    },
    Kind { name: "wiped drive", every_ms: (15_000, 40_000), lasts_ms: (0, 0), make: || Box::new(decay::Wipe) },
];

/// What one run has.
pub(super) struct Plan(Vec<Planned>);

struct Planned {
    kind: usize,
    every_ms: u64,
    next: Duration,
}

impl Plan {
    /// Draws a part of the kinds: from a few to nearly all.
    pub(super) fn draw(dice: &mut Dice, now: Duration) -> Self {
        let often = dice.between(150, 850);
        let mut planned = Vec::new();
        for (kind, Kind { every_ms: (most, least), .. }) in KINDS.iter().enumerate() {
            let is_on = dice.below(1_000) < often;
            let every_ms = dice.between(*most, *least);
            let next = now + Duration::from_millis(dice.below(2 * every_ms));
            if is_on {
                planned.push(Planned { kind, every_ms, next });
            }
        }
        Self(planned)
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

    /// A fault of a kind, and when it ends; draws when the next one is due.
    pub(super) fn begin(&mut self, kind: usize, dice: &mut Dice, now: Duration) -> (Box<dyn Fault>, Duration) {
        let Kind { lasts_ms: (least, most), make, .. } = &KINDS[kind];
        for planned in self.0.iter_mut().filter(|planned| planned.kind == kind) {
            planned.next = now + Duration::from_millis(1 + dice.below(2 * planned.every_ms));
        }
        (make(), now + Duration::from_millis(dice.between(*least, *most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_turn_on_different_parts_and_every_kind_is_in_some() {
        let plans: Vec<Vec<usize>> = (0..50)
            .map(|seed| Plan::draw(&mut Dice::new(seed), Duration::ZERO).0.iter().map(|planned| planned.kind).collect())
            .collect();
        assert!((0..KINDS.len()).all(|kind| plans.iter().any(|plan| plan.contains(&kind))));
        assert!((0..KINDS.len()).all(|kind| plans.iter().any(|plan| !plan.contains(&kind))));
        let sizes: Vec<usize> = plans.iter().map(Vec::len).collect();
        assert!(sizes.iter().min() < sizes.iter().max());
    }
}
