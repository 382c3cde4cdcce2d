//! The cluster of a run: nodes built by the constructor that ships, and what is seen of them from outside.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_inventory::Inventory;
use holdfast_node::config::{AlertsConfig, AuditConfig, HttpConfig, NodeAddresses, NodeLimits};
use holdfast_node::{Node, NodeConfig};
use holdfast_raft::encode::NEXT_SCHEMA;
use holdfast_raft::host::Group;
use holdfast_raft::log::LogId;
use holdfast_raft::types::GroupId;
use tokio::sync::oneshot;

use super::rollout::Rollout;
use super::setting::Setting;
use crate::checkers::images::Image;
use crate::checkers::majority::Majorities;
use crate::checkers::replicas::Positions;
use crate::world::Death;
use crate::{Crash, Dice, HostId, Simulation};

/// Enough that routing matters, few enough that a run is quick.
pub(crate) const SHARDS: u32 = 3;
/// The highest id that a node may have: of seven, of three that take the place of lost ones after the storm, and of three
/// in it.
const HIGHEST_ID: u64 = 13;
/// The least that a configuration takes, so that segments and checkpoints change within a run.
const LEAST_BYTES: u64 = 1_024 * 1_024;

/// The least that a configuration takes, so that a flood is soon more than may wait.
const LEAST_WAITING_BYTES: usize = 2 * 1_024 * 1_024;

/// So that rot is found within a run.
const SCRUB_PAUSE_S: u64 = 5;
/// Often enough that every run sees many audits amid its faults.
const AUDIT_INTERVAL_S: u64 = 3;

/// How long a node may take to stop that was told to: it drains for at most 10 s, by a clock that may run at half the rate,
/// and may be paused and wait for a slow drive besides.
const STOPPING: Duration = Duration::from_secs(45);

/// Why a member is left out whose machine is no more.
const GONE: &str = "its machine is gone";

/// Why a member is left out that holds an older state than it had.
const HELD_BACK: &str = "its drive holds an older state";

/// The nodes by host, those that have started.
type Nodes = Arc<Mutex<BTreeMap<HostId, Arc<Node>>>>;

/// Why nodes could not go on, by host.
type Failures = Arc<Mutex<BTreeMap<HostId, String>>>;

/// The nodes that have stopped as they were told to.
type Stopped = Arc<Mutex<BTreeSet<HostId>>>;

/// A member, and the fresh node that is taking its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replacement {
    pub old: HostId,
    pub new: HostId,
}

/// How far a group is on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The last index in its log, durable or not.
    pub last: u64,
    /// The last index applied.
    pub applied: u64,
}

/// What was last seen of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    term: u64,
    leader: Option<u64>,
    applied: u64,
}

/// What is seen of a node's process.
#[derive(Default)]
struct Watched {
    /// The polls that its tasks had had at the last look.
    polls: u64,
    /// Its groups, those that have started.
    groups: BTreeMap<GroupId, (Group, Seen)>,
}

pub(crate) struct Cluster {
    nodes: Nodes,
    failures: Failures,
    stopped: Stopped,
    /// What tells a node to stop.
    stops: BTreeMap<HostId, oneshot::Sender<()>>,
    /// Until when nodes must have stopped that were told to.
    stopping: BTreeMap<HostId, Duration>,
    /// The hosts of the members.
    members: Vec<HostId>,
    /// A replacement that was begun and is not known to be done.
    replacement: Option<Replacement>,
    /// How many members were replaced.
    replaced: u64,
    /// Members that are not started: they said that they may not come back, or are held back.
    left_out: BTreeMap<HostId, String>,
    /// Members whose end was judged.
    judged: BTreeSet<HostId>,
    watched: BTreeMap<HostId, Watched>,
    leader_changes: u64,
    positions: Positions,
    majorities: Majorities,
    next_id: u64,
    setting: Setting,
    rollout: Rollout,
    /// The replicas that have stopped before an entry which they cannot read.
    stopped_before: BTreeSet<(HostId, u64)>,
}

impl Cluster {
    /// Adds the hosts and starts a fresh node on each.
    pub(super) fn found(simulation: &mut Simulation, setting: &Setting) -> Self {
        let mut cluster = Self {
            nodes: Nodes::default(),
            failures: Failures::default(),
            stopped: Stopped::default(),
            stops: BTreeMap::new(),
            stopping: BTreeMap::new(),
            replacement: None,
            replaced: 0,
            members: (1..=setting.nodes).map(HostId).collect(),
            left_out: BTreeMap::new(),
            judged: BTreeSet::new(),
            watched: BTreeMap::new(),
            leader_changes: 0,
            positions: Positions::default(),
            majorities: Majorities::default(),
            next_id: setting.nodes + 1,
            setting: setting.clone(),
            rollout: Rollout::default(),
            stopped_before: BTreeSet::new(),
        };
        for host in cluster.members.clone() {
            simulation.add_host(host, &format!("n{}", host.0));
            cluster.start(simulation, host);
        }
        cluster
    }

    /// The hosts of the members.
    pub(crate) fn hosts(&self) -> &[HostId] {
        &self.members
    }

    /// The hosts of the members, and that of a fresh node which is to become one.
    pub(crate) fn nodes(&self) -> Vec<HostId> {
        self.members.iter().copied().chain(self.replacement.map(|replacement| replacement.new)).collect()
    }

    /// Every host that ever had a node.
    pub(super) fn ever(&self) -> Vec<HostId> {
        (1..self.next_id).map(HostId).collect()
    }

    /// How many members there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// Of every node that there may be; where there is none, nobody answers.
    pub(crate) fn client_addresses() -> Vec<String> {
        (1..=HIGHEST_ID).map(|id| addresses(id).client).collect()
    }

    pub(crate) fn peer_address(host: HostId) -> String {
        addresses(host.0).peer
    }

    pub(crate) fn client_address(host: HostId) -> String {
        addresses(host.0).client
    }

    /// Starts a node on a host that has no process.
    pub(crate) fn start(&mut self, simulation: &mut Simulation, host: HostId) {
        let join = self.replacement.is_some_and(|replacement| replacement.new == host);
        let config = NodeConfig { join, ..config(host.0, &self.members, &self.setting) };
        self.run(simulation, host, config);
    }

    /// Starts a fresh node that shall take a member's place. `None`: one is about to already, or no ids are left beside those
    /// that lost members may need.
    pub(crate) fn begin_replacement(&mut self, simulation: &mut Simulation, old: HostId) -> Option<Replacement> {
        let kept = (self.members.len() as u64).saturating_sub(1) / 2 + 1;
        if self.replacement.is_some() || self.next_id + kept > HIGHEST_ID {
            return None;
        }
        let replacement = Replacement { old, new: self.start_fresh(simulation) };
        self.replacement = Some(replacement);
        self.replacement
    }

    /// A replacement that was begun and is not known to be done.
    pub(crate) fn replacement(&self) -> Option<Replacement> {
        self.replacement
    }

    /// The fresh node will not take the member's place.
    pub(super) fn give_up_replacement(&mut self, simulation: &mut Simulation) {
        if let Some(Replacement { new, .. }) = self.replacement.take() {
            self.crash(simulation, new, Crash::Kill);
        }
    }

    /// How many members were replaced.
    pub(super) fn replaced_so_far(&self) -> u64 {
        self.replaced
    }

    /// Starts a fresh node that waits to take the place of another one, on a host of its own.
    pub(super) fn start_fresh(&mut self, simulation: &mut Simulation) -> HostId {
        let host = HostId(self.next_id);
        self.next_id += 1;
        simulation.add_host(host, &format!("n{}", host.0));
        let config = NodeConfig { join: true, ..config(host.0, &self.members, &self.setting) };
        self.run(simulation, host, config);
        host
    }

    fn run(&mut self, simulation: &mut Simulation, host: HostId, config: NodeConfig) {
        let config = NodeConfig { schema: self.rollout.start(host), ..config };
        let (nodes, failures, stopped) = (self.nodes.clone(), self.failures.clone(), self.stopped.clone());
        self.judged.remove(&host);
        failures.lock().expect("no panic happens while the failures are locked").remove(&host);
        let (stop, told) = oneshot::channel();
        self.stops.insert(host, stop);
        simulation.start(host, |world| async move {
            let failed = match Node::start(world, config).await {
                Ok(node) => {
                    let node = Arc::new(node);
                    nodes.lock().expect("no panic happens while the nodes are locked").insert(host, node.clone());
                    tokio::select! {
                        biased;
                        ended = node.wait() => ended.err().map(|error| error.to_string()),
                        Ok(()) = told => {
                            node.stop().await;
                            stopped.lock().expect("no panic happens while the stopped are locked").insert(host);
                            None
                        }
                    }
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = failed {
                failures.lock().expect("no panic happens while the failures are locked").insert(host, error);
            }
        });
    }

    /// Tells a node to stop, as SIGTERM does: it hands over what it leads, and its process ends. False: it was told already.
    pub(crate) fn stop(&mut self, simulation: &Simulation, host: HostId) -> bool {
        let is_told = self.stops.remove(&host).is_some_and(|stop| stop.send(()).is_ok());
        if is_told {
            simulation.trace().record(simulation.now(), host, format_args!("is told to stop"));
            self.stopping.insert(host, simulation.now() + STOPPING);
        }
        is_told
    }

    /// Ends the processes of nodes that have stopped, and of those that take too long, which is a finding.
    fn end_stopped(&mut self, simulation: &mut Simulation, findings: &mut Vec<String>) {
        if self.stopping.is_empty() {
            return;
        }
        let stopped = std::mem::take(&mut *self.stopped.lock().expect("no panic happens while the stopped are locked"));
        for host in stopped {
            simulation.trace().record(simulation.now(), host, format_args!("has stopped"));
            self.crash(simulation, host, Crash::Kill);
        }
        let now = simulation.now();
        let late = self.stopping.iter().find(|(_, deadline)| now >= **deadline).map(|(host, _)| *host);
        if let Some(host) = late {
            findings.push(format!("node {} was told to stop, and has not for {} s", host.0, STOPPING.as_secs()));
            self.crash(simulation, host, Crash::Kill);
        }
    }

    /// Ends a node's process.
    pub(crate) fn crash(&mut self, simulation: &mut Simulation, host: HostId, crash: Crash) {
        self.forget(host);
        self.judged.insert(host);
        simulation.crash(host, crash);
    }

    /// Chooses the node that comes back as another version when it is started anew.
    pub(crate) fn roll_on(&mut self, simulation: &Simulation, dice: &mut Dice) -> Option<HostId> {
        // Whoever is replaced may be the last that holds the later schema back.
        let may_fall_back = self.replacement.is_none();
        let host = self.rollout.step(&self.nodes(), |host| simulation.is_running(host), may_fall_back, dice)?;
        simulation.trace().record(simulation.now(), host, format_args!("is to be of another version"));
        Some(host)
    }

    /// Has every node run as the next version, where a rollout has begun.
    pub(super) fn finish_rollout(&mut self, simulation: &mut Simulation) {
        if !self.rollout.finish() {
            return;
        }
        for host in self.nodes() {
            if simulation.is_running(host) && self.rollout.is_outdated(host) {
                self.crash(simulation, host, Crash::Kill);
            }
        }
    }

    /// The groups in which entries of the next version's schema were applied, by what the nodes that run have seen.
    pub(super) fn groups_of_next_schema(&self) -> u64 {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let is_written = |number: &u64| {
            let mut replicas = nodes.values().filter_map(|node| node.group(GroupId(*number)));
            replicas.any(|group| group.applied_schema() == NEXT_SCHEMA)
        };
        (0..=u64::from(SHARDS)).filter(is_written).count() as u64
    }

    /// Where a version was rolled out, and customers have gone on since, the later schema must be written.
    pub(super) fn check_rollout(&mut self, has_customers: bool) -> Option<String> {
        let is_missing = has_customers && self.rollout.finish() && self.groups_of_next_schema() == 0;
        is_missing
            .then(|| "versions: all nodes are of the next version, and nothing is written in its schema".to_owned())
    }

    /// A fresh node has taken a member's place.
    pub(crate) fn replaced(&mut self, old: HostId, new: HostId) {
        self.members.retain(|member| *member != old);
        self.members.push(new);
        self.left_out.remove(&old);
        self.replaced += 1;
        if self.replacement == Some(Replacement { old, new }) {
            self.replacement = None;
        }
    }

    /// A member's machine is no more.
    pub(crate) fn lose(&mut self, simulation: &mut Simulation, host: HostId) {
        self.crash(simulation, host, Crash::PowerLoss);
        self.left_out.insert(host, GONE.to_owned());
    }

    /// Starts a member only once all others are whole.
    pub(crate) fn hold_back(&mut self, host: HostId) {
        self.left_out.insert(host, HELD_BACK.to_owned());
    }

    /// Lets a member be started that was held back.
    pub(crate) fn release(&mut self, host: HostId) {
        if self.left_out.get(&host).is_some_and(|why| why == HELD_BACK) {
            self.left_out.remove(&host);
        }
    }

    /// Whether a node has seen, and noted durably, the present life of another.
    pub(crate) fn has_seen_life(&self, node: HostId, of: HostId) -> bool {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let (Some(node), Some(other)) = (nodes.get(&node), nodes.get(&of)) else { return false };
        node.seen_life_of(of.0) == other.life()
    }

    /// Lets the members be started that were held back; gives their number.
    pub(super) fn let_go(&mut self) -> usize {
        let before = self.left_out.len();
        self.left_out.retain(|_, why| why != HELD_BACK);
        before - self.left_out.len()
    }

    /// Whether a member is not started: it said that it may not come back, or is held back.
    pub(crate) fn is_left_out(&self, host: HostId) -> bool {
        self.left_out.contains_key(&host)
    }

    /// Why a member is not started; `None`: it is.
    pub(super) fn why_left_out(&self, host: HostId) -> Option<&str> {
        self.left_out.get(&host).map(String::as_str)
    }

    /// The groups that a node leads, by its own account.
    pub(crate) fn groups_led_by(&self, host: HostId) -> Vec<u64> {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let Some(node) = nodes.get(&host) else { return Vec::new() };
        let leads = |number: &u64| node.group(GroupId(*number)).is_some_and(|group| group.leader() == Some(host.0));
        (0..=u64::from(SHARDS)).filter(leads).collect()
    }

    /// How far a shard's group is on a node; `None`: the node does not run, or not the group.
    pub(crate) fn reached(&self, host: HostId, group: u64) -> Option<Reached> {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let group = nodes.get(&host)?.group(GroupId(group))?;
        Some(Reached { last: group.last_log_index(), applied: group.applied_index() })
    }

    /// The last index of a group that a node has acknowledged to another one as its leader; 0: none, or that one does not lead.
    pub(crate) fn acknowledged(&self, leader: HostId, group: u64, by: HostId) -> u64 {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let group = nodes.get(&leader).and_then(|node| node.group(GroupId(group)));
        group.and_then(|group| group.acknowledged_by(by.0)).map_or(0, |id| id.index)
    }

    /// By shard, the states of the nodes that run.
    pub(super) fn images(&self) -> BTreeMap<u32, BTreeMap<u64, Image>> {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        let of_shard = |number: u32| {
            let image = |node: &Arc<Node>| {
                let look =
                    |shard: &Inventory, applied: Option<LogId>| Image::of(shard, applied.map_or(0, |id| id.index));
                node.group(GroupId::of_shard(number))?.read_shard_at(look)
            };
            nodes.iter().filter_map(|(host, node)| Some((host.0, image(node)?))).collect()
        };
        (0..SHARDS).map(|shard| (shard, of_shard(shard))).collect()
    }

    /// What a node lacks to be ready; empty: nothing. How long it has heard of nobody is a matter of its own clock.
    pub(super) fn lacks(&self, simulation: &Simulation, host: HostId) -> Vec<String> {
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        match nodes.get(&host).and_then(|node| simulation.within(host, || node.not_ready())) {
            Some(lacks) => lacks,
            None => vec![self.left_out.get(&host).cloned().unwrap_or_else(|| "it does not run".to_owned())],
        }
    }

    /// Judges the nodes that ended by themselves since the last look. One that cannot start is taken down; it is left out
    /// where its drive `is_spoiled`, and tried again where an error that was injected has kept it from it.
    pub(super) fn judge_ends(
        &mut self,
        simulation: &mut Simulation,
        is_spoiled: impl Fn(HostId) -> bool,
        findings: &mut Vec<String>,
    ) {
        self.end_stopped(simulation, findings);
        let failures =
            std::mem::take(&mut *self.failures.lock().expect("no panic happens while the failures are locked"));
        for (host, why) in failures {
            if let Some(Death::Ended(_)) = simulation.last_death(host) {
                // What its tasks told each other after that is no word of its own: in the world no line more would run.
                continue;
            }
            simulation.trace().record(simulation.now(), host, format_args!("cannot go on: {why}"));
            self.crash(simulation, host, Crash::Kill);
            if is_injected(&why) {
                continue;
            }
            if !is_spoiled(host) {
                findings.push(format!("node {} cannot go on, and nothing of its drive was lost: {why}", host.0));
            }
            self.left_out.insert(host, why);
        }
        for host in self.nodes() {
            if simulation.is_running(host) || !self.judged.insert(host) {
                continue;
            }
            self.forget(host);
            if let Some(Death::Ended(reason)) = simulation.last_death(host)
                && !is_injected(&reason.to_string())
            {
                findings.push(format!("node {} ended itself at {:?}: {reason}", host.0, simulation.now()));
            }
        }
    }

    /// Looks at every replica, and records what is new since the last look: leaders, terms, what is applied and the digest
    /// of the state after it, at each so manyth position as the setting says. What is applied must be in the logs of a majority.
    pub(super) fn watch(&mut self, simulation: &Simulation, findings: &mut Vec<String>) {
        let mut advanced = Vec::new();
        let nodes = self.nodes.lock().expect("no panic happens while the nodes are locked");
        for (host, node) in nodes.iter() {
            let watched = self.watched.entry(*host).or_default();
            let polls = simulation.polls(*host).unwrap_or(0);
            if std::mem::replace(&mut watched.polls, polls) == polls {
                continue;
            }
            for number in 0..=u64::from(SHARDS) {
                let (group, seen) = match watched.groups.entry(GroupId(number)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(place) => match node.group(GroupId(number)) {
                        Some(group) => place.insert((group, Seen::default())),
                        None => continue,
                    },
                };
                self.majorities.see_log(number, host.0, group.last_log_index());
                let now = Seen { term: group.term(), leader: group.leader(), applied: group.applied_index() };
                let before = std::mem::replace(seen, now);
                let record = |event: std::fmt::Arguments<'_>| simulation.trace().record(simulation.now(), *host, event);
                if (now.term, now.leader) != (before.term, before.leader) {
                    record(format_args!("group {number} term {} leader {:?}", now.term, now.leader));
                }
                if now.leader == Some(host.0) && before.leader != now.leader {
                    self.leader_changes += 1;
                }
                if let Some(why) = group.unreadable()
                    && self.stopped_before.insert((*host, number))
                {
                    findings.push(format!("versions: node {} has stopped group {number}: {why}", host.0));
                }
                if now.applied != before.applied {
                    if self.majorities.is_news(number, now.applied) {
                        advanced.push((number, host.0, now.applied, group.status().voters));
                    }
                    let digest = now.applied.is_multiple_of(self.setting.digest_every).then(|| {
                        let of_shard = group.read_shard(|shard| shard.digest().0);
                        of_shard.or_else(|| group.read_meta(|meta| meta.digest()))
                    });
                    let digest = digest.flatten();
                    record(format_args!("group {number} applied {} digest {digest:x?}", now.applied));
                    if let Some(digest) = digest {
                        self.positions.see(number, host.0, now.applied, &digest.to_be_bytes());
                    }
                }
            }
        }
        for (group, host, applied, voters) in advanced {
            // While members change two majorities are needed; a run looks at what one set of voters decides.
            if voters.len() == self.members.len() {
                findings.extend(self.majorities.see_applied(group, host, applied, &voters).map(|it| it.to_string()));
            }
        }
    }

    /// How often a node was seen to begin to lead a group.
    pub(super) fn leader_changes(&self) -> u64 {
        self.leader_changes
    }

    /// The states that were seen at the positions of the logs.
    pub(super) fn positions(&self) -> &Positions {
        &self.positions
    }

    /// Lets go of a node whose process has ended or is about to.
    fn forget(&mut self, host: HostId) {
        self.nodes.lock().expect("no panic happens while the nodes are locked").remove(&host);
        self.watched.remove(&host);
        self.majorities.forget(host.0);
        self.stops.remove(&host);
        self.stopping.remove(&host);
    }
}

/// Whether an error is one that only a drive gives that was told to.
fn is_injected(error: &str) -> bool {
    ["os error 5)", "os error 28)", "unexpected end of file", "failed to fill whole buffer"]
        .iter()
        .any(|injected| error.contains(injected))
}

fn addresses(id: u64) -> NodeAddresses {
    NodeAddresses { id, client: format!("n{id}:7400"), peer: format!("n{id}:7401"), http: None }
}

fn config(id: u64, members: &[HostId], setting: &Setting) -> NodeConfig {
    let ids: BTreeSet<u64> = members.iter().map(|host| host.0).chain([id]).collect();
    NodeConfig {
        node_id: id,
        cluster_id: "simulated".to_owned(),
        shards: SHARDS,
        join: false,
        data_dir: PathBuf::from("data"),
        nodes: ids.into_iter().map(addresses).collect(),
        raft: setting.raft.clone(),
        limits: NodeLimits {
            segment_bytes: LEAST_BYTES,
            checkpoint_bytes: LEAST_BYTES,
            log_cache_bytes: setting.log_cache_bytes,
            scrub_pause_s: SCRUB_PAUSE_S,
            waiting_bytes: LEAST_WAITING_BYTES,
            // Every other node is told of a full drive by its log alone.
            min_free_bytes: id % 2,
            ..NodeLimits::default()
        },
        log: Default::default(),
        telemetry: Default::default(),
        shard_limits: Default::default(),
        audit: AuditConfig { interval_s: AUDIT_INTERVAL_S, halts_writes: true },
        // They only read, and each read would cost simulated seconds.
        alerts: AlertsConfig::off(),
        http: HttpConfig::default(),
        schema: holdfast_raft::encode::SCHEMA,
    }
}
