//! Short holds, and something that happens just at the instant at which one expires.

use std::time::Duration;

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Subject};

const SKU: &str = "BRIEF";
const UNITS: u32 = 12;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let ttl_s = shopper.dice.between(1, 2) as u32;
    let units = shopper.dice.between(1, 5) as u32;
    let Some((reservation, expires_at_ms)) = shopper.reserve_until(&[(&sku, units)], ttl_s).await else {
        shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
        return;
    };
    // A command travels for some milliseconds: some come before the instant, some after it.
    let wait_ms = expires_at_ms.saturating_sub(shopper.client().cluster_time_ms() + shopper.dice.below(20));
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    match shopper.dice.below(6) {
        0 | 1 => drop(shopper.ask_done(Request::Commit { reservation }).await),
        2 => drop(shopper.ask_done(Request::Release { reservation }).await),
        3 => drop(shopper.ask_done(Request::Extend { reservation, ttl_s: 1 }).await),
        4 => drop(shopper.reserve(&[(&sku, UNITS / 2)], 1).await),
        _ => {}
    }
    shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    if shopper.dice.below(3) == 0 {
        // What was sold comes back, so that there is something to hold for the next.
        shopper.ask_done(Request::Cancel { reservation }).await;
    }
}
