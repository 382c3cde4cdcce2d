//! A sale from plan to report, by the very commands that an operator gives: planned, opened, sold while a node is killed and stock is
//! counted, closed, its stuck orders decided, the books reconciled with a file, and the history proved.
//!
//! Each order is paid for by a provider outside of the cluster, over HTTP. Some payments never answer. What is sold is held against the
//! provider's books, so that it is judged by something that it does not come from.

mod commands;
mod customers;
mod judge;
mod payments;
mod script;
mod shop;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::balance::Agreement;
use super::ending;
use crate::connect;
use crate::development::DevelopmentCluster;
use crate::failure::Failure;
use crate::ledger;
use crate::output;
use commands::Commands;
use payments::Provider;

/// What the day is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many customers there are.
    pub customers: u32,
    /// How long the sale lasts.
    pub lasts: Duration,
    /// What the shop and its customers are made from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    nodes: usize,
    shards: u32,
    skus: Vec<String>,
    customers: u32,
    seed: u64,
    /// `sale plan` found everything that the sale needs.
    planned: bool,
    /// Units that the sale was given, and sold.
    granted: u64,
    sold: u64,
    /// Orders that were started, by what became of them.
    orders: usize,
    confirmed: usize,
    aborted: usize,
    /// Whose payment never answered; each was listed as stuck and decided by hand.
    never_answered: usize,
    listed_as_stuck: usize,
    still_stuck: usize,
    /// Orders by the provider's books against the cluster's: both must be 0.
    sold_and_not_paid: usize,
    paid_and_not_sold: usize,
    /// What customers were refused, by its reason.
    refused: u64,
    /// Units that a count found missing while the sale ran.
    written_off_by_count: u64,
    /// Rows of a file of counts that differed from the books, were mended by `--apply`, and differ when it is held against them again.
    reconcile_differing: u64,
    reconcile_mended: u64,
    reconcile_left: u64,
    sale_verified: bool,
    audit_verified: bool,
    /// A proof of an event of the sale holds against the head that was kept.
    proof_checked: bool,
    #[serde(flatten)]
    agreement: Agreement,
    kills: u32,
    seconds: f64,
}

impl Report {
    /// One of the SKUs, to look at.
    #[must_use]
    pub fn a_sku(&self) -> &str {
        self.skus.first().map_or("", String::as_str)
    }

    /// Does everything add up?
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let is_proved = self.planned && self.sale_verified && self.audit_verified && self.proof_checked;
        let is_paid = self.sold_and_not_paid == 0 && self.paid_and_not_sold == 0;
        let is_mended = self.reconcile_mended == self.reconcile_differing && self.reconcile_left == 0;
        is_proved
            && self.agreement.is_whole()
            && is_paid
            && is_mended
            && self.sold > 0
            && self.listed_as_stuck == self.never_answered
            && self.still_stuck == 0
    }
}

/// Holds the day.
pub async fn run(cluster: &mut DevelopmentCluster, plan: Plan) -> Result<Report, Failure> {
    let began = Instant::now();
    let client = connect::client_at(cluster.layout().addresses()).await?;
    let shards = cluster.layout().shards;
    let commands = Commands::of(cluster.layout())?;
    let provider = Provider::open().await?;
    let shop = shop::open(&client, plan).await?;
    script::put_endpoints(&commands, &provider).await?;

    let sale = script::open_sale(&commands, &shop, client.cluster_time_ms(), plan).await?;
    let (book, during) = script::sell(cluster, &client, &commands, &shop, &sale, plan).await?;
    let closed = script::close_sale(&client, &commands, &sale, &book).await?;
    let reconciled = script::reconcile(&commands, &shop).await?;
    cluster.ready().await?;
    let waiting = output::spinner("waiting until every shard knows what became of its orders");
    ending::all_told(cluster.members(), shards).await?;
    waiting.finish_and_clear();
    let proved = script::prove(&commands, &shop).await?;
    let verified = script::verify_sale(&commands, &sale, &book).await?;

    let findings = ledger::inspect(cluster.members(), shards).await?;
    let verdict = judge::judge(&shop, &book, &closed.orders, &provider.books(), &findings);
    for remark in findings.breaches.iter().chain(&verdict.balance.remarks) {
        output::say(&format!("check: {remark}"));
    }
    Ok(Report {
        scenario: "sale-day",
        nodes: cluster.layout().nodes.len(),
        shards,
        skus: shop.skus.clone(),
        customers: plan.customers,
        seed: plan.seed,
        planned: sale.planned,
        granted: verified.granted,
        sold: verified.sold,
        orders: book.orders.len(),
        confirmed: verdict.confirmed,
        aborted: verdict.aborted,
        never_answered: verdict.never_answered,
        listed_as_stuck: closed.listed_as_stuck,
        still_stuck: closed.still_stuck,
        sold_and_not_paid: verdict.sold_and_not_paid,
        paid_and_not_sold: verdict.paid_and_not_sold,
        refused: book.refused,
        written_off_by_count: during.written_off,
        reconcile_differing: reconciled.differing,
        reconcile_mended: reconciled.mended,
        reconcile_left: reconciled.left,
        sale_verified: verified.is_sound,
        audit_verified: proved.audit,
        proof_checked: proved.proof,
        agreement: Agreement::of(findings.oversold, &verdict.balance, &findings),
        kills: during.kills,
        seconds: (began.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0,
    })
}
