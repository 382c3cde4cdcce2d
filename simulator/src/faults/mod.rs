//! What goes wrong in a run, drawn from its seed: which kinds of faults there are in it at all, how often each begins, and
//! how long it lasts.
//!
//! What takes data from a node (rot, a lost file, an older copy, an empty drive) befalls less than half of the nodes in one
//! run: a majority that has lost nothing is what Holdfast needs to lose nothing. All else may befall any node at any time.

mod clocks;
mod decay;
mod drives;
mod forgotten_vote;
mod kind;
mod lagging_reader;
mod last_batch;
mod leaders;
mod links;
mod lost_end;
mod members;
mod one_node;
mod overtaken;
mod plan;
mod processes;
mod strangers;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::run::cluster::Cluster;
use crate::timeline::FaultSpan;
use crate::workloads::{Complaints, Shop};
use crate::{Dice, HostId, Simulation};
pub use kind::FaultKind;
pub(crate) use plan::Choice;
use plan::{Due, Plan};

/// The faults of one run of which it is noted when they were in force.
const MOST_SPANS: usize = 10_000;

/// What a fault may touch.
pub(crate) struct Field<'a> {
    pub simulation: &'a mut Simulation,
    pub cluster: &'a mut Cluster,
    pub dice: &'a mut Dice,
    pub spoiled: &'a mut Spoiled,
    /// The hosts of clients.
    pub clients: &'a [HostId],
    pub street: &'a mut Street,
}

/// Where clients come from that a fault sends.
pub(crate) struct Street {
    shop: Shop,
    complaints: Complaints,
    /// How many came, by the first host of their kind.
    sent: BTreeMap<u64, u64>,
}

impl Street {
    /// A new host, of those that begin at `first`; there are `most`.
    fn host(&mut self, simulation: &mut Simulation, first: u64, most: u64) -> Option<HostId> {
        let sent = self.sent.entry(first).or_default();
        let host = HostId(first + *sent);
        (*sent < most).then(|| {
            *sent += 1;
            simulation.add_host(host, &format!("stranger{}", host.0));
            host
        })
    }
}

impl Field<'_> {
    /// Any node.
    fn node(&mut self) -> HostId {
        pick(self.dice, &self.cluster.nodes())
    }

    /// Any member: a node that has a place, running or not.
    fn member(&mut self) -> HostId {
        pick(self.dice, self.cluster.hosts())
    }

    /// The members, in any order, if all of them run and nobody else is there.
    fn all_members(&mut self) -> Option<Vec<HostId>> {
        let mut hosts = self.cluster.hosts().to_vec();
        let is_up = |host: &HostId| self.simulation.is_running(*host) && !self.cluster.is_left_out(*host);
        if !hosts.iter().all(is_up) || self.cluster.nodes() != hosts {
            return None;
        }
        for at in (1..hosts.len()).rev() {
            hosts.swap(at, self.dice.below(at as u64 + 1) as usize);
        }
        Some(hosts)
    }

    /// A group of a shard with the member that leads it, and the others in any order, if all run.
    fn led_group(&mut self) -> Option<Led> {
        let mut members = self.all_members()?;
        let (at, group) = members.iter().enumerate().find_map(|(at, host)| Some((at, self.group_led_by(*host)?)))?;
        let leader = members.swap_remove(at);
        Some(Led { group, leader, followers: members })
    }

    /// A shard's group that a node leads, by its own account.
    fn group_led_by(&mut self, host: HostId) -> Option<u64> {
        let mut groups = self.cluster.groups_led_by(host);
        groups.retain(|group| *group > 0);
        (!groups.is_empty()).then(|| pick(self.dice, &groups))
    }

    /// Any node that runs; `None` when none does.
    fn running_node(&mut self) -> Option<HostId> {
        let simulation = &*self.simulation;
        let running: Vec<HostId> =
            self.cluster.nodes().into_iter().filter(|host| simulation.is_running(*host)).collect();
        (!running.is_empty()).then(|| pick(self.dice, &running))
    }
}

/// A group and who is in it.
struct Led {
    group: u64,
    leader: HostId,
    followers: Vec<HostId>,
}

/// One of several; there must be one.
fn pick<T: Copy>(dice: &mut Dice, among: &[T]) -> T {
    among[dice.below(among.len() as u64) as usize]
}

/// Links between nodes that one fault has cut.
#[derive(Debug, Default)]
struct Cuts(BTreeSet<(HostId, HostId)>);

impl Cuts {
    /// Two nodes do not hear each other.
    fn cut(&mut self, field: &Field<'_>, one: HostId, other: HostId) {
        field.simulation.net().cut(one, other);
        self.0.insert((one.min(other), one.max(other)));
    }

    /// They do again, over new connections: on one that has lost something nothing would be heard for long.
    fn heal(&mut self, field: &Field<'_>, one: HostId, other: HostId) {
        if self.0.remove(&(one.min(other), one.max(other))) {
            field.simulation.net().heal(one, other);
            field.simulation.net().break_between(one, other);
        }
    }

    fn heal_all(&mut self, field: &Field<'_>) {
        while let Some((one, other)) = self.0.first().copied() {
            self.heal(field, one, other);
        }
    }
}

/// Something that goes wrong for a while.
trait Fault {
    /// Begins; false: there was nothing that it could have befallen.
    fn begin(&mut self, field: &mut Field<'_>) -> bool;
    /// Goes on, at every tick.
    fn tick(&mut self, _field: &mut Field<'_>) {}
    /// Ends, and leaves nothing of itself in force.
    fn end(&mut self, _field: &mut Field<'_>) {}
}

/// The nodes whose drives have lost or falsified something: a minority. The worst that befell each.
#[derive(Debug, Default)]
pub(crate) struct Spoiled {
    nodes: BTreeMap<HostId, Harm>,
    /// Where the one bit is that has flipped in this run.
    flipped: Option<String>,
}

/// What a fault of a drive means for its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    /// It mends itself from memory or from its peers: no operator is needed.
    Mends,
    /// It may have lost what it must have to vote: then it says so, and is replaced.
    MayLose,
}

impl Spoiled {
    /// Notes that a node of a cluster of `nodes` is to be spoiled; false if that would be one too many.
    fn allow(&mut self, host: HostId, nodes: usize, harm: Harm) -> bool {
        if !self.nodes.contains_key(&host) && self.nodes.len() >= nodes.saturating_sub(1) / 2 {
            return false;
        }
        let worst = self.nodes.entry(host).or_insert(harm);
        *worst = harm.max(*worst);
        true
    }

    /// Whether a node may stay out, and be replaced.
    pub(crate) fn may_lose(&self, host: HostId) -> bool {
        self.nodes.get(&host) == Some(&Harm::MayLose)
    }

    /// Notes where the one bit of a run has flipped, if one did.
    fn note_flip(&mut self, place: Option<String>) -> bool {
        self.flipped = place;
        self.flipped.is_some()
    }

    /// Where the one bit is that has flipped in this run.
    pub(crate) fn flipped(&self) -> Option<&str> {
        self.flipped.as_deref()
    }

    pub(crate) fn hosts(&self) -> Vec<HostId> {
        self.nodes.keys().copied().collect()
    }
}

/// The kinds of faults that a seed's run has.
pub(crate) fn kinds_of(seed: u64) -> Vec<FaultKind> {
    Plan::draw(seed, Duration::ZERO, &Choice::AsDrawn).kinds()
}

/// The faults of one run.
pub(crate) struct Storm {
    seed: u64,
    plan: Plan,
    running: Vec<Running>,
    spoiled: Spoiled,
    /// When a node that is down is started again.
    restarts: BTreeMap<HostId, Duration>,
    /// What each node's restarts are drawn from.
    restart_dice: BTreeMap<HostId, Dice>,
    counts: BTreeMap<String, u64>,
    spans: Vec<FaultSpan>,
    clients: Vec<HostId>,
    street: Street,
}

struct Running {
    kind: usize,
    fault: Box<dyn Fault>,
    ends: Duration,
    dice: Dice,
    /// Where it stands among the spans; beyond their end where there was no room.
    span: usize,
}

impl Storm {
    /// The faults of a seed, which begin at a simulated time.
    pub(crate) fn new(seed: u64, now: Duration, clients: Vec<HostId>, shop: &Shop, choice: &Choice) -> Self {
        Self {
            seed,
            plan: Plan::draw(seed, now, choice),
            running: Vec::new(),
            spoiled: Spoiled::default(),
            restarts: BTreeMap::new(),
            restart_dice: BTreeMap::new(),
            counts: BTreeMap::new(),
            spans: Vec::new(),
            clients,
            street: Street { shop: shop.clone(), complaints: Complaints::default(), sent: BTreeMap::new() },
        }
    }

    /// What may happen in this run, for people.
    pub(crate) fn plan(&self) -> Vec<String> {
        self.plan.told()
    }

    /// How often each kind has begun.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    /// When each fault was in force.
    pub(crate) fn spans(&self) -> Vec<FaultSpan> {
        self.spans.clone()
    }

    /// What clients that faults sent were told, and may not be told.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.street.complaints.take()
    }

    pub(crate) fn spoiled(&self) -> &Spoiled {
        &self.spoiled
    }

    /// Between two ticks: faults begin, go on and end; nodes that are down come back after a while.
    pub(crate) fn step(&mut self, simulation: &mut Simulation, cluster: &mut Cluster) {
        self.go_on(simulation, cluster);
        self.begin(simulation, cluster);
        let (now, seed) = (simulation.now(), self.seed);
        for host in cluster.nodes() {
            if simulation.is_running(host) || cluster.is_left_out(host) {
                self.restarts.remove(&host);
                continue;
            }
            let dice = self.restart_dice.entry(host).or_insert_with(|| Dice::of(seed, "restarts", host.0));
            let back =
                *self.restarts.entry(host).or_insert_with(|| now + Duration::from_millis(dice.between(50, 4_000)));
            if now >= back {
                self.restarts.remove(&host);
                cluster.start(simulation, host);
            }
        }
    }

    /// Faults go on, and end.
    fn go_on(&mut self, simulation: &mut Simulation, cluster: &mut Cluster) {
        let now = simulation.now();
        let Self { running, spoiled, spans, clients, street, .. } = self;
        running.retain_mut(|Running { fault, ends, dice, span, .. }| {
            let mut field = Field { simulation, cluster, dice, spoiled, clients, street };
            fault.tick(&mut field);
            let goes_on = now < *ends;
            if !goes_on {
                fault.end(&mut field);
                end_span(spans, *span, now);
            }
            goes_on
        });
    }

    /// What is due begins.
    fn begin(&mut self, simulation: &mut Simulation, cluster: &mut Cluster) {
        let now = simulation.now();
        let Self { seed, plan, running, spoiled, counts, spans, clients, street, .. } = self;
        while let Some(kind) = plan.due(now) {
            let Some(Due { mut fault, ends, mut dice }) = plan.begin(kind, *seed, now) else { break };
            let mut field = Field { simulation, cluster, dice: &mut dice, spoiled, clients, street };
            // One of a kind at a time: two partitions would heal each other.
            if running.iter().any(|running| running.kind == kind) || !fault.begin(&mut field) {
                continue;
            }
            let name = plan.name(kind);
            simulation.trace().record(now, HostId(0), format_args!("fault: {name}"));
            *counts.entry(name.to_owned()).or_default() += 1;
            let span = spans.len();
            if span < MOST_SPANS {
                spans.push(FaultSpan::begun(name, now));
            }
            running.push(Running { kind, fault, ends, dice, span });
        }
    }

    /// Ends everything that goes wrong. Nodes that are down stay so.
    pub(crate) fn end(&mut self, simulation: &mut Simulation, cluster: &mut Cluster) {
        let now = simulation.now();
        let Self { running, spoiled, spans, clients, street, .. } = self;
        for Running { mut fault, mut dice, span, .. } in running.drain(..) {
            fault.end(&mut Field { simulation, cluster, dice: &mut dice, spoiled, clients, street });
            end_span(spans, span, now);
        }
        simulation.net().heal_all();
        for host in cluster.nodes() {
            simulation.drive(host).heal();
            simulation.spare(host);
            simulation.set_clock_rate(host, 1_000);
            simulation.set_wall_offset_ms(host, 0);
        }
    }
}

fn end_span(spans: &mut [FaultSpan], span: usize, now: Duration) {
    if let Some(span) = spans.get_mut(span) {
        span.end(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minority_is_spoiled_and_the_worst_that_befell_a_node_counts() {
        let mut spoiled = Spoiled::default();
        let (one, two) = (HostId(1), HostId(2));
        assert!(spoiled.allow(one, 3, Harm::Mends));
        assert!(!spoiled.may_lose(one), "it needs no operator");
        assert!(!spoiled.allow(two, 3, Harm::Mends));
        assert!(spoiled.allow(one, 3, Harm::MayLose) && spoiled.allow(one, 3, Harm::Mends));
        assert!(spoiled.may_lose(one) && !spoiled.may_lose(two));
        assert_eq!(spoiled.hosts(), [one]);
    }
}
