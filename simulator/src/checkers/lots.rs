//! The model's stock by lot: reservations of one line, bound to lots when they are sold, and lots that are blocked beneath them.
//!
//! The lots stand in the order in which they leave sale. Only lot 0 does in a run, and expires at the same instant: what is sold of it
//! and not shipped gets units of the others, or is short.

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
    /// Lot 0 is past its date.
    pub(super) is_lot_0_over: bool,
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
    /// None yet; whether lot 0 would be past its date.
    pub(super) fn empty(is_lot_0_over: bool) -> Self {
        Self { is_lot_0_over, ..Self::default() }
    }

    /// What is bound by nobody and may be sold.
    pub(super) fn free(&self) -> u64 {
        self.lots.iter().filter(|lot| self.may_be_sold(lot)).map(|lot| lot.on_hand - lot.committed).sum()
    }

    fn may_be_sold(&self, lot: &Lot) -> bool {
        !lot.is_blocked && (lot.number != 0 || !self.is_lot_0_over)
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
        let found = self.lots.iter().find(|lot| lot.number == number && self.may_be_sold(lot));
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
        let is_lot_0_over = self.is_lot_0_over;
        for lot in self.lots.iter_mut().filter(|lot| !lot.is_blocked && (lot.number != 0 || !is_lot_0_over)) {
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
        if is_blocked {
            Self::withdraw_sold(state, sku, number);
        }
        self.settle(state, sku);
        Some(revision)
    }

    /// The date of lot 0 has passed: it leaves sale, then what is sold of it is not there any more.
    pub(super) fn end_lot_0(&self, state: &mut State, sku: usize) {
        let Some(lots) = &mut state.stocks[sku].lots else { return };
        lots.is_lot_0_over = true;
        if !lots.lots.iter().any(|lot| lot.number == 0) {
            return;
        }
        self.settle(state, sku);
        Self::withdraw_sold(state, sku, 0);
        self.settle(state, sku);
    }

    /// What is sold of a lot, and not shipped, is not there any more.
    fn withdraw_sold(state: &mut State, sku: usize, number: u8) {
        for at in Self::of_sku(state, sku) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::linearizable::{Effort, check};
    use crate::checkers::stories::{BOUND, Story, commit, done, held, phase, refused, reserve};
    use crate::history::{END_OF_LOT_0_MS as END, Id, Outcome, Request};

    const SKU: &str = "BATCH";
    const TTL_MS: u64 = 10_000;

    fn receive(lot: u8, units: u32) -> Request {
        Request::ReceiveLot { sku: SKU.to_owned(), lot, units }
    }

    /// Two units of lot 0 and two of another, of which three are sold just before the last day of lot 0 ends.
    fn sold() -> Story {
        Story::default()
            .command(1, END - 100, END - 99, Request::PutItemByLot { sku: SKU.to_owned() }, done(1, 0))
            .command(2, END - 90, END - 89, receive(0, 2), done(1, 2))
            .command(3, END - 80, END - 79, receive(1, 2), done(2, 4))
            .command(4, END - 70, END - 69, reserve(4, SKU, 3), held(1, 1, END - 70 + TTL_MS))
            .command(5, END - 60, END - 59, commit(4), phase(2, 1, Phase::Committed))
    }

    fn is_good(story: &Story) -> bool {
        check(&story.0, &BOUND, &Effort::default()).is_empty()
    }

    #[test]
    fn what_is_sold_of_a_lot_that_expires_gets_units_of_the_next_one_and_nothing_of_it_is_sold_after() {
        let asks = |call, back, outcome| is_good(&sold().command(6, call, back, reserve(6, SKU, 1), outcome));
        let none = || refused("INSUFFICIENT_STOCK", &[("available", 0)]);
        let one = |at| held(1, 0, at + TTL_MS);
        assert!(asks(END - 1, END, one(END)) && !asks(END - 1, END, none()));
        assert!(asks(END + 1, END + 2, none()) && !asks(END + 1, END + 2, one(END + 1)));
        // Around that instant either may be.
        assert!(asks(END - 5, END + 20, none()) && asks(END - 5, END + 20, one(END - 5)));
        assert!(!asks(END - 5, END + 20, one(END + 1)));
    }

    #[test]
    fn what_it_leaves_short_is_filled_first_and_shipped() {
        let ship = |units| Request::Ship { reservation: Id(4), units };
        let early = |outcome: Outcome| is_good(&sold().command(6, END - 9, END - 8, ship(3), outcome));
        assert!(early(phase(3, 1, Phase::Fulfilled)));
        let late = |outcome: Outcome| is_good(&sold().command(6, END + 9, END + 10, ship(3), outcome));
        assert!(!late(phase(3, 1, Phase::Fulfilled)), "shipped when it was past its date");
        let filled = |atp| sold().command(6, END + 11, END + 12, receive(1, 1), done(8, atp));
        assert!(is_good(&filled(0)) && !is_good(&filled(1)));
        assert!(is_good(&filled(0).command(7, END + 20, END + 21, ship(3), phase(6, 0, Phase::Fulfilled))));
        assert!(!is_good(&sold().command(6, END + 11, END + 12, receive(0, 1), done(7, 1))), "it does not come back");
    }
}
