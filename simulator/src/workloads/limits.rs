//! A SKU that everybody wants, of which each customer may have few: held, given back, bought and cancelled by several at once in the
//! name of the same customers.

use super::Shopper;
use crate::history::{Freshness, Request, Subject};

pub(super) const SKU: &str = "FEW";
/// More than the customers may have together, so that the limit decides and not the stock.
const UNITS: u32 = 200;
const LIMIT: u32 = 3;
const CUSTOMERS: u64 = 3;

/// What fills the shelves.
pub(super) fn opening(sku: &str) -> Vec<Request> {
    let sku = || sku.to_owned();
    vec![
        Request::PutItem { sku: sku() },
        Request::PutLimit { sku: sku(), units: LIMIT },
        Request::Receive { sku: sku(), units: UNITS },
    ]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    if shopper.dice.below(12) == 0 {
        // The limit is raised, or lowered beneath what some have.
        let units = shopper.dice.between(2, 4) as u32;
        shopper.ask_done(Request::PutLimit { sku: sku.clone(), units }).await;
    }
    // Now and then nobody is named.
    let customer = if shopper.dice.below(20) == 0 { 0 } else { shopper.dice.between(1, CUSTOMERS) as u8 };
    let (units, ttl_s) = (shopper.dice.between(1, 3) as u32, shopper.dice.between(1, 20) as u32);
    let Some(reservation) = shopper.reserve_for(customer, &[(&sku, units)], ttl_s).await else {
        shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
        return;
    };
    match shopper.dice.below(6) {
        0 => {}
        1 => drop(shopper.ask_done(Request::Release { reservation }).await),
        2 => drop(shopper.ask_done(Request::Extend { reservation, ttl_s: 5 }).await),
        _ => {
            if shopper.ask_done(Request::Commit { reservation }).await && shopper.dice.below(8) > 0 {
                // Most are cancelled, so that there is something to be had again.
                shopper.ask_done(Request::Cancel { reservation }).await;
            } else {
                shopper.ask_done(Request::Fulfil { reservation }).await;
            }
        }
    }
}
