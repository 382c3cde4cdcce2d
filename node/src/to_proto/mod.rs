//! From the domain's own types to the wire: the only place where answers are put together.

mod events;

use holdfast_inventory::commands::AskedLine;
use holdfast_inventory::{
    Allocation, Answer, Backorder, BackorderEntry, CampaignAdmission, CampaignId, CampaignSpec, ChannelId, ChannelSpec,
    Commitment, Component, Condition, Count, CountLine, CountState, CustomerCount, CustomerHash, CustomerLimit, Item,
    ItemStatus, Kit, LimitId, LimitWindow, LocationId, LocationKind, LocationSpec, LogTime, Lot, LotStatus, LotUnits,
    Receipt, Reservation, ReservationLine, ReservationState, Revision, Seed, SharedLimitSpec, ShortReservation,
    StockCounts, StockLevel, Success, TicketState, Transfer, TransferState,
};
use holdfast_proto::v1::{self, CommandError, command_result::Outcome};
use holdfast_raft::meta::Member;
use holdfast_raft::types::NodeId;

mod orders;
mod refusals;

pub(crate) use orders::order;
pub(crate) use refusals::command_error;

pub(crate) use events::{event, quantities};

/// An id as its two halves.
pub(crate) fn id(id: u128) -> v1::Id {
    v1::Id { high: (id >> 64) as u64, low: id as u64 }
}

/// What became of a command.
pub(crate) fn command_result(answer: Answer) -> v1::CommandResult {
    let outcome = match answer.outcome {
        Ok(success) => Outcome::Success(command_success(success)),
        Err(refusal) => Outcome::Error(command_error(&refusal)),
    };
    v1::CommandResult { command_id: Some(id(answer.id.0)), outcome: Some(outcome), replayed: answer.replayed }
}

/// The result of a command that was not admitted.
pub(crate) fn not_admitted(command_id: Option<v1::Id>, error: CommandError) -> v1::CommandResult {
    v1::CommandResult { command_id, outcome: Some(Outcome::Error(error)), replayed: false }
}

fn command_success(success: Success) -> v1::CommandSuccess {
    v1::CommandSuccess {
        revision: success.revision.0,
        atp_after: success.atp_after,
        expires_at_ms: success.expires_at.map_or(0, |at| at.0),
        state: success.state.map_or(v1::ReservationState::Unspecified, reservation_state).into(),
        held: success.held.map(Vec::from).unwrap_or_default(),
        backordered: success.backordered.map(Vec::from).unwrap_or_default(),
        ticket: success.ticket.unwrap_or(0),
        admitted: success.admitted.unwrap_or(0),
    }
}

pub(crate) const fn reservation_state(state: ReservationState) -> v1::ReservationState {
    match state {
        ReservationState::Preparing => v1::ReservationState::Preparing,
        ReservationState::Held => v1::ReservationState::Held,
        ReservationState::Committed => v1::ReservationState::Committed,
        ReservationState::PartiallyFulfilled => v1::ReservationState::PartiallyFulfilled,
        ReservationState::Fulfilled => v1::ReservationState::Fulfilled,
        ReservationState::Cancelled => v1::ReservationState::Cancelled,
        ReservationState::Released => v1::ReservationState::Released,
        ReservationState::Expired => v1::ReservationState::Expired,
        ReservationState::Aborted => v1::ReservationState::Aborted,
    }
}

pub(crate) fn item(item: Item) -> v1::Item {
    let spec = &*item.spec;
    let status = match spec.status {
        ItemStatus::Active => v1::ItemStatus::Active,
        ItemStatus::Paused => v1::ItemStatus::Paused,
        ItemStatus::Discontinued => v1::ItemStatus::Discontinued,
    };
    v1::Item {
        sku: item.sku.as_str().to_owned(),
        name: spec.name.clone(),
        brand: spec.brand.clone(),
        category: spec.category.clone(),
        gtin: spec.gtin.clone(),
        attributes_json: spec.attributes_json.clone(),
        status: status.into(),
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
        revision: item.revision.0,
        backorder: backorder_terms(spec.backorder),
        kit: item.is_kit,
    }
}

const fn backorder_terms(backorder: Backorder) -> Option<v1::BackorderTerms> {
    match backorder {
        Backorder::None => None,
        Backorder::UpTo { cap } => Some(v1::BackorderTerms { cap, release_at_ms: 0 }),
        Backorder::Preorder { release_at, cap } => Some(v1::BackorderTerms { cap, release_at_ms: release_at.0 }),
    }
}

pub(crate) fn backorder(entry: &BackorderEntry) -> v1::Backorder {
    v1::Backorder {
        sku: entry.sku.as_str().to_owned(),
        location_id: entry.location.as_str().to_owned(),
        reservation_id: Some(id(entry.reservation.0)),
        units: entry.units,
        sold: entry.is_sold,
        created_at_ms: entry.created_at.0,
        expires_at_ms: entry.expires_at.map_or(0, |at| at.0),
        order_ref: entry.order_ref.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

pub(crate) fn stock_level(level: &StockLevel) -> v1::StockLevel {
    let adjusted = i128::from(level.flow.found) - i128::from(level.flow.written_off);
    v1::StockLevel {
        sku: level.sku.as_str().to_owned(),
        location_id: level.location.as_str().to_owned(),
        on_hand: level.counts.on_hand,
        reserved: level.counts.reserved,
        committed: level.counts.committed,
        damaged: level.counts.damaged,
        quality_control: level.counts.quality_control,
        free: level.free,
        atp: level.atp,
        received: level.flow.received,
        adjusted: saturated(adjusted),
        fulfilled: level.flow.shipped,
        returned: level.flow.returned,
        revision: level.revision.0,
        short: level.short,
        safety_stock: level.safety_stock,
        in_transit: level.in_transit,
        incoming: level.incoming,
        sent: level.flow.sent,
        arrived: level.flow.arrived,
        backordered: level.backordered,
        allocated: level.allocated,
    }
}

/// The nearest number of 64 bits.
pub(crate) fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

pub(crate) fn reservation(reservation: &Reservation) -> v1::Reservation {
    let is_live = !reservation.state.is_ended();
    v1::Reservation {
        reservation_id: Some(id(reservation.id.0)),
        state: reservation_state(reservation.state).into(),
        lines: reservation_lines(reservation),
        expires_at_ms: if is_live { reservation.expires_at.0 } else { 0 },
        created_at_ms: reservation.created_at.0,
        order_ref: reservation.order_ref.as_ref().map(ToString::to_string).unwrap_or_default(),
        revision: reservation.revision.0,
        max_expires_at_ms: reservation.max_expires_at.0,
        cancel_at_ms: reservation.cancel_at.map_or(0, |at| at.0),
        ended_at_ms: reservation.ended_at.map_or(0, |at| at.0),
        channel_id: reservation.channel.as_ref().map(ToString::to_string).unwrap_or_default(),
        campaign_id: reservation.campaign.as_ref().map(ToString::to_string).unwrap_or_default(),
        asked: asked_lines(reservation),
    }
}

/// The lines, each with the number of the asked one that it comes from.
fn reservation_lines(reservation: &Reservation) -> Vec<v1::ReservationLine> {
    let of = |at: usize| reservation.plan.as_ref().and_then(|plan| plan.of.get(at)).map_or(0, |of| u32::from(*of));
    let lines = reservation.lines.iter().map(reservation_line).enumerate();
    lines.map(|(at, line)| v1::ReservationLine { of: of(at), ..line }).collect()
}

/// What was asked for, where the lines were worked out from that.
fn asked_lines(reservation: &Reservation) -> Vec<v1::AskedLine> {
    let Some(plan) = &reservation.plan else { return Vec::new() };
    let first_of = |number: usize| plan.of.iter().position(|of| usize::from(*of) == number);
    let sku_of = |number: usize| Some(reservation.lines.get(first_of(number)?)?.sku.clone());
    let asked = |(number, asked): (usize, &AskedLine)| v1::AskedLine {
        sku: match &asked.kit {
            Some(kit) => kit.sku.as_str().to_owned(),
            None => sku_of(number).map(|sku| sku.to_string()).unwrap_or_default(),
        },
        units: asked.units.0,
        optional: asked.optional,
        kit: asked.kit.is_some(),
        kit_revision: asked.kit.as_ref().map_or(0, |kit| kit.revision.0),
    };
    plan.asked.iter().enumerate().map(asked).collect()
}

pub(crate) fn channel(id: &ChannelId, spec: &ChannelSpec, revision: Revision) -> v1::Channel {
    v1::Channel {
        channel_id: id.as_str().to_owned(),
        location_ids: spec.locations.iter().map(|location| location.as_str().to_owned()).collect(),
        buffer: spec.buffer,
        inactive: !spec.active,
        revision: revision.0,
    }
}

pub(crate) fn campaign(id: &CampaignId, spec: &CampaignSpec, revision: Revision) -> v1::Campaign {
    let admission = match spec.admission {
        CampaignAdmission::None => v1::CampaignAdmission::None,
        CampaignAdmission::Queue => v1::CampaignAdmission::Queue,
        CampaignAdmission::Lottery => v1::CampaignAdmission::Lottery,
    };
    v1::Campaign {
        campaign_id: id.as_str().to_owned(),
        starts_at_ms: spec.starts_at.0,
        ends_at_ms: spec.ends_at.0,
        admission: admission.into(),
        closed: spec.closed,
        revision: revision.0,
    }
}

pub(crate) fn shared_limit(id: &LimitId, spec: &SharedLimitSpec, revision: Revision) -> v1::SharedLimit {
    v1::SharedLimit {
        limit_id: id.as_str().to_owned(),
        skus: spec.skus.iter().map(|sku| sku.as_str().to_owned()).collect(),
        units: spec.rule.units,
        window_s: match spec.rule.window {
            LimitWindow::ForEver => 0,
            LimitWindow::RollingSeconds(seconds) => seconds,
        },
        returns_restore: spec.rule.returns_restore,
        inactive: !spec.rule.active,
        revision: revision.0,
    }
}

/// A ticket, as a room or an event shows it.
pub(crate) fn ticket(
    campaign: &CampaignId,
    number: u32,
    customer: Option<CustomerHash>,
    state: TicketState,
) -> v1::Ticket {
    let (state, admitted_until_ms) = match state {
        TicketState::Waiting => (v1::TicketState::Waiting, 0),
        TicketState::Admitted { until } => (v1::TicketState::Admitted, until.0),
        TicketState::Spent => (v1::TicketState::Spent, 0),
    };
    v1::Ticket {
        campaign_id: campaign.as_str().to_owned(),
        number,
        customer_hash: customer.map(|customer| customer.0.to_be_bytes().to_vec()).unwrap_or_default(),
        state: state.into(),
        admitted_until_ms,
    }
}

/// A lottery, as a room or an event shows it.
pub(crate) fn campaign_draw(
    campaign: &CampaignId,
    commitment: Option<Commitment>,
    seed: Option<Seed>,
    tickets: u32,
) -> v1::CampaignDraw {
    v1::CampaignDraw {
        campaign_id: campaign.as_str().to_owned(),
        commitment: commitment.map(|commitment| commitment.0.to_vec()).unwrap_or_default(),
        seed: seed.map(|seed| seed.0.to_vec()).unwrap_or_default(),
        tickets,
    }
}

pub(crate) fn allocation(of: &Allocation) -> v1::Allocation {
    v1::Allocation {
        campaign_id: of.campaign.as_str().to_owned(),
        sku: of.sku.as_str().to_owned(),
        location_id: of.location.as_str().to_owned(),
        granted: of.granted,
        held: of.held,
        sold: of.sold,
        closed: !of.open,
    }
}

pub(crate) fn components(components: &[Component]) -> Vec<v1::KitComponent> {
    let component = |it: &Component| v1::KitComponent { sku: it.sku.as_str().to_owned(), units: it.units.0 };
    components.iter().map(component).collect()
}

pub(crate) fn kit(kit: &Kit) -> v1::Kit {
    v1::Kit {
        sku: kit.sku.as_str().to_owned(),
        name: kit.name.clone(),
        components: components(&kit.components),
        revision: kit.revision.0,
        backorder: kit.backorder,
    }
}

fn reservation_line(line: &ReservationLine) -> v1::ReservationLine {
    v1::ReservationLine {
        sku: line.sku.as_str().to_owned(),
        location_id: line.location.as_str().to_owned(),
        lot_id: line.lot.as_ref().map(ToString::to_string).unwrap_or_default(),
        held: line.units.held,
        backordered: line.units.backordered,
        short: line.units.short,
        committed: line.units.committed,
        fulfilled: line.units.fulfilled,
        cancelled: line.units.cancelled,
        released: line.units.released,
        returned: line.units.returned,
        expired: line.units.expired,
        optional: line.optional,
        short_sold: line.units.short_sold,
        lots: line.lots.iter().map(lot_units).collect(),
        backordered_sold: line.units.backordered_sold,
        of: 0,
    }
}

fn lot_units(units: &LotUnits) -> v1::LotUnits {
    let &LotUnits { ref lot, committed, fulfilled, returned } = units;
    v1::LotUnits { lot_id: lot.as_str().to_owned(), committed, fulfilled, returned }
}

const fn lot_status(status: LotStatus) -> v1::LotStatus {
    match status {
        LotStatus::Approved => v1::LotStatus::Approved,
        LotStatus::OnHold => v1::LotStatus::OnHold,
        LotStatus::Quarantined => v1::LotStatus::Quarantined,
        LotStatus::Recalled => v1::LotStatus::Recalled,
    }
}

pub(crate) fn lot(lot: &Lot) -> v1::Lot {
    let instant = |at: Option<LogTime>| at.map_or(0, |at| at.0);
    v1::Lot {
        sku: lot.sku.as_str().to_owned(),
        lot_id: lot.id.as_str().to_owned(),
        supplier_lot: lot.supplier_lot.clone(),
        manufactured_at_ms: instant(lot.dates.manufactured_at),
        best_before_ms: instant(lot.dates.best_before),
        expires_at_ms: instant(lot.dates.expires_at),
        removal_at_ms: instant(lot.removal_at),
        alert_at_ms: instant(lot.alert_at),
        received_at_ms: lot.received_at.0,
        status: lot_status(lot.status).into(),
        revision: lot.revision.0,
        levels: lot.places.iter().map(lot_level).collect(),
    }
}

fn lot_level((location, counts): &(LocationId, StockCounts)) -> v1::LotLevel {
    let &StockCounts { on_hand, reserved, committed, damaged, quality_control } = counts;
    v1::LotLevel { location_id: location.as_str().to_owned(), on_hand, reserved, committed, damaged, quality_control }
}

const fn transfer_state(state: TransferState) -> v1::TransferState {
    match state {
        TransferState::InTransit => v1::TransferState::InTransit,
        TransferState::PartiallyReceived => v1::TransferState::PartiallyReceived,
        TransferState::Received => v1::TransferState::Received,
        TransferState::Cancelled => v1::TransferState::Cancelled,
        TransferState::Lost => v1::TransferState::Lost,
    }
}

pub(crate) fn transfer(transfer: &Transfer) -> v1::Transfer {
    let line = |line: &holdfast_inventory::TransferLine| v1::TransferLine {
        lot_id: line.lot.as_ref().map(ToString::to_string).unwrap_or_default(),
        sent: line.units.sent,
        in_transit: line.units.in_transit().unwrap_or(0),
        received: line.units.received,
        lost: line.units.lost,
        returned: line.units.returned,
    };
    v1::Transfer {
        transfer_id: Some(id(transfer.id.0)),
        sku: transfer.sku.as_str().to_owned(),
        from_location_id: transfer.from.as_str().to_owned(),
        to_location_id: transfer.to.as_str().to_owned(),
        state: transfer_state(transfer.state).into(),
        lines: transfer.lines.iter().map(line).collect(),
        created_at_ms: transfer.created_at.0,
        ended_at_ms: transfer.ended_at.map_or(0, |at| at.0),
        revision: transfer.revision.0,
    }
}

pub(crate) fn receipt(receipt: &Receipt) -> v1::Receipt {
    let line = |line: &holdfast_inventory::ReceiptLine| v1::ReceiptLine {
        lot_id: line.lot.as_ref().map(ToString::to_string).unwrap_or_default(),
        units: line.units,
        arrived: line.arrived,
    };
    v1::Receipt {
        receipt_id: Some(id(receipt.id.0)),
        sku: receipt.sku.as_str().to_owned(),
        location_id: receipt.location.as_str().to_owned(),
        expected_at_ms: receipt.expected_at.map_or(0, |at| at.0),
        lines: receipt.lines.iter().map(line).collect(),
        unexpected: receipt.unexpected,
        created_at_ms: receipt.created_at.0,
        closed_at_ms: receipt.closed_at.map_or(0, |at| at.0),
        revision: receipt.revision.0,
    }
}

pub(crate) fn customer_limit(limit: &CustomerLimit, count: Option<CustomerCount>) -> v1::CustomerLimit {
    v1::CustomerLimit {
        limit_id: limit.id.as_str().to_owned(),
        sku: limit.sku.as_str().to_owned(),
        units: limit.spec.units,
        window_s: match limit.spec.window {
            LimitWindow::ForEver => 0,
            LimitWindow::RollingSeconds(seconds) => seconds,
        },
        returns_restore: limit.spec.returns_restore,
        inactive: !limit.spec.active,
        revision: limit.revision.0,
        count: count.map(|count| v1::CustomerCount {
            held: count.held,
            bought: count.bought,
            remaining: count.remaining,
        }),
        campaign_id: limit.campaign.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
    }
}

const fn count_state(state: CountState) -> v1::CountState {
    match state {
        CountState::Open => v1::CountState::Open,
        CountState::Applied => v1::CountState::Applied,
        CountState::Cancelled => v1::CountState::Cancelled,
    }
}

pub(crate) fn count(count: &Count) -> v1::Count {
    v1::Count {
        count_id: Some(id(count.id.0)),
        sku: count.sku.as_str().to_owned(),
        location_id: count.location.as_str().to_owned(),
        reference: count.reference.clone(),
        state: count_state(count.state).into(),
        lines: count.lines.iter().map(count_line).collect(),
        short: count.short.iter().map(short_reservation).collect(),
        short_reservations: count.short_reservations,
        created_at_ms: count.created_at.0,
        ended_at_ms: count.ended_at.map_or(0, |at| at.0),
        revision: count.revision.0,
    }
}

fn count_line(line: &CountLine) -> v1::CountLine {
    let condition = match line.condition {
        Condition::Resellable => v1::Condition::Resellable,
        Condition::Damaged => v1::Condition::Damaged,
        Condition::QualityControl => v1::Condition::QualityControl,
    };
    let (counted, on_hand) = line.counted.unwrap_or_default();
    v1::CountLine {
        lot_id: line.lot.as_ref().map(ToString::to_string).unwrap_or_default(),
        condition: condition.into(),
        at_opening: line.at_opening,
        is_counted: line.counted.is_some(),
        counted,
        on_hand,
        found: line.found,
        written_off: line.written_off,
        contradicted: line.contradicted,
    }
}

fn short_reservation(short: &ShortReservation) -> v1::ShortReservation {
    v1::ShortReservation {
        reservation_id: Some(id(short.reservation.0)),
        order_ref: short.order_ref.as_ref().map(ToString::to_string).unwrap_or_default(),
        held: short.held,
        sold: short.sold,
    }
}

pub(crate) fn member(node_id: NodeId, member: &Member) -> v1::Member {
    v1::Member {
        node_id,
        client_address: member.client_address.clone(),
        peer_address: member.peer_address.clone(),
        http_address: member.http_address.clone(),
    }
}

pub(crate) fn location(id: &LocationId, spec: &LocationSpec, revision: u64) -> v1::Location {
    let kind = match spec.kind {
        LocationKind::Warehouse => v1::LocationKind::Warehouse,
        LocationKind::Store => v1::LocationKind::Store,
        LocationKind::Virtual => v1::LocationKind::Virtual,
    };
    v1::Location {
        location_id: id.as_str().to_owned(),
        name: spec.name.clone(),
        kind: kind.into(),
        time_zone: spec.time_zone.clone(),
        priority: spec.priority,
        inactive: !spec.active,
        revision,
    }
}
