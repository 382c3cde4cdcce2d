//! What was promised and what is there, brought together again.
//!
//! Stock may go away beneath promises: a lot is blocked or leaves sale. Then units become short, the newest unpaid holds first,
//! and orders last; and what becomes free goes to what is short before it is sold anew: orders first, then holds, oldest first. Then to what was
//! promised without stock by choice (`backorders.rs`).

use holdfast_mutation::{Mutation, is_on};

use super::Turn;
use crate::shelf::Shelf;
use crate::state::{LineRecord, LocationNo, LotNo, ReservationNo, SkuNo, StockPlace};
use crate::{EventKind, StockDelta, StockFlow};

impl Turn<'_> {
    /// Settles a place, whose promises may be more than what is left of its stock.
    pub(super) fn settle(&mut self, sku: SkuNo, location: LocationNo, may_lack: bool) {
        let Some(place) = self.state.stock(sku).place(location) else { return };
        if place.short + place.backordered == 0 && !may_lack && !place.is_filling {
            return;
        }
        if place.short > 0 && !is_on(Mutation::ShortNeverFilled) {
            self.fill_sold(sku, location);
        }
        self.shorten_held(sku, location);
        if self.place(sku, location).short > 0 && !is_on(Mutation::ShortNeverFilled) {
            self.fill_held(sku, location);
        }
        let place = self.place(sku, location);
        if place.backordered > 0 || place.is_filling {
            self.fill_backorders(sku, location);
        }
    }

    pub(super) fn place(&self, sku: SkuNo, location: LocationNo) -> &StockPlace {
        self.state.stock(sku).place(location).expect("a place is never removed")
    }

    /// The reservations with units of the item that are short, oldest first.
    pub(super) fn short_of(&self, sku: SkuNo) -> Vec<ReservationNo> {
        let range = (sku, ReservationNo(0))..=(sku, ReservationNo(u64::MAX));
        self.state.indexes.short.range(range).map(|(_, no)| *no).collect()
    }

    /// Gives orders what they lack, also of what holds that are not paid were to get.
    fn fill_sold(&mut self, sku: SkuNo, location: LocationNo) {
        for no in self.short_of(sku) {
            let mut filled = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            for line in filled.iter_mut().filter(|line| (line.sku, line.location) == (sku, location)) {
                let found = self.find_for_order(line);
                for (lot, units) in found {
                    self.change_short(line, -(units as i64));
                    self.change_committed(line, lot, units as i64);
                    line.units.short_sold -= units;
                    line.units.committed += units;
                    if let (Some(by_lot), Some(lot)) = (&mut line.by_lot, lot) {
                        by_lot.bound_mut(lot).committed += units;
                    }
                    is_changed = true;
                }
            }
            if is_changed {
                self.state.change_reservation(no, |record| record.lines = filled);
                self.record_changes(EventKind::ReservationFilled, Some(no), None);
            }
        }
    }

    /// Free units for what an order's line lacks, and of which lots.
    fn find_for_order(&self, line: &LineRecord) -> Vec<(Option<LotNo>, u64)> {
        let (place, lack) = (self.place(line.sku, line.location), line.units.short_sold);
        let Some(by_lot) = &line.by_lot else {
            let units = lack.min(place.free());
            return if units == 0 { Vec::new() } else { vec![(None, units)] };
        };
        let mut shelf = Shelf::of(self.state, place);
        match by_lot.named {
            Some(lot) => {
                let units = lack.min(shelf.free_of(lot));
                if units == 0 { Vec::new() } else { vec![(Some(lot), units)] }
            }
            None => shelf.bind(by_lot.need, lack).into_iter().map(|(lot, units)| (Some(lot), units)).collect(),
        }
    }

    /// Takes units back that are held and not there any more, of the newest holds first.
    fn shorten_held(&mut self, sku: SkuNo, location: LocationNo) {
        let mut shelf = Shelf::of(self.state, self.place(sku, location));
        if shelf.lack_of(crate::LogTime(u64::MAX)) == 0 {
            return;
        }
        let holding = self.state.indexes.due_by_sku[sku.0 as usize].iter().map(|(_, no)| *no);
        let mut newest_first: Vec<ReservationNo> = holding.collect();
        newest_first.sort_unstable_by(|a, b| b.cmp(a));
        if is_on(Mutation::OldestHoldShortFirst) {
            newest_first.reverse();
        }
        for no in newest_first {
            let mut lines = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            for line in lines.iter_mut().filter(|line| is_late(line, sku, location) && line.units.held > 0) {
                let need = line.need();
                let units = line.units.held.min(shelf.lack_of(need));
                if units > 0 {
                    shelf.let_go(need, units);
                    self.become_short(line, units);
                    is_changed = true;
                }
            }
            if is_changed {
                self.state.change_reservation(no, |record| record.lines = lines);
                self.record_changes(EventKind::ReservationShort, Some(no), None);
            }
        }
    }

    pub(super) fn become_short(&mut self, line: &mut LineRecord, units: u64) {
        self.change_held(line, -(units as i64));
        self.change_short(line, units as i64);
        line.units.held -= units;
        line.units.short += units;
    }

    /// Gives holds what they lack, of what nobody else was promised.
    fn fill_held(&mut self, sku: SkuNo, location: LocationNo) {
        for no in self.short_of(sku) {
            let mut lines = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            let here = |line: &&mut LineRecord| (line.sku, line.location) == (sku, location) && line.units.short > 0;
            for line in lines.iter_mut().filter(here) {
                let place = self.place(sku, location);
                let left = match &line.by_lot {
                    None => place.free(),
                    Some(by_lot) => {
                        let shelf = Shelf::of(self.state, place);
                        by_lot.named.map_or_else(|| shelf.left_for(by_lot.need), |lot| shelf.left_of(lot))
                    }
                };
                let units = line.units.short.min(left);
                if units > 0 {
                    self.change_short(line, -(units as i64));
                    self.change_held(line, units as i64);
                    line.units.short -= units;
                    line.units.held += units;
                    is_changed = true;
                }
            }
            if is_changed {
                self.state.change_reservation(no, |record| record.lines = lines);
                self.record_changes(EventKind::ReservationFilled, Some(no), None);
            }
        }
    }

    /// What is held of a lot by name is there no more.
    pub(crate) fn withdraw_held(&mut self, lot: LotNo) {
        self.withdraw(lot, false);
    }

    /// What is held of a lot by name, or sold of it and not shipped, is not there any more.
    pub(crate) fn withdraw_all(&mut self, lot: LotNo) {
        self.withdraw(lot, true);
    }

    /// The reservations that have to do with a lot, oldest first.
    pub(super) fn with_lot(&self, lot: LotNo) -> Vec<ReservationNo> {
        let range = (lot, ReservationNo(0))..=(lot, ReservationNo(u64::MAX));
        self.state.indexes.by_lot.range(range).map(|(_, no)| *no).collect()
    }

    /// What is short of a lot by name may be filled from any other.
    pub(crate) fn forget_name(&mut self, lot: LotNo) {
        for no in self.with_lot(lot) {
            let is_short =
                |line: &LineRecord| line.named_lot() == Some(lot) && line.units.short + line.units.short_sold > 0;
            let short = self.state.reservation(no).lines.iter().filter(|line| is_short(line));
            let places: Vec<(SkuNo, LocationNo)> = short.map(|line| (line.sku, line.location)).collect();
            // There may be units for them, though nothing of the lot lies there.
            places.iter().for_each(|(sku, location)| self.expect_lack(*sku, *location));
            if !places.is_empty() {
                self.state.change_reservation(no, |record| {
                    for line in record.lines.iter_mut().filter(|line| is_short(line)) {
                        let by_lot = line.by_lot.as_mut().expect("it was bound by name");
                        by_lot.named = None;
                        // It had units of the lot: a trace names it still.
                        by_lot.bound_mut(lot);
                    }
                });
            }
        }
    }

    fn withdraw(&mut self, lot: LotNo, sold_too: bool) {
        for no in self.with_lot(lot) {
            let mut lines = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            for line in &mut lines {
                if line.named_lot() == Some(lot) && line.units.held > 0 {
                    let held = line.units.held;
                    self.become_short(line, held);
                    is_changed = true;
                }
                let sold = line.sold_of(lot);
                if sold_too && sold > 0 {
                    self.change_committed(line, Some(lot), -(sold as i64));
                    self.change_short(line, sold as i64);
                    line.units.committed -= sold;
                    line.units.short_sold += sold;
                    line.by_lot.as_mut().expect("it has units of a lot").bound_mut(lot).committed = 0;
                    is_changed = true;
                }
            }
            if is_changed {
                self.state.change_reservation(no, |record| record.lines = lines);
                self.record_changes(EventKind::ReservationShort, Some(no), None);
            }
        }
    }

    /// Sells held units of a line: binds them to lots where they were not, and says to which.
    pub(crate) fn sell(&mut self, line: &LineRecord, units: u64) -> Vec<(LotNo, u64)> {
        if !line.counted || units == 0 {
            return Vec::new();
        }
        let (sku, location, sold) = (line.sku, line.location, units as i64);
        let Some(by_lot) = &line.by_lot else {
            let delta = StockDelta { reserved: -sold, committed: sold, ..StockDelta::default() };
            self.change(&super::Move { sku, location, lot: None, delta, flow: StockFlow::default() });
            return Vec::new();
        };
        let bound = match by_lot.named {
            Some(lot) => vec![(lot, units)],
            None => Shelf::of(self.state, self.place(sku, location)).bind(by_lot.need, units),
        };
        debug_assert_eq!(
            bound.iter().map(|(_, units)| units).sum::<u64>(),
            units,
            "[H-LATE] what is held can be bound"
        );
        self.change_held(line, -sold);
        for (lot, units) in &bound {
            self.change_committed(line, Some(*lot), *units as i64);
        }
        bound
    }
}

impl LineRecord {
    pub(super) fn sold_of(&self, lot: LotNo) -> u64 {
        let bound = self.by_lot.iter().flat_map(|by_lot| &by_lot.bound);
        bound.filter(|bound| bound.lot == lot).map(|bound| bound.committed).sum()
    }
}

/// Whether a line's holds at that place are bound late.
fn is_late(line: &LineRecord, sku: SkuNo, location: LocationNo) -> bool {
    (line.sku, line.location) == (sku, location) && line.by_lot.as_ref().is_some_and(|by_lot| by_lot.named.is_none())
}
