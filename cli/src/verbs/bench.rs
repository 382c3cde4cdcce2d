//! `holdfast bench`.

use std::time::Duration;

use clap::Args;
use futures_util::future::try_join_all;

use crate::bench::{self, Plan, Workload};
use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Measure the cluster with a closed loop of reservations. Makes SKUs of its own, `BENCH-…`, with plenty of stock: not for
/// a cluster in use.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is asked.
    #[arg(long, value_enum, default_value = "reserve")]
    workload: Workload,
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
        let clients = try_join_all((0..self.connections).map(|_| self.cluster.connect_by(self.unary))).await?;
        let plan = Plan {
            workload: self.workload,
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
