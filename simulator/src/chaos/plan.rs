//! Which faults come when, drawn from the seed alone: the same seed, kinds and time give the same plan, whatever the machine
//! does with it.

use std::time::Duration;

use crate::Dice;

/// The faults that the harness does itself to a cluster that it has started, each with what it does.
pub const KINDS: &[(&str, &str)] = &[
    ("kill", "SIGKILL of one node, which is started again"),
    ("kill-all", "SIGKILL of all nodes at once, which are started again"),
    ("stop", "SIGSTOP of one node for longer than any lease, then SIGCONT"),
    ("partition", "one node is cut off from the others, both ways"),
    ("one-way", "what one node sends reaches none of the others, or it hears none of them"),
    ("bridge", "two nodes do not hear each other, and both hear the third"),
    ("delay", "what goes between the nodes takes 20 to 300 ms"),
    ("cut", "one connection after another is cut in the middle of a frame"),
    ("half-open", "connections of which only one end knows that they are gone"),
    ("clients", "no client reaches one of the nodes"),
    ("disk-full", "the drive of one node has no room left"),
    ("slow-disk", "neighbours write and sync beside the nodes' folders without a pause"),
    ("clock", "the wall clock of one node jumps by up to five seconds, and back"),
];

/// The longest time between two faults, and the shortest.
const PAUSE_MS: (u64, u64) = (500, 2_500);
/// One fault in so many begins before the one before has ended.
const TOGETHER: u64 = 4;

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What.
    pub kind: String,
    /// When it begins, from the plan's beginning on.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// The number of the node that it happens to, from 0, where it happens to one.
    pub node: usize,
    /// What is left open is drawn from this.
    pub seed: u64,
}

impl Planned {
    /// When it ends.
    #[must_use]
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }
}

/// How long a fault of that kind lasts.
fn lasts_ms(kind: &str) -> (u64, u64) {
    match kind {
        "kill" => (200, 3_000),
        "kill-all" => (0, 1_000),
        // No node waits for another one as long as that.
        "stop" => (3_000, 7_000),
        "clients" | "cut" => (1_500, 4_000),
        _ => (2_500, 7_000),
    }
}

/// Faults of those kinds for a cluster of so many nodes, all over within `time`. Every kind comes once before any comes
/// twice, as far as there is time.
#[must_use]
pub fn draw(dice: &mut Dice, kinds: &[String], nodes: usize, time: Duration) -> Vec<Planned> {
    let mut plan = Vec::new();
    let mut deck: Vec<&String> = Vec::new();
    let millis = |(least, most), dice: &mut Dice| Duration::from_millis(dice.between(least, most));
    let mut at = millis(PAUSE_MS, dice);
    while !kinds.is_empty() && nodes > 0 && at < time {
        if deck.is_empty() {
            deck = kinds.iter().collect();
        }
        let kind = deck.swap_remove(dice.below(deck.len() as u64) as usize);
        let lasts = millis(lasts_ms(kind), dice).min(time.saturating_sub(at));
        let node = dice.below(nodes as u64) as usize;
        plan.push(Planned { kind: kind.clone(), at, lasts, node, seed: dice.next_u64() });
        at += if dice.below(TOGETHER) == 0 { lasts / 2 } else { lasts + millis(PAUSE_MS, dice) };
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> Vec<String> {
        KINDS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn drawn(seed: u64, time_s: u64) -> Vec<Planned> {
        draw(&mut Dice::new(seed), &kinds(), 3, Duration::from_secs(time_s))
    }

    #[test]
    fn a_seed_gives_one_plan_and_another_seed_another() {
        assert_eq!(drawn(7, 60), drawn(7, 60));
        assert_ne!(drawn(7, 60), drawn(8, 60));
    }

    #[test]
    fn every_fault_is_over_within_the_time() {
        for seed in 0..200 {
            for planned in drawn(seed, 20) {
                assert!(planned.ends() <= Duration::from_secs(20), "seed {seed}: {planned:?}");
            }
        }
    }

    #[test]
    fn every_kind_comes_before_any_comes_again() {
        for seed in 0..50 {
            let plan = drawn(seed, 300);
            let mut first: Vec<&str> = plan.iter().take(KINDS.len()).map(|planned| planned.kind.as_str()).collect();
            first.sort_unstable();
            first.dedup();
            assert_eq!(first.len(), KINDS.len(), "seed {seed}");
        }
    }

    #[test]
    fn no_kinds_make_an_empty_plan() {
        assert_eq!(draw(&mut Dice::new(1), &[], 3, Duration::from_secs(20)), []);
    }
}
