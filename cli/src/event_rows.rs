//! Events as the command line shows them.

use std::fmt::Write;

use holdfast_client::ids::{CommandId, CountId, ReceiptId, ReservationId, TransferId};
use holdfast_proto::v1::event::Subject;
use holdfast_proto::v1::{
    self, CountState, Discrepancy, LotStatus, OrderState, ReservationState, StepState, TransferState,
};
use serde::Serialize;

use crate::dates;
use crate::ids::state_name;

/// One event.
#[derive(Debug, Serialize)]
pub struct EventRow {
    shard: u32,
    seq: u64,
    time: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    actor: String,
    reason: String,
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    changes: Vec<ChangeRow>,
    /// What it is about beside quantities, in words.
    about: String,
    hash: String,
    prev_hash: String,
}

/// The quantities of one SKU, location and lot.
#[derive(Debug, Serialize)]
struct ChangeRow {
    sku: String,
    location: String,
    lot: String,
    /// What was added or taken, each quantity that changed.
    delta: Quantities<i64>,
    after: Quantities<u64>,
    atp_after: u64,
}

#[derive(Debug, Serialize)]
struct Quantities<T> {
    on_hand: T,
    reserved: T,
    committed: T,
    damaged: T,
    quality_control: T,
}

impl EventRow {
    /// The columns of [`EventRow::table`].
    pub const HEADER: [&'static str; 9] =
        ["time", "shard", "seq", "kind", "what", "reservation", "actor", "reason", "reference"];

    /// The row of a table.
    pub fn table(&self) -> [String; 9] {
        let mut what: Vec<String> = self.changes.iter().map(ChangeRow::words).collect();
        if !self.about.is_empty() {
            what.push(self.about.clone());
        }
        [
            self.time.clone(),
            self.shard.to_string(),
            self.seq.to_string(),
            self.kind.clone(),
            what.join("; "),
            self.reservation.clone().unwrap_or_default(),
            self.actor.clone(),
            self.reason.clone(),
            self.reference.clone(),
        ]
    }
}

impl ChangeRow {
    /// `LIP-01 at main on_hand -2 (98)`: what changed, and what is there after.
    fn words(&self) -> String {
        let mut text = format!("{} at {}", self.sku, self.location);
        if !self.lot.is_empty() {
            let _ = write!(text, " lot {}", self.lot);
        }
        let Quantities { on_hand, reserved, committed, damaged, quality_control } = &self.delta;
        let after = &self.after;
        for (name, delta, after) in [
            ("on_hand", on_hand, after.on_hand),
            ("reserved", reserved, after.reserved),
            ("committed", committed, after.committed),
            ("damaged", damaged, after.damaged),
            ("quality_control", quality_control, after.quality_control),
        ] {
            if *delta != 0 {
                let _ = write!(text, " {name} {delta:+} ({after})");
            }
        }
        text
    }
}

impl From<v1::Event> for EventRow {
    fn from(event: v1::Event) -> Self {
        let cause = event.cause.unwrap_or_default();
        let reservation = event.reservation;
        let id = |reservation: &v1::EventReservation| reservation.reservation_id.map(ReservationId::from);
        let state = |reservation: &v1::EventReservation| ReservationState::try_from(reservation.state).ok();
        Self {
            shard: event.shard,
            seq: event.seq,
            time: dates::instant_text(event.time_ms),
            kind: event.kind,
            command: event.command_id.map(|id| CommandId::from(id).to_string()),
            actor: cause.actor,
            reason: cause.reason,
            reference: cause.reference,
            reservation: reservation.as_ref().and_then(id).map(|id| id.to_string()),
            state: reservation.as_ref().and_then(state).map(state_name),
            changes: event.changes.into_iter().map(ChangeRow::from).collect(),
            about: event.subject.map(|subject| words_of(&subject)).unwrap_or_default(),
            hash: hex(&event.hash),
            prev_hash: hex(&event.prev_hash),
        }
    }
}

impl From<v1::StockChange> for ChangeRow {
    fn from(change: v1::StockChange) -> Self {
        let (delta, after) = (change.delta.unwrap_or_default(), change.after.unwrap_or_default());
        Self {
            sku: change.sku,
            location: change.location_id,
            lot: change.lot_id,
            delta: Quantities {
                on_hand: delta.on_hand,
                reserved: delta.reserved,
                committed: delta.committed,
                damaged: delta.damaged,
                quality_control: delta.quality_control,
            },
            after: Quantities {
                on_hand: after.on_hand,
                reserved: after.reserved,
                committed: after.committed,
                damaged: after.damaged,
                quality_control: after.quality_control,
            },
            atp_after: change.atp_after,
        }
    }
}

fn words_of(subject: &Subject) -> String {
    match subject {
        Subject::Item(it) => format!("item {} revision {}", it.sku, it.revision),
        Subject::Location(it) => format!("location {} revision {}", it.location_id, it.revision),
        Subject::Lot(it) => {
            let status = word(LotStatus::try_from(it.status).unwrap_or_default().as_str_name(), "LOT_STATUS_");
            format!("lot {} of {} is {status}", it.lot_id, it.sku)
        }
        Subject::Availability(it) => format!("{} at {} has {} to promise", it.sku, it.location_id, it.atp),
        Subject::SafetyStock(it) => format!("{} at {} keeps back {}", it.sku, it.location_id, it.safety_stock),
        Subject::Transfer(it) => {
            let state = word(TransferState::try_from(it.state).unwrap_or_default().as_str_name(), "TRANSFER_STATE_");
            let id = it.transfer_id.map(|id| TransferId::from(id).to_string()).unwrap_or_default();
            let (from, to, in_transit) = (&it.from_location_id, &it.to_location_id, it.in_transit);
            format!("transfer {id} from {from} to {to} is {state}, {in_transit} on the way")
        }
        Subject::Receipt(it) => {
            let id = it.receipt_id.map(|id| ReceiptId::from(id).to_string()).unwrap_or_default();
            format!("receipt {id} at {} expects {}", it.location_id, it.expected)
        }
        Subject::Limit(it) => format!("limit {} of {} is {} a customer", it.limit_id, it.sku, it.units),
        Subject::Count(it) => {
            let state = word(CountState::try_from(it.state).unwrap_or_default().as_str_name(), "COUNT_STATE_");
            let id = it.count_id.map(|id| CountId::from(id).to_string()).unwrap_or_default();
            format!("count {id} at {} is {state}", it.location_id)
        }
        Subject::Shortfall(it) => {
            let named: Vec<String> = it
                .reservations
                .iter()
                .filter_map(|short| short.reservation_id.map(|id| ReservationId::from(id).to_string()))
                .collect();
            format!("{} at {} is short of {}: {}", it.sku, it.location_id, it.short, named.join(", "))
        }
        Subject::Reconciliation(it) => {
            let found = word(Discrepancy::try_from(it.discrepancy).unwrap_or_default().as_str_name(), "DISCREPANCY_");
            format!("{} at {} differs by {:+}: {found}", it.sku, it.location_id, it.delta)
        }
        Subject::Backorder(it) => {
            let (sku, location, units, all) = (&it.sku, &it.location_id, it.units, it.backordered);
            format!("{units} of {sku} at {location} without stock, {all} in all")
        }
        Subject::Channel(it) => format!("channel {} revision {}", it.channel_id, it.revision),
        Subject::Campaign(it) => format!("campaign {} is {}", it.campaign_id, it.phase),
        Subject::Allocation(it) => format!(
            "{} has of {} at {} {}, {} held and {} sold",
            it.campaign_id, it.sku, it.location_id, it.granted, it.held, it.sold
        ),
        Subject::Ticket(it) => {
            format!("ticket {} of {} is {}", it.number, it.campaign_id, word(it.state().as_str_name(), "TICKET_STATE_"))
        }
        Subject::Draw(it) => format!(
            "the draw of {} is held to {}{}",
            it.campaign_id,
            hex(&it.commitment),
            if it.seed.is_empty() {
                String::new()
            } else {
                format!(" and was {} over {} tickets", hex(&it.seed), it.tickets)
            }
        ),
        Subject::LimitHit(it) => format!("{} refused {}, {} left", it.limit_id, it.sku, it.remaining),
        Subject::Breach(it) => format!("{} broken on node {}: {}", it.invariant, it.node_id, it.finding),
        Subject::Order(it) => {
            let state = word(OrderState::try_from(it.state).unwrap_or_default().as_str_name(), "ORDER_STATE_");
            let step = word(StepState::try_from(it.step_state).unwrap_or_default().as_str_name(), "STEP_STATE_");
            let of_step = if it.step.is_empty() { String::new() } else { format!(": step {} is {step}", it.step) };
            format!("order is {state}{of_step}")
        }
    }
}

/// The name of an enum's value as it is printed: `LOT_STATUS_ON_HOLD` is `on_hold`.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase()
}

/// Bytes as people compare them.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that [`hex`] wrote; `None` for any other text.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_what_changed_and_what_is_there_after() {
        let change = v1::StockChange {
            sku: "LIP-01".to_owned(),
            location_id: "main".to_owned(),
            lot_id: "L7".to_owned(),
            delta: Some(v1::StockDelta { on_hand: -2, committed: -2, ..v1::StockDelta::default() }),
            after: Some(v1::StockQuantities { on_hand: 98, committed: 3, ..v1::StockQuantities::default() }),
            atp_after: 95,
            revision: 4,
        };
        let event = v1::Event { shard: 1, seq: 7, changes: vec![change], ..v1::Event::default() };
        let row = EventRow::from(event).table();
        assert_eq!(row[4], "LIP-01 at main lot L7 on_hand -2 (98) committed -2 (3)");
        assert_eq!((row[1].as_str(), row[2].as_str()), ("1", "7"));
    }

    #[test]
    fn bytes_are_read_as_they_were_written_and_nothing_else_is() {
        assert_eq!(bytes_of(&hex(&[0, 9, 0xab, 0xff])), Some(vec![0, 9, 0xab, 0xff]));
        assert_eq!((bytes_of("abc"), bytes_of("zz"), bytes_of("é")), (None, None, None));
    }

    #[test]
    fn what_is_no_quantity_is_told_in_words() {
        let lot = v1::LotEvent {
            sku: "LIP-01".to_owned(),
            lot_id: "L7".to_owned(),
            status: LotStatus::OnHold.into(),
            revision: 2,
        };
        let event = v1::Event { subject: Some(Subject::Lot(lot)), ..v1::Event::default() };
        assert_eq!(EventRow::from(event).table()[4], "lot L7 of LIP-01 is on_hold");
    }
}
