//! What the lines that a shard holds are of the whole reservation.

use std::collections::BTreeMap;

use holdfast_mutation::{Mutation, is_on};

use super::{AskedLine, Plan, Reserve};
use crate::state::{LineRecord, Part, Spread, Whole};
use crate::turn::Turn;
use crate::{EventKind, LogTime, Units};

/// What the lines of a reserve are of the reservation.
pub(super) enum Role<'a> {
    /// All of it.
    Alone,
    /// Those of the shard that decides it; it must not be held beyond that instant.
    Whole { whole: Whole, not_after: LogTime, reserve: &'a Reserve },
    /// Those of another shard.
    Part(Part),
}

impl Role<'_> {
    /// The number that one of the lines has in the whole.
    pub(super) fn number_of(&self, at: usize) -> u16 {
        match self {
            Self::Alone => at as u16,
            Self::Whole { whole, .. } => whole.own[at],
            Self::Part(part) => part.numbers[at],
        }
    }

    /// Other shards hold units of the reservation, so that it is not empty where this one has none.
    pub(super) fn holds_elsewhere(&self) -> bool {
        match self {
            Self::Whole { whole, .. } => {
                whole.parts.iter().flat_map(|part| &part.lines).any(|line| line.units.unsold() > 0)
            }
            Self::Alone | Self::Part(_) => false,
        }
    }

    /// How many can be had of asked lines, by their numbers, of which other shards have less than was asked for; 0: fewer than will do.
    pub(super) fn fewer(&self) -> BTreeMap<u16, u64> {
        let Self::Whole { whole, reserve, .. } = self else { return BTreeMap::new() };
        let mut fewer = BTreeMap::new();
        for line in whole.parts.iter().flat_map(|part| &part.lines) {
            let share = reserve.share_of(line.number);
            let had = share.asked_of(line.units.unsold(), reserve.lines[usize::from(line.number)].units);
            if had < share.asked {
                let had = if had < share.least { 0 } else { had };
                fewer
                    .entry(reserve.asked_of(line.number))
                    .and_modify(|least: &mut u64| *least = had.min(*least))
                    .or_insert(had);
            }
        }
        fewer
    }

    /// The first line of another shard that comes from that asked line.
    pub(super) fn first_line_of(&self, asked: u16) -> u16 {
        let Self::Whole { whole, reserve, .. } = self else { return 0 };
        let numbers = whole.parts.iter().flat_map(|part| &part.lines).map(|line| line.number);
        numbers.filter(|number| reserve.asked_of(*number) == asked).min().unwrap_or(0)
    }

    /// Gives back what other shards hold of asked lines beyond what can be had of them: what is waited for first.
    pub(super) fn make_do(&mut self, fewer: &BTreeMap<u16, u64>) {
        let Self::Whole { whole, reserve, .. } = self else { return };
        if fewer.is_empty() {
            return;
        }
        for line in whole.parts.iter_mut().flat_map(|part| &mut part.lines) {
            let Some(had) = fewer.get(&reserve.asked_of(line.number)) else { continue };
            if *had > 0 && is_on(Mutation::KitHeldUneven) {
                continue;
            }
            let share = reserve.share_of(line.number);
            let kept = share.units_of(*had, reserve.lines[usize::from(line.number)].units);
            let excess = line.units.unsold().saturating_sub(kept);
            let of_backordered = excess.min(line.units.backordered);
            line.units.backordered -= of_backordered;
            line.units.held -= excess - of_backordered;
            if excess > 0 {
                whole.version = 2;
            }
        }
    }

    /// The plan that is kept of a reserve: that of the whole, where fewer will do with as many as are held.
    pub(super) fn plan_of(&self, reserve: &Reserve, lines: &[LineRecord]) -> Option<Plan> {
        let whole = match self {
            Self::Whole { reserve, .. } => reserve,
            Self::Alone => reserve,
            Self::Part(_) => return reserve.plan.as_deref().cloned(),
        };
        let mut plan = whole.plan.as_deref()?.clone();
        let own = lines.iter().enumerate().map(|(at, line)| (self.number_of(at), line.units.unsold()));
        let remote = match self {
            Self::Whole { whole, .. } => whole.parts.iter().flat_map(|part| &part.lines).collect(),
            Self::Alone | Self::Part(_) => Vec::new(),
        };
        let remote = remote.into_iter().map(|line| (line.number, line.units.unsold()));
        let mut held_of: BTreeMap<u16, u64> = BTreeMap::new();
        let items = plan.item_lines();
        for (number, held) in own.chain(remote).filter(|(number, held)| *held > 0 && usize::from(*number) < items) {
            let asked = plan.of[usize::from(number)];
            match &plan.asked[usize::from(asked)] {
                AskedLine { min_units: None, .. } => {}
                AskedLine { kit: None, .. } => *held_of.entry(asked).or_default() += held,
                AskedLine { kit: Some(_), .. } => {
                    let kits = whole.share_of(number).asked_of(held, whole.lines[usize::from(number)].units);
                    held_of.insert(asked, kits);
                }
            }
        }
        for (asked, held) in held_of {
            plan.asked[usize::from(asked)].units = Units(held as u32);
        }
        Some(plan)
    }

    /// Before which instant a part's lines may not be shipped: the deciding shard does not know its items.
    pub(super) fn release_at(&self, turn: &Turn<'_>, lines: &[LineRecord]) -> Option<LogTime> {
        let release_at = |line: &LineRecord| turn.state.item(line.sku).spec.backorder.release_at();
        if matches!(self, Self::Part(_)) { lines.iter().filter_map(release_at).max() } else { None }
    }

    /// Until when it may be held at most, where its items allow `allowed`; how it is told; and what is kept beside its lines.
    pub(super) fn taken(self, allowed: LogTime) -> (LogTime, EventKind, Option<Box<Spread>>) {
        match self {
            Self::Alone => (allowed, EventKind::ReservationHeld, None),
            Self::Whole { whole, not_after, .. } => {
                (allowed.min(not_after), EventKind::ReservationHeld, Some(Box::new(Spread::Whole(whole))))
            }
            Self::Part(part) => (LogTime(u64::MAX), EventKind::OrderPrepared, Some(Box::new(Spread::Part(part)))),
        }
    }
}
