//! What is sold on the day: a few SKUs, each on a shard of its own, with more on the shelf than the sale is given.

use std::collections::BTreeSet;

use holdfast_client::{Client, PutItem, Receive};
use holdfast_proto::v1::Item;

use super::super::shop::be_done;
use super::Plan;
use crate::failure::Failure;

/// How many SKUs.
const SKUS: usize = 3;
/// How many units one customer may have of each.
pub(super) const PER_CUSTOMER: u32 = 1;

/// What there is.
pub(super) struct Shop {
    pub(super) skus: Vec<String>,
    /// Units of each that the sale is given.
    pub(super) granted: u32,
    /// Units of each on the shelf at first.
    pub(super) received: u32,
}

/// Makes the items and fills the shelves: fewer units than there are customers.
pub(super) async fn open(client: &Client, plan: Plan) -> Result<Shop, Failure> {
    let mut skus: Vec<String> = Vec::new();
    let mut taken = BTreeSet::new();
    let mut number = plan.seed;
    while skus.len() < SKUS {
        let sku = format!("SERUM-{:04}", number % 10_000);
        number += 1;
        if taken.insert(client.shard_of(&sku)) {
            skus.push(sku);
        }
    }
    let granted = (plan.customers / 6).clamp(5, 500);
    let received = granted + 20;
    for sku in &skus {
        let item = Item { sku: sku.clone(), name: "Serum".to_owned(), ..Item::default() };
        be_done(client, PutItem::new(item).into(), sku).await?;
        be_done(client, Receive::of(sku.as_str(), received).into(), sku).await?;
    }
    Ok(Shop { skus, granted, received })
}
