//! Stock on its way: units of two lots sent to and fro between two places, of which some are lost and some called back, while holds and
//! sales take what lies at either; and what suppliers are expected to send.

use holdfast_client::ids::{ReceiptId, TransferId, slot_of};
use holdfast_client::{Client, v1};

use super::Shopper;
use crate::history::{AWAY, Freshness, Id, Request, Subject, name_at};

pub(super) const SKU: &str = "VAN";
const LOTS: u64 = 2;
/// Units of each lot at each place when the shop opens: few enough that what is sent is what others want.
const UNITS: u32 = 4;
/// How often it is looked whether the other place is known.
const LOOKS: u32 = 600;

/// What fills the shelves: the item, and units of each lot at each place.
pub(super) fn opening(sku: &str) -> Vec<Request> {
    let places = [sku.to_owned(), name_at(sku, AWAY)];
    let put = places.iter().map(|sku| Request::PutItemByLot { sku: sku.clone() });
    let receive = |lot: u64| {
        let of_place = move |sku: &String| Request::ReceiveLot { sku: sku.clone(), lot: lot as u8, units: UNITS };
        places.iter().map(of_place)
    };
    put.chain((1..=LOTS).flat_map(receive)).collect()
}

/// Makes the other place, and waits until the item's shard knows it. False: it never did.
pub(super) async fn make_place(client: &Client, sku: &str) -> bool {
    let location = || v1::Location { location_id: AWAY.to_owned(), ..v1::Location::default() };
    for _ in 0..LOOKS {
        let is_known = match client.put_location(location()).await {
            // Of an item that is not there yet nobody says whether its place is.
            Ok(_) => client.stock(sku, Some(AWAY)).await,
            Err(error) => Err(error),
        };
        match is_known {
            Ok(_) => return true,
            Err(error) if error.reason() == v1::ErrorReason::UnknownSku => return true,
            Err(error) => tracing::info!(reason = ?error.reason(), "the other place is not there yet"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    false
}

pub(super) async fn order(shopper: &mut Shopper) {
    let item = shopper.sku(SKU);
    let mut places = [item.clone(), name_at(&item, AWAY)];
    if shopper.dice.below(2) == 0 {
        places.swap(0, 1);
    }
    let [sku, to] = places;
    match shopper.dice.below(12) {
        0..6 => send(shopper, &item, sku, to).await,
        6 | 7 => expect(shopper, &item, sku).await,
        8 => shopper.read(Subject::Stock(sku), Freshness::Linearizable).await,
        _ => sell(shopper, sku).await,
    }
}

/// Sends units, and sees to what becomes of them.
async fn send(shopper: &mut Shopper, item: &str, sku: String, to: String) {
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let transfer = Id(TransferId::mint(now, slot_of(item), random).0);
    let (lot, units) = (shopper.dice.between(1, LOTS) as u8, shopper.dice.between(1, 4) as u32);
    if shopper.dice.below(2) == 0 {
        // Beneath a hold that may want these very units.
        shopper.reserve(&[(&sku, units.min(3))], 5).await;
    }
    if !shopper.ask_done(Request::Send { transfer, sku: sku.clone(), to: to.clone(), lot, units }).await {
        return;
    }
    if shopper.dice.below(2) == 0 {
        shopper.read(Subject::Stock(to.clone()), Freshness::Linearizable).await;
    }
    for _ in 0..shopper.dice.between(1, 3) {
        let part = shopper.dice.between(1, u64::from(units)) as u32;
        let (sku, to) = (sku.clone(), to.clone());
        let request = match shopper.dice.below(6) {
            0..3 => Request::Arrive { transfer, sku, to, units: part },
            3 => Request::Lose { transfer, sku, to, units: part },
            4 => Request::Arrive { transfer, sku, to, units },
            _ => Request::CallBack { transfer, sku, to },
        };
        shopper.ask_done(request).await;
    }
}

/// Expects units, of which some come and some may not.
async fn expect(shopper: &mut Shopper, item: &str, sku: String) {
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let receipt = Id(ReceiptId::mint(now, slot_of(item), random).0);
    let units = shopper.dice.between(1, 4) as u32;
    if !shopper.ask_done(Request::Expect { receipt, sku: sku.clone(), units }).await {
        return;
    }
    let (lot, came) = (shopper.dice.between(1, LOTS) as u8, shopper.dice.between(1, 3) as u32);
    if shopper.dice.below(2) == 0 {
        shopper.ask_done(Request::ReceiveExpected { receipt, sku: sku.clone(), lot, units: came }).await;
    }
    shopper.ask_done(Request::CloseReceipt { receipt, sku: sku.clone() }).await;
    if shopper.dice.below(3) == 0 {
        shopper.ask_done(Request::ReceiveExpected { receipt, sku: sku.clone(), lot, units: came }).await;
    }
    shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
}

async fn sell(shopper: &mut Shopper, sku: String) {
    let units = shopper.dice.between(1, 5) as u32;
    let Some(reservation) = shopper.reserve(&[(&sku, units)], 600).await else { return };
    let request = match shopper.dice.below(5) {
        0..3 => Request::Commit { reservation },
        _ => Request::Release { reservation },
    };
    let is_sale = matches!(request, Request::Commit { .. });
    if shopper.ask_done(request).await && is_sale && shopper.dice.below(2) == 0 {
        shopper.ask_done(Request::Cancel { reservation }).await;
    }
}
