//! Stock that is gone, whoever it was promised to: what nobody needs goes first, then what is held, then what is sold.
//!
//! Elsewhere promises part from stock that is still there; here the units leave the books, so that their cell's promises must
//! give way before they do [H-QTY].

use std::collections::{BTreeMap, BTreeSet};

use holdfast_mutation::{Mutation, is_on};

use super::{Move, Turn};
use crate::shelf::Shelf;
use crate::state::{LineRecord, LocationNo, LotNo, ReservationNo, SkuNo};
use crate::{Condition, EventKind, MAX_SHORT_NAMED, ShortReservation, StockDelta, StockFlow, Subject};

/// Units of an item at a location that reservations lack: held, and sold.
pub(crate) type ShortBefore = BTreeMap<ReservationNo, (u64, u64)>;

/// One lot of an item at a location, of an item without lots all of it.
#[derive(Clone, Copy)]
pub(crate) struct CellOf {
    pub(crate) sku: SkuNo,
    pub(crate) location: LocationNo,
    pub(crate) lot: Option<LotNo>,
}

impl Turn<'_> {
    /// Units of that condition that lie in a cell, whoever they are promised to.
    pub(crate) fn lying(&self, cell: CellOf, condition: Condition) -> u64 {
        let place = self.state.stock(cell.sku).place(cell.location);
        let counts = place.map(|place| place.counts_of(cell.lot)).unwrap_or_default();
        match condition {
            Condition::Resellable => counts.on_hand - counts.damaged - counts.quality_control,
            Condition::Damaged => counts.damaged,
            Condition::QualityControl => counts.quality_control,
        }
    }

    /// Takes units that are gone off a cell, at most those that lie there in that condition, and says how many that were. What was
    /// promised of them becomes short: the newest holds first, then the newest orders. The range of the place's flow must have
    /// been checked.
    pub(crate) fn write_off(&mut self, cell: CellOf, condition: Condition, units: u64) -> u64 {
        let gone = units.min(self.lying(cell, condition));
        if gone == 0 {
            return 0;
        }
        let CellOf { sku, location, lot } = cell;
        self.expect_lack(sku, location);
        if condition == Condition::Resellable {
            let unneeded = self.units_to_take(sku, location, lot, condition).min(gone);
            let lack = self.shorten_holds(cell, gone, unneeded);
            self.shorten_sold(cell, lack);
        }
        let delta = StockDelta::of_condition(condition, -(gone as i64));
        let flow = StockFlow { written_off: gone, ..StockFlow::default() };
        self.change(&Move { sku, location, lot, delta, flow });
        gone
    }

    /// Takes holds back until so many units of the cell are needed by none, the newest first, and says how many still are.
    fn shorten_holds(&mut self, cell: CellOf, wanted: u64, mut unneeded: u64) -> u64 {
        if unneeded == wanted {
            return 0;
        }
        // Of a lot that may not be sold only holds by name are to be had.
        let sold_lot = cell.lot.filter(|lot| self.state.lot(*lot).is_sellable(self.now()));
        let place = self.state.stock(cell.sku).place(cell.location).expect("units lie there");
        let mut shelf = sold_lot.map(|lot| (lot, Shelf::of(self.state, place)));
        for no in self.holding(cell.sku) {
            let mut lines = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            for line in lines.iter_mut().filter(|line| is_at(line, cell) && line.units.held > 0) {
                let units = line.units.held.min(wanted - unneeded);
                let helped = if line.named_lot() == cell.lot && line.by_lot.is_some() == cell.lot.is_some() {
                    if let Some((lot, shelf)) = &mut shelf {
                        shelf.give(self.state, *lot, units);
                    }
                    units
                } else if let (Some((lot, shelf)), true) = (&mut shelf, line.named_lot().is_none()) {
                    // What a hold that is bound to no lot gives up helps only as far as others do not need it.
                    shelf.let_go(line.need(), units);
                    let helped = shelf.left_of(*lot).min(wanted) - unneeded;
                    shelf.hold(line.need(), units - helped);
                    helped
                } else {
                    0
                };
                if helped > 0 {
                    self.become_short(line, helped);
                    unneeded += helped;
                    is_changed = true;
                }
            }
            if is_changed {
                self.shorten(no, lines);
            }
            if unneeded == wanted {
                break;
            }
        }
        wanted - unneeded
    }

    /// Takes so many units of the cell back that are sold, of the newest orders first.
    fn shorten_sold(&mut self, cell: CellOf, mut lack: u64) {
        if lack == 0 {
            return;
        }
        let mut newest_first = match cell.lot {
            Some(lot) => self.with_lot(lot),
            None => self.state.indexes.sold_by_sku[cell.sku.0 as usize].iter().copied().collect(),
        };
        newest_first.reverse();
        for no in newest_first {
            let mut lines = self.state.reservation(no).lines.clone();
            let mut is_changed = false;
            for line in lines.iter_mut().filter(|line| is_at(line, cell)) {
                let sold = cell.lot.map_or(line.units.committed, |lot| line.sold_of(lot));
                let units = sold.min(lack);
                if units > 0 {
                    self.change_committed(line, cell.lot, -(units as i64));
                    self.change_short(line, units as i64);
                    line.units.committed -= units;
                    line.units.short_sold += units;
                    if let (Some(by_lot), Some(lot)) = (&mut line.by_lot, cell.lot) {
                        by_lot.bound_mut(lot).committed -= units;
                    }
                    lack -= units;
                    is_changed = true;
                }
            }
            if is_changed {
                self.shorten(no, lines);
            }
            if lack == 0 {
                return;
            }
        }
        assert!(lack == 0, "[H-HOLDS] what of a cell is not free is held or sold by reservations");
    }

    fn shorten(&mut self, no: ReservationNo, lines: Vec<LineRecord>) {
        self.state.change_reservation(no, |record| record.lines = lines);
        self.record_changes(EventKind::ReservationShort, Some(no), None);
    }

    /// The reservations that hold units of the item, the newest first.
    fn holding(&self, sku: SkuNo) -> Vec<ReservationNo> {
        let holding: BTreeSet<ReservationNo> =
            self.state.indexes.due_by_sku[sku.0 as usize].iter().map(|(_, no)| *no).collect();
        let oldest_first = is_on(Mutation::OldestHoldShortFirst);
        if oldest_first { holding.into_iter().collect() } else { holding.into_iter().rev().collect() }
    }

    /// What reservations lack of an item at a location.
    pub(crate) fn short_at(&self, sku: SkuNo, location: LocationNo) -> ShortBefore {
        let short = self.short_of(sku).into_iter().map(|no| {
            let lines = self.state.reservation(no).lines.iter();
            let here = lines.filter(|line| line.counted && (line.sku, line.location) == (sku, location));
            let sum = |sum: (u64, u64), line: &LineRecord| (sum.0 + line.units.short, sum.1 + line.units.short_sold);
            (no, here.fold((0, 0), sum))
        });
        short.collect()
    }

    /// Tells which reservations lack more than they did before, the newest first, and answers with them.
    pub(crate) fn tell_shortfall(
        &mut self,
        sku: SkuNo,
        location: LocationNo,
        before: &ShortBefore,
    ) -> Vec<ShortReservation> {
        if is_on(Mutation::CountShortfallNotTold) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (no, (held, sold)) in self.short_at(sku, location).into_iter().rev() {
            let (held_before, sold_before) = before.get(&no).copied().unwrap_or_default();
            let (held, sold) = (held.saturating_sub(held_before), sold.saturating_sub(sold_before));
            if held + sold > 0 {
                let record = self.state.reservation(no);
                let order_ref = record.details.as_ref().and_then(|details| details.order_ref.clone());
                found.push(ShortReservation { reservation: record.id, order_ref, held, sold });
            }
        }
        for named in found.chunks(MAX_SHORT_NAMED) {
            let place = self.state.stock(sku).place(location);
            let subject = Subject::Shortfall {
                sku: self.state.item(sku).sku.clone(),
                location: self.state.location(location).id.clone(),
                short: place.map_or(0, |place| place.short),
                reservations: named.to_vec(),
            };
            self.append(EventKind::StockShortfall, None, Vec::new(), Some(subject));
        }
        found
    }
}

fn is_at(line: &LineRecord, cell: CellOf) -> bool {
    line.counted && (line.sku, line.location) == (cell.sku, cell.location)
}
