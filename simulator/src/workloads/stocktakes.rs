//! Counting while selling: the lots of one SKU are counted and sold at once; what was counted is applied later, by others too, and
//! sometimes again; what is missing was promised to somebody.

use holdfast_client::ids::{CountId, slot_of};

use super::Shopper;
use crate::history::{Freshness, Id, Request, Seen, Subject};

pub(super) const SKU: &str = "SHELF";
const LOTS: u64 = 2;
/// Units of each lot on the shelf when the shop opens: few enough that what is missing was promised.
const UNITS: u32 = 6;

/// What fills the shelf: the item, and units of each lot.
pub(super) fn opening(sku: &str) -> Vec<Request> {
    let put = Request::PutItemByLot { sku: sku.to_owned() };
    let receive = |lot| Request::ReceiveLot { sku: sku.to_owned(), lot: lot as u8, units: UNITS };
    std::iter::once(put).chain((1..=LOTS).map(receive)).collect()
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    match shopper.dice.below(10) {
        0..3 => count(shopper, sku).await,
        3 => {
            let (lot, units) = (shopper.dice.between(1, LOTS) as u8, shopper.dice.between(1, 4) as u32);
            shopper.ask_done(Request::ReceiveLot { sku, lot, units }).await;
        }
        _ => sell(shopper, sku).await,
    }
}

/// Counts some of the lots, and brings the books to it, or not; with a sale or a shipment in between.
async fn count(shopper: &mut Shopper, sku: String) {
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let count = Id(CountId::mint(now, slot_of(&sku), random).0);
    if !shopper.ask_done(Request::OpenCount { count, sku: sku.clone() }).await {
        return;
    }
    let seen = shopper.look(Subject::Stock(sku.clone()), Freshness::Linearizable).await;
    let Some(Seen::Stock(Some(stock))) = seen else { return };
    for lot in 1..=LOTS as u8 {
        if shopper.dice.below(4) > 0 {
            // About as many as lie there, or none at all.
            let about = (stock.on_hand / LOTS + shopper.dice.below(5)).saturating_sub(2) as u32;
            let units = if shopper.dice.below(4) == 0 { 0 } else { about };
            shopper.ask_done(Request::RecordCount { count, sku: sku.clone(), lot, units }).await;
        }
        if shopper.dice.below(3) == 0 {
            sell(shopper, sku.clone()).await;
        }
    }
    if shopper.dice.below(6) == 0 {
        shopper.ask_done(Request::CancelCount { count, sku: sku.clone() }).await;
    }
    shopper.ask_done(Request::ApplyCount { count, sku: sku.clone() }).await;
    shopper.read(Subject::Count { count, sku: sku.clone() }, Freshness::Linearizable).await;
    if shopper.dice.below(3) == 0 {
        shopper.ask_done(Request::ApplyCount { count, sku }).await;
    }
}

async fn sell(shopper: &mut Shopper, sku: String) {
    let units = shopper.dice.between(1, 4) as u32;
    let Some(reservation) = shopper.reserve(&[(&sku, units)], 600).await else { return };
    if shopper.dice.below(6) == 0 {
        // Held until somebody finds that it is not there.
        shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
    }
    let request = match shopper.dice.below(5) {
        0..4 => Request::Commit { reservation },
        _ => Request::Release { reservation },
    };
    let is_sale = matches!(request, Request::Commit { .. });
    if !shopper.ask_done(request).await || !is_sale {
        if is_sale {
            shopper.ask_done(Request::Release { reservation }).await;
        }
        return;
    }
    match shopper.dice.below(4) {
        0 | 1 => drop(shopper.ask_done(Request::Ship { reservation, units }).await),
        2 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await,
    }
}
