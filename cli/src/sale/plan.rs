//! Before a sale: is everything there that it needs? Changes nothing.

use std::collections::BTreeMap;

use holdfast_client::{Client, Consistency, Documents};
use holdfast_proto::v1;
use serde::Serialize;

use super::kits::stocked_lines;
use super::{Sale, allocations, limit_of};
use crate::connect::failure_of;
use crate::failure::Failure;
use crate::members::Members;

/// One line, and what there is.
#[derive(Debug, Serialize)]
pub struct PlanRow {
    pub sku: String,
    pub location: String,
    /// What the sale is to have.
    pub units: u32,
    /// What it has already.
    pub granted: u64,
    /// What may be promised to anybody, and so granted.
    pub available: u64,
    pub missing: u64,
    pub per_customer: Option<u32>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Plan {
    pub sale: String,
    pub ready: bool,
    pub starts_at: String,
    pub ends_at: String,
    pub lines: Vec<PlanRow>,
    /// What keeps it from being opened as it is planned.
    pub problems: Vec<String>,
    /// What somebody should look at.
    pub remarks: Vec<String>,
}

/// Holds a sale against what the cluster has.
pub async fn plan(client: &Client, members: &Members, sale: &Sale) -> Result<Plan, Failure> {
    let mut plan = Plan {
        sale: sale.id.clone(),
        ready: false,
        starts_at: crate::dates::instant_text(sale.starts_at_ms),
        ends_at: crate::dates::instant_text(sale.ends_at_ms),
        lines: Vec::new(),
        problems: Vec::new(),
        remarks: Vec::new(),
    };
    let is_known = check_window(client, sale, &mut plan).await?;
    check_cluster(members, sale, &mut plan).await;
    check_endpoints(client, sale, &mut plan).await?;
    let locations: BTreeMap<String, v1::Location> = client
        .locations()
        .await
        .map_err(failure_of)?
        .into_iter()
        .map(|location| (location.location_id.clone(), location))
        .collect();
    let granted = if is_known { allocations(client, &sale.id).await? } else { Vec::new() };
    let lines = stocked_lines(client, sale).await?;
    for line in &lines {
        let known = locations.get(&line.location);
        if !line.location.is_empty() && known.is_none_or(|location| location.inactive) {
            let what = if known.is_some() { "does not sell" } else { "is not known" };
            plan.problems.push(format!("{}: location {} {what}", line.sku, line.location));
        }
        check_line(client, line, &granted, &mut plan).await?;
    }
    let skus: BTreeMap<&str, Option<u32>> = lines.iter().map(|line| (line.sku.as_str(), line.per_customer)).collect();
    for (sku, wanted) in skus {
        check_sku(client, sale, sku, wanted, &mut plan).await?;
    }
    plan.ready = plan.problems.is_empty();
    Ok(plan)
}

/// Whether the sale is known already.
async fn check_window(client: &Client, sale: &Sale, plan: &mut Plan) -> Result<bool, Failure> {
    let now = client.cluster_time_ms();
    if sale.ends_at_ms <= now {
        plan.problems.push(format!("it is over since {}", plan.ends_at));
    } else if sale.starts_at_ms <= now {
        plan.remarks.push(format!("it sells as soon as it is opened: it begins at {}", plan.starts_at));
    }
    let known = client.campaigns(None).await.map_err(failure_of)?;
    let known = known.iter().find(|campaign| campaign.campaign_id == sale.id);
    if let Some(known) = known {
        if known.closed {
            plan.problems.push("it was closed; a sale is not opened again: give it another id".to_owned());
        } else if (known.starts_at_ms, known.ends_at_ms) != (sale.starts_at_ms, sale.ends_at_ms) {
            plan.problems.push("it is known with other times; give it another id".to_owned());
        } else if chosen_by(known.admission()) != chosen_by(sale.admission.wire()) {
            plan.problems.push("it is known with another admission; give it another id".to_owned());
        } else {
            plan.remarks.push("it is open already: what is missing is granted".to_owned());
        }
    }
    Ok(known.is_some())
}

/// Who is let in, where that is not everybody.
fn chosen_by(admission: v1::CampaignAdmission) -> Option<v1::CampaignAdmission> {
    Some(admission).filter(|of| !matches!(of, v1::CampaignAdmission::Unspecified | v1::CampaignAdmission::None))
}

/// Is what its orders will call there, and is its circuit breaker armed?
async fn check_endpoints(client: &Client, sale: &Sale, plan: &mut Plan) -> Result<(), Failure> {
    if sale.endpoints.is_empty() {
        return Ok(());
    }
    let known = client.endpoints(None).await.map_err(failure_of)?;
    for id in &sale.endpoints {
        let Some(endpoint) = known.iter().find(|known| known.endpoint_id == *id) else {
            plan.problems.push(format!("endpoint {id} is not known; `holdfast endpoint put` makes it so"));
            continue;
        };
        let fallback = match endpoint.fallback() {
            v1::EndpointFallback::Unspecified | v1::EndpointFallback::None => "its steps fail then",
            v1::EndpointFallback::Answer => "a set answer stands in then",
            v1::EndpointFallback::Last => "its last answer stands in then",
        };
        let v1::Endpoint { timeout_ms, breaker_failures, breaker_open_ms, .. } = endpoint;
        plan.remarks.push(format!(
            "endpoint {id} has {timeout_ms} ms to answer, and is left alone for {breaker_open_ms} ms after \
             {breaker_failures} failures in a row: {fallback}"
        ));
    }
    Ok(())
}

/// Is every node up, does every shard take commands, and does every node call what the sale's orders will call?
async fn check_cluster(members: &Members, sale: &Sale, plan: &mut Plan) {
    for (node, _) in members.nodes() {
        let left_alone = members.status(node).await.map(|status| status.endpoints_left_alone).unwrap_or_default();
        let left_alone = left_alone.iter().filter(|id| sale.endpoints.contains(id));
        plan.problems
            .extend(left_alone.map(|id| format!("endpoint {id} does not answer node {node}, which leaves it alone")));
        match members.shard_standings(node).await {
            Ok(standings) => {
                let halted = standings.iter().filter_map(|of| of.halt.as_ref().map(|halt| (of.shard, halt)));
                plan.problems.extend(halted.map(|(shard, halt)| {
                    format!("shard {shard} takes no commands: {} is broken on node {}", halt.invariant, halt.node_id)
                }));
            }
            Err(failure) => plan.problems.push(format!("node {node} does not answer: {failure}")),
        }
        match members.alerts(node, None).await {
            Ok(told) => {
                let thresholds = told.thresholds.unwrap_or_default();
                if thresholds.units == 0 && thresholds.corrections == 0 {
                    plan.remarks.push(format!("node {node} tells of no abnormal corrections: [alerts] is off"));
                }
            }
            Err(failure) => plan.remarks.push(format!("node {node} tells of no alerts: {failure}")),
        }
    }
    plan.problems.sort();
    plan.problems.dedup();
}

async fn check_line(
    client: &Client,
    line: &super::file::SaleLine,
    granted: &[v1::Allocation],
    plan: &mut Plan,
) -> Result<(), Failure> {
    let location = Some(line.location.as_str()).filter(|location| !location.is_empty());
    let (available, place) = match client.reader(Consistency::Linearizable).stock(&line.sku, location).await {
        Ok(stock) => {
            let stock = stock.value;
            if location.is_none() && stock.levels.len() != 1 {
                let places = stock.levels.len();
                plan.problems.push(format!("{}: lies at {places} locations, and its line names none", line.sku));
            }
            let place = location.map(str::to_owned).or_else(|| stock.levels.first().map(|of| of.location_id.clone()));
            (stock.atp, place.unwrap_or_default())
        }
        Err(error) => {
            plan.problems.push(format!("{}: {error}", line.sku));
            (0, line.location.clone())
        }
    };
    let has = granted.iter().filter(|of| of.sku == line.sku && of.location_id == place).map(|of| of.granted).sum();
    let missing = u64::from(line.units).saturating_sub(has).saturating_sub(available);
    if missing > 0 && !plan.problems.iter().any(|problem| problem.starts_with(&format!("{}: ", line.sku))) {
        plan.problems.push(format!("{}: {missing} of {} units are missing at {place}", line.sku, line.units));
    }
    plan.lines.push(PlanRow {
        sku: line.sku.clone(),
        location: place,
        units: line.units,
        granted: has,
        available,
        missing,
        per_customer: line.per_customer,
    });
    Ok(())
}

/// Of the SKU, wherever it lies: is it on sale, is nobody counting it, is there a limit that says something else?
async fn check_sku(
    client: &Client,
    sale: &Sale,
    sku: &str,
    wanted: Option<u32>,
    plan: &mut Plan,
) -> Result<(), Failure> {
    let reader = client.reader(Consistency::Linearizable);
    let Ok(item) = reader.item(sku).await else {
        // (That it is not known stands there already, by its stock.)
        return Ok(());
    };
    match item.value.status() {
        v1::ItemStatus::Unspecified | v1::ItemStatus::Active => {}
        status => plan.problems.push(format!("{sku}: the item is not on sale ({})", status.as_str_name())),
    }
    let open = Documents { open_only: true, sku: Some(sku.to_owned()), location_id: None };
    let counts = reader.counts(open).take(1).await.map_err(failure_of)?;
    if !counts.is_empty() {
        plan.problems.push(format!("{sku}: it is being counted; apply the count, or cancel it, before the sale"));
    }
    let ours = limit_of(&sale.id, sku);
    for limit in reader.limits(sku, "").await.map_err(failure_of)?.value {
        if limit.limit_id != ours && !limit.inactive && wanted.is_none_or(|wanted| limit.units < wanted) {
            let units = limit.units;
            plan.remarks.push(format!("{sku}: limit {} lets a customer have {units} at most", limit.limit_id));
        }
    }
    Ok(())
}
