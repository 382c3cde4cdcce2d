//! One run: three, five or seven nodes, a shop of several customers, faults drawn from the seed; then everything heals, must
//! serve again in time, and is judged.

pub(crate) mod audit;
pub(crate) mod cluster;
mod judge;
mod notes;
pub(crate) mod operator;
mod part;
mod rollout;
pub(crate) mod setting;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::Level;

pub use crate::faults::FaultKind;
use crate::faults::{Choice, Storm};
use crate::history::Recorder;
use crate::timeline::{Happened, Subject, page};
use crate::workloads::{Shop, connect};
use crate::{Crash, Dice, HostId, Messages, Simulation, Trace};
use cluster::{Cluster, Replacement};
pub use part::{Case, Only, Part};
use setting::Setting;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// What everything is drawn from.
    pub seed: u64,
    /// What of it is played.
    pub part: Part,
    /// Where the trace's lines are written.
    pub trace: Option<PathBuf>,
    /// Where the history is written, an attempt a line.
    pub history: Option<PathBuf>,
    /// Where what happened to the nodes is written, as JSON.
    pub events: Option<PathBuf>,
    /// Where the page is written that shows it.
    pub timeline: Option<PathBuf>,
    /// The command that plays this run, for the page.
    pub replay: String,
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
    /// The file of what happened, or its page, cannot be written.
    #[error("what happened cannot be written to {path}: {error}")]
    Timeline {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
}

/// What became of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// What the run was drawn from.
    pub seed: u64,
    /// The hash of the trace, in hexadecimal.
    pub trace_hash: String,
    /// The lines of the trace.
    pub trace_lines: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// The nodes.
    pub nodes: u64,
    /// The most that a frame is under way in calm weather, in ms.
    pub delay_ms: u64,
    /// How often a leader is heard from, in ms: what nodes wait for goes with it.
    pub heartbeat_ms: u64,
    /// Which faults the run may have, with their rates.
    pub plan: Vec<String>,
    /// How often each kind of fault has begun.
    pub faults: BTreeMap<String, u64>,
    /// Nodes that were replaced, in the storm or since their drives had lost something.
    pub replaced: u64,
    /// Groups in which entries of the next version's schema were applied, with the fault `two-versions`.
    pub groups_of_next_schema: u64,
    /// Where the one bit has flipped, with the fault `one-flipped-bit`.
    pub flipped: Option<String>,
    /// Bits that have flipped on the way between nodes, by the call that carried them.
    pub flipped_on_the_way: BTreeMap<String, u64>,
    /// How something that had rotted or was lost was first found, if it was: at a start, on a read, or by the scrubber.
    pub rot_found: Option<String>,
    /// What the customers did.
    pub workloads: Vec<String>,
    /// Operations that clients asked for, each counted once however often it was tried.
    pub operations: u64,
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
    let messages = Messages::new(trace.clone(), options.printed);
    let rot_found = messages.rot_found();
    let _messages = tracing::subscriber::set_default(messages);
    let mut stage = Stage::new(options.seed, trace.clone(), &options.part);
    if options.events.is_some() || options.timeline.is_some() {
        stage.happened = Some(Happened::default());
    }
    let (mut report, stage) = stage.play();
    if let Some(path) = &options.history {
        let greatest_offset_ms = stage.simulation.greatest_log_time_offset_ms();
        judge::write_history(&stage.shop, greatest_offset_ms, path)
            .map_err(|error| RunError::History { path: path.clone(), error })?;
    }
    stage.show(options, &report)?;
    if let Some(path) = &options.trace {
        trace.flush().map_err(|error| RunError::Trace { path: path.clone(), error })?;
    }
    report.rot_found = rot_found.get().cloned();
    report.trace_hash = format!("{:016x}", trace.hash());
    report.trace_lines = trace.count();
    Ok(report)
}

const JUDGE: HostId = HostId(200);
const OPERATOR: HostId = HostId(201);
/// Where the operator sits who replaces members in the storm, and the one who asks nodes to hand over.
pub(crate) const REPLACER: HostId = HostId(202);
pub(crate) const CONDUCTOR: HostId = HostId(203);
/// The hosts of the shop's customers and its keeper.
const CLIENTS: [HostId; 4] = [HostId(100), HostId(101), HostId(102), HostId(103)];

/// The cluster has founded itself and answers customers within this time.
const OPENING: Duration = Duration::from_secs(60);
/// Once nothing goes wrong any more every node is ready within this time, but for those that have lost something.
const HEALING: Duration = Duration::from_secs(60);
/// How often the nodes are asked whether they are ready: after each step it was 6 % of a run.
const READINESS: Duration = Duration::from_millis(10);
/// A node that has lost something is replaced within this time.
const REPLACING: Duration = Duration::from_secs(180);
/// A replacement that was begun in the storm is done within this time, or another fresh node is needed for it.
const TAKING_UP: Duration = Duration::from_secs(90);
/// Once the customers have left nobody lacks anything within this time.
const AT_REST: Duration = Duration::from_secs(10);
/// The customers are done within this time, whatever happens to the nodes.
const CLOSING: Duration = Duration::from_secs(600);

struct Stage {
    seed: u64,
    simulation: Simulation,
    cluster: Cluster,
    shop: Shop,
    storm: Storm,
    setting: Setting,
    dice: Dice,
    /// How long faults may begin: as the setting says, or as somebody wants it.
    storm_time: Duration,
    /// Which kinds of faults there are.
    choice: Choice,
    /// What happened to the nodes, if that is wanted.
    happened: Option<Happened>,
    findings: Vec<String>,
    /// When everything was whole again after the last fault.
    healed_at: Duration,
}

impl Stage {
    fn new(seed: u64, trace: Arc<Trace>, part: &Part) -> Self {
        let mut simulation = Simulation::new(seed, trace);
        let setting = Setting::of(seed);
        simulation.set_idle_turn(setting.idle_turn);
        simulation.net().set_delay(setting.delay);
        let cluster = Cluster::found(&mut simulation, &setting);
        simulation.add_host(JUDGE, "judge");
        for (host, name) in [(OPERATOR, "operator"), (REPLACER, "replacer"), (CONDUCTOR, "conductor")] {
            simulation.add_host(host, name);
        }
        let only_workloads = part.only_workloads.as_ref().map(|only| only.0.as_slice());
        let shop = Shop::new(seed, setting.pace, Cluster::client_addresses()).only(only_workloads);
        let choice = part.choice();
        let storm = Storm::new(seed, Duration::ZERO, CLIENTS.to_vec(), &shop, &choice);
        Self {
            seed,
            simulation,
            cluster,
            shop,
            storm,
            dice: Dice::of(seed, "calm", 0),
            storm_time: part.storm_ms.map_or(setting.storm, Duration::from_millis),
            setting,
            choice,
            happened: None,
            findings: Vec::new(),
            healed_at: Duration::ZERO,
        }
    }

    fn play(mut self) -> (Report, Self) {
        let mut report = Report {
            seed: self.seed,
            nodes: self.setting.nodes,
            delay_ms: self.setting.delay.most.as_millis() as u64,
            heartbeat_ms: self.setting.raft.heartbeat_ms,
            ..Report::default()
        };
        self.shop.open(&mut self.simulation);
        if self.wait(OPENING, |stage| stage.shop.is_open()) {
            self.weather_the_storm();
            self.heal();
            self.calm();
            if !self.wait(CLOSING, |stage| stage.shop.is_closed()) {
                self.findings.push("the customers are not done in time".to_owned());
            }
            self.judge(&mut report);
            self.findings.extend(self.cluster.check_rollout(!self.shop.workloads().is_empty()));
        } else {
            self.findings.push("the cluster does not open in time".to_owned());
        }
        report.findings.append(&mut self.findings);
        report.leader_changes = self.cluster.leader_changes();
        report.simulated_s = self.simulation.now().as_secs_f64();
        report.plan = self.storm.plan();
        report.faults = self.storm.counts();
        report.replaced = self.cluster.replaced_so_far();
        report.groups_of_next_schema = self.cluster.groups_of_next_schema();
        report.flipped = self.storm.spoiled().flipped().map(str::to_owned);
        report.flipped_on_the_way = self.simulation.net().flipped();
        (report, self)
    }

    /// Nothing is broken any more: customers go on for as long as the cluster may take to serve again, and a while longer.
    fn calm(&mut self) {
        self.healed_at = self.simulation.now();
        self.mark("all is whole again");
        self.shop.calm();
        let ends =
            self.healed_at + self.setting.promise().grace + Duration::from_millis(self.dice.between(2_000, 4_000));
        while self.simulation.now() < ends {
            self.step();
        }
        self.shop.close();
    }

    /// Steps until `until` says so; the cluster is watched after every step.
    fn wait(&mut self, limit: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let deadline = self.simulation.now() + limit;
        while !until(self) {
            if self.simulation.now() >= deadline {
                return false;
            }
            self.step();
        }
        true
    }

    fn step(&mut self) {
        self.simulation.step();
        let spoiled = self.storm.spoiled();
        self.cluster.judge_ends(&mut self.simulation, |host| spoiled.may_lose(host), &mut self.findings);
        self.cluster.watch(&self.simulation, &mut self.findings);
        if let Some(happened) = &mut self.happened {
            notes::note(happened, &self.simulation, &self.cluster);
        }
    }

    /// Notes a moment of the run, if that is wanted.
    fn mark(&mut self, what: &str) {
        if let Some(happened) = &mut self.happened {
            happened.mark(self.simulation.now(), what);
        }
    }

    /// Writes what happened, and the page that shows it, where that is wanted.
    fn show(&self, options: &RunOptions, report: &Report) -> Result<(), RunError> {
        let Some(mut happened) = self.happened.clone() else { return Ok(()) };
        happened.close(self.simulation.now(), self.storm.spans());
        let write = |path: &PathBuf, text: String| {
            std::fs::write(path, text).map_err(|error| RunError::Timeline { path: path.clone(), error })
        };
        if let Some(path) = &options.events {
            write(path, serde_json::to_string(&happened).expect("numbers and words are JSON"))?;
        }
        if let Some(path) = &options.timeline {
            let title = format!("seed {}", options.seed);
            let history = self.shop.history().lock();
            let (findings, marked) = (report.findings.as_slice(), &Default::default());
            let subject = Subject { title, findings, replay: &options.replay, history: &history, marked };
            write(path, page(&subject, &happened))?;
        }
        Ok(())
    }

    /// Lets everything go wrong that is drawn.
    fn weather_the_storm(&mut self) {
        let now = self.simulation.now();
        self.storm = Storm::new(self.seed, now, CLIENTS.to_vec(), &self.shop, &self.choice);
        self.mark("faults may begin");
        let nodes = self.cluster.size() as u64;
        self.simulation.start(OPERATOR, |world| operator::keep_checkpoints(world, nodes));
        let ends = self.simulation.now() + self.storm_time;
        while self.simulation.now() < ends {
            self.step();
            self.storm.step(&mut self.simulation, &mut self.cluster);
        }
        self.simulation.crash(OPERATOR, Crash::Kill);
        self.storm.end(&mut self.simulation, &mut self.cluster);
        self.mark("faults are over");
        self.findings.extend(self.storm.complaints());
        for host in self.cluster.ever() {
            let retried = self.simulation.drive(host).syncs_retried();
            if retried > 0 {
                self.findings.push(format!("node {} has tried {retried} failed syncs again", host.0));
            }
        }
    }

    /// Nothing goes wrong any more. Whole nodes must be ready in time; those that have lost something are started anew, so
    /// that they see it, and are mended or replaced.
    fn heal(&mut self) {
        for host in self.storm.spoiled().hosts() {
            self.cluster.crash(&mut self.simulation, host, Crash::Kill);
        }
        self.cluster.finish_rollout(&mut self.simulation);
        if let Some(replacement) = self.cluster.replacement() {
            // Taken up again. The member may still be needed for the vote. A fresh node that has taken something before it was a
            // member of anything is refused: then another one is started, as the refusal says.
            if !self.carry_out(replacement, TAKING_UP) {
                self.cluster.give_up_replacement(&mut self.simulation);
                let new = self.cluster.start_fresh(&mut self.simulation);
                self.replace_by(replacement.old, new);
            }
        }
        let mut is_ready = self.wait_for_nodes() && (self.cluster.let_go() == 0 || self.wait_for_nodes());
        // One that has lost something may learn late, from the last of its peers, that it may not take part: what was ready is replaced
        // after others then.
        for _ in 0..self.cluster.size() {
            if is_ready && !self.cluster.hosts().iter().any(|host| self.cluster.is_left_out(*host)) {
                return;
            }
            if self.replace_what_lacks() == 0 {
                break;
            }
            is_ready = self.wait_for_nodes();
        }
        for host in self.cluster.hosts().to_vec() {
            let lacks = self.cluster.lacks(&self.simulation, host);
            if !lacks.is_empty() {
                self.findings.push(format!("node {} is not ready in the end: {}", host.0, lacks.join("; ")));
            }
        }
    }

    /// Replaces the nodes that are not ready, and gives their number; none may be so that has lost nothing.
    fn replace_what_lacks(&mut self) -> usize {
        // All at one moment: while a node is replaced leaders change, and the others may lack one.
        let lacking: Vec<(HostId, Vec<String>)> =
            self.cluster.hosts().iter().map(|host| (*host, self.cluster.lacks(&self.simulation, *host))).collect();
        let mut replaced = 0;
        for (host, lacks) in lacking.into_iter().filter(|(_, lacks)| !lacks.is_empty()) {
            if !self.storm.spoiled().may_lose(host) {
                self.findings.push(format!("node {} is not ready in time: {}", host.0, lacks.join("; ")));
                continue;
            }
            self.replace(host);
            replaced += 1;
        }
        replaced
    }

    /// Starts what is down until every node is ready that is not left out; false: not in time.
    fn wait_for_nodes(&mut self) -> bool {
        let deadline = self.simulation.now() + HEALING;
        while self.simulation.now() < deadline {
            self.start_what_is_down();
            self.step();
            if !self.simulation.now().as_millis().is_multiple_of(READINESS.as_millis()) {
                continue;
            }
            let mut expected = self.cluster.hosts().iter().filter(|host| !self.cluster.is_left_out(**host));
            if expected.all(|host| self.cluster.lacks(&self.simulation, *host).is_empty()) {
                return true;
            }
        }
        false
    }

    /// Puts a fresh node in the place of one that has lost something, as an operator does.
    fn replace(&mut self, old: HostId) {
        self.cluster.lose(&mut self.simulation, old);
        let new = self.cluster.start_fresh(&mut self.simulation);
        self.replace_by(old, new);
    }

    fn replace_by(&mut self, old: HostId, new: HostId) {
        if !self.carry_out(Replacement { old, new }, REPLACING) {
            self.findings.push(format!("node {} is not replaced by node {} in time", old.0, new.0));
        }
    }

    /// Asks for a replacement until it is done, and starts what is down meanwhile; false: not in time.
    fn carry_out(&mut self, replacement: Replacement, within: Duration) -> bool {
        let Replacement { old, new } = replacement;
        let is_done = Arc::new(AtomicBool::new(false));
        let mark = is_done.clone();
        self.simulation.start(OPERATOR, |world| operator::replace(world, replacement, mark));
        let deadline = self.simulation.now() + within;
        while !is_done.load(Ordering::Relaxed) && self.simulation.now() < deadline {
            self.start_what_is_down();
            self.step();
        }
        self.simulation.crash(OPERATOR, Crash::Kill);
        let is_done = is_done.load(Ordering::Relaxed);
        if is_done {
            self.cluster.crash(&mut self.simulation, old, Crash::Kill);
            self.cluster.replaced(old, new);
        }
        is_done
    }

    fn start_what_is_down(&mut self) {
        for host in self.cluster.nodes() {
            if !self.simulation.is_running(host) && !self.cluster.is_left_out(host) {
                self.cluster.start(&mut self.simulation, host);
            }
        }
    }

    fn judge(&mut self, report: &mut Report) {
        let is_whole = |stage: &Self, host: &HostId| stage.cluster.lacks(&stage.simulation, *host).is_empty();
        // A leader may be handed over, or a frame late, at this very moment.
        self.wait(AT_REST, |stage| stage.cluster.hosts().iter().all(|host| is_whole(stage, host)));
        let (whole, lacking): (Vec<HostId>, Vec<HostId>) =
            self.cluster.hosts().iter().copied().partition(|host| is_whole(self, host));
        // One that has lost something may learn only now from a peer that it may not take part: an operator would replace it.
        for host in lacking.into_iter().filter(|host| !self.storm.spoiled().may_lose(*host)) {
            let lacks = self.cluster.lacks(&self.simulation, host).join("; ");
            self.findings.push(format!("node {} is not whole when the customers have left: {lacks}", host.0));
        }
        let nodes: Vec<u64> = whole.iter().map(|host| host.0).collect();
        let (addresses, history) = (Cluster::client_addresses(), self.shop.history().clone());
        let (asked_at, started) = (self.simulation.now(), self.simulation.now());
        let audit = self.simulation.run(JUDGE, CLOSING, |world| async move {
            let client = connect(addresses, world.clone()).await;
            let recorder = |of: u64| Recorder::new(history.clone(), JUDGE.0 * 100 + of, world.clock.clone(), started);
            audit::ask_unknown_again(&client, &history, |asker| recorder(1 + asker)).await;
            let recorder = recorder(0);
            audit::audit(&client, &recorder, &history, &nodes, cluster::SHARDS).await
        });
        let evidence = judge::Evidence {
            audit: audit.as_ref(),
            positions: self.cluster.positions(),
            images: &self.cluster.images(),
            healed_at: self.healed_at,
            asked_at,
            greatest_offset_ms: self.simulation.greatest_log_time_offset_ms(),
            promise: self.setting.promise(),
        };
        judge::judge(&self.shop, &evidence, report);
    }
}
