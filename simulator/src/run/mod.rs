//! One run: three nodes, a shop of several customers, faults drawn from the seed, and the judgement at the end.

mod audit;
mod cluster;
mod judge;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_raft::types::GroupId;
use serde::Serialize;
use tracing::Level;

use crate::history::Recorder;
use crate::workloads::{Shop, connect};
use crate::{Crash, Dice, HostId, Messages, Simulation, Trace};
use cluster::Cluster;

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What everything is drawn from.
    pub seed: u64,
    /// Where the trace's lines are written.
    pub trace: Option<PathBuf>,
    /// Where the history is written, an attempt a line.
    pub history: Option<PathBuf>,
    /// The least urgent level of messages printed to stderr.
    pub printed: Option<Level>,
}

/// Why a run could not begin or be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The trace's file cannot be written.
    #[error("the trace cannot be written to {path}: {error}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// The history's file cannot be written.
    #[error("the history cannot be written to {path}: {error}")]
    History {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
}

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the run was drawn from.
    pub seed: u64,
    /// The hash of the trace, in hexadecimal.
    pub trace: String,
    /// The lines of the trace.
    pub trace_lines: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// What the customers did.
    pub workloads: Vec<&'static str>,
    /// Operations that clients asked for, each counted once however often it was tried.
    pub operations: usize,
    /// Reservations that were held.
    pub reserved: u64,
    /// Units that were held.
    pub units_held: u64,
    /// Units sold, by the ledger.
    pub units_sold: u64,
    /// Commands that were refused.
    pub refused: u64,
    /// Commands whose outcome nobody ever learned.
    pub unknown: u64,
    /// How often a group saw a new leader.
    pub leader_changes: u64,
    /// Everything that is not as it must be, or could not be decided, each with the checker's name; empty for a good run.
    pub findings: Vec<String>,
}

/// Runs one seed to its end.
///
/// # Errors
/// Only of the machine it runs on: what goes wrong within the simulation is a finding of the report.
pub fn run(options: &RunOptions) -> Result<Report, RunError> {
    let trace = Arc::new(match &options.trace {
        None => Trace::new(),
        Some(path) => Trace::to_file(path).map_err(|error| RunError::Trace { path: path.clone(), error })?,
    });
    let _messages = tracing::subscriber::set_default(Messages::new(trace.clone(), options.printed));
    let (mut report, stage) = Stage::new(options.seed, trace.clone()).play();
    if let Some(path) = &options.history {
        let greatest_offset_ms = stage.simulation.greatest_wall_offset_ms();
        judge::write_history(&stage.shop, greatest_offset_ms, path)
            .map_err(|error| RunError::History { path: path.clone(), error })?;
    }
    if let Some(path) = &options.trace {
        trace.flush().map_err(|error| RunError::Trace { path: path.clone(), error })?;
    }
    report.trace = format!("{:016x}", trace.hash());
    report.trace_lines = trace.count();
    Ok(report)
}

const JUDGE: HostId = HostId(200);

/// The cluster has founded itself and answers customers within this time.
const OPENING: Duration = Duration::from_secs(60);
/// The customers are done within this time, whatever happens to the nodes.
const CLOSING: Duration = Duration::from_secs(600);

struct Stage {
    seed: u64,
    simulation: Simulation,
    cluster: Cluster,
    shop: Shop,
    dice: Dice,
    /// When the last fault was over.
    healed_at: Duration,
}

impl Stage {
    fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let mut simulation = Simulation::new(seed, trace);
        let cluster = Cluster::found(&mut simulation);
        simulation.add_host(JUDGE, "judge");
        let shop = Shop::new(seed, Cluster::client_addresses());
        Self { seed, simulation, cluster, shop, dice: Dice::of(seed, "faults", 0), healed_at: Duration::ZERO }
    }

    fn play(mut self) -> (Report, Self) {
        let mut report = Report { seed: self.seed, ..Report::default() };
        self.shop.open(&mut self.simulation);
        if self.wait(OPENING, Shop::is_open) {
            self.cut_a_follower();
            self.stop_a_leader();
            self.calm();
            if !self.wait(CLOSING, Shop::is_closed) {
                report.findings.push("the customers are not done in time".to_owned());
            }
            self.judge(&mut report);
        } else {
            report.findings.push("the cluster does not open in time".to_owned());
        }
        report.leader_changes = self.cluster.leader_changes();
        report.simulated_s = self.simulation.now().as_secs_f64();
        (report, self)
    }

    /// Nothing is broken any more: customers go on for as long as the cluster may take to serve again, and a while longer.
    fn calm(&mut self) {
        self.healed_at = self.simulation.now();
        self.shop.calm();
        let served = u64::try_from(judge::PROMISE.grace.as_millis()).unwrap_or(u64::MAX);
        self.pass(served + 2_000, served + 4_000);
        self.shop.close();
    }

    /// Steps until the shop says so; the cluster is watched after every step.
    fn wait(&mut self, limit: Duration, until: impl Fn(&Shop) -> bool) -> bool {
        let (shop, cluster) = (&self.shop, &mut self.cluster);
        self.simulation.run_until(limit, |simulation| {
            cluster.watch(simulation);
            until(shop)
        })
    }

    /// Lets some time pass, drawn between two bounds in milliseconds.
    fn pass(&mut self, low_ms: u64, high_ms: u64) {
        let time = Duration::from_millis(self.dice.between(low_ms, high_ms));
        self.wait(time, |_| false);
    }

    /// One follower of the first shard loses sight of the other nodes for a while.
    fn cut_a_follower(&mut self) {
        self.pass(200, 1_000);
        let Some(leader) = self.leader() else { return };
        let followers: Vec<HostId> = Cluster::hosts().filter(|host| *host != leader).collect();
        let follower = followers[self.dice.below(followers.len() as u64) as usize];
        let others: Vec<HostId> = Cluster::hosts().filter(|host| *host != follower).collect();
        for other in &others {
            self.simulation.net().cut(follower, *other);
        }
        self.pass(3_000, 6_000);
        for other in &others {
            self.simulation.net().heal(follower, *other);
        }
    }

    /// The leader of the first shard loses its power, and comes back later.
    fn stop_a_leader(&mut self) {
        self.pass(2_000, 4_000);
        let Some(leader) = self.leader() else { return };
        self.cluster.forget(leader);
        self.simulation.crash(leader, Crash::PowerLoss);
        self.pass(3_000, 6_000);
        self.cluster.start(&mut self.simulation, leader);
    }

    fn leader(&mut self) -> Option<HostId> {
        let shard = GroupId::of_shard(0);
        let cluster = &mut self.cluster;
        self.simulation.run_until(OPENING, |simulation| {
            cluster.watch(simulation);
            cluster.leader(shard).is_some()
        });
        self.cluster.leader(shard)
    }

    fn judge(&mut self, report: &mut Report) {
        let nodes: Vec<u64> = Cluster::hosts().map(|host| host.0).collect();
        let (addresses, history) = (Cluster::client_addresses(), self.shop.history().clone());
        let (asked_at, started) = (self.simulation.now(), self.simulation.now());
        let audit = self.simulation.run(JUDGE, CLOSING, |world| async move {
            let client = connect(addresses, world.clone()).await;
            let recorder = Recorder::new(history.clone(), JUDGE.0 * 100, world.clock.clone(), started);
            audit::audit(&client, &recorder, &history, &nodes, cluster::SHARDS).await
        });
        let evidence = judge::Evidence {
            audit: audit.as_ref(),
            positions: self.cluster.positions(),
            healed_at: self.healed_at,
            asked_at,
            greatest_offset_ms: self.simulation.greatest_wall_offset_ms(),
        };
        judge::judge(&self.shop, &evidence, report);
    }
}
