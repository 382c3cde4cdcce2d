//! `GET /v1/ws` and the same of the public: what may be promised, by WebSocket.
//!
//! A reader says `{"subscribe": {"skus": […], "categories": […], "campaigns": […]}}` or `{"unsubscribe": {"skus": […]}}`, as often as it
//! likes, and is told what there is now of what is new, then what changes. In the back office it may also say `{"follow": {"cursor": "…"}}`,
//! and is told what happens, from there on.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use holdfast_client::{Client, EventWatch};
use holdfast_proto::v1;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use utoipa::ToSchema;

use super::IDLE;
use super::feed::{Feed, Next};
use super::follow::{Followed, Told};
use super::said::Said;
use super::wanted::Wanted;
use crate::Shown;
use crate::Web;
use crate::cursor::Cursor;
use crate::problem::Problem;

/// Longest message of a reader: a thousand SKUs.
const MESSAGE_BYTES: usize = 128 * 1_024;

/// Who takes nothing for so long is cut off: before the node's listener ends its connection, so that it may be told why.
const SLOW: Duration = Duration::from_secs(10);
/// How long it is tried to tell that.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a reader says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = LiveAsk)]
pub(crate) enum Asks {
    Subscribe(Wanted),
    Unsubscribe(Wanted),
    /// In the back office alone; said again, it begins anew.
    Follow(Follows),
    /// No events any more.
    Unfollow(Nothing),
}

/// Of which events a reader wants to hear.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LiveFollow)]
pub(crate) struct Follows {
    /// The last one that it was told; empty: from now on.
    cursor: String,
    /// Only of this SKU.
    sku: String,
    /// Only of these kinds; `stock.` is all that begin so.
    kinds: Vec<String>,
}

/// An object with nothing in it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LiveNothing)]
pub(crate) struct Nothing {}

/// What may be promised, and what happens, by WebSocket: a reader says of which SKUs it wants to hear, as often as it likes, and from which cursor
/// on of events. A node takes nothing that a reader had before: it says again what it wants.
#[utoipa::path(get, path = "/v1/ws", tag = "live", operation_id = "open_socket",
    responses((status = 101, description = "A WebSocket, whose messages are JSON in text")))]
pub(crate) async fn back_office(State(web): State<Arc<Web>>, request: Request) -> Result<Response, Problem> {
    upgrade(web, request, Shown::Exact, true).await
}

/// The same for customers: of a quantity as much as the settings show.
#[utoipa::path(get, path = "/public/v1/ws", tag = "live", operation_id = "open_public_socket",
    responses((status = 101, description = "A WebSocket, whose messages are JSON in text")))]
pub(crate) async fn public(State(web): State<Arc<Web>>, request: Request) -> Result<Response, Problem> {
    let shown = web.shown;
    upgrade(web, request, shown, false).await
}

async fn upgrade(web: Arc<Web>, request: Request, shown: Shown, has_events: bool) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    check_origin(&parts.headers)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &web)
        .await
        .map_err(|error| Problem::invalid("Upgrade", format!("this is for WebSockets: {error}")))?;
    let client = web.client()?;
    let place = web.readers.reader()?;
    let feed = Feed::new(&web, client.clone(), shown);
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| {
        let reader = Reader { web, socket, client, feed, has_events, events: None, events_place: None, _place: place };
        reader.serve()
    }))
}

/// A browser says which page a WebSocket is of, and asks nobody whether it may: another site's page may not.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of_page = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if host.is_some() && of_page == host {
        return Ok(());
    }
    Err(Problem::invalid("Origin", "is another site's: a WebSocket is for pages of this address").with_status(403))
}

struct Reader {
    web: Arc<Web>,
    socket: WebSocket,
    client: Client,
    feed: Feed,
    /// Events are not for everybody.
    has_events: bool,
    /// The events that it follows.
    events: Option<mpsc::Receiver<Told>>,
    /// Its place among those who follow some: the one that it has serves for what it follows next.
    events_place: Option<Arc<OwnedSemaphorePermit>>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn serve(mut self) {
        let mut idle = interval(IDLE);
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_there = tokio::select! {
                biased;
                asks = self.socket.recv() => match asks {
                    Some(Ok(Message::Text(text))) => self.heed(text.as_str()).await,
                    Some(Ok(Message::Binary(_))) => self.close(close_code::UNSUPPORTED, "messages are JSON in text").await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                },
                next = self.feed.next() => {
                    idle.reset();
                    self.tell(next).await
                }
                told = next_of(&mut self.events) => {
                    idle.reset();
                    self.tell_of_events(told).await
                }
                // What there is now is being read: there is something to tell.
                _ = idle.tick() => if self.feed.has_told_all() {
                    self.send(json!({ "type": "idle" }).to_string()).await
                } else {
                    self.send_message(Message::Ping(Bytes::new())).await
                },
            };
            if !is_there {
                return;
            }
        }
    }

    /// Does what the reader says; what it cannot be is told, and the reader stays.
    async fn heed(&mut self, text: &str) -> bool {
        let asks = serde_json::from_str::<Asks>(text).map_err(|error| Problem::invalid("", error.to_string()));
        let changed = match asks {
            Ok(Asks::Subscribe(wanted)) => {
                let new = wanted.new_skus(&self.web.readers, &self.client, self.feed.skus()).await;
                new.map(|new| self.feed.add(new, None))
            }
            Ok(Asks::Unsubscribe(wanted)) => {
                let gone = wanted.skus(&self.web.readers, &self.client).await;
                gone.map(|gone| self.feed.remove(&gone))
            }
            Ok(Asks::Follow(follows)) => return self.follow(follows).await,
            Ok(Asks::Unfollow(Nothing {})) => {
                (self.events, self.events_place) = (None, None);
                return true;
            }
            Err(problem) => Err(problem),
        };
        match changed {
            Ok(()) => self.send(json!({ "type": "subscribed", "skus": self.feed.skus().count() }).to_string()).await,
            Err(problem) => self.refuse(problem).await,
        }
    }

    async fn refuse(&mut self, problem: Problem) -> bool {
        let problem = if self.has_events { problem } else { problem.for_public() };
        self.send(json!({ "type": "problem", "problem": problem }).to_string()).await
    }

    async fn follow(&mut self, follows: Follows) -> bool {
        match self.followed(follows) {
            Ok(events) => {
                self.events = Some(events);
                true
            }
            Err(problem) => self.refuse(problem).await,
        }
    }

    fn followed(&mut self, follows: Follows) -> Result<mpsc::Receiver<Told>, Problem> {
        if !self.has_events {
            let detail = "is for the back office: /v1/ws of an address that customers do not reach";
            return Err(Problem::invalid("follow", detail).with_status(403));
        }
        let Follows { cursor, sku, kinds } = follows;
        if !cursor.is_empty() {
            let all: Vec<u32> = self.client.routing().shards.into_iter().map(|(shard, _)| shard).collect();
            Cursor::read(&cursor)?.only_of(&all)?;
        }
        let place = match &self.events_place {
            Some(place) => Arc::clone(place),
            None => Arc::new(self.web.readers.event_reader()?),
        };
        self.events_place = Some(Arc::clone(&place));
        let filter = v1::EventFilter { sku, kinds, ..v1::EventFilter::default() };
        let watch = EventWatch { cursor, shards: Vec::new(), filter };
        Ok(Followed::new(&self.client, watch).told_by_a_task(place))
    }

    async fn tell_of_events(&mut self, told: Option<Told>) -> bool {
        let said = match told {
            Some(Told::Event(event)) => json!({ "type": "event", "event": event }),
            Some(Told::Gap(gap)) => json!({ "type": "gap", "gap": gap }),
            Some(Told::Cursor(cursor) | Told::Idle(cursor)) => json!({ "type": "cursor", "cursor": cursor }),
            Some(Told::Problem(problem)) => return self.refuse(*problem).await,
            None => {
                (self.events, self.events_place) = (None, None);
                return true;
            }
        };
        self.send(said.to_string()).await
    }

    async fn tell(&mut self, next: Next) -> bool {
        match next {
            Next::News { says, .. } => self.tell_all(&says).await,
            Next::Unread(problem) | Next::Refused(problem) => self.refuse(problem).await,
            Next::Over => self.close(close_code::AGAIN, "nothing more is heard here: come again").await,
        }
    }

    async fn tell_all(&mut self, says: &[Said]) -> bool {
        for said in says {
            if !self.send(json!(said).to_string()).await {
                return false;
            }
        }
        true
    }

    /// Sends one message; false: the reader is gone, or takes nothing.
    async fn send(&mut self, text: String) -> bool {
        self.send_message(Message::Text(text.into())).await
    }

    async fn send_message(&mut self, message: Message) -> bool {
        match timeout(SLOW, self.socket.send(message)).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::info!("a reader of live updates took nothing, and was cut off");
                (self.web.let_go)();
                self.close(close_code::AGAIN, "you took nothing for 10 s: come again, and go on with the last cursor")
                    .await
            }
        }
    }

    /// Says why it ends, as far as that is taken.
    async fn close(&mut self, code: u16, reason: &'static str) -> bool {
        let frame = CloseFrame { code, reason: reason.into() };
        let _gone = timeout(GOODBYE, self.socket.send(Message::Close(Some(frame)))).await;
        false
    }
}

/// What is told next of events; `None`: no more. It never comes where nobody follows any.
async fn next_of(events: &mut Option<mpsc::Receiver<Told>>) -> Option<Told> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (name.parse().expect("a name"), axum::http::HeaderValue::from_static(value))
        };
        pairs.iter().map(header).collect::<Vec<(axum::http::HeaderName, _)>>().into_iter().collect()
    }

    #[test]
    fn a_page_of_another_site_opens_no_socket() {
        assert!(check_origin(&headers(&[("host", "shop:7402")])).is_ok(), "no browser");
        assert!(check_origin(&headers(&[("host", "shop:7402"), ("origin", "http://shop:7402")])).is_ok());
        for origin in ["http://evil", "http://shop:9", "null", "http://shop:7402.evil"] {
            let told = check_origin(&headers(&[("host", "shop:7402"), ("origin", origin)]));
            assert_eq!(told.unwrap_err().status, 403, "{origin}");
        }
    }

    #[test]
    fn what_a_reader_says_is_one_of_four_things() {
        assert!(
            matches!(serde_json::from_str(r#"{"subscribe":{"skus":["A"]}}"#), Ok(Asks::Subscribe(wanted)) if wanted.skus == ["A"])
        );
        assert!(matches!(serde_json::from_str(r#"{"unsubscribe":{"campaigns":["x"]}}"#), Ok(Asks::Unsubscribe(_))));
        assert!(
            matches!(serde_json::from_str(r#"{"follow":{"cursor":"0=7"}}"#), Ok(Asks::Follow(it)) if it.cursor == "0=7")
        );
        assert!(matches!(serde_json::from_str(r#"{"unfollow":{}}"#), Ok(Asks::Unfollow(Nothing {}))));
        for other in [
            r#"{"unfollow":{"a":1}}"#,
            "{}",
            "[]",
            r#"{"subscribe":{"sku":["A"]}}"#,
            r#"{"subscribe":{},"unsubscribe":{}}"#,
        ] {
            assert!(serde_json::from_str::<Asks>(other).is_err(), "{other}");
        }
    }
}
