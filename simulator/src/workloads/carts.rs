//! Reservations of several SKUs of one shard, held whole or not at all; sometimes with one SKU on two lines.

use holdfast_client::Client;

use super::{Shelf, Shopper, skus_of_one_shard};
use crate::history::{Freshness, Request, Subject};

pub(super) const NAME: &str = "CART";
const UNITS: u32 = 25;

pub(super) fn shelves(client: &Client, name: &str) -> Vec<Shelf> {
    skus_of_one_shard(client, name, 3).into_iter().map(|sku| (sku, UNITS)).collect()
}

pub(super) async fn order(shopper: &mut Shopper) {
    let skus = skus_of_one_shard(shopper.client(), &shopper.sku(NAME), 3);
    let lines = shopper.dice.between(2, 3);
    let cart: Vec<(&str, u32)> = (0..lines)
        .map(|_| {
            let sku = &skus[shopper.dice.below(skus.len() as u64) as usize];
            (sku.as_str(), shopper.dice.between(1, 4) as u32)
        })
        .collect();
    if shopper.dice.below(4) == 0 {
        shopper.read(Subject::Stock(cart[0].0.to_owned()), Freshness::Linearizable).await;
    }
    let Some(reservation) = shopper.reserve(&cart, 600).await else { return };
    match shopper.dice.below(8) {
        0 | 1 => {
            if shopper.ask_done(Request::Commit { reservation }).await && shopper.dice.below(2) == 0 {
                shopper.ask_done(Request::Cancel { reservation }).await;
            }
        }
        2 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => drop(shopper.ask_done(Request::Release { reservation }).await),
    }
}
