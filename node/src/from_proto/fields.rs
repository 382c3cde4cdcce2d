//! What a field may hold, and the refusals that say so.

use holdfast_inventory::commands::{MAX_LINES, MAX_TTL_S};
use holdfast_inventory::{
    Field, InvalidArgument, LocationId, LotId, MAX_ADMISSION_S, MAX_ADMITTED, MAX_ATTEMPTS, MAX_ATTRIBUTES_BYTES,
    MAX_CAUSE_BYTES, MAX_CHAIN, MAX_CHANNEL_LOCATIONS, MAX_COMPONENTS, MAX_COUNT_REFERENCE_BYTES, MAX_DOCUMENT_LINES,
    MAX_SKUS_OF_LIMIT, MAX_STEP_BYTES, MAX_STEP_DEADLINE_MS, MAX_STEPS, MAX_TEXT_BYTES, MAX_UNITS, MAX_WHY_BYTES,
    MIN_SKUS_OF_LIMIT, MIN_STEP_DEADLINE_MS, NameError, Sku,
};
use holdfast_proto::v1::{CommandError, ErrorReason};

/// A refusal of a field: what is wrong with it, as a phrase, and what may stand there.
pub(crate) fn invalid(field: impl Into<String>, problem: &str, hint: &str) -> CommandError {
    let field = field.into();
    CommandError::of(ErrorReason::InvalidArgument, format!("{field} {problem}; {hint}")).at(field)
}

/// A refusal by the domain's own checks, in words.
pub(crate) fn invalid_argument(refused: &InvalidArgument) -> CommandError {
    let name = refused.field.name();
    let list = match refused.field {
        Field::ComponentSku | Field::ComponentUnits => "components",
        Field::StepName
        | Field::StepDeadline
        | Field::CompensationDeadline
        | Field::MaxAttempts
        | Field::StepPayload => "steps",
        _ => "lines",
    };
    let field = refused.line.map_or_else(|| name.to_owned(), |line| format!("{list}[{line}].{name}"));
    invalid(field, "is not valid", &what_may_stand(refused.field))
}

/// What may stand in a field.
fn what_may_stand(field: Field) -> String {
    match field {
        Field::Actor | Field::Reason | Field::Reference => format!("at most {MAX_CAUSE_BYTES} bytes"),
        Field::MinUnits => "1 to the units of its line; in a reserve alone".to_owned(),
        Field::LimitSkus => format!("{MIN_SKUS_OF_LIMIT} to {MAX_SKUS_OF_LIMIT} SKUs, each once"),
        Field::LimitWindow => {
            "as it was when the limit was made: 0 for ever, or at most 366 days, or a campaign".to_owned()
        }
        Field::CommandId => "mint a UUIDv7, or take your own key with own_key".to_owned(),
        Field::Linked => {
            format!("the last command of a chain has it unset, and a chain has at most {MAX_CHAIN} commands")
        }
        Field::LotId => {
            "the lot of an item that is tracked by lot, 1 to 64 bytes of printable UTF-8, or nothing".to_owned()
        }
        Field::Sku | Field::LocationId | Field::CampaignId | Field::ChannelId => {
            "1 to 64 bytes of printable UTF-8".to_owned()
        }
        Field::Name | Field::Brand | Field::Category | Field::Gtin | Field::TimeZone | Field::SupplierLot => {
            format!("at most {MAX_TEXT_BYTES} bytes")
        }
        Field::Attributes => format!("a JSON object of at most {MAX_ATTRIBUTES_BYTES} bytes"),
        Field::LotTracked => "only a tracked item has lots: leave one of lot_tracked and untracked unset".to_owned(),
        Field::ManufacturedAt => "a day".to_owned(),
        Field::BestBefore => "a day that is not before the day of manufacture".to_owned(),
        Field::ExpiresAt => "a day that is not before the day of manufacture or best_before".to_owned(),
        Field::Backorder => format!("a cap of 1 to {MAX_UNITS} units, of a preorder 0 too, or nothing"),
        Field::ShelfLifeDays => "days, whose sum with the others fits".to_owned(),
        Field::MaxPerOrder => "at least 1, or 0 for no limit".to_owned(),
        Field::MaxHold => format!("1 to {MAX_TTL_S} seconds, or 0 for the cluster's maximum"),
        Field::Units => format!("1 to {MAX_UNITS} units"),
        Field::Delta => format!("units found or written off: not 0, at most {MAX_UNITS} either way"),
        Field::OnHand => format!("what was counted, at most {MAX_UNITS} units"),
        Field::Condition => "resellable, damaged or quality_control".to_owned(),
        Field::ReservationId => "a UUIDv8 that carries the slot of its first line's SKU (docs/clients.md)".to_owned(),
        Field::Lines => format!("1 to {MAX_LINES} lines, each item, location and lot once in an amend"),
        Field::LineNumber => "the number of a line of the reservation or transfer, from 0, each once".to_owned(),
        Field::Ttl => format!("1 to {MAX_TTL_S} seconds"),
        Field::CancelAt => "a time within the next 31 days, by cluster time".to_owned(),
        Field::ToCondition => "another condition than they have: resellable, damaged or quality_control".to_owned(),
        Field::SafetyStock => format!("at most {MAX_UNITS} units"),
        Field::TransferId | Field::ReceiptId => {
            "a UUIDv8 that carries the slot of its SKU, of the same item and location (docs/clients.md)".to_owned()
        }
        Field::ToLocation => "another location than the units come from".to_owned(),
        Field::CountId => "a UUIDv8 that carries the slot of its SKU (docs/clients.md)".to_owned(),
        Field::CountReference => format!("at most {MAX_COUNT_REFERENCE_BYTES} bytes of printable UTF-8"),
        Field::CountedUnits => format!("0 to {MAX_UNITS} units, each lot and condition once"),
        Field::Discrepancy => "missing_sale, double_shipment, manual_override or drift".to_owned(),
        Field::DocumentLines => format!("1 to {MAX_DOCUMENT_LINES} lines"),
        Field::ChannelLocations => format!("1 to {MAX_CHANNEL_LOCATIONS} locations, each once"),
        Field::Buffer => format!("at most {MAX_UNITS} units"),
        Field::Components => format!("1 to {MAX_COMPONENTS} components"),
        Field::ComponentSku => "each SKU once: add the units up".to_owned(),
        Field::ComponentUnits => format!("1 to {MAX_UNITS} units"),
        Field::EndsAt => "an instant after the beginning".to_owned(),
        Field::Tickets | Field::NewlySpent => format!("at most {MAX_ADMITTED} tickets"),
        Field::ValidFor => format!("1 to {MAX_ADMISSION_S} seconds"),
        Field::KitRevision => "only a line of a kit has one".to_owned(),
        Field::Steps => format!("1 to {MAX_STEPS} steps"),
        Field::StepName => "the name of a step, 1 to 64 bytes of printable UTF-8, each once in an order".to_owned(),
        Field::StepDeadline | Field::CompensationDeadline => {
            format!("{MIN_STEP_DEADLINE_MS} to {MAX_STEP_DEADLINE_MS} ms")
        }
        Field::MaxAttempts => format!("1 to {MAX_ATTEMPTS}"),
        Field::StepPayload | Field::StepAnswer => format!("at most {MAX_STEP_BYTES} bytes"),
        Field::Why => format!("1 to {MAX_WHY_BYTES} bytes"),
    }
}

fn name_refused(field: &str, error: NameError) -> CommandError {
    let problem = match error {
        NameError::Empty => "is empty",
        NameError::TooLong => "is longer than 64 bytes",
        NameError::NotPrintable => "has a character that is not printable",
    };
    invalid(field, problem, "1 to 64 bytes of printable UTF-8")
}

pub(super) fn sku_at(field: impl FnOnce() -> String, text: &str) -> Result<Sku, CommandError> {
    match Sku::new(text) {
        Ok(sku) if sku.is_counter() => {
            Err(invalid(field(), "looks like the counter of a limit", "take a name that does not"))
        }
        sku => sku.map_err(|error| name_refused(&field(), error)),
    }
}

/// The location named; where none is, the cluster's default.
pub(super) fn location_at(
    field: impl FnOnce() -> String,
    text: &str,
    default: &LocationId,
) -> Result<LocationId, CommandError> {
    if text.is_empty() {
        return Ok(default.clone());
    }
    LocationId::new(text).map_err(|error| name_refused(&field(), error))
}

pub(super) fn lot_at(field: impl FnOnce() -> String, text: &str) -> Result<Option<LotId>, CommandError> {
    optional_name(text, LotId::new, field)
}

/// A name that may be left out.
pub(super) fn optional_name<T>(
    text: &str,
    make: fn(&str) -> Result<T, NameError>,
    field: impl FnOnce() -> String,
) -> Result<Option<T>, CommandError> {
    if text.is_empty() {
        return Ok(None);
    }
    make(text).map(Some).map_err(|error| name_refused(&field(), error))
}

/// A name that may not be left out.
pub(super) fn name_at<T>(
    field: impl FnOnce() -> String,
    text: &str,
    make: fn(&str) -> Result<T, NameError>,
) -> Result<T, CommandError> {
    make(text).map_err(|error| name_refused(&field(), error))
}

/// An enum of the wire.
pub(super) fn enum_at<T: TryFrom<i32>>(field: &str, number: i32, hint: &str) -> Result<T, CommandError> {
    T::try_from(number).map_err(|_| invalid(field, &format!("is {number}, which nobody knows"), hint))
}
