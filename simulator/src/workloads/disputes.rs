//! Several customers at one reservation: one commits it, another releases it, a third prolongs it, while its time runs out.

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Subject};

const SKU: &str = "DISPUTED";
const UNITS: u32 = 20;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let shown = shopper.board().reservation(&mut shopper.dice);
    let Some(reservation) = shown.filter(|_| shopper.dice.below(4) > 0) else {
        let (units, ttl_s) = (shopper.dice.between(1, 4) as u32, shopper.dice.between(1, 4) as u32);
        let sku = shopper.sku(SKU);
        if let Some(reservation) = shopper.reserve(&[(&sku, units)], ttl_s).await {
            shopper.board().show_reservation(reservation);
        }
        return;
    };
    match shopper.dice.below(10) {
        0..3 => drop(shopper.ask_done(Request::Commit { reservation }).await),
        3..5 => drop(shopper.ask_done(Request::Release { reservation }).await),
        5 => drop(shopper.ask_done(Request::Extend { reservation, ttl_s: 2 }).await),
        6 => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
        7 | 8 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await,
    }
    if shopper.dice.below(8) == 0 {
        let sku = shopper.sku(SKU);
        shopper.ask_done(Request::Receive { sku, units: 1 }).await;
    }
}
