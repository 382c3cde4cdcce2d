//! One customer of the sale: looks around, wants something, holds it, pays or thinks better of it, again and again.

use std::sync::Arc;
use std::time::Duration;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, CommandKey, Error, ExecuteOptions};
use holdfast_proto::v1::ErrorReason;
use tokio::time::{Instant, sleep, timeout_at};

use super::records::{Record, Step, Verb};
use super::sale::Counts;
use super::shop::Shop;
use crate::connect;
use crate::latency::Latency;
use crate::random::Random;

/// Between two steps, on average.
const THINKS_MS: u64 = 400;
/// A customer waits so long for an answer before the outcome counts as unknown.
const PATIENCE: Duration = Duration::from_secs(5);
/// Purchases that one customer remembers.
const MAX_RECORDS: usize = 10_000;

/// What all customers share.
pub(super) struct Hall {
    pub(super) client: Client,
    pub(super) shop: Arc<Shop>,
    pub(super) counts: Arc<Counts>,
    pub(super) latency: Arc<Latency>,
    pub(super) closes: Instant,
}

/// Shops until the sale closes. Returns what it knows of its purchases.
pub(super) async fn shop_until_closing(hall: Arc<Hall>, mut random: Random) -> Vec<Record> {
    let mut records = Vec::new();
    while records.len() < MAX_RECORDS {
        if !think(&hall, &mut random).await {
            break;
        }
        if let Some(record) = buy(&hall, &mut random).await {
            records.push(record);
        }
    }
    records
}

/// Pauses for a while; false when the sale has closed.
async fn think(hall: &Hall, random: &mut Random) -> bool {
    let pause = Duration::from_millis(1 + random.below(2 * THINKS_MS));
    timeout_at(hall.closes, sleep(pause)).await.is_ok()
}

/// One purchase, as far as it goes; `None` where the cluster surely knows nothing of it.
async fn buy(hall: &Hall, random: &mut Random) -> Option<Record> {
    let ware = hall.shop.demand.draw(random);
    let hot = hall.shop.wares[ware].hot();
    let slot = slot_of(&hall.shop.wares[ware].sku);
    let reservation: ReservationId = connect::mint_reservation(slot, random);
    let units = if random.chance(0.15) { 2 } else { 1 };
    let mut record = Record::new(reservation, u32::try_from(ware).expect("a small shop"), units);
    if !take(hall, &mut record, Verb::Reserve).await {
        return (record.reserve != Step::NotTaken).then_some(record);
    }
    hall.counts.add(&hall.counts.held, units);
    hall.counts.add(&hall.counts.hot_held, hot * units);
    if !think(hall, random).await || random.chance(0.08) {
        // The customer goes away; the hold ends by itself.
        return Some(record);
    }
    if random.chance(0.17) {
        if take(hall, &mut record, Verb::Release).await {
            hall.counts.add(&hall.counts.released, units);
        }
        return Some(record);
    }
    if take(hall, &mut record, Verb::Commit).await {
        hall.counts.add(&hall.counts.sold, units);
        hall.counts.add(&hall.counts.hot_sold, hot * units);
        if think(hall, random).await {
            take(hall, &mut record, Verb::Fulfil).await;
        }
    }
    Some(record)
}

/// Asks for a step and writes down what became of it; true where it is done.
async fn take(hall: &Hall, record: &mut Record, verb: Verb) -> bool {
    let asked = Instant::now();
    let options = ExecuteOptions { key: CommandKey::Minted, deadline: Some(PATIENCE), ..ExecuteOptions::default() };
    let answer = hall.client.execute_with(record.command(verb, &hall.shop), options).await;
    let step = match &answer {
        Ok(_) => Step::Done,
        Err(Error::Refused(_)) => Step::Refused,
        Err(Error::NotAdmitted(_)) => Step::NotTaken,
        Err(Error::Unknown(told)) => told.command_id.map_or(Step::NotTaken, Step::Unknown),
    };
    *record.step_mut(verb) = step;
    let counts = &hall.counts;
    match step {
        Step::Done | Step::Refused => {
            hall.latency.record(asked.elapsed());
            counts.add(&counts.commands, 1);
        }
        Step::NotTaken => counts.add(&counts.not_admitted, 1),
        Step::Unknown(_) => counts.add(&counts.unknown, 1),
    }
    let lacks =
        |error: Error| matches!(error.reason(), ErrorReason::InsufficientStock | ErrorReason::ComponentUnavailable);
    if step == Step::Refused && answer.is_err_and(lacks) {
        counts.add(&counts.refused, 1);
    }
    step == Step::Done
}
