//! The state of a shard: records in chunks, and the indexes that find them.
//!
//! Every change of a record goes through here, so that the indexes always match it and a chain can be rolled back.

mod arena;
mod chunk;
mod cut;
mod hash_index;
mod header;
mod indexes;
mod journal;
mod records;

pub use chunk::{ChunkError, ChunkId, ChunkKind};
pub use cut::{Cut, Digest, LoadError};
pub(crate) use header::Header;
use indexes::Indexes;
pub(crate) use indexes::hash_id;
use journal::{Journal, Undo};
pub(crate) use records::{
    Cell, ItemRecord, KeyedResultRecord, LineRecord, LocationNo, LocationRecord, ReservationDetails, ReservationNo,
    ReservationRecord, ResultRecord, SkuNo, StockPlace, StockRecord,
};

use arena::Arena;

use crate::{Limits, LocationId, LotId, ReservationId, Sku};

/// The state of a shard.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) header: Header,
    locations: Arena<LocationRecord>,
    items: Arena<ItemRecord>,
    stock: Arena<StockRecord>,
    reservations: Arena<ReservationRecord>,
    pub(crate) results: Arena<ResultRecord>,
    pub(crate) keyed_results: Arena<KeyedResultRecord>,
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
            reservations: Arena::new(),
            results: Arena::new(),
            keyed_results: Arena::new(),
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

    pub(crate) fn add_reservation(&mut self, record: ReservationRecord) -> ReservationNo {
        let no = ReservationNo(self.reservations.next_ordinal());
        self.indexes.name_reservation(no, &record);
        self.indexes.schedule(no, &record);
        self.reservations.push(record);
        self.note(|| Undo::ReservationAdded(no));
        no
    }

    /// Changes a reservation, and counts the change.
    pub(crate) fn change_reservation(&mut self, no: ReservationNo, change: impl FnOnce(&mut ReservationRecord)) {
        const BELIEF: &str = "a reservation's number is only kept as long as it";
        let now = self.header.now;
        let record = self.reservations.get_mut(no.0).expect(BELIEF);
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Reservation(no, record.clone()));
        }
        let before = (record.due_at(), record.ended_at, record.lines.len());
        if before.2 == 1 {
            // The common case has one item, so its place in the indexes is known without the old record.
            let sku = record.lines[0].sku;
            change(record);
            record.revision = record.revision.next();
            record.ended_at = if record.state().is_ended() { record.ended_at.or(Some(now)) } else { None };
            let after = (record.due_at(), record.ended_at, record.lines.len());
            if before != after {
                self.indexes.unschedule_one(no, sku, before.0, before.1);
                self.indexes.schedule(no, record);
            }
            return;
        }
        self.indexes.unschedule(no, record);
        change(record);
        record.revision = record.revision.next();
        record.ended_at = if record.state().is_ended() { record.ended_at.or(Some(now)) } else { None };
        self.indexes.schedule(no, record);
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

impl StockPlace {
    fn empty(location: LocationNo) -> Self {
        Self {
            location,
            revision: crate::Revision::default(),
            reserved_unbound: 0,
            safety_stock: 0,
            incoming: 0,
            backordered: 0,
            short: 0,
            flow: crate::StockFlow::default(),
            cells: Vec::new(),
        }
    }

    pub(crate) fn cell(&self, lot: &Option<LotId>) -> Option<&Cell> {
        let at = self.cells.binary_search_by(|cell| cell.lot.cmp(lot)).ok()?;
        Some(&self.cells[at])
    }

    /// The cell, made where there was none.
    pub(crate) fn cell_mut(&mut self, lot: &Option<LotId>) -> &mut Cell {
        let at = match self.cells.binary_search_by(|cell| cell.lot.cmp(lot)) {
            Ok(at) => at,
            Err(at) => {
                self.cells.insert(at, Cell { lot: lot.clone(), counts: crate::StockCounts::default() });
                at
            }
        };
        &mut self.cells[at]
    }

    /// What lies there and is bound by nothing, over all lots.
    pub(crate) fn free(&self) -> u64 {
        let of_cell = |cell: &Cell| cell.counts.free().expect("[H-QTY] no part is below 0");
        let free = self.cells.iter().map(of_cell).fold(0_u64, u64::saturating_add);
        free.saturating_sub(self.reserved_unbound)
    }

    /// What may be promised [H-ATP].
    pub(crate) fn atp(&self) -> u64 {
        self.free().saturating_sub(self.safety_stock)
    }
}
