//! A closed loop of reservations: each client asks, waits for the answer, and asks again.
//!
//! Light on purpose: it shares the machine with the nodes that it measures.

mod stages;
pub mod subscribers;
mod workload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holdfast_client::{Client, Error};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::stages::{StageReport, StageTotals};
use self::workload::Shelves;
pub use self::workload::Workload;
use crate::failure::Failure;
use crate::latency::{Latency, Percentiles};
use crate::output;
use crate::random::Random;

const WITHIN: Duration = Duration::from_secs(30);
/// Histograms that the tasks share, so that they seldom meet.
const HISTOGRAMS: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What is asked.
    pub workload: Workload,
    /// Tasks that ask.
    pub clients: usize,
    /// Commands in one question.
    pub batch: usize,
    /// A call of its own for each question, instead of sessions.
    pub unary: bool,
    /// SKUs.
    pub skus: usize,
    /// All want the same.
    pub hot: bool,
    /// How long is measured.
    pub lasts: Duration,
    /// How long is asked before that.
    pub warm_up: Duration,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct BenchReport {
    workload: &'static str,
    clients: usize,
    batch: usize,
    unary: bool,
    connections: usize,
    skus: usize,
    hot: bool,
    seconds: f64,
    /// Commands that were done.
    commands: u64,
    commands_per_s: u64,
    /// Of a question and all its commands.
    latency_us: Percentiles,
    /// Commands that were not done, by reason.
    errors: BTreeMap<String, u64>,
    /// Where the time went on the nodes, by stage: see `holdfast_raft::stages`.
    stages: BTreeMap<String, StageReport>,
}

struct Load {
    plan: Plan,
    shelves: Shelves,
    measuring: AtomicBool,
    stop: AtomicBool,
    done: AtomicU64,
    latency: Vec<Latency>,
}

/// Makes the SKUs, asks, and measures. The tasks share the clients, each of which has connections of its own.
pub async fn run(clients: &[Client], plan: Plan) -> Result<BenchReport, Failure> {
    let first = clients.first().ok_or_else(|| Failure::usage("at least one connection is needed"))?;
    let shelves = Shelves::of(&plan, |sku| first.shard_of(sku))?;
    shelves.fill(first).await?;
    let load = Arc::new(Load {
        plan,
        shelves,
        measuring: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        latency: (0..HISTOGRAMS).map(|_| Latency::default()).collect(),
    });
    let mut tasks = JoinSet::new();
    let seed = Random::fresh_seed();
    for number in 0..plan.clients {
        let client = clients[number % clients.len()].clone();
        tasks.spawn(ask_and_ask_again(Arc::clone(&load), client, number, Random::stream(seed, number as u64)));
    }
    let progress = output::spinner("warming up");
    sleep(plan.warm_up).await;
    progress.set_message("measuring");
    load.measuring.store(true, Ordering::Relaxed);
    let before = StageTotals::of_all_nodes(first).await?;
    let started = Instant::now();
    sleep(plan.lasts).await;
    load.measuring.store(false, Ordering::Relaxed);
    let seconds = started.elapsed().as_secs_f64();
    let commands = load.done.load(Ordering::Relaxed);
    let stages = StageTotals::of_all_nodes(first).await?.since(&before, commands);
    load.stop.store(true, Ordering::Relaxed);
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(ended) = tasks.join_next().await {
        let of_one = ended.map_err(|error| Failure::check(format!("a client's task has ended: {error}")))?;
        for (reason, count) in of_one {
            *errors.entry(reason).or_default() += count;
        }
    }
    progress.finish_and_clear();
    let times = Latency::sum(&load.latency);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate, rounded
    let commands_per_s = (commands as f64 / seconds) as u64;
    Ok(BenchReport {
        workload: plan.workload.name(),
        clients: plan.clients,
        batch: plan.batch,
        unary: plan.unary,
        connections: clients.len(),
        skus: plan.skus,
        hot: plan.hot,
        seconds: (seconds * 1_000.0).round() / 1_000.0,
        commands,
        commands_per_s,
        latency_us: Percentiles::of(&times),
        errors,
        stages,
    })
}

/// One client of the loop. Returns its errors by reason.
async fn ask_and_ask_again(
    load: Arc<Load>,
    client: Client,
    number: usize,
    mut random: Random,
) -> BTreeMap<String, u64> {
    let mut errors: BTreeMap<String, u64> = BTreeMap::new();
    while !load.stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let was_measuring = load.measuring.load(Ordering::Relaxed);
        let mut done = 0;
        let mut failed = |error: &Error| *errors.entry(error.reason().name().to_owned()).or_default() += 1;
        if load.plan.batch == 1 {
            match client.execute(load.shelves.reserve(&mut random)).await {
                Ok(_) => done += 1,
                Err(error) => failed(&error),
            }
        } else {
            let commands = (0..load.plan.batch).map(|_| load.shelves.reserve(&mut random)).collect();
            for answer in client.execute_batch(commands).await {
                match answer {
                    Ok(_) => done += 1,
                    Err(error) => failed(&error),
                }
            }
        }
        if was_measuring && load.measuring.load(Ordering::Relaxed) {
            load.latency[number % HISTOGRAMS].record(asked.elapsed());
            load.done.fetch_add(done, Ordering::Relaxed);
        }
    }
    errors
}
