//! SKUs that everybody wants, of which each customer may have few, for ever or in some seconds: held, given back, bought and cancelled
//! by several at once in the name of the same customers.

use super::Shopper;
use crate::history::{Freshness, Request, Subject};

pub(super) const SKU: &str = "FEW";
/// Of which each customer may have few in some seconds.
pub(super) const ROLLING: &str = "FEW-NOW";
const WINDOW_S: u32 = 4;
/// More than the customers may have together, so that the limit decides and not the stock.
const UNITS: u32 = 200;
/// More than they can buy in a run.
const UNITS_OF_ROLLING: u32 = 100_000;
const LIMIT: u32 = 3;
const CUSTOMERS: u64 = 3;

/// What fills the shelves.
pub(super) fn opening(sku: &str, rolling: &str) -> Vec<Request> {
    let (sku, rolling) = (|| sku.to_owned(), || rolling.to_owned());
    vec![
        Request::PutItem { sku: sku() },
        Request::PutLimit { sku: sku(), units: LIMIT },
        Request::Receive { sku: sku(), units: UNITS },
        Request::PutItem { sku: rolling() },
        Request::PutRollingLimit { sku: rolling(), units: LIMIT, window_s: WINDOW_S },
        Request::Receive { sku: rolling(), units: UNITS_OF_ROLLING },
    ]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let is_rolling = shopper.dice.below(2) == 0;
    let sku = shopper.sku(if is_rolling { ROLLING } else { SKU });
    if shopper.dice.below(12) == 0 {
        // The limit is raised, or lowered beneath what some have.
        let units = shopper.dice.between(2, 4) as u32;
        let sku = sku.clone();
        let put = match is_rolling {
            true => Request::PutRollingLimit { sku, units, window_s: WINDOW_S },
            false => Request::PutLimit { sku, units },
        };
        shopper.ask_done(put).await;
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
            // Most are cancelled, so that there is something to be had again; where time does that, few are.
            let is_kept = if is_rolling { shopper.dice.below(8) > 0 } else { shopper.dice.below(8) == 0 };
            if shopper.ask_done(Request::Commit { reservation }).await && !is_kept {
                shopper.ask_done(Request::Cancel { reservation }).await;
            } else {
                shopper.ask_done(Request::Fulfil { reservation }).await;
            }
        }
    }
}
