//! Reservations through two channels that choose the locations, of SKUs of several shards: one sells from both places, the other from
//! one of them only; each keeps something back, and nobody sells otherwise.

use std::collections::BTreeSet;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, v1};

use super::Shopper;
use crate::history::{AWAY, Freshness, Id, Line, Request, Subject, Through, name_at};

pub(super) const NAME: &str = "SOURCE";
const SKUS: usize = 2;
/// Units at each place, so few that plans meet.
const UNITS: u32 = 8;
const KEPT_BACK: u32 = 2;
/// Reservations of one round, without a pause between them: the customers are to meet.
const AT_A_TIME: u64 = 4;
/// How often it is looked whether the channels are known.
const LOOKS: u32 = 600;

/// The first SKUs by their names with numbers, each of another shard as long as there are shards.
fn skus(client: &Client, name: &str) -> Vec<String> {
    let (mut skus, mut shards) = (Vec::new(), BTreeSet::new());
    let names = || (0..1_000_u32).map(|number| format!("{name}-{number}"));
    skus.extend(names().filter(|sku| shards.insert(client.shard_of(sku))).take(SKUS));
    let others: Vec<String> = names().filter(|sku| !skus.contains(sku)).take(SKUS - skus.len()).collect();
    skus.extend(others);
    skus
}

pub(super) fn opening(client: &Client, name: &str) -> Vec<Request> {
    let of_sku = |sku: String| {
        let away = Request::Receive { sku: name_at(&sku, AWAY), units: UNITS };
        [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units: UNITS }, away]
    };
    skus(client, name).into_iter().flat_map(of_sku).collect()
}

/// Makes the other place and the channels. False: they cannot be had.
pub(super) async fn make_channels(client: &Client) -> bool {
    for _ in 0..LOOKS {
        match put(client).await {
            Ok(()) => return true,
            Err(error) => tracing::info!(reason = ?error.reason(), "the channels are not there yet"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    false
}

async fn put(client: &Client) -> Result<(), holdfast_client::Error> {
    client.put_location(v1::Location { location_id: AWAY.to_owned(), ..v1::Location::default() }).await?;
    let main = client.refresh_routing().await?.default_location_id;
    for (channel_id, location_ids) in [("both", vec![AWAY.to_owned(), main]), ("away", vec![AWAY.to_owned()])] {
        let channel = v1::Channel {
            channel_id: channel_id.to_owned(),
            location_ids,
            buffer: KEPT_BACK,
            ..v1::Channel::default()
        };
        client.put_channel(channel).await?;
    }
    Ok(())
}

pub(super) async fn order(shopper: &mut Shopper) {
    for _ in 0..shopper.dice.between(1, AT_A_TIME) {
        reserve(shopper).await;
    }
}

async fn reserve(shopper: &mut Shopper) {
    let skus = skus(shopper.client(), &shopper.sku(NAME));
    let first = shopper.dice.below(skus.len() as u64) as usize;
    let count = shopper.dice.between(1, SKUS as u64) as usize;
    let line = |at: usize, units: u32| Line { sku: skus[(first + at) % skus.len()].clone(), units };
    let lines: Vec<Line> = (0..count).map(|at| line(at, shopper.dice.between(1, 4) as u32)).collect();
    let everywhere = shopper.dice.below(4) > 0;
    let channel = if everywhere { "both" } else { "away" }.to_owned();
    let strategies = [
        v1::SourcingStrategy::Priority,
        v1::SourcingStrategy::Nearest,
        v1::SourcingStrategy::MostStock,
        v1::SourcingStrategy::FewestSplits,
    ];
    let strategy = strategies[shopper.dice.below(4) as usize].into();
    let allow_split = shopper.dice.below(2) == 0;
    let through = Through { channel, everywhere, buffer: KEPT_BACK, strategy, allow_split };
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&lines[0].sku), random).0);
    let ttl_s = if shopper.dice.below(2) == 0 { 2 } else { 600 };
    let shelf = lines[0].sku.clone();
    if shopper.ask_done(Request::ReserveThrough { reservation, lines, ttl_s, through }).await {
        match shopper.dice.below(10) {
            // Its time ends it, or the shop's closing finds it held.
            0 => {}
            // What is sold is gone, and most is given back: so that there is something to race for.
            1 if shopper.dice.below(3) == 0 => {
                if shopper.ask_done(Request::Commit { reservation }).await && shopper.dice.below(2) == 0 {
                    shopper.ask_done(Request::Cancel { reservation }).await;
                }
            }
            _ => drop(shopper.ask_done(Request::Release { reservation }).await),
        }
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
    if shopper.dice.below(3) == 0 {
        let shelf = if shopper.dice.below(2) == 0 { shelf } else { name_at(&shelf, AWAY) };
        shopper.read(Subject::Stock(shelf), Freshness::Linearizable).await;
    }
}
