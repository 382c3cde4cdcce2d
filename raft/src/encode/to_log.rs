//! From `inventory`'s types to the log's.

use holdfast_inventory::commands::{
    Adjust, Amend, ArrivedUnits, AskedLine, BlockLot, Commit, CreateTransfer, DocumentLine, ExpectReceipt, Fulfil,
    IfExpired, Line, MoveUnits, Picked, Plan, PutChannel, PutItem, PutKit, PutLimit, PutLocation, PutLot, Receive,
    Reserve, Return, Set, Sourced,
};
use holdfast_inventory::{
    Backorder, Cause, Command, Component, Condition, ItemStatus, LineUnits, LocationKind, LogTime, LotSpec, LotStatus,
    Operation, ReservationId, Revision,
};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;

use super::{between_shards, campaigns, counts, orders, rooms, shared_limits, watch};

pub(super) fn command(command: &Command) -> log::Command {
    log::Command {
        id_high: high(command.id.0),
        id_low: low(command.id.0),
        minted_at_ms: command.minted_at.0,
        own_key: command.keyed,
        linked: command.linked,
        body_high: 0,
        body_low: 0,
        cause: command.cause.as_deref().map(cause),
        operation: Some(operation(&command.operation)),
    }
}

fn high(id: u128) -> u64 {
    (id >> 64) as u64
}

fn low(id: u128) -> u64 {
    id as u64
}

fn halves(id: ReservationId) -> (u64, u64) {
    (high(id.0), low(id.0))
}

fn cause(cause: &Cause) -> log::Cause {
    log::Cause { actor: cause.actor.clone(), reason: cause.reason.clone(), reference: cause.reference.clone() }
}

fn operation(operation: &Operation) -> LogOperation {
    match operation {
        Operation::PutItem(it) => LogOperation::PutItem(put_item(it)),
        Operation::PutLocation(it) => LogOperation::PutLocation(put_location(it)),
        Operation::Receive(it) => LogOperation::Receive(receive(it)),
        Operation::Adjust(it) => LogOperation::Adjust(adjust(it)),
        Operation::Set(it) => LogOperation::Set(set(it)),
        Operation::Reserve(it) => LogOperation::Reserve(reserve(it)),
        Operation::Amend(it) => LogOperation::Amend(amend(it)),
        Operation::Extend(it) => {
            let (reservation_high, reservation_low) = halves(it.reservation);
            LogOperation::Extend(log::Extend { reservation_high, reservation_low, ttl_s: it.ttl_s })
        }
        Operation::Commit(it) => LogOperation::Commit(commit(it)),
        Operation::Release(it) => {
            let (reservation_high, reservation_low) = halves(it.reservation);
            LogOperation::Release(log::Release { reservation_high, reservation_low })
        }
        Operation::Fulfil(it) => LogOperation::Fulfil(fulfil(it)),
        Operation::Cancel(it) => {
            let (reservation_high, reservation_low) = halves(it.reservation);
            LogOperation::Cancel(log::Cancel { reservation_high, reservation_low })
        }
        Operation::Return(it) => LogOperation::Return(give_back(it)),
        Operation::SetLimits(it) => LogOperation::SetLimits(super::limits_to_log(&it.limits)),
        Operation::PutLot(it) => LogOperation::PutLot(put_lot(it)),
        Operation::BlockLot(it) => LogOperation::BlockLot(block_lot(it)),
        Operation::MoveUnits(it) => LogOperation::Move(move_units(it)),
        Operation::PutLimit(it) => LogOperation::PutLimit(put_limit(it)),
        Operation::SetSafetyStock(it) => LogOperation::SetSafetyStock(log::SetSafetyStock {
            sku: it.sku.as_str().to_owned(),
            location_id: it.location.as_str().to_owned(),
            safety_stock: it.units,
            if_revision: it.if_revision.map_or(0, |revision| revision.0),
        }),
        Operation::CreateTransfer(it) => LogOperation::CreateTransfer(create_transfer(it)),
        Operation::ReceiveTransfer(it) => LogOperation::ReceiveTransfer(log::ReceiveTransfer {
            transfer_high: high(it.transfer.0),
            transfer_low: low(it.transfer.0),
            lines: it.parts.iter().map(arrived).collect(),
        }),
        Operation::LoseTransfer(it) => LogOperation::LoseTransfer(log::LoseTransfer {
            transfer_high: high(it.transfer.0),
            transfer_low: low(it.transfer.0),
            lines: parts(&it.parts),
        }),
        Operation::CancelTransfer(it) => LogOperation::CancelTransfer(log::CancelTransfer {
            transfer_high: high(it.transfer.0),
            transfer_low: low(it.transfer.0),
        }),
        Operation::ExpectReceipt(it) => LogOperation::ExpectReceipt(expect_receipt(it)),
        Operation::CloseReceipt(it) => LogOperation::CloseReceipt(log::CloseReceipt {
            receipt_high: high(it.receipt.0),
            receipt_low: low(it.receipt.0),
        }),
        Operation::ReserveSpread(it) => LogOperation::ReserveSpread(between_shards::reserve_spread_to_log(it)),
        Operation::Prepare(it) => LogOperation::Prepare(between_shards::prepare_to_log(it)),
        Operation::Follow(it) => LogOperation::Follow(between_shards::follow_to_log(it)),
        Operation::Abandon(it) => LogOperation::Abandon(between_shards::abandon_to_log(it)),
        Operation::AskDecision(it) => LogOperation::AskDecision(between_shards::ask_to_log(it)),
        Operation::Told(it) => LogOperation::Told(between_shards::told_to_log(it)),
        Operation::OpenCount(it) => LogOperation::OpenCount(counts::open_to_log(it)),
        Operation::RecordCount(it) => LogOperation::RecordCount(counts::record_to_log(it)),
        Operation::ApplyCount(it) => LogOperation::ApplyCount(counts::apply_to_log(it)),
        Operation::CancelCount(it) => LogOperation::CancelCount(counts::cancel_to_log(it)),
        Operation::Reconcile(it) => LogOperation::Reconcile(counts::reconcile_to_log(it)),
        Operation::PutChannel(it) => LogOperation::PutChannel(put_channel(it)),
        Operation::PutKit(it) => LogOperation::PutKit(put_kit(it)),
        Operation::HaltShard(it) => LogOperation::HaltShard(watch::halt_to_log(it)),
        Operation::ResumeShard(it) => LogOperation::ResumeShard(watch::resume_to_log(it)),
        Operation::StartOrder(it) => LogOperation::StartOrder(orders::start_to_log(it)),
        Operation::ReportStep(it) => LogOperation::ReportStep(orders::report_to_log(it)),
        Operation::ResolveOrder(it) => LogOperation::ResolveOrder(orders::resolve_to_log(it)),
        Operation::PutCampaign(it) => LogOperation::PutCampaign(campaigns::put_to_log(it)),
        Operation::Grant(it) => LogOperation::Grant(campaigns::grant_to_log(it)),
        Operation::Revoke(it) => LogOperation::Revoke(campaigns::revoke_to_log(it)),
        Operation::JoinQueue(it) => LogOperation::JoinQueue(rooms::join_to_log(it)),
        Operation::CommitDraw(it) => LogOperation::CommitDraw(rooms::commit_to_log(it)),
        Operation::Draw(it) => LogOperation::Draw(rooms::draw_to_log(it)),
        Operation::Admit(it) => LogOperation::Admit(rooms::admit_to_log(it)),
        Operation::PutSharedLimit(it) => LogOperation::PutSharedLimit(shared_limits::put_to_log(it)),
    }
}

fn put_item(it: &PutItem) -> log::PutItem {
    let spec = &it.spec;
    log::PutItem {
        sku: it.sku.as_str().to_owned(),
        name: spec.name.clone(),
        brand: spec.brand.clone(),
        category: spec.category.clone(),
        gtin: spec.gtin.clone(),
        attributes_json: spec.attributes_json.clone(),
        status: match spec.status {
            ItemStatus::Active => 1,
            ItemStatus::Paused => 2,
            ItemStatus::Discontinued => 3,
        },
        untracked: !spec.tracked,
        lot_tracked: spec.lot_tracked,
        shelf_life_days: spec.shelf_life_days,
        removal_days: spec.removal_days,
        alert_days: spec.alert_days,
        pao_months: spec.pao_months,
        min_remaining_days: spec.min_remaining_days,
        max_per_order: spec.max_per_order.unwrap_or(0),
        max_hold_s: spec.max_hold_s.unwrap_or(0),
        low_stock_threshold: spec.low_stock_threshold,
        if_revision: it.if_revision.map_or(0, |revision| revision.0),
        if_absent: it.if_absent,
        backorder: match spec.backorder {
            Backorder::None => None,
            Backorder::UpTo { cap } => Some(log::Backorder { cap, release_at_ms: 0 }),
            Backorder::Preorder { release_at, cap } => Some(log::Backorder { cap, release_at_ms: release_at.0 }),
        },
    }
}

fn put_kit(it: &PutKit) -> log::PutKit {
    let component = |it: &Component| log::KitComponent { sku: it.sku.as_str().to_owned(), units: it.units.0 };
    log::PutKit {
        sku: it.sku.as_str().to_owned(),
        name: it.name.clone(),
        components: it.components.iter().map(component).collect(),
        if_revision: it.if_revision.map_or(0, |revision| revision.0),
        if_absent: it.if_absent,
        backorder: it.backorder,
    }
}

fn put_location(it: &PutLocation) -> log::PutLocation {
    let spec = &it.spec;
    log::PutLocation {
        location_id: it.location.as_str().to_owned(),
        name: spec.name.clone(),
        kind: match spec.kind {
            LocationKind::Warehouse => 1,
            LocationKind::Store => 2,
            LocationKind::Virtual => 3,
        },
        time_zone: spec.time_zone.clone(),
        priority: spec.priority,
        inactive: !spec.active,
        if_revision: it.if_revision.map_or(0, |revision| revision.0),
    }
}

pub(super) fn condition(condition: Condition) -> u32 {
    match condition {
        Condition::Resellable => 1,
        Condition::Damaged => 2,
        Condition::QualityControl => 3,
    }
}

fn sourced(it: &Sourced) -> log::Sourced {
    let nearest = it.nearest.iter().map(|location| location.as_str().to_owned()).collect();
    log::Sourced { allow_split: it.allow_split, last: it.last, nearest }
}

fn put_channel(it: &PutChannel) -> log::PutChannel {
    log::PutChannel {
        channel_id: it.channel.as_str().to_owned(),
        location_ids: it.spec.locations.iter().map(|location| location.as_str().to_owned()).collect(),
        buffer: it.spec.buffer,
        inactive: !it.spec.active,
        revision: it.revision.0,
    }
}

pub(super) fn optional(name: Option<&str>) -> String {
    name.unwrap_or_default().to_owned()
}

fn receive(it: &Receive) -> log::Receive {
    log::Receive {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        units: it.units.0,
        lot_id: optional(it.lot.as_ref().map(|lot| lot.as_str())),
        lot: it.lot_spec.as_deref().map(lot_spec),
        receipt_high: it.receipt.map_or(0, |receipt| high(receipt.0)),
        receipt_low: it.receipt.map_or(0, |receipt| low(receipt.0)),
    }
}

fn lot_spec(spec: &LotSpec) -> log::LotSpec {
    let instant = |date: Option<LogTime>| date.map_or(0, |date| date.0);
    log::LotSpec {
        supplier_lot: spec.supplier_lot.clone(),
        manufactured_at_ms: instant(spec.dates.manufactured_at),
        best_before_ms: instant(spec.dates.best_before),
        expires_at_ms: instant(spec.dates.expires_at),
    }
}

fn put_lot(it: &PutLot) -> log::PutLot {
    log::PutLot {
        sku: it.sku.as_str().to_owned(),
        lot_id: it.lot.as_str().to_owned(),
        lot: Some(lot_spec(&it.spec)),
        if_revision: it.if_revision.map_or(0, |revision| revision.0),
    }
}

fn block_lot(it: &BlockLot) -> log::BlockLot {
    log::BlockLot {
        sku: it.sku.as_str().to_owned(),
        lot_id: it.lot.as_str().to_owned(),
        status: match it.status {
            LotStatus::Approved => 1,
            LotStatus::OnHold => 2,
            LotStatus::Quarantined => 3,
            LotStatus::Recalled => 4,
        },
    }
}

fn adjust(it: &Adjust) -> log::Adjust {
    log::Adjust {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        delta: it.delta,
        lot_id: optional(it.lot.as_ref().map(|lot| lot.as_str())),
        condition: condition(it.condition),
    }
}

fn set(it: &Set) -> log::Set {
    log::Set {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        on_hand: it.on_hand,
        if_revision: it.if_revision.0,
        lot_id: optional(it.lot.as_ref().map(|lot| lot.as_str())),
    }
}

pub(super) fn line(it: &Line) -> log::Line {
    log::Line {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        units: it.units.0,
        lot_id: optional(it.lot.as_ref().map(|lot| lot.as_str())),
        optional: it.optional,
        no_backorder: it.no_backorder,
        min_units: it.min_units.map_or(0, |units| units.0),
    }
}

fn parts(parts: &[LineUnits]) -> Vec<log::LineUnits> {
    parts.iter().map(|part| log::LineUnits { line: part.line, units: part.units.0 }).collect()
}

fn picks(picks: &[Picked]) -> Vec<log::PickedUnits> {
    let pick = |pick: &Picked| log::PickedUnits {
        line: pick.line,
        units: pick.units.0,
        lot_id: optional(pick.lot.as_ref().map(|lot| lot.as_str())),
    };
    picks.iter().map(pick).collect()
}

pub(super) fn reserve(it: &Reserve) -> log::Reserve {
    let (reservation_high, reservation_low) = halves(it.reservation);
    let (pass_ticket, pass_expires_at_ms) = rooms::pass_to_log(it.pass);
    log::Reserve {
        reservation_high,
        reservation_low,
        lines: it.lines.iter().map(line).collect(),
        ttl_s: it.ttl_s,
        customer: it.customer.map(|customer| customer.0.to_be_bytes().to_vec()).unwrap_or_default(),
        order_ref: optional(it.order_ref.as_ref().map(|name| name.as_str())),
        channel: optional(it.channel.as_ref().map(|name| name.as_str())),
        campaign_id: optional(it.campaign.as_ref().map(|name| name.as_str())),
        partial_ok: it.partial_ok,
        plan: it.plan.as_deref().map(plan),
        pass_ticket,
        pass_expires_at_ms,
    }
}

fn put_limit(it: &PutLimit) -> log::PutLimit {
    log::PutLimit {
        limit_id: it.limit.as_str().to_owned(),
        sku: it.sku.as_str().to_owned(),
        units: it.spec.units,
        window_s: shared_limits::window_to_log(it.spec.window),
        returns_restore: it.spec.returns_restore,
        inactive: !it.spec.active,
        if_revision: it.if_revision.map_or(0, |revision| revision.0),
        if_absent: it.if_revision == Some(Revision::default()),
        campaign_id: optional(it.campaign.as_ref().map(|name| name.as_str())),
    }
}

fn plan(it: &Plan) -> log::Plan {
    let asked = |asked: &AskedLine| log::AskedLine {
        units: asked.units.0,
        optional: asked.optional,
        kit: optional(asked.kit.as_ref().map(|kit| kit.sku.as_str())),
        kit_revision: asked.kit.as_ref().map_or(0, |kit| kit.revision.0),
        min_units: asked.min_units.map_or(0, |units| units.0),
    };
    log::Plan {
        request_high: (it.request.0 >> 64) as u64,
        request_low: it.request.0 as u64,
        asked: it.asked.iter().map(asked).collect(),
        of: it.of.iter().map(|of| u32::from(*of)).collect(),
        sourced: it.sourced.as_ref().map(sourced),
        counters: it.counters.iter().map(shared_limits::counter_to_log).collect(),
    }
}

fn amend(it: &Amend) -> log::Amend {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::Amend { reservation_high, reservation_low, lines: it.lines.iter().map(line).collect() }
}

fn commit(it: &Commit) -> log::Commit {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::Commit {
        reservation_high,
        reservation_low,
        lines: parts(&it.parts),
        r#final: it.last,
        retake_if_expired: match it.if_expired {
            IfExpired::Fail => false,
            IfExpired::Retake => true,
        },
        cancel_at_ms: it.cancel_at.map_or(0, |time| time.0),
    }
}

fn fulfil(it: &Fulfil) -> log::Fulfil {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::Fulfil { reservation_high, reservation_low, lines: picks(&it.parts) }
}

fn give_back(it: &Return) -> log::Return {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::Return {
        reservation_high,
        reservation_low,
        lines: picks(&it.parts),
        location_id: optional(it.location.as_ref().map(|location| location.as_str())),
        condition: condition(it.condition),
    }
}

fn move_units(it: &MoveUnits) -> log::Move {
    log::Move {
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        lot_id: optional(it.lot.as_ref().map(|lot| lot.as_str())),
        units: it.units.0,
        from: condition(it.from),
        to: condition(it.to),
    }
}

fn document_lines(lines: &[DocumentLine]) -> Vec<log::DocumentLine> {
    let line = |line: &DocumentLine| log::DocumentLine {
        lot_id: optional(line.lot.as_ref().map(|lot| lot.as_str())),
        units: line.units.0,
    };
    lines.iter().map(line).collect()
}

fn create_transfer(it: &CreateTransfer) -> log::CreateTransfer {
    log::CreateTransfer {
        transfer_high: high(it.transfer.0),
        transfer_low: low(it.transfer.0),
        sku: it.sku.as_str().to_owned(),
        from_location_id: it.from.as_str().to_owned(),
        to_location_id: it.to.as_str().to_owned(),
        lines: document_lines(&it.lines),
    }
}

fn arrived(part: &ArrivedUnits) -> log::ArrivedUnits {
    log::ArrivedUnits { line: part.line, units: part.units.0, condition: condition(part.condition) }
}

fn expect_receipt(it: &ExpectReceipt) -> log::ExpectReceipt {
    log::ExpectReceipt {
        receipt_high: high(it.receipt.0),
        receipt_low: low(it.receipt.0),
        sku: it.sku.as_str().to_owned(),
        location_id: it.location.as_str().to_owned(),
        lines: document_lines(&it.lines),
        expected_at_ms: it.expected_at.map_or(0, |at| at.0),
    }
}
