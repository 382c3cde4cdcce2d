//! Changes of quantities, checked before anything is changed.

use super::{PendingChange, Touched, Turn};
use crate::state::{LineRecord, LocationNo, LotNo, SkuNo};
use crate::{MAX_UNITS, Refusal, StockDelta, StockFlow};

/// No counter goes beyond this, so that each change of one fits a signed number.
pub(super) const MAX_COUNT: u64 = i64::MAX as u64;

/// A change of one cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) sku: SkuNo,
    pub(crate) location: LocationNo,
    pub(crate) lot: Option<LotNo>,
    pub(crate) delta: StockDelta,
    pub(crate) flow: StockFlow,
}

impl Turn<'_> {
    /// What may be promised of an item at a location. An untracked item is never refused.
    pub(crate) fn atp(&self, sku: SkuNo, location: LocationNo) -> u64 {
        if self.state.item(sku).spec.tracked {
            self.state.stock(sku).place(location).map_or(0, |place| self.state.atp(sku, place))
        } else {
            u64::from(MAX_UNITS)
        }
    }

    /// Checks that no counter of the cells leaves its range, all moves of one cell together: neither [H-QTY] nor a sum breaks.
    pub(crate) fn check(&self, moves: &[Move]) -> Result<(), Refusal> {
        for (at, first) in moves.iter().enumerate() {
            let is_same =
                |other: &&Move| (other.sku, other.location, other.lot) == (first.sku, first.location, first.lot);
            if moves[..at].iter().any(|other| is_same(&other)) {
                continue;
            }
            let (mut delta, mut flow) = (StockDelta::default(), Some(StockFlow::default()));
            for same in moves[at..].iter().filter(is_same) {
                delta.add(&same.delta);
                flow = flow.and_then(|flow| flow.plus(&same.flow));
            }
            let place = self.state.stock(first.sku).place(first.location);
            let counts = place.map(|place| place.counts_of(first.lot)).unwrap_or_default();
            let after = counts.plus(&delta).filter(|after| after.on_hand <= MAX_COUNT);
            let before = place.map(|place| place.flow).unwrap_or_default();
            if after.is_none() || flow.and_then(|flow| before.plus(&flow)).is_none() {
                return Err(Refusal::QuantityOverflow);
            }
        }
        Ok(())
    }

    /// Changes the quantities of a cell. That they stay in range was checked.
    pub(crate) fn change(&mut self, change: &Move) {
        let &Move { sku, location, lot, delta, flow } = change;
        self.note(sku, location, lot, &delta);
        let place = self.state.stock_mut(sku).place_mut(location);
        let counts = &mut place.cell_mut(lot).counts;
        *counts = counts.plus(&delta).expect("[H-QTY] was checked before anything was changed");
        place.flow = place.flow.plus(&flow).expect("the range of the flow was checked before anything was changed");
    }

    /// Holds units of a line, or gives back what is held of it (below 0): of the lot that it is bound to, or of none yet.
    pub(crate) fn change_held(&mut self, line: &LineRecord, units: i64) {
        if !line.counted || units == 0 {
            return;
        }
        let delta = StockDelta { reserved: units, ..StockDelta::default() };
        let (sku, location, lot) = (line.sku, line.location, line.named_lot());
        if line.by_lot.is_some() && lot.is_none() {
            self.note(sku, location, None, &delta);
            self.state.stock_mut(sku).place_mut(location).change_unbound(line.need(), units);
        } else {
            self.change(&Move { sku, location, lot, delta, flow: StockFlow::default() });
        }
    }

    /// More units of a line are promised without stock, or fewer (below 0).
    pub(crate) fn change_short(&mut self, line: &LineRecord, units: i64) {
        if !line.counted || units == 0 {
            return;
        }
        self.touch(line.sku, line.location);
        let short = &mut self.state.stock_mut(line.sku).place_mut(line.location).short;
        *short = short.checked_add_signed(units).expect("no more is given back than is promised");
    }

    /// Sold units of that lot become fewer (below 0) or more.
    pub(crate) fn change_committed(&mut self, line: &LineRecord, lot: Option<LotNo>, units: i64) {
        if line.counted && units != 0 {
            let delta = StockDelta { committed: units, ..StockDelta::default() };
            let (sku, location) = (line.sku, line.location);
            self.change(&Move { sku, location, lot, delta, flow: StockFlow::default() });
        }
    }

    /// Notes that what may be sold at a place becomes less, before it does: what is promised there may be more then.
    pub(crate) fn expect_lack(&mut self, sku: SkuNo, location: LocationNo) {
        self.touch(sku, location).may_lack = true;
    }

    /// Notes that a place changes, before it does.
    pub(super) fn touch(&mut self, sku: SkuNo, location: LocationNo) -> &mut Touched {
        let is_it = |touched: &Touched| (touched.sku, touched.location) == (sku, location);
        let at = self.touched.iter().position(is_it).unwrap_or_else(|| {
            let place = self.state.stock(sku).place(location);
            let atp_before = place.map_or(0, |place| self.state.atp(sku, place));
            let open = place.into_iter().flat_map(|place| &place.allocations).filter(|of| of.open);
            let left_before = open.map(|of| (of.campaign, of.left())).collect();
            self.touched.push(Touched { sku, location, atp_before, may_lack: false, left_before });
            self.touched.len() - 1
        });
        &mut self.touched[at]
    }

    /// Notes a change for the event, and counts it once a place.
    fn note(&mut self, sku: SkuNo, location: LocationNo, lot: Option<LotNo>, delta: &StockDelta) {
        self.touch(sku, location);
        let is_at_place = |change: &PendingChange| change.sku == sku && change.location == location;
        let is_first_at_place = !self.changes.iter().any(is_at_place);
        match self.changes.iter_mut().find(|change| is_at_place(change) && change.lot == lot) {
            Some(change) => change.delta.add(delta),
            None => self.changes.push(PendingChange { sku, location, lot, delta: *delta }),
        }
        if is_first_at_place {
            let place = self.state.stock_mut(sku).place_mut(location);
            place.revision = place.revision.next();
        }
    }
}
