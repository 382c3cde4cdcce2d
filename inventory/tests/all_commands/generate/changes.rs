//! What is asked of a reservation: sold, shipped, given back, changed, returned.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::Wish;
use crate::model::{Hold, sold};
use crate::world::World;

impl World {
    pub(super) fn change_hold(&mut self) -> Option<Wish> {
        let drawn = self.dice.below(14);
        if self.dice.one_in(60) {
            let reservation = self.unknown_id();
            return Some(Wish::from(Operation::Release(Release { reservation })));
        }
        let live = |hold: &Hold| hold.is_holding();
        let operation = match drawn {
            0 => Operation::Release(Release { reservation: self.hold(live)?.id }),
            1 => Operation::Cancel(Cancel { reservation: self.hold(|hold| hold.is_holding() || hold.has(sold))?.id }),
            2 => {
                let ttl_s = 1 + self.dice.below(1_500) as u32;
                Operation::Extend(Extend { reservation: self.hold(live)?.id, ttl_s })
            }
            3..=6 => return self.amend(),
            7 => {
                // What has expired is tried for anew.
                let hold = self.hold(|hold| !hold.is_spread && !hold.is_holding() && hold.has(|it| it.expired))?;
                let parts = if self.dice.one_in(3) { self.parts(&hold, |units| units.expired) } else { Vec::new() };
                Operation::Commit(self.commit(hold.id, parts, false, IfExpired::Retake))
            }
            _ => {
                let hold = self.hold(live)?;
                let parts = if hold.is_known_whole() && self.dice.one_in(3) {
                    self.parts(&hold, |units| units.held + units.backordered)
                } else {
                    Vec::new()
                };
                let last = self.dice.one_in(3);
                Operation::Commit(self.commit(hold.id, parts, last, IfExpired::Fail))
            }
        };
        Some(Wish::from(operation))
    }

    fn commit(
        &mut self,
        reservation: ReservationId,
        parts: Vec<LineUnits>,
        last: bool,
        if_expired: IfExpired,
    ) -> Commit {
        let ahead = self.dice.one_in(4).then(|| self.now + 1 + self.dice.below(3_600_000));
        let cancel_at = if self.dice.one_in(100) { Some(self.now) } else { ahead }.map(LogTime);
        Commit { reservation, parts, last, if_expired, cancel_at }
    }

    fn amend(&mut self) -> Option<Wish> {
        let hold =
            self.hold(|hold| hold.state() == ReservationState::Held && hold.is_known_whole() && hold.plan.is_none())?;
        let mut lines: Vec<Line> = Vec::new();
        for line in &hold.lines {
            if self.dice.one_in(2) {
                let units = Units(self.dice.below(5) as u32);
                let (sku, location) = (line.sku.clone(), line.location.clone());
                let no_backorder = self.dice.one_in(5);
                lines.push(Line {
                    sku,
                    location,
                    units,
                    lot: line.named.clone(),
                    optional: false,
                    no_backorder,
                    min_units: None,
                });
            }
        }
        if lines.is_empty() || self.dice.one_in(4) {
            lines.push(self.line());
        }
        let shard = crate::shard_of(hold.id.slot());
        let is_known = |line: &Line| {
            let key = (&line.sku, &line.location, &line.lot);
            hold.lines.iter().any(|other| (&other.sku, &other.location, &other.named) == key)
        };
        // A new line of another shard is refused by the node.
        lines.retain(|line| crate::shard_of(slot_of(&line.sku)) == shard || is_known(line));
        let mut once: Vec<Line> = Vec::new();
        for line in lines {
            let is_same =
                |other: &Line| (&other.sku, &other.location, &other.lot) == (&line.sku, &line.location, &line.lot);
            if !once.iter().any(is_same) {
                once.push(line);
            }
        }
        (!once.is_empty()).then(|| Wish::from(Operation::Amend(Amend { reservation: hold.id, lines: once })))
    }

    pub(super) fn ship(&mut self) -> Option<Wish> {
        if self.dice.one_in(3) {
            return self.take_back();
        }
        let hold = self.hold(|hold| hold.has(|units| units.committed))?;
        if hold.is_spread && !self.model.is_ready_elsewhere(&hold) {
            return None;
        }
        let parts = if self.dice.one_in(2) { self.parts(&hold, |units| units.committed) } else { Vec::new() };
        let parts = parts.into_iter().map(|part| {
            let sku = hold.lines.get(part.line as usize).map(|line| line.sku.clone());
            let names = self.dice.one_in(2);
            let lot = sku.filter(|sku| names && self.is_by_lot(sku)).and_then(|sku| self.lot_of(&sku));
            Picked { line: part.line, units: part.units, lot }
        });
        Some(Wish::from(Operation::Fulfil(Fulfil { reservation: hold.id, parts: parts.collect() })))
    }

    fn take_back(&mut self) -> Option<Wish> {
        let hold = self.hold(|hold| hold.has(|units| units.fulfilled - units.returned))?;
        let counters = hold.plan.iter().flat_map(|plan| &plan.counters).zip(hold.customer);
        let shards: Vec<u32> = counters
            .filter_map(|(counter, customer)| Sku::of_counter(&counter.limit, customer))
            .map(|counter| crate::shard_of(slot_of(&counter)))
            .collect();
        let elsewhere = (0..hold.lines.len() as u32).filter_map(|line| hold.shard_of_line(line));
        let deciding = crate::shard_of(hold.id.slot());
        for shard in shards.into_iter().chain(elsewhere).chain([deciding]) {
            // A part that its shard has forgotten takes nothing back. What comes back after a counter's shard has forgotten the reservation
            // is not restored (docs/known-issues.md), and when that is is the shard's to say: with this entry, or with none before it hears
            // of the return.
            self.ask(shard, Vec::new());
            self.shards[shard as usize].reservation(hold.id)?;
        }
        let mut parts: Vec<Picked> = Vec::new();
        for part in self.parts(&hold, |units| units.fulfilled - units.returned) {
            let shipped = hold.lines.get(part.line as usize).map(|line| line.bound.as_slice()).unwrap_or_default();
            let shipped: Vec<_> = shipped.iter().filter(|of| of.fulfilled > of.returned).collect();
            let names = !shipped.is_empty() && (shipped.len() > 1 || self.dice.one_in(3)) && !self.dice.one_in(8);
            let lot = names.then(|| shipped[self.dice.below(shipped.len() as u64) as usize].lot.clone());
            parts.push(Picked { line: part.line, units: part.units, lot });
        }
        let location = self.dice.one_in(4).then(|| self.location());
        let condition = self.condition();
        let returned = Return { reservation: hold.id, parts, location, condition };
        (!returned.parts.is_empty()).then(|| Wish::from(Operation::Return(returned)))
    }
}
