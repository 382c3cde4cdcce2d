//! Orders with external steps: some call a provider, others somebody reports, or forgets to; what gets stuck is decided by hand.

use std::time::Duration;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Consistency, v1};
use holdfast_proto::v1::{OrderState, StepState};

use super::{Shelf, Shopper, provider};
use crate::history::{Freshness, Id, Request, StepAsked, Subject, Undo};

const SKU: &str = "PAID";
/// Few enough that what comes to nothing is wanted by others.
const UNITS: u32 = 12;
/// How often the endpoint is put until it is there.
const TRIES: u32 = 600;
/// How often somebody looks at an order before leaving it to itself.
const LOOKS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(150);

pub(super) fn shelves() -> Vec<Shelf> {
    vec![(SKU.to_owned(), UNITS)]
}

/// Makes the provider known. False: that cannot be had.
pub(super) async fn make_endpoint(client: &Client) -> bool {
    let endpoint = v1::Endpoint {
        endpoint_id: provider::ENDPOINT.to_owned(),
        url: provider::URL.to_owned(),
        timeout_ms: 400,
        // Shorter than steps wait: an endpoint that is left alone for long answers nobody.
        breaker_failures: 3,
        breaker_open_ms: 300,
        ..v1::Endpoint::default()
    };
    for _ in 0..TRIES {
        if client.put_endpoint(endpoint.clone()).await.is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

pub(super) async fn order(shopper: &mut Shopper) {
    let sku = shopper.sku(SKU);
    let (now, random) = (shopper.client().cluster_time_ms(), shopper.random());
    let reservation = Id(ReservationId::mint(now, slot_of(&sku), random).0);
    let units = shopper.dice.between(1, 3) as u32;
    if !shopper.ask_done(Request::ReserveToOrder { reservation, sku: sku.clone(), units }).await {
        return shopper.read(Subject::Stock(sku), Freshness::Linearizable).await;
    }
    let steps = steps(shopper);
    if !shopper.ask_done(Request::StartOrder { reservation, steps }).await {
        shopper.ask_done(Request::Release { reservation }).await;
        return;
    }
    // A few sell or release beside it, which is refused.
    if shopper.dice.below(8) == 0 {
        let beside =
            if shopper.dice.below(2) == 0 { Request::Commit { reservation } } else { Request::Release { reservation } };
        shopper.ask(beside).await;
    }
    see_to(shopper, reservation).await;
    shopper.read(Subject::Reservation(reservation), Freshness::Linearizable).await;
}

/// One to three, some called and some reported.
fn steps(shopper: &mut Shopper) -> Vec<StepAsked> {
    let names = ["pay", "check", "sign"];
    let count = shopper.dice.between(1, 3) as usize;
    let step = |name: &&str| StepAsked {
        name: (*name).to_owned(),
        is_called: shopper.dice.below(3) > 0,
        undo: [Undo::None, Undo::Called, Undo::Called, Undo::Reported][shopper.dice.below(4) as usize],
        within_ms: shopper.dice.between(800, 4_000),
    };
    names[..count].iter().map(step).collect()
}

/// Looks at an order now and then, and does what is to be done by hand: or not.
async fn see_to(shopper: &mut Shopper, reservation: Id) {
    for _ in 0..LOOKS {
        let reader = shopper.client().reader(Consistency::Linearizable);
        let Ok(read) = reader.order(ReservationId(reservation.0)).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let order = read.value;
        match order.state() {
            OrderState::Confirmed | OrderState::Aborted | OrderState::Unspecified => return,
            OrderState::Stuck => {
                if shopper.dice.below(2) == 0 {
                    let confirm = shopper.dice.below(2) == 0;
                    shopper.ask(Request::ResolveOrder { reservation, confirm }).await;
                }
                return;
            }
            OrderState::Running | OrderState::Compensating => {
                let current = order.steps.iter().find(|step| step.deadline_ms > 0);
                let Some(current) = current else { continue };
                let undo = current.state() == StepState::Compensating;
                let spec = current.spec.clone().unwrap_or_default();
                let is_by_hand = if undo { spec.compensation_awaited } else { spec.endpoint.is_empty() };
                if is_by_hand {
                    let done = match shopper.dice.below(8) {
                        // Forgotten.
                        0 => return,
                        1 => false,
                        _ => true,
                    };
                    let step = spec.name;
                    shopper.ask(Request::ReportStep { reservation, step, undo, done }).await;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
