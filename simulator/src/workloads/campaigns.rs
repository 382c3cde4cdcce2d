//! Campaigns one after the other, that are given units of a few SKUs; customers want them in a campaign and outside of it, before it
//! begins, while it sells and when it is over.

use std::time::Duration;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Error, v1};

use super::Shopper;
use crate::history::{Freshness, Id, Request, Sale, Subject};

pub(super) const NAME: &str = "DROP";
const SKUS: [&str; 2] = ["DROP-A", "DROP-B"];
/// Units of each SKU: few enough that campaigns and others want the same.
const UNITS: u32 = 24;
const CAMPAIGNS: u64 = 6;
/// How long each sells, and how long nobody sells before it.
const SELLS_MS: u64 = 4_000;
const PAUSE_MS: u64 = 1_000;
/// How often it is tried to open them.
const TRIES: u32 = 600;

pub(super) fn opening(in_season: impl Fn(&str) -> String) -> Vec<Request> {
    let put = |sku: String| [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units: UNITS }];
    SKUS.into_iter().map(in_season).flat_map(put).collect()
}

/// Opens the campaigns. False: they cannot be had.
pub(super) async fn announce(client: &Client, name: &str) -> bool {
    let opens_at = client.cluster_time_ms();
    for number in 0..CAMPAIGNS {
        let starts_at_ms = opens_at + number * (SELLS_MS + PAUSE_MS) + PAUSE_MS;
        let (campaign_id, ends_at_ms) = (format!("{name}-{number}"), starts_at_ms + SELLS_MS);
        let campaign = v1::Campaign { campaign_id, starts_at_ms, ends_at_ms, ..v1::Campaign::default() };
        if !open(client, &campaign).await {
            return false;
        }
    }
    true
}

pub(super) async fn open(client: &Client, campaign: &v1::Campaign) -> bool {
    for _ in 0..TRIES {
        match client.open_campaign(campaign.clone()).await {
            Ok(_) => return true,
            Err(error) => {
                tracing::info!(reason = ?error.reason(), "a campaign is not there yet");
                // There may be too many that are over.
                let _ = close_what_is_over(client).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn close_what_is_over(client: &Client) -> Result<(), Error> {
    let now = client.cluster_time_ms();
    for over in client.campaigns(None).await?.into_iter().filter(|it| !it.closed && it.ends_at_ms + 60_000 < now) {
        client.close_campaign(&over.campaign_id).await?;
    }
    Ok(())
}

pub(super) async fn order(shopper: &mut Shopper) {
    let Some(sale) = choose(shopper).await else { return };
    let name = SKUS[shopper.dice.below(2) as usize];
    let sku = shopper.sku(name);
    match shopper.dice.below(10) {
        0 | 1 => {
            let units = shopper.dice.between(2, 6) as u32;
            shopper.ask_done(Request::Allocate { sku, units, sale, back: false }).await;
        }
        2 => {
            let units = shopper.dice.between(1, 2) as u32;
            shopper.ask_done(Request::Allocate { sku, units, sale, back: true }).await;
        }
        3 => shopper.read(Subject::Stock(sku), Freshness::Linearizable).await,
        4..=7 => buy(shopper, sku, Some(sale)).await,
        _ => buy(shopper, sku, None).await,
    }
}

/// Mostly the campaign that sells, or sells next; at times another one.
async fn choose(shopper: &mut Shopper) -> Option<Sale> {
    let prefix = format!("{}-", shopper.sku(NAME));
    let mut known = shopper.client().campaigns(None).await.ok()?;
    known.retain(|it| it.campaign_id.starts_with(&prefix));
    known.sort_by_key(|it| it.starts_at_ms);
    let now = shopper.client().cluster_time_ms();
    let next = known.iter().position(|it| it.ends_at_ms > now).unwrap_or(known.len().saturating_sub(1));
    let at = match shopper.dice.below(6) {
        0 => next.saturating_sub(1),
        1 => next + 1,
        _ => next,
    };
    let chosen = known.get(at.min(known.len().checked_sub(1)?))?;
    let (starts_at_ms, ends_at_ms) = (chosen.starts_at_ms, chosen.ends_at_ms);
    Some(Sale { campaign: chosen.campaign_id.clone(), starts_at_ms, ends_at_ms })
}

async fn buy(shopper: &mut Shopper, sku: String, sale: Option<Sale>) {
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&sku), random).0);
    let units = shopper.dice.between(1, 3) as u32;
    let ttl_s = if shopper.dice.below(3) == 0 { 2 } else { 600 };
    if !shopper.ask_done(Request::ReserveIn { reservation, sku, units, ttl_s, sale, showing: None }).await {
        return;
    }
    match shopper.dice.below(8) {
        // Its time ends it, or the shop's closing finds it held.
        0 => {}
        1 | 2 => {
            if shopper.ask_done(Request::Commit { reservation }).await && shopper.dice.below(3) > 0 {
                shopper.ask_done(Request::Cancel { reservation }).await;
            }
        }
        _ => drop(shopper.ask_done(Request::Release { reservation }).await),
    }
}
