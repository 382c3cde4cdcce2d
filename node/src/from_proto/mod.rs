//! From the wire to the domain's own types: the only place where requests are taken apart, and where bad input is refused
//! before it reaches the log.
//!
//! Promises that what comes out has passed every check that needs no state, and that a refusal names the field
//! (`lines[2].units`), what is wrong with it, and what may stand there.

mod campaigns;
mod counts;
mod dates;
mod endpoints;
mod events;
mod fields;
mod kits;
mod operations;
mod orders;
mod places;
mod reads;
mod rooms;
mod shared_limits;
mod sourcing;

use holdfast_inventory::{
    Cause, Command, CommandId, CountId, LocationId, LogTime, Operation, ReceiptId, ReservationId, Slot, TransferId,
    slot_of, slot_of_campaign,
};
use holdfast_proto::v1::{self, CommandError};

pub(crate) use campaigns::{campaign, campaign_id, unknown_campaign};
pub(crate) use dates::Zones;
pub(crate) use endpoints::{endpoint, endpoint_id, unknown_endpoint};
pub(crate) use events::event_filter;
pub(crate) use fields::{invalid, invalid_argument};
pub(crate) use orders::order_filter;
pub(crate) use reads::{
    Freshness, backorder_filter, customer, document_filter, freshness, location, location_id, lot_id, page_limit,
    page_token, reservation_state, sku,
};
pub(crate) use rooms::customer_of_room;
pub(crate) use shared_limits::shared_limit;
pub(crate) use sourcing::{channel, channel_id, sourcing, unknown_channel};

/// What the cluster's records add to what a caller says.
#[derive(Debug)]
pub(crate) struct Words {
    /// Where a line goes that names no location.
    pub(crate) default_location: LocationId,
    /// In which time zone dates are at a location.
    pub(crate) zones: Zones,
    /// The key with which customers' strings are hashed.
    pub(crate) customer_key: [u8; 32],
}

/// A command as the domain knows it.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault.
pub(crate) fn command(wire: v1::Command, words: &Words) -> Result<Command, CommandError> {
    let id = id_of(wire.command_id)
        .ok_or_else(|| invalid("command_id", "is missing", "mint a UUIDv7, or take your own key with own_key"))?;
    match (wire.own_key, wire.minted_at_ms) {
        (true, 1..) => {
            return Err(invalid("minted_at_ms", "is given with own_key", "leave it out: the id is kept from receipt"));
        }
        (false, 0) => {
            return Err(invalid("minted_at_ms", "is missing", "send the cluster time at which the id was minted"));
        }
        _ => {}
    }
    let operation = wire
        .operation
        .ok_or_else(|| invalid("operation", "is missing", "send one of the operations of Command, such as reserve"))?;
    let command = Command {
        id: CommandId(id),
        minted_at: LogTime(wire.minted_at_ms),
        keyed: wire.own_key,
        body: holdfast_inventory::BodyHash::default(),
        linked: wire.linked,
        cause: wire.cause.filter(|cause| *cause != v1::Cause::default()).map(cause),
        operation: operations::operation(operation, words)?,
    };
    command.validate().map_err(|refused| invalid_argument(&refused))?;
    Ok(command)
}

/// Who and why.
pub(crate) fn cause(wire: v1::Cause) -> Box<Cause> {
    Box::new(Cause { actor: wire.actor, reason: wire.reason, reference: wire.reference })
}

/// The 128 bits of an id; `None` where it is missing or all zeros.
pub(crate) fn id_of(wire: Option<v1::Id>) -> Option<u128> {
    let id = wire.map_or(0, |id| (u128::from(id.high) << 64) | u128::from(id.low));
    (id != 0).then_some(id)
}

/// The reservation that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is missing.
pub(crate) fn reservation_id(wire: Option<v1::Id>) -> Result<ReservationId, CommandError> {
    let hint = "send the id that the reservation was made with";
    id_of(wire).map(ReservationId).ok_or_else(|| invalid("reservation_id", "is missing", hint))
}

/// The transfer that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is missing.
pub(crate) fn transfer_id(wire: Option<v1::Id>) -> Result<TransferId, CommandError> {
    let hint = "send the id that the transfer was made with";
    id_of(wire).map(TransferId).ok_or_else(|| invalid("transfer_id", "is missing", hint))
}

/// The expected receipt that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is missing.
pub(crate) fn receipt_id(wire: Option<v1::Id>) -> Result<ReceiptId, CommandError> {
    let hint = "send the id that the receipt was made with";
    id_of(wire).map(ReceiptId).ok_or_else(|| invalid("receipt_id", "is missing", hint))
}

/// The count that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is missing.
pub(crate) fn count_id(wire: Option<v1::Id>) -> Result<CountId, CommandError> {
    let hint = "send the id that the count was opened with";
    id_of(wire).map(CountId).ok_or_else(|| invalid("count_id", "is missing", hint))
}

/// The slot that decides the command.
pub(crate) fn slot_of_command(command: &Command) -> Slot {
    match &command.operation {
        Operation::PutItem(it) => slot_of(&it.sku),
        // Locations, channels, campaigns and limits come from the meta group, to every shard: no caller sends one.
        Operation::PutLocation(_)
        | Operation::SetLimits(_)
        | Operation::PutChannel(_)
        | Operation::PutCampaign(_)
        | Operation::PutSharedLimit(_) => Slot::default(),
        Operation::Receive(it) => slot_of(&it.sku),
        Operation::Adjust(it) => slot_of(&it.sku),
        Operation::Set(it) => slot_of(&it.sku),
        Operation::PutLot(it) => slot_of(&it.sku),
        Operation::BlockLot(it) => slot_of(&it.sku),
        Operation::Reserve(it) => it.reservation.slot(),
        Operation::Amend(it) => it.reservation.slot(),
        Operation::Extend(it) => it.reservation.slot(),
        Operation::Commit(it) => it.reservation.slot(),
        Operation::Release(it) => it.reservation.slot(),
        Operation::Fulfil(it) => it.reservation.slot(),
        Operation::Cancel(it) => it.reservation.slot(),
        Operation::Return(it) => it.reservation.slot(),
        Operation::MoveUnits(it) => slot_of(&it.sku),
        Operation::SetSafetyStock(it) => slot_of(&it.sku),
        Operation::PutLimit(it) => slot_of(&it.sku),
        Operation::CreateTransfer(it) => it.transfer.slot(),
        Operation::ReceiveTransfer(it) => it.transfer.slot(),
        Operation::LoseTransfer(it) => it.transfer.slot(),
        Operation::CancelTransfer(it) => it.transfer.slot(),
        Operation::ExpectReceipt(it) => it.receipt.slot(),
        Operation::CloseReceipt(it) => it.receipt.slot(),
        Operation::OpenCount(it) => it.count.slot(),
        Operation::RecordCount(it) => it.count.slot(),
        Operation::ApplyCount(it) => it.count.slot(),
        Operation::CancelCount(it) => it.count.slot(),
        Operation::Reconcile(it) => slot_of(&it.sku),
        // What shards say to one another is carried by `orders`: no caller sends it.
        Operation::ReserveSpread(it) => it.reserve.reservation.slot(),
        Operation::Follow(it) => it.reservation.slot(),
        Operation::Abandon(it) => it.reservation.slot(),
        Operation::AskDecision(it) => it.reservation.slot(),
        Operation::Told(it) => it.reservation.slot(),
        Operation::Prepare(it) => it.reserve.reservation.slot(),
        Operation::PutKit(it) => slot_of(&it.sku),
        // They are said to a shard by its number.
        Operation::HaltShard(_) | Operation::ResumeShard(_) => Slot::default(),
        Operation::StartOrder(it) => it.reservation.slot(),
        Operation::ReportStep(it) => it.order.slot(),
        Operation::ResolveOrder(it) => it.order.slot(),
        Operation::Grant(it) => slot_of(&it.sku),
        Operation::Revoke(it) => slot_of(&it.sku),
        Operation::JoinQueue(it) => slot_of_campaign(&it.campaign),
        Operation::CommitDraw(it) => slot_of_campaign(&it.campaign),
        Operation::Draw(it) => slot_of_campaign(&it.campaign),
        Operation::Admit(it) => slot_of_campaign(&it.campaign),
    }
}

/// The slots of the command's lines, each with the number of its line; none where it has no lines.
pub(crate) fn slots_of_lines(command: &Command) -> impl Iterator<Item = Slot> {
    let lines = match &command.operation {
        Operation::Reserve(it) => it.lines.as_slice(),
        Operation::Amend(it) => it.lines.as_slice(),
        _ => &[],
    };
    lines.iter().map(|line| slot_of(&line.sku))
}

#[cfg(test)]
mod tests;
