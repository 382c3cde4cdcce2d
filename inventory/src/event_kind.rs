//! What kinds of events there are, and what they are called.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventKind {
    /// An item was made or changed.
    ItemChanged,
    /// A location was made or changed.
    LocationChanged,
    /// Units arrived.
    StockReceived,
    /// Units were found or written off.
    StockAdjusted,
    /// Shipped units came back.
    StockReturned,
    /// Units are held.
    ReservationHeld,
    /// A hold has other quantities.
    ReservationAmended,
    /// A hold lives longer.
    ReservationExtended,
    /// Units are sold.
    ReservationCommitted,
    /// Sold units were shipped.
    ReservationFulfilled,
    /// A hold was given back.
    ReservationReleased,
    /// A hold's time was over.
    ReservationExpired,
    /// What was sold and not shipped was given back.
    ReservationCancelled,
    /// An item's units at a location came down to its low stock threshold.
    AvailabilityLow,
    /// Units of a reservation are promised, and their stock went away.
    ReservationShort,
    /// Units of a reservation that were short are there again.
    ReservationFilled,
    /// A lot was made known, or is known otherwise.
    LotChanged,
    /// A lot will leave sale soon.
    LotAlert,
    /// A lot has left sale.
    LotRemovalDue,
    /// A lot may not be used any more.
    LotExpired,
    /// A lot is not sold for now.
    LotBlocked,
    /// A lot is sold again.
    LotUnblocked,
    /// A lot is withdrawn for good.
    LotRecalled,
    /// Nothing of an item may be promised at a location any more.
    AvailabilityOut,
    /// Something of an item may be promised at a location again.
    AvailabilityBack,
    /// Units have another condition.
    StockMoved,
    /// More or fewer units are kept back from sale.
    StockSafetyChanged,
    /// Units left one location for another.
    TransferCreated,
    /// Units of a transfer arrived.
    TransferReceived,
    /// Units of a transfer are lost.
    TransferLost,
    /// What of a transfer was on its way went back.
    TransferCancelled,
    /// A supplier's units are expected.
    ReceiptExpected,
    /// Units arrived with an expected receipt.
    ReceiptArrived,
    /// Nothing more of a receipt is expected.
    ReceiptClosed,
    /// Units are held for a reservation that another shard decides.
    OrderPrepared,
    /// The reservation for which they were held was not made; or an order came to nothing, and everything is taken back.
    OrderAborted,
    /// A limit of what one customer may have was made or changed.
    LimitChanged,
    /// Units are counted.
    CountOpened,
    /// Units of a count were counted.
    CountRecorded,
    /// The books have what was counted.
    CountApplied,
    /// A count was given up.
    CountCancelled,
    /// Stock went away beneath reservations.
    StockShortfall,
    /// Another system's records are not what the books say.
    ReconciliationDrift,
    /// The books were brought to what another system's records say.
    ReconciliationRepaired,
    /// Units are promised without stock.
    BackorderCreated,
    /// Units that were promised without stock are there.
    BackorderFilled,
    /// A channel was made or changed.
    ChannelChanged,
    /// An audit has found a breach: callers' commands are refused.
    ShardHalted,
    /// Callers' commands are decided again.
    ShardResumed,
    /// External steps decide from now on whether a hold is sold.
    OrderStarted,
    /// A step is done, has failed, is taken back or may not be.
    OrderStepEnded,
    /// All steps of an order are done, and its units are sold.
    OrderCommitted,
    /// What was done for an order that came to nothing is taken back.
    OrderCompensated,
    /// Of an order that came to nothing it is not known whether everything is taken back.
    OrderStuck,
    /// A campaign has begun that has units of this shard.
    CampaignOpened,
    /// A campaign has nothing left of an item at a location.
    CampaignExhausted,
    /// A campaign is over that had units of this shard.
    CampaignClosed,
    /// Units are kept for a campaign.
    CampaignGranted,
    /// Units are not kept for a campaign any more.
    CampaignRevoked,
    /// A customer got a ticket of a campaign's waiting room.
    QueueJoined,
    /// A ticket was let in.
    QueueAdmitted,
    /// The token of a ticket was spent.
    TokenSpent,
    /// A lottery was committed to a seed.
    DrawCommitted,
    /// A lottery was drawn.
    DrawHeld,
    /// A customer was refused by a limit.
    LimitHit,
}

impl EventKind {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ItemChanged => "item.changed",
            Self::LocationChanged => "location.changed",
            Self::StockReceived => "stock.received",
            Self::StockAdjusted => "stock.adjusted",
            Self::StockReturned => "stock.returned",
            Self::ReservationHeld => "reservation.held",
            Self::ReservationAmended => "reservation.amended",
            Self::ReservationExtended => "reservation.extended",
            Self::ReservationCommitted => "reservation.committed",
            Self::ReservationFulfilled => "reservation.fulfilled",
            Self::ReservationReleased => "reservation.released",
            Self::ReservationExpired => "reservation.expired",
            Self::ReservationCancelled => "reservation.cancelled",
            Self::AvailabilityLow => "availability.low",
            Self::ReservationShort => "reservation.short",
            Self::ReservationFilled => "reservation.filled",
            Self::LotChanged => "lot.changed",
            Self::LotAlert => "lot.alert",
            Self::LotRemovalDue => "lot.removal_due",
            Self::LotExpired => "lot.expired",
            Self::LotBlocked => "lot.blocked",
            Self::LotUnblocked => "lot.unblocked",
            Self::LotRecalled => "lot.recalled",
            Self::AvailabilityOut => "availability.out",
            Self::AvailabilityBack => "availability.back",
            Self::StockMoved => "stock.moved",
            Self::StockSafetyChanged => "stock.safety_changed",
            Self::TransferCreated => "transfer.created",
            Self::TransferReceived => "transfer.received",
            Self::TransferLost => "transfer.lost",
            Self::TransferCancelled => "transfer.cancelled",
            Self::ReceiptExpected => "receipt.expected",
            Self::ReceiptArrived => "receipt.arrived",
            Self::ReceiptClosed => "receipt.closed",
            Self::OrderPrepared => "order.prepared",
            Self::OrderAborted => "order.aborted",
            Self::LimitChanged => "limit.changed",
            Self::CountOpened => "count.opened",
            Self::CountRecorded => "count.recorded",
            Self::CountApplied => "count.applied",
            Self::CountCancelled => "count.cancelled",
            Self::StockShortfall => "stock.shortfall",
            Self::ReconciliationDrift => "reconciliation.drift",
            Self::ReconciliationRepaired => "reconciliation.repaired",
            Self::BackorderCreated => "backorder.created",
            Self::BackorderFilled => "backorder.filled",
            Self::ChannelChanged => "channel.changed",
            Self::ShardHalted => "shard.halted",
            Self::ShardResumed => "shard.resumed",
            Self::OrderStarted => "order.started",
            Self::OrderStepEnded => "order.step_ended",
            Self::OrderCommitted => "order.committed",
            Self::OrderCompensated => "order.compensated",
            Self::OrderStuck => "order.stuck",
            Self::CampaignOpened => "campaign.opened",
            Self::CampaignExhausted => "campaign.exhausted",
            Self::CampaignClosed => "campaign.closed",
            Self::CampaignGranted => "campaign.granted",
            Self::CampaignRevoked => "campaign.revoked",
            Self::QueueJoined => "queue.joined",
            Self::QueueAdmitted => "queue.admitted",
            Self::TokenSpent => "token.spent",
            Self::DrawCommitted => "draw.committed",
            Self::DrawHeld => "draw.held",
            Self::LimitHit => "limit.hit",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
