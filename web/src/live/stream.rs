//! `GET /v1/availability/stream` and the same of the public: what may be promised of some SKUs, by server-sent events.
//!
//! The first messages tell what there is now; to who comes back with an id, what has changed since, or behind a message of the kind `reset`
//! everything there is now. A message of the kind `idle` comes where there is nothing to tell. Customers are told no ids: those would say
//! how much the shop sells, and have anybody read its change logs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Client, Consistency};
use holdfast_proto::v1;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::cut::Teller;
use super::described::StreamMessage;
use super::events::last_id;
use super::hub::{Heard, Listener, Position};
use super::said::Said;
use super::since::since;
use super::wanted::Wanted;
use super::{IDLE, SKUS};
use crate::Shown;
use crate::Web;
use crate::asked::Asked;
use crate::cursor::Cursor;
use crate::problem::Problem;

/// How long it is waited for the node's own watch before what there is now is told without it.
pub(super) const BEGINS: Duration = Duration::from_secs(5);
/// How long it may be behind what a reader has seen at another node.
const REACHES: Duration = Duration::from_secs(3);

/// What may be promised of SKUs, as server-sent events: first of each what there is now, then each change, a quarter of a second's together.
/// The id of a message is where to go on: browsers send it back as `Last-Event-ID` by themselves, to any node.
#[utoipa::path(get, path = "/v1/availability/stream", tag = "live", operation_id = "stream_availability",
    params(("sku" = Option<String>, Query, description = "SKUs, with commas between"),
           ("category" = Option<String>, Query, description = "Categories, with commas between: the SKUs that they have now"),
           ("campaign" = Option<String>, Query, description = "Campaigns, with commas between: the SKUs that they have now"),
           ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message: told is what has changed since")),
    responses((status = 200, description = "Messages, without an end", body = StreamMessage, content_type = "text/event-stream")))]
pub(crate) async fn back_office(asked: Asked) -> Result<Response, Problem> {
    let after = last_id(&asked.headers)?.map(Cursor::read).transpose();
    let after = after.map_err(|problem| Problem { field: "Last-Event-ID".to_owned(), ..problem })?;
    if let Some(after) = &after {
        let shards: Vec<u32> = asked.client()?.routing().shards.into_iter().map(|(shard, _)| shard).collect();
        after.only_of(&shards).map_err(|problem| Problem { field: "Last-Event-ID".to_owned(), ..problem })?;
    }
    stream(asked, Shown::Exact, Ids::Told(after)).await
}

/// The same for customers: of a quantity as much as the settings show, and whoever comes again is told what there is now.
#[utoipa::path(get, path = "/public/v1/availability/stream", tag = "live", operation_id = "stream_public_availability",
    params(("sku" = Option<String>, Query, description = "SKUs, with commas between"),
           ("category" = Option<String>, Query, description = "Categories, with commas between: the SKUs that they have now"),
           ("campaign" = Option<String>, Query, description = "Campaigns, with commas between: the SKUs that they have now")),
    responses((status = 200, description = "Messages, without an end", body = StreamMessage, content_type = "text/event-stream")))]
pub(crate) async fn public(asked: Asked) -> Result<Response, Problem> {
    let shown = asked.web.shown;
    stream(asked, shown, Ids::None).await
}

/// Whether messages have ids, and the last that the reader has.
enum Ids {
    Told(Option<Cursor>),
    None,
}

async fn stream(asked: Asked, shown: Shown, ids: Ids) -> Result<Response, Problem> {
    asked.only_query(&["sku", "category", "campaign"])?;
    let names = |field| -> Result<Vec<String>, Problem> {
        let text = asked.query_text(field).unwrap_or_default();
        Ok(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    };
    let wanted = Wanted { skus: names("sku")?, categories: names("category")?, campaigns: names("campaign")? };
    if wanted == Wanted::default() {
        return Err(Problem::invalid("sku", format!("name 1 to {SKUS} SKUs with commas, or a category or a campaign")));
    }
    let client = asked.client()?;
    let place = asked.web.readers.reader()?;
    let skus = wanted.skus(&client, &BTreeSet::new()).await?;
    let listener = asked.web.hub.listen(&client);
    let (teller, told) = Teller::channel();
    let mut idle = interval(IDLE);
    idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_ids = matches!(ids, Ids::Told(_));
    let reader = Reader {
        web: Arc::clone(&asked.web),
        client,
        listener,
        skus,
        shown,
        has_ids,
        position: None,
        teller,
        idle,
        _place: place,
    };
    let after = match ids {
        Ids::Told(after) => after,
        Ids::None => None,
    };
    tokio::spawn(reader.serve(after));
    Ok(Sse::new(told).into_response())
}

/// Whoever it was told to is gone.
struct Gone;

struct Reader {
    web: Arc<Web>,
    client: Client,
    listener: Listener,
    skus: BTreeSet<String>,
    shown: Shown,
    has_ids: bool,
    /// Up to where all was told.
    position: Option<Position>,
    teller: Teller,
    idle: Interval,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn serve(mut self, after: Option<Cursor>) {
        if let Err(Gone) = self.begin(after).await {
            return;
        }
        loop {
            let told = tokio::select! {
                biased;
                () = self.teller.gone() => return,
                heard = self.listener.next() => match heard {
                    Heard::Changes(news) => self.tell(&news.changes, Some(Arc::clone(&news.position))).await,
                    Heard::Missed(until) => self.tell_anew(Some(until)).await,
                },
                _ = self.idle.tick() => {
                    self.position = self.listener.heard_all_until().or(self.position.take());
                    let message = self.with_id(Event::default().event("idle").data("{}"));
                    self.send(message).await
                }
            };
            if let Err(Gone) = told {
                return;
            }
        }
    }

    /// Tells what there is, or what has changed since the reader was here.
    async fn begin(&mut self, after: Option<Cursor>) -> Result<(), Gone> {
        let begun = self.listener.begun(BEGINS).await;
        let Some(after) = after else {
            let now = now(&self.client, &self.skus).await;
            return self.tell(&now, begun).await;
        };
        let reached = match begun {
            Some(_) => self.listener.reaches(&after, REACHES).await,
            None => None,
        };
        let changes = match reached {
            Some(until) => since(&self.client, &self.skus, &after, &until, &self.web.readers.catching_up).await,
            None => None,
        };
        match changes {
            Some(changes) => self.tell(&changes, begun).await,
            None => self.tell_anew(begun).await,
        }
    }

    /// Says that something was missed, and tells all there is now.
    async fn tell_anew(&mut self, until: Option<Position>) -> Result<(), Gone> {
        let why = json!({ "detail": "what happened until now is not known here; this is all there is now" });
        self.send(Event::default().event("reset").data(why.to_string())).await?;
        let now = now(&self.client, &self.skus).await;
        self.tell(&now, until).await
    }

    /// Tells what of the news the reader asked for; the last message says up to where that is all.
    async fn tell(&mut self, news: &[v1::AvailabilityChange], until: Option<Position>) -> Result<(), Gone> {
        let mine: Vec<&v1::AvailabilityChange> = news.iter().filter(|change| self.skus.contains(&change.sku)).collect();
        for (at, change) in mine.iter().enumerate() {
            let mut message =
                Event::default().event("availability").data(json!(Said::of(change, self.shown)).to_string());
            if at + 1 == mine.len() {
                self.position = until.clone().or(self.position.take());
                message = self.with_id(message);
            }
            self.send(message).await?;
            self.idle.reset();
        }
        self.position = until.or(self.position.take());
        Ok(())
    }

    fn with_id(&self, message: Event) -> Event {
        match &self.position {
            Some(position) if self.has_ids => message.id(&**position),
            _ => message,
        }
    }

    async fn send(&self, message: Event) -> Result<(), Gone> {
        if self.teller.tell(message).await { Ok(()) } else { Err(Gone) }
    }
}

/// What there is now of those SKUs; what cannot be read is left out, and told when it changes.
pub(super) async fn now(client: &Client, skus: &BTreeSet<String>) -> Arc<[v1::AvailabilityChange]> {
    let reader = client.reader(Consistency::Stale);
    let mut all = Vec::with_capacity(skus.len());
    for sku in skus {
        let Ok(stock) = reader.stock(sku, None).await else { continue };
        let Ok(item) = reader.item(sku).await else { continue };
        let low = item.value.low_stock_threshold;
        all.extend(stock.value.levels.into_iter().map(|level| v1::AvailabilityChange {
            level: level_of(level.atp, low).into(),
            sku: level.sku,
            location_id: level.location_id,
            atp: level.atp,
            back: false,
            revision: level.revision,
        }));
    }
    all.into()
}

fn level_of(atp: u64, low_stock_threshold: u64) -> v1::AvailabilityLevel {
    match atp {
        0 => v1::AvailabilityLevel::Out,
        few if few <= low_stock_threshold => v1::AvailabilityLevel::Low,
        _ => v1::AvailabilityLevel::InStock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_out_and_what_is_at_its_threshold_is_low() {
        let levels = [(0, 5), (5, 5), (6, 5), (1, 0)].map(|(atp, low)| level_of(atp, low));
        use v1::AvailabilityLevel::{InStock, Low, Out};
        assert_eq!(levels, [Out, Low, InStock, InStock]);
    }
}
