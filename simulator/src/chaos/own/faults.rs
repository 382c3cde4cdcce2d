//! What is done to the nodes, and how it is undone. Whatever is undone may be undone in any order, with other faults still
//! there.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::drive::{self, Neighbours};
use super::{NOTICES_WITHIN, OwnCluster};
use crate::Dice;
use crate::chaos::plan::Planned;
use crate::chaos::proxy::rules::{End, Harm, Rule, RuleId};
use crate::chaos::proxy::{Dialers, Proxies};

const DELAY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(300));
/// Between two cuts of a connection.
const CUT_EVERY_MS: (u64, u64) = (200, 800);
/// How far a wall clock is put off at least and at most.
const SKEW_MS: (u64, u64) = (200, 5_000);

/// How a fault is taken back.
#[derive(Debug)]
pub enum Undo {
    /// Nodes are started.
    Start(Vec<usize>),
    /// A node goes on.
    Continue(usize),
    /// Rules of the proxies, or of the namespaces, hold no longer.
    Rules(RuleId),
    /// No more connections are cut.
    StopCutting(AbortHandle),
    /// The ends that are left of half-open connections are reset.
    Reset(Vec<u64>),
    /// A drive has room again.
    MakeRoom,
    /// The neighbours go.
    MoveOut(Neighbours),
    /// A node's clock is right again.
    RightClock(u64),
}

impl OwnCluster {
    /// Lets a fault begin. An error where this machine does not allow it after all.
    ///
    /// # Errors
    /// Why not.
    pub async fn begin(&mut self, fault: &Planned) -> Result<Undo, String> {
        let mut dice = Dice::new(fault.seed);
        let at = fault.node % self.nodes.len();
        let id = self.nodes[at].id;
        match fault.kind.as_str() {
            "kill" => Ok(self.kill(vec![at]).await),
            "kill-all" => Ok(self.kill((0..self.nodes.len()).collect()).await),
            "stop" => {
                self.nodes[at].signal(Signal::STOP);
                Ok(Undo::Continue(at))
            }
            "partition" => self.lay_down(self.between(id, true, true, Harm::Hold)).await,
            "one-way" => {
                let is_mute = dice.below(2) == 0;
                self.lay_down(self.between(id, is_mute, !is_mute, Harm::Hold)).await
            }
            "bridge" => {
                let (one, other) = (End::Node(id), End::Node(self.nodes[(at + 1) % self.nodes.len()].id));
                self.lay_down(both_ways(one, other, Harm::Hold)).await
            }
            "delay" => {
                let ids = self.node_ids();
                let pairs = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
                let pairs = pairs.filter(|(from, to)| from != to);
                let rule =
                    |(from, to)| Rule { from: End::Node(from), to: End::Node(to), harm: Harm::Delay(DELAY.0, DELAY.1) };
                let rules = pairs.map(rule).collect();
                self.lay_down(rules).await
            }
            "clients" => self.lay_down(both_ways(End::Client, End::Node(id), Harm::Hold)).await,
            "cut" => {
                let cutting = tokio::spawn(keep_cutting(self.proxies.clone(), dice));
                Ok(Undo::StopCutting(cutting.abort_handle()))
            }
            "half-open" => Ok(self.half_open(&mut dice)),
            "disk-full" => self.fill_drive(),
            "slow-disk" => Ok(self.let_neighbours_move_in().await),
            "clock" => self.put_clock_off(id, &mut dice),
            other => Err(format!("there is no fault `{other}`")),
        }
    }

    /// Takes a fault back.
    pub async fn end(&mut self, undo: Undo) {
        match undo {
            Undo::Start(nodes) => {
                for at in nodes {
                    if let Some(held) = self.held_down.iter().position(|held| *held == at) {
                        self.held_down.swap_remove(held);
                    }
                    let may_start = !self.nodes[at].is_there();
                    if may_start && let Err(error) = self.start(at) {
                        self.note(format!("node {} cannot be started: {error}", self.nodes[at].id));
                    }
                }
            }
            Undo::Continue(at) => self.nodes[at].signal(Signal::CONT),
            Undo::Rules(id) => match &mut self.namespaces {
                None => self.proxies.rules().take_back(id),
                Some(namespaces) => {
                    if let Err(error) = namespaces.take_back(id).await {
                        self.note(format!("what was cut between the nodes cannot be healed: {error}"));
                    }
                }
            },
            Undo::StopCutting(cutting) => cutting.abort(),
            Undo::Reset(connections) => self.proxies.cut(&connections),
            Undo::MakeRoom => {
                self.is_full = false;
                self.excused_until = Some(Instant::now() + NOTICES_WITHIN);
                if let Some((_, drive)) = &self.small_drive
                    && let Err(error) = drive.clear()
                {
                    self.note(format!("the full drive cannot be cleared: {error}"));
                }
            }
            Undo::MoveOut(neighbours) => {
                let gone = tokio::task::spawn_blocking(move || neighbours.move_out()).await;
                gone.expect("the neighbours' threads do not panic");
            }
            Undo::RightClock(id) => {
                if let Some(Err(error)) = self.clocks.as_ref().map(|clocks| clocks.set(id, 0)) {
                    self.note(format!("the clock of node {id} cannot be put right: {error}"));
                }
            }
        }
    }

    async fn kill(&mut self, nodes: Vec<usize>) -> Undo {
        self.held_down.extend(&nodes);
        for at in &nodes {
            self.nodes[*at].kill();
        }
        for at in &nodes {
            self.nodes[*at].buried().await;
        }
        Undo::Start(nodes)
    }

    async fn lay_down(&mut self, rules: Vec<Rule>) -> Result<Undo, String> {
        let laid_down = match &mut self.namespaces {
            None => Ok(self.proxies.rules().lay_down(rules)),
            Some(namespaces) => namespaces.lay_down(rules).await,
        };
        laid_down.map(Undo::Rules).map_err(|error| error.to_string())
    }

    /// Rules between a node and each of the others, for what it sends and for what it hears.
    fn between(&self, node: u64, sends: bool, hears: bool, harm: Harm) -> Vec<Rule> {
        let others = self.nodes.iter().map(|other| other.id).filter(|other| *other != node);
        let rules = others.flat_map(|other| both_ways(End::Node(node), End::Node(other), harm));
        rules.filter(|rule| if rule.from == End::Node(node) { sends } else { hears }).collect()
    }

    fn half_open(&self, dice: &mut Dice) -> Undo {
        let mut opened = Vec::new();
        for connection in self.proxies.connections(Dialers::Nodes) {
            if dice.below(2) == 0 {
                self.proxies.half_open(connection, dice.below(2) == 0);
                opened.push(connection);
            }
        }
        Undo::Reset(opened)
    }

    fn fill_drive(&mut self) -> Result<Undo, String> {
        let Some((_, drive)) = &self.small_drive else { return Err("no small drive".to_owned()) };
        self.is_full = true;
        match drive.fill() {
            Ok(()) => Ok(Undo::MakeRoom),
            Err(error) => {
                self.is_full = false;
                Err(format!("the drive cannot be filled: {error}"))
            }
        }
    }

    async fn let_neighbours_move_in(&mut self) -> Undo {
        let folder = self.folder.path().to_owned();
        let measure = |folder: std::path::PathBuf| tokio::task::spawn_blocking(move || drive::sync_time(&folder));
        let before = measure(folder.clone()).await.unwrap_or_default();
        let neighbours = Neighbours::move_in(&folder);
        let during = measure(folder).await.unwrap_or_default();
        self.note(format!(
            "slow-disk: a sync took {:.2} ms before, {:.2} ms beside the neighbours",
            before.as_secs_f64() * 1_000.0,
            during.as_secs_f64() * 1_000.0
        ));
        Undo::MoveOut(neighbours)
    }

    fn put_clock_off(&mut self, id: u64, dice: &mut Dice) -> Result<Undo, String> {
        let Some(clocks) = &self.clocks else { return Err("no clocks".to_owned()) };
        let off_ms = dice.between(SKEW_MS.0, SKEW_MS.1);
        self.greatest_skew_ms = self.greatest_skew_ms.max(off_ms);
        let signed = i64::try_from(off_ms).unwrap_or(i64::MAX);
        let signed = if dice.below(2) == 0 { signed } else { -signed };
        clocks.set(id, signed).map_err(|error| format!("the clock of node {id} cannot be put off: {error}"))?;
        Ok(Undo::RightClock(id))
    }
}

fn both_ways(one: End, other: End, harm: Harm) -> Vec<Rule> {
    vec![Rule { from: one, to: other, harm }, Rule { from: other, to: one, harm }]
}

async fn keep_cutting(proxies: Arc<Proxies>, mut dice: Dice) {
    loop {
        tokio::time::sleep(Duration::from_millis(dice.between(CUT_EVERY_MS.0, CUT_EVERY_MS.1))).await;
        let of = if dice.below(4) == 0 { Dialers::Clients } else { Dialers::Nodes };
        let connections = proxies.connections(of);
        if let Some(connection) = connections.get(dice.below(connections.len() as u64) as usize) {
            proxies.cut_in_frame(*connection);
        }
    }
}
