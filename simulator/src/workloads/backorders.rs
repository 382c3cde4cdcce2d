//! Units promised without stock: customers reserve beyond what is there within a cap, pay, cancel or let go, while more arrives now and
//! then; and of another SKU, which is not out yet, nothing may be shipped.

use super::Shopper;
use crate::history::{Freshness, Id, Request, Seen, Subject};

pub(super) const SKU: &str = "WAIT";
pub(super) const NOT_OUT: &str = "SOON";
const CAP: u64 = 8;
/// More than the cap and what is on the shelf on most days.
const TOO_MANY: u32 = 12;
/// On the shelf when the shop opens.
const UNITS: u32 = 3;
/// Long after any run, in the year 2096.
const RELEASE_AT_MS: u64 = 4_000_000_000_000;

/// What fills the shelves: an item on backorder, and a preorder.
pub(super) fn opening(sku: &str, not_out: &str) -> Vec<Request> {
    let put = |sku: &str, release_at_ms| Request::PutItemToWaitFor { sku: sku.to_owned(), cap: CAP, release_at_ms };
    let receive = |sku: &str| Request::Receive { sku: sku.to_owned(), units: UNITS };
    vec![put(sku, 0), receive(sku), put(not_out, RELEASE_AT_MS), receive(not_out)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let name = if shopper.dice.below(4) == 0 { NOT_OUT } else { SKU };
    let sku = shopper.sku(name);
    match shopper.dice.below(16) {
        0..3 => {
            let units = shopper.dice.between(1, 4) as u32;
            shopper.ask_done(Request::Receive { sku, units }).await;
        }
        3 => shopper.read(Subject::Stock(sku), Freshness::Linearizable).await,
        _ => buy(shopper, &sku, name == NOT_OUT).await,
    }
}

async fn buy(shopper: &mut Shopper, sku: &str, is_not_out: bool) {
    // Few at a time, so that several wait at once; now and then more than may be promised.
    let units = if shopper.dice.below(6) == 0 { TOO_MANY } else { shopper.dice.between(1, 3) as u32 };
    let ttl_s = if shopper.dice.below(3) == 0 { 5 } else { 600 };
    let Some(reservation) = shopper.reserve(&[(sku, units)], ttl_s).await else { return };
    match shopper.dice.below(8) {
        0..5 => pay(shopper, sku, reservation, units, is_not_out).await,
        5 | 6 => drop(shopper.ask_done(Request::Release { reservation }).await),
        _ => shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await,
    }
}

async fn pay(shopper: &mut Shopper, sku: &str, reservation: Id, units: u32, is_not_out: bool) {
    if !shopper.ask_done(Request::Commit { reservation }).await {
        return;
    }
    if shopper.dice.below(2) == 0 {
        let units = shopper.dice.between(1, 3) as u32;
        shopper.ask_done(Request::Receive { sku: sku.to_owned(), units }).await;
    }
    // Nothing but this customer takes away what an order has got: what is whole stays so.
    let is_there = match shopper.look(Subject::Reservation(reservation), Freshness::Linearizable).await {
        Some(Seen::Reservation(Some(seen))) => {
            seen.lines.iter().map(|line| line.committed).sum::<u64>() == u64::from(units)
        }
        _ => false,
    };
    match shopper.dice.below(4) {
        0 | 1 if is_there || is_not_out => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
        0..3 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => {}
    }
}
