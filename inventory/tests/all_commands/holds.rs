//! What the model does with a promise that was made: sold, shipped, given back, returned.

use std::collections::BTreeSet;

use holdfast_inventory::commands::{Commit, Extend, Fulfil, IfExpired, Picked, Return};
use holdfast_inventory::{
    Backorder, Condition, Field, ItemStatus, LimitId, LineCounts, LineUnits, LotId, LotStatus, ReservationId,
};

use crate::model::{Hold, Model, Said, invalid, unsold, why};
use crate::reserve::Demand;
use crate::settle::GiveBack;

const MAX_CANCEL_AHEAD_MS: u64 = 31 * 24 * 3_600_000;

/// Units of each line: those that are named, or all that it has.
fn units_of(
    hold: &Hold,
    parts: &[LineUnits],
    of: impl Fn(&LineCounts) -> u64,
    exceeds: &'static str,
) -> Said<Vec<u64>> {
    if parts.is_empty() {
        return Ok(hold.lines.iter().map(|line| of(&line.units)).collect());
    }
    let mut units = vec![0; hold.lines.len()];
    for part in parts {
        let Some(line) = hold.lines.get(part.line as usize) else { return invalid(Field::LineNumber) };
        if part.units.count() > of(&line.units) {
            return why(exceeds);
        }
        units[part.line as usize] = part.units.count();
    }
    Ok(units)
}

fn line_units(parts: &[Picked]) -> Vec<LineUnits> {
    parts.iter().map(|part| LineUnits { line: part.line, units: part.units }).collect()
}

impl Model {
    pub fn extend(&mut self, extend: &Extend) -> Said<()> {
        let (at, asked) = (self.find(extend.reservation)?, self.now + u64::from(extend.ttl_s) * 1_000);
        self.holds[at].check_no_order()?;
        let hold = &mut self.holds[at];
        if !hold.is_holding() {
            return hold.why_not();
        }
        if asked > hold.max_expires_at {
            return why("ExtendLimitReached");
        }
        hold.expires_at = hold.expires_at.max(asked);
        Ok(())
    }

    pub fn release(&mut self, id: ReservationId) -> Said<()> {
        let at = self.find(id)?;
        self.holds[at].check_no_order()?;
        if !self.holds[at].is_holding() {
            return self.holds[at].why_not();
        }
        self.give_back(at, GiveBack::Release);
        Ok(())
    }

    pub fn cancel(&mut self, id: ReservationId) -> Said<()> {
        let at = self.find(id)?;
        self.holds[at].check_no_order()?;
        if self.holds[at].state().is_ended() {
            return self.holds[at].why_not();
        }
        self.give_back(at, GiveBack::CancelAll);
        Ok(())
    }

    pub fn commit(&mut self, commit: &Commit) -> Said<()> {
        let is_ahead = |at: u64| at > self.now && at <= self.now + MAX_CANCEL_AHEAD_MS;
        if commit.cancel_at.is_some_and(|at| !is_ahead(at.0)) {
            return invalid(Field::CancelAt);
        }
        let at = self.find(commit.reservation)?;
        self.holds[at].check_no_order()?;
        self.sell_hold(at, commit)
    }

    /// The same, whoever decides it.
    pub fn sell_hold(&mut self, at: usize, commit: &Commit) -> Said<()> {
        let hold = self.holds[at].clone();
        let wants_kits = |model: &Self, units: &[u64]| {
            if commit.parts.is_empty() { Ok(()) } else { model.check_whole_kits(&hold, units) }
        };
        if hold.is_holding() {
            let held = |units: &LineCounts| units.held + units.backordered;
            let units = units_of(&hold, &commit.parts, held, "ExceedsHeldQuantity");
            let is_short = hold.lines.iter().any(|line| !line.remote && line.units.short > 0);
            if is_short && (commit.parts.is_empty() || units.is_err()) {
                return why("HoldShort");
            }
            let units = units?;
            wants_kits(self, &units)?;
            self.sell_held(at, &units, commit.last);
        } else if commit.if_expired == IfExpired::Retake && hold.has(|units| units.expired) {
            // What lies on other shards would have to be held there anew.
            if hold.has_parts {
                return why("LinesSpanShards");
            }
            let units = units_of(&hold, &commit.parts, |units| units.expired, "ExceedsHeldQuantity")?;
            wants_kits(self, &units)?;
            self.retake(at, &units)?;
        } else {
            return hold.why_not();
        }
        let now = self.now;
        let hold = &mut self.holds[at];
        hold.cancel_at = commit.cancel_at.map(|at| at.0).or(hold.cancel_at.filter(|at| *at > now));
        Ok(())
    }

    fn sell_held(&mut self, at: usize, units: &[u64], last: bool) {
        for (number, units) in units.iter().enumerate() {
            let held = self.holds[at].lines[number].units.held.min(*units);
            self.sell((at, number), held);
            let line = self.line((at, number));
            line.units.backordered -= units - held;
            line.units.backordered_sold += units - held;
            if line.remote {
                // What is short there is sold without stock.
                line.units.short_sold += std::mem::take(&mut line.units.short);
            }
            if last {
                line.units.released += unsold(&line.units);
                (line.units.held, line.units.backordered, line.units.short) = (0, 0, 0);
            }
        }
    }

    /// What expired is tried for as a new hold would be.
    fn retake(&mut self, at: usize, units: &[u64]) -> Said<()> {
        let hold = self.holds[at].clone();
        let sale = self.still_selling(hold.sale.as_ref())?;
        let plan = hold.plan.as_ref().filter(|plan| plan.sourced.is_some());
        let through = match (plan, &hold.channel) {
            (Some(_), Some(channel)) => {
                let Some(spec) = self.channels.get(channel).filter(|spec| spec.active) else {
                    return why("UnknownChannel");
                };
                let nearest = plan.and_then(|plan| plan.sourced.as_ref()).map_or(&[][..], |sourced| &sourced.nearest);
                let near = spec.locations.iter().filter(|at| nearest.is_empty() || nearest.contains(at));
                Some((near.cloned().collect(), u64::from(spec.buffer)))
            }
            _ => None,
        };
        let mut demand = Demand::of(self, hold.customer, through, sale);
        let mut promises = vec![(0, 0); units.len()];
        for (number, units) in units.iter().enumerate().filter(|(_, units)| **units > 0) {
            let line = &hold.lines[number];
            let spec = &self.items[&line.sku];
            if spec.status != ItemStatus::Active {
                return why("ItemNotSellable");
            }
            // A limit over several items that came after the hold has no counter that could be asked.
            let counters = hold.plan.as_ref().map_or(&[][..], |plan| &plan.counters);
            let is_counted = |id: &LimitId| {
                counters.iter().any(|it| it.limit == *id && it.lines.iter().any(|line| usize::from(*line) == number))
            };
            if !self.shared_over(&line.sku).all(is_counted) {
                return hold.why_not();
            }
            self.check_active(&line.location)?;
            if line.by_lot != spec.lot_tracked {
                return hold.why_not();
            }
            if line.by_lot {
                let need = self.need_of(&line.sku);
                demand.now.line((at, number)).need = need;
                line.named.as_ref().map_or(Ok(()), |lot| self.check_sellable_lot(line, lot, need))?;
            }
            promises[number] = demand.promise((at, number), number, *units)?;
        }
        for counter in hold.plan.iter().flat_map(|plan| &plan.counters) {
            demand.count(0, &counter.limit, counter.lines.iter().map(|line| units[usize::from(*line)]).sum())?;
        }
        *self = demand.now;
        for (number, (held, waits)) in promises.into_iter().enumerate() {
            self.sell((at, number), held);
            let line = self.line((at, number));
            line.units.backordered -= waits;
            line.units.backordered_sold += waits;
            line.units.expired -= held + waits;
        }
        Ok(())
    }

    pub fn fulfil(&mut self, fulfil: &Fulfil) -> Said<()> {
        let at = self.find(fulfil.reservation)?;
        let hold = self.holds[at].clone();
        if hold.state().is_ended() {
            return hold.why_not();
        }
        // Another shard's lots are not named.
        let is_own = |line: u32| hold.lines.get(line as usize).is_some_and(|line| !line.remote);
        if fulfil.parts.iter().any(|part| part.lot.is_some() && !is_own(part.line)) {
            return invalid(Field::LotId);
        }
        if !hold.has(|units| units.committed) {
            return why("ExceedsHeldQuantity");
        }
        let mut units = units_of(&hold, &line_units(&fulfil.parts), |units| units.committed, "ExceedsHeldQuantity")?;
        if fulfil.parts.is_empty() {
            hold.leave_whole_kits(&mut units);
        }
        let ships_elsewhere = hold.lines.iter().zip(&units).any(|(line, units)| line.remote && *units > 0);
        if ships_elsewhere && hold.release_at > self.now {
            return why("NotReleased");
        }
        self.check_whole_kits(&hold, &units)?;
        if units.iter().all(|units| *units == 0) {
            return why("HoldShort");
        }
        let mut after = self.clone();
        for (number, units) in units.iter().enumerate().filter(|(_, units)| **units > 0) {
            let line = &hold.lines[number];
            // Of lines on other shards the deciding one knows what was said when they were held.
            if let Backorder::Preorder { release_at, .. } = self.items[&line.sku].backorder
                && release_at.0 > self.now
                && !line.remote
            {
                return why("NotReleased");
            }
            let part = fulfil.parts.iter().find(|part| part.line as usize == number);
            after.ship((at, number), *units, part.and_then(|part| part.lot.as_ref()))?;
        }
        *self = after;
        Ok(())
    }

    /// Ships units of a line: of the lots they are bound to, or of the one that was picked, whose units change places with theirs.
    fn ship(&mut self, at: (usize, usize), units: u64, picked: Option<&LotId>) -> Said<()> {
        let line = self.line(at).clone();
        let place = line.place();
        self.line(at).units.committed -= units;
        self.line(at).units.fulfilled += units;
        if !line.by_lot {
            if picked.is_some() {
                return invalid(Field::LotId);
            }
            if line.counted {
                self.cell_mut(&place, None).resellable -= units;
            }
            return Ok(());
        }
        picked.map_or(Ok(()), |lot| self.lot(&line.sku, lot).map(|_| ()))?;
        let mut bound: Vec<(LotId, u64)> = line.bound.iter().map(|of| (of.lot.clone(), of.committed)).collect();
        bound.sort_by_key(|(lot, _)| picked.is_some_and(|picked| picked != lot));
        let mut left = units;
        for (lot, committed) in bound {
            let part = left.min(committed);
            if part == 0 {
                continue;
            }
            left -= part;
            let shipped = picked.unwrap_or(&lot);
            self.check_may_ship(&line.sku, shipped)?;
            self.line(at).bound_mut(&lot).committed -= part;
            if *shipped != lot && part > self.left_of(&place, shipped) {
                return why("TooFewOfLot");
            }
            self.line(at).bound_mut(shipped).fulfilled += part;
            self.cell_mut(&place, Some(shipped)).resellable -= part;
        }
        Ok(())
    }

    fn check_may_ship(&self, sku: &holdfast_inventory::Sku, lot: &LotId) -> Said<()> {
        let lot = self.lot(sku, lot)?;
        if lot.status != LotStatus::Approved {
            return why("LotBlocked");
        }
        if lot.expires_at.is_some_and(|at| at < self.now) { why("LotExpired") } else { Ok(()) }
    }

    /// Whether what the deciding shard takes for sold lies ready on the other shards.
    pub fn is_ready_elsewhere(&self, hold: &Hold) -> bool {
        hold.lines.iter().filter(|line| line.remote).all(|line| {
            let bound = line.bound.iter().filter(|bound| bound.committed > 0);
            line.units.short_sold == 0 && bound.map(|of| self.check_may_ship(&line.sku, &of.lot)).all(|may| may.is_ok())
        })
    }

    pub fn take_back(&mut self, returned: &Return) -> Said<()> {
        if returned.location.as_ref().is_some_and(|location| !self.locations.contains_key(location)) {
            return why("UnknownLocation");
        }
        let at = self.find(returned.reservation)?;
        let hold = self.holds[at].clone();
        let shards: BTreeSet<Option<u32>> = returned.parts.iter().map(|part| hold.shard_of_line(part.line)).collect();
        if shards.len() > 1 {
            return why("LinesSpanShards");
        }
        let may = |units: &LineCounts| units.fulfilled - units.returned;
        let units = units_of(&hold, &line_units(&returned.parts), may, "ExceedsFulfilled")?;
        let mut after = self.clone();
        for (number, units) in units.iter().enumerate().filter(|(_, units)| **units > 0) {
            let line = &hold.lines[number];
            let named = returned.parts.iter().find(|part| part.line as usize == number);
            let named = named.and_then(|part| part.lot.as_ref());
            if !line.by_lot && named.is_some() {
                return invalid(Field::LotId);
            }
            let lot = if line.by_lot {
                named.map_or(Ok(()), |lot| self.lot(&line.sku, lot).map(|_| ()))?;
                let shipped: Vec<_> = line.bound.iter().filter(|of| of.fulfilled > of.returned).collect();
                if named.is_none() && shipped.len() > 1 {
                    return why("LotRequired");
                }
                let found = shipped.into_iter().find(|of| named.is_none_or(|lot| of.lot == *lot));
                let Some(of) = found.filter(|of| *units <= of.fulfilled - of.returned) else {
                    return why("ExceedsFulfilled");
                };
                if returned.condition == Condition::Resellable {
                    self.check_sellable_lot(line, &of.lot, 0)?;
                }
                after.line((at, number)).bound_mut(&of.lot).returned += units;
                Some(of.lot.clone())
            } else {
                None
            };
            after.line((at, number)).units.returned += units;
            if line.counted {
                let location = returned.location.clone().unwrap_or_else(|| line.location.clone());
                *after.cell_mut(&(line.sku.clone(), location), lot.as_ref()).of(returned.condition) += units;
            }
        }
        *self = after;
        Ok(())
    }
}
