//! The tree of verbs: what `holdfast help` shows, a file a verb.

mod alert;
mod amend;
mod audit;
mod backorder;
mod bench;
mod campaign;
mod cancel;
mod channel;
mod cluster;
mod commit;
mod completions;
mod count;
mod demo;
mod doctor;
mod documents;
mod endpoint;
mod errors;
mod extend;
mod fulfil;
mod import;
mod inbox;
mod item;
mod kit;
mod limit;
mod lines;
mod location;
mod lot;
mod metrics;
mod move_units;
mod named;
mod order;
mod queue;
mod receipt;
mod reconcile;
mod release;
mod replay;
mod reservation;
mod reserve;
mod return_units;
mod sale;
mod shard;
mod start;
mod stock;
mod stock_file;
mod transfer;
mod up;
mod watch;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::output::Format;

/// Stock that is never sold twice: run a cluster, look after its stock, try it out.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 a check failed, 2 wrong usage or input, 3 not found, 4 refused by what is known, \
                        5 not enough stock, 6 cannot serve now, 7 the outcome is unknown: ask again with the same --id. \
                        `holdfast errors explain CODE` says what an error means and what to do."
)]
pub struct Arguments {
    /// How data are printed on stdout.
    #[arg(short, long, global = true, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Demo(demo::Demo),
    Up(up::Up),
    Start(start::Start),
    #[command(subcommand)]
    Cluster(cluster::Cluster),
    #[command(subcommand)]
    Item(item::Item),
    #[command(subcommand)]
    Kit(kit::Kit),
    #[command(subcommand)]
    Location(location::Location),
    #[command(subcommand)]
    Channel(channel::Channel),
    #[command(subcommand)]
    Endpoint(endpoint::Endpoint),
    #[command(subcommand)]
    Campaign(campaign::Campaign),
    #[command(subcommand)]
    Queue(queue::Queue),
    #[command(subcommand)]
    Stock(stock::Stock),
    #[command(subcommand)]
    Lot(lot::Lot),
    Recall(lot::Recall),
    #[command(subcommand)]
    Limit(limit::Limit),
    Move(move_units::Move),
    #[command(subcommand)]
    Transfer(transfer::Transfer),
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    #[command(subcommand)]
    Count(count::Count),
    Reconcile(reconcile::Reconcile),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Watch(watch::Watch),
    #[command(subcommand)]
    Shard(shard::Shard),
    #[command(subcommand)]
    Alert(alert::Alert),
    #[command(subcommand)]
    Sale(sale::Sale),
    #[command(subcommand)]
    Backorder(backorder::Backorder),
    Reserve(reserve::Reserve),
    Amend(amend::Amend),
    Extend(extend::Extend),
    Commit(commit::Commit),
    Release(release::Release),
    Fulfil(fulfil::Fulfil),
    Cancel(cancel::Cancel),
    Return(return_units::Return),
    #[command(subcommand)]
    Reservation(reservation::Reservation),
    #[command(subcommand)]
    Order(order::Order),
    Import(import::Import),
    Replay(replay::Replay),
    Bench(bench::Bench),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Metrics(metrics::Metrics),
    #[command(subcommand)]
    Errors(errors::Errors),
    Completions(completions::Completions),
}

impl Verb {
    /// True where the process becomes a node: what it does is of the traces of those who ask it.
    pub const fn is_node(&self) -> bool {
        matches!(self, Self::Start(_))
    }

    /// Does it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Demo(verb) => verb.run(format).await,
            Self::Up(verb) => verb.run(format).await,
            Self::Start(verb) => verb.run(format).await,
            Self::Cluster(verb) => verb.run(format).await,
            Self::Item(verb) => verb.run(format).await,
            Self::Kit(verb) => verb.run(format).await,
            Self::Location(verb) => verb.run(format).await,
            Self::Channel(verb) => verb.run(format).await,
            Self::Endpoint(verb) => verb.run(format).await,
            Self::Campaign(verb) => verb.run(format).await,
            Self::Queue(verb) => verb.run(format).await,
            Self::Stock(verb) => verb.run(format).await,
            Self::Lot(verb) => verb.run(format).await,
            Self::Recall(verb) => verb.run(format).await,
            Self::Limit(verb) => verb.run(format).await,
            Self::Move(verb) => verb.run(format).await,
            Self::Transfer(verb) => verb.run(format).await,
            Self::Receipt(verb) => verb.run(format).await,
            Self::Count(verb) => verb.run(format).await,
            Self::Reconcile(verb) => verb.run(format).await,
            Self::Audit(verb) => verb.run(format).await,
            Self::Watch(verb) => verb.run(format).await,
            Self::Shard(verb) => verb.run(format).await,
            Self::Alert(verb) => verb.run(format).await,
            Self::Sale(verb) => verb.run(format).await,
            Self::Backorder(verb) => verb.run(format).await,
            Self::Reserve(verb) => verb.run(format).await,
            Self::Amend(verb) => verb.run(format).await,
            Self::Extend(verb) => verb.run(format).await,
            Self::Commit(verb) => verb.run(format).await,
            Self::Release(verb) => verb.run(format).await,
            Self::Fulfil(verb) => verb.run(format).await,
            Self::Cancel(verb) => verb.run(format).await,
            Self::Return(verb) => verb.run(format).await,
            Self::Reservation(verb) => verb.run(format).await,
            Self::Order(verb) => verb.run(format).await,
            Self::Import(verb) => verb.run(format).await,
            Self::Replay(verb) => verb.run(format).await,
            Self::Bench(verb) => verb.run(format).await,
            Self::Doctor(verb) => verb.run(format).await,
            Self::Metrics(verb) => {
                verb.run(format);
                Ok(())
            }
            Self::Errors(verb) => verb.run(format),
            Self::Completions(verb) => {
                verb.run();
                Ok(())
            }
        }
    }
}
