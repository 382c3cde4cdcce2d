//! A reservation as it is shown.

use serde::{Deserialize, Serialize};

use crate::commands::Plan;
use crate::{CampaignId, ChannelId, CustomerHash, LocationId, LogTime, LotId, OrderRef, ReservationId, Revision, Sku};

/// Where a reservation stands: a summary of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReservationState {
    /// Its lines lie on several shards, and not all of them have answered.
    Preparing,
    /// Units are held, none is sold.
    Held,
    /// Units are sold, none is shipped.
    Committed,
    /// Units are shipped, and some are held or sold still.
    PartiallyFulfilled,
    /// Nothing is left, and something was shipped.
    Fulfilled,
    /// Nothing is left, and what was sold was given back.
    Cancelled,
    /// Nothing is left: given back.
    Released,
    /// Nothing is left: its time was over.
    Expired,
    /// Not all shards had what it asked for.
    Aborted,
}

impl ReservationState {
    /// True where nothing is held or committed any more.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Preparing | Self::Held | Self::Committed | Self::PartiallyFulfilled => false,
            Self::Fulfilled | Self::Cancelled | Self::Released | Self::Expired | Self::Aborted => true,
        }
    }
}

/// A reservation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// Where it stands.
    pub state: ReservationState,
    /// Its lines, in the order they were asked for; amended ones after.
    pub lines: Vec<ReservationLine>,
    /// When it was made.
    pub created_at: LogTime,
    /// When what is held is released.
    pub expires_at: LogTime,
    /// The latest expiry that an extend may give.
    pub max_expires_at: LogTime,
    /// When what is committed and not shipped is cancelled.
    pub cancel_at: Option<LogTime>,
    /// When it ended.
    pub ended_at: Option<LogTime>,
    /// The caller's own word for the order.
    pub order_ref: Option<OrderRef>,
    /// For whom.
    pub customer: Option<CustomerHash>,
    /// Through which channel.
    pub channel: Option<ChannelId>,
    /// In which flash sale.
    pub campaign: Option<CampaignId>,
    /// How its lines were worked out, where they are not those that were asked for.
    pub plan: Option<Plan>,
    /// How often it was changed.
    pub revision: Revision,
}

/// One line of a reservation: units in each state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationLine {
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The lot it was bound to by name.
    pub lot: Option<LotId>,
    /// The lots its sold units are of, those of ended ones included.
    pub lots: Vec<LotUnits>,
    /// Its lack did not fail the rest.
    pub optional: bool,
    /// True where the units are counted in the stock, which they are but for an untracked item.
    pub counted: bool,
    /// Units in each state.
    pub units: LineCounts,
}

/// Sold units of one lot in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotUnits {
    /// The lot.
    pub lot: LotId,
    /// Sold and not shipped.
    pub committed: u64,
    /// Shipped, returned ones included.
    pub fulfilled: u64,
    /// Shipped and come back.
    pub returned: u64,
}

/// Units of one line in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineCounts {
    /// Held.
    pub held: u64,
    /// Promised by choice, without stock, and not sold.
    pub backordered: u64,
    /// Held, and the stock went away.
    pub short: u64,
    /// Sold, and the stock went away.
    pub short_sold: u64,
    /// Sold and not shipped.
    pub committed: u64,
    /// Shipped, returned ones included.
    pub fulfilled: u64,
    /// Sold and given back.
    pub cancelled: u64,
    /// Held and given back.
    pub released: u64,
    /// Held until the time was over.
    pub expired: u64,
    /// Shipped and come back.
    pub returned: u64,
    /// Sold, and promised without stock by choice.
    pub backordered_sold: u64,
}

impl LineCounts {
    /// What lives as long as the hold does: held, or promised and not there.
    pub(crate) const fn unsold(&self) -> u64 {
        self.held + self.backordered + self.short
    }

    /// What is sold and not shipped, whether it is there or not.
    pub(crate) const fn sold(&self) -> u64 {
        self.committed + self.short_sold + self.backordered_sold
    }

    /// What is promised by choice without stock, sold or not.
    pub(crate) const fn all_backordered(&self) -> u64 {
        self.backordered + self.backordered_sold
    }

    /// All that was asked for and amended since. `None` where the counts are none that a reservation can have.
    pub(crate) fn all(&self) -> Option<u64> {
        let parts = [
            self.held,
            self.backordered,
            self.short,
            self.short_sold,
            self.committed,
            self.fulfilled,
            self.cancelled,
            self.released,
            self.expired,
            self.backordered_sold,
        ];
        parts.into_iter().try_fold(0_u64, u64::checked_add)
    }
}
