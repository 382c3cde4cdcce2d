//! A recall to watch: one lot of several SKUs is withdrawn after thousands of orders, while a node is killed, and every reservation
//! that has or had units of it must be named.
//!
//! Who had units of the lot is written down while the orders are made, from what each reservation was answered and read as, so that
//! the trace is judged by something that it does not come from.

mod judge;
mod orders;
mod shop;
mod withdrawal;

use std::collections::BTreeSet;

use serde::Serialize;
use tokio::time::Instant;

use super::balance::Agreement;
use super::ending;
use crate::connect;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::ledger;
use crate::output;

/// What the recall is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Reservations that have or had units of the lot, at least.
    pub orders: u32,
    /// What the shop and its customers are made from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    nodes: usize,
    shards: u32,
    /// SKUs of which a lot is recalled, and the shards that they are on.
    recalled_skus: Vec<String>,
    recalled_on_shards: usize,
    seed: u64,
    /// All that were made, those without a unit of the lot too.
    reservations: usize,
    /// Reservations that have or had units of the lot, by what each was answered.
    orders: usize,
    /// Those of them that the recall named.
    named: usize,
    /// Those that it did not name, or not for each SKU.
    missed: usize,
    /// Reservations that it named, and that never had a unit of the lot by what they were answered.
    wrongly_named: usize,
    /// How long the recall and its whole trace took, with a node killed in between.
    ms: u64,
    #[serde(flatten)]
    agreement: Agreement,
    kills: u32,
    seconds: f64,
}

impl Report {
    /// One of the SKUs, to look at.
    #[must_use]
    pub fn a_sku(&self) -> &str {
        self.recalled_skus.first().map_or("", String::as_str)
    }

    /// Does everything add up?
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.orders > 0
            && self.named == self.orders
            && self.missed == 0
            && self.wrongly_named == 0
            && self.agreement.is_whole()
    }
}

/// Makes the orders, withdraws the lot, kills a node meanwhile and brings it back, and judges what was named.
pub async fn run(cluster: &mut DevelopmentCluster, plan: Plan) -> Result<Report, Failure> {
    let began = Instant::now();
    let client = connect::client_at(cluster.layout().addresses()).await?;
    let shards = cluster.layout().shards;
    let mut shop = shop::open(&client, plan).await?;
    output::say(&format!(
        "{} SKUs have a lot {}; orders are made until {} have or had units of it (seed {})",
        shop.creams.len(),
        shop::RECALLED,
        plan.orders,
        plan.seed
    ));
    let book = orders::make(&client, &shop, plan).await?;
    let waiting = output::spinner("waiting until every shard knows what it has sold");
    ending::all_told(cluster.members(), shards).await?;
    waiting.finish_and_clear();
    shop::restock(&client, &mut shop, plan).await?;
    let found = withdrawal::withdraw(cluster, &client, &shop).await?;
    let waiting = output::spinner("comparing every replica with every record");
    cluster.ready().await?;
    ending::all_told(cluster.members(), shards).await?;
    let findings = ledger::inspect(cluster.members(), shards).await?;
    let reservations = ledger::reservations(cluster.members(), shards).await?;
    waiting.finish_and_clear();
    let verdict = judge::judge(&shop, &book, &found.named, &findings, &reservations);
    for remark in findings.breaches.iter().chain(&verdict.balance.remarks) {
        output::say(&format!("check: {remark}"));
    }
    let recalled_on: BTreeSet<u32> = shop.creams.iter().map(|cream| cream.shard).collect();
    Ok(Report {
        scenario: "recall",
        nodes: cluster.layout().nodes.len(),
        shards,
        recalled_skus: shop.creams.iter().map(|cream| cream.sku.clone()).collect(),
        recalled_on_shards: recalled_on.len(),
        seed: plan.seed,
        reservations: book.len(),
        orders: verdict.orders,
        named: verdict.named,
        missed: verdict.missed,
        wrongly_named: verdict.wrongly_named,
        ms: u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
        agreement: Agreement::of(findings.oversold, &verdict.balance, &findings),
        kills: found.kills,
        seconds: (began.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0,
    })
}
