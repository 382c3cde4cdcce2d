//! `GET /v1/ws` and the same of the public: what may be promised, by WebSocket.
//!
//! A reader says `{"subscribe": {"skus": […], "categories": […], "campaigns": […]}}` or `{"unsubscribe": {"skus": […]}}`, as often as it
//! likes, and is told what there is now of what is new, then what changes. In the back office it may also say `{"follow": {"cursor": "…"}}`,
//! and is told what happens, from there on.

use std::collections::BTreeSet;
use std::sync::Arc;

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

use super::follow::{Followed, Told};
use super::hub::{Heard, Listener};
use super::said::Said;
use super::stream::{BEGINS, now};
use super::wanted::Wanted;
use super::{IDLE, SLOW};
use crate::Shown;
use crate::Web;
use crate::cursor::Cursor;
use crate::problem::Problem;

/// Longest message of a reader: a thousand SKUs.
const MESSAGE_BYTES: usize = 128 * 1_024;

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
    let listener = web.hub.listen(&client);
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| {
        let skus = BTreeSet::new();
        let reader = Reader { web, socket, client, listener, shown, has_events, skus, events: None, _place: place };
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
    listener: Listener,
    shown: Shown,
    /// Events are not for everybody.
    has_events: bool,
    skus: BTreeSet<String>,
    /// The events that it follows.
    events: Option<mpsc::Receiver<Told>>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn serve(mut self) {
        // What is told of now is not older than what is heard from then on.
        let _since = self.listener.begun(BEGINS).await;
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
                heard = self.listener.next() => {
                    let skus = self.skus.clone();
                    match heard {
                        Heard::Changes(news) => self.tell(&news.changes, &skus, &mut idle).await,
                        Heard::Missed(_) => {
                            let now = now(&self.client, &skus).await;
                            self.tell(&now, &skus, &mut idle).await
                        }
                    }
                }
                told = next_of(&mut self.events) => {
                    idle.reset();
                    self.tell_of_events(told).await
                }
                _ = idle.tick() => self.send(json!({ "type": "idle" }).to_string()).await,
            };
            if !is_there {
                return;
            }
        }
    }

    /// Does what the reader says; what it cannot be is told, and the reader stays.
    async fn heed(&mut self, text: &str) -> bool {
        let asks = serde_json::from_str::<Asks>(text).map_err(|error| Problem::invalid("", error.to_string()));
        let new = match asks {
            Ok(Asks::Subscribe(wanted)) => wanted.skus(&self.client, &self.skus).await,
            Ok(Asks::Unsubscribe(wanted)) => {
                let gone = wanted.skus(&self.client, &BTreeSet::new()).await;
                gone.map(|gone| self.skus.retain(|sku| !gone.contains(sku))).map(|()| BTreeSet::new())
            }
            Ok(Asks::Follow(follows)) => return self.follow(follows).await,
            Ok(Asks::Unfollow(Nothing {})) => {
                self.events = None;
                return true;
            }
            Err(problem) => Err(problem),
        };
        match new {
            Ok(new) => {
                self.skus.extend(new.iter().cloned());
                let is_told = self.send(json!({ "type": "subscribed", "skus": self.skus.len() }).to_string()).await;
                let news = now(&self.client, &new).await;
                is_told && self.tell_all(&news, &new).await
            }
            Err(problem) => self.refuse(&problem).await,
        }
    }

    async fn refuse(&mut self, problem: &Problem) -> bool {
        self.send(json!({ "type": "problem", "problem": problem }).to_string()).await
    }

    async fn follow(&mut self, follows: Follows) -> bool {
        match self.followed(follows) {
            Ok(events) => {
                self.events = Some(events);
                true
            }
            Err(problem) => self.refuse(&problem).await,
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
        // What it followed before makes room.
        self.events = None;
        let place = self.web.readers.event_reader()?;
        let filter = v1::EventFilter { sku, kinds, ..v1::EventFilter::default() };
        let watch = EventWatch { cursor, shards: Vec::new(), filter };
        Ok(Followed::new(&self.client, watch).told_by_a_task(place))
    }

    async fn tell_of_events(&mut self, told: Option<Told>) -> bool {
        let said = match told {
            Some(Told::Event(event)) => json!({ "type": "event", "event": event }),
            Some(Told::Gap(gap)) => json!({ "type": "gap", "gap": gap }),
            Some(Told::Cursor(cursor) | Told::Idle(cursor)) => json!({ "type": "cursor", "cursor": cursor }),
            Some(Told::Problem(problem)) => return self.refuse(&problem).await,
            None => {
                self.events = None;
                return true;
            }
        };
        self.send(said.to_string()).await
    }

    async fn tell(
        &mut self,
        news: &[v1::AvailabilityChange],
        skus: &BTreeSet<String>,
        idle: &mut tokio::time::Interval,
    ) -> bool {
        if news.iter().any(|change| skus.contains(&change.sku)) {
            idle.reset();
        }
        self.tell_all(news, skus).await
    }

    async fn tell_all(&mut self, news: &[v1::AvailabilityChange], skus: &BTreeSet<String>) -> bool {
        for change in news.iter().filter(|change| skus.contains(&change.sku)) {
            if !self.send(json!(Said::of(change, self.shown)).to_string()).await {
                return false;
            }
        }
        true
    }

    /// Sends one message; false: the reader is gone, or takes nothing.
    async fn send(&mut self, text: String) -> bool {
        match timeout(SLOW, self.socket.send(Message::Text(text.into()))).await {
            Ok(sent) => sent.is_ok(),
            Err(_) => {
                tracing::info!("a reader of live updates took nothing, and was cut off");
                false
            }
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) -> bool {
        let frame = CloseFrame { code, reason: reason.into() };
        let _gone = timeout(SLOW, self.socket.send(Message::Close(Some(frame)))).await;
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
