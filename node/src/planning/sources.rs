//! From which of a channel's locations the lines of a reserve are taken: a pure choice among what could be had where.
//!
//! Promises of what it chooses: each line whole, or as much of it as will do and can be had, at one location unless it may be split; never more of an item at a location than
//! could be had there, over all lines together. Leaves to others where the numbers come from: they may be old, and the shards decide
//! when the units are held.

use holdfast_inventory::LocationId;
use holdfast_mutation::{Mutation, is_on};

/// So many sets of locations are tried, the smallest first, for the fewest: all sets of 10 locations, and of more locations at least all
/// pairs up to 45. Beyond that the set is grown greedily, and may be larger than need be.
const SETS_TRIED: usize = 1_024;

/// What could be had of an item that is never refused, however much of it is taken.
const NEVER_LESS: u64 = u64::MAX;

/// How a channel is to choose among its locations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// In its own order.
    Priority,
    /// In the order of this list, and from no other.
    Nearest(Vec<LocationId>),
    /// From where most of a line's item is.
    MostStock,
    /// As few locations for all lines together as can be; among sets of as many the first in the channel's order.
    FewestSplits,
}

/// In which order locations are asked, by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// This one, and from no other location.
    Given(Vec<usize>),
    /// As [`Strategy::MostStock`] says.
    MostStock,
    /// As [`Strategy::FewestSplits`] says.
    FewestSplits,
}

/// A line to find locations for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Lines of the same item have the same number here; what one of them takes is not there for the next.
    pub(super) item: usize,
    pub(super) units: u64,
    /// Where not all can be had, as many as there are, but no fewer than these.
    pub(super) least: u64,
    /// It comes after those that are not.
    pub(super) optional: bool,
    /// What could be had for this line at each location.
    pub(super) available: Vec<u64>,
}

/// From which locations how many units of a line; `None`: too few of it can be had.
pub(super) type Choice = Option<Vec<(usize, u64)>>;

/// Chooses for each line, of which at most `most_parts` come out in all; each line has one at least.
pub(super) fn choose(wanted: &[Wanted], order: &Order, allow_split: bool, most_parts: usize) -> Vec<Choice> {
    let chooser = Chooser {
        wanted,
        locations: wanted.iter().map(|line| line.available.len()).max().unwrap_or(0),
        items: wanted.iter().map(|line| line.item + 1).max().unwrap_or(0),
        allow_split: allow_split || is_on(Mutation::SplitWithoutLeave),
        spare: most_parts.saturating_sub(wanted.len()),
    };
    match order {
        Order::Given(order) => chooser.choose(|_, _| order.clone(), false, |_| true),
        Order::MostStock => chooser.choose(|line, left| most_first(line.available.len(), left), false, |_| true),
        Order::FewestSplits => chooser.choose_fewest(),
    }
}

/// The locations, that with most first; of those with as much in their order.
fn most_first(locations: usize, left: &dyn Fn(usize) -> u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..locations).collect();
    order.sort_by_key(|location| std::cmp::Reverse(left(*location)));
    order
}

struct Chooser<'a> {
    wanted: &'a [Wanted],
    locations: usize,
    items: usize,
    allow_split: bool,
    /// Parts that there may be beyond one for each line.
    spare: usize,
}

impl Chooser<'_> {
    /// Chooses line by line, what is required first, each in the order that is given for it. `whole_first`: a line is split only where
    /// no location has all of it.
    fn choose(
        &self,
        order: impl Fn(&Wanted, &dyn Fn(usize) -> u64) -> Vec<usize>,
        whole_first: bool,
        is_meant: impl Fn(usize) -> bool,
    ) -> Vec<Choice> {
        let mut taken = vec![0_u64; self.items * self.locations];
        let mut spare = self.spare;
        let mut choices = vec![None; self.wanted.len()];
        for optional in [false, true] {
            let lines = self.wanted.iter().enumerate();
            for (at, line) in lines.filter(|(at, line)| line.optional == optional && is_meant(*at)) {
                let row = line.item * self.locations;
                let left = |location: usize| match line.available[location] {
                    NEVER_LESS => NEVER_LESS,
                    available => available.saturating_sub(taken[row + location]),
                };
                let order = order(line, &left);
                let choose = |units: u64| {
                    let whole = || order.iter().find(|at| left(**at) >= units).map(|at| vec![(*at, units)]);
                    let split = || if self.allow_split { split_over(units, &order, &left, 1 + spare) } else { None };
                    if whole_first { whole().or_else(split) } else { split().or_else(whole) }
                };
                let choice = choose(line.units).or_else(|| {
                    let there_is = most_of(&order, &left, if self.allow_split { 1 + spare } else { 1 });
                    if there_is >= line.least { choose(there_is.min(line.units)) } else { None }
                });
                for (location, units) in choice.iter().flatten() {
                    taken[row + location] = taken[row + location].saturating_add(*units);
                }
                spare -= choice.as_ref().map_or(0, |parts| parts.len() - 1);
                choices[at] = choice;
            }
        }
        choices
    }

    fn choose_fewest(&self) -> Vec<Choice> {
        let all: Vec<usize> = (0..self.locations).collect();
        let widest = self.choose(|_, _| all.clone(), true, |_| true);
        let can_be_had: Vec<bool> = widest.iter().map(Option::is_some).collect();
        let useful: Vec<usize> = all.into_iter().filter(|at| self.is_useful(*at, &can_be_had)).collect();
        if !can_be_had.contains(&true) {
            return widest;
        }
        // Fewer locations are no reason for fewer units.
        let as_many = self.wanted.iter().zip(&widest).map(|(line, choice)| {
            let units = choice.as_ref().map_or(line.units, |parts| parts.iter().map(|(_, units)| units).sum());
            Wanted { units, least: units, ..line.clone() }
        });
        let as_many: Vec<Wanted> = as_many.collect();
        let chooser = Chooser { wanted: &as_many, ..*self };
        chooser.choose_set(&useful, &can_be_had).unwrap_or(widest)
    }

    /// A small set of locations that does for the lines that can be had.
    fn choose_set(&self, useful: &[usize], can_be_had: &[bool]) -> Option<Vec<Choice>> {
        let from = |set: &[usize]| {
            let choices = self.choose(|_, _| set.to_vec(), true, |at| can_be_had[at]);
            choices.iter().zip(can_be_had).all(|(choice, can)| choice.is_some() == *can).then_some(choices)
        };
        let smallest = smallest_sets(useful).take(SETS_TRIED).find_map(|set| from(&set));
        smallest.or_else(|| self.grow(useful, can_be_had, from))
    }

    fn is_useful(&self, location: usize, can_be_had: &[bool]) -> bool {
        let lines = self.wanted.iter().zip(can_be_had).filter(|(_, can)| **can);
        lines.map(|(line, _)| line.available[location]).any(|available| available > 0)
    }

    /// A set that does, grown by the location that serves most each time, and then cut back to what is needed of it.
    fn grow(
        &self,
        useful: &[usize],
        can_be_had: &[bool],
        from: impl Fn(&[usize]) -> Option<Vec<Choice>>,
    ) -> Option<Vec<Choice>> {
        let serves = |set: &[usize]| -> (usize, u64) {
            let lines = self.wanted.iter().zip(can_be_had).filter(|(_, can)| **can).map(|(line, _)| line);
            let has = |line: &Wanted| {
                let here = set.iter().map(|at| line.available[*at]);
                let most =
                    if self.allow_split { here.fold(0, u64::saturating_add) } else { here.max().unwrap_or_default() };
                most.min(line.units)
            };
            lines.fold((0, 0), |(whole, units), line| {
                (whole + usize::from(has(line) == line.units), units.saturating_add(has(line)))
            })
        };
        let mut set: Vec<usize> = Vec::new();
        while from(&set).is_none() {
            let more = useful.iter().filter(|at| !set.contains(*at)).copied();
            // Of those that serve as much the first one.
            let best = more.rev().max_by_key(|at| serves(&[set.as_slice(), &[*at]].concat()))?;
            set.insert(set.partition_point(|at| *at < best), best);
        }
        for at in set.clone().into_iter().rev() {
            let without: Vec<usize> = set.iter().copied().filter(|other| *other != at).collect();
            if from(&without).is_some() {
                set = without;
            }
        }
        from(&set)
    }
}

/// The most units that can be had from so many of those locations together, which come in the order in which they are asked.
fn most_of(order: &[usize], left: &dyn Fn(usize) -> u64, parts: usize) -> u64 {
    let there = || order.iter().map(|at| left(*at)).filter(|units| *units > 0);
    let together = there().take(parts).fold(0, u64::saturating_add);
    together.max(there().max().unwrap_or(0))
}

/// Units from one location after the other, in at most so many parts.
fn split_over(units: u64, order: &[usize], left: &dyn Fn(usize) -> u64, most_parts: usize) -> Choice {
    let (mut parts, mut lacking) = (Vec::new(), units);
    for location in order {
        let part = lacking.min(left(*location));
        if part > 0 {
            parts.push((*location, part));
            lacking -= part;
        }
        if lacking == 0 && parts.len() <= most_parts {
            return Some(parts);
        }
    }
    None
}

/// All sets of those locations, the smallest first; of a size in the order of the locations.
fn smallest_sets(of: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    (1..=of.len()).flat_map(move |size| {
        let mut next = Some((0..size).collect::<Vec<usize>>());
        std::iter::from_fn(move || {
            let places = next.take()?;
            next = after(&places, of.len());
            Some(places.into_iter().map(|place| of[place]).collect())
        })
    })
}

/// The next choice of as many places below `below`, in order.
fn after(places: &[usize], below: usize) -> Option<Vec<usize>> {
    let size = places.len();
    let movable = (0..size).rev().find(|at| places[*at] < below - (size - at))?;
    let mut next = places.to_vec();
    let from = next[movable] + 1;
    for (at, place) in next[movable..].iter_mut().enumerate() {
        *place = from + at;
    }
    Some(next)
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
