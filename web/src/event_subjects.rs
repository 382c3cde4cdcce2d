//! What an event is about beside quantities.

use holdfast_proto::v1::event::Subject;
use serde::Serialize;
use utoipa::ToSchema;

use crate::campaigns::Allocation;
use crate::counts::{CountState, ShortReservation};
use crate::lots::LotStatus;
use crate::wire::{FromWire, Hex, IdText, from_wire, words};

words! {
    /// Where a transfer stands.
    TransferState { InTransit, PartiallyReceived, Received, Cancelled, Lost } else InTransit
}

words! {
    /// What a difference between two systems' records was found to be.
    Discrepancy { MissingSale, DoubleShipment, ManualOverride, Drift } else Drift
}

words! {
    /// Where an order with external steps stands.
    OrderState { Running, Compensating, Stuck, Confirmed, Aborted } else Running
}

words! {
    /// Where a step of it stands.
    StepState { Waiting, Running, Done, Failed, Unknown, Compensating, Compensated, CompensationFailed } else Waiting
}

words! {
    /// Where a customer in a waiting room stands.
    TicketState { Waiting, Admitted, Spent } else Waiting
}

/// The subjects of events: the type, and its fields.
macro_rules! subjects {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })+) => {
        $($(#[$doc])*
        #[derive(Debug, Serialize, ToSchema)]
        pub(crate) struct $name {
            $(pub(crate) $field: $ty),*
        }

        from_wire!($name { $($field),* });)+
    };
}

subjects! {
    /// An item was put.
    ItemEvent { sku: String, revision: u64 }
    /// A location was put.
    LocationEvent { location_id: String, revision: u64 }
    /// A lot has another status.
    LotEvent { sku: String, lot_id: String, status: LotStatus, revision: u64 }
    /// What may be promised.
    AvailabilityEvent { sku: String, location_id: String, atp: u64 }
    /// What is kept back.
    SafetyStockEvent { sku: String, location_id: String, safety_stock: u64, revision: u64 }
    /// A transfer, and the units of it that are still on their way.
    TransferEvent {
        transfer_id: IdText,
        from_location_id: String,
        to_location_id: String,
        state: TransferState,
        in_transit: u64,
        revision: u64,
    }
    /// An expected receipt, and the units that are still expected.
    ReceiptEvent { receipt_id: IdText, location_id: String, expected: u64, revision: u64 }
    /// A limit per customer.
    LimitEvent { limit_id: String, sku: String, units: u32, revision: u64 }
    /// A count.
    CountEvent { count_id: IdText, location_id: String, state: CountState, revision: u64 }
    /// Promises whose stock went away.
    ShortfallEvent { sku: String, location_id: String, short: u64, reservations: Vec<ShortReservation> }
    /// How many units more (above 0) or fewer another system has.
    ReconciliationEvent { sku: String, location_id: String, discrepancy: Discrepancy, delta: i64 }
    /// Units that are promised without stock, or filled, and how many are promised so there now.
    BackorderEvent { sku: String, location_id: String, units: u64, backordered: u64 }
    /// A channel was put.
    ChannelEvent { channel_id: String, revision: u64 }
    /// What an audit found broken, on which node's replica.
    BreachEvent { invariant: String, finding: String, node_id: u64 }
    /// The order with external steps of the reservation; an empty step: the whole order.
    OrderEvent { state: OrderState, step: String, step_state: StepState, revision: u64 }
    /// A campaign is announced, open or closed.
    CampaignEvent { campaign_id: String, phase: String, revision: u64 }
    /// A customer was refused by a limit.
    LimitHitEvent { limit_id: String, sku: String, remaining: u64 }
    /// A customer's place in a waiting room.
    Ticket { campaign_id: String, number: u32, customer_hash: Hex, state: TicketState, admitted_until_ms: u64 }
    /// The lottery of a campaign: what it is held to, what it was drawn with, and over how many tickets.
    CampaignDraw { campaign_id: String, commitment: Hex, seed: Hex, tickets: u32 }
}

/// What an event is about: one of these is there, or none.
macro_rules! one_of {
    ($($field:ident: $ty:ty = $variant:ident),* $(,)?) => {
        /// What an event is about, beside quantities: one of these, or none.
        #[derive(Debug, Default, Serialize, ToSchema)]
        pub(crate) struct EventSubject {
            $(
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schema(nullable = false)]
                $field: Option<$ty>,
            )*
        }

        impl FromWire<Option<Subject>> for EventSubject {
            fn from_wire(wire: Option<Subject>) -> Self {
                let mut subject = Self::default();
                match wire {
                    None => {}
                    $(Some(Subject::$variant(it)) => subject.$field = Some(FromWire::from_wire(it)),)*
                }
                subject
            }
        }
    };
}

one_of! {
    item: ItemEvent = Item,
    location: LocationEvent = Location,
    lot: LotEvent = Lot,
    availability: AvailabilityEvent = Availability,
    safety_stock: SafetyStockEvent = SafetyStock,
    transfer: TransferEvent = Transfer,
    receipt: ReceiptEvent = Receipt,
    limit: LimitEvent = Limit,
    count: CountEvent = Count,
    shortfall: ShortfallEvent = Shortfall,
    reconciliation: ReconciliationEvent = Reconciliation,
    backorder: BackorderEvent = Backorder,
    channel: ChannelEvent = Channel,
    breach: BreachEvent = Breach,
    order: OrderEvent = Order,
    campaign: CampaignEvent = Campaign,
    allocation: Allocation = Allocation,
    ticket: Ticket = Ticket,
    draw: CampaignDraw = Draw,
    limit_hit: LimitHitEvent = LimitHit,
}
