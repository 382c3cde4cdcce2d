//! Compare-and-set: many count one SKU and set what they counted, while it is sold. A count that something came before is
//! refused.

use super::{Shelf, Shopper};
use crate::history::{Freshness, Request, Seen, Subject};

const SKU: &str = "COUNTED";
const UNITS: u32 = 30;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    if shopper.dice.below(3) == 0 {
        if let Some(reservation) = shopper.reserve(&[(&sku, 2)], 600).await {
            shopper.ask_done(Request::Release { reservation }).await;
        }
        return;
    }
    let freshness = if shopper.dice.below(4) == 0 { Freshness::Stale } else { Freshness::Linearizable };
    let seen = shopper.look(Subject::Stock(sku.clone()), freshness).await;
    let Some(Seen::Stock(Some(stock))) = seen else { return };
    // Sometimes fewer than are promised, which must be refused.
    let on_hand = (stock.on_hand + shopper.dice.below(8)).saturating_sub(4);
    shopper.ask_done(Request::Set { sku, on_hand, if_revision: stock.revision }).await;
}
