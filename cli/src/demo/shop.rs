//! The shop of the demo: the built-in catalogue, with stock for some of the demand.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::{Client, Command, CommandKey, PutItem, Receive};

use super::Plan;
use crate::boutique::{self, Ware};
use crate::certain::{Outcome, ask_until_certain};
use crate::demand::Demand;
use crate::failure::Failure;
use crate::output;
use crate::random::Random;

const IN_FLIGHT: usize = 256;
const WITHIN: Duration = Duration::from_secs(30);
/// The share of all wishes that are for the one lipstick.
const HOT_SHARE: f64 = 0.15;

/// A ware with its stock.
pub(super) struct Stocked {
    pub(super) sku: String,
    pub(super) stock: u32,
}

/// The shop when the sale begins.
pub(super) struct Shop {
    /// The hot lipstick first, then by falling demand.
    pub(super) wares: Vec<Stocked>,
    pub(super) demand: Demand,
}

/// Makes the catalogue's items and receives their stock.
pub(super) async fn open(client: &Client, plan: Plan) -> Result<Arc<Shop>, Failure> {
    let catalogue = boutique::catalogue(plan.seed);
    let mut random = Random::stream(plan.seed, u64::MAX);
    let stocks: Vec<u32> = (0..catalogue.len()).map(|rank| stock_of(rank, plan.customers, &mut random)).collect();
    let bar = output::bar("stocking the shop", catalogue.len() as u64);
    let stocked = futures_util::stream::iter(catalogue.iter().zip(&stocks))
        .map(|(ware, &stock)| put_and_receive(client, ware, stock))
        .buffer_unordered(IN_FLIGHT)
        .inspect(|_| bar.inc(1))
        .try_collect::<Vec<()>>()
        .await;
    bar.finish_and_clear();
    stocked?;
    let rest: f64 = (1..catalogue.len()).map(zipf).sum();
    let hot = rest * HOT_SHARE / (1.0 - HOT_SHARE);
    let demand = Demand::weighted(std::iter::once(hot).chain((1..catalogue.len()).map(zipf)));
    let wares = catalogue.into_iter().zip(stocks).map(|(ware, stock)| Stocked { sku: ware.item.sku, stock }).collect();
    Ok(Arc::new(Shop { wares, demand }))
}

#[allow(clippy::cast_precision_loss)] // ranks are small
fn zipf(rank: usize) -> f64 {
    1.0 / rank as f64
}

/// The lipstick for every second customer, so that it sells out; of the rest, some sell out and some do not.
fn stock_of(rank: usize, customers: u32, random: &mut Random) -> u32 {
    if rank == 0 {
        return (customers / 2).max(1);
    }
    u32::try_from(10 + random.below(140)).expect("a small number")
}

async fn put_and_receive(client: &Client, ware: &Ware, stock: u32) -> Result<(), Failure> {
    for command in
        [Command::from(PutItem::new(ware.item.clone())), Command::from(Receive::of(ware.item.sku.clone(), stock))]
    {
        if let Outcome::Refused(told) = ask_until_certain(client, command, CommandKey::Minted, WITHIN).await? {
            return Err(Failure::from_client(&told).about(&ware.item.sku));
        }
    }
    Ok(())
}
