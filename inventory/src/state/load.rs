//! How a state that was cut comes back into memory: chunk by chunk, and then what finds its records, where they fit each other.

use std::collections::BTreeMap;

use super::chunk::{ChunkError, ChunkId, ChunkKind};
use super::header::StoredHeader;
use super::records::{
    ChannelNo, ChannelRecord, KeyedResultRecord, LineRecord, LocationNo, LotNo, ReservationNo, SkuNo, StockPlace,
};
use super::{Indexes, State, hash_id};

/// Why bytes are not a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The header is cut, changed or of an unknown version.
    #[error("the header of the state is damaged or of an unknown version")]
    Header,
    /// A chunk is damaged, of an unknown version or not the state's.
    #[error("chunk {} of {:?} does not load", id.number, id.kind)]
    Chunk {
        /// The chunk.
        id: ChunkId,
        /// What is wrong.
        source: ChunkError,
    },
    /// The records do not fit each other.
    #[error("the records of {kind:?} do not fit the rest of the state")]
    Inconsistent {
        /// What does not fit.
        kind: ChunkKind,
    },
}

impl State {
    /// Builds a state from its header and all of its chunks, in any order.
    pub(crate) fn load<B: AsRef<[u8]>>(
        header: &[u8],
        chunks: impl IntoIterator<Item = (ChunkId, B)>,
    ) -> Result<Self, LoadError> {
        let stored = StoredHeader::decode(header).ok_or(LoadError::Header)?;
        let mut state = Self::new(stored.header.limits.clone());
        state.header = stored.header;
        let [
            locations,
            items,
            stock,
            lots,
            reservations,
            results,
            keyed_results,
            documents,
            limits,
            counters,
            channels,
            campaigns,
            rooms,
        ] = stored.next_ordinals;
        state.locations.begin_load(locations);
        state.items.begin_load(items);
        state.stock.begin_load(stock);
        state.lots.begin_load(lots);
        state.reservations.begin_load(reservations);
        state.results.begin_load(results);
        state.keyed_results.begin_load(keyed_results);
        state.documents.begin_load(documents);
        state.limits.begin_load(limits);
        state.counters.begin_load(counters);
        state.channels.begin_load(channels);
        state.campaigns.begin_load(campaigns);
        state.rooms.begin_load(rooms);
        for (id, bytes) in chunks {
            let (number, bytes) = (id.number, bytes.as_ref());
            match id.kind {
                ChunkKind::Locations => state.locations.load_chunk(number, bytes),
                ChunkKind::Items => state.items.load_chunk(number, bytes),
                ChunkKind::Stock => state.stock.load_chunk(number, bytes),
                ChunkKind::Lots => state.lots.load_chunk(number, bytes),
                ChunkKind::Reservations => state.reservations.load_chunk(number, bytes),
                ChunkKind::Results => state.results.load_chunk(number, bytes),
                ChunkKind::KeyedResults => state.keyed_results.load_chunk(number, bytes),
                ChunkKind::Documents => state.documents.load_chunk(number, bytes),
                ChunkKind::CustomerLimits => state.limits.load_chunk(number, bytes),
                ChunkKind::CustomerCounters => state.counters.load_chunk(number, bytes),
                ChunkKind::Channels => state.channels.load_chunk(number, bytes),
                ChunkKind::Campaigns => state.campaigns.load_chunk(number, bytes),
                ChunkKind::Rooms => state.rooms.load_chunk(number, bytes),
            }
            .map_err(|source| LoadError::Chunk { id, source })?;
        }
        state.finish_load()?;
        Ok(state)
    }

    fn finish_load(&mut self) -> Result<(), LoadError> {
        let fits = |kind, ended: Result<(), ChunkError>| ended.map_err(|_| LoadError::Inconsistent { kind });
        fits(ChunkKind::Locations, self.locations.end_load())?;
        fits(ChunkKind::Items, self.items.end_load())?;
        fits(ChunkKind::Stock, self.stock.end_load())?;
        fits(ChunkKind::Lots, self.lots.end_load())?;
        fits(ChunkKind::Reservations, self.reservations.end_load())?;
        fits(ChunkKind::Results, self.results.end_load())?;
        fits(ChunkKind::KeyedResults, self.keyed_results.end_load())?;
        fits(ChunkKind::Documents, self.documents.end_load())?;
        fits(ChunkKind::CustomerLimits, self.limits.end_load())?;
        fits(ChunkKind::CustomerCounters, self.counters.end_load())?;
        fits(ChunkKind::Channels, self.channels.end_load())?;
        fits(ChunkKind::Campaigns, self.campaigns.end_load())?;
        fits(ChunkKind::Rooms, self.rooms.end_load())?;
        self.index_records()
    }

    /// The records without what finds them. Copies no record.
    pub(crate) fn without_indexes(&self) -> Self {
        Self {
            header: self.header.clone(),
            locations: self.locations.view(),
            items: self.items.view(),
            stock: self.stock.view(),
            lots: self.lots.view(),
            reservations: self.reservations.view(),
            results: self.results.view(),
            keyed_results: self.keyed_results.view(),
            documents: self.documents.view(),
            limits: self.limits.view(),
            counters: self.counters.view(),
            channels: self.channels.view(),
            campaigns: self.campaigns.view(),
            rooms: self.rooms.view(),
            indexes: Indexes::new(),
            journal: None,
        }
    }

    /// Builds the indexes of a state that has none, and says whether the records fit each other.
    pub(crate) fn index_records(&mut self) -> Result<(), LoadError> {
        self.index_catalogue()?;
        self.index_channels()?;
        self.index_campaigns()?;
        self.index_rooms()?;
        self.index_lots()?;
        self.check_stock()?;
        self.index_limits()?;
        self.index_reservations()?;
        self.index_documents()?;
        self.index_results()
    }

    fn index_catalogue(&mut self) -> Result<(), LoadError> {
        // Items and locations are never removed, so their ordinals have no gaps.
        let dense = |live: u64, next: u64| live == next && next <= u64::from(u32::MAX);
        if !dense(self.locations.live(), self.locations.next_ordinal()) {
            return Err(LoadError::Inconsistent { kind: ChunkKind::Locations });
        }
        let locations = self.locations.iter().map(|(no, record)| (record.id.clone(), LocationNo(no as u32)));
        self.indexes.locations = locations.collect::<BTreeMap<_, _>>();
        if self.indexes.locations.len() as u64 != self.locations.live() {
            return Err(LoadError::Inconsistent { kind: ChunkKind::Locations });
        }
        if !dense(self.items.live(), self.items.next_ordinal()) {
            return Err(LoadError::Inconsistent { kind: ChunkKind::Items });
        }
        for (ordinal, record) in self.items.iter() {
            self.indexes.add_sku(&record.sku, SkuNo(ordinal as u32));
        }
        if self.indexes.skus_in_order.len() as u64 != self.items.live() {
            return Err(LoadError::Inconsistent { kind: ChunkKind::Items });
        }
        Ok(())
    }

    fn index_channels(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::Channels };
        let fits = |record: &ChannelRecord| {
            record.locations.iter().all(|location| u64::from(location.0) < self.locations.live())
        };
        if self.channels.live() != self.channels.next_ordinal() || self.channels.next_ordinal() > u64::from(u32::MAX) {
            return Err(refused);
        }
        if !self.channels.iter().all(|(_, record)| fits(record)) {
            return Err(refused);
        }
        let channels = self.channels.iter().map(|(no, record)| (record.id.clone(), ChannelNo(no as u32)));
        self.indexes.channels = channels.collect();
        if self.indexes.channels.len() as u64 == self.channels.live() { Ok(()) } else { Err(refused) }
    }

    fn index_lots(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::Lots };
        if self.lots.live() != self.lots.next_ordinal() || self.lots.next_ordinal() > u64::from(u32::MAX) {
            return Err(refused);
        }
        for (ordinal, record) in self.lots.iter() {
            if u64::from(record.sku.0) >= self.items.live() || !self.indexes.add_lot(LotNo(ordinal as u32), record) {
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Whether the quantities lie at locations and in lots that are there, and each at its own place.
    fn check_stock(&mut self) -> Result<(), LoadError> {
        let lot_fits = |sku: SkuNo, lot: Option<LotNo>| lot.is_none_or(|lot| self.is_lot_of(sku, lot));
        let place_fits = |sku: SkuNo, place: &StockPlace| {
            u64::from(place.location.0) < self.locations.live()
                && place.cells.iter().all(|cell| cell.counts.free().is_some() && lot_fits(sku, cell.lot))
                && place.cells.is_sorted_by(|a, b| a.lot < b.lot)
                && self.allocations_fit(place)
                && place.unbound.is_sorted_by(|a, b| a.0 < b.0)
                && place.unbound.iter().try_fold(0_u64, |sum, (_, units)| sum.checked_add(*units)).is_some()
        };
        let is_dense = self.stock.live() == self.stock.next_ordinal() && self.stock.live() == self.items.live();
        let fits = is_dense
            && self.stock.iter().all(|(ordinal, record)| {
                let sku = SkuNo(ordinal as u32);
                let is_kit = self.items.get(ordinal).is_some_and(|item| item.kit.is_some());
                (record.places.is_empty() || !is_kit)
                    && record.places.iter().all(|place| place_fits(sku, place))
                    && record.places.is_sorted_by(|a, b| a.location < b.location)
            });
        if !fits {
            return Err(LoadError::Inconsistent { kind: ChunkKind::Stock });
        }
        for (ordinal, record) in self.stock.iter() {
            for place in record.places.iter().filter(|place| place.is_filling) {
                self.indexes.note_filling(SkuNo(ordinal as u32), place.location, true);
            }
            for place in &record.places {
                let campaigns: Vec<_> = place.allocations.iter().map(|of| of.campaign).collect();
                self.indexes.note_allocations(SkuNo(ordinal as u32), place.location, &[], &campaigns);
            }
        }
        Ok(())
    }

    pub(super) fn is_lot_of(&self, sku: SkuNo, lot: LotNo) -> bool {
        self.lots.get(u64::from(lot.0)).is_some_and(|record| record.sku == sku)
    }

    fn line_fits(&self, line: &LineRecord) -> bool {
        u64::from(line.sku.0) < self.items.live()
            && u64::from(line.location.0) < self.locations.live()
            && line.units.all().is_some()
            && line.lots().all(|lot| self.is_lot_of(line.sku, lot))
            && line.by_lot.as_ref().is_none_or(|by_lot| by_lot.fits(&line.units))
    }

    fn index_reservations(&mut self) -> Result<(), LoadError> {
        for (ordinal, record) in self.reservations.iter() {
            let no = ReservationNo(ordinal);
            let fits = record.lines.iter().all(|line| self.line_fits(line))
                && record.spread_fits()
                && record.plan_fits()
                && record.order_fits()
                && record.counted_fits(self.limits.live())
                && record.sale().is_none_or(|sale| u64::from(sale.campaign.0) < self.campaigns.live());
            if !fits || self.find_reservation(record.id).is_some() {
                return Err(LoadError::Inconsistent { kind: ChunkKind::Reservations });
            }
            self.indexes.name_reservation(no, record);
            self.indexes.schedule(no, record);
        }
        Ok(())
    }

    fn index_results(&mut self) -> Result<(), LoadError> {
        for (ordinal, record) in self.results.iter() {
            if self.find_result(record.id).is_some() {
                return Err(LoadError::Inconsistent { kind: ChunkKind::Results });
            }
            self.indexes.results.insert(hash_id(record.id.0), ordinal << 1);
        }
        for (ordinal, KeyedResultRecord(record)) in self.keyed_results.iter() {
            if self.find_result(record.id).is_some() {
                return Err(LoadError::Inconsistent { kind: ChunkKind::KeyedResults });
            }
            self.indexes.results.insert(hash_id(record.id.0), ordinal << 1 | 1);
        }
        Ok(())
    }
}
