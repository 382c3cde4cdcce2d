//! `holdfast demo`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::up::{StopRequest, print_nodes};
use crate::demo::{self, Plan, Report, Scenario, desk, recall, sale_day};
use crate::development::{DevelopmentCluster, Layout, Wanted, port_base_for};
use crate::failure::Failure;
use crate::output::{self, Answer, Format};
use crate::random::Random;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Play {
    /// Everything is sold by the piece; one node is killed.
    FlashSale,
    /// Kits of components on at least four shards; nodes are killed twice, and all holds must have ended.
    GiftSets,
    /// A lot of several SKUs is recalled after thousands of orders while a node is killed; whoever had units of it must be named.
    Recall,
    /// A sale from its plan to its report by the commands of operators: orders that are paid for, a payment that never answers, a count
    /// and a kill while it sells; then a reconciliation, and the audit.
    SaleDay,
    /// Twenty customers for each unit of one lipstick, and one unit for each customer, drawn by lot; nodes are killed twice.
    Drop,
}

/// Watch a sale: a cluster in a temporary folder, a made-up cosmetics shop, thousands of customers after one lipstick, and
/// nodes killed in the middle. Exit 1 if anything was lost, sold twice or half, or does not add up.
#[derive(Debug, Args)]
pub struct Demo {
    /// What is played.
    #[arg(long, value_enum, default_value = "flash-sale")]
    scenario: Play,
    /// End after the report, instead of leaving the cluster up until Ctrl-C.
    #[arg(long)]
    exit: bool,
    /// How long the sale lasts.
    #[arg(long, default_value_t = 20, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..=3_600))]
    seconds: u64,
    /// How many customers there are; 3 000 if not given, 10 000 of a drop, which takes 60 000 at most.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    customers: Option<u32>,
    /// Of a recall: how many reservations have or had units of the lot, at least.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    orders: u32,
    /// Makes the same shop and the same wishes again; drawn anew if not given.
    #[arg(long)]
    seed: Option<u64>,
    /// The first node's port for clients; 7400 if it is free, else any.
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

const NODES: u16 = 3;

/// What it ends with.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Sale(Report),
    Recall(recall::Report),
    SaleDay(sale_day::Report),
}

impl Told {
    fn is_sound(&self) -> bool {
        match self {
            Self::Sale(report) => report.is_sound(),
            Self::Recall(report) => report.is_sound(),
            Self::SaleDay(report) => report.is_sound(),
        }
    }
}

impl Demo {
    /// Runs the cluster, the sale, and the checks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let folder = tempfile::Builder::new().prefix("holdfast-demo-").tempdir().map_err(|error| {
            Failure::usage(format!("no temporary folder can be made: {error}")).hint("set TMPDIR to a folder with room")
        })?;
        let port_base = match self.port_base {
            Some(port) => port,
            None => port_base_for(NODES)?,
        };
        let wanted = Wanted { nodes: Some(NODES), port_base: Some(port_base), ..Wanted::default() };
        let layout = Layout::open_or_found(folder.path(), wanted)?;
        let mut stop = StopRequest::listen()?;
        let mut cluster = DevelopmentCluster::start(layout)?;
        let seed = self.seed.unwrap_or_else(|| Random::fresh_seed() % 1_000_000);
        let mut page = match self.exit {
            true => None,
            false => Some(desk::open(cluster.layout(), self.scenario == Play::FlashSale, seed).await?),
        };
        if let Some(page) = &page {
            output::say(&format!("watch it at {}", page.address));
        }
        let outcome = tokio::select! {
            biased;
            () = stop.asked() => Err(Failure::check("the demo was stopped before its end")),
            outcome = self.play(&mut cluster, seed) => outcome,
        };
        let outcome = match outcome {
            Ok(report) => {
                self.tell(&report, &mut cluster, &mut stop, page.as_mut().map(|page| (page, seed)), format).await
            }
            Err(failure) => Err(failure),
        };
        cluster.stop().await;
        outcome
    }

    async fn play(&self, cluster: &mut DevelopmentCluster, seed: u64) -> Result<Told, Failure> {
        let starting = output::spinner("three nodes are starting");
        let ready = cluster.ready().await;
        starting.finish_and_clear();
        ready?;
        let is_drop = self.scenario == Play::Drop;
        if is_drop && self.customers.is_some_and(|customers| customers > 60_000) {
            return Err(Failure::usage("a drop has at most 60 000 customers: the list of a lottery has a bound"));
        }
        let customers = self.customers.unwrap_or(if is_drop { 10_000 } else { 3_000 });
        let scenario = match self.scenario {
            Play::FlashSale => Scenario::FlashSale,
            Play::GiftSets => Scenario::GiftSets,
            Play::Drop => Scenario::Drop,
            Play::Recall => {
                let plan = recall::Plan { orders: self.orders, seed };
                return Ok(Told::Recall(recall::run(cluster, plan).await?));
            }
            Play::SaleDay => {
                let lasts = Duration::from_secs(self.seconds);
                let plan = sale_day::Plan { customers, lasts, seed };
                return Ok(Told::SaleDay(sale_day::run(cluster, plan).await?));
            }
        };
        let lasts = Duration::from_secs(self.seconds);
        let plan = Plan { scenario, lasts, customers, seed };
        Ok(Told::Sale(demo::run(cluster, plan).await?))
    }

    async fn tell(
        &self,
        report: &Told,
        cluster: &mut DevelopmentCluster,
        stop: &mut StopRequest,
        page: Option<(&mut desk::Page, u64)>,
        format: Format,
    ) -> Result<(), Failure> {
        Answer::record(report).print(format);
        let verdict = if report.is_sound() {
            output::say("nothing lost, nothing twice, nothing sold that was not there");
            Ok(())
        } else {
            Err(Failure::check("the ledger and the customers' records do not agree"))
        };
        if !self.exit {
            if format == Format::Table {
                print_nodes(cluster, format);
            }
            let addresses = cluster.layout().addresses().join(",");
            let of_one = match report {
                Told::Sale(_) => crate::boutique::HOT_SKU,
                Told::Recall(report) => report.a_sku(),
                Told::SaleDay(report) => report.a_sku(),
            };
            output::say(&format!(
                "the cluster stays up until Ctrl-C; try: holdfast stock get {of_one} --addr {addresses}"
            ));
            match page {
                Some((page, seed)) => {
                    output::say(&format!("the dashboard and the shop: {}", page.address));
                    tokio::select! {
                        biased;
                        () = stop.asked() => {}
                        attended = desk::attend(page, cluster, seed) => attended?,
                    }
                }
                None => stop.asked_or_ended(cluster).await?,
            }
        }
        verdict
    }
}
