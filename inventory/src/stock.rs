//! Quantities of stock as they are shown and recorded.

use serde::{Deserialize, Serialize};

use crate::{Condition, LocationId, Revision, Sku};

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
    /// Units sent to other locations.
    pub sent: u64,
    /// Units of transfers that came here, or came back here; those that were lost on their way here too, as written off.
    pub arrived: u64,
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
    /// Promised, held or sold, and the stock went away.
    pub short: u64,
    /// What came and went.
    pub flow: StockFlow,
    /// How often it was changed; compared by `set`.
    pub revision: Revision,
    /// Units on their way here from other locations.
    pub in_transit: u64,
    /// Units still expected from suppliers.
    pub incoming: u64,
    /// Units promised without stock by choice, sold or not.
    pub backordered: u64,
    /// Units that campaigns have and nobody else gets.
    pub allocated: u64,
}

/// The sums over all locations of one item, for checks over a whole cluster [H-CONSERVE].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockTotals {
    /// What lies there.
    pub counts: StockCounts,
    /// What came and went.
    pub flow: StockFlow,
    /// What is on its way from one location to another.
    pub in_transit: u64,
}

impl StockCounts {
    /// The counts after a change; `None` where one would leave its range or [H-QTY] would break.
    pub(crate) fn plus(&self, delta: &StockDelta) -> Option<Self> {
        let after = Self {
            on_hand: self.on_hand.checked_add_signed(delta.on_hand)?,
            reserved: self.reserved.checked_add_signed(delta.reserved)?,
            committed: self.committed.checked_add_signed(delta.committed)?,
            damaged: self.damaged.checked_add_signed(delta.damaged)?,
            quality_control: self.quality_control.checked_add_signed(delta.quality_control)?,
        };
        after.free().map(|_| after)
    }
}

impl StockDelta {
    /// Adds another change of the same counts. Each counter stays within a signed number, and so does each change of it.
    pub(crate) fn add(&mut self, other: &Self) {
        self.on_hand += other.on_hand;
        self.reserved += other.reserved;
        self.committed += other.committed;
        self.damaged += other.damaged;
        self.quality_control += other.quality_control;
    }

    /// Units of that condition come (above 0) or go (below 0).
    pub(crate) fn of_condition(condition: Condition, units: i64) -> Self {
        let mut delta = Self { on_hand: units, ..Self::default() };
        match condition {
            Condition::Resellable => {}
            Condition::Damaged => delta.damaged = units,
            Condition::QualityControl => delta.quality_control = units,
        }
        delta
    }
}

impl StockFlow {
    /// The sums after more came or went; `None` where one would leave the range of a signed number.
    pub(crate) fn plus(&self, more: &Self) -> Option<Self> {
        let sum = |a: u64, b: u64| a.checked_add(b).filter(|sum| *sum <= i64::MAX as u64);
        Some(Self {
            received: sum(self.received, more.received)?,
            found: sum(self.found, more.found)?,
            written_off: sum(self.written_off, more.written_off)?,
            shipped: sum(self.shipped, more.shipped)?,
            returned: sum(self.returned, more.returned)?,
            sent: sum(self.sent, more.sent)?,
            arrived: sum(self.arrived, more.arrived)?,
        })
    }
}
