//! What each command does to a state.

use super::super::lots::{HoldOfLots, Lots};
use super::super::told::{Expires, Refusal, Told, told_fits};
use super::{Act, Hold, Model, State, Stock};
use crate::history::{Done, END_OF_LOT_0_MS, Phase};

impl Model {
    /// Whether an extension was right to change nothing: the hold expired no earlier than it asked for.
    pub(super) fn stays(&self, state: &mut State, at: usize, ttl_ms: u64, done: &Done) -> bool {
        let asked = state.now + ttl_ms;
        let told = self.told_of_hold(state, at);
        holding(state, at).is_ok() && done.expires_at_ms >= asked && told_fits(state, &told, done)
    }

    pub(super) fn give_back(&self, state: &mut State, at: usize, phase: Phase) {
        let Some(hold) = state.holds.get_mut(at) else { return };
        if hold.of_lots.is_some() {
            self.give_back_lots(state, at, phase);
            return;
        }
        if hold.waits.is_some() {
            self.give_back_waiting(state, at, phase);
            return;
        }
        let before = hold.phase;
        (hold.phase, hold.revision) = (phase, hold.revision + 1);
        let (lines, customer, made_at) = (hold.lines, hold.customer, hold.made_at);
        self.change_stocks(state, lines, |stock, units| {
            match before {
                Phase::Held => stock.reserved -= units,
                Phase::Committed => stock.committed -= units,
                Phase::Fulfilled | Phase::Cancelled | Phase::Released | Phase::Expired => return,
            }
            if let Some(limit) = &mut stock.limit {
                limit.give_back(customer, made_at, units);
            }
        });
    }

    /// Changes each SKU of the lines, whose revision rises once however many lines it has.
    pub(in crate::checkers) fn change_stocks(&self, state: &mut State, lines: usize, change: impl Fn(&mut Stock, u64)) {
        let lines = &self.lines[lines].lines;
        for (at, line) in lines.iter().enumerate() {
            let stock = &mut state.stocks[line.sku];
            change(stock, line.units);
            if !lines[..at].iter().any(|other| other.sku == line.sku) {
                stock.revision += 1;
            }
        }
    }

    /// Does one command at the state's log time. `is_exact`: the log time is that of the command, so that the expiry of what
    /// it reserves is known; else it is only a lower bound.
    pub(super) fn apply(&self, state: &mut State, act: &Act, is_exact: bool) -> Result<Told, Refusal> {
        match act {
            Act::PutItem { sku, by_lot } => {
                let is_lot_0_over = state.now > END_OF_LOT_0_MS;
                let stock = &mut state.stocks[*sku];
                stock.exists = true;
                if *by_lot && stock.lots.is_none() {
                    stock.lots = Some(Lots::empty(is_lot_0_over));
                }
                Ok(Told::default())
            }
            Act::PutTerms { sku, terms } => {
                state.stocks[*sku].exists = true;
                Ok(self.put_terms(state, *sku, *terms))
            }
            Act::ReceiveLot { sku, lot, units } => {
                let stock = existing(state, *sku)?;
                stock.on_hand += units;
                stock.received += units;
                stock.revision += 1;
                stock.lots.get_or_insert_default().receive(*lot, *units);
                self.settle(state, *sku);
                Ok(Told::of_stock(&state.stocks[*sku]))
            }
            Act::Block { sku, lot, is_blocked } => {
                existing(state, *sku)?;
                let revision = self.block(state, *sku, *lot, *is_blocked).ok_or(Refusal::UnknownLot)?;
                Ok(Told { revision: Some(revision), atp_after: Some(0), ..Told::default() })
            }
            Act::Receive { sku, units } => {
                let stock = existing(state, *sku)?;
                stock.on_hand += units;
                stock.received += units;
                stock.revision += 1;
                self.fill(state, *sku);
                Ok(Told::of_stock(&state.stocks[*sku]))
            }
            Act::Set { sku, on_hand, if_revision } => {
                let stock = existing(state, *sku)?;
                if stock.revision != *if_revision {
                    return Err(Refusal::RevisionMismatch { actual: stock.revision });
                }
                let gone = stock.on_hand.saturating_sub(*on_hand);
                if gone > stock.free() {
                    return Err(Refusal::InsufficientStock { line: 0, available: stock.free() });
                }
                stock.adjusted += *on_hand as i64 - stock.on_hand as i64;
                stock.on_hand = *on_hand;
                stock.revision += 1;
                Ok(Told::of_stock(stock))
            }
            Act::Underway(act) => self.apply_underway(state, act),
            Act::PutLimit { sku, units, window_ms } => put_limit(existing(state, *sku)?, *units, *window_ms),
            Act::Reserve { hold, lines, ttl_ms, customer } => {
                self.reserve(state, *hold, *lines, (*ttl_ms, is_exact), *customer)
            }
            Act::Counting(act) => self.apply_counting(state, act),
            Act::Ship { hold, units } => self.ship(state, *hold, *units),
            Act::Extend { hold: at, ttl_ms } => {
                let now = state.now;
                let hold = holding(state, *at)?;
                hold.revision += 1;
                // The log time is only bounded here.
                (hold.earliest, hold.latest) = ((hold.earliest + 1).max(now + ttl_ms), None);
                Ok(self.told_of_hold(state, *at))
            }
            Act::Commit { hold, how } => self.commit(state, *hold, *how),
            Act::Release { hold } => {
                holding(state, *hold)?;
                self.give_back(state, *hold, Phase::Released);
                Ok(self.told_of_hold(state, *hold))
            }
            Act::Fulfil { hold: at } => {
                let hold = Some(live(state, *at)?).filter(|hold| !hold.is_held()).ok_or(Refusal::ExceedsHeld)?;
                if hold.waits.is_some() {
                    self.fulfil_waiting(state, *at)?;
                    return Ok(self.told_of_hold(state, *at));
                }
                (hold.phase, hold.revision) = (Phase::Fulfilled, hold.revision + 1);
                let lines = hold.lines;
                self.change_stocks(state, lines, |stock, units| {
                    stock.ship(units);
                });
                Ok(self.told_of_hold(state, *at))
            }
            Act::Cancel { hold: at } => {
                let phase = match live(state, *at)?.phase {
                    Phase::Held => Phase::Released,
                    _ => Phase::Cancelled,
                };
                self.give_back(state, *at, phase);
                Ok(self.told_of_hold(state, *at))
            }
        }
    }

    fn ship(&self, state: &mut State, at: usize, units: u64) -> Result<Told, Refusal> {
        if live(state, at)?.phase == Phase::Held || !self.ship_lots(state, at, units) {
            return Err(Refusal::ExceedsHeld);
        }
        Ok(self.told_of_hold(state, at))
    }

    fn reserve(
        &self,
        state: &mut State,
        at: usize,
        lines: usize,
        (ttl_ms, is_exact): (u64, bool),
        customer: u8,
    ) -> Result<Told, Refusal> {
        if state.holds.get(at).is_some() {
            return Err(Refusal::Exists);
        }
        let asked = &self.lines[lines].lines;
        if asked.iter().any(|line| !state.stocks[line.sku].exists) {
            return Err(Refusal::UnknownSku);
        }
        // Only reservations of one line are taken of what may be promised without stock.
        let waits = match asked.first() {
            Some(line) => Self::promise(state, line.sku, line.number, line.units)?,
            None => None,
        };
        for (number, line) in asked.iter().enumerate().filter(|_| waits.is_none()) {
            let before = asked[..number].iter().filter(|other| other.sku == line.sku);
            let units = before.map(|other| other.units).sum::<u64>() + line.units;
            if let Some(limit) = &state.stocks[line.sku].limit {
                limit.check(customer, units, line.number, state.now)?;
            }
            let available = state.stocks[line.sku].atp();
            if units > available {
                return Err(Refusal::InsufficientStock { line: line.number, available });
            }
        }
        let made_at = Some(state.now).filter(|_| is_exact);
        if waits.is_none() {
            self.change_stocks(state, lines, |stock, units| {
                stock.reserved += units;
                if let Some(limit) = &mut stock.limit {
                    limit.take(customer, made_at, units);
                }
            });
        }
        let earliest = state.now + ttl_ms;
        let latest = is_exact.then_some(earliest);
        let of_lots = asked.first().filter(|line| state.stocks[line.sku].lots.is_some()).map(|line| {
            state.made += 1;
            HoldOfLots::new(line.sku, line.units, state.made)
        });
        let hold = Hold {
            phase: Phase::Held,
            revision: 1,
            lines,
            customer,
            earliest,
            latest,
            of_lots,
            waits,
            cancel_at: None,
            made_at,
        };
        state.holds.put(at, hold);
        Ok(Told { backordered: Self::waits_of(state, at), ..self.told_of_hold(state, at) })
    }

    pub(in crate::checkers) fn told_of_hold(&self, state: &State, at: usize) -> Told {
        let Some(hold) = state.holds.get(at) else { return Told::default() };
        let expires = match (hold.phase, hold.latest) {
            (Phase::Held, Some(latest)) => Expires::At(latest),
            (Phase::Held, None) => Expires::Unknown(hold.earliest),
            _ => Expires::Never,
        };
        let first = self.lines[hold.lines].first;
        Told {
            revision: Some(hold.revision),
            atp_after: first.map(|sku| state.stocks[sku].atp()),
            expires,
            phase: Some(hold.phase),
            hold: Some(at),
            backordered: 0,
        }
    }
}

fn put_limit(stock: &mut Stock, units: u64, window_ms: Option<u64>) -> Result<Told, Refusal> {
    let revision = stock.limit.get_or_insert_default().put(units, window_ms);
    Ok(Told { revision: Some(revision), ..Told::default() })
}

pub(super) fn has_revision(state: &State, at: usize, revision: u64) -> bool {
    state.holds.get(at).is_some_and(|hold| hold.revision == revision)
}

pub(in crate::checkers) fn existing(state: &mut State, sku: usize) -> Result<&mut Stock, Refusal> {
    Some(&mut state.stocks[sku]).filter(|stock| stock.exists).ok_or(Refusal::UnknownSku)
}

/// What is held or committed.
fn live(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
    unless_gone(state, at, &[Phase::Held, Phase::Committed])
}

pub(in crate::checkers) fn holding(state: &mut State, at: usize) -> Result<&mut Hold, Refusal> {
    unless_gone(state, at, &[Phase::Held])
}

/// A hold to be changed, where it is in one of these phases: what is only looked at stays shared.
fn unless_gone<'a>(state: &'a mut State, at: usize, phases: &[Phase]) -> Result<&'a mut Hold, Refusal> {
    let hold = state.holds.get(at).ok_or(Refusal::ReservationNotFound)?;
    if !phases.contains(&hold.phase) {
        let at = hold.latest.filter(|_| hold.phase != Phase::Committed);
        return Err(Refusal::Gone(hold.phase, at));
    }
    state.holds.get_mut(at).ok_or(Refusal::ReservationNotFound)
}
