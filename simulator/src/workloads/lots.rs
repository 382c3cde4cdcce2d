//! Stock by lot: sold first expired first out, while lots are blocked beneath holds and orders, come back, and more arrive; and one lot
//! expires, beneath holds and orders too.

use super::Shopper;
use crate::history::{Freshness, Request, Subject};

pub(super) const SKU: &str = "LOT";
/// How many lots there are beside lot 0, which expires.
const LOTS: u64 = 3;
/// Units of each lot on the shelf when the shop opens: few enough that what is blocked was promised.
const UNITS: u32 = 5;
/// Units that arrive later at a time.
const MORE: u64 = 4;

/// What fills the shelf: the item, and units of each lot.
pub(super) fn opening(sku: &str) -> Vec<Request> {
    let put = Request::PutItemByLot { sku: sku.to_owned() };
    let receive = |lot| Request::ReceiveLot { sku: sku.to_owned(), lot: lot as u8, units: UNITS };
    std::iter::once(put).chain((0..=LOTS).map(receive)).collect()
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let lot = shopper.dice.between(0, LOTS) as u8;
    let of_the_lot = match shopper.dice.below(18) {
        0 | 1 => Some(Request::BlockLot { sku: sku.clone(), lot }),
        2..6 => Some(Request::UnblockLot { sku: sku.clone(), lot }),
        6 => Some(Request::ReceiveLot { sku: sku.clone(), lot, units: shopper.dice.between(1, MORE) as u32 }),
        7 => {
            shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
            return;
        }
        _ => None,
    };
    if let Some(request) = of_the_lot {
        shopper.ask_done(request).await;
        return;
    }
    let units = shopper.dice.between(1, 5) as u32;
    let ttl_s = if shopper.dice.below(4) == 0 { 5 } else { 600 };
    let Some(reservation) = shopper.reserve(&[(&sku, units)], ttl_s).await else { return };
    if shopper.dice.below(3) == 0 {
        // Beneath this very hold.
        shopper.ask_done(Request::BlockLot { sku: sku.clone(), lot }).await;
    }
    match shopper.dice.below(8) {
        0..4 => {
            let is_sold = shopper.ask_done(Request::Commit { reservation }).await;
            if shopper.dice.below(3) == 0 {
                let status = if is_sold { Request::BlockLot { sku, lot } } else { Request::UnblockLot { sku, lot } };
                shopper.ask_done(status).await;
            }
            match shopper.dice.below(6) {
                _ if !is_sold => {}
                0..4 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
                4 => drop(shopper.ask_done(Request::Ship { reservation, units }).await),
                _ => {}
            }
        }
        4..7 => drop(shopper.ask_done(Request::Release { reservation }).await),
        _ => shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await,
    }
}
