//! The state of a shard: records in chunks, and the indexes that find them.
//!
//! Every change of a record goes through here, so that the indexes always match it and a chain can be rolled back.

mod arena;
mod campaigns;
mod channels;
mod chunk;
mod counts;
mod customer_limits;
mod cut;
mod documents;
mod hash_index;
mod header;
mod indexes;
mod journal;
mod load;
mod orders;
mod records;
mod rooms;
mod shared_limits;
mod spread;

pub(crate) use campaigns::{AllocationRecord, CampaignNo, CampaignRecord, SaleNo, held_and_sold};
pub use chunk::{ChunkError, ChunkId, ChunkKind};
pub(crate) use counts::{CountLineRecord, CountRecord, Counted};
pub(crate) use customer_limits::{CountedLine, LimitNo, LimitRecord};
pub use cut::{Cut, Digest};
pub(crate) use documents::{
    DocumentBody, DocumentNo, DocumentRecord, ReceiptRecord, TransferLineRecord, TransferRecord,
};
pub(crate) use header::Header;
pub(crate) use indexes::hash_id;
use indexes::{Indexes, Standing};
use journal::{Journal, Undo};
pub use load::LoadError;
pub(crate) use orders::OrderRecord;
pub(crate) use records::{
    BoundUnits, Cell, ChannelNo, ChannelRecord, ItemRecord, KeyedResultRecord, LineLots, LineRecord, LocationNo,
    LocationRecord, LotNo, LotRecord, LotTold, ReservationDetails, ReservationNo, ReservationRecord, ResultRecord,
    SkuNo, StockPlace, StockRecord,
};

pub(crate) use rooms::{RoomEntry, RoomNo, RoomRecord};
pub(crate) use spread::{MAX_ATTEMPTS, Part, PartPhase, RemoteLine, RemotePart, Spread, Whole};

use arena::Arena;
use customer_limits::CounterRecord;

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::{Limits, LineCounts, LocationId, LogTime, LotId, ReservationId, Sku, StockCounts};

/// The state of a shard.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) header: Header,
    locations: Arena<LocationRecord>,
    items: Arena<ItemRecord>,
    stock: Arena<StockRecord>,
    lots: Arena<LotRecord>,
    reservations: Arena<ReservationRecord>,
    pub(crate) results: Arena<ResultRecord>,
    pub(crate) keyed_results: Arena<KeyedResultRecord>,
    documents: Arena<DocumentRecord>,
    limits: Arena<LimitRecord>,
    counters: Arena<CounterRecord>,
    channels: Arena<ChannelRecord>,
    campaigns: Arena<CampaignRecord>,
    rooms: Arena<RoomRecord>,
    pub(crate) indexes: Indexes,
    /// Open while a chain is decided.
    journal: Option<Journal>,
}

impl State {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            header: Header::new(limits),
            locations: Arena::new(),
            items: Arena::new(),
            stock: Arena::new(),
            lots: Arena::new(),
            reservations: Arena::new(),
            results: Arena::new(),
            keyed_results: Arena::new(),
            documents: Arena::new(),
            limits: Arena::new(),
            counters: Arena::new(),
            channels: Arena::new(),
            campaigns: Arena::new(),
            rooms: Arena::new(),
            indexes: Indexes::new(),
            journal: None,
        }
    }

    // Locations.

    pub(crate) fn find_location(&self, id: &LocationId) -> Option<LocationNo> {
        self.indexes.locations.get(id).copied()
    }

    pub(crate) fn location(&self, no: LocationNo) -> &LocationRecord {
        self.locations.get(u64::from(no.0)).expect("a location is never removed")
    }

    pub(crate) fn locations(&self) -> impl Iterator<Item = &LocationRecord> {
        self.indexes.locations.values().map(|no| self.location(*no))
    }

    pub(crate) fn location_count(&self) -> u64 {
        self.locations.live()
    }

    pub(crate) fn add_location(&mut self, record: LocationRecord) -> LocationNo {
        let no = LocationNo(self.locations.next_ordinal() as u32);
        self.indexes.locations.insert(record.id.clone(), no);
        self.locations.push(record);
        self.note(|| Undo::LocationAdded(no));
        no
    }

    pub(crate) fn location_mut(&mut self, no: LocationNo) -> &mut LocationRecord {
        if let Some(journal) = &mut self.journal {
            let old = self.locations.get(u64::from(no.0)).expect("a location is never removed").clone();
            journal.note(Undo::Location(no, old));
        }
        self.locations.get_mut(u64::from(no.0)).expect("a location is never removed")
    }

    // Items and their stock.

    pub(crate) fn find_sku(&self, sku: &Sku) -> Option<SkuNo> {
        self.indexes.find_sku(sku, &self.items)
    }

    pub(crate) fn item(&self, no: SkuNo) -> &ItemRecord {
        self.items.get(u64::from(no.0)).expect("an item is never removed")
    }

    pub(crate) fn item_count(&self) -> u64 {
        self.items.live()
    }

    pub(crate) fn stock(&self, no: SkuNo) -> &StockRecord {
        self.stock.get(u64::from(no.0)).expect("every item has a stock record")
    }

    pub(crate) fn skus(&self) -> impl Iterator<Item = SkuNo> {
        self.items.iter().map(|(ordinal, _)| SkuNo(ordinal as u32))
    }

    /// Every item from that one on, as they became known.
    pub(crate) fn skus_from(&self, from: SkuNo) -> impl Iterator<Item = SkuNo> {
        self.items.iter_from(u64::from(from.0)).map(|(ordinal, _)| SkuNo(ordinal as u32))
    }

    pub(crate) fn add_item(&mut self, record: ItemRecord) -> SkuNo {
        let no = SkuNo(self.items.next_ordinal() as u32);
        self.indexes.add_sku(&record.sku, no);
        self.items.push(record);
        self.stock.push(StockRecord::default());
        self.note(|| Undo::ItemAdded(no));
        no
    }

    pub(crate) fn item_mut(&mut self, no: SkuNo) -> &mut ItemRecord {
        if let Some(journal) = &mut self.journal {
            let old = self.items.get(u64::from(no.0)).expect("an item is never removed").clone();
            journal.note(Undo::Item(no, old));
        }
        self.items.get_mut(u64::from(no.0)).expect("an item is never removed")
    }

    pub(crate) fn stock_mut(&mut self, no: SkuNo) -> &mut StockRecord {
        if let Some(journal) = &mut self.journal {
            let old = self.stock.get(u64::from(no.0)).expect("every item has a stock record").clone();
            journal.note(Undo::Stock(no, old));
        }
        self.stock.get_mut(u64::from(no.0)).expect("every item has a stock record")
    }

    // Lots.

    pub(crate) fn find_lot(&self, sku: SkuNo, id: &LotId) -> Option<LotNo> {
        self.indexes.lots_by_sku[sku.0 as usize].get(id).copied()
    }

    pub(crate) fn lot(&self, no: LotNo) -> &LotRecord {
        self.lots.get(u64::from(no.0)).expect("a lot is never removed")
    }

    /// The item's lots, by id.
    pub(crate) fn lots_of(&self, sku: SkuNo) -> impl Iterator<Item = (&LotId, LotNo)> {
        self.indexes.lots_by_sku[sku.0 as usize].iter().map(|(id, no)| (id, *no))
    }

    /// The same behind that one, by id.
    pub(crate) fn lots_after(&self, sku: SkuNo, after: Option<&LotId>) -> impl Iterator<Item = LotNo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.indexes.lots_by_sku[sku.0 as usize].range::<LotId, _>((from, Bound::Unbounded)).map(|(_, no)| *no)
    }

    /// Every lot from that one on, as they became known.
    pub(crate) fn lots_from(&self, from: LotNo) -> impl Iterator<Item = (LotNo, &LotRecord)> {
        self.lots.iter_from(u64::from(from.0)).map(|(ordinal, record)| (LotNo(ordinal as u32), record))
    }

    pub(crate) fn lot_count(&self) -> u64 {
        self.lots.live()
    }

    pub(crate) fn add_lot(&mut self, record: LotRecord) -> LotNo {
        let no = LotNo(self.lots.next_ordinal() as u32);
        let is_new = self.indexes.add_lot(no, &record);
        debug_assert!(is_new, "a lot is added once");
        self.lots.push(record);
        self.note(|| Undo::LotAdded(no));
        no
    }

    pub(crate) fn change_lot(&mut self, no: LotNo, change: impl FnOnce(&mut LotRecord)) {
        let record = self.lots.get_mut(u64::from(no.0)).expect("a lot is never removed");
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Lot(no, record.clone()));
        }
        self.indexes.unschedule_lot(no, record);
        change(record);
        self.indexes.schedule_lot(no, record);
    }

    // Reservations.

    pub(crate) fn find_reservation(&self, id: ReservationId) -> Option<ReservationNo> {
        let is_it = |ordinal| self.reservations.get(ordinal).is_some_and(|record| record.id == id);
        self.indexes.reservations.find(hash_id(id.0), is_it).map(ReservationNo)
    }

    pub(crate) fn reservation(&self, no: ReservationNo) -> &ReservationRecord {
        self.reservations.get(no.0).expect("a reservation's number is only kept as long as it")
    }

    pub(crate) fn reservations_from(
        &self,
        from: ReservationNo,
    ) -> impl Iterator<Item = (ReservationNo, &ReservationRecord)> {
        self.reservations.iter_from(from.0).map(|(ordinal, record)| (ReservationNo(ordinal), record))
    }

    pub(crate) fn reservation_count(&self) -> u64 {
        self.reservations.live()
    }

    pub(crate) fn add_reservation(&mut self, mut record: ReservationRecord) -> ReservationNo {
        record.count_counters();
        let no = ReservationNo(self.reservations.next_ordinal());
        self.indexes.name_reservation(no, &record);
        self.indexes.schedule(no, &record);
        let (customer, created_at, counted) = (record.customer(), record.created_at, record.counted());
        let (sale, allocated) = (record.sale(), record.allocated());
        self.reservations.push(record);
        self.note(|| Undo::ReservationAdded(no));
        self.count(customer, created_at, &BTreeMap::new(), &counted);
        if let Some(sale) = sale {
            self.count_allocated(sale, &BTreeMap::new(), &allocated);
        }
        no
    }

    /// Who waits at a place for units that are promised without stock, and whether unpaid, in the order in which they are filled.
    pub(crate) fn backorders_at(
        &self,
        sku: SkuNo,
        location: LocationNo,
    ) -> impl DoubleEndedIterator<Item = (bool, ReservationNo)> {
        let from = (sku, location, false, ReservationNo(0));
        let to = (sku, location, true, ReservationNo(u64::MAX));
        self.indexes.backordered.range(from..=to).map(|(_, _, unsold, no)| (*unsold, *no))
    }

    /// Notes whether units are free at a place that backorders wait for.
    pub(crate) fn set_filling(&mut self, sku: SkuNo, location: LocationNo, is_filling: bool) {
        if self.stock(sku).place(location).is_some_and(|place| place.is_filling != is_filling) {
            self.stock_mut(sku).place_mut(location).is_filling = is_filling;
            self.indexes.note_filling(sku, location, is_filling);
        }
    }

    /// Changes a reservation, and counts the change.
    pub(crate) fn change_reservation(&mut self, no: ReservationNo, change: impl FnOnce(&mut ReservationRecord)) {
        const BELIEF: &str = "a reservation's number is only kept as long as it";
        let now = self.header.now;
        let record = self.reservations.get_mut(no.0).expect(BELIEF);
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Reservation(no, record.clone()));
        }
        let before = Standing::of(record);
        let waits = |record: &ReservationRecord| record.lines[0].units.all_backordered() > 0;
        let is_alone = before.is_of_one_line() && record.lines[0].by_lot.is_none() && record.has_nothing_beside();
        if is_alone && !record.is_counted() && !waits(record) && record.sale().is_none() {
            // The common case has one item, so its place in the indexes is known without the old record.
            let sku = record.lines[0].sku;
            change(record);
            record.revision = record.revision.next();
            record.ended_at = if record.state().is_ended() { record.ended_at.or(Some(now)) } else { None };
            if before != Standing::of(record) || waits(record) {
                self.indexes.unschedule_one(no, sku, &before);
                self.indexes.schedule(no, record);
            }
            if record.is_counted() {
                let (customer, created_at, counted) = (record.customer(), record.created_at, record.counted());
                self.count(customer, created_at, &BTreeMap::new(), &counted);
            }
            return;
        }
        self.indexes.unschedule(no, record);
        let remote: Vec<LineCounts> = record.remote_lines().map(|line| line.units).collect();
        let (counted_before, allocated_before) = (record.counted(), record.allocated());
        change(record);
        record.count_counters();
        record.raise_version_after(&remote);
        record.revision = record.revision.next();
        record.ended_at = if record.state().is_ended() { record.ended_at.or(Some(now)) } else { None };
        self.indexes.schedule(no, record);
        let (customer, created_at, counted) = (record.customer(), record.created_at, record.counted());
        let (sale, allocated) = (record.sale(), record.allocated());
        self.count(customer, created_at, &counted_before, &counted);
        if let Some(sale) = sale {
            self.count_allocated(sale, &allocated_before, &allocated);
        }
    }

    /// Changes what is known of a reservation's parts, or of a part's whole: nothing that a caller sees as a change.
    pub(crate) fn change_spread(&mut self, no: ReservationNo, change: impl FnOnce(&mut Spread)) {
        let record = self.reservations.get_mut(no.0).expect("a reservation's number is only kept as long as it");
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Reservation(no, record.clone()));
        }
        self.indexes.unschedule(no, record);
        if let Some(spread) = record.spread.as_deref_mut() {
            change(spread);
        }
        self.indexes.schedule(no, record);
    }

    /// Changes what a part knows of its whole.
    pub(crate) fn change_part(&mut self, no: ReservationNo, change: impl FnOnce(&mut Part)) {
        self.change_spread(no, |spread| {
            if let Spread::Part(part) = spread {
                change(part);
            }
        });
    }

    /// Forgets a reservation that has ended. Never within a chain.
    pub(crate) fn forget_reservation(&mut self, no: ReservationNo) {
        debug_assert!(self.journal.is_none(), "nothing is forgotten within a chain");
        if let Some(record) = self.reservations.remove(no.0) {
            self.indexes.unschedule(no, &record);
            self.indexes.unname_reservation(no, &record);
        }
    }
}

impl StockRecord {
    pub(crate) fn place(&self, location: LocationNo) -> Option<&StockPlace> {
        let at = self.places.binary_search_by_key(&location, |place| place.location).ok()?;
        Some(&self.places[at])
    }

    /// The place, made where there was none.
    pub(crate) fn place_mut(&mut self, location: LocationNo) -> &mut StockPlace {
        let at = match self.places.binary_search_by_key(&location, |place| place.location) {
            Ok(at) => at,
            Err(at) => {
                self.places.insert(at, StockPlace::empty(location));
                at
            }
        };
        &mut self.places[at]
    }
}

impl StockRecord {
    /// Whether something lies anywhere, is promised, or on its way.
    pub(crate) fn is_in_use(&self) -> bool {
        self.places.iter().any(|place| {
            let is_in_cells = place.cells.iter().any(|cell| cell.counts != StockCounts::default());
            let is_promised = !place.unbound.is_empty() || place.short + place.backordered > 0;
            let is_allocated = place.allocations.iter().any(|of| of.open && of.left() > 0);
            is_in_cells || is_promised || place.in_transit > 0 || place.incoming > 0 || is_allocated
        })
    }
}

impl StockPlace {
    fn empty(location: LocationNo) -> Self {
        Self {
            location,
            revision: crate::Revision::default(),
            unbound: Vec::new(),
            safety_stock: 0,
            incoming: 0,
            backordered: 0,
            short: 0,
            flow: crate::StockFlow::default(),
            cells: Vec::new(),
            in_transit: 0,
            backorder_cap: 0,
            is_filling: false,
            allocations: Vec::new(),
        }
    }

    pub(crate) fn cell(&self, lot: Option<LotNo>) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&lot, |cell| cell.lot).ok()?;
        Some(&self.cells[at])
    }

    /// The quantities of a cell, or of one that is not there.
    pub(crate) fn counts_of(&self, lot: Option<LotNo>) -> StockCounts {
        self.cell(lot).map(|cell| cell.counts).unwrap_or_default()
    }

    /// The cell, made where there was none.
    pub(crate) fn cell_mut(&mut self, lot: Option<LotNo>) -> &mut Cell {
        let at = self.cells.binary_search_by_key(&lot, |cell| cell.lot).unwrap_or_else(|_| {
            // Lots come and go: those of which nothing is left make room.
            self.cells.retain(|cell| cell.lot.is_none() || cell.counts != StockCounts::default());
            let at = self.cells.partition_point(|cell| cell.lot < lot);
            self.cells.insert(at, Cell { lot, counts: StockCounts::default() });
            at
        });
        &mut self.cells[at]
    }

    /// Holds that are bound to no lot yet.
    pub(crate) fn unbound_units(&self) -> u64 {
        self.unbound.iter().map(|(_, units)| *units).fold(0, u64::saturating_add)
    }

    /// More units (above 0) or fewer are held for that need, and bound to no lot yet.
    pub(crate) fn change_unbound(&mut self, need: LogTime, units: i64) {
        const BELIEF: &str = "no more is given back than is held";
        match self.unbound.binary_search_by_key(&need, |(need, _)| *need) {
            Ok(at) => {
                let left = &mut self.unbound[at].1;
                *left = left.checked_add_signed(units).expect(BELIEF);
                if *left == 0 {
                    self.unbound.remove(at);
                }
            }
            Err(at) => self.unbound.insert(at, (need, u64::try_from(units).expect(BELIEF))),
        }
    }

    /// What lies there and is bound by nothing, over all lots.
    pub(crate) fn free(&self) -> u64 {
        let of_cell = |cell: &Cell| cell.counts.free().expect("[H-QTY] no part is below 0");
        let free = self.cells.iter().map(of_cell).fold(0_u64, u64::saturating_add);
        free.saturating_sub(self.unbound_units())
    }
}
