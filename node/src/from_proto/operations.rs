//! The operations of a command, each taken apart.

use holdfast_inventory::commands::{
    Adjust, Amend, BlockLot, Cancel, CancelTransfer, CloseReceipt, Commit, DEFAULT_TTL_S, Extend, Fulfil, IfExpired,
    Line, LoseTransfer, MAX_LINES, MAX_PLANNED_LINES, MAX_TTL_S, Picked, PutItem, PutLimit, PutLot, Receive, Release,
    Reserve, Return, Set,
};
use holdfast_inventory::{
    Backorder, CampaignId, ChannelId, Condition, CustomerHash, ItemSpec, ItemStatus, LimitId, LimitSpec, LimitWindow,
    LineUnits, LogTime, LotId, LotStatus, MAX_ATTRIBUTES_BYTES, MAX_ROLLING_UNITS, MAX_UNITS, MAX_WINDOW_S, Operation,
    OrderRef, ReceiptId, Revision, Units, slot_of,
};
use holdfast_proto::v1::command::Operation as Wire;
use holdfast_proto::v1::{self, CommandError};

use super::fields::{enum_at, invalid, location_at, lot_at, optional_name, sku_at};
use super::{Words, id_of, receipt_id, reservation_id, transfer_id};
use super::{campaigns, counts, kits, orders, places, rooms};
use crate::planning::as_asked;

/// Longest customer string, in bytes. It is hashed, not kept.
const MAX_CUSTOMER_BYTES: usize = 255;

pub(super) fn operation(wire: Wire, words: &Words) -> Result<Operation, CommandError> {
    Ok(match wire {
        Wire::PutItem(it) => Operation::PutItem(Box::new(put_item(it)?)),
        Wire::Receive(it) => Operation::Receive(receive(&it, words)?),
        Wire::Adjust(it) => Operation::Adjust(adjust(&it, words)?),
        Wire::Set(it) => Operation::Set(set(&it, words)?),
        Wire::Reserve(it) => Operation::Reserve(reserve(&it, words)?),
        Wire::Amend(it) => Operation::Amend(amend(&it, words)?),
        Wire::Extend(it) => {
            let reservation = reservation_id(it.reservation_id)?;
            Operation::Extend(Extend { reservation, ttl_s: ttl_or_default(it.ttl_s) })
        }
        Wire::Commit(it) => Operation::Commit(commit(&it)?),
        Wire::Release(it) => Operation::Release(Release { reservation: reservation_id(it.reservation_id)? }),
        Wire::Fulfil(it) => {
            Operation::Fulfil(Fulfil { reservation: reservation_id(it.reservation_id)?, parts: picks(&it.lines)? })
        }
        Wire::Cancel(it) => Operation::Cancel(Cancel { reservation: reservation_id(it.reservation_id)? }),
        Wire::Return(it) => Operation::Return(give_back(&it)?),
        Wire::PutLot(it) => Operation::PutLot(Box::new(put_lot(&it, words)?)),
        Wire::BlockLot(it) => {
            let status = match enum_at("status", it.status, "on_hold or quarantined")? {
                v1::LotStatus::Unspecified | v1::LotStatus::OnHold => LotStatus::OnHold,
                v1::LotStatus::Quarantined => LotStatus::Quarantined,
                v1::LotStatus::Approved | v1::LotStatus::Recalled => {
                    return Err(invalid("status", "is no way to block a lot", "on_hold or quarantined"));
                }
            };
            Operation::BlockLot(block_lot(&it.sku, &it.lot_id, status)?)
        }
        Wire::UnblockLot(it) => Operation::BlockLot(block_lot(&it.sku, &it.lot_id, LotStatus::Approved)?),
        Wire::Recall(it) => Operation::BlockLot(block_lot(&it.sku, &it.lot_id, LotStatus::Recalled)?),
        Wire::Move(it) => Operation::MoveUnits(places::move_units(&it, words)?),
        Wire::SetSafetyStock(it) => Operation::SetSafetyStock(places::set_safety_stock(&it, words)?),
        Wire::CreateTransfer(it) => Operation::CreateTransfer(places::create_transfer(&it, words)?),
        Wire::ReceiveTransfer(it) => Operation::ReceiveTransfer(places::receive_transfer(&it)?),
        Wire::LoseTransfer(it) => {
            let transfer = transfer_id(it.transfer_id)?;
            Operation::LoseTransfer(LoseTransfer { transfer, parts: parts(&it.lines) })
        }
        Wire::OpenCount(it) => Operation::OpenCount(counts::open(&it, words)?),
        Wire::RecordCount(it) => Operation::RecordCount(counts::record(&it)?),
        Wire::StartOrder(it) => Operation::StartOrder(Box::new(orders::start(&it)?)),
        Wire::ReportStep(it) => Operation::ReportStep(Box::new(orders::report(it)?)),
        Wire::ResolveOrder(it) => Operation::ResolveOrder(orders::resolve(it)?),
        Wire::ApplyCount(it) => Operation::ApplyCount(counts::apply(&it)?),
        Wire::CancelCount(it) => Operation::CancelCount(counts::cancel(&it)?),
        Wire::Reconcile(it) => Operation::Reconcile(counts::reconcile(&it, words)?),
        Wire::CancelTransfer(it) => {
            Operation::CancelTransfer(CancelTransfer { transfer: transfer_id(it.transfer_id)? })
        }
        Wire::ExpectReceipt(it) => Operation::ExpectReceipt(places::expect_receipt(&it, words)?),
        Wire::PutLimit(it) => Operation::PutLimit(put_limit(&it)?),
        Wire::CloseReceipt(it) => Operation::CloseReceipt(CloseReceipt { receipt: receipt_id(it.receipt_id)? }),
        Wire::PutKit(it) => Operation::PutKit(Box::new(kits::put_kit(it)?)),
        Wire::Grant(it) => Operation::Grant(Box::new(campaigns::grant(&it, words)?)),
        Wire::Revoke(it) => Operation::Revoke(Box::new(campaigns::revoke(it, words)?)),
        Wire::JoinQueue(it) => Operation::JoinQueue(Box::new(rooms::join_queue(&it, words)?)),
        Wire::CommitDraw(it) => Operation::CommitDraw(Box::new(rooms::commit_draw(&it)?)),
        Wire::Draw(it) => Operation::Draw(Box::new(rooms::draw(&it)?)),
        Wire::Admit(it) => Operation::Admit(Box::new(rooms::admit(it)?)),
    })
}

fn put_item(wire: v1::PutItem) -> Result<PutItem, CommandError> {
    let item = wire.item.ok_or_else(|| invalid("item", "is missing", "send the item with its SKU"))?;
    let status = match enum_at("item.status", item.status, "active, paused or discontinued")? {
        v1::ItemStatus::Unspecified | v1::ItemStatus::Active => ItemStatus::Active,
        v1::ItemStatus::Paused => ItemStatus::Paused,
        v1::ItemStatus::Discontinued => ItemStatus::Discontinued,
    };
    if wire.if_absent && wire.if_revision > 0 {
        return Err(invalid("if_revision", "is given with if_absent", "send one of them"));
    }
    if item.max_hold_s > MAX_TTL_S {
        let hint = format!("at most {MAX_TTL_S}, or 0 for the cluster's maximum");
        return Err(invalid("item.max_hold_s", "is too long", &hint));
    }
    check_attributes(&item.attributes_json)?;
    Ok(PutItem {
        sku: sku_at(|| "item.sku".to_owned(), &item.sku)?,
        spec: ItemSpec {
            name: item.name,
            brand: item.brand,
            category: item.category,
            gtin: item.gtin,
            attributes_json: item.attributes_json,
            status,
            tracked: !item.untracked,
            lot_tracked: item.lot_tracked,
            shelf_life_days: item.shelf_life_days,
            removal_days: item.removal_days,
            alert_days: item.alert_days,
            pao_months: item.pao_months,
            min_remaining_days: item.min_remaining_days,
            max_per_order: (item.max_per_order > 0).then_some(item.max_per_order),
            max_hold_s: (item.max_hold_s > 0).then_some(item.max_hold_s),
            low_stock_threshold: item.low_stock_threshold,
            backorder: backorder(item.backorder)?,
        },
        if_revision: (wire.if_revision > 0).then_some(Revision(wire.if_revision)),
        if_absent: wire.if_absent,
    })
}

fn backorder(wire: Option<v1::BackorderTerms>) -> Result<Backorder, CommandError> {
    let Some(v1::BackorderTerms { cap, release_at_ms }) = wire else { return Ok(Backorder::None) };
    let least = u64::from(release_at_ms == 0);
    if !(least..=u64::from(MAX_UNITS)).contains(&cap) {
        let hint = format!("{least} to {MAX_UNITS} units, or no backorder at all");
        return Err(invalid("item.backorder.cap", &format!("is {cap}"), &hint));
    }
    Ok(match release_at_ms {
        0 => Backorder::UpTo { cap },
        at => Backorder::Preorder { release_at: LogTime(at), cap },
    })
}

fn check_attributes(text: &str) -> Result<(), CommandError> {
    if text.is_empty() {
        return Ok(());
    }
    let hint = format!("a JSON object of at most {MAX_ATTRIBUTES_BYTES} bytes, or nothing");
    if text.len() > MAX_ATTRIBUTES_BYTES {
        return Err(invalid("item.attributes_json", "is too long", &hint));
    }
    let is_object = text.trim_start().starts_with('{');
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) if is_object => Ok(()),
        Ok(_) => Err(invalid("item.attributes_json", "is no JSON object", &hint)),
        Err(error) => Err(invalid("item.attributes_json", &format!("is not valid JSON: {error}"), &hint)),
    }
}

fn receive(wire: &v1::Receive, words: &Words) -> Result<Receive, CommandError> {
    let location = location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?;
    let lot_spec = wire.lot.as_ref().map(|lot| words.zones.lot_spec(lot, &location)).transpose()?;
    Ok(Receive {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        lot: lot_at(|| "lot_id".to_owned(), &wire.lot_id)?,
        lot_spec: lot_spec.map(Box::new),
        units: Units(wire.units),
        location,
        receipt: id_of(wire.receipt_id).map(ReceiptId),
    })
}

fn put_lot(wire: &v1::PutLot, words: &Words) -> Result<PutLot, CommandError> {
    let location = location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?;
    Ok(PutLot {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        lot: needed_lot(&wire.lot_id)?,
        spec: words.zones.lot_spec(&wire.lot.clone().unwrap_or_default(), &location)?,
        if_revision: (wire.if_revision > 0).then_some(Revision(wire.if_revision)),
    })
}

fn block_lot(sku: &str, lot_id: &str, status: LotStatus) -> Result<BlockLot, CommandError> {
    Ok(BlockLot { sku: sku_at(|| "sku".to_owned(), sku)?, lot: needed_lot(lot_id)?, status })
}

fn needed_lot(text: &str) -> Result<LotId, CommandError> {
    let missing = || invalid("lot_id", "is empty", "send the id of the lot");
    lot_at(|| "lot_id".to_owned(), text)?.ok_or_else(missing)
}

fn adjust(wire: &v1::Adjust, words: &Words) -> Result<Adjust, CommandError> {
    Ok(Adjust {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        lot: lot_at(|| "lot_id".to_owned(), &wire.lot_id)?,
        delta: wire.delta,
        condition: condition(wire.condition, Condition::Resellable)?,
    })
}

fn condition(number: i32, unspecified: Condition) -> Result<Condition, CommandError> {
    condition_at("condition", number, unspecified)
}

/// A condition; where none is said, that one.
pub(super) fn condition_at(field: &str, number: i32, unspecified: Condition) -> Result<Condition, CommandError> {
    Ok(match enum_at(field, number, "resellable, damaged or quality_control")? {
        v1::Condition::Unspecified => unspecified,
        v1::Condition::Resellable => Condition::Resellable,
        v1::Condition::Damaged => Condition::Damaged,
        v1::Condition::QualityControl => Condition::QualityControl,
    })
}

fn set(wire: &v1::Set, words: &Words) -> Result<Set, CommandError> {
    Ok(Set {
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        lot: lot_at(|| "lot_id".to_owned(), &wire.lot_id)?,
        on_hand: wire.on_hand,
        if_revision: Revision(wire.if_revision),
    })
}

fn lines(wire: &[v1::Line], words: &Words) -> Result<Vec<Line>, CommandError> {
    if wire.len() > MAX_LINES {
        return Err(invalid("lines", &format!("has {} lines", wire.len()), &format!("1 to {MAX_LINES} lines")));
    }
    let translate = |(at, line): (usize, &v1::Line)| {
        Ok(Line {
            sku: sku_at(|| format!("lines[{at}].sku"), &line.sku)?,
            location: location_at(|| format!("lines[{at}].location_id"), &line.location_id, &words.default_location)?,
            units: Units(line.units),
            lot: lot_at(|| format!("lines[{at}].lot_id"), &line.lot_id)?,
            optional: line.optional,
            no_backorder: line.no_backorder,
            min_units: (line.min_units > 0).then_some(Units(line.min_units)),
        })
    };
    wire.iter().enumerate().map(translate).collect()
}

fn ttl_or_default(ttl_s: u32) -> u32 {
    if ttl_s == 0 { DEFAULT_TTL_S } else { ttl_s }
}

fn reserve(wire: &v1::Reserve, words: &Words) -> Result<Reserve, CommandError> {
    let reservation = reservation_id(wire.reservation_id)?;
    let mut lines = lines(&wire.lines, words)?;
    if let Some(first) = lines.first().map(|line| slot_of(&line.sku))
        && reservation.slot() != first
    {
        let problem = format!("carries slot {}, its first line's SKU lies in slot {first}", reservation.slot());
        return Err(invalid("reservation_id", &problem, "mint it with that slot (docs/clients.md)"));
    }
    let campaign = optional_name(&wire.campaign_id, CampaignId::new, || "campaign_id".to_owned())?;
    if campaign.is_some() && wire.sourcing.is_some() {
        let hint = "name the location of each line: what a campaign has lies at locations";
        return Err(invalid("sourcing", "is given in a reserve of a campaign", hint));
    }
    if wire.sourcing.is_some() {
        // Where to wait for stock is for the caller to say.
        lines.iter_mut().for_each(|line| line.no_backorder = true);
    }
    let plan = kits::as_asked(&wire.lines, &lines)?;
    if wire.sourcing.is_some()
        && let Some(line) = wire.lines.iter().position(|line| line.kit_revision > 0)
    {
        let hint = "leave it out: what a channel sells are items; reserve kits by their location";
        return Err(invalid(
            format!("lines[{line}].kit_revision"),
            "is given in a reserve that a channel sources",
            hint,
        ));
    }
    let plan = if wire.sourcing.is_some() { Some(as_asked(wire, &lines)) } else { plan };
    let plan = plan.map(Box::new);
    let customer = customer_at(&wire.customer, words)?;
    let pass = rooms::pass(wire, campaign.as_ref(), customer, words)?;
    Ok(Reserve {
        reservation,
        ttl_s: ttl_or_default(wire.ttl_s),
        partial_ok: wire.partial_ok,
        order_ref: optional_name(&wire.order_ref, OrderRef::new, || "order_ref".to_owned())?,
        customer,
        channel: optional_name(&wire.channel, ChannelId::new, || "channel".to_owned())?,
        campaign,
        plan,
        lines,
        pass,
    })
}

fn put_limit(wire: &v1::PutLimit) -> Result<PutLimit, CommandError> {
    if wire.if_absent && wire.if_revision > 0 {
        return Err(invalid("if_revision", "is given with if_absent", "send one of them"));
    }
    let limit = LimitId::new(&wire.limit_id)
        .map_err(|error| invalid("limit_id", &format!("is refused: {error}"), "1 to 64 bytes of printable UTF-8"))?;
    let window = match wire.window_s {
        0 => LimitWindow::ForEver,
        seconds if seconds <= MAX_WINDOW_S => LimitWindow::RollingSeconds(seconds),
        _ => return Err(invalid("window_s", "is too long", &format!("at most {MAX_WINDOW_S}, or 0 for ever"))),
    };
    if wire.window_s > 0 && !wire.campaign_id.is_empty() {
        return Err(invalid("window_s", "is given with campaign_id", "send one of them"));
    }
    if wire.window_s > 0 && wire.units > MAX_ROLLING_UNITS {
        return Err(invalid("units", "is too large for a window", &format!("at most {MAX_ROLLING_UNITS}")));
    }
    Ok(PutLimit {
        limit,
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        spec: LimitSpec { units: wire.units, window, returns_restore: wire.returns_restore, active: !wire.inactive },
        if_revision: (wire.if_absent || wire.if_revision > 0).then_some(Revision(wire.if_revision)),
        campaign: optional_name(&wire.campaign_id, CampaignId::new, || "campaign_id".to_owned())?,
    })
}

/// The customer that a request is about.
pub(super) fn customer_at(customer: &str, words: &Words) -> Result<Option<CustomerHash>, CommandError> {
    if customer.len() > MAX_CUSTOMER_BYTES {
        return Err(invalid("customer", "is too long", &format!("at most {MAX_CUSTOMER_BYTES} bytes")));
    }
    Ok(hash_customer(customer, &words.customer_key))
}

/// The customer as the log knows one: 128 bits of a keyed hash, from which nobody without the key finds the string.
fn hash_customer(customer: &str, key: &[u8; 32]) -> Option<CustomerHash> {
    if customer.is_empty() {
        return None;
    }
    let hash = blake3::keyed_hash(key, customer.as_bytes());
    let half = hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes");
    Some(CustomerHash(u128::from_be_bytes(half)))
}

fn amend(wire: &v1::Amend, words: &Words) -> Result<Amend, CommandError> {
    if let Some(at) = wire.lines.iter().position(|line| line.kit_revision > 0) {
        let problem = "is of a kit, whose lines are not amended";
        return Err(invalid(format!("lines[{at}].kit_revision"), problem, "release it and make another one"));
    }
    Ok(Amend { reservation: reservation_id(wire.reservation_id)?, lines: lines(&wire.lines, words)? })
}

fn parts(wire: &[v1::LineUnits]) -> Vec<LineUnits> {
    wire.iter().map(|part| LineUnits { line: part.line, units: Units(part.units) }).collect()
}

fn picks(wire: &[v1::PickedUnits]) -> Result<Vec<Picked>, CommandError> {
    let pick = |(at, part): (usize, &v1::PickedUnits)| {
        let lot = lot_at(|| format!("lines[{at}].lot_id"), &part.lot_id)?;
        Ok(Picked { line: part.line, units: Units(part.units), lot })
    };
    wire.iter().take(MAX_PLANNED_LINES + 1).enumerate().map(pick).collect()
}

fn commit(wire: &v1::Commit) -> Result<Commit, CommandError> {
    let if_expired = match enum_at("if_expired", wire.if_expired, "fail or retake")? {
        v1::IfExpired::Unspecified | v1::IfExpired::Fail => IfExpired::Fail,
        v1::IfExpired::Retake => IfExpired::Retake,
    };
    if wire.r#final && wire.lines.is_empty() {
        return Err(invalid("final", "is set without lines", "without lines everything held is committed anyway"));
    }
    Ok(Commit {
        reservation: reservation_id(wire.reservation_id)?,
        parts: parts(&wire.lines),
        last: wire.r#final,
        if_expired,
        cancel_at: (wire.cancel_at_ms > 0).then_some(LogTime(wire.cancel_at_ms)),
    })
}

fn give_back(wire: &v1::Return) -> Result<Return, CommandError> {
    let location = &wire.location_id;
    Ok(Return {
        reservation: reservation_id(wire.reservation_id)?,
        parts: picks(&wire.lines)?,
        location: optional_name(location, holdfast_inventory::LocationId::new, || "location_id".to_owned())?,
        condition: condition(wire.condition, Condition::QualityControl)?,
    })
}
