//! The search for an order that explains a history: that of Wing and Gong ("Testing and verifying concurrent objects",
//! 1993), with the pruning of Lowe ("Testing for linearizability", 2017), who remembers the pairs of (what is in order so
//! far, the state it leads to) from which nothing came.
//!
//! What was decided must have its place between call and return; what is unknown may have one anywhere after its call, or
//! none. Time passes between the steps: a hold ends when log time reaches its expiry, which the search cannot see. It
//! bounds the log time of each step by simulated time and tries every order of steps and expiries within the bounds; where
//! an answer tells the log time it takes that.

use std::collections::BTreeSet;
use std::hash::Hash;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::LogTimeBound;
use super::model::{Model, State, Step};

/// A step with its bounds.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) step: Step,
    pub(super) call_us: u64,
    /// `None`: it may be done at any time after its call, or never.
    pub(super) return_us: Option<u64>,
    /// The log time that its answer tells.
    pub(super) log_time: Option<u64>,
    /// A read is stamped by what was applied before it; a command by a clock, after its call.
    pub(super) is_read: bool,
}

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is an order.
    Explained,
    /// There is none. The steps that fit nowhere once as many as possible were in order.
    Unexplained { in_order: usize, stuck: Vec<usize> },
    /// The effort allowed was not enough to tell.
    Undecided,
}

/// A way on from a place in the search. What it leads to is worked out when it is tried: most places are left by the first.
enum Way {
    /// A step at a log time.
    Step(usize, u64),
    /// The same, and what the expiries until then may have left before it.
    From(usize, State),
}

struct Place {
    state: State,
    ways: Vec<Way>,
    /// The step that led here; `None` at the beginning.
    came_by: Option<usize>,
    /// The latest call of a command in order so far.
    called_us: u64,
    hash: u128,
}

pub(super) struct Search<'a> {
    model: &'a Model,
    bound: &'a LogTimeBound,
    steps: &'a [Bounded],
    /// By their calls: what must have a place, and what may have one.
    certain: Vec<usize>,
    possible: Vec<usize>,
    in_order: Vec<bool>,
    /// Where each step stands in `certain`; what stands before `open_from` there is in order.
    rank: Vec<usize>,
    open_from: usize,
    seen: BTreeSet<u128>,
    most_places: usize,
    too_hard: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(model: &'a Model, bound: &'a LogTimeBound, steps: &'a [Bounded], most_places: usize) -> Self {
        let mut by_call: Vec<usize> = (0..steps.len()).collect();
        by_call.sort_by_key(|at| steps[*at].call_us);
        let (certain, possible): (Vec<usize>, _) = by_call.into_iter().partition(|at| steps[*at].return_us.is_some());
        let in_order = vec![false; steps.len()];
        let mut rank = vec![usize::MAX; steps.len()];
        for (at, step) in certain.iter().enumerate() {
            rank[*step] = at;
        }
        let (seen, too_hard, open_from) = (BTreeSet::new(), false, 0);
        Self { model, bound, steps, certain, possible, in_order, rank, open_from, seen, most_places, too_hard }
    }

    /// Puts a step in order, or takes it out again.
    fn set_in_order(&mut self, step: usize, is_in_order: bool) {
        self.in_order[step] = is_in_order;
        if !is_in_order {
            self.open_from = self.open_from.min(self.rank[step]);
        }
        while self.certain.get(self.open_from).is_some_and(|at| self.in_order[*at]) {
            self.open_from += 1;
        }
    }

    /// What must have a place, by call, from the first on that has none.
    fn open(&self) -> &[usize] {
        self.certain.get(self.open_from..).unwrap_or_default()
    }

    pub(super) fn run(mut self) -> Verdict {
        let beginning = self.model.beginning();
        let mut best = (0, Vec::new());
        let mut done = 0;
        let first = self.place(beginning, None, 0, 0);
        self.note_best(&mut best, done);
        let mut places = vec![first];
        while let Some(place) = places.last_mut() {
            if done == self.certain.len() {
                return Verdict::Explained;
            }
            let Some(way) = place.ways.pop() else {
                if let Some(step) = places.pop().and_then(|place| place.came_by) {
                    self.set_in_order(step, false);
                    done -= usize::from(self.steps[step].return_us.is_some());
                }
                continue;
            };
            let (step, mut state) = match way {
                Way::From(step, state) => (step, state),
                Way::Step(step, moment) => {
                    match self.model.at(&place.state, moment) {
                        None => self.too_hard = true,
                        // The last is tried first.
                        Some(states) => {
                            place.ways.extend(states.into_iter().rev().map(|state| Way::From(step, state)));
                        }
                    }
                    continue;
                }
            };
            if !self.model.step(&mut state, &self.steps[step].step) {
                continue;
            }
            let hash = place.hash ^ xxh3_128(&(step as u64).to_le_bytes());
            let is_command = !self.steps[step].is_read;
            let called_us = if is_command { place.called_us.max(self.steps[step].call_us) } else { place.called_us };
            if !self.seen.insert(with_state(hash, &state)) {
                continue;
            }
            if self.seen.len() > self.most_places {
                return Verdict::Undecided;
            }
            self.set_in_order(step, true);
            done += usize::from(self.steps[step].return_us.is_some());
            let next = self.place(state, Some(step), called_us, hash);
            if done > best.0 {
                self.note_best(&mut best, done);
            }
            places.push(next);
        }
        if self.too_hard {
            return Verdict::Undecided;
        }
        Verdict::Unexplained { in_order: best.0, stuck: best.1 }
    }

    fn note_best(&self, best: &mut (usize, Vec<usize>), done: usize) {
        let limit = self.first_return();
        let open = self.open().iter().copied().filter(|at| !self.in_order[*at]);
        *best = (done, open.take_while(|at| self.steps[*at].call_us <= limit).collect());
    }

    /// The first return of what is not in order yet: nothing called after it may come before it.
    fn first_return(&self) -> u64 {
        let mut first = u64::MAX;
        for at in self.open().iter().filter(|at| !self.in_order[**at]) {
            let step = &self.steps[*at];
            if step.call_us > first {
                break;
            }
            first = first.min(step.return_us.unwrap_or(u64::MAX));
        }
        first
    }

    /// Every way on from here; the last is tried first.
    fn place(&self, state: State, came_by: Option<usize>, called_us: u64, hash: u128) -> Place {
        let limit = self.first_return();
        let is_open = |at: &usize| !self.in_order[*at] && self.steps[*at].call_us <= limit;
        let mut next: Vec<usize> =
            self.open().iter().copied().take_while(|at| self.steps[*at].call_us <= limit).collect();
        next.retain(is_open);
        // What returned first most likely was done first.
        next.sort_by_key(|at| self.steps[*at].return_us);
        next.extend(self.possible.iter().copied().filter(is_open));
        let mut ways = Vec::new();
        for at in next {
            self.ways_by(at, &state, called_us, limit, &mut ways);
        }
        ways.reverse();
        Place { state, ways, came_by, called_us, hash }
    }

    fn ways_by(&self, at: usize, state: &State, called_us: u64, limit_us: u64, ways: &mut Vec<Way>) {
        let bounded = &self.steps[at];
        let most = if limit_us == u64::MAX { u64::MAX } else { self.bound.most(limit_us) };
        let least = if bounded.is_read { 0 } else { self.bound.least(called_us.max(bounded.call_us)) }.max(state.now);
        let mut moments = match bounded.log_time {
            Some(told) => vec![told],
            None => [vec![least], self.model.expiries(state, least + 1, most)].concat(),
        };
        moments.retain(|moment| (least..=most).contains(moment));
        ways.extend(moments.into_iter().map(|moment| Way::Step(at, moment)));
    }
}

fn with_state(hash: u128, state: &State) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&hash.to_le_bytes());
    state.hash(&mut hasher);
    hasher.digest128()
}
