//! A closed loop of reservations: each client asks, waits for the answer, and asks again.
//!
//! Light on purpose: it shares the machine with the nodes that it measures.

mod stages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt};
use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Command, CommandKey, Error, PutItem, Receive, Reserve};
use holdfast_proto::v1::Item;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::stages::{StageReport, StageTotals};
use crate::certain::{Outcome, ask_until_certain};
use crate::connect;
use crate::demand::Demand;
use crate::failure::Failure;
use crate::latency::{Latency, Percentiles};
use crate::output;
use crate::random::Random;

/// Units of each SKU: more than any run can hold.
const STOCK: u32 = 2_000_000_000;
const SET_UP_IN_FLIGHT: usize = 512;
const WITHIN: Duration = Duration::from_secs(30);
/// Histograms that the tasks share, so that they seldom meet.
const HISTOGRAMS: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Tasks that ask.
    pub clients: usize,
    /// Commands in one question.
    pub batch: usize,
    /// A call of its own for each question, instead of sessions.
    pub unary: bool,
    /// SKUs, by Zipf's law.
    pub skus: usize,
    /// All want the first.
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
    skus: Vec<String>,
    demand: Demand,
    measuring: AtomicBool,
    stop: AtomicBool,
    done: AtomicU64,
    latency: Vec<Latency>,
}

/// Makes the SKUs, asks, and measures. The tasks share the clients, each of which has connections of its own.
pub async fn run(clients: &[Client], plan: Plan) -> Result<BenchReport, Failure> {
    let first = clients.first().ok_or_else(|| Failure::usage("at least one connection is needed"))?;
    let skus: Vec<String> = (0..plan.skus.max(1)).map(|n| format!("BENCH-{n:07}")).collect();
    set_up(first, &skus).await?;
    let demand = Demand::zipf(if plan.hot { 1 } else { skus.len() }, 1.0);
    let load = Arc::new(Load {
        plan,
        skus,
        demand,
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
        workload: "reserve",
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

async fn set_up(client: &Client, skus: &[String]) -> Result<(), Failure> {
    let bar = output::bar("stocking", skus.len() as u64);
    let stocked = futures_util::stream::iter(skus)
        .map(|sku| async move {
            let item = Item { sku: sku.clone(), ..Item::default() };
            let put = Command::from(PutItem::new(item).if_absent());
            // Already there is right too.
            ask_until_certain(client, put, CommandKey::Minted, WITHIN).await?;
            let receive = Command::from(Receive::of(sku.clone(), STOCK));
            match ask_until_certain(client, receive, CommandKey::Minted, WITHIN).await? {
                Outcome::Done => Ok(()),
                Outcome::Refused(told) => Err(Failure::from_client(&told).about(sku)),
            }
        })
        .buffer_unordered(SET_UP_IN_FLIGHT)
        .inspect(|_| bar.inc(1))
        .try_collect::<Vec<()>>()
        .await;
    bar.finish_and_clear();
    stocked.map(drop)
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
            match client.execute(reserve(&load, &mut random)).await {
                Ok(_) => done += 1,
                Err(error) => failed(&error),
            }
        } else {
            let commands = (0..load.plan.batch).map(|_| reserve(&load, &mut random)).collect();
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

fn reserve(load: &Load, random: &mut Random) -> Command {
    let sku = load.skus[load.demand.draw(random)].as_str();
    let id: ReservationId = connect::mint_reservation(slot_of(sku), random);
    Reserve::new().id(id).line(sku, 1).into()
}
