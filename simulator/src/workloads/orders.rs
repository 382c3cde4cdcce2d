//! Reservations of SKUs of several shards, held, sold and given back whole or not at all.

use std::collections::BTreeSet;

use holdfast_client::Client;

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Subject};

pub(super) const NAME: &str = "ORDER";
const UNITS: u32 = 30;
const SKUS: usize = 3;

pub(super) fn shelves(client: &Client, name: &str) -> Vec<Shelf> {
    skus(client, name).into_iter().map(|sku| (sku, UNITS)).collect()
}

/// The first SKUs by their names with numbers, each of another shard as long as there are shards.
pub(super) fn skus(client: &Client, name: &str) -> Vec<String> {
    let (mut skus, mut shards) = (Vec::new(), BTreeSet::new());
    let names = || (0..1_000_u32).map(|number| format!("{name}-{number}"));
    skus.extend(names().filter(|sku| shards.insert(client.shard_of(sku))).take(SKUS));
    let others: Vec<String> = names().filter(|sku| !skus.contains(sku)).take(SKUS - skus.len()).collect();
    skus.extend(others);
    skus
}

pub(super) async fn order(shopper: &mut Shopper) {
    let skus = skus(shopper.client(), &shopper.sku(NAME));
    let first = shopper.dice.below(skus.len() as u64) as usize;
    let lines = shopper.dice.between(2, 4) as usize;
    let cart: Vec<(&str, u32)> =
        (0..lines).map(|at| (skus[(first + at) % skus.len()].as_str(), shopper.dice.between(1, 3) as u32)).collect();
    let ttl_s = if shopper.dice.below(4) == 0 { 2 } else { 600 };
    let Some(reservation) = shopper.reserve_over_shards(&cart, ttl_s).await else { return };
    if shopper.dice.below(4) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
    match shopper.dice.below(10) {
        // Its time ends it, or the shop's closing finds it held.
        0 | 1 => {}
        2..=5 => {
            if shopper.ask_done(Request::Commit { reservation }).await {
                match shopper.dice.below(4) {
                    0 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
                    1 => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
                    _ => {}
                }
            }
        }
        6 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        7 => drop(shopper.ask_done(Request::Extend { reservation, ttl_s: 700 }).await),
        _ => drop(shopper.ask_done(Request::Release { reservation }).await),
    }
    if shopper.dice.below(2) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
}
