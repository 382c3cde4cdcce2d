//! A sale to watch: a cluster of three processes, a cosmetics shop, thousands of customers after one lipstick, by itself or in gift
//! sets, and nodes that are killed in the middle. Ends with a report in which the customers' own records are held against the ledger.

mod balance;
mod customer;
pub mod desk;
mod drop;
mod ending;
mod judge;
pub mod recall;
mod records;
mod report;
mod sale;
pub mod sale_day;
mod shop;
mod view;

use std::time::Duration;

use serde::Serialize;

use crate::connect;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::ledger;
use crate::output;

pub use report::Report;

/// What is sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Everything by the piece; one node is killed.
    FlashSale,
    /// Kits of components on at least four shards; nodes are killed twice, and all holds must have ended.
    GiftSets,
    /// One lipstick, twenty customers for each unit and one unit for each customer, drawn by lot; nodes are killed twice.
    Drop,
}

/// What the sale is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What is sold.
    pub scenario: Scenario,
    /// How long it lasts.
    pub lasts: Duration,
    /// How many customers there are.
    pub customers: u32,
    /// What the shop and its customers are made from.
    pub seed: u64,
}

/// Stocks the shop, holds the sale, kills a node and brings it back, and judges what came of it.
pub async fn run(cluster: &mut DevelopmentCluster, plan: Plan) -> Result<Report, Failure> {
    let client = connect::client_at(cluster.layout().addresses()).await?;
    if plan.scenario == Scenario::Drop {
        return drop::run(cluster, &client, plan).await;
    }
    let shards = cluster.layout().shards;
    let shop = shop::open(&client, plan).await?;
    output::say(&format!(
        "the shop has {} SKUs and {} units; {} customers are waiting (seed {})",
        shop.items.len(),
        shop.items.iter().map(|item| u64::from(item.stock)).sum::<u64>(),
        plan.customers,
        plan.seed
    ));
    let sale = sale::hold(cluster, &client, &shop, plan).await?;
    let waiting = output::spinner("resolving what was left unknown");
    let resolved = records::resolve(&client, sale.records, &shop).await;
    waiting.set_message("waiting for every node, then comparing every replica with every record");
    let (records, resolved) = resolved?;
    cluster.ready().await?;
    if plan.scenario == Scenario::GiftSets {
        waiting.set_message("waiting for the last holds to end");
        ending::all_ended(cluster.members(), &client, shards).await?;
    }
    let findings = ledger::inspect(cluster.members(), shards).await?;
    let reservations = ledger::reservations(cluster.members(), shards).await?;
    waiting.finish_and_clear();
    let verdict = judge::judge(&shop, &records, &findings, &reservations);
    for breach in findings.breaches.iter().chain(&verdict.balance.remarks) {
        output::say(&format!("check: {breach}"));
    }
    let run = report::Run {
        nodes: cluster.layout().nodes.len(),
        shards,
        scenario: plan.scenario,
        skus: shop.items.len(),
        customers: plan.customers,
        seed: plan.seed,
        resolved,
        kills: sale.kills,
        seconds: sale.seconds,
    };
    Ok(Report::of(run, &sale.counts, &sale.latency, &verdict, &findings))
}
