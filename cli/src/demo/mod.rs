//! A flash sale to watch: a cluster of three processes, a cosmetics shop, thousands of customers after one lipstick, and a
//! node that is killed in the middle. Ends with a report in which the customers' own records are held against the ledger.

mod customer;
mod judge;
mod records;
mod report;
mod sale;
mod shop;
mod view;

use std::time::Duration;

use crate::connect;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::ledger;
use crate::output;

pub use report::Report;

/// What the sale is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
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
    let shards = cluster.layout().shards;
    let shop = shop::open(&client, plan).await?;
    output::say(&format!(
        "the shop has {} SKUs and {} units; {} customers are waiting (seed {})",
        shop.wares.len(),
        shop.wares.iter().map(|ware| u64::from(ware.stock)).sum::<u64>(),
        plan.customers,
        plan.seed
    ));
    let sale = sale::hold(cluster, &client, &shop, plan).await?;
    let waiting = output::spinner("resolving what was left unknown");
    let resolved = records::resolve(&client, sale.records, &shop).await;
    waiting.set_message("waiting for every node, then comparing every replica with every record");
    let (records, resolved) = resolved?;
    cluster.ready().await?;
    let findings = ledger::inspect(cluster.members(), shards).await?;
    let reservations = ledger::reservations(cluster.members(), shards).await?;
    waiting.finish_and_clear();
    let verdict = judge::judge(&shop, &records, &findings, &reservations);
    for breach in findings.breaches.iter().chain(&verdict.remarks) {
        output::say(&format!("check: {breach}"));
    }
    let run = report::Run {
        nodes: cluster.layout().nodes.len(),
        shards,
        skus: shop.wares.len(),
        customers: plan.customers,
        seed: plan.seed,
        resolved,
        kills: sale.kills,
        seconds: sale.seconds,
    };
    Ok(Report::of(run, &sale.counts, &sale.latency, &verdict, &findings))
}
