//! Fields of commands, and what is said of one whose value cannot be right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A field of a command, for [`InvalidArgument`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the field of its name")]
pub enum Field {
    Actor,
    Reason,
    Reference,
    CommandId,
    Linked,
    Sku,
    LocationId,
    LotId,
    Name,
    Brand,
    Category,
    Gtin,
    Attributes,
    LotTracked,
    Backorder,
    ShelfLifeDays,
    MaxPerOrder,
    MaxHold,
    TimeZone,
    Units,
    Delta,
    OnHand,
    Condition,
    ReservationId,
    Lines,
    LineNumber,
    Ttl,
    CancelAt,
    CampaignId,
    ChannelId,
    SupplierLot,
    ManufacturedAt,
    BestBefore,
    ExpiresAt,
    ToCondition,
    SafetyStock,
    TransferId,
    ToLocation,
    DocumentLines,
    ReceiptId,
    LimitWindow,
    CountId,
    CountReference,
    CountedUnits,
    Discrepancy,
    ChannelLocations,
    Buffer,
    Components,
    ComponentSku,
    ComponentUnits,
    KitRevision,
    Steps,
    StepName,
    StepDeadline,
    CompensationDeadline,
    MaxAttempts,
    StepPayload,
    StepAnswer,
    Why,
    EndsAt,
    Tickets,
    ValidFor,
    NewlySpent,
    LimitSkus,
    MinUnits,
}

impl Field {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Actor => "cause.actor",
            Self::LimitWindow => "window",
            Self::Reason => "cause.reason",
            Self::Reference => "cause.reference",
            Self::CommandId => "command_id",
            Self::Linked => "linked",
            Self::Sku => "sku",
            Self::LocationId => "location_id",
            Self::LotId => "lot_id",
            Self::Name => "name",
            Self::Brand => "brand",
            Self::Category => "category",
            Self::Gtin => "gtin",
            Self::Attributes => "attributes_json",
            Self::LotTracked => "lot_tracked",
            Self::Backorder => "backorder",
            Self::ShelfLifeDays => "shelf_life_days",
            Self::MaxPerOrder => "max_per_order",
            Self::MaxHold => "max_hold_s",
            Self::TimeZone => "time_zone",
            Self::Units => "units",
            Self::Delta => "delta",
            Self::OnHand => "on_hand",
            Self::Condition => "condition",
            Self::ReservationId => "reservation_id",
            Self::Lines => "lines",
            Self::LineNumber => "line",
            Self::Ttl => "ttl_s",
            Self::CancelAt => "cancel_at_ms",
            Self::CampaignId => "campaign_id",
            Self::ChannelId => "channel",
            Self::SupplierLot => "supplier_lot",
            Self::ManufacturedAt => "manufactured_at",
            Self::BestBefore => "best_before",
            Self::ExpiresAt => "expires_at",
            Self::ToCondition => "to",
            Self::SafetyStock => "safety_stock",
            Self::TransferId => "transfer_id",
            Self::ToLocation => "to_location_id",
            Self::DocumentLines => "lines",
            Self::ReceiptId => "receipt_id",
            Self::CountId => "count_id",
            Self::CountReference => "reference",
            Self::CountedUnits => "units",
            Self::Discrepancy => "discrepancy",
            Self::ChannelLocations => "location_ids",
            Self::Buffer => "buffer",
            Self::Components => "components",
            Self::ComponentSku => "sku",
            Self::ComponentUnits => "units",
            Self::KitRevision => "kit_revision",
            Self::Steps => "steps",
            Self::StepName => "step",
            Self::StepDeadline => "deadline_ms",
            Self::CompensationDeadline => "compensation_deadline_ms",
            Self::MaxAttempts => "max_attempts",
            Self::StepPayload => "payload",
            Self::StepAnswer => "answer",
            Self::Why => "reason",
            Self::EndsAt => "ends_at_ms",
            Self::Tickets => "tickets",
            Self::ValidFor => "valid_s",
            Self::NewlySpent => "newly_spent",
            Self::LimitSkus => "skus",
            Self::MinUnits => "min_units",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Input that no state could make right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{field}{} is not valid", line.map(|line| format!(" of line {line}")).unwrap_or_default())]
pub struct InvalidArgument {
    /// The field at fault.
    pub field: Field,
    /// The line it stands in, from 0, where it stands in one.
    pub line: Option<u32>,
}

impl InvalidArgument {
    /// The field at fault, outside any line.
    #[must_use]
    pub const fn of(field: Field) -> Self {
        Self { field, line: None }
    }

    /// The field at fault in the line of that number.
    #[must_use]
    pub const fn in_line(field: Field, line: usize) -> Self {
        Self { field, line: Some(line as u32) }
    }
}
