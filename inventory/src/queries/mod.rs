//! Reads: what a node's services show. They change nothing.

mod campaigns;

use std::ops::Bound;
use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};

pub use campaigns::AllocationCursor;

use crate::commands::Plan;
use crate::kit::{Kit, Promisable, SkuKind};
use crate::state::{
    BoundUnits, LimitNo, LimitRecord, LocationNo, LotNo, ReservationNo, ReservationRecord, SkuNo, StockPlace,
};
use crate::{
    Answer, Backorder, ChannelId, ChannelSpec, CommandId, CustomerCount, CustomerHash, CustomerLimit, EventHash,
    Frontier, Inventory, ItemSpec, ItemStatus, LimitId, Limits, LocationId, LocationSpec, LogTime, Lot, LotId,
    LotUnits, OrderRef, Reservation, ReservationId, ReservationLine, ReservationState, ResultWindow, Revision,
    SharedLimit, SharedLimitSpec, Sku, StockCounts, StockFlow, StockLevel, StockTotals,
};

/// An item as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The item.
    pub sku: Sku,
    /// Its attributes.
    pub spec: Arc<ItemSpec>,
    /// How often it was changed. Of a kit, its `kit_rev`.
    pub revision: Revision,
    /// It is a kit.
    pub is_kit: bool,
}

/// A location as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The location.
    pub id: LocationId,
    /// Its attributes.
    pub spec: LocationSpec,
    /// How often it was changed.
    pub revision: Revision,
}

/// A channel as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The channel.
    pub id: ChannelId,
    /// Its locations and its buffer.
    pub spec: ChannelSpec,
    /// In the cluster's own records.
    pub revision: Revision,
}

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Items.
    pub items: u64,
    /// Locations.
    pub locations: u64,
    /// Reservations that have not ended.
    pub live_reservations: u64,
    /// Reservations that have ended and are still in memory.
    pub ended_reservations: u64,
    /// Results of commands, keyed ones included.
    pub results: u64,
    /// Commands decided since the shard began.
    pub decided: u64,
}

/// How many records a page of a list looks at for each one that it may have.
const LOOKS: usize = 64;

/// Where a list of lots goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LotCursor(pub u32);

/// A page of the reservations that have to do with a lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotTrace {
    /// The reservations, oldest first.
    pub reservations: Vec<Reservation>,
    /// Where to go on, if there are more.
    pub next: Option<ReservationCursor>,
}

/// Where a list of reservations goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReservationCursor(pub u64);

impl Inventory {
    /// Log time: the greatest stamp applied.
    #[must_use]
    pub fn now(&self) -> LogTime {
        self.state.header.now
    }

    /// All events so far, as a Merkle tree.
    #[must_use]
    pub const fn history(&self) -> &Frontier {
        &self.state.header.history
    }

    /// Sequence number and hash of the last event; 0 and zeros before the first.
    #[must_use]
    pub fn last_event(&self) -> (u64, EventHash) {
        (self.state.header.seq, self.state.header.last_hash)
    }

    /// The shard's bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.state.header.limits
    }

    /// How many records of each kind there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let ended = self.state.indexes.ended.len() as u64;
        Counts {
            items: self.state.item_count() - self.state.shared_limits().len() as u64,
            locations: self.state.location_count(),
            live_reservations: self.state.reservation_count() - ended,
            ended_reservations: ended,
            results: self.state.results.live() + self.state.keyed_results.live(),
            decided: self.state.header.decided,
        }
    }

    /// Every reservation that ended then or later is in memory: what ended before may have been forgotten, by age or by number.
    #[must_use]
    pub fn remembers_ended_since(&self) -> LogTime {
        let (header, indexes) = (&self.state.header, &self.state.indexes);
        let kept_ms = header.limits.keep_ended_ms.min(header.limits.keep_trace_ms);
        let by_age = LogTime(header.now.0.saturating_sub(kept_ms));
        // They leave by number when they are more than the limit. From half of it on that may have happened: one that has expired
        // and is taken anew is none of the ended any more.
        if (indexes.ended.len() as u64) < header.limits.ended_reservations / 2 {
            return by_age;
        }
        let oldest = |is_shipped| {
            let from = indexes.ended.range((is_shipped, LogTime(0), ReservationNo(0))..).next();
            from.filter(|(shipped, ..)| *shipped == is_shipped).map(|(_, ended_at, _)| *ended_at)
        };
        // Those of which nothing was shipped are the first to go: where none is left, one that ended just now may be gone.
        by_age.max(oldest(false).unwrap_or(header.now)).max(oldest(true).unwrap_or(by_age))
    }

    /// What the shard remembers of the commands it decided.
    #[must_use]
    pub fn result_window(&self) -> ResultWindow {
        self.state.result_window()
    }

    /// What a command was decided to, as a retry would be answered; `None` where it is not remembered.
    #[must_use]
    pub fn result_of(&self, id: CommandId) -> Option<Answer> {
        let kept = self.state.find_result(id)?;
        Some(Answer { id, outcome: kept.outcome.clone(), replayed: true })
    }

    /// The item.
    #[must_use]
    pub fn item(&self, sku: &Sku) -> Option<Item> {
        self.state.find_sku(sku).map(|no| self.show_item(no))
    }

    /// The kit. `None` where the SKU is none.
    #[must_use]
    pub fn kit(&self, sku: &Sku) -> Option<Kit> {
        let record = self.state.item(self.state.find_sku(sku)?);
        Some(Kit {
            sku: record.sku.clone(),
            name: record.spec.name.clone(),
            components: Arc::clone(record.kit.as_ref()?),
            revision: record.revision,
            backorder: record.spec.backorder != Backorder::None,
        })
    }

    /// What the SKU is.
    #[must_use]
    pub fn kind_of(&self, sku: &Sku) -> SkuKind {
        match (self.state.find_sku(sku), self.kit(sku)) {
            (None, _) => SkuKind::Unknown,
            (Some(_), None) => SkuKind::Item,
            (Some(_), Some(kit)) => SkuKind::Kit(kit),
        }
    }

    /// What may be promised of the SKU where, as advice for what is made of it.
    #[must_use]
    pub fn promisable(&self, sku: &Sku) -> Promisable {
        let Some(no) = self.state.find_sku(sku) else { return Promisable::Nothing };
        let record = self.state.item(no);
        if record.kit.is_some() || record.spec.status != ItemStatus::Active {
            return Promisable::Nothing;
        }
        if !record.spec.tracked {
            return Promisable::Anything;
        }
        let places = self.state.stock(no).places.iter().filter(|place| self.is_active(place.location));
        Promisable::At(
            places.map(|place| (self.state.location(place.location).id.clone(), self.state.atp(no, place))).collect(),
        )
    }

    /// Up to `limit` items after that SKU, in the order of the SKUs; kits among them.
    #[must_use]
    pub fn items(&self, after: Option<&Sku>, limit: usize) -> Vec<Item> {
        self.skus_after(after).take(limit).map(|no| self.show_item(no)).collect()
    }

    /// All locations, by id.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        self.state.locations().map(|record| Location {
            id: record.id.clone(),
            spec: record.spec.clone(),
            revision: record.revision,
        })
    }

    /// The location.
    #[must_use]
    pub fn location(&self, id: &LocationId) -> Option<Location> {
        let record = self.state.location(self.state.find_location(id)?);
        Some(Location { id: record.id.clone(), spec: record.spec.clone(), revision: record.revision })
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self, id: &ChannelId) -> Option<Channel> {
        let record = self.state.channel(self.state.find_channel(id)?);
        let locations = record.locations.iter().map(|no| self.state.location(*no).id.clone()).collect();
        let spec = ChannelSpec { locations, buffer: record.buffer, active: record.active };
        Some(Channel { id: record.id.clone(), spec, revision: record.revision })
    }

    /// The item's quantities at every location where it ever was, in the order the locations were made. `None` for an
    /// unknown item.
    #[must_use]
    pub fn stock(&self, sku: &Sku) -> Option<Vec<StockLevel>> {
        self.state.find_sku(sku).map(|no| self.show_stock(no))
    }

    /// The quantities of up to `limit` items after that SKU, in the order of the SKUs. An item that never was anywhere
    /// counts, and has no level.
    #[must_use]
    pub fn stock_of_items(&self, after: Option<&Sku>, limit: usize) -> Vec<(Sku, Vec<StockLevel>)> {
        let skus = self.skus_after(after).take(limit);
        skus.map(|no| (self.state.item(no).sku.clone(), self.show_stock(no))).collect()
    }

    /// The item's lots, by id, with what of them lies where. `None` for an unknown item.
    #[must_use]
    pub fn lots(&self, sku: &Sku) -> Option<Vec<Lot>> {
        let no = self.state.find_sku(sku)?;
        Some(self.state.lots_of(no).map(|(_, lot)| self.show_lot(lot)).collect())
    }

    /// Up to `limit` lots of the item behind that one, by id. `None` for an unknown item.
    #[must_use]
    pub fn lots_after(&self, sku: &Sku, after: Option<&LotId>, limit: usize) -> Option<Vec<Lot>> {
        let behind = self.state.lots_after(self.state.find_sku(sku)?, after);
        Some(behind.take(limit).map(|lot| self.show_lot(lot)).collect())
    }

    /// One lot of an item.
    #[must_use]
    pub fn lot(&self, sku: &Sku, lot: &LotId) -> Option<Lot> {
        let lot = self.state.find_lot(self.state.find_sku(sku)?, lot)?;
        Some(self.show_lot(lot))
    }

    /// Up to `limit` lots from the cursor on of which units lie somewhere, in the order in which they became known; only those that
    /// leave sale at that time or before, where one is given. And where to go on, if there may be more. Looks at no more than 64
    /// for each one asked for, so a page may be short of what it could have.
    #[must_use]
    pub fn all_lots(
        &self,
        from: LotCursor,
        removal_until: Option<LogTime>,
        limit: usize,
    ) -> (Vec<Lot>, Option<LotCursor>) {
        let mut page = Vec::new();
        for (looked, (no, record)) in self.state.lots_from(LotNo(from.0)).enumerate() {
            if page.len() == limit || looked == limit.saturating_mul(LOOKS) {
                return (page, Some(LotCursor(no.0)));
            }
            if removal_until.is_none_or(|until| record.removal_at <= until) {
                page.extend(Some(self.show_lot(no)).filter(|lot| !lot.places.is_empty()));
            }
        }
        (page, None)
    }

    /// Up to `limit` reservations in memory that have or had units of the lot, or are to have some, from the cursor on, oldest
    /// first; and where to go on, if there may be more. `None` for an unknown lot.
    #[must_use]
    pub fn trace_lot(&self, sku: &Sku, lot: &LotId, from: ReservationCursor, limit: usize) -> Option<LotTrace> {
        let lot = self.state.find_lot(self.state.find_sku(sku)?, lot)?;
        let range = (lot, ReservationNo(from.0))..=(lot, ReservationNo(u64::MAX));
        let mut found = self.state.indexes.by_lot.range(range).map(|(_, no)| *no);
        let page: Vec<ReservationNo> = found.by_ref().take(limit).collect();
        let is_named = |no: &&ReservationNo| {
            let lines = &self.state.reservation(**no).lines;
            !is_on(Mutation::RecallMissesShipped) || lines.iter().all(|line| line.units.fulfilled == 0)
        };
        let named = page.iter().filter(is_named);
        let reservations = named.map(|no| self.show_reservation(self.state.reservation(*no))).collect();
        Some(LotTrace { reservations, next: found.next().map(|no| ReservationCursor(no.0)) })
    }

    /// What may be promised of the item, at one location or over all active ones. `None` for an unknown item.
    #[must_use]
    pub fn atp(&self, sku: &Sku, location: Option<&LocationId>) -> Option<u64> {
        let no = self.state.find_sku(sku)?;
        if !self.state.item(no).spec.tracked {
            return Some(u64::from(crate::MAX_UNITS));
        }
        let only = location.map(|id| self.state.find_location(id));
        let places = self.state.stock(no).places.iter().filter(|place| match only {
            Some(only) => only == Some(place.location),
            None => self.is_active(place.location),
        });
        Some(places.map(|place| self.state.atp(no, place)).sum())
    }

    /// The limits per customer of the item, by age, with what one customer has under each. `None` for an unknown item.
    #[must_use]
    pub fn limits_of(
        &self,
        sku: &Sku,
        customer: Option<CustomerHash>,
    ) -> Option<Vec<(CustomerLimit, Option<CustomerCount>)>> {
        let no = self.state.find_sku(sku)?;
        let show = |(limit, record): (LimitNo, &LimitRecord)| {
            let (id, spec, revision) = (record.id.clone(), record.spec, record.revision);
            let count = customer.map(|customer| self.state.count_of(limit, customer));
            (CustomerLimit { id, sku: sku.clone(), spec, revision, campaign: record.campaign.clone() }, count)
        };
        Some(self.state.limits_of(no).map(show).collect())
    }

    /// The limit over several items, as this shard knows it.
    #[must_use]
    pub fn shared_limit(&self, id: &LimitId) -> Option<SharedLimit> {
        let record = self.state.limit(self.state.find_shared_limit(id)?);
        let spec = SharedLimitSpec { skus: record.skus.clone(), rule: record.spec };
        Some(SharedLimit { id: record.id.clone(), spec, revision: record.revision })
    }

    /// What a customer has under it, as far as it is counted on this shard: that of the slot of [`Sku::of_counter`].
    #[must_use]
    pub fn shared_count(&self, id: &LimitId, customer: CustomerHash) -> Option<CustomerCount> {
        Some(self.state.count_of(self.state.find_shared_limit(id)?, customer))
    }

    /// The sums of every counter of the item over all locations. `None` for an unknown item.
    #[must_use]
    pub fn totals(&self, sku: &Sku) -> Option<StockTotals> {
        self.state.find_sku(sku).map(|no| self.sum_stock(no))
    }

    /// The same for all items together.
    #[must_use]
    pub fn grand_totals(&self) -> StockTotals {
        self.state.skus().map(|no| self.sum_stock(no)).fold(StockTotals::default(), |sum, of| sum.plus(&of))
    }

    /// The reservation, as long as it is in memory.
    #[must_use]
    pub fn reservation(&self, id: ReservationId) -> Option<Reservation> {
        let no = self.state.find_reservation(id)?;
        Some(self.show_reservation(self.state.reservation(no)))
    }

    /// Up to `limit` reservations from the cursor on, oldest first, of that state or of any; and where to go on, if there
    /// may be more. Looks at no more than 64 for each one asked for, so a page may be short of what it could have.
    #[must_use]
    pub fn reservations(
        &self,
        from: ReservationCursor,
        state: Option<ReservationState>,
        limit: usize,
    ) -> (Vec<Reservation>, Option<ReservationCursor>) {
        self.page_of_reservations(self.state.reservations_from(ReservationNo(from.0)), state, limit)
    }

    /// The same with that order reference.
    #[must_use]
    pub fn reservations_of_order(
        &self,
        order_ref: &OrderRef,
        from: ReservationCursor,
        state: Option<ReservationState>,
        limit: usize,
    ) -> (Vec<Reservation>, Option<ReservationCursor>) {
        let from = Bound::Included((order_ref.clone(), ReservationNo(from.0)));
        let to = Bound::Included((order_ref.clone(), ReservationNo(u64::MAX)));
        let of_order = self.state.indexes.by_order_ref.range((from, to)).map(|(_, no)| *no);
        self.page_of_reservations(of_order.map(|no| (no, self.state.reservation(no))), state, limit)
    }

    fn page_of_reservations<'a>(
        &self,
        candidates: impl Iterator<Item = (ReservationNo, &'a ReservationRecord)>,
        state: Option<ReservationState>,
        limit: usize,
    ) -> (Vec<Reservation>, Option<ReservationCursor>) {
        let mut page = Vec::new();
        for (looked, (no, record)) in candidates.enumerate() {
            if page.len() == limit || looked == limit.saturating_mul(LOOKS) {
                return (page, Some(ReservationCursor(no.0)));
            }
            // A part is shown by the shard that decides the whole.
            if record.part().is_none() && state.is_none_or(|state| record.state() == state) {
                page.push(self.show_reservation(record));
            }
        }
        (page, None)
    }

    fn skus_after(&self, after: Option<&Sku>) -> impl Iterator<Item = SkuNo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let skus = self.state.indexes.skus_in_order.range((from, Bound::Unbounded));
        skus.filter(|(sku, _)| !sku.is_counter()).map(|(_, no)| *no)
    }

    fn is_active(&self, location: LocationNo) -> bool {
        self.state.location(location).spec.active
    }

    fn show_item(&self, no: SkuNo) -> Item {
        let record = self.state.item(no);
        Item {
            sku: record.sku.clone(),
            spec: Arc::clone(&record.spec),
            revision: record.revision,
            is_kit: record.kit.is_some(),
        }
    }

    fn show_stock(&self, no: SkuNo) -> Vec<StockLevel> {
        let item = self.state.item(no);
        let show = |place: &StockPlace| {
            let atp = if item.spec.tracked { self.state.atp(no, place) } else { u64::from(crate::MAX_UNITS) };
            StockLevel {
                sku: item.sku.clone(),
                location: self.state.location(place.location).id.clone(),
                counts: place.counts(),
                free: place.free(),
                atp: if self.is_active(place.location) { atp } else { 0 },
                safety_stock: place.safety_stock,
                short: place.short,
                flow: place.flow,
                revision: place.revision,
                in_transit: place.in_transit,
                incoming: place.incoming,
                backordered: place.backordered,
                allocated: place.fence(),
            }
        };
        self.state.stock(no).places.iter().map(show).collect()
    }

    fn sum_stock(&self, no: SkuNo) -> StockTotals {
        let of_place =
            |place: &StockPlace| StockTotals { counts: place.counts(), flow: place.flow, in_transit: place.in_transit };
        let places = self.state.stock(no).places.iter();
        places.map(of_place).fold(StockTotals::default(), |sum, of| sum.plus(&of))
    }

    fn show_lot(&self, no: LotNo) -> Lot {
        let record = self.state.lot(no);
        let never = |at: LogTime| (at != LogTime(u64::MAX)).then_some(at);
        let places = self.state.stock(record.sku).places.iter();
        let here = places.filter_map(|place| {
            let counts = place.cell(Some(no))?.counts;
            (counts != StockCounts::default()).then(|| (self.state.location(place.location).id.clone(), counts))
        });
        Lot {
            sku: self.state.item(record.sku).sku.clone(),
            id: record.id.clone(),
            supplier_lot: record.supplier_lot.clone(),
            dates: record.dates,
            removal_at: never(record.removal_at),
            alert_at: never(record.alert_at),
            received_at: record.received_at,
            status: record.status,
            revision: record.revision,
            places: here.collect(),
        }
    }

    fn show_reservation(&self, record: &ReservationRecord) -> Reservation {
        let details = record.details.as_deref();
        Reservation {
            id: record.id,
            state: record.state(),
            lines: self.show_lines(record),
            created_at: record.created_at,
            expires_at: record.expires_at,
            max_expires_at: record.max_expires_at,
            cancel_at: record.cancel_at,
            ended_at: record.ended_at,
            order_ref: details.and_then(|details| details.order_ref.clone()),
            customer: details.and_then(|details| details.customer),
            channel: details.and_then(|details| details.channel.clone()),
            campaign: details.and_then(|details| details.campaign.clone()),
            plan: record.plan().map(Plan::of_items),
            revision: record.revision,
        }
    }

    /// The lines in the order they were asked for, those on other shards as this shard knows them.
    fn show_lines(&self, record: &ReservationRecord) -> Vec<ReservationLine> {
        let own = record.lines.iter().map(|line| self.show_line(line));
        // What it is counted by is no line to anyone.
        let is_shown = |line: &ReservationLine| !line.sku.is_counter();
        let Some(whole) = record.whole() else { return own.filter(is_shown).collect() };
        let mut lines: Vec<(u16, ReservationLine)> = whole.own.iter().copied().zip(own).collect();
        lines.extend(record.remote_lines().map(|line| (line.number, line.show())));
        lines.sort_by_key(|(number, _)| *number);
        lines.into_iter().map(|(_, line)| line).filter(is_shown).collect()
    }

    fn show_bound(&self, bound: &BoundUnits) -> LotUnits {
        let &BoundUnits { lot, committed, fulfilled, returned } = bound;
        LotUnits { lot: self.state.lot(lot).id.clone(), committed, fulfilled, returned }
    }

    fn show_line(&self, line: &crate::state::LineRecord) -> ReservationLine {
        ReservationLine {
            sku: self.state.item(line.sku).sku.clone(),
            location: self.state.location(line.location).id.clone(),
            lot: line.named_lot().map(|lot| self.state.lot(lot).id.clone()),
            lots: line.by_lot.iter().flat_map(|by_lot| &by_lot.bound).map(|bound| self.show_bound(bound)).collect(),
            optional: line.optional,
            counted: line.counted,
            units: line.units,
        }
    }
}

impl StockPlace {
    /// The sums over all lots, with the holds that are bound to none.
    pub(crate) fn counts(&self) -> StockCounts {
        let unbound = StockCounts { reserved: self.unbound_units(), ..StockCounts::default() };
        self.cells.iter().fold(unbound, |sum, cell| sum.and(&cell.counts))
    }
}

impl StockTotals {
    /// The sums of two. Over a whole cluster a sum could leave the range of its counter; it then stays at its end.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            counts: self.counts.and(&other.counts),
            flow: self.flow.and(&other.flow),
            in_transit: self.in_transit.saturating_add(other.in_transit),
        }
    }
}

impl StockCounts {
    fn and(&self, other: &Self) -> Self {
        Self {
            on_hand: self.on_hand.saturating_add(other.on_hand),
            reserved: self.reserved.saturating_add(other.reserved),
            committed: self.committed.saturating_add(other.committed),
            damaged: self.damaged.saturating_add(other.damaged),
            quality_control: self.quality_control.saturating_add(other.quality_control),
        }
    }
}

impl StockFlow {
    fn and(&self, other: &Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            found: self.found.saturating_add(other.found),
            written_off: self.written_off.saturating_add(other.written_off),
            shipped: self.shipped.saturating_add(other.shipped),
            returned: self.returned.saturating_add(other.returned),
            sent: self.sent.saturating_add(other.sent),
            arrived: self.arrived.saturating_add(other.arrived),
        }
    }
}
