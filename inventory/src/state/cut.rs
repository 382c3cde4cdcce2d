//! Cuts and digests: how the state leaves memory. How it comes back: [`super::load`].

use std::fmt;

use super::State;
use super::arena::ArenaCut;
use super::campaigns::CampaignRecord;
use super::chunk::{ChunkId, ChunkKind};
use super::customer_limits::{CounterRecord, LimitRecord};
use super::documents::DocumentRecord;
use super::header::StoredHeader;
use super::records::{
    ChannelRecord, ItemRecord, KeyedResultRecord, LocationRecord, LotRecord, ReservationRecord, ResultRecord,
    StockRecord,
};
use super::rooms::RoomRecord;

/// A digest of a whole state: the wrapping sum of the XXH3-128 hashes of the header and of every chunk under its name.
/// Equal states have equal digests, whatever led to them. It finds damage and bugs, not forgery.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What changed since the last cut, as it was at the cut. Shares its chunks with the state, which copies one when it next
/// changes it; may be encoded on any thread.
#[derive(Clone, Debug)]
pub struct Cut {
    header: StoredHeader,
    locations: ArenaCut<LocationRecord>,
    items: ArenaCut<ItemRecord>,
    stock: ArenaCut<StockRecord>,
    lots: ArenaCut<LotRecord>,
    reservations: ArenaCut<ReservationRecord>,
    results: ArenaCut<ResultRecord>,
    keyed_results: ArenaCut<KeyedResultRecord>,
    documents: ArenaCut<DocumentRecord>,
    limits: ArenaCut<LimitRecord>,
    counters: ArenaCut<CounterRecord>,
    channels: ArenaCut<ChannelRecord>,
    campaigns: ArenaCut<CampaignRecord>,
    rooms: ArenaCut<RoomRecord>,
}

macro_rules! each_kind {
    ($of:expr, $arena:ident => $do:expr) => {{
        {
            let $arena = &$of.locations;
            $do
        }
        {
            let $arena = &$of.items;
            $do
        }
        {
            let $arena = &$of.stock;
            $do
        }
        {
            let $arena = &$of.lots;
            $do
        }
        {
            let $arena = &$of.reservations;
            $do
        }
        {
            let $arena = &$of.results;
            $do
        }
        {
            let $arena = &$of.keyed_results;
            $do
        }
        {
            let $arena = &$of.documents;
            $do
        }
        {
            let $arena = &$of.limits;
            $do
        }
        {
            let $arena = &$of.counters;
            $do
        }
        {
            let $arena = &$of.channels;
            $do
        }
        {
            let $arena = &$of.campaigns;
            $do
        }
        {
            let $arena = &$of.rooms;
            $do
        }
    }};
}

impl Cut {
    /// The header, which changes with every entry.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        self.header.encode()
    }

    /// The chunks that changed or came, by their ids.
    #[must_use]
    pub fn changed(&self) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        each_kind!(self, arena => ids.extend(arena.changed.iter().map(|(id, _)| *id)));
        ids
    }

    /// The chunks that are gone, by their ids. One that was never written may be among them.
    #[must_use]
    pub fn removed(&self) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        each_kind!(self, arena => ids.extend_from_slice(&arena.removed));
        ids
    }

    /// Encodes the chunks that changed, one by one, by their ids.
    pub fn encode(&self) -> impl Iterator<Item = (ChunkId, Vec<u8>)> {
        let locations = self.locations.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let items = self.items.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let stock = self.stock.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let lots = self.lots.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let reservations = self.reservations.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let results = self.results.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let keyed_results = self.keyed_results.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let documents = self.documents.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let limits = self.limits.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let counters = self.counters.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let channels = self.channels.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let campaigns = self.campaigns.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let rooms = self.rooms.changed.iter().map(|(id, chunk)| (*id, chunk.encode()));
        let catalogue = locations.chain(items).chain(stock).chain(lots);
        let decided = reservations.chain(results).chain(keyed_results);
        catalogue
            .chain(decided)
            .chain(documents)
            .chain(limits)
            .chain(counters)
            .chain(channels)
            .chain(campaigns)
            .chain(rooms)
    }

    /// The digest of the whole state at the cut. Hashes the chunks that changed: call it off the applying thread.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut sum = self.header.digest();
        each_kind!(self, arena => sum = sum.wrapping_add(arena.digest()));
        Digest(sum)
    }
}

impl State {
    fn stored_header(&self) -> StoredHeader {
        StoredHeader {
            header: self.header.clone(),
            next_ordinals: [
                self.locations.next_ordinal(),
                self.items.next_ordinal(),
                self.stock.next_ordinal(),
                self.lots.next_ordinal(),
                self.reservations.next_ordinal(),
                self.results.next_ordinal(),
                self.keyed_results.next_ordinal(),
                self.documents.next_ordinal(),
                self.limits.next_ordinal(),
                self.counters.next_ordinal(),
                self.channels.next_ordinal(),
                self.campaigns.next_ordinal(),
                self.rooms.next_ordinal(),
            ],
        }
    }

    pub(crate) fn encode_header(&self) -> Vec<u8> {
        self.stored_header().encode()
    }

    pub(crate) fn cut(&mut self) -> Cut {
        Cut {
            header: self.stored_header(),
            locations: self.locations.cut(),
            items: self.items.cut(),
            stock: self.stock.cut(),
            lots: self.lots.cut(),
            reservations: self.reservations.cut(),
            results: self.results.cut(),
            keyed_results: self.keyed_results.cut(),
            documents: self.documents.cut(),
            limits: self.limits.cut(),
            counters: self.counters.cut(),
            channels: self.channels.cut(),
            campaigns: self.campaigns.cut(),
            rooms: self.rooms.cut(),
        }
    }

    pub(crate) fn uncut(&mut self, cut: &Cut) {
        self.mark_changed(cut.changed().into_iter().chain(cut.removed()));
    }

    pub(crate) fn mark_changed(&mut self, chunks: impl IntoIterator<Item = ChunkId>) {
        for id in chunks {
            let number = std::iter::once(id.number);
            match id.kind {
                ChunkKind::Locations => self.locations.mark_changed(number),
                ChunkKind::Items => self.items.mark_changed(number),
                ChunkKind::Stock => self.stock.mark_changed(number),
                ChunkKind::Lots => self.lots.mark_changed(number),
                ChunkKind::Reservations => self.reservations.mark_changed(number),
                ChunkKind::Results => self.results.mark_changed(number),
                ChunkKind::KeyedResults => self.keyed_results.mark_changed(number),
                ChunkKind::Documents => self.documents.mark_changed(number),
                ChunkKind::CustomerLimits => self.limits.mark_changed(number),
                ChunkKind::CustomerCounters => self.counters.mark_changed(number),
                ChunkKind::Channels => self.channels.mark_changed(number),
                ChunkKind::Campaigns => self.campaigns.mark_changed(number),
                ChunkKind::Rooms => self.rooms.mark_changed(number),
            }
        }
    }

    pub(crate) fn mark_all_changed(&mut self) {
        self.locations.mark_all_changed();
        self.items.mark_all_changed();
        self.stock.mark_all_changed();
        self.lots.mark_all_changed();
        self.reservations.mark_all_changed();
        self.results.mark_all_changed();
        self.keyed_results.mark_all_changed();
        self.documents.mark_all_changed();
        self.limits.mark_all_changed();
        self.counters.mark_all_changed();
        self.channels.mark_all_changed();
        self.campaigns.mark_all_changed();
        self.rooms.mark_all_changed();
    }

    pub(crate) fn digest(&self) -> Digest {
        let mut sum = self.stored_header().digest();
        each_kind!(self, arena => sum = sum.wrapping_add(arena.digest()));
        Digest(sum)
    }

    pub(crate) fn recompute_digest(&self) -> Digest {
        let mut sum = self.stored_header().digest();
        each_kind!(self, arena => sum = sum.wrapping_add(arena.recompute_digest()));
        Digest(sum)
    }

    pub(crate) fn chunk_ids(&self) -> Vec<ChunkId> {
        let mut ids = Vec::new();
        each_kind!(self, arena => ids.extend(arena.chunk_ids()));
        ids
    }

    pub(crate) fn encode_chunk(&self, id: ChunkId) -> Option<Vec<u8>> {
        match id.kind {
            ChunkKind::Locations => self.locations.encode_chunk(id.number),
            ChunkKind::Items => self.items.encode_chunk(id.number),
            ChunkKind::Stock => self.stock.encode_chunk(id.number),
            ChunkKind::Lots => self.lots.encode_chunk(id.number),
            ChunkKind::Reservations => self.reservations.encode_chunk(id.number),
            ChunkKind::Results => self.results.encode_chunk(id.number),
            ChunkKind::KeyedResults => self.keyed_results.encode_chunk(id.number),
            ChunkKind::Documents => self.documents.encode_chunk(id.number),
            ChunkKind::CustomerLimits => self.limits.encode_chunk(id.number),
            ChunkKind::CustomerCounters => self.counters.encode_chunk(id.number),
            ChunkKind::Channels => self.channels.encode_chunk(id.number),
            ChunkKind::Campaigns => self.campaigns.encode_chunk(id.number),
            ChunkKind::Rooms => self.rooms.encode_chunk(id.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Strategy;

    use crate::commands::Prepare;
    use crate::state::chunk::CHUNK_VERSION;
    use crate::state::{ReservationNo, ReservationRecord, Spread};
    use crate::test_shop::Shop;
    use crate::untrusted::chunk;
    use crate::*;

    fn load_from(cut: &Cut) -> Result<Inventory, LoadError> {
        Inventory::load(&cut.header(), cut.encode())
    }

    #[test]
    fn a_cut_keeps_the_state_as_it_was_and_costs_the_state_nothing() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let (digest, level) = (shop.digest(), shop.stock("rouge"));
        let cut = shop.inventory.cut();
        shop.reserve(2, &[("rouge", 2)]).unwrap();
        assert_eq!(cut.digest(), digest);
        let loaded = load_from(&cut).unwrap();
        assert_eq!((loaded.digest(), loaded.recompute_digest()), (digest, digest));
        assert_eq!(loaded.stock(&"rouge".parse().unwrap()), Some(vec![level]));
    }

    #[test]
    fn a_cut_has_only_what_changed_and_an_abandoned_one_comes_again() {
        let mut shop = Shop::with_rouge(5);
        drop(shop.inventory.cut());
        shop.receive("rouge", "PAR", 1).unwrap();
        let cut = shop.inventory.cut();
        let kinds: Vec<ChunkKind> = cut.changed().into_iter().map(|id| id.kind).collect();
        assert_eq!(kinds, [ChunkKind::Stock, ChunkKind::Results]);
        assert_eq!(shop.inventory.cut().changed(), []);
        shop.inventory.uncut(&cut);
        assert_eq!(shop.inventory.cut().changed(), cut.changed());
        assert_eq!(shop.inventory.cut().digest(), shop.inventory.recompute_digest());
    }

    #[test]
    fn a_loaded_state_is_written_whole_only_where_asked() {
        let mut shop = Shop::with_rouge(5);
        let mut loaded = load_from(&shop.inventory.cut()).unwrap();
        assert_eq!(loaded.cut().changed(), []);
        loaded.mark_all_changed();
        let cut = loaded.cut();
        assert_eq!((cut.changed(), cut.digest()), (loaded.chunk_ids(), shop.digest()));
    }

    #[test]
    fn a_chunk_is_written_again_where_asked_and_the_digest_stays() {
        let mut shop = Shop::with_rouge(5);
        drop(shop.inventory.cut());
        let digest = shop.digest();
        let (items, gone) =
            (ChunkId { kind: ChunkKind::Items, number: 0 }, ChunkId { kind: ChunkKind::Results, number: 77 });
        shop.inventory.mark_changed([items, gone]);
        let cut = shop.inventory.cut();
        assert_eq!((cut.changed(), cut.removed()), (vec![items], vec![gone]));
        assert_eq!((cut.digest(), shop.digest()), (digest, digest));
        assert_eq!(shop.inventory.cut().changed(), []);
    }

    #[test]
    fn a_chunk_whose_records_are_all_gone_is_removed() {
        let mut shop = Shop::with_limits(Limits { keep_ended_ms: 1_000, ..Limits::default() });
        shop.receive("rouge", "PAR", 1).unwrap();
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        shop.release(1).unwrap();
        drop(shop.inventory.cut());
        shop.after_s(1).tick();
        let gone = ChunkId { kind: ChunkKind::Reservations, number: 0 };
        let cut = shop.inventory.cut();
        assert_eq!((cut.removed(), cut.digest()), (vec![gone], shop.inventory.recompute_digest()));
        // The next reservation does not get the number of the one that is gone.
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.inventory.reservations(ReservationCursor(1), None, 9).0.len(), 1);
    }

    #[test]
    fn damage_anywhere_is_an_error_or_another_digest() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let digest = shop.digest();
        let cut = shop.inventory.cut();
        let chunks: Vec<(ChunkId, Vec<u8>)> = cut.encode().collect();
        for (at, (_, bytes)) in chunks.iter().enumerate() {
            for byte in 0..bytes.len() {
                let mut damaged = chunks.clone();
                damaged[at].1[byte] ^= 1;
                let loaded = Inventory::load(&cut.header(), damaged);
                assert!(
                    loaded.is_err() || loaded.is_ok_and(|loaded| loaded.digest() != digest),
                    "chunk {at} byte {byte}"
                );
            }
            let mut missing = chunks.clone();
            missing.remove(at);
            let loaded = Inventory::load(&cut.header(), missing);
            assert!(loaded.is_err() || loaded.is_ok_and(|loaded| loaded.digest() != digest));
        }
        for byte in 0..cut.header().len() {
            let mut header = cut.header();
            header[byte] ^= 1;
            let loaded = Inventory::load(&header, chunks.clone());
            assert!(loaded.is_err() || loaded.is_ok_and(|loaded| loaded.digest() != digest), "header byte {byte}");
        }
    }

    #[test]
    fn a_part_is_read_back_with_its_attempts_and_one_that_stands_for_none_is_refused() {
        let mut shop = Shop::with_rouge(5);
        let Operation::Reserve(reserve) = crate::test_shop::reserve(1, &[("rouge", 1)]) else { unreachable!() };
        for attempt in [7, u64::MAX] {
            let (numbers, command, attempt, deadline) =
                (vec![2], CommandId(9), AttemptId(attempt), LogTime(u64::MAX - 1));
            let prepare = Prepare { reserve: reserve.clone(), numbers, command, attempt, deadline };
            shop.run(Operation::Prepare(Box::new(prepare))).unwrap();
        }
        let cut = shop.inventory.cut();
        let (_, record) = shop.inventory.state.reservations_from(ReservationNo(0)).next().unwrap();
        let mut record = record.clone();
        let mut chunks: Vec<(ChunkId, Vec<u8>)> = cut.encode().collect();
        let loaded = Inventory::load(&cut.header(), chunks.clone()).unwrap();
        let asks = loaded.parts_in_doubt(LogTime(u64::MAX), 9);
        assert_eq!(asks[0].attempts, [AttemptId(7), AttemptId(u64::MAX)]);
        assert_eq!(asks, shop.inventory.parts_in_doubt(LogTime(u64::MAX), 9));

        let Some(Spread::Part(part)) = record.spread.as_deref_mut() else { unreachable!() };
        part.attempts.clear();
        let (_, chunk) = chunks.iter_mut().find(|(id, _)| id.kind == ChunkKind::Reservations).unwrap();
        *chunk = postcard::to_extend(&(0_u32, &record), vec![CHUNK_VERSION, 1]).unwrap();
        let refused = LoadError::Inconsistent { kind: ChunkKind::Reservations };
        assert_eq!(Inventory::load(&cut.header(), chunks).unwrap_err(), refused);
    }

    #[test]
    fn counts_of_a_line_that_no_reservation_can_have_are_refused() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let cut = shop.inventory.cut();
        let (_, record) = shop.inventory.state.reservations_from(ReservationNo(0)).next().unwrap();
        let mut record = record.clone();
        let whole = |record: &ReservationRecord| postcard::to_extend(&(0_u32, record), vec![CHUNK_VERSION, 1]).unwrap();
        let mut chunks: Vec<(ChunkId, Vec<u8>)> = cut.encode().collect();
        let (_, chunk) = chunks.iter_mut().find(|(id, _)| id.kind == ChunkKind::Reservations).unwrap();
        assert_eq!(*chunk, whole(&record), "this is how a chunk is written");
        (record.lines[0].units.held, record.lines[0].units.short) = (u64::MAX, 1);
        *chunk = whole(&record);
        let refused = LoadError::Inconsistent { kind: ChunkKind::Reservations };
        assert_eq!(Inventory::load(&cut.header(), chunks).unwrap_err(), refused);
    }

    #[test]
    fn stock_that_would_get_other_ordinals_than_its_items_is_refused() {
        let mut shop = Shop::with_rouge(5);
        let cut = shop.inventory.cut();
        let mut header = cut.header.clone();
        header.next_ordinals[2] += 1;
        let refused = LoadError::Inconsistent { kind: ChunkKind::Stock };
        assert_eq!(Inventory::load(&header.encode(), cut.encode()).unwrap_err(), refused);
    }

    #[test]
    fn keys_of_chunks_are_ordered_as_the_ids_and_read_back() {
        let ids: Vec<ChunkId> = ChunkKind::ALL
            .into_iter()
            .flat_map(|kind| [0, 1, 255, 256, u64::MAX].map(|number| ChunkId { kind, number }))
            .collect();
        let keys: Vec<_> = ids.iter().map(|id| id.key()).collect();
        assert!(ids.is_sorted() && keys.is_sorted());
        assert!(ids.iter().all(|id| ChunkId::from_key(&id.key()) == Some(*id)));
        assert_eq!(ChunkId::from_key(&[99; 9]), None);
        assert_eq!(ChunkId::from_key(&[1; 8]), None);
    }

    proptest::proptest! {
        #[test]
        fn what_is_nearly_a_chunk_is_refused_or_loaded_and_never_a_panic(
            input in (0..chunk::PIECES).prop_flat_map(|at| holdfast_mangle::mangled(chunk::valid(at))),
        ) {
            chunk::read(&input);
        }
    }
}
