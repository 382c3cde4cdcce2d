//! The search for an order that explains a history: that of Wing and Gong ("Testing and verifying concurrent objects",
//! 1993), with the pruning of Lowe ("Testing for linearizability", 2017), who remembers the pairs of (what is in order so
//! far, the state it leads to) from which nothing came.
//!
//! What was decided must have its place between call and return; what is unknown may have one anywhere after its call, or
//! none. Time passes between the steps: a hold ends when log time reaches its expiry, which the search cannot see. It
//! bounds the log time of each step by simulated time and tries every order of steps and expiries within the bounds; where
//! an answer tells the log time it takes that.
//!
//! Reads and refusals leave the state as it is. One that fits where the search stands is put there, and nothing else is tried
//! with it: an order that has it later has the same states, and more room for all others, when it is taken to the front. So
//! however many there are at once, only commands that were done, or may have been, and expiries make orders to be tried.

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
    /// A read, or refused: it changes nothing.
    pub(super) is_silent: bool,
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
    /// A step, at any log time that it may have.
    Some(usize),
    /// A step at a log time.
    Step(usize, u64),
    /// The same, and what the expiries until then may have left before it.
    From(usize, State),
}

struct Place {
    state: State,
    ways: Vec<Way>,
    /// What was put in order to come here: a step, and what was absorbed after it.
    came_by: Vec<usize>,
    /// The latest call of a command in order so far.
    called_us: u64,
    /// What comes next is called by then.
    limit_us: u64,
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
    /// How many of what must have a place have one.
    done: usize,
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
        Self {
            model,
            bound,
            steps,
            certain,
            possible,
            in_order,
            done: 0,
            rank,
            open_from: 0,
            seen: BTreeSet::new(),
            most_places,
            too_hard: false,
        }
    }

    /// Puts a step in order, or takes it out again.
    fn set_in_order(&mut self, step: usize, is_in_order: bool) {
        self.in_order[step] = is_in_order;
        if self.steps[step].return_us.is_some() {
            self.done = if is_in_order { self.done + 1 } else { self.done - 1 };
        }
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
        let Some(first) = self.arrive(self.model.beginning(), None, 0, 0) else { return Verdict::Undecided };
        let mut best = (0, Vec::new());
        self.note_best(&mut best);
        let mut places = vec![first];
        while let Some(place) = places.last_mut() {
            if self.done == self.certain.len() {
                return Verdict::Explained;
            }
            let Some(way) = place.ways.pop() else {
                for step in places.pop().map(|place| place.came_by).unwrap_or_default() {
                    self.set_in_order(step, false);
                }
                continue;
            };
            let Some((step, state)) = self.follow(way, place) else { continue };
            let is_command = !self.steps[step].is_read;
            let called_us = if is_command { place.called_us.max(self.steps[step].call_us) } else { place.called_us };
            let hash = place.hash;
            let Some(next) = self.arrive(state, Some(step), called_us, hash) else { continue };
            if self.seen.len() > self.most_places {
                return Verdict::Undecided;
            }
            if self.done > best.0 {
                self.note_best(&mut best);
            }
            places.push(next);
        }
        if self.too_hard {
            return Verdict::Undecided;
        }
        Verdict::Unexplained { in_order: best.0, stuck: best.1 }
    }

    /// Goes a way: the step that is done on it and the state that it leaves. `None`: it splits into others, or the step was
    /// told something else.
    fn follow(&mut self, way: Way, place: &mut Place) -> Option<(usize, State)> {
        match way {
            Way::Some(step) => {
                let moments = self.moments(step, place);
                // The last is tried first.
                place.ways.extend(moments.into_iter().rev().map(|moment| Way::Step(step, moment)));
                None
            }
            Way::Step(step, moment) => {
                match self.model.at(&place.state, moment) {
                    None => self.too_hard = true,
                    Some(states) => place.ways.extend(states.into_iter().rev().map(|state| Way::From(step, state))),
                }
                None
            }
            Way::From(step, mut state) => self.model.step(&mut state, &self.steps[step].step).then_some((step, state)),
        }
    }

    /// The place that a step leads to; `None`, and nothing is changed, where the search has been before.
    fn arrive(&mut self, state: State, by: Option<usize>, called_us: u64, hash: u128) -> Option<Place> {
        let mut came_by = Vec::from_iter(by);
        came_by.iter().for_each(|step| self.set_in_order(*step, true));
        let limit_us = self.absorb(&state, called_us, &mut came_by);
        let hash = came_by.iter().fold(hash, |hash, step| hash ^ xxh3_128(&(*step as u64).to_le_bytes()));
        if !self.seen.insert(with_state(hash, &state)) {
            came_by.iter().for_each(|step| self.set_in_order(*step, false));
            return None;
        }
        let mut next: Vec<usize> = self.candidates(limit_us).collect();
        if next.iter().any(|at| self.steps[*at].log_time.is_some_and(|told| told < state.now)) {
            // Log time has passed the only one at which that step may come.
            came_by.iter().for_each(|step| self.set_in_order(*step, false));
            return None;
        }
        next.sort_by_key(|at| self.likely_at(*at));
        let possible = self.possible.iter().copied();
        next.extend(possible.filter(|at| !self.in_order[*at] && self.steps[*at].call_us <= limit_us));
        // The last is tried first.
        let ways = next.into_iter().rev().map(Way::Some).collect();
        Some(Place { state, ways, came_by, called_us, limit_us, hash })
    }

    /// When a step most likely was done: at the log time that it was told, else shortly before it returned.
    fn likely_at(&self, at: usize) -> Option<u64> {
        let step = &self.steps[at];
        step.log_time.or_else(|| step.return_us.map(|at_us| self.bound.zero_ms.saturating_add(at_us / 1_000)))
    }

    /// Puts in order whatever may come next and leaves the state as it is: reads and refusals that fit at this log time. Gives
    /// the first return of what is left.
    fn absorb(&mut self, state: &State, called_us: u64, came_by: &mut Vec<usize>) -> u64 {
        let is_settled = self.model.is_settled(state);
        loop {
            let limit_us = self.first_return();
            if !is_settled {
                return limit_us;
            }
            let silent: Vec<usize> = self
                .candidates(limit_us)
                .filter(|at| self.steps[*at].is_silent && self.leaves(state, *at, called_us, limit_us))
                .collect();
            if silent.is_empty() {
                return limit_us;
            }
            silent.iter().for_each(|step| self.set_in_order(*step, true));
            came_by.extend(silent);
        }
    }

    /// Whether a step that comes now fits and leaves everything as it is, the log time too: then the call of a command bounds
    /// no later log time either.
    fn leaves(&self, state: &State, at: usize, called_us: u64, limit_us: u64) -> bool {
        let (least, most) = self.log_times(at, state, called_us, limit_us);
        if least > state.now || most < state.now || self.steps[at].log_time.is_some_and(|told| told != state.now) {
            return false;
        }
        let mut after = state.clone();
        self.model.step(&mut after, &self.steps[at].step) && after == *state
    }

    fn note_best(&self, best: &mut (usize, Vec<usize>)) {
        *best = (self.done, self.candidates(self.first_return()).collect());
    }

    /// What must have a place, has none, and may come next.
    fn candidates(&self, limit_us: u64) -> impl Iterator<Item = usize> {
        let open = self.open().iter().copied().take_while(move |at| self.steps[*at].call_us <= limit_us);
        open.filter(|at| !self.in_order[*at])
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

    /// The log times between which a step may come next.
    fn log_times(&self, at: usize, state: &State, called_us: u64, limit_us: u64) -> (u64, u64) {
        let step = &self.steps[at];
        let most = if limit_us == u64::MAX { u64::MAX } else { self.bound.most(limit_us) };
        let least = if step.is_read { 0 } else { self.bound.least(step.call_us.max(called_us)) };
        (least.max(state.now), most)
    }

    /// The log times at which a step may come next: at once, or after a hold more has expired.
    fn moments(&self, at: usize, place: &Place) -> Vec<u64> {
        let (least, most) = self.log_times(at, &place.state, place.called_us, place.limit_us);
        let mut moments = match self.steps[at].log_time {
            Some(told) => vec![told],
            None => [vec![least], self.model.expiries(&place.state, least + 1, most)].concat(),
        };
        moments.retain(|moment| (least..=most).contains(moment));
        moments
    }
}

fn with_state(hash: u128, state: &State) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&hash.to_le_bytes());
    state.hash(&mut hasher);
    hasher.digest128()
}
