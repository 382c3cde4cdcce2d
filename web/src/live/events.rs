//! `GET /v1/events/stream`: events by server-sent events.
//!
//! Each message of the kind `event` is one event; where a message carries an id it is the cursor over all shards behind all that was sent
//! until then, which a browser sends back as `Last-Event-ID` by itself. So an event may come twice (shard and seq tell), and none is left
//! out without a message of the kind `gap`.

use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Client, EventWatch};
use holdfast_proto::v1;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::cut::Teller;
use crate::asked::Asked;
use crate::problem::Problem;
use crate::ui::event::EventShown;

/// The header in which a browser says where it was.
pub(super) const LAST_ID: &str = "last-event-id";
/// Longest cursor: 256 shards with a sequence each.
const CURSOR_BYTES: usize = 8_192;

/// See the module.
pub(super) async fn stream(asked: Asked) -> Result<Response, Problem> {
    asked.only_query(&["cursor", "sku", "kind"])?;
    let cursor = cursor(&asked.headers, asked.query_text("cursor"))?;
    let kinds = asked.query_text("kind").map(|kinds| kinds.split(',').map(str::to_owned).collect());
    let filter = v1::EventFilter {
        sku: asked.query_text("sku").unwrap_or_default().to_owned(),
        kinds: kinds.unwrap_or_default(),
        ..v1::EventFilter::default()
    };
    let client = asked.client()?;
    let place = asked.web.readers.event_reader()?;
    let (teller, told) = Teller::channel();
    tokio::spawn(tell(client, EventWatch { cursor, shards: Vec::new(), filter }, teller, place));
    Ok(Sse::new(told).into_response())
}

/// Where to go on: what a browser says counts, which has seen more than the address it was opened with.
pub(super) fn cursor(headers: &HeaderMap, query: Option<&str>) -> Result<String, Problem> {
    let told = headers.get(LAST_ID).map(|id| id.to_str().map_err(|_| bad_cursor())).transpose()?;
    let cursor = told.or(query).unwrap_or_default();
    if cursor.len() > CURSOR_BYTES { Err(bad_cursor()) } else { Ok(cursor.to_owned()) }
}

fn bad_cursor() -> Problem {
    Problem::invalid("cursor", "is none: send the id of the last message, or nothing for what happens from now on")
}

async fn tell(client: Client, watch: EventWatch, teller: Teller, _place: OwnedSemaphorePermit) {
    let mut watch = client.watch_events(watch);
    loop {
        let answer = tokio::select! {
            biased;
            () = teller.gone() => return,
            answer = watch.next() => answer,
        };
        let messages = match answer {
            Ok(answer) => messages(answer),
            // A cursor that is none, or no node that serves: the reader comes again from where it was.
            Err(error) => {
                let problem = Problem::from(error);
                let ends = problem.status == 400;
                let told = Event::default().event("problem").data(String::from_utf8_lossy(&problem.body()));
                if !teller.tell(told).await || ends {
                    return;
                }
                continue;
            }
        };
        for message in messages {
            if !teller.tell(message).await {
                return;
            }
        }
    }
}

fn messages(answer: v1::WatchEventsResponse) -> Vec<Event> {
    let v1::WatchEventsResponse { events, cursor, gap } = answer;
    let mut messages = Vec::with_capacity(events.len() + 1);
    if let Some(v1::EventGap { shard, from_seq, to_seq }) = gap {
        let gap = json!({ "shard": shard, "from_seq": from_seq, "to_seq": to_seq });
        messages.push(Event::default().event("gap").data(gap.to_string()));
    }
    let shown = events.into_iter().map(EventShown::of);
    messages.extend(shown.map(|event| Event::default().event("event").data(json!(event).to_string())));
    // Behind all of them: what is cut before it comes again.
    messages.push(Event::default().event("cursor").id(cursor).data("{}"));
    messages
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_a_browser_has_seen_counts_before_the_address() {
        let headers: HeaderMap = [(LAST_ID.parse().unwrap(), HeaderValue::from_static("0=7"))].into_iter().collect();
        assert_eq!(cursor(&headers, Some("0=3")), Ok("0=7".to_owned()));
        assert_eq!(cursor(&HeaderMap::new(), Some("0=3")), Ok("0=3".to_owned()));
        assert_eq!(cursor(&HeaderMap::new(), None), Ok(String::new()));
        assert_eq!(cursor(&HeaderMap::new(), Some(&"9".repeat(9_000))).unwrap_err().field, "cursor");
    }

    #[test]
    fn the_cursor_comes_behind_all_that_it_stands_for() {
        let event = |seq| v1::Event { shard: 2, seq, kind: "stock.received".to_owned(), ..v1::Event::default() };
        let gap = Some(v1::EventGap { shard: 2, from_seq: 1, to_seq: 4 });
        let told = messages(v1::WatchEventsResponse { events: vec![event(5), event(6)], cursor: "2=6".into(), gap });
        let text: Vec<String> = told.iter().map(|message| format!("{message:?}")).collect();
        assert_eq!(text.len(), 4);
        assert!(text[0].contains("gap") && text[3].contains("2=6"), "{text:?}");
        assert!(text[..3].iter().all(|message| !message.contains("id: ")), "{text:?}");
    }
}
