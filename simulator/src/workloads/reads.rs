//! Reads of every freshness beside writes: linearizable ones, stale ones, and ones that must see what a reply told of.

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Subject};

const SKU: &str = "READ";
const UNITS: u32 = 40;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let stock = || Subject::Stock(sku.clone());
    let Some(reservation) = shopper.reserve(&[(&sku, 1)], 600).await else {
        shopper.ask_done(Request::Receive { sku, units: 10 }).await;
        return;
    };
    for subject in [stock(), Subject::Reservation(reservation)] {
        let freshness = freshness(shopper);
        shopper.read(subject, freshness).await;
    }
    let request = match shopper.dice.below(3) {
        0 => Request::Commit { reservation },
        _ => Request::Release { reservation },
    };
    shopper.ask_done(request).await;
    for subject in [Subject::Reservation(reservation), stock()] {
        let freshness = freshness(shopper);
        shopper.read(subject, freshness).await;
    }
}

fn freshness(shopper: &mut Shopper) -> Freshness {
    match (shopper.dice.below(3), shopper.position_of(&shopper.sku(SKU))) {
        (0, _) => Freshness::Stale,
        (1, Some(position)) => Freshness::AtLeast(position),
        _ => Freshness::Linearizable,
    }
}
