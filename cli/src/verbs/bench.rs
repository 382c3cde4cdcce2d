//! `holdfast bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::future::try_join_all;

use crate::bench::{self, Plan, Workload, subscribers};
use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measured {
    /// Hold one unit of a SKU.
    Reserve,
    /// Hold 10 SKUs over all shards, drawn evenly; with `--hot` one of them is the same for all.
    Carts,
    /// Hold one of 100 kits of three SKUs, one of which is in all of them.
    Kits,
    /// A receipt now and then, of which readers of one node's live updates wait to hear: what they cost it, and how long the last one waits.
    Subscribers,
}

/// Measure the cluster with a closed loop of reservations. Makes SKUs of its own, `BENCH-…`, with plenty of stock: not for
/// a cluster in use.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is asked.
    #[arg(long, value_enum, default_value = "reserve")]
    workload: Measured,
    /// Of `subscribers`: how many.
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    subscribers: u32,
    /// Clients that ask, wait for the answer, and ask again.
    #[arg(long, default_value_t = 64, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=16_384))]
    clients: u32,
    /// Commands in one question.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=8_192))]
    batch: u32,
    /// A call of its own for each question, instead of sessions.
    #[arg(long)]
    unary: bool,
    /// Connections to each node.
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// SKUs; single ones and kits are wanted by Zipf's law.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    skus: u32,
    /// All want one SKU, or one kit.
    #[arg(long)]
    hot: bool,
    /// How long is measured.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// How long is asked before that.
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    warm_up: u64,
    #[command(flatten)]
    cluster: ClusterFlags,
}

impl Bench {
    /// Measures.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let workload = match self.workload {
            Measured::Reserve => Workload::Reserve,
            Measured::Carts => Workload::Carts,
            Measured::Kits => Workload::Kits,
            Measured::Subscribers => {
                let client = self.cluster.connect().await?;
                Answer::record(&subscribers::run(&client, self.subscribers as usize).await?).print(format);
                return Ok(());
            }
        };
        let clients = try_join_all((0..self.connections).map(|_| self.cluster.connect_by(self.unary))).await?;
        let plan = Plan {
            workload,
            clients: self.clients as usize,
            batch: self.batch as usize,
            unary: self.unary,
            skus: self.skus as usize,
            hot: self.hot,
            lasts: Duration::from_secs(self.seconds),
            warm_up: Duration::from_secs(self.warm_up),
        };
        let report = bench::run(&clients, plan).await?;
        Answer::record(&report).print(format);
        Ok(())
    }
}
