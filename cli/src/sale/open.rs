//! A sale is opened, and closed: the campaign first, which has nothing to sell yet; then its limits, so that nobody buys without; then what
//! it is given.

use std::collections::BTreeMap;

use holdfast_client::ids::CommandId;
use holdfast_client::{Client, Command, CommandKey, Consistency, ExecuteOptions, Grant};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::kits::stocked_lines;
use super::{Sale, allocations, campaign, left, limit_of};
use crate::connect::failure_of;
use crate::dates;
use crate::failure::Failure;

/// What a sale has now.
#[derive(Debug, Serialize)]
pub struct Opened {
    pub sale: String,
    pub starts_at: String,
    pub ends_at: String,
    pub closed: bool,
    pub lines: Vec<OpenedRow>,
}

/// One SKU at one location.
#[derive(Debug, Serialize)]
pub struct OpenedRow {
    pub sku: String,
    pub location: String,
    pub granted: u64,
    pub held: u64,
    pub sold: u64,
    pub left: u64,
}

impl OpenedRow {
    pub(super) fn of(allocation: &v1::Allocation) -> Self {
        Self {
            sku: allocation.sku.clone(),
            location: allocation.location_id.clone(),
            granted: allocation.granted,
            held: allocation.held,
            sold: allocation.sold,
            left: left(allocation),
        }
    }
}

/// Opens it. What is done already is left as it is, and what is missing is done.
///
/// # Errors
///
/// A part of it was refused; what was done before stays, and asking again goes on from there.
pub async fn open(client: &Client, sale: &Sale) -> Result<Opened, Failure> {
    let lines = stocked_lines(client, sale).await?;
    let (starts_at_ms, ends_at_ms) = (sale.starts_at_ms, sale.ends_at_ms);
    let admission = sale.admission.wire().into();
    let opened =
        v1::Campaign { campaign_id: sale.id.clone(), starts_at_ms, ends_at_ms, admission, ..v1::Campaign::default() };
    client.open_campaign(opened).await.map_err(failure_of)?;
    let limits: BTreeMap<&str, u32> =
        lines.iter().filter_map(|line| Some((line.sku.as_str(), line.per_customer?))).collect();
    for (sku, units) in limits {
        put_limit(client, &sale.id, sku, units, false).await?;
    }
    let known = allocations(client, &sale.id).await?;
    for line in &lines {
        let place = match line.location.as_str() {
            "" => default_location(client, &line.sku).await?,
            named => named.to_owned(),
        };
        let of_line = |of: &&v1::Allocation| of.sku == line.sku && of.location_id == place;
        let has = known.iter().find(of_line).map_or(0, |of| of.granted);
        let missing = u64::from(line.units).saturating_sub(has);
        let Some(missing) = u32::try_from(missing).ok().filter(|missing| *missing > 0) else { continue };
        let grant = Grant::of(sale.id.as_str(), line.sku.as_str(), missing).at(place.as_str());
        // Of what was there before, too: two who open it at once ask for the same, and it is given once.
        let key = format!("sale {} grant {:?} at {place:?} {has} to {}", sale.id, line.sku, line.units);
        execute(client, grant.into(), &key).await.map_err(|failure| failure.about(&line.sku))?;
    }
    standing(client, &sale.id).await
}

/// Where stock lies if no location is named.
async fn default_location(client: &Client, sku: &str) -> Result<String, Failure> {
    let stock = client.reader(Consistency::Linearizable).stock(sku, None).await.map_err(failure_of)?.value;
    match stock.levels.as_slice() {
        [level] => Ok(level.location_id.clone()),
        levels => {
            let failure = Failure::usage(format!("{sku} lies at {} locations, and its line names none", levels.len()));
            Err(failure.hint("name the location in the file"))
        }
    }
}

/// Puts the limit of a SKU in a sale, where it is not so already.
async fn put_limit(client: &Client, sale: &str, sku: &str, units: u32, inactive: bool) -> Result<(), Failure> {
    let limit_id = limit_of(sale, sku);
    let limits = client.reader(Consistency::Linearizable).limits(sku, "").await.map_err(failure_of)?.value;
    let known = limits.into_iter().find(|limit| limit.limit_id == limit_id);
    if known.as_ref().is_some_and(|known| (known.units, known.inactive) == (units, inactive)) {
        return Ok(());
    }
    let revision = known.map_or(0, |known| known.revision);
    let key = format!("sale {sale} limit {sku:?} {units} {inactive} at {revision}");
    let campaign_id = sale.to_owned();
    let put = v1::PutLimit { limit_id, sku: sku.to_owned(), units, inactive, campaign_id, ..v1::PutLimit::default() };
    execute(client, Operation::PutLimit(put).into(), &key).await.map_err(|failure| failure.about(sku))
}

async fn execute(client: &Client, command: Command, key: &str) -> Result<(), Failure> {
    let cause = v1::Cause { actor: "holdfast sale".to_owned(), ..v1::Cause::default() };
    let key = CommandKey::Own(CommandId::of_key(key));
    let options = ExecuteOptions { key, cause: Some(cause), ..ExecuteOptions::default() };
    client.execute_with(command, options).await.map(drop).map_err(failure_of)
}

/// Ends it: what it has not sold goes back to sale, and its limits count no new holds.
pub async fn close(client: &Client, id: &str) -> Result<Opened, Failure> {
    client.close_campaign(id).await.map_err(failure_of)?;
    let closed = standing(client, id).await?;
    let mut skus: Vec<&str> = closed.lines.iter().map(|line| line.sku.as_str()).collect();
    skus.dedup();
    for sku in skus {
        let limits = client.reader(Consistency::Linearizable).limits(sku, "").await.map_err(failure_of)?.value;
        let ours = limit_of(id, sku);
        if let Some(limit) = limits.iter().find(|limit| limit.limit_id == ours) {
            put_limit(client, id, sku, limit.units, true).await?;
        }
    }
    Ok(closed)
}

async fn standing(client: &Client, id: &str) -> Result<Opened, Failure> {
    let campaign = campaign(client, id).await?;
    let lines = allocations(client, id).await?.iter().map(OpenedRow::of).collect();
    Ok(Opened {
        sale: campaign.campaign_id,
        starts_at: dates::instant_text(campaign.starts_at_ms),
        ends_at: dates::instant_text(campaign.ends_at_ms),
        closed: campaign.closed,
        lines,
    })
}
