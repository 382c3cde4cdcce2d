//! The records of the state. Items and locations are named within by their ordinals, which never change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::campaigns::{AllocationRecord, SaleNo};
use super::chunk::{ChunkKind, Record};
use super::customer_limits::CountedLine;
use super::orders::OrderRecord;
use super::spread::{PartPhase, Spread};
use crate::commands::Plan;
use crate::kit::Component;
use crate::{
    BodyHash, CampaignId, ChannelId, CommandId, CustomerHash, ItemSpec, LineCounts, LocationId, LocationSpec, LogTime,
    LotDates, LotId, LotStatus, OrderRef, Refusal, ReservationId, ReservationState, Revision, Sku, StockCounts,
    StockFlow, Success,
};

/// The ordinal of an item, and of its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SkuNo(pub(crate) u32);

/// The ordinal of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LocationNo(pub(crate) u32);

/// The ordinal of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LotNo(pub(crate) u32);

/// The ordinal of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ReservationNo(pub(crate) u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocationRecord {
    pub(crate) id: LocationId,
    pub(crate) spec: LocationSpec,
    pub(crate) revision: Revision,
}

impl Record for LocationRecord {
    const KIND: ChunkKind = ChunkKind::Locations;
    const PER_CHUNK: usize = 64;
}

/// The ordinal of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ChannelNo(pub(crate) u32);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRecord {
    pub(crate) id: ChannelId,
    /// In the channel's order, each once.
    pub(crate) locations: Vec<LocationNo>,
    pub(crate) buffer: u32,
    pub(crate) active: bool,
    pub(crate) revision: Revision,
}

impl Record for ChannelRecord {
    const KIND: ChunkKind = ChunkKind::Channels;
    const PER_CHUNK: usize = 64;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub(crate) sku: Sku,
    /// Shared, so that a copied chunk does not copy attributes.
    pub(crate) spec: Arc<ItemSpec>,
    pub(crate) revision: Revision,
    /// Of a kit, what one of it is made of. Nothing of it lies anywhere; of its attributes only the name is said.
    pub(crate) kit: Option<Arc<Vec<Component>>>,
}

impl Record for ItemRecord {
    const KIND: ChunkKind = ChunkKind::Items;
    const PER_CHUNK: usize = 16;
}

/// What lies where of one item. It has the item's ordinal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StockRecord {
    /// In the order of the locations' ordinals, each once.
    pub(crate) places: Vec<StockPlace>,
}

impl Record for StockRecord {
    const KIND: ChunkKind = ChunkKind::Stock;
    const PER_CHUNK: usize = 64;
}

/// One item at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StockPlace {
    pub(crate) location: LocationNo,
    pub(crate) revision: Revision,
    /// Holds that are bound to no lot yet, by how long their units must live, the shortest first, each once and none of 0
    /// units; only of an item tracked by lot.
    pub(crate) unbound: Vec<(LogTime, u64)>,
    pub(crate) safety_stock: u64,
    /// Still expected from suppliers, by the receipts that are open.
    pub(crate) incoming: u64,
    /// Promised by choice without stock, sold or not.
    pub(crate) backordered: u64,
    /// Promised, held or sold, and the stock went away.
    pub(crate) short: u64,
    pub(crate) flow: StockFlow,
    /// In the order of the lots' ordinals, each once; an item that is not tracked by lot has the one without. One in which
    /// nothing is left may be missing.
    pub(crate) cells: Vec<Cell>,
    /// On its way here from other locations, of whatever lot: the transfers have it by lot.
    pub(crate) in_transit: u64,
    /// The cap under which the latest backorder was promised here [H-CAPS].
    pub(crate) backorder_cap: u64,
    /// Units are free that backorders wait for: one entry fills a bounded number of them.
    pub(crate) is_filling: bool,
    /// What campaigns have of it, in the order of their ordinals, each once.
    pub(crate) allocations: Vec<AllocationRecord>,
}

/// The quantities of one item, location and lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) lot: Option<LotNo>,
    pub(crate) counts: StockCounts,
}

/// A lot of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LotRecord {
    pub(crate) sku: SkuNo,
    pub(crate) id: LotId,
    pub(crate) supplier_lot: String,
    pub(crate) dates: LotDates,
    /// When it leaves sale: units are sold up to this instant. The end of time where the lot has no dates.
    pub(crate) removal_at: LogTime,
    /// When somebody is told that it will leave sale.
    pub(crate) alert_at: LogTime,
    /// Of its first units.
    pub(crate) received_at: LogTime,
    pub(crate) status: LotStatus,
    /// What was told of it so far.
    pub(crate) told: LotTold,
    pub(crate) revision: Revision,
}

/// What was told of a lot as time went on. In the order of the dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum LotTold {
    #[default]
    Nothing,
    Alert,
    RemovalDue,
    Expired,
}

impl Record for LotRecord {
    const KIND: ChunkKind = ChunkKind::Lots;
    const PER_CHUNK: usize = 64;
}

impl LotRecord {
    /// May units of it be sold at that time?
    pub(crate) fn is_sellable(&self, now: LogTime) -> bool {
        self.status == LotStatus::Approved && self.removal_at >= now
    }

    /// When something is to be told of it next, and what.
    pub(crate) fn next_to_tell(&self) -> Option<(LogTime, LotTold)> {
        let (at, told) = match self.told {
            LotTold::Nothing => (self.alert_at, LotTold::Alert),
            LotTold::Alert => (self.removal_at.plus_ms(1), LotTold::RemovalDue),
            LotTold::RemovalDue => (self.dates.expires_at?.plus_ms(1), LotTold::Expired),
            LotTold::Expired => return None,
        };
        (self.removal_at != LogTime(u64::MAX)).then_some((at, told))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReservationRecord {
    pub(crate) id: ReservationId,
    pub(crate) created_at: LogTime,
    pub(crate) expires_at: LogTime,
    pub(crate) max_expires_at: LogTime,
    pub(crate) cancel_at: Option<LogTime>,
    pub(crate) ended_at: Option<LogTime>,
    pub(crate) revision: Revision,
    pub(crate) details: Option<Box<ReservationDetails>>,
    /// Of its own shard.
    pub(crate) lines: Vec<LineRecord>,
    /// Where its lines lie on several shards.
    pub(crate) spread: Option<Box<Spread>>,
    /// Where external steps decide whether it is sold.
    pub(crate) order: Option<Box<OrderRecord>>,
}

/// What is only shown, and seldom said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReservationDetails {
    pub(crate) order_ref: Option<OrderRef>,
    pub(crate) customer: Option<CustomerHash>,
    pub(crate) channel: Option<ChannelId>,
    pub(crate) campaign: Option<CampaignId>,
    /// How its lines, those of other shards included, were worked out from what was asked for.
    pub(crate) plan: Option<Plan>,
    /// The lines of this shard that limits count, by line and limit.
    pub(crate) counted: Vec<CountedLine>,
    /// The campaign of which it takes what it has.
    pub(crate) sale: Option<SaleNo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineRecord {
    pub(crate) sku: SkuNo,
    pub(crate) location: LocationNo,
    /// Of an item that was tracked by lot when it was reserved.
    pub(crate) by_lot: Option<Box<LineLots>>,
    pub(crate) optional: bool,
    /// Its units are counted in the stock; false for an item that was untracked when it was reserved.
    pub(crate) counted: bool,
    pub(crate) units: LineCounts,
    /// Its units must be there when they are promised.
    pub(crate) stock_only: bool,
}

/// What a line has of which lots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineLots {
    /// The lot that it was bound to by name; `None`: bound when it is committed.
    pub(crate) named: Option<LotNo>,
    /// How long its units must be sellable at least; 0: no longer than until they are sold.
    pub(crate) need: LogTime,
    /// Units that are sold, each lot once, in the order in which they were bound.
    pub(crate) bound: Vec<BoundUnits>,
}

/// Units of one lot in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoundUnits {
    pub(crate) lot: LotNo,
    pub(crate) committed: u64,
    pub(crate) fulfilled: u64,
    pub(crate) returned: u64,
}

impl LineLots {
    /// The units of that lot, made where there were none.
    pub(crate) fn bound_mut(&mut self, lot: LotNo) -> &mut BoundUnits {
        let at = self.bound.iter().position(|bound| bound.lot == lot).unwrap_or_else(|| {
            self.bound.push(BoundUnits { lot, committed: 0, fulfilled: 0, returned: 0 });
            self.bound.len() - 1
        });
        &mut self.bound[at]
    }

    /// Whether the lots' units sum to the line's.
    pub(crate) fn fits(&self, units: &LineCounts) -> bool {
        let is_sum = |of: fn(&BoundUnits) -> u64, sum: u64| {
            self.bound.iter().try_fold(0_u64, |sum, bound| sum.checked_add(of(bound))) == Some(sum)
        };
        is_sum(|bound| bound.committed, units.committed)
            && is_sum(|bound| bound.fulfilled, units.fulfilled)
            && is_sum(|bound| bound.returned, units.returned)
            && self.bound.iter().all(|bound| bound.returned <= bound.fulfilled)
    }
}

impl LineRecord {
    /// The lot that it was bound to by name.
    pub(crate) fn named_lot(&self) -> Option<LotNo> {
        self.by_lot.as_ref()?.named
    }

    /// Every lot of which it has or had units, or is to have some.
    pub(crate) fn lots(&self) -> impl Iterator<Item = LotNo> {
        let by_lot = self.by_lot.as_deref();
        by_lot.into_iter().flat_map(|by_lot| by_lot.named.into_iter().chain(by_lot.bound.iter().map(|bound| bound.lot)))
    }

    /// Whether it has units that are sold, and not shipped, of an item that has no lots.
    pub(crate) fn is_sold_of_no_lot(&self) -> bool {
        self.counted && self.by_lot.is_none() && self.units.committed > 0
    }

    /// How long its units must be sellable at least.
    pub(crate) fn need(&self) -> LogTime {
        self.by_lot.as_ref().map_or(LogTime(0), |by_lot| by_lot.need)
    }
}

impl Record for ReservationRecord {
    const KIND: ChunkKind = ChunkKind::Reservations;
    const PER_CHUNK: usize = 128;
}

impl ReservationRecord {
    /// Whether any of its lines has such units, those on other shards included.
    pub(crate) fn has(&self, of: impl Fn(&LineCounts) -> u64) -> bool {
        self.lines.iter().any(|line| of(&line.units) > 0) || self.remote_lines().any(|line| of(&line.units) > 0)
    }

    /// Whether units of it have left, which may come back.
    pub(crate) fn has_shipped(&self) -> bool {
        self.has(|units| units.fulfilled)
    }

    /// The summary of its lines.
    pub(crate) fn state(&self) -> ReservationState {
        let committed = self.has(LineCounts::sold);
        let live = committed || self.is_holding();
        if self.has(|units| units.fulfilled) {
            return if live { ReservationState::PartiallyFulfilled } else { ReservationState::Fulfilled };
        }
        if committed {
            ReservationState::Committed
        } else if live {
            if self.is_in_doubt() { ReservationState::Preparing } else { ReservationState::Held }
        } else if self.part().is_some_and(|part| part.phase == PartPhase::Aborted) {
            ReservationState::Aborted
        } else if self.has(|units| units.cancelled) {
            ReservationState::Cancelled
        } else if self.has(|units| units.expired) {
            ReservationState::Expired
        } else {
            ReservationState::Released
        }
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.has(LineCounts::unsold)
    }

    /// Neither other shards nor external steps have to do with it.
    pub(super) fn has_nothing_beside(&self) -> bool {
        self.spread.is_none() && self.order.is_none()
    }

    /// When something of it falls due next. A hold does not end by time while an order goes on.
    pub(crate) fn due_at(&self) -> Option<LogTime> {
        if let Some(order) = self.open_order() {
            return order.due_at();
        }
        let expiry = self.is_holding().then_some(self.expires_at);
        let cancel = self.cancel_at.filter(|_| self.has(LineCounts::sold));
        match (expiry, cancel) {
            (Some(expiry), Some(cancel)) => Some(expiry.min(cancel)),
            (expiry, cancel) => expiry.or(cancel),
        }
    }
}

/// What a command id was decided to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResultRecord {
    pub(crate) id: CommandId,
    pub(crate) body: BodyHash,
    pub(crate) minted_at: LogTime,
    pub(crate) decided_at: LogTime,
    pub(crate) outcome: Result<Success, Refusal>,
}

impl Record for ResultRecord {
    const KIND: ChunkKind = ChunkKind::Results;
    const PER_CHUNK: usize = 256;
}

/// The same for an id that is the caller's own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyedResultRecord(pub(crate) ResultRecord);

impl Record for KeyedResultRecord {
    const KIND: ChunkKind = ChunkKind::KeyedResults;
    const PER_CHUNK: usize = 256;
}
