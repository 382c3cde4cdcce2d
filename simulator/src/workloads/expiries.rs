//! Short holds, and something that happens just at the instant at which one expires, or after it; and sales that are cancelled where
//! they are not shipped in time.

use std::time::Duration;

use super::{Shelf, Shopper};
use crate::history::{Freshness, Id, Request, Subject};

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
    if shopper.dice.below(4) == 0 {
        ship_in_time(shopper, reservation).await;
    } else {
        wait_until(shopper, expires_at_ms).await;
        at_its_end(shopper, &sku, reservation).await;
    }
    shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    if shopper.dice.below(4) > 0 {
        // What was sold comes back, so that there is something to hold for the next.
        shopper.ask_done(Request::Cancel { reservation }).await;
    }
}

/// A command travels for some milliseconds: some come before the instant, some after it.
async fn wait_until(shopper: &mut Shopper, at_ms: u64) {
    let wait_ms = at_ms.saturating_sub(shopper.client().cluster_time_ms() + shopper.dice.below(20));
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
}

async fn at_its_end(shopper: &mut Shopper, sku: &str, reservation: Id) {
    match shopper.dice.below(9) {
        0 | 1 => drop(shopper.ask_done(Request::Commit { reservation }).await),
        2 => drop(shopper.ask_done(Request::Release { reservation }).await),
        3 => drop(shopper.ask_done(Request::Extend { reservation, ttl_s: 1 }).await),
        4 => drop(shopper.reserve(&[(sku, UNITS / 2)], 1).await),
        5 => drop(shopper.ask_done(Request::Retake { reservation }).await),
        6 | 7 => {
            tokio::time::sleep(Duration::from_millis(shopper.dice.between(1, 60))).await;
            // What is held for others meanwhile cannot be had anew.
            let units = shopper.dice.between(1, u64::from(UNITS)) as u32;
            shopper.reserve(&[(sku, units)], 1).await;
            shopper.ask_done(Request::Retake { reservation }).await;
        }
        _ => {}
    }
}

/// Sells until some seconds later, and comes about then to ship it, or never.
async fn ship_in_time(shopper: &mut Shopper, reservation: Id) {
    let cancel_at_ms = shopper.client().cluster_time_ms() + shopper.dice.between(500, 2_500);
    if !shopper.ask_done(Request::CommitUntil { reservation, cancel_at_ms }).await {
        return;
    }
    if shopper.dice.below(3) == 0 {
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
    wait_until(shopper, cancel_at_ms).await;
    match shopper.dice.below(8) {
        0 => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
        1 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        2 => drop(shopper.ask_done(Request::Retake { reservation }).await),
        _ => tokio::time::sleep(Duration::from_millis(shopper.dice.between(1, 100))).await,
    }
}
