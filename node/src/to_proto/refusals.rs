//! Refusals: the reason by which each is known on the wire, and what it carries for the caller to act on. Both matches name
//! every variant.

use holdfast_inventory::{CampaignId, Refusal, Sku};
use holdfast_proto::v1::{CommandError, ErrorReason as Reason, Retry};

use crate::from_proto::invalid_argument;

/// A refusal with what the caller needs to act.
pub(crate) fn command_error(refusal: &Refusal) -> CommandError {
    let error = CommandError::of(reason(refusal), refusal.to_string());
    let of_line = |line: &u32| error.clone().at(format!("lines[{line}].units"));
    let lacks = |line: &u32, available: &u64| of_line(line).with("available", available);
    let in_sale = |id: &CampaignId| error.clone().at("campaign_id").with("campaign_id", id);
    let too_few = |left: &u64| error.clone().with("available", left).with("recorded", true);
    match refusal {
        Refusal::InsufficientStock { available, line, recorded } => {
            recorded_or_not(of_line(line).with("available", available), *recorded)
        }
        Refusal::BackorderCapExceeded { available, line } => lacks(line, available),
        Refusal::NotReleased { release_at } => error.with("release_at_ms", release_at.0),
        Refusal::ItemNotSellable { sku, status } => error.with("sku", sku).with("status", status),
        Refusal::LotRequired => error.at("lot_id"),
        Refusal::OrderLimitExceeded { sku, limit } => error.with("sku", sku).with("limit", limit),
        Refusal::RevisionMismatch { actual } => error.at("if_revision").with("actual", actual),
        Refusal::ExistsWithDifferent { field } => error.at(field.name()),
        Refusal::IdTooOld { horizon } => error.at("minted_at_ms").with("horizon_ms", horizon.0),
        Refusal::IdFromFuture { now } => error.at("minted_at_ms").with("now_ms", now.0),
        Refusal::ReservationNotFound => error.at("reservation_id"),
        Refusal::ReservationExpired { expired_at } => error.with("expired_at_ms", expired_at.0),
        Refusal::ExceedsHeldQuantity { line, available } => lacks(line, available),
        Refusal::ExceedsFulfilled { line, available } => lacks(line, available),
        Refusal::ExtendLimitReached { max_expires_at } => error.at("ttl_s").with("max_expires_at_ms", max_expires_at.0),
        Refusal::CustomerRequired { sku } => error.at("customer").with("sku", sku),
        Refusal::CustomerLimitExceeded { limit, remaining, line } => {
            of_line(line).with("limit_id", limit).with("remaining", remaining)
        }
        Refusal::SkuIsKit { sku, recorded } => recorded_or_not(error.at("sku").with("sku", sku), *recorded),
        Refusal::ComponentUnavailable { sku, available, line } => {
            of_line(line).with("sku", sku).with("available", available)
        }
        Refusal::KitRevisionMismatch { sku, actual, line } => {
            error.at(format!("lines[{line}].kit_revision")).with("sku", sku).with("actual", actual)
        }
        Refusal::KitCycle { path } => error.with("path", names(path)),
        Refusal::KitTooLarge { sku, line } => error.at(format!("lines[{line}].sku")).with("sku", sku),
        Refusal::BatchTooLarge => error.at("linked"),
        Refusal::UnknownSku { sku } => error.with("sku", sku),
        Refusal::UnknownLocation { location } => error.with("location_id", location),
        Refusal::UnknownChannel { channel } => error.with("channel", channel),
        Refusal::UnknownCampaign { campaign } => in_sale(campaign),
        Refusal::SaleNotStarted { campaign, starts_at } => in_sale(campaign).with("starts_at_ms", starts_at.0),
        Refusal::SaleEnded { campaign } => in_sale(campaign),
        Refusal::AllocationExhausted { available, line } => lacks(line, available),
        Refusal::AllocationExceedsAvailable { available } => error.at("units").with("available", available),
        Refusal::AdmissionTokenInvalid { why } => error.at("admission_token").with("why", why.name()),
        Refusal::QueueClosed { campaign, why } => in_sale(campaign).with("why", why.name()),
        Refusal::QueueFull { most } => error.at("campaign_id").with("most", most),
        Refusal::DrawNotCommitted { campaign } => in_sale(campaign),
        Refusal::DrawSeedMismatch { commitment } => error.with("commitment", commitment),
        Refusal::UnknownLot { lot } => error.with("lot_id", lot),
        Refusal::InvalidArgument(refused) => invalid_argument(refused),
        Refusal::HoldShort { units } => error.with("units", units),
        Refusal::LotExpired { removal_at } => error.at("lot_id").with("removal_at_ms", removal_at.0),
        Refusal::LotBlocked { status } => error.at("lot_id").with("status", status),
        Refusal::ShelfLifeTooShort { removal_at, needed_until } => {
            error.at("lot_id").with("removal_at_ms", removal_at.0).with("needed_until_ms", needed_until.0)
        }
        Refusal::TooManyLots { most } => error.at("lot_id").with("most", most),
        Refusal::TooFewOfLot { available } => too_few(available).at("lot_id"),
        Refusal::TooFewToWriteOff { available } => too_few(available),
        Refusal::TooFewOfCondition { condition, available } => {
            too_few(available).at("units").with("condition", condition)
        }
        Refusal::TransferNotFound => error.at("transfer_id"),
        Refusal::ReceiptNotFound => error.at("receipt_id"),
        Refusal::ExceedsInTransit { line, available } => lacks(line, available),
        Refusal::ShardHalted { invariant } => error.with("invariant", invariant.id()),
        Refusal::OrderNotFound => error.at("reservation_id"),
        Refusal::OrderOpen { state } => error.with("state", state),
        Refusal::OrderEnded { state } => error.with("state", state),
        Refusal::StepNotRunning { step } => error.at("step").with("step", step),
        Refusal::CountNotFound => error.at("count_id"),
        Refusal::CountInProgress { count } => error.at("sku").with("count_id", count),
        Refusal::LimitNotAsked { limit } => error.with("limit_id", limit),
        Refusal::Overloaded { retry_after_ms } => error.after_ms(u32::try_from(*retry_after_ms).unwrap_or(u32::MAX)),
        Refusal::QuantityOverflow
        | Refusal::Exists
        | Refusal::AlreadyCommitted
        | Refusal::AlreadyReleased
        | Refusal::AlreadyFulfilled
        | Refusal::LinkedCommandFailed
        | Refusal::OrderUndecided
        | Refusal::LinesSpanShards
        | Refusal::LinesElsewhere { .. }
        | Refusal::LinesMoveTogether
        | Refusal::AlreadyEnded => error,
    }
}

/// What a refusal is called on the wire.
const fn reason(refusal: &Refusal) -> Reason {
    match refusal {
        Refusal::InsufficientStock { .. }
        | Refusal::TooFewOfLot { .. }
        | Refusal::TooFewToWriteOff { .. }
        | Refusal::TooFewOfCondition { .. } => Reason::InsufficientStock,
        Refusal::BackorderCapExceeded { .. } => Reason::BackorderCapExceeded,
        Refusal::NotReleased { .. } => Reason::NotReleased,
        Refusal::QuantityOverflow => Reason::QuantityOverflow,
        Refusal::ItemNotSellable { .. } => Reason::ItemNotSellable,
        Refusal::LotRequired => Reason::LotRequired,
        Refusal::OrderLimitExceeded { .. } => Reason::OrderLimitExceeded,
        Refusal::RevisionMismatch { .. } => Reason::RevisionMismatch,
        Refusal::Exists => Reason::Exists,
        Refusal::ExistsWithDifferent { .. } => Reason::ExistsWithDifferent,
        Refusal::IdTooOld { .. } => Reason::IdTooOld,
        Refusal::IdFromFuture { .. } => Reason::IdFromFuture,
        Refusal::ReservationNotFound => Reason::ReservationNotFound,
        Refusal::ReservationExpired { .. } => Reason::ReservationExpired,
        Refusal::AlreadyCommitted => Reason::AlreadyCommitted,
        Refusal::AlreadyReleased => Reason::AlreadyReleased,
        Refusal::AlreadyFulfilled => Reason::AlreadyFulfilled,
        Refusal::ExceedsHeldQuantity { .. } => Reason::ExceedsHeldQuantity,
        Refusal::ExceedsFulfilled { .. } => Reason::ExceedsFulfilled,
        Refusal::ExtendLimitReached { .. } => Reason::ExtendLimitReached,
        Refusal::LinkedCommandFailed => Reason::LinkedCommandFailed,
        Refusal::OrderUndecided => Reason::OrderUndecided,
        Refusal::LinesSpanShards => Reason::LinesSpanShards,
        Refusal::LinesElsewhere { .. } => Reason::LinesElsewhere,
        Refusal::CustomerRequired { .. } => Reason::CustomerRequired,
        Refusal::CustomerLimitExceeded { .. } => Reason::CustomerLimitExceeded,
        Refusal::LinesMoveTogether => Reason::LinesMoveTogether,
        Refusal::SkuIsKit { .. } => Reason::SkuIsKit,
        Refusal::ComponentUnavailable { .. } => Reason::ComponentUnavailable,
        Refusal::KitRevisionMismatch { .. } => Reason::KitRevisionMismatch,
        Refusal::KitCycle { .. } => Reason::KitCycle,
        Refusal::KitTooLarge { .. } => Reason::KitTooLarge,
        Refusal::BatchTooLarge => Reason::BatchTooLarge,
        Refusal::UnknownSku { .. } => Reason::UnknownSku,
        Refusal::UnknownLocation { .. } => Reason::UnknownLocation,
        Refusal::UnknownChannel { .. } => Reason::UnknownChannel,
        Refusal::UnknownCampaign { .. } => Reason::UnknownCampaign,
        Refusal::SaleNotStarted { .. } => Reason::SaleNotStarted,
        Refusal::SaleEnded { .. } => Reason::SaleEnded,
        Refusal::AllocationExhausted { .. } => Reason::AllocationExhausted,
        Refusal::AllocationExceedsAvailable { .. } => Reason::AllocationExceedsAvailable,
        Refusal::AdmissionTokenInvalid { .. } => Reason::AdmissionTokenInvalid,
        Refusal::QueueClosed { .. } => Reason::QueueClosed,
        Refusal::QueueFull { .. } => Reason::QueueFull,
        Refusal::DrawNotCommitted { .. } => Reason::DrawNotCommitted,
        Refusal::DrawSeedMismatch { .. } => Reason::DrawSeedMismatch,
        Refusal::UnknownLot { .. } => Reason::UnknownLot,
        Refusal::InvalidArgument(_) => Reason::InvalidArgument,
        Refusal::HoldShort { .. } => Reason::HoldShort,
        Refusal::LotExpired { .. } => Reason::LotExpired,
        Refusal::LotBlocked { .. } => Reason::LotBlocked,
        Refusal::ShelfLifeTooShort { .. } => Reason::ShelfLifeTooShort,
        Refusal::TooManyLots { .. } => Reason::TooManyLots,
        Refusal::TransferNotFound => Reason::TransferNotFound,
        Refusal::ReceiptNotFound => Reason::ReceiptNotFound,
        Refusal::AlreadyEnded => Reason::AlreadyEnded,
        Refusal::ExceedsInTransit { .. } => Reason::ExceedsInTransit,
        Refusal::ShardHalted { .. } => Reason::ShardHalted,
        Refusal::OrderNotFound => Reason::OrderNotFound,
        Refusal::OrderOpen { .. } => Reason::OrderOpen,
        Refusal::OrderEnded { .. } => Reason::OrderEnded,
        Refusal::StepNotRunning { .. } => Reason::StepNotRunning,
        Refusal::CountNotFound => Reason::CountNotFound,
        Refusal::CountInProgress { .. } => Reason::CountInProgress,
        Refusal::LimitNotAsked { .. } => Reason::LimitNotAsked,
        Refusal::Overloaded { .. } => Reason::Overloaded,
    }
}

fn names(path: &[Sku]) -> String {
    path.iter().map(Sku::as_str).collect::<Vec<_>>().join(" > ")
}

/// What is not recorded may be asked again under the same id.
fn recorded_or_not(error: CommandError, recorded: bool) -> CommandError {
    let mut error = error.with("recorded", recorded);
    if !recorded {
        error.set_retry(Retry::SameKey);
    }
    error
}
