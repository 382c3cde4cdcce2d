//! Linked commands: what arrives is held and sold in one, and a chain with a command that must fail does nothing.

use super::{Shelf, Shopper};
use crate::history::{Command, Freshness, Request, Subject};

const SKU: &str = "LINKED";
const UNITS: u32 = 30;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let units = shopper.dice.between(1, 4) as u32;
    let reserve = shopper.reserve_request(&[(&sku, units)], 600);
    let Some(reservation) = reserve.reservation() else { return };
    let receive = Request::Receive { sku: sku.clone(), units };
    let requests = match shopper.dice.below(5) {
        0 => vec![reserve, Request::Commit { reservation }],
        1 => vec![receive, reserve, Request::Commit { reservation }],
        2 => vec![reserve, Request::Commit { reservation }, Request::Cancel { reservation }],
        3 => vec![reserve, Request::Release { reservation }],
        // Nothing is committed yet, so that all of it is refused.
        _ => vec![receive, reserve, Request::Fulfil { reservation }],
    };
    let commands = requests.into_iter().map(|request| Command { id: shopper.command_id(), request }).collect();
    shopper.ask_chain(commands).await;
    match shopper.dice.below(4) {
        0 => shopper.read(Subject::Stock(sku), Freshness::Linearizable).await,
        1 => drop(shopper.ask_done(Request::Cancel { reservation }).await),
        _ => {}
    }
}
