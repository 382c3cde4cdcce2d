//! `holdfast sale`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{self, Answer, Format};
use crate::sale;

/// A flash sale from its plan to its report.
///
/// A file says what is sold: TOML with [sale] starts_at, ends_at (and an id, admission: none, queue or lottery), and a [[line]] for each sku with units (and location,
/// per_customer); or CSV with the columns sku, units, starts_at, ends_at (and location, per_customer, sale, admission).
#[derive(Debug, Subcommand)]
pub enum Sale {
    /// Hold a sale against the stock and the cluster, and show what is missing; exit 1 if anything is. Changes nothing.
    Plan(OfFile),
    /// Open a sale: its limits, its campaign, and what it is given. The same again changes nothing, and goes on where it failed.
    Open(OfFile),
    /// Show what a sale has sold, holds and has left, again and again until it is over.
    Watch(Watch),
    /// End a sale: what it has not sold goes back to sale, and its limits count no new holds.
    Close(OfSale),
    /// Show what came of a sale, and how it sold over time.
    Report(OfSale),
    /// Check that nothing was sold that the sale was not given, that limits were kept, and that the replicas are sound; exit 1 if not.
    Verify(Verify),
}

/// A sale by its file.
#[derive(Debug, Args)]
pub struct OfFile {
    /// The file.
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// A sale by its id.
#[derive(Debug, Args)]
pub struct OfSale {
    /// Its id, as `sale open` showed it.
    #[arg(value_name = "SALE")]
    id: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show what a sale has sold, holds and has left, again and again until it is over.
#[derive(Debug, Args)]
pub struct Watch {
    /// Its id, as `sale open` showed it.
    #[arg(value_name = "SALE")]
    id: String,
    /// How long between two looks.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// End after so many looks.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    looks: Option<u64>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Check that nothing was sold that the sale was not given, that limits were kept, and that the replicas are sound.
#[derive(Debug, Args)]
pub struct Verify {
    /// Its id, as `sale open` showed it.
    #[arg(value_name = "SALE")]
    id: String,
    /// A file of customers, one a line as `reserve --customer` says them, whose counts are compared with the sale's limits.
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

const HEADER: [&str; 6] = ["sku", "location", "granted", "held", "sold", "left"];

impl Sale {
    /// Does it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Plan(of) => plan(of, format).await,
            Self::Open(OfFile { file, cluster }) => {
                let sale = sale::Sale::read(&file)?;
                print_opened(&sale::open(&cluster.connect().await?, &sale).await?, format);
                Ok(())
            }
            Self::Watch(watch) => watch.run(format).await,
            Self::Close(OfSale { id, cluster }) => {
                print_opened(&sale::close(&cluster.connect().await?, &id).await?, format);
                Ok(())
            }
            Self::Report(of) => report(of, format).await,
            Self::Verify(verify) => verify.run(format).await,
        }
    }
}

async fn plan(OfFile { file, cluster }: OfFile, format: Format) -> Result<(), Failure> {
    let sale = sale::Sale::read(&file)?;
    let members = Members::find(&cluster.addresses()).await?;
    let plan = sale::plan(&cluster.connect().await?, &members, &sale).await?;
    let rows = plan.lines.iter().map(|line| {
        let n = |number: u64| number.to_string();
        [
            line.sku.clone(),
            line.location.clone(),
            n(line.units.into()),
            n(line.granted),
            n(line.available),
            n(line.missing),
            line.per_customer.map_or_else(|| "-".to_owned(), |units| units.to_string()),
        ]
    });
    let header = ["sku", "location", "wanted", "granted", "available", "missing", "per customer"];
    Answer::rows(&plan, header, rows).print(format);
    for line in plan.problems.iter().map(|problem| format!("missing: {problem}")).chain(plan.remarks.iter().cloned()) {
        output::say(&line);
    }
    if plan.ready {
        output::say(&format!("sale {} can be opened: it sells from {} to {}", plan.sale, plan.starts_at, plan.ends_at));
        return Ok(());
    }
    Err(Failure::check(format!("sale {} cannot be opened as it is planned", plan.sale)))
}

fn row(line: &sale::OpenedRow) -> [String; 6] {
    let n = |units: u64| units.to_string();
    [line.sku.clone(), line.location.clone(), n(line.granted), n(line.held), n(line.sold), n(line.left)]
}

fn print_opened(opened: &sale::Opened, format: Format) {
    Answer::rows(opened, HEADER, opened.lines.iter().map(row)).print(format);
    let state = if opened.closed { "is closed" } else { "is open" };
    output::say(&format!("sale {} {state}: from {} to {}", opened.sale, opened.starts_at, opened.ends_at));
}

impl Watch {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let client = self.cluster.connect().await?;
        let show = |look: &sale::Look| match format {
            // A value a line, for whoever reads along.
            Format::Json => println!("{}", serde_json::to_string(look).unwrap_or_default()),
            Format::Table => println!(
                "{}  sold {}  held {}  left {} of {}  refused by limits {}  {:.1}/s {}{}",
                look.time,
                look.sold,
                look.held,
                look.left,
                look.granted,
                look.limit_hits,
                look.sold_per_s,
                sale::sparkline(&look.curve),
                if look.closed { "  over" } else { "" }
            ),
        };
        sale::watch(&client, &self.id, Duration::from_secs(self.every), self.looks, show).await
    }
}

async fn report(OfSale { id, cluster }: OfSale, format: Format) -> Result<(), Failure> {
    let report = sale::report(&cluster.connect().await?, &id).await?;
    Answer::rows(&report, HEADER, report.lines.iter().map(|line| row(&line.has))).print(format);
    let sale::SaleReport { sale, sold, granted, held, sold_percent, reservations, expired, limit_hits, .. } = &report;
    output::say(&format!(
        "{sale}: {sold} of {granted} sold ({sold_percent} %), {held} held, {reservations} reservations, of which {expired} expired"
    ));
    for step in &report.curve {
        let sale::Step { from, seconds, sold, cancelled, sold_in_all } = step;
        output::say(&format!("{from} + {seconds} s: {sold} sold, {cancelled} given back, {sold_in_all} in all"));
    }
    output::say(&format!("{limit_hits} times a customer was refused by its limits; other refusals are in no log"));
    Ok(())
}

impl Verify {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { id, customers, cluster } = self;
        let customers: BTreeSet<String> = match customers {
            None => BTreeSet::new(),
            Some(file) => std::fs::read_to_string(&file)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?
                .lines()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty())
                .collect(),
        };
        let members = Members::find(&cluster.addresses()).await?;
        let found = sale::verify(&cluster.connect().await?, &members, &id, &customers).await?;
        Answer::record(&found).print(format);
        if found.sound { Ok(()) } else { Err(Failure::check(format!("sale {id} is not what it must be"))) }
    }
}
