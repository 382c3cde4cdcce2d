//! From the log's types to `inventory`'s.

use holdfast_inventory::commands::{
    Adjust, Amend, ArrivedUnits, AskedLine, BlockLot, Cancel, CancelTransfer, CloseReceipt, Commit, CreateTransfer,
    DocumentLine, ExpectReceipt, Extend, Fulfil, IfExpired, KitOf, Line, LoseTransfer, MoveUnits, Picked, Plan,
    PutChannel, PutItem, PutKit, PutLimit, PutLocation, PutLot, Receive, ReceiveTransfer, Release, Reserve, Return,
    Set, SetLimits, SetSafetyStock, Sourced,
};
use holdfast_inventory::{
    Backorder, BodyHash, CampaignId, Cause, ChannelId, ChannelSpec, Command, CommandId, Component, Condition,
    CustomerHash, ItemSpec, ItemStatus, LimitId, LimitSpec, LineUnits, LocationId, LocationKind, LocationSpec, LogTime,
    LotDates, LotId, LotSpec, LotStatus, Operation, OrderRef, ReceiptId, ReservationId, Revision, Sku, TransferId,
    Units,
};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;

use super::{DecodeError, between_shards, campaigns, counts, orders, rooms, shared_limits, watch};

pub(super) fn command(message: log::Command) -> Result<Command, DecodeError> {
    let asked = message.operation.ok_or_else(|| DecodeError::malformed("a command without an operation"))?;
    Ok(Command {
        id: CommandId(id(message.id_high, message.id_low)),
        minted_at: LogTime(message.minted_at_ms),
        keyed: message.own_key,
        body: BodyHash(id(message.body_high, message.body_low)),
        linked: message.linked,
        cause: message
            .cause
            .map(|cause| Box::new(Cause { actor: cause.actor, reason: cause.reason, reference: cause.reference })),
        operation: operation(asked)?,
    })
}

pub(super) fn id(high: u64, low: u64) -> u128 {
    (u128::from(high) << 64) | u128::from(low)
}

fn reservation(high: u64, low: u64) -> ReservationId {
    ReservationId(id(high, low))
}

/// A name that was checked before it entered the log.
pub(super) fn name<T, E: std::fmt::Display>(parsed: Result<T, E>) -> Result<T, DecodeError> {
    parsed.map_err(|error| DecodeError::malformed(error.to_string()))
}

/// A name, or none where it is empty.
pub(super) fn optional<T, E: std::fmt::Display>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, DecodeError> {
    if text.is_empty() { Ok(None) } else { name(parse(text)).map(Some) }
}

fn above_zero<T>(number: T, none: &T) -> Option<T>
where
    T: PartialEq,
{
    if number == *none { None } else { Some(number) }
}

fn operation(message: LogOperation) -> Result<Operation, DecodeError> {
    Ok(match message {
        LogOperation::PutItem(it) => Operation::PutItem(Box::new(put_item(it)?)),
        LogOperation::PutLocation(it) => Operation::PutLocation(Box::new(put_location(it)?)),
        LogOperation::Receive(it) => Operation::Receive(Receive {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lot: optional(&it.lot_id, LotId::new)?,
            lot_spec: it.lot.map(|lot| Box::new(lot_spec(lot))),
            units: Units(it.units),
            receipt: above_zero(receipt(it.receipt_high, it.receipt_low), &ReceiptId(0)),
        }),
        LogOperation::Adjust(it) => Operation::Adjust(Adjust {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lot: optional(&it.lot_id, LotId::new)?,
            delta: it.delta,
            condition: condition(it.condition)?,
        }),
        LogOperation::Set(it) => Operation::Set(Set {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lot: optional(&it.lot_id, LotId::new)?,
            on_hand: it.on_hand,
            if_revision: Revision(it.if_revision),
        }),
        LogOperation::Reserve(it) => Operation::Reserve(reserve(it)?),
        LogOperation::Amend(it) => Operation::Amend(Amend {
            reservation: reservation(it.reservation_high, it.reservation_low),
            lines: it.lines.iter().map(line).collect::<Result<_, _>>()?,
        }),
        LogOperation::Extend(it) => Operation::Extend(Extend {
            reservation: reservation(it.reservation_high, it.reservation_low),
            ttl_s: it.ttl_s,
        }),
        LogOperation::Commit(it) => Operation::Commit(commit(&it)),
        LogOperation::Release(it) => {
            Operation::Release(Release { reservation: reservation(it.reservation_high, it.reservation_low) })
        }
        LogOperation::Fulfil(it) => Operation::Fulfil(Fulfil {
            reservation: reservation(it.reservation_high, it.reservation_low),
            parts: picks(&it.lines)?,
        }),
        LogOperation::Cancel(it) => {
            Operation::Cancel(Cancel { reservation: reservation(it.reservation_high, it.reservation_low) })
        }
        LogOperation::ReserveSpread(it) => {
            Operation::ReserveSpread(Box::new(between_shards::reserve_spread_from_log(it)?))
        }
        LogOperation::Prepare(it) => Operation::Prepare(Box::new(between_shards::prepare_from_log(it)?)),
        LogOperation::Follow(it) => Operation::Follow(Box::new(between_shards::follow_from_log(&it))),
        LogOperation::Abandon(it) => Operation::Abandon(between_shards::abandon_from_log(&it)),
        LogOperation::AskDecision(it) => Operation::AskDecision(between_shards::ask_from_log(&it)?),
        LogOperation::Told(it) => Operation::Told(between_shards::told_from_log(&it)?),
        LogOperation::PutKit(it) => Operation::PutKit(Box::new(put_kit(it)?)),
        LogOperation::HaltShard(it) => Operation::HaltShard(Box::new(watch::halt_from_log(it)?)),
        LogOperation::ResumeShard(it) => Operation::ResumeShard(watch::resume_from_log(&it)),
        LogOperation::PutSharedLimit(it) => Operation::PutSharedLimit(Box::new(shared_limits::put_from_log(&it)?)),
        LogOperation::Return(it) => Operation::Return(Return {
            reservation: reservation(it.reservation_high, it.reservation_low),
            parts: picks(&it.lines)?,
            location: optional(&it.location_id, LocationId::new)?,
            condition: condition(it.condition)?,
        }),
        LogOperation::SetLimits(it) => {
            Operation::SetLimits(Box::new(SetLimits { limits: super::limits_from_log(&it) }))
        }
        LogOperation::PutLot(it) => Operation::PutLot(Box::new(put_lot(it)?)),
        LogOperation::BlockLot(it) => Operation::BlockLot(BlockLot {
            sku: name(Sku::new(&it.sku))?,
            lot: name(LotId::new(&it.lot_id))?,
            status: lot_status(it.status)?,
        }),
        LogOperation::PutLimit(it) => Operation::PutLimit(put_limit(&it)?),
        other @ (LogOperation::Move(_)
        | LogOperation::SetSafetyStock(_)
        | LogOperation::CreateTransfer(_)
        | LogOperation::ReceiveTransfer(_)
        | LogOperation::LoseTransfer(_)
        | LogOperation::CancelTransfer(_)
        | LogOperation::ExpectReceipt(_)
        | LogOperation::CloseReceipt(_)) => places(other)?,
        other @ (LogOperation::OpenCount(_)
        | LogOperation::RecordCount(_)
        | LogOperation::ApplyCount(_)
        | LogOperation::CancelCount(_)
        | LogOperation::Reconcile(_)) => counts::from_log(other)?,
        other @ (LogOperation::JoinQueue(_)
        | LogOperation::CommitDraw(_)
        | LogOperation::Draw(_)
        | LogOperation::Admit(_)) => rooms::from_log(other)?,
        other @ (LogOperation::StartOrder(_) | LogOperation::ReportStep(_) | LogOperation::ResolveOrder(_)) => {
            orders::from_log(other)?
        }
        LogOperation::PutChannel(it) => Operation::PutChannel(Box::new(put_channel(it)?)),
        LogOperation::PutCampaign(it) => Operation::PutCampaign(Box::new(campaigns::put_from_log(&it)?)),
        LogOperation::Grant(it) => Operation::Grant(Box::new(campaigns::grant_from_log(&it)?)),
        LogOperation::Revoke(it) => Operation::Revoke(Box::new(campaigns::revoke_from_log(&it)?)),
    })
}

fn put_lot(it: log::PutLot) -> Result<PutLot, DecodeError> {
    Ok(PutLot {
        sku: name(Sku::new(&it.sku))?,
        lot: name(LotId::new(&it.lot_id))?,
        spec: it.lot.map(lot_spec).unwrap_or_default(),
        if_revision: above_zero(Revision(it.if_revision), &Revision(0)),
    })
}

fn lot_status(number: u32) -> Result<LotStatus, DecodeError> {
    Ok(match number {
        1 => LotStatus::Approved,
        2 => LotStatus::OnHold,
        3 => LotStatus::Quarantined,
        4 => LotStatus::Recalled,
        other => return Err(DecodeError::malformed(format!("lot status {other}"))),
    })
}

/// What happens between places, and to what is on its way.
fn places(message: LogOperation) -> Result<Operation, DecodeError> {
    Ok(match message {
        LogOperation::Move(it) => Operation::MoveUnits(MoveUnits {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lot: optional(&it.lot_id, LotId::new)?,
            units: Units(it.units),
            from: condition(it.from)?,
            to: condition(it.to)?,
        }),
        LogOperation::SetSafetyStock(it) => Operation::SetSafetyStock(SetSafetyStock {
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            units: it.safety_stock,
            if_revision: above_zero(Revision(it.if_revision), &Revision(0)),
        }),
        LogOperation::CreateTransfer(it) => Operation::CreateTransfer(CreateTransfer {
            transfer: transfer(it.transfer_high, it.transfer_low),
            sku: name(Sku::new(&it.sku))?,
            from: name(LocationId::new(&it.from_location_id))?,
            to: name(LocationId::new(&it.to_location_id))?,
            lines: document_lines(&it.lines)?,
        }),
        LogOperation::ReceiveTransfer(it) => Operation::ReceiveTransfer(ReceiveTransfer {
            transfer: transfer(it.transfer_high, it.transfer_low),
            parts: it.lines.iter().map(arrived).collect::<Result<_, _>>()?,
        }),
        LogOperation::LoseTransfer(it) => Operation::LoseTransfer(LoseTransfer {
            transfer: transfer(it.transfer_high, it.transfer_low),
            parts: parts(&it.lines),
        }),
        LogOperation::CancelTransfer(it) => {
            Operation::CancelTransfer(CancelTransfer { transfer: transfer(it.transfer_high, it.transfer_low) })
        }
        LogOperation::ExpectReceipt(it) => Operation::ExpectReceipt(ExpectReceipt {
            receipt: receipt(it.receipt_high, it.receipt_low),
            sku: name(Sku::new(&it.sku))?,
            location: name(LocationId::new(&it.location_id))?,
            lines: document_lines(&it.lines)?,
            expected_at: above_zero(LogTime(it.expected_at_ms), &LogTime(0)),
        }),
        LogOperation::CloseReceipt(it) => {
            Operation::CloseReceipt(CloseReceipt { receipt: receipt(it.receipt_high, it.receipt_low) })
        }
        other => return Err(DecodeError::malformed(format!("{other:?} is nothing between places"))),
    })
}

fn transfer(high: u64, low: u64) -> TransferId {
    TransferId(id(high, low))
}

fn receipt(high: u64, low: u64) -> ReceiptId {
    ReceiptId(id(high, low))
}

fn document_lines(lines: &[log::DocumentLine]) -> Result<Vec<DocumentLine>, DecodeError> {
    let line =
        |it: &log::DocumentLine| Ok(DocumentLine { lot: optional(&it.lot_id, LotId::new)?, units: Units(it.units) });
    lines.iter().map(line).collect()
}

fn arrived(it: &log::ArrivedUnits) -> Result<ArrivedUnits, DecodeError> {
    Ok(ArrivedUnits { line: it.line, units: Units(it.units), condition: condition(it.condition)? })
}

fn put_item(it: log::PutItem) -> Result<PutItem, DecodeError> {
    let status = match it.status {
        1 => ItemStatus::Active,
        2 => ItemStatus::Paused,
        3 => ItemStatus::Discontinued,
        other => return Err(DecodeError::malformed(format!("item status {other}"))),
    };
    let backorder = match it.backorder {
        None => Backorder::None,
        Some(log::Backorder { cap, release_at_ms: 0 }) => Backorder::UpTo { cap },
        Some(log::Backorder { cap, release_at_ms }) => Backorder::Preorder { release_at: LogTime(release_at_ms), cap },
    };
    Ok(PutItem {
        sku: name(Sku::new(&it.sku))?,
        spec: ItemSpec {
            name: it.name,
            brand: it.brand,
            category: it.category,
            gtin: it.gtin,
            attributes_json: it.attributes_json,
            status,
            tracked: !it.untracked,
            lot_tracked: it.lot_tracked,
            shelf_life_days: it.shelf_life_days,
            removal_days: it.removal_days,
            alert_days: it.alert_days,
            pao_months: it.pao_months,
            min_remaining_days: it.min_remaining_days,
            max_per_order: above_zero(it.max_per_order, &0),
            max_hold_s: above_zero(it.max_hold_s, &0),
            low_stock_threshold: it.low_stock_threshold,
            backorder,
        },
        if_revision: above_zero(Revision(it.if_revision), &Revision(0)),
        if_absent: it.if_absent,
    })
}

fn put_kit(it: log::PutKit) -> Result<PutKit, DecodeError> {
    let component = |it: &log::KitComponent| Ok(Component { sku: name(Sku::new(&it.sku))?, units: Units(it.units) });
    Ok(PutKit {
        sku: name(Sku::new(&it.sku))?,
        name: it.name,
        components: it.components.iter().map(component).collect::<Result<_, DecodeError>>()?,
        if_revision: above_zero(Revision(it.if_revision), &Revision(0)),
        if_absent: it.if_absent,
        backorder: it.backorder,
    })
}

fn put_location(it: log::PutLocation) -> Result<PutLocation, DecodeError> {
    let kind = match it.kind {
        1 => LocationKind::Warehouse,
        2 => LocationKind::Store,
        3 => LocationKind::Virtual,
        other => return Err(DecodeError::malformed(format!("location kind {other}"))),
    };
    Ok(PutLocation {
        location: name(LocationId::new(&it.location_id))?,
        spec: LocationSpec {
            name: it.name,
            kind,
            time_zone: it.time_zone,
            priority: it.priority,
            active: !it.inactive,
        },
        if_revision: above_zero(Revision(it.if_revision), &Revision(0)),
    })
}

pub(super) fn condition(number: u32) -> Result<Condition, DecodeError> {
    match number {
        1 => Ok(Condition::Resellable),
        2 => Ok(Condition::Damaged),
        3 => Ok(Condition::QualityControl),
        other => Err(DecodeError::malformed(format!("condition {other}"))),
    }
}

fn sourced(it: log::Sourced) -> Result<Sourced, DecodeError> {
    let nearest = it.nearest.iter().map(|id| name(LocationId::new(id))).collect::<Result<_, _>>()?;
    Ok(Sourced { allow_split: it.allow_split, last: it.last, nearest })
}

fn put_channel(it: log::PutChannel) -> Result<PutChannel, DecodeError> {
    let locations = it.location_ids.iter().map(|id| name(LocationId::new(id))).collect::<Result<_, _>>()?;
    Ok(PutChannel {
        channel: name(ChannelId::new(&it.channel_id))?,
        spec: ChannelSpec { locations, buffer: it.buffer, active: !it.inactive },
        revision: Revision(it.revision),
    })
}

fn line(it: &log::Line) -> Result<Line, DecodeError> {
    Ok(Line {
        sku: name(Sku::new(&it.sku))?,
        location: name(LocationId::new(&it.location_id))?,
        units: Units(it.units),
        lot: optional(&it.lot_id, LotId::new)?,
        optional: it.optional,
        no_backorder: it.no_backorder,
        min_units: (it.min_units > 0).then_some(Units(it.min_units)),
    })
}

fn parts(parts: &[log::LineUnits]) -> Vec<LineUnits> {
    parts.iter().map(|part| LineUnits { line: part.line, units: Units(part.units) }).collect()
}

fn picks(picks: &[log::PickedUnits]) -> Result<Vec<Picked>, DecodeError> {
    let pick = |it: &log::PickedUnits| {
        Ok(Picked { line: it.line, units: Units(it.units), lot: optional(&it.lot_id, LotId::new)? })
    };
    picks.iter().map(pick).collect()
}

fn lot_spec(it: log::LotSpec) -> LotSpec {
    let instant = |ms: u64| above_zero(LogTime(ms), &LogTime(0));
    LotSpec {
        supplier_lot: it.supplier_lot,
        dates: LotDates {
            manufactured_at: instant(it.manufactured_at_ms),
            best_before: instant(it.best_before_ms),
            expires_at: instant(it.expires_at_ms),
        },
    }
}

pub(super) fn reserve(it: log::Reserve) -> Result<Reserve, DecodeError> {
    let customer = match it.customer.as_slice() {
        [] => None,
        bytes => {
            let bytes = bytes.try_into().map_err(|_| DecodeError::malformed("a customer hash of another length"))?;
            Some(CustomerHash(u128::from_be_bytes(bytes)))
        }
    };
    Ok(Reserve {
        reservation: reservation(it.reservation_high, it.reservation_low),
        lines: it.lines.iter().map(line).collect::<Result<_, _>>()?,
        ttl_s: it.ttl_s,
        partial_ok: it.partial_ok,
        order_ref: optional(&it.order_ref, OrderRef::new)?,
        customer,
        channel: optional(&it.channel, ChannelId::new)?,
        campaign: optional(&it.campaign_id, CampaignId::new)?,
        plan: it.plan.map(plan).transpose()?.map(Box::new),
        pass: rooms::pass_from_log(it.pass_ticket, it.pass_expires_at_ms),
    })
}

fn put_limit(it: &log::PutLimit) -> Result<PutLimit, DecodeError> {
    let window = shared_limits::window_from_log(it.window_s);
    let spec = LimitSpec { units: it.units, window, returns_restore: it.returns_restore, active: !it.inactive };
    let if_revision = (it.if_absent || it.if_revision > 0).then_some(Revision(it.if_revision));
    let (limit, sku) = (name(LimitId::new(&it.limit_id))?, name(Sku::new(&it.sku))?);
    Ok(PutLimit { limit, sku, spec, if_revision, campaign: optional(&it.campaign_id, CampaignId::new)? })
}

fn plan(it: log::Plan) -> Result<Plan, DecodeError> {
    let asked = |asked: &log::AskedLine| {
        let kit = optional(&asked.kit, Sku::new)?;
        let kit = kit.map(|sku| KitOf { sku, revision: Revision(asked.kit_revision) });
        let min_units = (asked.min_units > 0).then_some(Units(asked.min_units));
        Ok(AskedLine { units: Units(asked.units), optional: asked.optional, kit, min_units })
    };
    let of = |of: &u32| u16::try_from(*of).map_err(|_| DecodeError::malformed("a line beyond the last"));
    Ok(Plan {
        request: BodyHash((u128::from(it.request_high) << 64) | u128::from(it.request_low)),
        asked: it.asked.iter().map(asked).collect::<Result<_, DecodeError>>()?,
        of: it.of.iter().map(of).collect::<Result<_, DecodeError>>()?,
        sourced: it.sourced.map(sourced).transpose()?,
        counters: it.counters.iter().map(shared_limits::counter_from_log).collect::<Result<_, _>>()?,
    })
}

fn commit(it: &log::Commit) -> Commit {
    Commit {
        reservation: reservation(it.reservation_high, it.reservation_low),
        parts: parts(&it.lines),
        last: it.r#final,
        if_expired: if it.retake_if_expired { IfExpired::Retake } else { IfExpired::Fail },
        cancel_at: above_zero(LogTime(it.cancel_at_ms), &LogTime(0)),
    }
}
