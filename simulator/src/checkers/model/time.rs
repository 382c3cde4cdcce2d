//! Time: what is over at a moment of log time, and what may be.

use super::super::limits::CustomerLimit;
use super::{Hold, Model, State, Stock};
use crate::history::{END_OF_LOT_0_MS, Phase};

impl Model {
    /// The log times within `from..=to` at which something may expire, in order.
    #[must_use]
    pub fn expiries(&self, state: &State, from: u64, to: u64) -> Vec<u64> {
        let holds = state.holds.may_expire(to).into_iter().filter_map(|(_, hold)| hold.ends_from());
        let windows = state.stocks.iter().filter_map(|stock| stock.limit.as_ref()).flat_map(CustomerLimit::ends);
        let lot_0 = Self::with_lot_0(state).next().map(|_| END_OF_LOT_0_MS + 1).filter(|at| *at <= to);
        let ends = holds.chain(lot_0).chain(windows.filter(|at| *at <= to));
        let mut at: Vec<u64> = ends.filter(|at| *at >= from).collect();
        at.sort_unstable();
        at.dedup();
        at
    }

    /// The SKUs by lot whose lot 0, if there is any, is not over yet.
    fn with_lot_0(state: &State) -> impl Iterator<Item = usize> {
        let is_open = |stock: &Stock| stock.lots.as_ref().is_some_and(|lots| !lots.is_lot_0_over);
        state.stocks.iter().enumerate().filter(move |(_, stock)| is_open(stock)).map(|(sku, _)| sku)
    }

    /// The states that a moment of log time may find: what is known to be over is over, what nobody knows the end of may be.
    /// `None`: there are too many.
    #[must_use]
    pub fn at(&self, state: &State, now: u64) -> Option<Vec<State>> {
        let now = state.now.max(now);
        if now <= END_OF_LOT_0_MS || Self::with_lot_0(state).next().is_none() {
            return self.after_expiries(state, now);
        }
        // What ended before lot 0 did may have been ended by an entry before the one that found it over, or by that one, which
        // looks at the lots first; and log time may not have been known between them.
        let just_before = state.now.max(END_OF_LOT_0_MS);
        let ends = self.expiries(state, 0, just_before).into_iter().filter(|at| *at > state.now);
        let mut found: Vec<State> = Vec::new();
        for last in ends.chain([state.now]) {
            for mut before in self.after_expiries(state, last)? {
                for sku in Self::with_lot_0(&before).collect::<Vec<_>>() {
                    self.end_lot_0(&mut before, sku);
                }
                for after in self.after_expiries(&before, now)? {
                    if !found.contains(&after) {
                        found.push(after);
                    }
                }
            }
        }
        Some(found)
    }

    /// The same, whatever becomes of lots.
    fn after_expiries(&self, state: &State, now: u64) -> Option<Vec<State>> {
        const MOST: usize = 6;
        let mut state = State { now: state.now.max(now), ..state.clone() };
        let now = state.now;
        let (mut over, mut open) = (Vec::new(), Vec::new());
        for (at, hold) in state.holds.may_expire(now) {
            match hold.ends_by() {
                Some(latest) if latest <= now => over.push(at),
                Some(_) => {}
                None => open.push(at),
            }
        }
        // What one gives back may fill another, so that the order tells: as they are over, the older first.
        over.sort_by_key(|at| {
            let number =
                |hold: &Hold| hold.of_lots.as_ref().map(|it| it.number).or(hold.waits.as_ref().map(|it| it.number));
            state.holds.get(*at).map(|hold| (hold.ends_from(), number(hold)))
        });
        for at in over {
            let phase = state.holds.get(at).map_or(Phase::Expired, Hold::ended_by_time);
            self.give_back(&mut state, at, phase);
        }
        if open.len() > MOST {
            return None;
        }
        let mut states = vec![state];
        for hold in open {
            for at in 0..states.len() {
                let mut expired = states[at].clone();
                self.give_back(&mut expired, hold, Phase::Expired);
                states.push(expired);
            }
        }
        Some(states)
    }

    /// Whether a state may be found as it is at its own log time: nothing is held in it that is known to be over.
    #[must_use]
    pub fn is_settled(&self, state: &State) -> bool {
        state.holds.may_expire(state.now).into_iter().all(|(_, hold)| hold.ends_by().is_none())
    }
}
