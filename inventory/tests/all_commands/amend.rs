//! The model's amend: new quantities at once, or the old hold stands.

use holdfast_inventory::ItemStatus;
use holdfast_inventory::commands::Amend;

use crate::model::{Line, Model, Said, unsold, why};
use crate::reserve::Demand;

impl Model {
    pub fn amend(&mut self, amend: &Amend) -> Said<()> {
        let at = self.find(amend.reservation)?;
        let hold = &self.holds[at];
        hold.check_no_order()?;
        if hold.state() != holdfast_inventory::ReservationState::Held {
            return hold.why_not();
        }
        if hold.plan.is_some() {
            return why("LinesMoveTogether");
        }
        let (mut lines, mut max_expires_at) = (hold.lines.clone(), hold.max_expires_at);
        let mut demand = Demand::of(self, hold.customer, None, hold.sale.clone());
        for (number, new) in amend.lines.iter().enumerate() {
            let is_it = |line: &Line| (&line.sku, &line.location, &line.named) == (&new.sku, &new.location, &new.lot);
            let has: u64 = lines.iter().filter(|line| is_it(line)).map(|line| unsold(&line.units)).sum();
            if lines.iter().any(|line| line.remote && is_it(line)) {
                // More would be a new hold of the other shard's.
                if new.units.count() > has {
                    return why("LinesSpanShards");
                }
                give_back(&mut lines, is_it, has - new.units.count());
                continue;
            }
            self.check_item(&new.sku)?;
            if !self.locations.contains_key(&new.location) {
                return why("UnknownLocation");
            }
            new.lot.as_ref().map_or(Ok(()), |lot| self.lot(&new.sku, lot).map(|_| ()))?;
            if new.units.count() <= has {
                give_back(&mut lines, is_it, has - new.units.count());
                continue;
            }
            let known = lines.iter().position(is_it);
            if known.is_some() && self.items[&new.sku].status != ItemStatus::Active {
                return why("ItemNotSellable");
            }
            let line = if known.is_none() { Some(self.new_line(new)?) } else { None };
            self.still_selling(hold.sale.as_ref())?;
            let line = line.map_or_else(|| self.new_line(new), Ok)?;
            if self.shared_over(&new.sku).next().is_some() {
                return why("LinesMoveTogether");
            }
            let place = known.unwrap_or(lines.len());
            if known.is_none() {
                lines.push(line.clone());
                demand.now.holds[at].lines.push(line);
            }
            if let Some(limit) = self.items[&new.sku].max_hold_s {
                max_expires_at = max_expires_at.min(hold.created_at + u64::from(limit) * 1_000);
            }
            lines[place].stock_only = new.no_backorder;
            demand.now.line((at, place)).stock_only = new.no_backorder;
            let (held, waits) = demand.promise((at, place), number, new.units.count() - has)?;
            lines[place].units.held += held;
            lines[place].units.backordered += waits;
        }
        if max_expires_at <= self.now {
            return why("ExtendLimitReached");
        }
        let is_named = |line: &Line| !line.remote && amend.lines.iter().any(|named| named.sku == line.sku);
        for line in lines.iter().filter(|line| is_named(line)) {
            let same = lines.iter().filter(|other| other.sku == line.sku);
            let units: u64 = same.map(|other| unsold(&other.units)).sum();
            if self.items[&line.sku].max_per_order.is_some_and(|limit| units > u64::from(limit)) {
                return why("OrderLimitExceeded");
            }
        }
        if hold.customer.is_some() {
            let named = lines.iter_mut().filter(|line| is_named(line));
            let campaign = hold.sale.as_ref().map(|sale| &sale.0);
            named.for_each(|line| self.mark(line, campaign));
        }
        let hold = &mut self.holds[at];
        hold.lines = lines;
        hold.max_expires_at = max_expires_at;
        hold.expires_at = hold.expires_at.min(max_expires_at);
        Ok(())
    }
}

/// Gives units of those lines back, of the last line first, and of each what is not there first.
fn give_back(lines: &mut [Line], is_it: impl Fn(&Line) -> bool, mut less: u64) {
    for line in lines.iter_mut().rev().filter(|line| is_it(line)) {
        let units = &mut line.units;
        for of in [&mut units.short, &mut units.backordered, &mut units.held] {
            let part = less.min(*of);
            (*of, less) = (*of - part, less - part);
            units.released += part;
        }
    }
}
