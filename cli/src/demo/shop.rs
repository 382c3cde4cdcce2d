//! The shop of the demo: the built-in catalogue with stock for some of the demand, sold by the piece or in gift sets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::{Client, Command, CommandKey, PutItem, PutKit, Receive};

use super::{Plan, Scenario};
use crate::boutique;
use crate::certain::{Outcome, ask_until_certain};
use crate::demand::Demand;
use crate::failure::Failure;
use crate::output;
use crate::random::Random;

const IN_FLIGHT: usize = 256;
const WITHIN: Duration = Duration::from_secs(30);
/// The share of all wishes that are for the one lipstick.
const HOT_SHARE: f64 = 0.15;

/// How many gift sets there are.
const SETS: usize = 60;
/// On how many shards the components of a gift set are, at least.
const SHARDS_OF_A_SET: usize = 4;
/// How long a gift set is held, so that all holds have ended soon after the sale.
const SET_TTL: Duration = Duration::from_secs(15);

/// An item with its stock.
pub(super) struct Stocked {
    pub(super) sku: String,
    pub(super) stock: u32,
}

/// What a customer asks for by one name.
pub(super) struct Ware {
    pub(super) sku: String,
    /// The items that one takes, by their places in the shop, with how many of each.
    pub(super) parts: Vec<(usize, u32)>,
}

impl Ware {
    /// An item that is sold as it is.
    pub(super) fn single(place: usize, sku: &str) -> Self {
        Self { sku: sku.to_owned(), parts: vec![(place, 1)] }
    }

    /// Units of items that one takes, of all together.
    pub(super) fn pieces(&self) -> u32 {
        self.parts.iter().map(|(_, units)| units).sum()
    }

    /// Units of the hot lipstick that one takes.
    pub(super) fn hot(&self) -> u32 {
        self.parts.iter().filter(|(place, _)| *place == 0).map(|(_, units)| units).sum()
    }
}

/// The shop when the sale begins.
pub(super) struct Shop {
    /// The hot lipstick first.
    pub(super) items: Vec<Stocked>,
    pub(super) wares: Vec<Ware>,
    pub(super) demand: Demand,
    /// How long a hold lasts; `None`: as long as the cluster says.
    pub(super) ttl: Option<Duration>,
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
    let items: Vec<Stocked> =
        catalogue.into_iter().zip(stocks).map(|(ware, stock)| Stocked { sku: ware.item.sku, stock }).collect();
    Ok(Arc::new(match plan.scenario {
        Scenario::FlashSale | Scenario::Drop => by_the_piece(items),
        Scenario::GiftSets => in_gift_sets(client, items, &mut random).await?,
    }))
}

/// The shop of a flash sale that was opened before, to go on shopping in it.
pub(super) fn as_it_was(seed: u64) -> Arc<Shop> {
    let items = boutique::catalogue(seed).into_iter().map(|ware| Stocked { sku: ware.item.sku, stock: 0 });
    Arc::new(by_the_piece(items.collect()))
}

/// Every item is sold as it is: the hot lipstick for a good part of all wishes, the others by Zipf's law.
fn by_the_piece(items: Vec<Stocked>) -> Shop {
    let rest: f64 = (1..items.len()).map(zipf).sum();
    let hot = rest * HOT_SHARE / (1.0 - HOT_SHARE);
    let demand = Demand::weighted(std::iter::once(hot).chain((1..items.len()).map(zipf)));
    let wares = items.iter().enumerate().map(|(place, item)| Ware::single(place, &item.sku)).collect();
    Shop { items, wares, demand, ttl: None }
}

/// Items are sold in kits, of which most have the hot lipstick in them and some share other items.
async fn in_gift_sets(client: &Client, items: Vec<Stocked>, random: &mut Random) -> Result<Shop, Failure> {
    let shards: BTreeSet<u32> = items.iter().map(|item| client.shard_of(&item.sku)).collect();
    let at_least = SHARDS_OF_A_SET.min(shards.len());
    let wares: Vec<Ware> = (0..SETS).map(|number| gift_set(client, &items, at_least, number, random)).collect();
    for ware in &wares {
        let put = PutKit::of(&ware.sku).name("Gift set");
        let put = ware.parts.iter().fold(put, |put, (place, units)| put.component(items[*place].sku.as_str(), *units));
        be_done(client, put.into(), &ware.sku).await?;
    }
    Ok(Shop { items, wares, demand: Demand::zipf(SETS, 0.6), ttl: Some(SET_TTL) })
}

fn gift_set(client: &Client, items: &[Stocked], at_least: usize, number: usize, random: &mut Random) -> Ware {
    // From among few, so that sets share components.
    let mut parts: Vec<(usize, u32)> = if random.chance(0.8) { vec![(0, 1)] } else { Vec::new() };
    let mut shards: BTreeSet<u32> = parts.iter().map(|(place, _)| client.shard_of(&items[*place].sku)).collect();
    while shards.len() < at_least || parts.len() < 3 {
        let place = 1 + random.below(items.len() as u64 / 4) as usize;
        let is_new = shards.insert(client.shard_of(&items[place].sku));
        if is_new || (shards.len() >= at_least && parts.iter().all(|(other, _)| *other != place)) {
            parts.push((place, if random.chance(0.2) { 2 } else { 1 }));
        }
    }
    Ware { sku: format!("GIFT-SET-{number:02}"), parts }
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

async fn put_and_receive(client: &Client, ware: &boutique::Ware, stock: u32) -> Result<(), Failure> {
    be_done(client, PutItem::new(ware.item.clone()).into(), &ware.item.sku).await?;
    be_done(client, Receive::of(ware.item.sku.clone(), stock).into(), &ware.item.sku).await
}

/// Asks until it is done.
pub(super) async fn be_done(client: &Client, command: Command, about: &str) -> Result<(), Failure> {
    match ask_until_certain(client, command, CommandKey::Minted, WITHIN).await? {
        Outcome::Done => Ok(()),
        Outcome::Refused(told) => Err(Failure::from_client(&told).about(about)),
    }
}
