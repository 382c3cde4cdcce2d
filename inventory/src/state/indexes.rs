//! The indexes: how records are found. They follow from the records alone and are built anew when the state is loaded.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::arena::Arena;
use super::campaigns::{CampaignNo, SaleNo};
use super::customer_limits::{CounterNo, LimitNo};
use super::documents::DocumentNo;
use super::hash_index::HashIndex;
use super::records::{
    ChannelNo, ItemRecord, LineRecord, LocationNo, LotNo, LotRecord, ReservationNo, ReservationRecord, SkuNo,
};
use super::rooms::RoomIndex;
use crate::{CampaignId, ChannelId, LimitId, LocationId, LogTime, LotId, OrderRef, Sku};

/// The hash that an id is found by.
pub(crate) fn hash_id(id: u128) -> u64 {
    xxh3_64(&id.to_le_bytes())
}

fn hash_sku(sku: &Sku) -> u64 {
    xxh3_64(sku.as_bytes())
}

/// The indexes.
#[derive(Clone, Debug)]
pub(crate) struct Indexes {
    pub(super) locations: BTreeMap<LocationId, LocationNo>,
    pub(super) channels: BTreeMap<ChannelId, ChannelNo>,
    skus: HashIndex,
    /// For lists in the order of the SKUs.
    pub(crate) skus_in_order: BTreeMap<Sku, SkuNo>,
    /// The lots of each item.
    pub(crate) lots_by_sku: Vec<BTreeMap<LotId, LotNo>>,
    /// When something is to be told of which lot.
    pub(crate) lots_due: BTreeSet<(LogTime, LotNo)>,
    pub(super) reservations: HashIndex,
    /// Reservations that have or had units of a lot, or are bound to it by name.
    pub(crate) by_lot: BTreeSet<(LotNo, ReservationNo)>,
    /// Reservations with units whose stock went away.
    pub(crate) short: BTreeSet<(SkuNo, ReservationNo)>,
    pub(crate) by_order_ref: BTreeSet<(OrderRef, ReservationNo)>,
    /// What falls due when.
    pub(crate) due: BTreeSet<(LogTime, ReservationNo)>,
    /// The same for each item.
    pub(crate) due_by_sku: Vec<BTreeSet<(LogTime, ReservationNo)>>,
    /// What has ended, whether units of it were shipped, and when.
    pub(crate) ended: BTreeSet<(bool, LogTime, ReservationNo)>,
    /// Parts of reservations over several shards of which it is not known whether they stand, by when the deciding shard is asked.
    pub(crate) in_doubt: BTreeSet<(LogTime, ReservationNo)>,
    /// Reservations over several shards of which some part has not been told the latest.
    pub(crate) behind: BTreeSet<ReservationNo>,
    /// Results by command id: twice the ordinal, and one more for a keyed id.
    pub(crate) results: HashIndex,
    pub(super) documents: HashIndex,
    /// The count that is open of an item at a location: one at most.
    pub(crate) open_counts: BTreeMap<(SkuNo, LocationNo), DocumentNo>,
    /// The reservations of each item with units that are sold and of no lot.
    pub(crate) sold_by_sku: Vec<BTreeSet<ReservationNo>>,
    /// Reservations with units at a place that are promised without stock by choice, in the order in which they are filled: sold
    /// ones first (`false`), then those that are not, oldest first.
    pub(crate) backordered: BTreeSet<(SkuNo, LocationNo, bool, ReservationNo)>,
    /// Places with free units that backorders wait for.
    pub(crate) filling: BTreeSet<(SkuNo, LocationNo)>,
    /// Transfers and expected receipts that have ended, and when.
    pub(crate) ended_documents: BTreeSet<(LogTime, DocumentNo)>,
    /// Reservations with orders; those of which the order has not ended, those for which an endpoint is to be called, and since when
    /// an order has ended.
    pub(crate) orders: BTreeSet<ReservationNo>,
    pub(crate) open_orders: BTreeSet<ReservationNo>,
    pub(crate) calling: BTreeSet<ReservationNo>,
    pub(crate) ended_orders: BTreeSet<(LogTime, ReservationNo)>,
    pub(super) limits: BTreeMap<LimitId, LimitNo>,
    pub(super) limits_by_sku: BTreeSet<(SkuNo, LimitNo)>,
    /// Those of them that new holds are checked against: limits that are over are many after some years of sales.
    pub(super) active_limits: BTreeSet<(SkuNo, LimitNo)>,
    /// By limit and customer.
    pub(super) counters: HashIndex,
    /// Counters of which nothing counts from then on.
    pub(super) idle_counters: BTreeSet<(LogTime, CounterNo)>,
    pub(super) campaigns: BTreeMap<CampaignId, CampaignNo>,
    /// When a campaign begins or ends.
    pub(crate) campaigns_due: BTreeSet<(LogTime, CampaignNo)>,
    /// What of which place campaigns have.
    pub(crate) allocations: BTreeSet<(CampaignNo, SkuNo, LocationNo)>,
    /// Waiting rooms, and which tokens were spent here.
    pub(crate) rooms: BTreeMap<SaleNo, RoomIndex>,
    /// Tickets of all rooms.
    pub(crate) tickets: usize,
    /// Limits over several items, by name, and by item.
    pub(super) shared_limits: BTreeMap<LimitId, LimitNo>,
    pub(super) shared_by_sku: BTreeSet<(Sku, LimitNo)>,
}

impl Indexes {
    pub(super) fn new() -> Self {
        Self {
            locations: BTreeMap::new(),
            channels: BTreeMap::new(),
            skus: HashIndex::new(),
            skus_in_order: BTreeMap::new(),
            lots_by_sku: Vec::new(),
            lots_due: BTreeSet::new(),
            by_lot: BTreeSet::new(),
            short: BTreeSet::new(),
            reservations: HashIndex::new(),
            by_order_ref: BTreeSet::new(),
            due: BTreeSet::new(),
            due_by_sku: Vec::new(),
            ended: BTreeSet::new(),
            in_doubt: BTreeSet::new(),
            behind: BTreeSet::new(),
            results: HashIndex::new(),
            documents: HashIndex::new(),
            open_counts: BTreeMap::new(),
            sold_by_sku: Vec::new(),
            ended_documents: BTreeSet::new(),
            orders: BTreeSet::new(),
            open_orders: BTreeSet::new(),
            calling: BTreeSet::new(),
            ended_orders: BTreeSet::new(),
            limits: BTreeMap::new(),
            limits_by_sku: BTreeSet::new(),
            active_limits: BTreeSet::new(),
            counters: HashIndex::new(),
            idle_counters: BTreeSet::new(),
            backordered: BTreeSet::new(),
            filling: BTreeSet::new(),
            campaigns: BTreeMap::new(),
            campaigns_due: BTreeSet::new(),
            allocations: BTreeSet::new(),
            rooms: BTreeMap::new(),
            tickets: 0,
            shared_limits: BTreeMap::new(),
            shared_by_sku: BTreeSet::new(),
        }
    }

    /// Whether units are free at a place that backorders wait for.
    pub(super) fn note_filling(&mut self, sku: SkuNo, location: LocationNo, is_filling: bool) {
        if is_filling {
            self.filling.insert((sku, location));
        } else {
            self.filling.remove(&(sku, location));
        }
    }

    pub(super) fn find_sku(&self, sku: &Sku, items: &Arena<ItemRecord>) -> Option<SkuNo> {
        let is_it = |ordinal| items.get(ordinal).is_some_and(|item| item.sku == *sku);
        self.skus.find(hash_sku(sku), is_it).map(|ordinal| SkuNo(ordinal as u32))
    }

    pub(super) fn add_sku(&mut self, sku: &Sku, no: SkuNo) {
        self.skus.insert(hash_sku(sku), u64::from(no.0));
        self.skus_in_order.insert(sku.clone(), no);
        debug_assert_eq!(self.due_by_sku.len(), no.0 as usize, "items come in the order of their ordinals");
        self.due_by_sku.push(BTreeSet::new());
        self.sold_by_sku.push(BTreeSet::new());
        self.lots_by_sku.push(BTreeMap::new());
    }

    pub(super) fn remove_last_sku(&mut self, sku: &Sku, no: SkuNo) {
        self.skus.remove(hash_sku(sku), u64::from(no.0));
        self.skus_in_order.remove(sku);
        self.due_by_sku.truncate(no.0 as usize);
        self.sold_by_sku.truncate(no.0 as usize);
        self.lots_by_sku.truncate(no.0 as usize);
    }

    /// Adds a lot. False: the item had one of that id.
    pub(super) fn add_lot(&mut self, no: LotNo, record: &LotRecord) -> bool {
        self.schedule_lot(no, record);
        self.lots_by_sku[record.sku.0 as usize].insert(record.id.clone(), no).is_none()
    }

    pub(super) fn remove_lot(&mut self, no: LotNo, record: &LotRecord) {
        self.unschedule_lot(no, record);
        self.lots_by_sku[record.sku.0 as usize].remove(&record.id);
    }

    pub(super) fn schedule_lot(&mut self, no: LotNo, record: &LotRecord) {
        self.lots_due.extend(record.next_to_tell().map(|(at, _)| (at, no)));
    }

    pub(super) fn unschedule_lot(&mut self, no: LotNo, record: &LotRecord) {
        if let Some((at, _)) = record.next_to_tell() {
            self.lots_due.remove(&(at, no));
        }
    }

    pub(super) fn name_reservation(&mut self, no: ReservationNo, record: &ReservationRecord) {
        self.reservations.insert(hash_id(record.id.0), no.0);
        if let Some(order_ref) = record.order_ref() {
            self.by_order_ref.insert((order_ref.clone(), no));
        }
    }

    pub(super) fn unname_reservation(&mut self, no: ReservationNo, record: &ReservationRecord) {
        self.reservations.remove(hash_id(record.id.0), no.0);
        if let Some(order_ref) = record.order_ref() {
            self.by_order_ref.remove(&(order_ref.clone(), no));
        }
    }

    /// Notes when the reservation falls due, that it has ended, of which lots it has units, and what it lacks.
    pub(super) fn schedule(&mut self, no: ReservationNo, record: &ReservationRecord) {
        if let Some(due_at) = record.due_at() {
            self.due.insert((due_at, no));
            for line in &record.lines {
                self.due_by_sku[line.sku.0 as usize].insert((due_at, no));
            }
        }
        if let Some(ended_at) = record.forgettable_since() {
            self.ended.insert((record.has_shipped(), ended_at, no));
        }
        if let Some(ask_at) = record.ask_at() {
            self.in_doubt.insert((ask_at, no));
        }
        if record.is_ahead_of_parts() {
            self.behind.insert(no);
        }
        for line in record.lines.iter().filter(|line| line.by_lot.is_some()) {
            self.by_lot.extend(line.lots().map(|lot| (lot, no)));
        }
        for line in record.lines.iter().filter(|line| line.units.short + line.units.short_sold > 0) {
            self.short.insert((line.sku, no));
        }
        for line in record.lines.iter().filter(|line| line.is_sold_of_no_lot()) {
            self.sold_by_sku[line.sku.0 as usize].insert(no);
        }

        for line in record.lines.iter().filter(|line| line.units.all_backordered() > 0) {
            self.backordered.extend(waiting(no, line));
        }
        self.schedule_order(no, record);
    }

    fn schedule_order(&mut self, no: ReservationNo, record: &ReservationRecord) {
        let Some(order) = record.order.as_deref() else { return };
        self.orders.insert(no);
        match order.ended_at {
            Some(ended_at) => self.ended_orders.insert((ended_at, no)),
            None => self.open_orders.insert(no),
        };
        if record.is_calling() {
            self.calling.insert(no);
        }
    }

    fn unschedule_order(&mut self, no: ReservationNo, record: &ReservationRecord) {
        let Some(order) = record.order.as_deref() else { return };
        self.orders.remove(&no);
        self.open_orders.remove(&no);
        self.calling.remove(&no);
        if let Some(ended_at) = order.ended_at {
            self.ended_orders.remove(&(ended_at, no));
        }
    }

    pub(super) fn unschedule(&mut self, no: ReservationNo, record: &ReservationRecord) {
        if let Some(due_at) = record.due_at() {
            self.due.remove(&(due_at, no));
            for line in &record.lines {
                self.due_by_sku[line.sku.0 as usize].remove(&(due_at, no));
            }
        }
        if let Some(ended_at) = record.forgettable_since() {
            self.ended.remove(&(record.has_shipped(), ended_at, no));
        }
        if let Some(ask_at) = record.ask_at() {
            self.in_doubt.remove(&(ask_at, no));
        }
        if record.is_ahead_of_parts() {
            self.behind.remove(&no);
        }
        for line in record.lines.iter().filter(|line| line.by_lot.is_some()) {
            for lot in line.lots() {
                self.by_lot.remove(&(lot, no));
            }
        }
        for line in record.lines.iter().filter(|line| line.units.short + line.units.short_sold > 0) {
            self.short.remove(&(line.sku, no));
        }
        for line in record.lines.iter().filter(|line| line.is_sold_of_no_lot()) {
            self.sold_by_sku[line.sku.0 as usize].remove(&no);
        }

        for entry in record.lines.iter().flat_map(|line| waiting(no, line)) {
            self.backordered.remove(&entry);
        }
        self.unschedule_order(no, record);
    }

    /// The same for a reservation of one line that has no lot, by what it was.
    pub(super) fn unschedule_one(&mut self, no: ReservationNo, sku: SkuNo, was: &Standing) {
        if let Some(due_at) = was.due_at {
            self.due.remove(&(due_at, no));
            self.due_by_sku[sku.0 as usize].remove(&(due_at, no));
        }
        if let Some(ended_at) = was.ended_at {
            self.ended.remove(&(was.has_shipped, ended_at, no));
        }
        if was.is_short {
            self.short.remove(&(sku, no));
        }
        if was.is_sold {
            self.sold_by_sku[sku.0 as usize].remove(&no);
        }
    }
}

/// What of a reservation of one line that has no lot stands in the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    due_at: Option<LogTime>,
    ended_at: Option<LogTime>,
    lines: usize,
    is_short: bool,
    is_sold: bool,
    has_shipped: bool,
    has_order: bool,
}

impl Standing {
    pub(super) fn of(record: &ReservationRecord) -> Self {
        Self {
            due_at: record.due_at(),
            ended_at: record.ended_at,
            lines: record.lines.len(),
            is_short: record.lines.iter().any(|line| line.units.short + line.units.short_sold > 0),
            is_sold: record.lines.iter().any(LineRecord::is_sold_of_no_lot),
            has_shipped: record.has_shipped(),
            has_order: record.order.is_some(),
        }
    }

    /// Whether it is in them as often as its number says, and no oftener.
    pub(super) fn is_of_one_line(&self) -> bool {
        self.lines == 1
    }
}

/// Under what a line is found whose units are promised without stock by choice: as sold, as not sold, or as both.
pub(crate) fn waiting(
    no: ReservationNo,
    line: &LineRecord,
) -> impl Iterator<Item = (SkuNo, LocationNo, bool, ReservationNo)> {
    let (sku, location) = (line.sku, line.location);
    let kinds = [(line.units.backordered_sold, false), (line.units.backordered, true)];
    kinds.into_iter().filter(|(units, _)| *units > 0).map(move |(_, unsold)| (sku, location, unsold, no))
}

impl ReservationRecord {
    pub(crate) fn order_ref(&self) -> Option<&OrderRef> {
        self.details.as_ref()?.order_ref.as_ref()
    }

    pub(crate) fn campaign(&self) -> Option<&CampaignId> {
        self.details.as_ref()?.campaign.as_ref()
    }

    pub(crate) fn channel(&self) -> Option<&ChannelId> {
        self.details.as_ref()?.channel.as_ref()
    }
}
