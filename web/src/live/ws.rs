//! `GET /v1/ws` and the same of the public: what may be promised, by WebSocket.
//!
//! A reader says `{"subscribe": {"skus": […], "categories": […], "campaigns": […]}}` or `{"unsubscribe": {"skus": […]}}`, as often as it
//! likes, and is told what there is now of what is new, then what changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use holdfast_client::Client;
use holdfast_proto::v1;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, interval, timeout};
use utoipa::ToSchema;

use super::hub::{Heard, Listener};
use super::said::Said;
use super::stream::{BEGINS, now};
use super::wanted::Wanted;
use super::{IDLE, SLOW};
use crate::Shown;
use crate::Web;
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
}

/// What may be promised, by WebSocket, for SKUs that come and go: a reader says of which it wants to hear, as often as it likes. A node takes
/// nothing that a reader had before: it says again what it wants.
#[utoipa::path(get, path = "/v1/ws", tag = "live", operation_id = "open_socket",
    responses((status = 101, description = "A WebSocket, whose messages are JSON in text")))]
pub(crate) async fn back_office(State(web): State<Arc<Web>>, request: Request) -> Result<Response, Problem> {
    upgrade(web, request, Shown::Exact).await
}

/// The same for customers: of a quantity as much as the settings show.
#[utoipa::path(get, path = "/public/v1/ws", tag = "live", operation_id = "open_public_socket",
    responses((status = 101, description = "A WebSocket, whose messages are JSON in text")))]
pub(crate) async fn public(State(web): State<Arc<Web>>, request: Request) -> Result<Response, Problem> {
    let shown = web.shown;
    upgrade(web, request, shown).await
}

async fn upgrade(web: Arc<Web>, request: Request, shown: Shown) -> Result<Response, Problem> {
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
        let reader = Reader { socket, client, listener, shown, skus: BTreeSet::new(), _place: place };
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
    socket: WebSocket,
    client: Client,
    listener: Listener,
    shown: Shown,
    skus: BTreeSet<String>,
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
            Err(problem) => Err(problem),
        };
        match new {
            Ok(new) => {
                self.skus.extend(new.iter().cloned());
                let is_told = self.send(json!({ "type": "subscribed", "skus": self.skus.len() }).to_string()).await;
                let news = now(&self.client, &new).await;
                is_told && self.tell_all(&news, &new).await
            }
            Err(problem) => self.send(json!({ "type": "problem", "problem": problem }).to_string()).await,
        }
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
    fn what_a_reader_says_is_one_of_two_things() {
        assert!(
            matches!(serde_json::from_str(r#"{"subscribe":{"skus":["A"]}}"#), Ok(Asks::Subscribe(wanted)) if wanted.skus == ["A"])
        );
        assert!(matches!(serde_json::from_str(r#"{"unsubscribe":{"campaigns":["x"]}}"#), Ok(Asks::Unsubscribe(_))));
        for other in ["{}", "[]", r#"{"subscribe":{"sku":["A"]}}"#, r#"{"subscribe":{},"unsubscribe":{}}"#] {
            assert!(serde_json::from_str::<Asks>(other).is_err(), "{other}");
        }
    }
}
