//! The model's stock by lot: reservations of one line, bound to lots when they are sold, and lots that are blocked beneath them.
//!
//! No lot leaves sale in a run, so that a need of life plays no part: the lots stand in the order in which they would.

use super::model::{Model, State};
use crate::history::{LineSeen, Phase};

/// One lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Lot {
    number: u8,
    on_hand: u64,
    committed: u64,
    is_blocked: bool,
    revision: u64,
}

/// The lots of one SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Lots {
    /// By number, which is the order in which they are sold.
    lots: Vec<Lot>,
    /// Promised, and the stock went away.
    pub(super) short: u64,
}

/// What a reservation of one line has of lots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HoldOfLots {
    sku: usize,
    /// The how-manieth it is.
    pub(super) number: u64,
    held: u64,
    short: u64,
    short_sold: u64,
    /// Sold, by lot, in the order in which they were bound.
    bound: Vec<(u8, u64)>,
    shipped: u64,
}

impl Lots {
    /// What is bound by nobody and may be sold.
    pub(super) fn free(&self) -> u64 {
        self.lots.iter().filter(|lot| !lot.is_blocked).map(|lot| lot.on_hand - lot.committed).sum()
    }

    pub(super) fn receive(&mut self, number: u8, units: u64) {
        match self.lots.iter_mut().find(|lot| lot.number == number) {
            Some(lot) => lot.on_hand += units,
            None => {
                self.lots.push(Lot { number, on_hand: units, committed: 0, is_blocked: false, revision: 1 });
                self.lots.sort_by_key(|lot| lot.number);
            }
        }
    }

    /// What of one lot is bound by nobody and may be sold.
    pub(super) fn free_of(&self, number: u8) -> u64 {
        let found = self.lots.iter().find(|lot| lot.number == number && !lot.is_blocked);
        found.map_or(0, |lot| lot.on_hand - lot.committed)
    }

    /// Everything that lies of one lot.
    pub(super) fn on_hand_of(&self, number: u8) -> u64 {
        self.lots.iter().find(|lot| lot.number == number).map_or(0, |lot| lot.on_hand)
    }

    /// What of one lot is sold to nobody, may it be sold or not.
    pub(super) fn unsold_of(&self, number: u8) -> u64 {
        self.lots.iter().find(|lot| lot.number == number).map_or(0, |lot| lot.on_hand - lot.committed)
    }

    /// The lots of which something lies there.
    pub(super) fn with_units(&self) -> Vec<u8> {
        self.lots.iter().filter(|lot| lot.on_hand > 0).map(|lot| lot.number).collect()
    }

    /// Units of a lot leave.
    pub(super) fn send(&mut self, number: u8, units: u64) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.number == number) {
            lot.on_hand -= units;
        }
    }

    /// Sells up to so many units of the lots that leave sale first.
    fn bind(&mut self, units: u64) -> Vec<(u8, u64)> {
        let (mut left, mut bound) = (units, Vec::new());
        for lot in self.lots.iter_mut().filter(|lot| !lot.is_blocked) {
            let part = left.min(lot.on_hand - lot.committed);
            if part > 0 {
                (lot.committed, left) = (lot.committed + part, left - part);
                bound.push((lot.number, part));
            }
        }
        bound
    }

    fn unbind(&mut self, number: u8, units: u64) {
        if let Some(lot) = self.lots.iter_mut().find(|lot| lot.number == number) {
            lot.committed -= units;
        }
    }
}

impl HoldOfLots {
    pub(super) fn new(sku: usize, units: u64, number: u64) -> Self {
        Self { sku, number, held: units, short: 0, short_sold: 0, bound: Vec::new(), shipped: 0 }
    }

    fn sold(&self) -> u64 {
        self.bound.iter().map(|(_, units)| units).sum()
    }

    fn bind(&mut self, bound: Vec<(u8, u64)>) {
        for (lot, units) in bound {
            match self.bound.iter_mut().find(|(known, _)| *known == lot) {
                Some((_, known)) => *known += units,
                None => self.bound.push((lot, units)),
            }
        }
    }

    /// Whether this is what was seen of its line.
    pub(super) fn fits(&self, phase: Phase, units: u64, seen: &LineSeen) -> bool {
        let mut bound = self.bound.clone();
        let mut lots = seen.lots.clone();
        // A lot that was given back and bound again keeps its place, which is not for the model to know.
        bound.sort_unstable();
        lots.sort_unstable();
        let is_over = matches!(phase, Phase::Cancelled | Phase::Released | Phase::Expired);
        (seen.held, seen.committed, seen.fulfilled) == (self.held, self.sold(), self.shipped)
            && (seen.short, seen.given_back) == (self.short + self.short_sold, if is_over { units } else { 0 })
            && lots == bound
    }
}

impl Model {
    /// The reservations of a SKU by lot that have not ended, oldest first.
    fn of_sku(state: &State, sku: usize) -> Vec<usize> {
        let mut found: Vec<(u64, usize)> = Vec::new();
        state.holds.each(|at, hold| {
            if let Some(of_lots) = hold.of_lots.as_ref().filter(|of_lots| of_lots.sku == sku)
                && matches!(hold.phase, Phase::Held | Phase::Committed)
            {
                found.push((of_lots.number, at));
            }
        });
        found.sort_unstable();
        found.into_iter().map(|(_, at)| at).collect()
    }

    /// Changes a reservation and its SKU, and counts that in both.
    fn change_lots(state: &mut State, at: usize, change: impl FnOnce(&mut HoldOfLots, &mut Lots, &mut u64)) {
        let Some(hold) = state.holds.get_mut(at) else { return };
        let Some(of_lots) = &mut hold.of_lots else { return };
        let stock = &mut state.stocks[of_lots.sku];
        let Some(lots) = &mut stock.lots else { return };
        change(of_lots, lots, &mut stock.reserved);
        hold.revision += 1;
        stock.revision += 1;
        stock.committed = lots.lots.iter().map(|lot| lot.committed).sum();
    }

    /// Gives a lot another status; its revision, or `None` where it is not known.
    pub(super) fn block(&self, state: &mut State, sku: usize, number: u8, is_blocked: bool) -> Option<u64> {
        let lots = &mut state.stocks[sku].lots.as_mut()?.lots;
        let lot = lots.iter_mut().find(|lot| lot.number == number)?;
        if lot.is_blocked == is_blocked {
            return Some(lot.revision);
        }
        (lot.is_blocked, lot.revision) = (is_blocked, lot.revision + 1);
        let revision = lot.revision;
        for at in Self::of_sku(state, sku).into_iter().filter(|_| is_blocked) {
            let sold = |of_lots: &HoldOfLots| of_lots.bound.iter().any(|(lot, _)| *lot == number);
            if state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).is_some_and(sold) {
                Self::change_lots(state, at, |of_lots, lots, _| {
                    let sold: u64 =
                        of_lots.bound.iter().filter(|(lot, _)| *lot == number).map(|(_, units)| units).sum();
                    of_lots.bound.retain(|(lot, _)| *lot != number);
                    lots.unbind(number, sold);
                    of_lots.short_sold += sold;
                    lots.short += sold;
                });
            }
        }
        self.settle(state, sku);
        Some(revision)
    }

    /// Orders get what they lack, then holds keep what is left, the oldest first.
    pub(super) fn settle(&self, state: &mut State, sku: usize) {
        let unpaid_and_paid = Self::of_sku(state, sku);
        let of = |state: &State, at: usize| state.holds.get(at).and_then(|hold| hold.of_lots.clone());
        for &at in &unpaid_and_paid {
            let Some(of_lots) = of(state, at).filter(|of_lots| of_lots.short_sold > 0) else { continue };
            let free = state.stocks[sku].lots.as_ref().map_or(0, Lots::free);
            if free > 0 {
                Self::change_lots(state, at, |kept, lots, _| {
                    let found = lots.bind(of_lots.short_sold);
                    let units: u64 = found.iter().map(|(_, units)| units).sum();
                    kept.bind(found);
                    kept.short_sold -= units;
                    lots.short -= units;
                });
            }
        }
        for &at in unpaid_and_paid.iter().rev() {
            let stock = &state.stocks[sku];
            let lack = stock.reserved.saturating_sub(stock.lots.as_ref().map_or(0, Lots::free));
            let units = of(state, at).map_or(0, |of_lots| of_lots.held.min(lack));
            if units > 0 {
                Self::change_lots(state, at, |of_lots, lots, reserved| {
                    (of_lots.held, of_lots.short) = (of_lots.held - units, of_lots.short + units);
                    (*reserved, lots.short) = (*reserved - units, lots.short + units);
                });
            }
        }
        for &at in &unpaid_and_paid {
            let stock = &state.stocks[sku];
            let left = stock.lots.as_ref().map_or(0, Lots::free).saturating_sub(stock.reserved);
            let units = of(state, at).map_or(0, |of_lots| of_lots.short.min(left));
            if units > 0 {
                Self::change_lots(state, at, |of_lots, lots, reserved| {
                    (of_lots.held, of_lots.short) = (of_lots.held + units, of_lots.short - units);
                    (*reserved, lots.short) = (*reserved + units, lots.short - units);
                });
            }
        }
    }

    /// Sells what is held; refused with what is short of it.
    pub(super) fn commit_lots(&self, state: &mut State, at: usize) -> Result<(), u64> {
        let short = state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).map_or(0, |of_lots| of_lots.short);
        if short > 0 {
            return Err(short);
        }
        Self::change_lots(state, at, |of_lots, lots, reserved| {
            let units = std::mem::take(&mut of_lots.held);
            *reserved -= units;
            of_lots.bind(lots.bind(units));
        });
        if let Some(hold) = state.holds.get_mut(at) {
            hold.phase = Phase::Committed;
        }
        Ok(())
    }

    /// Ships so many units, all or none. False: fewer are sold and there.
    pub(super) fn ship_lots(&self, state: &mut State, at: usize, units: u64) -> bool {
        let sold = state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).map_or(0, HoldOfLots::sold);
        if sold < units {
            return false;
        }
        Self::change_lots(state, at, |of_lots, lots, _| {
            for (lot, units) in std::mem::take(&mut of_lots.bound) {
                lots.unbind(lot, units);
                lots.send(lot, units);
            }
            of_lots.shipped = units;
        });
        let Some(hold) = state.holds.get_mut(at) else { return false };
        hold.phase = Phase::Fulfilled;
        if let Some(of_lots) = &hold.of_lots {
            let stock = &mut state.stocks[of_lots.sku];
            (stock.on_hand, stock.shipped) = (stock.on_hand - units, stock.shipped + units);
        }
        true
    }

    /// What each reservation of a SKU lacks, held and sold, the oldest first.
    pub(super) fn lacking(state: &State, sku: usize) -> Vec<(usize, (u64, u64))> {
        let of = |at: usize| state.holds.get(at).and_then(|hold| hold.of_lots.as_ref());
        let lacking = |at: usize| of(at).map_or((0, 0), |of_lots| (of_lots.short, of_lots.short_sold));
        Self::of_sku(state, sku).into_iter().map(|at| (at, lacking(at))).collect()
    }

    /// Takes so many held units back, of the newest holds first.
    pub(super) fn shorten_held(&self, state: &mut State, sku: usize, mut lack: u64, is_counted: &mut bool) {
        for at in Self::of_sku(state, sku).into_iter().rev() {
            let held = state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).map_or(0, |of_lots| of_lots.held);
            let units = held.min(lack);
            if units > 0 {
                Self::change_lots(state, at, |of_lots, lots, reserved| {
                    (of_lots.held, of_lots.short) = (of_lots.held - units, of_lots.short + units);
                    (*reserved, lots.short) = (*reserved - units, lots.short + units);
                });
                state.stocks[sku].revision -= u64::from(std::mem::take(is_counted));
                lack -= units;
            }
        }
    }

    /// Takes so many units of a lot back that are sold, of the newest orders first.
    pub(super) fn shorten_sold(&self, state: &mut State, sku: usize, lot: u8, mut lack: u64, is_counted: &mut bool) {
        for at in Self::of_sku(state, sku).into_iter().rev() {
            let of_lots = state.holds.get(at).and_then(|hold| hold.of_lots.as_ref());
            let bound = of_lots.and_then(|of_lots| of_lots.bound.iter().find(|(bound, _)| *bound == lot));
            let units = bound.map_or(0, |(_, units)| *units).min(lack);
            if units > 0 {
                Self::change_lots(state, at, |of_lots, lots, _| {
                    of_lots.bound.iter_mut().filter(|(bound, _)| *bound == lot).for_each(|(_, left)| *left -= units);
                    of_lots.bound.retain(|(_, left)| *left > 0);
                    lots.unbind(lot, units);
                    of_lots.short_sold += units;
                    lots.short += units;
                });
                state.stocks[sku].revision -= u64::from(std::mem::take(is_counted));
                lack -= units;
            }
        }
    }

    pub(super) fn give_back_lots(&self, state: &mut State, at: usize, phase: Phase) {
        let sku = state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).map(|of_lots| of_lots.sku);
        let is_short_only = |of_lots: &HoldOfLots| of_lots.held == 0 && of_lots.bound.is_empty();
        let changes_stock = !state.holds.get(at).and_then(|hold| hold.of_lots.as_ref()).is_some_and(is_short_only);
        Self::change_lots(state, at, |of_lots, lots, reserved| {
            *reserved -= std::mem::take(&mut of_lots.held);
            lots.short -= std::mem::take(&mut of_lots.short) + std::mem::take(&mut of_lots.short_sold);
            for (lot, units) in std::mem::take(&mut of_lots.bound) {
                lots.unbind(lot, units);
            }
        });
        if let Some(hold) = state.holds.get_mut(at) {
            hold.phase = phase;
        }
        if let Some(sku) = sku {
            if !changes_stock {
                // Nothing of what lies there has changed.
                state.stocks[sku].revision -= 1;
            }
            self.settle(state, sku);
        }
    }
}
