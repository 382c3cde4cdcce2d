//! The arguments of reads, and of the cluster's own records.

use holdfast_inventory::{
    BackorderFilter, CustomerHash, DocumentFilter, LocationId, LocationKind, LocationSpec, LotId, ReservationState, Sku,
};
use holdfast_proto::v1::{self, CommandError, consistency::Level};

use super::fields::{enum_at, invalid, sku_at};
use super::operations::customer_at;
use super::{Words, Zones};

/// The most rows of one page.
const MAX_PAGE: u32 = 1_000;

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Everything acknowledged before it began is seen.
    Linearizable,
    /// Whatever this replica has.
    Stale,
    /// Whatever this replica has, once it has applied at least this of that shard.
    AtLeast {
        /// The shard.
        shard: u32,
        /// The index of its log.
        index: u64,
    },
}

/// How fresh a read must be; linearizable where nothing is said.
pub(crate) fn freshness(wire: Option<v1::Consistency>) -> Freshness {
    match wire.and_then(|consistency| consistency.level) {
        None | Some(Level::Linearizable(_) | Level::Stale(false)) => Freshness::Linearizable,
        Some(Level::Stale(true)) => Freshness::Stale,
        Some(Level::AtLeast(token)) => Freshness::AtLeast { shard: token.shard, index: token.applied_index },
    }
}

/// The item that a read names.
pub(crate) fn sku(field: &'static str, text: &str) -> Result<Sku, CommandError> {
    sku_at(|| field.to_owned(), text)
}

/// The customer that a read is about.
pub(crate) fn customer(text: &str, words: &Words) -> Result<Option<CustomerHash>, CommandError> {
    customer_at(text, words)
}

/// The location that a read names.
pub(crate) fn location_id(field: &str, text: &str) -> Result<LocationId, CommandError> {
    LocationId::new(text)
        .map_err(|error| invalid(field, &format!("is refused: {error}"), "1 to 64 bytes of printable UTF-8"))
}

/// The lot that a read names.
pub(crate) fn lot_id(text: &str) -> Result<LotId, CommandError> {
    LotId::new(text)
        .map_err(|error| invalid("lot_id", &format!("is refused: {error}"), "1 to 64 bytes of printable UTF-8"))
}

/// Where a list goes on; from its beginning where nothing is said.
pub(crate) fn page_token<T: std::str::FromStr + Default>(text: &str) -> Result<T, CommandError> {
    if text.is_empty() {
        return Ok(T::default());
    }
    let hint = "send next_page_token of the reply before, or nothing";
    text.parse().map_err(|_| invalid("page_token", "is none of ours", hint))
}

/// How many rows a page has.
pub(crate) fn page_limit(limit: u32) -> Result<usize, CommandError> {
    match limit {
        0 => Ok(MAX_PAGE as usize),
        1..=MAX_PAGE => Ok(limit as usize),
        _ => Err(invalid("limit", &format!("is {limit}"), "at most 1000, or 0 for that many")),
    }
}

/// Which transfers or expected receipts to list.
pub(crate) fn document_filter(open_only: bool, sku: &str, location: &str) -> Result<DocumentFilter, CommandError> {
    Ok(DocumentFilter {
        sku: if sku.is_empty() { None } else { Some(self::sku("sku", sku)?) },
        location: if location.is_empty() { None } else { Some(location_id("location_id", location)?) },
        open_only,
    })
}

/// Which backorders to list.
pub(crate) fn backorder_filter(sku: &str, location: &str) -> Result<BackorderFilter, CommandError> {
    let DocumentFilter { sku, location, .. } = document_filter(false, sku, location)?;
    Ok(BackorderFilter { sku, location })
}

/// The state of the reservations to list; `None`: any.
pub(crate) fn reservation_state(number: i32) -> Result<Option<ReservationState>, CommandError> {
    let state = enum_at("state", number, "one of the states of a reservation, such as held")?;
    Ok(Some(match state {
        v1::ReservationState::Unspecified => return Ok(None),
        v1::ReservationState::Preparing => ReservationState::Preparing,
        v1::ReservationState::Held => ReservationState::Held,
        v1::ReservationState::Committed => ReservationState::Committed,
        v1::ReservationState::PartiallyFulfilled => ReservationState::PartiallyFulfilled,
        v1::ReservationState::Fulfilled => ReservationState::Fulfilled,
        v1::ReservationState::Cancelled => ReservationState::Cancelled,
        v1::ReservationState::Released => ReservationState::Released,
        v1::ReservationState::Expired => ReservationState::Expired,
        v1::ReservationState::Aborted => ReservationState::Aborted,
    }))
}

/// A location with its id.
pub(crate) fn location(wire: Option<v1::Location>) -> Result<(LocationId, LocationSpec), CommandError> {
    let wire = wire.ok_or_else(|| invalid("location", "is missing", "send the location with its id"))?;
    let id = location_id("location.location_id", &wire.location_id)?;
    let kind = match enum_at("location.kind", wire.kind, "warehouse, store or virtual")? {
        v1::LocationKind::Unspecified | v1::LocationKind::Warehouse => LocationKind::Warehouse,
        v1::LocationKind::Store => LocationKind::Store,
        v1::LocationKind::Virtual => LocationKind::Virtual,
    };
    for (name, text) in [("location.name", &wire.name), ("location.time_zone", &wire.time_zone)] {
        if text.len() > holdfast_inventory::MAX_TEXT_BYTES {
            return Err(invalid(name, "is too long", "at most 255 bytes"));
        }
    }
    if Zones::named(&wire.time_zone).is_none() {
        let problem = format!("is {:?}, which is no time zone", wire.time_zone);
        return Err(invalid("location.time_zone", &problem, "an IANA name such as Europe/Paris, or nothing for UTC"));
    }
    let spec = LocationSpec {
        name: wire.name,
        kind,
        time_zone: wire.time_zone,
        priority: wire.priority,
        active: !wire.inactive,
    };
    Ok((id, spec))
}
