//! The stock that a replay begins with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::{Client, Command, CommandKey, PutItem, Receive};
use holdfast_proto::v1::{ErrorReason, Item};

use crate::certain::{Outcome, ask_until_certain};
use crate::failure::Failure;
use crate::input::EventKind;
use crate::output;

const IN_FLIGHT: usize = 256;
const WITHIN: Duration = Duration::from_secs(30);

/// How much stock each product of the trace gets before it is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stocking {
    /// None: the cluster's own items and stock are used.
    AsItIs,
    /// So many units each.
    Units(u32),
    /// So many units for each of its purchase rows, rounded up, at least 1.
    OfDemand(f64),
}

impl Stocking {
    /// Units of a product with so many purchase rows.
    pub fn units(self, purchases: u64) -> u32 {
        match self {
            Self::AsItIs => 0,
            Self::Units(units) => units,
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // Purchases of one product are few; the cast saturates.
            Self::OfDemand(factor) => ((factor * purchases as f64).ceil() as u32).max(1),
        }
    }
}

/// Makes the trace's products items, where they are none yet, and receives their stock.
pub(super) async fn stock(file: &Path, stocking: Stocking, client: &Client) -> Result<(), Failure> {
    if stocking == Stocking::AsItIs {
        return Ok(());
    }
    let demand = purchases_by_product(file)?;
    let bar = output::bar("stocking", demand.len() as u64);
    let stocked = futures_util::stream::iter(demand)
        .map(|(sku, purchases)| stock_one(client, sku, stocking.units(purchases)))
        .buffer_unordered(IN_FLIGHT)
        .inspect(|_| bar.inc(1))
        .try_collect::<Vec<()>>()
        .await;
    bar.finish_and_clear();
    stocked.map(drop)
}

async fn stock_one(client: &Client, sku: String, units: u32) -> Result<(), Failure> {
    let item = Item { sku: sku.clone(), ..Item::default() };
    let put = Command::from(PutItem::new(item).if_absent());
    match ask_until_certain(client, put, CommandKey::Minted, WITHIN).await? {
        Outcome::Done => {}
        Outcome::Refused(told) if told.reason == ErrorReason::Exists => {}
        Outcome::Refused(told) => return Err(Failure::from_client(&told).about(sku)),
    }
    if units == 0 {
        return Ok(());
    }
    let receive = Command::from(Receive::of(sku.clone(), units));
    match ask_until_certain(client, receive, CommandKey::Minted, WITHIN).await? {
        Outcome::Done => Ok(()),
        Outcome::Refused(told) => Err(Failure::from_client(&told).about(sku)),
    }
}

/// Every product of the trace, with the number of its purchase rows. Dirty rows are told of when it is played.
fn purchases_by_product(file: &Path) -> Result<BTreeMap<String, u64>, Failure> {
    let name = file.display().to_string();
    let mut reader = super::open(file)?;
    let mut demand = BTreeMap::new();
    while let Some(row) = reader.next_event().map_err(|failure| failure.about(&name))? {
        if let Ok(event) = row {
            let purchases: &mut u64 = demand.entry(event.sku).or_default();
            *purchases += u64::from(event.kind == EventKind::Purchase);
        }
    }
    Ok(demand)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_of_demand_is_rounded_up_and_at_least_one() {
        let units = |purchases| Stocking::OfDemand(0.5).units(purchases);
        assert_eq!([units(0), units(1), units(2), units(3), units(10)], [1, 1, 1, 2, 5]);
        assert_eq!(Stocking::Units(7).units(100), 7);
    }
}
