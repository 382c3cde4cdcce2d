//! The page of stock: quantities by SKU, and one SKU with its lots and what happened to it.

use std::time::Duration;

use holdfast_client::{Consistency, Lots};
use holdfast_proto::v1;
use serde::Serialize;

use super::event::EventShown;
use super::in_time;
use crate::asked::Asked;
use crate::reply::{Answered, Reply};

/// Rows of a list.
const ROWS: usize = 100;
/// Quantities that one search looks at; more are found by more of the SKU.
const LOOKED_AT: usize = 20_000;
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
    lots: Vec<LotShown>,
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
        let mut listing = client.reader(Consistency::Stale).stocks();
        let (mut levels, mut looked) = (Vec::new(), 0);
        while let Some(level) = listing.next().await? {
            looked += 1;
            if level.sku.to_lowercase().contains(&wanted) {
                levels.push(LevelShown::of(level, 0));
            }
            if levels.len() > ROWS || looked == LOOKED_AT {
                break;
            }
        }
        let more = levels.len() > ROWS || looked == LOOKED_AT;
        levels.truncate(ROWS);
        levels.sort_by(|a, b| a.sku.cmp(&b.sku));
        Ok(Reply::ok(&Levels { levels, more }))
    })
    .await
}

/// `GET /ui/api/stock/{sku}`.
pub(super) async fn one(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, sku) = (asked.client()?, asked.path("sku").to_owned());
    in_time(async {
        let reader = client.reader(Consistency::Stale);
        let item = reader.item(&sku).await?.value;
        let levels = if item.kit { Vec::new() } else { reader.stock(&sku, None).await?.value.levels };
        let lots = if item.lot_tracked { reader.lots(&sku).await?.value } else { Vec::new() };
        let threshold = item.low_stock_threshold;
        let filter = v1::EventFilter { sku: sku.clone(), ..v1::EventFilter::default() };
        let shard = client.shard_of(&sku);
        let head = asked.web.watcher.head(shard);
        let events = super::event::latest(&client, shard, head, &filter, EVENTS).await?;
        Ok(Reply::ok(&OneSku {
            item: ItemShown { status: status_of(&item), name: item.name, kit: item.kit },
            levels: levels.into_iter().map(|level| LevelShown::of(level, threshold)).collect(),
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
        let lots =
            client.reader(Consistency::Stale).all_lots(Lots { removal_until_ms: Some(until) }).take(ROWS).await?;
        let mut lots: Vec<LotShown> = lots.into_iter().map(LotShown::of).filter(|lot| lot.on_hand > 0).collect();
        lots.sort_by_key(|lot| lot.removal_at_ms);
        Ok(Reply::ok(&LotsShown { lots }))
    })
    .await
}

impl LevelShown {
    fn of(level: v1::StockLevel, low_stock_threshold: u64) -> Self {
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
