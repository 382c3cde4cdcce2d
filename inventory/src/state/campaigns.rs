//! The campaigns of the state, and what of the stock they have: the allocations lie with the stock of their place.
//!
//! What of an allocation is held and sold follows from the lines of its campaign's reservations: whatever changes a reservation
//! changes it by the difference, in the one place where reservations change.

use std::collections::BTreeMap;

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::State;
use super::chunk::{ChunkKind, Record};
use super::journal::Undo;
use super::load::LoadError;
use super::records::{LineRecord, LocationNo, ReservationRecord, SkuNo, StockPlace};
use crate::{CampaignId, CampaignPhase, CampaignSpec, Commitment, LogTime, MAX_CAMPAIGNS, Revision, Seed};

const BELIEF: &str = "a campaign's place is never removed";

/// The ordinal of a campaign's place among the campaigns: one that is over may make room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CampaignNo(pub(crate) u32);

/// A campaign that a reservation was made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SaleNo {
    pub(crate) campaign: CampaignNo,
    /// Which of those that had its place.
    pub(crate) generation: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CampaignRecord {
    pub(crate) id: CampaignId,
    pub(crate) spec: CampaignSpec,
    pub(crate) phase: CampaignPhase,
    pub(crate) revision: Revision,
    pub(crate) generation: u32,
    /// What its draw is held to.
    pub(crate) commitment: Option<Commitment>,
    /// What it was drawn with.
    pub(crate) seed: Option<Seed>,
}

impl Record for CampaignRecord {
    const KIND: ChunkKind = ChunkKind::Campaigns;
    const PER_CHUNK: usize = 64;
}

impl CampaignRecord {
    /// It, and none that has its place before or after.
    pub(crate) const fn sale(&self, no: CampaignNo) -> SaleNo {
        SaleNo { campaign: no, generation: self.generation }
    }

    /// When it begins or ends, whichever comes next.
    fn due_at(&self) -> Option<LogTime> {
        match self.phase {
            CampaignPhase::Closed => None,
            _ if self.spec.closed => Some(LogTime(0)),
            CampaignPhase::Announced => Some(self.spec.starts_at),
            CampaignPhase::Open => Some(self.spec.ends_at),
        }
    }
}

/// What of a place a campaign has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllocationRecord {
    pub(crate) campaign: CampaignNo,
    pub(crate) granted: u64,
    pub(crate) held: u64,
    pub(crate) sold: u64,
    pub(crate) open: bool,
}

impl AllocationRecord {
    pub(crate) const fn left(&self) -> u64 {
        self.granted.saturating_sub(self.held).saturating_sub(self.sold)
    }
}

/// Held and sold units of a reservation in its campaign.
type Allocated = BTreeMap<(SkuNo, LocationNo), (u64, u64)>;

/// Held and sold units of a line, those whose stock went away included.
pub(crate) fn held_and_sold(line: &LineRecord) -> (u64, u64) {
    (line.units.unsold(), line.units.sold().saturating_add(line.units.fulfilled))
}

impl ReservationRecord {
    /// The campaign it was made in.
    pub(crate) fn sale(&self) -> Option<SaleNo> {
        self.details.as_deref()?.sale
    }

    /// What its campaign counts of it. Nothing is allocated where it has none.
    pub(super) fn allocated(&self) -> Allocated {
        let mut allocated = Allocated::new();
        if self.sale().is_some() {
            for line in self.lines.iter().filter(|line| line.counted) {
                let (held, sold) = held_and_sold(line);
                let sums = allocated.entry((line.sku, line.location)).or_default();
                (sums.0, sums.1) = (sums.0.saturating_add(held), sums.1.saturating_add(sold));
            }
        }
        allocated
    }
}

impl StockPlace {
    pub(crate) fn allocation(&self, campaign: CampaignNo) -> Option<&AllocationRecord> {
        self.allocations.iter().find(|allocation| allocation.campaign == campaign)
    }

    /// Units that campaigns have and nobody else gets.
    pub(crate) fn fence(&self) -> u64 {
        if is_on(Mutation::FenceIgnored) {
            return 0;
        }
        let open = self.allocations.iter().filter(|allocation| allocation.open);
        open.map(AllocationRecord::left).fold(0, u64::saturating_add)
    }

    /// Units that are kept from sale to everybody: the safety stock, and what campaigns have.
    pub(crate) fn kept_back(&self) -> u64 {
        self.safety_stock.saturating_add(self.fence())
    }
}

impl State {
    pub(crate) fn find_campaign(&self, id: &CampaignId) -> Option<CampaignNo> {
        self.indexes.campaigns.get(id).copied()
    }

    pub(crate) fn campaign(&self, no: CampaignNo) -> &CampaignRecord {
        self.campaigns.get(u64::from(no.0)).expect(BELIEF)
    }

    pub(crate) fn campaigns(&self) -> impl Iterator<Item = (CampaignNo, &CampaignRecord)> {
        self.indexes.campaigns.values().map(|no| (*no, self.campaign(*no)))
    }

    /// The campaign a reservation was made in, unless another one has its place since.
    pub(crate) fn campaign_of(&self, sale: SaleNo) -> Option<&CampaignRecord> {
        self.campaigns.get(u64::from(sale.campaign.0)).filter(|record| record.generation == sale.generation)
    }

    /// Where a campaign has units, or had some.
    pub(crate) fn places_of(&self, campaign: CampaignNo) -> Vec<(SkuNo, LocationNo)> {
        self.places_from(campaign, (SkuNo(0), LocationNo(0))).collect()
    }

    /// The same from one place on.
    pub(crate) fn places_from(
        &self,
        campaign: CampaignNo,
        (sku, location): (SkuNo, LocationNo),
    ) -> impl Iterator<Item = (SkuNo, LocationNo)> {
        let (from, to) = ((campaign, sku, location), (campaign, SkuNo(u32::MAX), LocationNo(u32::MAX)));
        self.indexes.allocations.range(from..=to).map(|(_, sku, location)| (*sku, *location))
    }

    pub(crate) fn allocation_count(&self) -> usize {
        self.indexes.allocations.len()
    }

    /// Makes a campaign known; where there are as many as there may be, in the place of the one that is over and ended first.
    /// Answers false where none is over.
    pub(crate) fn add_campaign(&mut self, record: CampaignRecord) -> bool {
        if self.campaigns.live() < MAX_CAMPAIGNS as u64 {
            let no = CampaignNo(self.campaigns.next_ordinal() as u32);
            self.indexes.name_campaign(no, &record);
            self.campaigns.push(record);
            self.note(|| Undo::CampaignAdded(no));
            return true;
        }
        let closed = self.campaigns().filter(|(_, record)| record.phase == CampaignPhase::Closed);
        let Some((no, _)) = closed.min_by_key(|(no, record)| (record.spec.ends_at, *no)) else { return false };
        self.replace_campaign(no, record);
        true
    }

    /// Puts another campaign in the place of one that is over: nothing of the old one is counted any more.
    pub(crate) fn replace_campaign(&mut self, no: CampaignNo, record: CampaignRecord) {
        self.forget_allocations(no);
        let generation = self.campaign(no).generation;
        self.change_campaign(no, |old| *old = CampaignRecord { generation, ..record });
    }

    /// Makes room for another allocation: what the campaign had that is over and ended first, of those that had something, is forgotten.
    /// Answers false where none is over.
    pub(crate) fn forget_oldest_allocations(&mut self) -> bool {
        let is_over = |no: CampaignNo, record: &CampaignRecord| {
            record.phase == CampaignPhase::Closed && !self.places_of(no).is_empty()
        };
        let over = self.campaigns().filter(|(no, record)| is_over(*no, record));
        let Some((no, _)) = over.min_by_key(|(no, record)| (record.spec.ends_at, *no)) else { return false };
        self.forget_allocations(no);
        true
    }

    /// What a campaign that is over had is not counted any more, nor what its reservations do.
    fn forget_allocations(&mut self, no: CampaignNo) {
        for (sku, location) in self.places_of(no) {
            self.change_allocations(sku, location, |allocations| allocations.retain(|of| of.campaign != no));
        }
        self.change_campaign(no, |record| record.generation = record.generation.wrapping_add(1));
    }

    pub(crate) fn change_campaign(&mut self, no: CampaignNo, change: impl FnOnce(&mut CampaignRecord)) {
        let record = self.campaigns.get_mut(u64::from(no.0)).expect(BELIEF);
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Campaign(no, record.clone()));
        }
        self.indexes.unname_campaign(no, record);
        let (seed, sale) = (record.seed, record.sale(no));
        change(record);
        let is_drawn = seed != record.seed && sale == record.sale(no);
        self.indexes.name_campaign(no, record);
        if is_drawn {
            self.reorder_room(sale);
        }
    }

    pub(super) fn take_back_campaign_added(&mut self, no: CampaignNo) {
        let record =
            self.campaigns.undo_push(u64::from(no.0)).expect("what a chain touched is there until the chain ends");
        self.indexes.unname_campaign(no, &record);
    }

    pub(super) fn take_back_campaign(&mut self, no: CampaignNo, old: CampaignRecord) {
        let record = self.campaigns.get_mut(u64::from(no.0)).expect(BELIEF);
        self.indexes.unname_campaign(no, record);
        let (seed, sale) = (record.seed, record.sale(no));
        *record = old;
        let is_drawn = seed != record.seed && sale == record.sale(no);
        self.indexes.name_campaign(no, record);
        if is_drawn {
            self.reorder_room(sale);
        }
    }

    /// Changes what of a place campaigns have.
    pub(crate) fn change_allocations(
        &mut self,
        sku: SkuNo,
        location: LocationNo,
        change: impl FnOnce(&mut Vec<AllocationRecord>),
    ) {
        let place = self.stock_mut(sku).place_mut(location);
        let before: Vec<CampaignNo> = place.allocations.iter().map(|of| of.campaign).collect();
        change(&mut place.allocations);
        place.allocations.sort_unstable_by_key(|of| of.campaign);
        let after: Vec<CampaignNo> = place.allocations.iter().map(|of| of.campaign).collect();
        if before != after {
            self.indexes.note_allocations(sku, location, &before, &after);
        }
    }

    /// Counts what a reservation has in its campaign now, where it had something else before.
    pub(super) fn count_allocated(&mut self, sale: SaleNo, before: &Allocated, after: &Allocated) {
        if before == after || self.campaign_of(sale).is_none() {
            return;
        }
        let places: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).copied().collect();
        for (sku, location) in places {
            let of = |allocated: &Allocated| allocated.get(&(sku, location)).copied().unwrap_or_default();
            let (had, has) = (of(before), of(after));
            if had == has || (is_on(Mutation::AllocationNotGivenBack) && has.0 + has.1 < had.0 + had.1) {
                continue;
            }
            let place = self.stock(sku).place(location);
            if place.is_none_or(|place| place.allocation(sale.campaign).is_none()) {
                continue;
            }
            self.change_allocations(sku, location, |allocations| {
                let of_campaign = allocations.iter_mut().filter(|allocation| allocation.campaign == sale.campaign);
                of_campaign.for_each(|allocation| {
                    allocation.held = (allocation.held + has.0).saturating_sub(had.0);
                    allocation.sold = (allocation.sold + has.1).saturating_sub(had.1);
                });
            });
        }
    }

    pub(super) fn index_campaigns(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::Campaigns };
        if self.campaigns.live() != self.campaigns.next_ordinal() || self.campaigns.live() > MAX_CAMPAIGNS as u64 {
            return Err(refused);
        }
        for (no, record) in self.campaigns.iter() {
            self.indexes.name_campaign(CampaignNo(no as u32), record);
        }
        if self.indexes.campaigns.len() as u64 == self.campaigns.live() { Ok(()) } else { Err(refused) }
    }

    /// Whether allocations are of campaigns that are there, each once, and in their range.
    pub(super) fn allocations_fit(&self, place: &StockPlace) -> bool {
        let fits = |of: &AllocationRecord| {
            u64::from(of.campaign.0) < self.campaigns.live()
                && of.held.checked_add(of.sold).is_some_and(|taken| taken <= of.granted)
                && of.granted <= i64::MAX as u64
        };
        place.allocations.iter().all(fits) && place.allocations.is_sorted_by(|a, b| a.campaign < b.campaign)
    }
}

impl super::Indexes {
    pub(super) fn name_campaign(&mut self, no: CampaignNo, record: &CampaignRecord) {
        self.campaigns.insert(record.id.clone(), no);
        self.campaigns_due.extend(record.due_at().map(|at| (at, no)));
    }

    pub(super) fn unname_campaign(&mut self, no: CampaignNo, record: &CampaignRecord) {
        self.campaigns.remove(&record.id);
        if let Some(at) = record.due_at() {
            self.campaigns_due.remove(&(at, no));
        }
    }

    /// Which campaigns have something of a place.
    pub(super) fn note_allocations(
        &mut self,
        sku: SkuNo,
        location: LocationNo,
        before: &[CampaignNo],
        after: &[CampaignNo],
    ) {
        for no in before {
            self.allocations.remove(&(*no, sku, location));
        }
        self.allocations.extend(after.iter().map(|no| (*no, sku, location)));
    }
}
