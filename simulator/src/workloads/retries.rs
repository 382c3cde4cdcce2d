//! Everything is asked again under its id: after it was answered and before, by its customer and by others, and sometimes
//! with another body, which must not be decided beside the first.

use super::{Shelf, Shopper};
use crate::history::{Command, Request};

const SKU: &str = "AGAIN";
const UNITS: u32 = 40;

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

pub(super) async fn order(shopper: &mut Shopper) {
    let shown = shopper.board().command(&mut shopper.dice);
    let command = match shown.filter(|_| shopper.dice.below(2) == 0) {
        Some(command) if shopper.dice.below(4) == 0 => with_another_body(shopper, command),
        Some(command) => command,
        None => {
            let request = new_request(shopper);
            let command = Command { id: shopper.command_id(), request };
            // Shown before it is asked: another may come first with it.
            shopper.board().show_command(command.clone());
            command
        }
    };
    if let Some(reservation) = command.request.reservation() {
        shopper.board().show_reservation(reservation);
    }
    shopper.ask_command(command).await;
}

fn new_request(shopper: &mut Shopper) -> Request {
    let sku = shopper.sku(SKU);
    let reservation = shopper.board().reservation(&mut shopper.dice);
    match (shopper.dice.below(6), reservation) {
        (0, _) => Request::Receive { sku, units: 2 },
        (1, Some(reservation)) => Request::Commit { reservation },
        (2, Some(reservation)) => Request::Release { reservation },
        (3, Some(reservation)) => Request::Cancel { reservation },
        _ => {
            let units = shopper.dice.between(1, 4) as u32;
            shopper.reserve_request(&[(&sku, units)], 600)
        }
    }
}

fn with_another_body(shopper: &mut Shopper, command: Command) -> Command {
    let request = match command.request {
        Request::Receive { sku, units } => Request::Receive { sku, units: units + 1 },
        Request::Commit { reservation } => Request::Release { reservation },
        Request::Release { reservation } => Request::Commit { reservation },
        _ => {
            let sku = shopper.sku(SKU);
            shopper.reserve_request(&[(&sku, 5)], 600)
        }
    };
    Command { request, ..command }
}
