//! `GET /v1/availability/stream` and the same of the public: what may be promised of some SKUs, by server-sent events.
//!
//! The first messages tell what there is now, also to who comes again: of a state the latest is all that counts. A message of the kind
//! `idle` comes where there is nothing to tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use holdfast_client::{Client, Consistency};
use holdfast_proto::v1;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, interval};

use super::cut::Teller;
use super::hub::{Heard, Listener};
use super::said::Said;
use super::wanted::Wanted;
use super::{IDLE, SKUS};
use crate::Shown;
use crate::asked::Asked;
use crate::problem::Problem;

/// For the back office.
pub(super) async fn back_office(asked: Asked) -> Result<Response, Problem> {
    stream(asked, Shown::Exact).await
}

/// For customers.
pub(super) async fn public(asked: Asked) -> Result<Response, Problem> {
    let shown = asked.web.shown;
    stream(asked, shown).await
}

async fn stream(asked: Asked, shown: Shown) -> Result<Response, Problem> {
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
    tokio::spawn(tell(client, listener, skus, shown, teller, place));
    Ok(Sse::new(told).into_response())
}

async fn tell(
    client: Client,
    mut listener: Listener,
    skus: BTreeSet<String>,
    shown: Shown,
    teller: Teller,
    _place: OwnedSemaphorePermit,
) {
    let mut idle = interval(IDLE);
    idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut news = now(&client, &skus).await;
    loop {
        for change in news.iter().filter(|change| skus.contains(&change.sku)) {
            let said = Event::default().event("availability").data(json!(Said::of(change, shown)).to_string());
            if !teller.tell(said).await {
                return;
            }
            idle.reset();
        }
        news = tokio::select! {
            biased;
            () = teller.gone() => return,
            heard = listener.next() => match heard {
                Heard::Changes(changes) => changes,
                Heard::Missed => now(&client, &skus).await,
            },
            _ = idle.tick() => {
                if !teller.tell(Event::default().event("idle").data("{}")).await {
                    return;
                }
                Arc::from([])
            }
        };
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
