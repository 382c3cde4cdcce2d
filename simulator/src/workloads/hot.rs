//! Many want the units of one SKU, of which there are too few: held, sold, shipped, given back.

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Subject};

const SKU: &str = "HOT";
/// Few enough that some customers are refused.
const UNITS: u32 = 60;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let units = shopper.dice.between(1, 4) as u32;
    let Some(reservation) = shopper.reserve(&[(&sku, units)], 600).await else {
        shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
        return;
    };
    match shopper.dice.below(10) {
        0..4 => {
            if shopper.ask_done(Request::Commit { reservation }).await {
                match shopper.dice.below(4) {
                    0 => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
                    1 | 2 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
                    _ => {}
                }
            }
        }
        4..9 => drop(shopper.ask_done(Request::Release { reservation }).await),
        _ => shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await,
    }
}
