//! The shop of the recall: creams that are kept by lot, over many shards, and sets of a cream and another shard's cream.
//!
//! Some creams have an earlier and a later lot beside the recalled one. Of the others the recalled lot is all there is while orders
//! are made, so that whatever is sold of them is of it.

use std::collections::BTreeSet;

use holdfast_client::{Client, PutItem, PutKit, Receive};
use holdfast_proto::v1::{Item, LotSpec};

use super::super::shop::be_done;
use super::Plan;
use crate::failure::Failure;

/// The lot that is withdrawn, and those before and after it.
pub(super) const RECALLED: &str = "B-2417";
pub(super) const EARLIER: &str = "B-2309";
pub(super) const LATER: &str = "B-2588";

/// Creams with three lots, and creams with the recalled one alone.
const MIXED: usize = 6;
const PURE: usize = 2;
/// Units of the earlier lot of each cream that has one.
const OF_EARLIER: u32 = 40;

/// An item that is kept by lot.
pub(super) struct Cream {
    pub(super) sku: String,
    pub(super) shard: u32,
    /// All that is sold of it is of the recalled lot.
    pub(super) is_pure: bool,
    /// Everything that was received of it, in the end.
    pub(super) received: u64,
}

/// One cream of three lots and one of the recalled lot, sold together.
pub(super) struct Set {
    pub(super) sku: String,
    /// By their places in the shop. The shard of the first decides.
    pub(super) mixed: usize,
    pub(super) pure: usize,
}

/// What there is.
pub(super) struct Shop {
    pub(super) creams: Vec<Cream>,
    pub(super) sets: Vec<Set>,
}

impl Shop {
    /// The creams that are sold by the piece.
    pub(super) const fn mixed(&self) -> u64 {
        MIXED as u64
    }
}

/// Makes the items and the sets, and receives the lots.
pub(super) async fn open(client: &Client, plan: Plan) -> Result<Shop, Failure> {
    let plenty = plenty(plan);
    let mut creams: Vec<Cream> = Vec::new();
    let mut taken = BTreeSet::new();
    let mut number = 0_u64;
    while creams.len() < MIXED + PURE {
        let sku = format!("CREAM-{:03}", (plan.seed + number) % 1_000);
        let shard = client.shard_of(&sku);
        number += 1;
        // Each on a shard of its own, while there are any.
        if taken.contains(&shard) && number < 500 {
            continue;
        }
        taken.insert(shard);
        let is_pure = creams.len() >= MIXED;
        let later = if is_pure { 0 } else { u64::from(plenty + OF_EARLIER) };
        creams.push(Cream { sku, shard, is_pure, received: u64::from(plenty) + later });
    }
    for cream in &creams {
        let item = Item { sku: cream.sku.clone(), name: "Cream".into(), lot_tracked: true, ..Item::default() };
        be_done(client, PutItem::new(item).into(), &cream.sku).await?;
        if !cream.is_pure {
            receive(client, cream, EARLIER, "2098-01-31", OF_EARLIER).await?;
            receive(client, cream, LATER, "2099-12-31", plenty).await?;
        }
        receive(client, cream, RECALLED, "2099-01-31", plenty).await?;
    }
    let sets: Vec<Set> = (0..MIXED)
        .map(|mixed| Set { sku: set_on(client, creams[mixed].shard, mixed), mixed, pure: MIXED + mixed % PURE })
        .collect();
    for set in &sets {
        let put = PutKit::of(&set.sku).name("Day and night");
        let put = put.component(creams[set.mixed].sku.as_str(), 1).component(creams[set.pure].sku.as_str(), 1);
        be_done(client, put.into(), &set.sku).await?;
    }
    Ok(Shop { creams, sets })
}

/// Once all orders are made: another lot for the creams that had none, from which what was promised can be served.
pub(super) async fn restock(client: &Client, shop: &mut Shop, plan: Plan) -> Result<(), Failure> {
    let units = plenty(plan);
    for cream in shop.creams.iter_mut().filter(|cream| cream.is_pure) {
        receive(client, cream, LATER, "2099-12-31", units).await?;
        cream.received += u64::from(units);
    }
    Ok(())
}

/// More units than all orders can have.
const fn plenty(plan: Plan) -> u32 {
    plan.orders.saturating_mul(4).saturating_add(1_000)
}

async fn receive(client: &Client, cream: &Cream, lot: &str, best_before: &str, units: u32) -> Result<(), Failure> {
    let spec = LotSpec { best_before: best_before.into(), ..LotSpec::default() };
    let receive = Receive::of(cream.sku.as_str(), units).lot(lot).lot_spec(spec);
    be_done(client, receive.into(), &cream.sku).await
}

/// A name for a set that lies on that shard, which decides it then: reading the reservation shows the lots of the deciding shard's
/// lines.
fn set_on(client: &Client, shard: u32, number: usize) -> String {
    let mut names = (0_u32..).map(|suffix| format!("SET-{number}-{suffix}"));
    names.find(|sku| client.shard_of(sku) == shard).expect("some name is on any shard")
}
