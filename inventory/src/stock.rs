//! Quantities of stock as they are shown and recorded.

use serde::{Deserialize, Serialize};

use crate::{LocationId, Revision, Sku};

/// Units at one item, location and lot. `on_hand = free + reserved + committed + damaged + quality_control` [H-QTY].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockCounts {
    /// Everything that lies there.
    pub on_hand: u64,
    /// Of it held by reservations.
    pub reserved: u64,
    /// Of it sold and not shipped.
    pub committed: u64,
    /// Of it damaged.
    pub damaged: u64,
    /// Of it waiting for somebody to look at it.
    pub quality_control: u64,
}

impl StockCounts {
    /// What lies there and is bound by nothing. `None` where the counts break [H-QTY].
    #[must_use]
    pub const fn free(&self) -> Option<u64> {
        let Some(left) = self.on_hand.checked_sub(self.reserved) else { return None };
        let Some(left) = left.checked_sub(self.committed) else { return None };
        let Some(left) = left.checked_sub(self.damaged) else { return None };
        left.checked_sub(self.quality_control)
    }
}

/// What was added (above 0) or taken (below 0), by the fields of [`StockCounts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the change of the field of that name")]
pub struct StockDelta {
    pub on_hand: i64,
    pub reserved: i64,
    pub committed: i64,
    pub damaged: i64,
    pub quality_control: i64,
}

/// What came and went over an item's life, at one location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockFlow {
    /// Units received.
    pub received: u64,
    /// Units found.
    pub found: u64,
    /// Units written off.
    pub written_off: u64,
    /// Units shipped.
    pub shipped: u64,
    /// Shipped units that came back.
    pub returned: u64,
}

/// One item at one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockLevel {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// What lies there, over all lots; `reserved` has the holds that are bound to no lot yet too.
    pub counts: StockCounts,
    /// What lies there and is bound by nothing.
    pub free: u64,
    /// What may be promised now.
    pub atp: u64,
    /// Units that are kept back from sale.
    pub safety_stock: u64,
    /// What came and went.
    pub flow: StockFlow,
    /// How often it was changed; compared by `set`.
    pub revision: Revision,
}

/// The sums over all locations of one item, for checks over a whole cluster [H-CONSERVE].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockTotals {
    /// What lies there.
    pub counts: StockCounts,
    /// What came and went.
    pub flow: StockFlow,
}
