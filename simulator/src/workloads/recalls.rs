//! Lots that are recalled beneath holds, orders and what was shipped of them: named, bound late, picked in the place of others, in
//! reservations over several shards and in kits; and whoever recalls one asks who has units of it.

use holdfast_client::Client;
use holdfast_client::ids::{ReservationId, slot_of};

use super::{Shopper, orders};
use crate::history::{Freshness, Id, Line, LotLine, Request, ReservationSeen, Seen, Subject};

pub(super) const NAME: &str = "RECALL";
/// A kit of units of two shards.
pub(super) const SET: &str = "RECALL-SET";
/// Lots on the shelves when the shop opens; the first leave sale first.
const LOTS: u64 = 4;
/// More that may arrive: what is recalled stays so.
const MOST_LOTS: u64 = 60;
const UNITS: u32 = 8;

/// What fills the shelves, and the kit.
pub(super) fn opening(client: &Client, in_season: impl Fn(&str) -> String) -> Vec<Request> {
    let skus = orders::skus(client, &in_season(NAME));
    let put = |sku: &String| {
        let receive = |lot| Request::ReceiveLot { sku: sku.clone(), lot: lot as u8, units: UNITS };
        std::iter::once(Request::PutItemByLot { sku: sku.clone() }).chain((1..=LOTS).map(receive)).collect::<Vec<_>>()
    };
    let components = skus.iter().take(2).map(|sku| Line { sku: sku.clone(), units: 1 }).collect();
    skus.iter().flat_map(put).chain([Request::PutKit { sku: in_season(SET), components }]).collect()
}

pub(super) async fn order(shopper: &mut Shopper) {
    let skus = orders::skus(shopper.client(), &shopper.sku(NAME));
    let sku = skus[shopper.dice.below(skus.len() as u64) as usize].clone();
    match shopper.dice.below(10) {
        0 | 1 => {
            let lot = shopper.dice.between(1, MOST_LOTS) as u8;
            shopper.ask_done(Request::ReceiveLot { sku, lot, units: UNITS }).await;
        }
        2 => {
            let lot = shopper.dice.between(1, LOTS) as u8;
            if shopper.dice.below(8) == 0 {
                shopper.ask_done(Request::Recall { sku: sku.clone(), lot }).await;
            }
            shopper.read(Subject::Trace { sku, lot }, Freshness::Linearizable).await;
        }
        _ => buy(shopper, &skus).await,
    }
}

async fn buy(shopper: &mut Shopper, skus: &[String]) {
    let first = shopper.dice.below(skus.len() as u64) as usize;
    let line = |shopper: &mut Shopper, at: usize| {
        let lot = (shopper.dice.below(3) == 0).then(|| shopper.dice.between(1, LOTS) as u8);
        let sku = skus[(first + at) % skus.len()].clone();
        LotLine { sku, units: shopper.dice.between(1, 3) as u32, lot }
    };
    let lines = match shopper.dice.below(5) {
        0 => vec![LotLine { sku: shopper.sku(SET), units: shopper.dice.between(1, 2) as u32, lot: None }],
        1 => vec![line(shopper, 0), line(shopper, 1)],
        _ => vec![line(shopper, 0)],
    };
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&lines[0].sku), random).0);
    if !shopper.ask_done(Request::ReserveOfLots { reservation, lines: lines.clone() }).await {
        return;
    }
    match shopper.dice.below(8) {
        // The shop's closing finds it held.
        0 => return,
        1 => drop(shopper.ask_done(Request::Release { reservation }).await),
        _ => drop(shopper.ask_done(Request::Commit { reservation }).await),
    }
    let Some(seen) = look(shopper, reservation).await else { return };
    let sold = seen.lines.first().and_then(|line| Some((line.sku.clone(), *line.lots.first()?)));
    if let Some((sku, (lot, _))) = &sold
        && shopper.dice.below(12) == 0
    {
        // Beneath this very order.
        recall(shopper, sku, *lot, reservation).await;
    }
    match (shopper.dice.below(8), &sold) {
        (0 | 1, _) => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        (2 | 3, Some((_, (lot, units)))) => {
            // Of the lot that it is bound to, or of another one that lies beside it.
            let lot = if shopper.dice.below(2) == 0 { *lot } else { shopper.dice.between(1, LOTS) as u8 };
            shopper.ask_done(Request::Pick { reservation, line: 0, lot, units: *units as u32 }).await;
        }
        _ => drop(shopper.ask_done(Request::Fulfil { reservation }).await),
    }
    let seen = look(shopper, reservation).await;
    let shipped =
        seen.and_then(|seen| seen.lines.first().and_then(|line| Some((line.sku.clone(), *line.shipped.first()?))));
    if let Some((sku, (lot, _))) = shipped
        && shopper.dice.below(12) == 0
    {
        recall(shopper, &sku, lot, reservation).await;
    }
}

/// Recalls a lot, asks who has units of it, and tries to have some of it all the same.
async fn recall(shopper: &mut Shopper, sku: &str, lot: u8, reservation: Id) {
    shopper.ask_done(Request::Recall { sku: sku.to_owned(), lot }).await;
    shopper.read(Subject::Trace { sku: sku.to_owned(), lot }, Freshness::Linearizable).await;
    look(shopper, reservation).await;
    shopper.ask_done(Request::Pick { reservation, line: 0, lot, units: 1 }).await;
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let another = Id(ReservationId::mint(now, slot_of(sku), random).0);
    let lines = vec![LotLine { sku: sku.to_owned(), units: 1, lot: Some(lot) }];
    shopper.ask_done(Request::ReserveOfLots { reservation: another, lines }).await;
}

async fn look(shopper: &mut Shopper, reservation: Id) -> Option<ReservationSeen> {
    match shopper.look(Subject::Reservation(reservation), Freshness::Linearizable).await? {
        Seen::Reservation(seen) => seen,
        _ => None,
    }
}
