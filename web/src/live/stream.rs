//! `GET /v1/availability/stream` and the same of the public: what may be promised of some SKUs, by server-sent events.
//!
//! The first messages tell what there is now; to who comes back with an id, what has changed since, or behind a message of the kind `reset`
//! everything there is now. A message of the kind `idle` comes where there is nothing to tell. Customers are told no ids: those would say
//! how much the shop sells, and have anybody read its change logs.

use axum::extract::RawQuery;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::IDLE;
use super::cut::Teller;
use super::described::StreamMessage;
use super::events::last_id;
use super::feed::{Feed, Next};
use super::said::Said;
use super::subscribed::Subscribed;
use super::wanted::Wanted;
use crate::Shown;
use crate::asked::Asked;
use crate::cursor::Cursor;
use crate::problem::Problem;

/// What may be promised of SKUs, as server-sent events: first of each what there is now, then each change, a quarter of a second's together.
/// The id of a message is where to go on: browsers send it back as `Last-Event-ID` by themselves, to any node.
#[utoipa::path(get, path = "/v1/availability/stream", tag = "live", operation_id = "stream_availability",
    params(("sku" = Option<String>, Query, description = "SKUs, with commas between; or said once for each. A comma of a name is `%2C`"),
           ("category" = Option<String>, Query, description = "Categories, the same way: the SKUs that they have now, but for kits"),
           ("campaign" = Option<String>, Query, description = "Campaigns, the same way: the SKUs that they have now"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message: told is what has changed since")),
    responses((status = 200, description = "Messages, without an end", body = StreamMessage, content_type = "text/event-stream")))]
pub(crate) async fn back_office(RawQuery(query): RawQuery, asked: Asked) -> Result<Response, Problem> {
    let after = last_id(&asked.headers)?.map(Cursor::read).transpose();
    let after = after.map_err(|problem| Problem { field: "Last-Event-ID".to_owned(), ..problem })?;
    if let Some(after) = &after {
        let shards: Vec<u32> = asked.client()?.routing().shards.into_iter().map(|(shard, _)| shard).collect();
        after.only_of(&shards).map_err(|problem| Problem { field: "Last-Event-ID".to_owned(), ..problem })?;
    }
    stream(query, asked, Shown::Exact, Ids::Told(after)).await
}

/// The same for customers: of a quantity as much as the settings show, and whoever comes again is told what there is now.
#[utoipa::path(get, path = "/public/v1/availability/stream", tag = "live", operation_id = "stream_public_availability",
    params(("sku" = Option<String>, Query, description = "SKUs, with commas between; or said once for each. A comma of a name is `%2C`"),
           ("category" = Option<String>, Query, description = "Categories, the same way: the SKUs that they have now, but for kits"),
           ("campaign" = Option<String>, Query, description = "Campaigns, the same way: the SKUs that they have now")),
    responses((status = 200, description = "Messages, without an end", body = StreamMessage, content_type = "text/event-stream")))]
pub(crate) async fn public(RawQuery(query): RawQuery, asked: Asked) -> Result<Response, Problem> {
    let shown = asked.web.shown;
    stream(query, asked, shown, Ids::None).await.map_err(Problem::for_public)
}

/// Whether messages have ids, and the last that the reader has.
enum Ids {
    Told(Option<Cursor>),
    None,
}

async fn stream(query: Option<String>, asked: Asked, shown: Shown, ids: Ids) -> Result<Response, Problem> {
    let wanted = Wanted::of_query(query.as_deref().unwrap_or_default())?;
    let client = asked.client()?;
    let web = &asked.web;
    let place = web.readers.reader()?;
    let skus = wanted.new_skus(&web.readers, &client, &Subscribed::default()).await?;
    let mut feed = Feed::new(web, client, shown);
    let (after, has_ids) = match ids {
        Ids::Told(after) => (after, true),
        Ids::None => (None, false),
    };
    feed.add(skus, after);
    let (teller, told) = Teller::channel(web.let_go);
    let mut idle = interval(IDLE);
    idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(Reader { feed, has_ids, teller, idle, _place: place }.serve());
    Ok(Sse::new(told).into_response())
}

/// Whoever it was told to is gone, or there is nothing more to tell it.
struct Gone;

struct Reader {
    feed: Feed,
    has_ids: bool,
    teller: Teller,
    idle: Interval,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn serve(mut self) {
        loop {
            let told = tokio::select! {
                biased;
                () = self.teller.gone() => return,
                next = self.feed.next() => self.tell(next).await,
                _ = self.idle.tick() => self.tell_idle().await,
            };
            if let Err(Gone) = told {
                return;
            }
        }
    }

    async fn tell(&mut self, next: Next) -> Result<(), Gone> {
        match next {
            Next::News { says, is_reset } => {
                if is_reset {
                    let why =
                        json!({ "detail": "what happened until now is not known here; this is all there is now" });
                    self.send(Event::default().event("reset").data(why.to_string())).await?;
                }
                if says.is_empty() && !is_reset { self.tell_idle().await } else { self.tell_all(&says).await }
            }
            Next::Unread(problem) => self.send(Event::default().event("problem").data(text(&problem))).await,
            Next::Refused(problem) => {
                self.send(Event::default().event("problem").data(text(&problem))).await?;
                Err(Gone)
            }
            // It comes again, and hears of another watch.
            Next::Over => Err(Gone),
        }
    }

    /// Says that there is nothing to tell, or, while that is not so, that it is not forgotten.
    async fn tell_idle(&mut self) -> Result<(), Gone> {
        let message = if self.feed.has_told_all() {
            self.with_id(Event::default().event("idle").data("{}"))
        } else {
            Event::default().comment("what there is now is being read")
        };
        self.send(message).await
    }

    /// The last message says up to where that is all.
    async fn tell_all(&mut self, says: &[Said]) -> Result<(), Gone> {
        for (at, said) in says.iter().enumerate() {
            let message = Event::default().event("availability").data(json!(said).to_string());
            self.send(if at + 1 == says.len() { self.with_id(message) } else { message }).await?;
            self.idle.reset();
        }
        Ok(())
    }

    fn with_id(&self, message: Event) -> Event {
        match self.feed.position() {
            Some(position) if self.has_ids => message.id(&**position),
            _ => message,
        }
    }

    async fn send(&mut self, message: Event) -> Result<(), Gone> {
        if self.teller.tell(message).await { Ok(()) } else { Err(Gone) }
    }
}

/// A problem as a message.
fn text(problem: &Problem) -> String {
    String::from_utf8_lossy(&problem.body()).into_owned()
}
