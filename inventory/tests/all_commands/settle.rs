//! The model's promises and stock brought together: what is short, what is filled, in which order, and what time ends.

use std::collections::BTreeSet;

use holdfast_inventory::{Condition, LotId};

use crate::campaigns::Campaign;
use crate::model::{Line, Model, NEVER, Place, sold, unsold};

/// What of a reservation is given back, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum GiveBack {
    Expire,
    Release,
    CancelSold,
    CancelAll,
}

impl Model {
    /// Changes a line in place.
    pub fn line(&mut self, at: (usize, usize)) -> &mut Line {
        &mut self.holds[at.0].lines[at.1]
    }

    /// The lines at a place for which it holds, the oldest first.
    fn lines_where(&self, place: &Place, of: impl Fn(&Line) -> u64) -> Vec<(usize, usize)> {
        let lines = self
            .holds
            .iter()
            .enumerate()
            .flat_map(|(hold, it)| it.lines.iter().enumerate().map(move |(number, line)| ((hold, number), line)));
        lines.filter(|(_, line)| line.counted && line.is_at(place) && of(line) > 0).map(|(at, _)| at).collect()
    }

    /// Short orders are filled, then holds that cannot be kept become short, then short holds are filled, paid backorders,
    /// unpaid ones; each the oldest first, and who becomes short the newest first.
    pub fn settle(&mut self) {
        let lines = self.holds.iter().flat_map(|hold| &hold.lines);
        let in_question = |line: &&Line| {
            let units = &line.units;
            let waits = units.short + units.short_sold + units.backordered + units.backordered_sold;
            line.counted && (waits > 0 || (line.by_lot && units.held > 0))
        };
        let places: BTreeSet<Place> = lines.filter(in_question).map(Line::place).collect();
        for place in &places {
            self.fill_orders(place);
            self.shorten_holds_at(place);
            self.fill_holds(place);
            self.fill_backorders(place);
        }
    }

    fn fill_orders(&mut self, place: &Place) {
        for at in self.lines_where(place, |line| line.units.short_sold) {
            let line = self.line(at).clone();
            let lack = line.units.short_sold;
            let found = match &line.named {
                _ if !line.by_lot => vec![(None, lack.min(self.free(place, None)))],
                // Also of what holds that are not paid were to get.
                Some(lot) => {
                    let free = self.shelf(place).into_iter().find(|(id, ..)| id == lot).map_or(0, |(_, _, free)| free);
                    vec![(Some(lot.clone()), lack.min(free))]
                }
                None => self.bind(place, line.need, lack),
            };
            for (lot, units) in found {
                let line = self.line(at);
                line.units.short_sold -= units;
                line.commit(&[(lot, units)]);
            }
        }
    }

    fn shorten_holds_at(&mut self, place: &Place) {
        let late =
            self.lines_where(place, |line| if line.by_lot && line.named.is_none() { line.units.held } else { 0 });
        // The newest reservation first, its lines in their order.
        let mut newest_first = late;
        newest_first.sort_by_key(|(hold, number)| (std::cmp::Reverse(*hold), *number));
        for at in newest_first {
            if self.lack_of(place, NEVER) == 0 {
                return;
            }
            let (need, held) = (self.line(at).need, self.line(at).units.held);
            let units = held.min(self.lack_of(place, need));
            self.line(at).become_short(units);
        }
    }

    fn fill_holds(&mut self, place: &Place) {
        for at in self.lines_where(place, |line| line.units.short) {
            let line = self.line(at).clone();
            let left = match &line.named {
                Some(lot) => self.left_of(place, lot),
                None => self.left_for(place, line.need),
            };
            let units = line.units.short.min(left);
            self.line(at).units.short -= units;
            self.line(at).units.held += units;
        }
    }

    fn fill_backorders(&mut self, place: &Place) {
        for is_sold in [true, false] {
            let waits = |line: &Line| if is_sold { line.units.backordered_sold } else { line.units.backordered };
            for at in self.lines_where(place, waits) {
                let above = self.left_for(place, 0).saturating_sub(self.kept_back(place));
                let line = self.line(at).clone();
                let left = match &line.named {
                    Some(lot) => self.left_of(place, lot),
                    None => self.left_for(place, line.need),
                };
                let units = waits(&line).min(left).min(above);
                if is_sold {
                    let bound = self.bind_line(&line, units);
                    self.line(at).units.backordered_sold -= units;
                    self.line(at).commit(&bound);
                } else {
                    self.line(at).units.backordered -= units;
                    self.line(at).units.held += units;
                }
            }
        }
    }

    /// Takes units that are sellable at that instant, first expired first out.
    fn bind(&self, place: &Place, need: u64, units: u64) -> Vec<(Option<LotId>, u64)> {
        let mut left = units;
        let lots = self.shelf(place).into_iter().filter(|(_, removal_at, free)| *removal_at >= need && *free > 0);
        let take = |(lot, _, free): (LotId, u64, u64)| {
            let part = left.min(free);
            left -= part;
            (part > 0).then_some((Some(lot), part))
        };
        lots.filter_map(take).collect()
    }

    /// The lots that units of a line are sold of.
    fn bind_line(&self, line: &Line, units: u64) -> Vec<(Option<LotId>, u64)> {
        match &line.named {
            _ if units == 0 => Vec::new(),
            _ if !line.by_lot || !line.counted => vec![(None, units)],
            Some(lot) => vec![(Some(lot.clone()), units)],
            None => self.bind(&line.place(), line.need, units),
        }
    }

    /// Held units of a line become sold.
    pub fn sell(&mut self, at: (usize, usize), units: u64) {
        let bound = self.bind_line(&self.holds[at.0].lines[at.1], units);
        let line = self.line(at);
        line.units.held -= units;
        line.commit(&bound);
    }

    /// Units that are gone: first what nobody was promised, then of the newest holds, then of the newest orders.
    pub fn write_off(&mut self, place: &Place, lot: Option<&LotId>, condition: Condition, units: u64) {
        let gone = units.min(*self.cell(place, lot).of(condition));
        if condition == Condition::Resellable {
            let mut unneeded = self.units_to_take(place, lot, condition).min(gone);
            let mut newest_first = self.lines_where(place, |line| line.units.held);
            newest_first.sort_by_key(|(hold, number)| (std::cmp::Reverse(*hold), *number));
            for at in newest_first {
                let line = self.line(at).clone();
                let units = line.units.held.min(gone - unneeded);
                let helped = if line.named.as_ref() == lot && line.by_lot == lot.is_some() {
                    units
                } else if let (None, Some(lot)) = (&line.named, lot) {
                    // What a hold bound to no lot gives up helps only as far as others do not need it.
                    self.line(at).units.held -= units;
                    let left = self.left_of(place, lot).min(gone);
                    self.line(at).units.held += units;
                    left.saturating_sub(unneeded)
                } else {
                    0
                };
                self.line(at).become_short(helped);
                unneeded += helped;
            }
            self.shorten_orders(place, lot, gone - unneeded);
        }
        *self.cell_mut(place, lot).of(condition) -= gone;
    }

    fn shorten_orders(&mut self, place: &Place, lot: Option<&LotId>, mut lack: u64) {
        let of = |line: &Line| lot.map_or(line.units.committed, |lot| line.bound_of(lot));
        let mut newest_first = self.lines_where(place, of);
        newest_first.sort_by_key(|(hold, number)| (std::cmp::Reverse(*hold), *number));
        for at in newest_first {
            let line = self.line(at);
            let units = of(line).min(lack);
            lack -= units;
            line.units.committed -= units;
            line.units.short_sold += units;
            if let Some(lot) = lot {
                line.bound_mut(lot).committed -= units;
            }
        }
    }

    /// What is held of a lot by name is there no more; with `sold_too`, what is sold of it neither.
    pub fn withdraw(&mut self, sku: &holdfast_inventory::Sku, lot: &LotId, sold_too: bool) {
        for line in self.holds.iter_mut().flat_map(|hold| &mut hold.lines).filter(|line| line.sku == *sku) {
            if line.named.as_ref() == Some(lot) {
                line.become_short(line.units.held);
            }
            let sold = line.bound_of(lot);
            if sold_too && sold > 0 {
                line.bound_mut(lot).committed = 0;
                line.units.committed -= sold;
                line.units.short_sold += sold;
            }
        }
    }

    /// Who asked for a lot by name that does not come back takes any other.
    pub fn forget_name(&mut self, sku: &holdfast_inventory::Sku, lot: &LotId) {
        let lines = self.holds.iter_mut().flat_map(|hold| &mut hold.lines).filter(|line| line.sku == *sku);
        for line in
            lines.filter(|line| line.named.as_ref() == Some(lot) && line.units.short + line.units.short_sold > 0)
        {
            line.named = None;
        }
    }

    /// Lots whose dates have come by now leave sale, and expire, in the order of the dates; what was so before `since` is known.
    pub fn pass_dates(&mut self, since: u64, of: impl Fn(&holdfast_inventory::Sku) -> bool) {
        let mut dates = Vec::new();
        for ((sku, id), lot) in self.lots.iter().filter(|((sku, _), _)| of(sku)) {
            let expiry = lot.expires_at.map(|at| (at, lot.made, true));
            let passed = [Some((lot.removal_at, lot.made, false)), expiry].into_iter().flatten();
            dates.extend(
                passed.filter(|(at, ..)| (since..self.now).contains(at)).map(|date| (date, sku.clone(), id.clone())),
            );
        }
        dates.sort();
        for ((.., is_expiry), sku, lot) in dates {
            self.withdraw(&sku, &lot, is_expiry);
            if is_expiry {
                self.forget_name(&sku, &lot);
            }
            self.settle();
        }
    }

    pub fn give_back(&mut self, at: usize, what: GiveBack) {
        for line in &mut self.holds[at].lines {
            let units = &mut line.units;
            if what != GiveBack::CancelSold {
                let part = unsold(units);
                *(if what == GiveBack::Expire { &mut units.expired } else { &mut units.released }) += part;
                (units.held, units.backordered, units.short) = (0, 0, 0);
            }
            if matches!(what, GiveBack::CancelSold | GiveBack::CancelAll) {
                units.cancelled += sold(units);
                (units.committed, units.backordered_sold, units.short_sold) = (0, 0, 0);
                line.bound.iter_mut().for_each(|bound| bound.committed = 0);
            }
        }
    }

    /// Time has come to `now`: campaigns give back what they have not sold, lots leave sale, then what is due ends, the oldest first.
    pub fn pass_time(&mut self, now: u64) {
        let is_due = |campaign: &Campaign| (self.now + 1..=now).contains(&campaign.spec.ends_at.0);
        let campaign_ends = self.campaigns.values().any(is_due);
        let since = std::mem::replace(&mut self.now, now);
        if campaign_ends {
            self.settle();
        }
        self.pass_dates(since, |_| true);
        let due = |at: usize| {
            let hold = &self.holds[at];
            if let Some(order) = hold.open_order() {
                return order.due_at().map(|due| (due, at));
            }
            let expiry = hold.is_holding().then_some(hold.expires_at);
            let cancel = hold.cancel_at.filter(|_| hold.has(sold));
            expiry.into_iter().chain(cancel).min().map(|due| (due, at))
        };
        let mut due: Vec<(u64, usize)> = (0..self.holds.len()).filter_map(due).filter(|due| due.0 <= now).collect();
        due.sort_unstable();
        for (_, at) in due {
            if self.holds[at].open_order().is_some() {
                self.order_is_due(at);
                self.settle();
                continue;
            }
            if self.holds[at].is_holding() && self.holds[at].expires_at <= now {
                self.give_back(at, GiveBack::Expire);
                self.settle();
            }
            let hold = &self.holds[at];
            if hold.cancel_at.is_some_and(|cancel_at| cancel_at <= now) && hold.has(sold) {
                self.give_back(at, GiveBack::CancelSold);
                self.settle();
            }
        }
    }
}

impl Line {
    pub fn become_short(&mut self, units: u64) {
        self.units.held -= units;
        self.units.short += units;
    }

    /// Units of those lots are sold.
    pub fn commit(&mut self, bound: &[(Option<LotId>, u64)]) {
        for (lot, units) in bound {
            self.units.committed += units;
            if let Some(lot) = lot {
                self.bound_mut(lot).committed += units;
            }
        }
    }
}
