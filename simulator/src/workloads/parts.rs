//! Reservations of SKUs of several shards of which units are sold, shipped, given back and returned line by line.

use holdfast_client::Client;
use holdfast_client::ids::{ReservationId, slot_of};

use super::{Shopper, orders};
use crate::history::{Change, Freshness, Id, Line, Request, Subject};

pub(super) const NAME: &str = "PARTS";
const UNITS: u32 = 60;
/// Things done to one reservation.
const MOST_CHANGES: u64 = 8;

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
    let mut known = vec![Known::default(); lines.len()];
    for _ in 0..shopper.dice.between(2, MOST_CHANGES) {
        let (line, units, change) = next_change(shopper, &lines, &known);
        if shopper.ask_done(Request::Change { reservation, line: line as u32, units, change: change.clone() }).await {
            known[line].note(&change, units);
        }
        if shopper.dice.below(4) == 0 {
            shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
        }
    }
    if shopper.dice.below(2) == 0 {
        shopper.ask_done(Request::Cancel { reservation }).await;
    }
    shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
}

/// Units of one line, as far as the customer was answered.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    sold: u32,
    shipped: u32,
}

impl Known {
    fn note(&mut self, change: &Change, units: u32) {
        match change {
            Change::Sell | Change::SellLast => self.sold += units,
            Change::Ship => (self.sold, self.shipped) = (self.sold.saturating_sub(units), self.shipped + units),
            Change::Return => self.shipped = self.shipped.saturating_sub(units),
            Change::Amend { .. } => {}
        }
    }
}

/// Mostly what may be done, so that the later steps come about: units of what was shipped come back, what was sold is shipped.
fn next_change(shopper: &mut Shopper, lines: &[Line], known: &[Known]) -> (usize, u32, Change) {
    let any = shopper.dice.below(lines.len() as u64) as usize;
    let of = |of: fn(&Known) -> u32| (0..known.len()).map(|at| (any + at) % known.len()).find(|at| of(&known[*at]) > 0);
    let some = |shopper: &mut Shopper, most: u32| shopper.dice.between(1, u64::from(most)) as u32;
    match (shopper.dice.below(8), of(|known| known.shipped), of(|known| known.sold)) {
        (0, ..) => (any, some(shopper, 2), Change::Amend { sku: lines[any].sku.clone() }),
        (1, ..) => (any, some(shopper, 2), Change::SellLast),
        (2..=4, Some(at), _) => (at, some(shopper, known[at].shipped), Change::Return),
        (2..=6, _, Some(at)) => (at, some(shopper, known[at].sold), Change::Ship),
        (7, ..) => (any, some(shopper, 2), Change::Ship),
        _ => (any, some(shopper, 2), Change::Sell),
    }
}
