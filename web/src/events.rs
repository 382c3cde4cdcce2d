//! What happened: `/v1/events`, a page at a time over all shards, or from a place of one. Who takes server-sent events has those of
//! [`crate::live`] instead.
//!
//! Each event comes at least once, in order within its shard.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use holdfast_client::{EventPage, Read};
use holdfast_proto::v1;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::accept::{CSV, EVENTS, JSON, preferred};
use crate::asked::Asked;
use crate::cursor::Cursor;
use crate::event_subjects::EventSubject;
use crate::limits::READS_AT_ONCE;
use crate::paging::page_limit;
use crate::problem::Problem;
use crate::reply::{Answered, Reply};
use crate::reservations::ReservationState;
use crate::sheet::{Form, Sheet, next_page};
use crate::tokens::Tokens;
use crate::wire::{FromWire, Hex, IdText, from_wire, reservation_id, shortened};

/// What was added (above 0) or taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockDelta {
    on_hand: i64,
    reserved: i64,
    committed: i64,
    damaged: i64,
    quality_control: i64,
}

from_wire!(StockDelta { on_hand, reserved, committed, damaged, quality_control });

/// Quantities.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockQuantities {
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
}

from_wire!(StockQuantities { on_hand, reserved, committed, damaged, quality_control });

/// The quantities of one SKU, location and lot that changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StockChange {
    sku: String,
    location_id: String,
    /// Empty where the SKU is not tracked by lot.
    lot_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    delta: Option<StockDelta>,
    /// What is there after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    after: Option<StockQuantities>,
    /// What may be promised after.
    atp_after: u64,
    revision: u64,
}

from_wire!(StockChange { sku, location_id, lot_id, delta, after, atp_after, revision });

/// The reservation that an event is about, and where it stands after.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventReservation {
    reservation_id: IdText,
    state: ReservationState,
    revision: u64,
    expires_at_ms: u64,
}

from_wire!(EventReservation { reservation_id, state, revision, expires_at_ms });

/// Who did it and why, as the command claimed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cause {
    actor: String,
    reason: String,
    reference: String,
}

from_wire!(Cause { actor, reason, reference });

/// One entry of a shard's change log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Event {
    shard: u32,
    /// 1 for a shard's first event, then without gaps.
    seq: u64,
    /// Log time, in milliseconds since the Unix epoch.
    time_ms: u64,
    /// What happened.
    #[schema(example = "stock.received")]
    kind: String,
    /// The command that caused it; not there: time did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    command_id: Option<IdText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reservation: Option<EventReservation>,
    /// Each SKU, location and lot once.
    changes: Vec<StockChange>,
    /// BLAKE3 of the hash before and the encoded event.
    hash: Hex,
    prev_hash: Hex,
    #[serde(flatten)]
    subject: EventSubject,
}

from_wire!(Event { shard, seq, time_ms, kind, command_id, cause, reservation, changes, hash, prev_hash, subject });

/// Some events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPageShown {
    /// In order within each shard. There may be none, and yet more to come.
    items: Vec<Event>,
    /// Where to go on, now or later.
    #[schema(example = "0=17,1=204")]
    next_cursor: String,
    /// There is more already.
    more: bool,
    /// What is missing before `items`: it is not kept any more where this was read.
    gaps: Vec<EventGap>,
}

/// Events that are missing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventGap {
    shard: u32,
    /// The first that is missing,
    from_seq: u64,
    /// and the last.
    to_seq: u64,
}

/// Shards and sequences of events that are missing before a table.
const GAPS: HeaderName = HeaderName::from_static("holdfast-gaps");

/// Events as a table, a row for each change of quantities; `about` has what else an event is about, as JSON.
const SHEET: Sheet = Sheet {
    name: "events",
    each: Some("changes"),
    columns: &[
        "shard",
        "seq",
        "time_ms",
        "kind",
        "command_id",
        "cause.actor",
        "cause.reason",
        "cause.reference",
        "reservation.reservation_id",
        "reservation.state",
        "reservation.revision",
        "reservation.expires_at_ms",
        "changes.sku",
        "changes.location_id",
        "changes.lot_id",
        "changes.delta.on_hand",
        "changes.delta.reserved",
        "changes.delta.committed",
        "changes.delta.damaged",
        "changes.delta.quality_control",
        "changes.after.on_hand",
        "changes.after.reserved",
        "changes.after.committed",
        "changes.after.damaged",
        "changes.after.quality_control",
        "changes.atp_after",
        "changes.revision",
        "about",
        "hash",
        "prev_hash",
    ],
};

/// A page of what happened, or all that happens, by `Accept`.
pub(crate) async fn events(asked: Asked) -> Result<Response, Problem> {
    // A form that the address asks for is one of a page.
    let is_live = !asked.has_query("format") && preferred(&asked.headers, &[JSON, EVENTS, CSV]) == EVENTS;
    let mut response =
        if is_live { crate::live::stream_events(asked).await? } else { list_events(asked).await?.into_response() };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// What a page and a stream of events may be asked for alike.
pub(crate) const FILTERS: [&str; 8] =
    ["shard", "sku", "reservation_id", "actor", "reference", "kind", "from_ms", "until_ms"];

/// What happened, oldest first within each shard, after a cursor: the last events that were seen.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(("cursor" = Option<String>, Query, description = "The `next_cursor` of a page before; not said: from the first event that is kept"),
           ("shard" = Option<u32>, Query, description = "Only of this shard"),
           ("from_seq" = Option<u64>, Query, description = "With `shard` and no cursor: from this event on"),
           ("sku" = Option<String>, Query, description = "Only of this SKU"),
           ("reservation_id" = Option<String>, Query, description = "Only of this reservation"),
           ("actor" = Option<String>, Query, description = "Only of what this actor did"),
           ("reference" = Option<String>, Query, description = "Only with this document"),
           ("kind" = Option<String>, Query, description = "Only of these kinds, with commas between; `stock.` is all that begin so"),
           ("from_ms" = Option<u64>, Query, description = "At this log time or later"),
           ("until_ms" = Option<u64>, Query, description = "Before this log time"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Events of a page, 100 if not said", minimum = 1, maximum = 500)),
    responses((status = 200,
        description = "A page; to `Accept: text/event-stream` what `/v1/events/stream` answers, without an end",
        body = EventPageShown)))]
pub(crate) async fn list_events(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&[&FILTERS[..], &["cursor", "from_seq", "format", "limit"]].concat())?;
    let (client, limit, filter) = (asked.client()?, page_limit(&asked)?, filter_of(&asked)?);
    let mut cursor = asked.query_text("cursor").map(Cursor::read).transpose()?.unwrap_or_default();
    let shards = shards_of(&asked, &client.routing().shards, &mut cursor)?;
    // Each shard has its part of a page, so that a busy one does not keep the others from being read; where there are more shards than
    // entries, those that find no room have it on a later page, which begins with another one.
    let first = cursor.0.values().fold(0, |sum: u64, seq| sum.wrapping_add(*seq)) as usize % shards.len().max(1);
    let turn: Vec<u32> = shards.iter().cycle().skip(first).take(shards.len()).copied().collect();
    let share = (limit as usize / turn.len().max(1)).max(1) as u32;
    let reads = turn.into_iter().map(|shard| {
        let after = cursor.0.get(&shard).copied();
        let (client, filter, asked) = (&client, &filter, &asked);
        async move {
            let reader = asked.reader(client, Some(shard))?;
            let page = reader.some_events(shard, after.map_or(0, |seq| seq.saturating_add(1)), share, filter).await?;
            Ok::<_, Problem>((shard, after, page))
        }
    });
    let pages: Vec<_> = futures_util::stream::iter(reads).buffered(READS_AT_ONCE).collect().await;
    let mut shown = EventPageShown { items: Vec::new(), next_cursor: String::new(), more: false, gaps: Vec::new() };
    let mut tokens = Tokens::default();
    for page in pages {
        let (shard, after, Read { value, freshness }) = page?;
        freshness.token.into_iter().for_each(|token| tokens.add(token));
        let EventPage { events, next_seq, first_kept_seq } = value;
        if !events.is_empty() && shown.items.len() + events.len() > limit as usize {
            shown.more = true;
            continue;
        }
        if let Some(after) = after.filter(|after| after.saturating_add(1) < first_kept_seq) {
            shown.gaps.push(EventGap { shard, from_seq: after + 1, to_seq: first_kept_seq - 1 });
        }
        shown.more |= next_seq.is_some();
        let seen = events.last().map(|event| event.seq);
        let seen = next_seq.map(|next| next - 1).or(seen).or(after).unwrap_or(first_kept_seq.saturating_sub(1));
        cursor.0.insert(shard, seen);
        shown.items.extend(Vec::<Event>::from_wire(events));
    }
    shown.next_cursor = cursor.text();
    let reply = match form {
        Form::Json => Reply::ok(&shown),
        Form::Csv => as_table(&shown, &asked),
    };
    Ok(reply.seen_all(tokens))
}

/// The page as a table. What is missing before it stands in a header, for a table has no place for it.
fn as_table(page: &EventPageShown, asked: &Asked) -> Reply {
    let entries: Vec<Value> = page.items.iter().map(with_one_place_for_subjects).collect();
    let reply = next_page(SHEET.reply(&entries), asked, Some(&page.next_cursor), page.more);
    let gap = |EventGap { shard, from_seq, to_seq }: &EventGap| format!("{shard}={from_seq}-{to_seq}");
    let gaps: Vec<String> = page.gaps.iter().map(gap).collect();
    if gaps.is_empty() { reply } else { reply.with(GAPS, gaps.join(",")) }
}

/// What an event is about is one of many things: in a table it stands in one column.
fn with_one_place_for_subjects(event: &Event) -> Value {
    let mut told = serde_json::to_value(event).expect("answers have text keys and finite numbers only");
    let has_column = |name: &str| SHEET.columns.iter().any(|column| column.split('.').next() == Some(name));
    if let Value::Object(fields) = &mut told {
        let subjects: Vec<String> = fields.keys().filter(|name| !has_column(name)).cloned().collect();
        let subjects: Map<String, Value> =
            subjects.into_iter().filter_map(|name| Some((name.clone(), fields.remove(&name)?))).collect();
        if !subjects.is_empty() {
            fields.insert("about".to_owned(), Value::Object(subjects));
        }
    }
    told
}

/// The shards that are read: one, or all; and where the one begins.
fn shards_of(asked: &Asked, all: &[(u32, Option<u64>)], cursor: &mut Cursor) -> Result<Vec<u32>, Problem> {
    let all: Vec<u32> = all.iter().map(|(shard, _)| *shard).collect();
    cursor.only_of(&all)?;
    let from_seq = asked.query_number::<u64>("from_seq")?;
    let Some(shard) = asked.query_number::<u32>("shard")? else {
        return match from_seq {
            None => Ok(all),
            Some(_) => Err(Problem::invalid("from_seq", "is of one shard: name it in `shard`")),
        };
    };
    check_shard(shard, &all)?;
    if let Some(from_seq) = from_seq {
        if !cursor.0.is_empty() {
            return Err(Problem::invalid("from_seq", "and a cursor both say where to begin"));
        }
        cursor.0.insert(shard, from_seq.saturating_sub(1));
    }
    Ok(vec![shard])
}

pub(crate) fn check_shard(shard: u32, all: &[u32]) -> Result<(), Problem> {
    let last = all.iter().max().copied().unwrap_or(0);
    let none = || Problem::invalid("shard", format!("the cluster has no shard {shard}: they are 0 to {last}"));
    all.contains(&shard).then_some(()).ok_or_else(none)
}

/// Which events the query asks for.
pub(crate) fn filter_of(asked: &Asked) -> Result<v1::EventFilter, Problem> {
    let text = |name| asked.query_text(name).unwrap_or_default().to_owned();
    let number = |name| Ok::<_, Problem>(asked.query_number::<u64>(name)?.unwrap_or(0));
    let id = asked.query_text("reservation_id").map(|id| reservation_id(id, "reservation_id")).transpose()?;
    let kinds: Vec<String> =
        asked.query_text("kind").into_iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect();
    if let Some(bad) = kinds.iter().find(|kind| kind.is_empty()) {
        return Err(Problem::invalid("kind", format!("`{}` is no kind", shortened(bad))));
    }
    Ok(v1::EventFilter {
        sku: text("sku"),
        reservation_id: id.map(Into::into),
        command_id: None,
        actor: text("actor"),
        reference: text("reference"),
        kinds,
        from_ms: number("from_ms")?,
        until_ms: number("until_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_what_it_is_about_as_the_proto_does() {
        let lot = v1::LotEvent { sku: "A".to_owned(), lot_id: "L1".to_owned(), status: 2, revision: 3 };
        let event = v1::Event {
            shard: 1,
            seq: 7,
            kind: "lot.blocked".to_owned(),
            hash: vec![0xab],
            subject: Some(v1::event::Subject::Lot(lot)),
            ..v1::Event::default()
        };
        let shown = serde_json::to_value(Event::from_wire(event)).expect("it is JSON");
        assert_eq!(shown["lot"]["status"], "on_hold");
        assert_eq!((&shown["hash"], shown.get("item")), (&"ab".into(), None));
    }

    #[test]
    fn a_table_has_every_field_and_one_column_for_what_an_event_is_about() {
        let change = v1::StockChange {
            delta: Some(v1::StockDelta::default()),
            after: Some(v1::StockQuantities::default()),
            ..v1::StockChange::default()
        };
        let lot = v1::LotEvent { sku: "A".to_owned(), lot_id: "L1".to_owned(), status: 2, revision: 3 };
        let event = v1::Event {
            command_id: Some(v1::Id::default()),
            cause: Some(v1::Cause::default()),
            reservation: Some(v1::EventReservation::default()),
            changes: vec![change],
            subject: Some(v1::event::Subject::Lot(lot)),
            ..v1::Event::default()
        };
        let mut told = with_one_place_for_subjects(&Event::from_wire(event));
        assert_eq!(told["about"]["lot"]["lot_id"], "L1");
        told["about"] = "as one".into();
        crate::sheet::tests::has_every_field(&SHEET, &told, &[]);
    }
}
