//! `GET /v1/events` as server-sent events, and `/v1/events/stream`, which is the same whatever is accepted.
//!
//! Each message of the kind `event` is one event; where a message carries an id it is the cursor over all shards behind all that was sent
//! until then, which a browser sends back as `Last-Event-ID` by itself. So an event may come twice (shard and seq tell), and none is left
//! out without a message of the kind `gap`. A message of the kind `idle` says that there is no more up to its id.

use axum::http::HeaderMap;
use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Client, EventWatch};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::cut::Teller;
use super::described::StreamMessage;
use super::follow::{Followed, Told};
use crate::asked::Asked;
use crate::cursor::Cursor;
use crate::events::{FILTERS, check_shard, filter_of};
use crate::problem::Problem;

/// The header in which a browser says where it was.
const LAST_ID: &str = "last-event-id";
/// Longest cursor.
const CURSOR_BYTES: usize = 64 * 1_024;

/// What happens, as server-sent events: each as a message of the kind `event`, in order within its shard. The id of a message is where to go
/// on: browsers send it back as `Last-Event-ID` by themselves, to any node. The same is `/v1/events` to who accepts `text/event-stream`.
#[utoipa::path(get, path = "/v1/events/stream", tag = "live", operation_id = "stream_events",
    params(("cursor" = Option<String>, Query, description = "The id of a message or the `next_cursor` of a page; not said: from now on"),
           ("shard" = Option<u32>, Query, description = "Only of this shard"),
           ("sku" = Option<String>, Query, description = "Only of this SKU"),
           ("reservation_id" = Option<String>, Query, description = "Only of this reservation"),
           ("actor" = Option<String>, Query, description = "Only of what this actor did"),
           ("reference" = Option<String>, Query, description = "Only with this document"),
           ("kind" = Option<String>, Query, description = "Only of these kinds, with commas between; `stock.` is all that begin so"),
           ("from_ms" = Option<u64>, Query, description = "At this log time or later"),
           ("until_ms" = Option<u64>, Query, description = "Before this log time"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message; counts before `cursor`")),
    responses((status = 200, description = "Messages, without an end", body = StreamMessage, content_type = "text/event-stream")))]
pub(crate) async fn stream_events(asked: Asked) -> Result<Response, Problem> {
    asked.only_query(&[&FILTERS[..], &["cursor"]].concat())?;
    let filter = filter_of(&asked)?;
    let cursor = cursor(&asked.headers, asked.query_text("cursor"))?;
    let client = asked.client()?;
    let all: Vec<u32> = client.routing().shards.into_iter().map(|(shard, _)| shard).collect();
    let shards: Vec<u32> = asked.query_number("shard")?.into_iter().collect();
    if let [shard] = shards[..] {
        check_shard(shard, &all)?;
    }
    if let Some(cursor) = &cursor {
        cursor.only_of(if shards.is_empty() { &all } else { &shards })?;
    }
    let place = asked.web.readers.event_reader()?;
    let (teller, told) = Teller::channel(asked.web.let_go);
    let cursor = cursor.map(|cursor| cursor.text()).unwrap_or_default();
    tokio::spawn(tell(client, EventWatch { cursor, shards, filter }, teller, place));
    Ok(Sse::new(told).into_response())
}

/// Where to go on: what a browser says counts, which has seen more than the address it was opened with.
fn cursor(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Cursor>, Problem> {
    last_id(headers)?.or(query).map(Cursor::read).transpose()
}

/// The id of the last message that a reader has.
pub(super) fn last_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let told = headers.get(LAST_ID).map(|id| id.to_str()).transpose();
    match told {
        Ok(told) if told.is_none_or(|told| told.len() <= CURSOR_BYTES) => Ok(told.filter(|told| !told.is_empty())),
        _ => Err(Problem::invalid("Last-Event-ID", "is none of ours: send the id of the last message, or nothing")),
    }
}

async fn tell(client: Client, watch: EventWatch, teller: Teller, _place: OwnedSemaphorePermit) {
    let mut events = Followed::new(&client, watch);
    loop {
        let told = tokio::select! {
            biased;
            () = teller.gone() => return,
            told = events.next() => told,
        };
        let Some(told) = told else { return };
        for told in told {
            if !teller.tell(message(told)).await {
                return;
            }
        }
    }
}

fn message(told: Told) -> Message {
    match told {
        Told::Event(event) => Message::default().event("event").data(json!(event).to_string()),
        Told::Gap(gap) => Message::default().event("gap").data(gap.to_string()),
        Told::Cursor(cursor) => Message::default().event("cursor").id(cursor).data("{}"),
        Told::Idle(cursor) => Message::default().event("idle").id(cursor).data("{}"),
        Told::Problem(problem) => {
            let message = Message::default().event("problem").data(String::from_utf8_lossy(&problem.body()));
            // A browser that comes again with the same id would be told the same: it forgets it.
            if problem.field == "cursor" { message.id("") } else { message }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_browser_has_seen_counts_before_the_address() {
        let headers: HeaderMap = [(LAST_ID.parse().unwrap(), HeaderValue::from_static("0=7"))].into_iter().collect();
        let at = |seq| Ok(Some(Cursor([(0, seq)].into())));
        assert_eq!(cursor(&headers, Some("0=3")), at(7));
        assert_eq!(cursor(&HeaderMap::new(), Some("0=3")), at(3));
        assert_eq!(cursor(&HeaderMap::new(), None), Ok(None));
        assert_eq!(cursor(&HeaderMap::new(), Some("x")).unwrap_err().field, "cursor");
        let long: HeaderMap =
            [(LAST_ID.parse().unwrap(), HeaderValue::from_str(&"9".repeat(70_000)).unwrap())].into_iter().collect();
        assert_eq!(cursor(&long, None).unwrap_err().field, "Last-Event-ID");
    }
}
