//! Reservations of SKUs of several shards of which units are sold, shipped, given back and returned line by line.

use holdfast_client::Client;
use holdfast_client::ids::{ReservationId, slot_of};

use super::{Shopper, orders};
use crate::history::{Change, Freshness, Id, Line, Request, Subject};

pub(super) const NAME: &str = "PARTS";
const UNITS: u32 = 60;
/// Things done to one reservation.
const MOST_CHANGES: u64 = 6;

/// What fills the shelves.
pub(super) fn opening(client: &Client, name: &str) -> Vec<Request> {
    let put = |sku: String| [Request::PutItem { sku: sku.clone() }, Request::Receive { sku, units: UNITS }];
    orders::skus(client, name).into_iter().flat_map(put).collect()
}

pub(super) async fn order(shopper: &mut Shopper) {
    let skus = orders::skus(shopper.client(), &shopper.sku(NAME));
    let first = shopper.dice.below(skus.len() as u64) as usize;
    let sku = |at: usize| skus[(first + at) % skus.len()].clone();
    let lines: Vec<Line> =
        (0..skus.len()).map(|at| Line { sku: sku(at), units: shopper.dice.between(2, 4) as u32 }).collect();
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&lines[0].sku), random).0);
    if !shopper.ask_done(Request::ReserveInParts { reservation, lines: lines.clone() }).await {
        return;
    }
    let mut has_shipped = false;
    for _ in 0..shopper.dice.between(1, MOST_CHANGES) {
        let line = shopper.dice.below(lines.len() as u64) as u32;
        let units = shopper.dice.between(1, 2) as u32;
        let change = match shopper.dice.below(10) {
            0 => Change::Amend { sku: lines[line as usize].sku.clone() },
            1 => Change::SellLast,
            2..=5 => Change::Sell,
            6 | 7 if has_shipped => Change::Return,
            _ => Change::Ship,
        };
        has_shipped |= change == Change::Ship;
        shopper.ask(Request::Change { reservation, line, units, change }).await;
        if shopper.dice.below(4) == 0 {
            shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
        }
    }
    if shopper.dice.below(2) == 0 {
        shopper.ask_done(Request::Cancel { reservation }).await;
    }
    shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
}
