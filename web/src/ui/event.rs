//! Events as the pages show them.

use holdfast_client::{Error, Reader};
use holdfast_proto::v1;
use serde::Serialize;

use crate::wire::{FromWire, IdText};

/// Pages of a change log that are read back for the latest events.
const PAGES: usize = 8;
/// Events that are looked back for at first; ten times as many when there were too few.
const LOOK_BACK: u64 = 2_000;

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EventShown {
    pub(crate) shard: u32,
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    pub(crate) kind: String,
    pub(crate) actor: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reservation_id: Option<IdText>,
    pub(crate) changes: Vec<ChangeShown>,
}

/// What changed of a SKU at a location.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ChangeShown {
    pub(crate) sku: String,
    pub(crate) location_id: String,
    pub(crate) delta: DeltaShown,
    pub(crate) atp_after: u64,
}

/// What was added or taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct DeltaShown {
    pub(crate) on_hand: i64,
    pub(crate) reserved: i64,
    pub(crate) committed: i64,
}

impl EventShown {
    pub(crate) fn of(event: v1::Event) -> Self {
        let reservation = event.reservation.and_then(|reservation| reservation.reservation_id);
        Self {
            shard: event.shard,
            seq: event.seq,
            time_ms: event.time_ms,
            kind: event.kind,
            actor: event.cause.map_or_else(String::new, |cause| cause.actor),
            reservation_id: reservation.map(IdText::from_wire),
            changes: event.changes.into_iter().map(ChangeShown::of).collect(),
        }
    }
}

impl ChangeShown {
    fn of(change: v1::StockChange) -> Self {
        let delta = change.delta.unwrap_or_default();
        Self {
            sku: change.sku,
            location_id: change.location_id,
            delta: DeltaShown { on_hand: delta.on_hand, reserved: delta.reserved, committed: delta.committed },
            atp_after: change.atp_after,
        }
    }
}

/// The latest events of a shard up to `head` that the filter takes, newest first: of the last 20 000 at most.
pub(crate) async fn latest(
    reader: Reader<'_>,
    shard: u32,
    head: u64,
    filter: &v1::EventFilter,
    most: usize,
) -> Result<Vec<EventShown>, Error> {
    let mut found: Vec<EventShown> = Vec::new();
    let (mut back, mut until) = (LOOK_BACK, head);
    for _ in 0..2 {
        let from = head.saturating_sub(back).max(1);
        let (mut seq, mut older) = (from, Vec::new());
        for _ in 0..PAGES {
            let page = reader.events(shard, seq, filter).await?.value;
            older.extend(page.events.into_iter().filter(|event| event.seq <= until).map(EventShown::of));
            match page.next_seq.filter(|next| *next <= until) {
                Some(next) => seq = next,
                None => break,
            }
        }
        older.append(&mut found);
        found = older;
        if found.len() >= most || from == 1 {
            break;
        }
        (back, until) = (back * 10, from.saturating_sub(1));
    }
    found.reverse();
    found.truncate(most);
    Ok(found)
}
