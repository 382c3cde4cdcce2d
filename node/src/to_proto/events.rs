//! What happened, as clients read it.

use holdfast_inventory::commands::Discrepancy;
use holdfast_inventory::{
    Allocation, CampaignId, CampaignPhase, Event, EventBody, OrderState, ReservationRef, Revision, StepName, StepState,
    StockChange, StockCounts, StockDelta, Subject,
};
use holdfast_proto::v1::{self, event};

use super::{count_state, id, lot_status, reservation_state, short_reservation, transfer_state};

/// One event of a shard.
pub(crate) fn event(shard: u32, event: Event) -> v1::Event {
    let Event { hash, prev_hash, body, .. } = event;
    let EventBody { seq, time, kind, command, cause, reservation, changes, subject } = body;
    v1::Event {
        shard,
        seq,
        time_ms: time.0,
        kind: kind.name().to_owned(),
        command_id: command.map(|command| id(command.0)),
        cause: cause.map(|cause| v1::Cause {
            actor: cause.actor.clone(),
            reason: cause.reason.clone(),
            reference: cause.reference.clone(),
        }),
        reservation: reservation.map(event_reservation),
        changes: changes.into_iter().map(stock_change).collect(),
        hash: hash.0.to_vec(),
        prev_hash: prev_hash.0.to_vec(),
        subject: subject.map(event_subject),
    }
}

fn event_reservation(reservation: ReservationRef) -> v1::EventReservation {
    let ReservationRef { id: number, state, revision, expires_at } = reservation;
    v1::EventReservation {
        reservation_id: Some(id(number.0)),
        state: reservation_state(state).into(),
        revision: revision.0,
        expires_at_ms: expires_at.0,
    }
}

fn stock_change(change: StockChange) -> v1::StockChange {
    let StockChange { sku, location, lot, delta, after, atp_after, revision } = change;
    v1::StockChange {
        sku: sku.to_string(),
        location_id: location.to_string(),
        lot_id: lot.map(|lot| lot.to_string()).unwrap_or_default(),
        delta: Some(stock_delta(delta)),
        after: Some(quantities(after)),
        atp_after,
        revision: revision.0,
    }
}

const fn stock_delta(delta: StockDelta) -> v1::StockDelta {
    let StockDelta { on_hand, reserved, committed, damaged, quality_control } = delta;
    v1::StockDelta { on_hand, reserved, committed, damaged, quality_control }
}

pub(crate) const fn quantities(counts: StockCounts) -> v1::StockQuantities {
    let StockCounts { on_hand, reserved, committed, damaged, quality_control } = counts;
    v1::StockQuantities { on_hand, reserved, committed, damaged, quality_control }
}

fn event_subject(subject: Subject) -> event::Subject {
    match subject {
        Subject::Item { sku, revision } => {
            event::Subject::Item(v1::ItemEvent { sku: sku.to_string(), revision: revision.0 })
        }
        Subject::Location { location, revision } => {
            event::Subject::Location(v1::LocationEvent { location_id: location.to_string(), revision: revision.0 })
        }
        Subject::Lot { sku, lot, status, revision } => event::Subject::Lot(v1::LotEvent {
            sku: sku.to_string(),
            lot_id: lot.to_string(),
            status: lot_status(status).into(),
            revision: revision.0,
        }),
        Subject::Availability { sku, location, atp } => event::Subject::Availability(v1::AvailabilityEvent {
            sku: sku.to_string(),
            location_id: location.to_string(),
            atp,
        }),
        Subject::SafetyStock { sku, location, safety_stock, revision } => {
            event::Subject::SafetyStock(v1::SafetyStockEvent {
                sku: sku.to_string(),
                location_id: location.to_string(),
                safety_stock,
                revision: revision.0,
            })
        }
        Subject::Transfer { transfer, from, to, state, in_transit, revision } => {
            let (from_location_id, to_location_id) = (from.to_string(), to.to_string());
            let (transfer_id, state) = (Some(id(transfer.0)), transfer_state(state).into());
            let revision = revision.0;
            let event =
                v1::TransferEvent { transfer_id, from_location_id, to_location_id, state, in_transit, revision };
            event::Subject::Transfer(event)
        }
        Subject::Receipt { receipt, location, expected, revision } => event::Subject::Receipt(v1::ReceiptEvent {
            receipt_id: Some(id(receipt.0)),
            location_id: location.to_string(),
            expected,
            revision: revision.0,
        }),
        Subject::Limit { limit, sku, units, revision } => event::Subject::Limit(v1::LimitEvent {
            limit_id: limit.to_string(),
            sku: sku.to_string(),
            units,
            revision: revision.0,
        }),
        Subject::Count { count, location, state, revision } => event::Subject::Count(v1::CountEvent {
            count_id: Some(id(count.0)),
            location_id: location.to_string(),
            state: count_state(state).into(),
            revision: revision.0,
        }),
        Subject::Shortfall { sku, location, short, reservations } => event::Subject::Shortfall(v1::ShortfallEvent {
            sku: sku.to_string(),
            location_id: location.to_string(),
            short,
            reservations: reservations.iter().map(short_reservation).collect(),
        }),
        Subject::Reconciliation { sku, location, discrepancy, delta } => {
            event::Subject::Reconciliation(v1::ReconciliationEvent {
                sku: sku.to_string(),
                location_id: location.to_string(),
                discrepancy: discrepancy_of(discrepancy).into(),
                delta,
            })
        }
        Subject::Backorder { sku, location, units, backordered } => event::Subject::Backorder(v1::BackorderEvent {
            sku: sku.to_string(),
            location_id: location.to_string(),
            units,
            backordered,
        }),
        Subject::Channel { channel, revision } => {
            event::Subject::Channel(v1::ChannelEvent { channel_id: channel.to_string(), revision: revision.0 })
        }
        Subject::Ticket { campaign, ticket, customer, state } => {
            event::Subject::Ticket(super::ticket(&campaign, ticket, customer, state))
        }
        Subject::Draw { campaign, commitment, seed, tickets } => {
            event::Subject::Draw(super::campaign_draw(&campaign, Some(commitment), seed, tickets))
        }
        Subject::Campaign { campaign, phase, revision } => {
            event::Subject::Campaign(campaign_event(&campaign, phase, revision))
        }
        Subject::Allocation { campaign, sku, location, granted, held, sold } => {
            allocation_event(&Allocation { campaign, sku, location, granted, held, sold, open: true })
        }
        // Whose it was stays in the change log: a hash that nobody outside can make.
        Subject::LimitHit { limit, sku, customer: _, remaining } => {
            event::Subject::LimitHit(v1::LimitHitEvent { limit_id: limit.to_string(), sku: sku.to_string(), remaining })
        }
        Subject::Breach { invariant, finding, node } => {
            event::Subject::Breach(v1::BreachEvent { invariant: invariant.id().to_owned(), finding, node_id: node })
        }
        Subject::Order { state, step, revision } => event::Subject::Order(order_event(state, step, revision)),
    }
}

fn order_event(state: OrderState, step: Option<(StepName, StepState)>, revision: Revision) -> v1::OrderEvent {
    let (step, step_state) = step.map_or((String::new(), v1::StepState::Unspecified), |(name, state)| {
        (name.to_string(), super::orders::step_state(state))
    });
    let state = super::orders::order_state(state).into();
    v1::OrderEvent { state, step, step_state: step_state.into(), revision: revision.0 }
}

fn campaign_event(campaign: &CampaignId, phase: CampaignPhase, revision: Revision) -> v1::CampaignEvent {
    v1::CampaignEvent { campaign_id: campaign.to_string(), phase: phase.name().to_owned(), revision: revision.0 }
}

fn allocation_event(of: &Allocation) -> event::Subject {
    event::Subject::Allocation(super::allocation(of))
}

const fn discrepancy_of(discrepancy: Discrepancy) -> v1::Discrepancy {
    match discrepancy {
        Discrepancy::MissingSale => v1::Discrepancy::MissingSale,
        Discrepancy::DoubleShipment => v1::Discrepancy::DoubleShipment,
        Discrepancy::ManualOverride => v1::Discrepancy::ManualOverride,
        Discrepancy::Drift => v1::Discrepancy::Drift,
    }
}
