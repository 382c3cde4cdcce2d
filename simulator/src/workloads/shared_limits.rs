//! SKUs of several shards of which each customer may have few together: held, given back, bought and cancelled by several at once in the
//! name of the same customers.

use holdfast_client::{Client, v1};

use super::{Shopper, orders};
use crate::history::{Freshness, Request, Subject};

pub(super) const NAME: &str = "FAMILY";
/// More than the customers may have together, so that the limit decides and not the stock.
const UNITS: u32 = 500;
const LIMIT: u32 = 4;
const CUSTOMERS: u64 = 3;
/// How often it is looked whether the limit is known.
const LOOKS: u32 = 600;

/// What fills the shelves.
pub(super) fn opening(client: &Client, name: &str) -> Vec<Request> {
    let of_sku = |sku: String| [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units: UNITS }];
    orders::skus(client, name).into_iter().flat_map(of_sku).collect()
}

/// Makes the limit. False: it cannot be had.
pub(super) async fn make_limit(client: &Client, name: &str) -> bool {
    for _ in 0..LOOKS {
        let limit = v1::SharedLimit {
            limit_id: name.to_owned(),
            skus: orders::skus(client, name),
            units: LIMIT,
            ..v1::SharedLimit::default()
        };
        match client.put_shared_limit(limit).await {
            Ok(_) => return true,
            Err(error) => tracing::info!(reason = ?error.reason(), "the limit is not there yet"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    false
}

pub(super) async fn order(shopper: &mut Shopper) {
    let skus = orders::skus(shopper.client(), &shopper.sku(NAME));
    let first = shopper.dice.below(skus.len() as u64) as usize;
    let lines = shopper.dice.between(1, 2) as usize;
    let cart: Vec<(&str, u32)> =
        (0..lines).map(|at| (skus[(first + at) % skus.len()].as_str(), shopper.dice.between(1, 2) as u32)).collect();
    let customer = shopper.dice.between(1, CUSTOMERS) as u8;
    let ttl_s = if shopper.dice.below(4) == 0 { 2 } else { 600 };
    let Some(reservation) = shopper.reserve_together(customer, LIMIT, &cart, ttl_s).await else { return };
    match shopper.dice.below(12) {
        // Its time ends it, or the shop's closing finds it held.
        0 => {}
        1 | 2 => {
            // Most is cancelled, so that there is something to be had again.
            if shopper.ask_done(Request::Commit { reservation }).await {
                if shopper.dice.below(8) > 0 {
                    shopper.ask_done(Request::Cancel { reservation }).await;
                } else {
                    shopper.ask_done(Request::Fulfil { reservation }).await;
                }
            }
        }
        3 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => drop(shopper.ask_done(Request::Release { reservation }).await),
    }
    if shopper.dice.below(4) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
}
