//! The records of the state. Items and locations are named within by their ordinals, which never change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::chunk::{ChunkKind, Record};
use crate::{
    BodyHash, CampaignId, ChannelId, CommandId, CustomerHash, ItemSpec, LineCounts, LocationId, LocationSpec, LogTime,
    LotId, OrderRef, Refusal, ReservationId, ReservationState, Revision, Sku, StockCounts, StockFlow, Success,
};

/// The ordinal of an item, and of its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SkuNo(pub(crate) u32);

/// The ordinal of a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LocationNo(pub(crate) u32);

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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub(crate) sku: Sku,
    /// Shared, so that a copied chunk does not copy attributes.
    pub(crate) spec: Arc<ItemSpec>,
    pub(crate) revision: Revision,
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
    /// Holds that are bound to no lot yet; only of an item tracked by lot.
    pub(crate) reserved_unbound: u64,
    pub(crate) safety_stock: u64,
    pub(crate) incoming: u64,
    pub(crate) backordered: u64,
    pub(crate) short: u64,
    pub(crate) flow: StockFlow,
    /// In the order of the lots, each once; an item that is not tracked by lot has the one without.
    pub(crate) cells: Vec<Cell>,
}

/// The quantities of one item, location and lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) lot: Option<LotId>,
    pub(crate) counts: StockCounts,
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
    pub(crate) lines: Vec<LineRecord>,
}

/// What is only shown, and seldom said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReservationDetails {
    pub(crate) order_ref: Option<OrderRef>,
    pub(crate) customer: Option<CustomerHash>,
    pub(crate) channel: Option<ChannelId>,
    pub(crate) campaign: Option<CampaignId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineRecord {
    pub(crate) sku: SkuNo,
    pub(crate) location: LocationNo,
    pub(crate) lot: Option<LotId>,
    pub(crate) optional: bool,
    /// Its units are counted in the stock; false for an item that was untracked when it was reserved.
    pub(crate) counted: bool,
    pub(crate) units: LineCounts,
}

impl Record for ReservationRecord {
    const KIND: ChunkKind = ChunkKind::Reservations;
    const PER_CHUNK: usize = 128;
}

impl ReservationRecord {
    pub(crate) fn has(&self, of: impl Fn(&LineCounts) -> u64) -> bool {
        self.lines.iter().any(|line| of(&line.units) > 0)
    }

    /// The summary of its lines.
    pub(crate) fn state(&self) -> ReservationState {
        let committed = self.has(|units| units.committed);
        let live = committed || self.is_holding();
        if self.has(|units| units.fulfilled) {
            return if live { ReservationState::PartiallyFulfilled } else { ReservationState::Fulfilled };
        }
        if committed {
            ReservationState::Committed
        } else if live {
            ReservationState::Held
        } else if self.has(|units| units.cancelled) {
            ReservationState::Cancelled
        } else if self.has(|units| units.expired) {
            ReservationState::Expired
        } else {
            ReservationState::Released
        }
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.has(|units| units.held + units.backordered + units.short)
    }

    /// When something of it falls due next.
    pub(crate) fn due_at(&self) -> Option<LogTime> {
        let expiry = self.is_holding().then_some(self.expires_at);
        let cancel = self.cancel_at.filter(|_| self.has(|units| units.committed));
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
