//! What of an item tracked by lot may be promised at one location.
//!
//! Holds are bound to lots late, when they are sold, so what they need of a lot's life is all that is known of them. Such
//! promises can be kept as long as for every instant d the unbound units that must be sellable at d or later are at most the
//! units that will be [H-LATE]; first expired, first out then never takes what another hold needs: the earliest lot that does
//! for a hold leaves, for each later d, as many units as before or as many as the other holds there need. This is Hall's
//! condition for nested sets, and the greedy matching that goes with it.

use holdfast_mutation::{Mutation, is_on};

use crate::state::{LotNo, SkuNo, State, StockPlace};
use crate::{LogTime, LotStatus};

/// The sellable units of one item at one location, and the holds that are to get some of them.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    /// First expired, first out: by removal, receipt and name.
    lots: Vec<ShelfLot>,
    /// Units held and not bound, by how long they must be sellable, the shortest first.
    needs: Vec<(LogTime, u64)>,
}

#[derive(Clone, Debug)]
struct ShelfLot {
    lot: LotNo,
    removal_at: LogTime,
    free: u64,
}

impl Shelf {
    pub(crate) fn of(state: &State, place: &StockPlace) -> Self {
        Self::at(state, place, state.header.now)
    }

    /// The same as it was at that time, with what lies there now.
    fn at(state: &State, place: &StockPlace, now: LogTime) -> Self {
        let mut lots: Vec<ShelfLot> = Vec::with_capacity(place.cells.len());
        for cell in &place.cells {
            let Some(lot) = cell.lot else { continue };
            let (record, free) = (state.lot(lot), cell.counts.free().expect("[H-QTY] no part is below 0"));
            let is_approved = record.status == LotStatus::Approved || is_on(Mutation::BlockedLotSold);
            let is_in_time = record.removal_at >= now || is_on(Mutation::ExpiredLotSold);
            if free > 0 && is_approved && is_in_time {
                lots.push(ShelfLot { lot, removal_at: record.removal_at, free });
            }
        }
        lots.sort_by(|a, b| {
            let by = |lot: &ShelfLot| (lot.removal_at, state.lot(lot.lot).received_at, &state.lot(lot.lot).id);
            if is_on(Mutation::LastExpiredFirstOut) { by(b).cmp(&by(a)) } else { by(a).cmp(&by(b)) }
        });
        Self { lots, needs: place.unbound.clone() }
    }

    /// Units that are sellable at that instant and later.
    fn living(&self, at: LogTime) -> u64 {
        self.lots.iter().filter(|lot| lot.removal_at >= at).map(|lot| lot.free).fold(0, u64::saturating_add)
    }

    /// Held units that must be.
    fn needed(&self, at: LogTime) -> u64 {
        self.needs.iter().filter(|(need, _)| *need >= at).map(|(_, units)| *units).fold(0, u64::saturating_add)
    }

    /// The instants up to that one at which promises could fail first: between two of them fewer units live and as many are
    /// needed.
    fn instants(&self, to: LogTime) -> impl Iterator<Item = LogTime> {
        self.needs.iter().map(|(need, _)| *need).take_while(move |need| *need < to).chain([to])
    }

    /// How many units more may be held that must be sellable at that instant.
    pub(crate) fn left_for(&self, need: LogTime) -> u64 {
        self.instants(need).map(|at| self.living(at).saturating_sub(self.needed(at))).min().unwrap_or(0)
    }

    /// How many units too many are held of those that must be sellable at that instant or before.
    pub(crate) fn lack_of(&self, need: LogTime) -> u64 {
        self.instants(need).map(|at| self.needed(at).saturating_sub(self.living(at))).max().unwrap_or(0)
    }

    /// How many units more of that lot may be bound by name.
    pub(crate) fn left_of(&self, lot: LotNo) -> u64 {
        let found = self.lots.iter().find(|found| found.lot == lot);
        found.map_or(0, |found| found.free.min(self.left_for(found.removal_at)))
    }

    /// Free units of that lot, whoever may need them.
    pub(crate) fn free_of(&self, lot: LotNo) -> u64 {
        self.lots.iter().find(|found| found.lot == lot).map_or(0, |found| found.free)
    }

    /// Units more are held, and bound late.
    pub(crate) fn hold(&mut self, need: LogTime, units: u64) {
        match self.needs.binary_search_by_key(&need, |(need, _)| *need) {
            Ok(at) => self.needs[at].1 += units,
            Err(at) => self.needs.insert(at, (need, units)),
        }
    }

    /// Units fewer are held.
    pub(crate) fn let_go(&mut self, need: LogTime, units: u64) {
        if let Ok(at) = self.needs.binary_search_by_key(&need, |(need, _)| *need) {
            self.needs[at].1 = self.needs[at].1.saturating_sub(units);
        }
    }

    /// Units of a lot are gone.
    pub(crate) fn take(&mut self, lot: LotNo, units: u64) {
        if let Some(found) = self.lots.iter_mut().find(|found| found.lot == lot) {
            found.free = found.free.saturating_sub(units);
        }
    }

    /// Units of a lot are free again.
    pub(crate) fn give(&mut self, state: &State, lot: LotNo, units: u64) {
        match self.lots.iter_mut().find(|found| found.lot == lot) {
            Some(found) => found.free = found.free.saturating_add(units),
            // Where it stands among the others matters to nobody who asks how much there is.
            None => self.lots.push(ShelfLot { lot, removal_at: state.lot(lot).removal_at, free: units }),
        }
    }

    /// Takes up to so many units that are sellable at that instant, first expired first out, and says of which lots.
    pub(crate) fn bind(&mut self, need: LogTime, units: u64) -> Vec<(LotNo, u64)> {
        let (mut left, mut taken) = (units, Vec::new());
        for lot in self.lots.iter_mut().filter(|lot| lot.removal_at >= need) {
            let part = left.min(lot.free);
            if part > 0 {
                lot.free -= part;
                left -= part;
                taken.push((lot.lot, part));
            }
        }
        taken
    }
}

impl State {
    /// What may be promised of an item at a place now [H-ATP].
    pub(crate) fn atp(&self, sku: SkuNo, place: &StockPlace) -> u64 {
        self.atp_at(sku, place, self.header.now)
    }

    /// What could be promised at that time, had there been what there is now.
    pub(crate) fn atp_at(&self, sku: SkuNo, place: &StockPlace, now: LogTime) -> u64 {
        let spec = &self.item(sku).spec;
        let left =
            if spec.lot_tracked { Shelf::at(self, place, now).left_for(spec.need_at(now)) } else { place.free() };
        left.saturating_sub(place.kept_back()).saturating_sub(place.waited_for())
    }
}
