//! The page of stock: quantities by SKU, and one SKU with its lots and what happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use holdfast_client::{Error, Lots, Reader};
use holdfast_proto::v1;
use serde::Serialize;

use super::event::EventShown;
use super::{in_time, own_copy};
use crate::asked::Asked;
use crate::reply::{Answered, Reply};

/// Rows of a list.
const ROWS: usize = 100;
/// Quantities that one search looks at; more are found by more of the SKU.
const LOOKED_AT: usize = 20_000;
/// Items that are asked for at once, to say which quantities are low.
const AT_ONCE: usize = 16;
/// Events of one SKU.
const EVENTS: usize = 50;
/// What leaves sale within this time is at risk.
const AT_RISK: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Quantities of a SKU at a location.
#[derive(Debug, Serialize)]
struct LevelShown {
    sku: String,
    location_id: String,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
    in_transit: u64,
    short: u64,
    atp: u64,
    low_stock_threshold: u64,
}

#[derive(Debug, Serialize)]
struct Levels {
    levels: Vec<LevelShown>,
    /// Not all that match are shown.
    more: bool,
}

#[derive(Debug, Serialize)]
struct LotShown {
    sku: String,
    lot_id: String,
    status: &'static str,
    removal_at_ms: u64,
    on_hand: u64,
}

#[derive(Debug, Serialize)]
struct LotsShown {
    /// The first to leave first.
    lots: Vec<LotShown>,
    /// Not all of them are shown.
    more: bool,
}

#[derive(Debug, Serialize)]
struct ItemShown {
    name: String,
    status: &'static str,
    kit: bool,
}

#[derive(Debug, Serialize)]
struct OneSku {
    item: ItemShown,
    levels: Vec<LevelShown>,
    lots: Vec<LotShown>,
    events: Vec<EventShown>,
}

/// `GET /ui/api/stock?find=LIP`: quantities whose SKU has that in it.
pub(super) async fn find(asked: Asked) -> Answered {
    asked.only_query(&["find"])?;
    let wanted = asked.query_text("find").unwrap_or_default().to_lowercase();
    let client = asked.client()?;
    in_time(async {
        let reader = own_copy(&asked, &client);
        let mut listing = reader.stocks();
        let (mut levels, mut looked) = (Vec::new(), 0);
        while let Some(level) = listing.next().await? {
            looked += 1;
            if level.sku.to_lowercase().contains(&wanted) {
                levels.push(level);
            }
            if levels.len() > ROWS || looked == LOOKED_AT {
                break;
            }
        }
        let more = levels.len() > ROWS || looked == LOOKED_AT;
        levels.truncate(ROWS);
        levels.sort_by(|a, b| a.sku.cmp(&b.sku));
        let thresholds = thresholds(reader, &levels).await?;
        let threshold = |level: &v1::StockLevel| thresholds.get(&level.sku).copied().unwrap_or(0);
        let shown = |level: v1::StockLevel| LevelShown::of(threshold(&level), level);
        Ok(Reply::ok(&Levels { levels: levels.into_iter().map(shown).collect(), more }))
    })
    .await
}

/// At how many units each SKU of these is low.
async fn thresholds(reader: Reader<'_>, levels: &[v1::StockLevel]) -> Result<BTreeMap<String, u64>, Error> {
    let skus: BTreeSet<&str> = levels.iter().map(|level| level.sku.as_str()).collect();
    let threshold = |sku: String| async move {
        let item = reader.item(&sku).await?.value;
        Ok::<_, Error>((sku, item.low_stock_threshold))
    };
    // As owned texts: a future that borrows from the list could not be told to live as long as the stream.
    let skus: Vec<String> = skus.into_iter().map(str::to_owned).collect();
    let mut found = futures_util::stream::iter(skus.into_iter().map(threshold)).buffer_unordered(AT_ONCE);
    let mut thresholds = BTreeMap::new();
    while let Some(one) = found.next().await {
        thresholds.extend([one?]);
    }
    Ok(thresholds)
}

/// `GET /ui/api/stock/{sku}`.
pub(super) async fn one(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, sku) = (asked.client()?, asked.path("sku").to_owned());
    in_time(async {
        let reader = own_copy(&asked, &client);
        let item = reader.item(&sku).await?.value;
        let levels = if item.kit { Vec::new() } else { reader.stock(&sku, None).await?.value.levels };
        let lots = if item.lot_tracked { reader.lots(&sku).await?.value } else { Vec::new() };
        let threshold = item.low_stock_threshold;
        let filter = v1::EventFilter { sku: sku.clone(), ..v1::EventFilter::default() };
        let shard = client.shard_of(&sku);
        let head = asked.web.watcher.head(shard);
        let events = super::event::latest(reader, shard, head, &filter, EVENTS).await?;
        Ok(Reply::ok(&OneSku {
            item: ItemShown { status: status_of(&item), name: item.name, kit: item.kit },
            levels: levels.into_iter().map(|level| LevelShown::of(threshold, level)).collect(),
            lots: lots.into_iter().map(LotShown::of).collect(),
            events,
        }))
    })
    .await
}

/// `GET /ui/api/at-risk`: lots that leave sale soon.
pub(super) async fn at_risk(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let until = client.cluster_time_ms() + u64::try_from(AT_RISK.as_millis()).unwrap_or(u64::MAX);
        let which = Lots { removal_until_ms: Some(until) };
        // They come by shard and SKU: those that leave first are known once all were seen.
        let lots = own_copy(&asked, &client).all_lots(which).take(LOOKED_AT).await?;
        Ok(Reply::ok(&soonest(lots)))
    })
    .await
}

/// The lots of which there is something, the first to leave sale first.
fn soonest(lots: Vec<v1::Lot>) -> LotsShown {
    let looked = lots.len();
    let mut lots: Vec<LotShown> = lots.into_iter().map(LotShown::of).filter(|lot| lot.on_hand > 0).collect();
    lots.sort_by_key(|lot| lot.removal_at_ms);
    let more = lots.len() > ROWS || looked == LOOKED_AT;
    lots.truncate(ROWS);
    LotsShown { lots, more }
}

impl LevelShown {
    fn of(low_stock_threshold: u64, level: v1::StockLevel) -> Self {
        Self {
            sku: level.sku,
            location_id: level.location_id,
            on_hand: level.on_hand,
            reserved: level.reserved,
            committed: level.committed,
            damaged: level.damaged,
            quality_control: level.quality_control,
            in_transit: level.in_transit,
            short: level.short,
            atp: level.atp,
            low_stock_threshold,
        }
    }
}

impl LotShown {
    fn of(lot: v1::Lot) -> Self {
        Self {
            status: match lot.status() {
                v1::LotStatus::Unspecified | v1::LotStatus::Approved => "approved",
                v1::LotStatus::OnHold => "on hold",
                v1::LotStatus::Quarantined => "quarantined",
                v1::LotStatus::Recalled => "recalled",
            },
            on_hand: lot.levels.iter().map(|level| level.on_hand).sum(),
            sku: lot.sku,
            lot_id: lot.lot_id,
            removal_at_ms: lot.removal_at_ms,
        }
    }
}

fn status_of(item: &v1::Item) -> &'static str {
    match item.status() {
        v1::ItemStatus::Unspecified | v1::ItemStatus::Active => "active",
        v1::ItemStatus::Paused => "paused",
        v1::ItemStatus::Discontinued => "discontinued",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lots_that_leave_sale_first_are_shown_however_late_they_come_in_the_listing() {
        let lot = |removal_at_ms, on_hand| v1::Lot {
            removal_at_ms,
            levels: vec![v1::LotLevel { on_hand, ..v1::LotLevel::default() }],
            ..v1::Lot::default()
        };
        let lots = (1..=ROWS as u64 + 50).rev().map(|at| lot(at, 1)).chain([lot(1, 0)]).collect();
        let shown = soonest(lots);
        let leaves: Vec<u64> = shown.lots.iter().map(|lot| lot.removal_at_ms).collect();
        assert_eq!((leaves, shown.more), ((1..=ROWS as u64).collect(), true));
        assert!(!soonest(vec![lot(7, 2)]).more);
    }
}
