//! The first screen: how the cluster stands, and what it has sold.
//!
//! Responsible for looking each second at the nodes and at this node's own replicas, whether or not anybody watches, so that the curve has
//! a past when somebody comes. Sums over all SKUs keep a shard waiting while they are made: they take at most a tenth of the time, and where
//! there are so many SKUs that this is long, they are made while somebody watches alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use holdfast_client::{Client, Routing};
use holdfast_proto::v1;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::history::{History, Mark, Sample};
use crate::Web;
use crate::asked::Asked;
use crate::problem::Problem;
use crate::reply::{Answered, Reply};

/// Between two looks, at least.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Of the time at most one part in so many is spent on reading sums.
const SHARE: u32 = 10;
/// Sums that took longer are made only where somebody has asked for them within [`WATCHED`].
const CHEAP: Duration = Duration::from_millis(250);
const WATCHED: Duration = Duration::from_secs(60);
/// How often the routes are asked for while a shard has no leader, and for how long: the gap is told as closely as that.
const GAP_EVERY: Duration = Duration::from_millis(100);
const GAP_FOR: Duration = Duration::from_secs(3);
/// How long a node may take to say how it is: one that takes longer counts as down.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long what was read of a replica stands for it while it is not read again: longer, and it is not known.
const STANDS_FOR: Duration = Duration::from_secs(15);

/// What the dashboard's first screen shows.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overview {
    cluster_id: String,
    /// The node that tells.
    node_id: u64,
    at_ms: u64,
    /// Every shard has a leader.
    serving: bool,
    /// How many of the nodes that are up may fail, and every shard still goes on.
    can_lose: usize,
    /// How old what is shown of the shards without a leader may be, of the oldest; 0 while there are none, `null`: not known.
    age_ms: Option<u64>,
    nodes: Vec<NodeShown>,
    shards: Vec<ShardShown>,
    /// `null`: of some shard they are not known.
    totals: Option<Totals>,
    /// SKUs whose sums do not balance, and what audits found broken; `null`: not known.
    oversold: Option<u64>,
    audit: AuditShown,
    rates: Rates,
    history: Vec<Sample>,
    marks: Vec<Mark>,
    /// This is a demo: a sale can be started, a node killed.
    demo: bool,
}

#[derive(Clone, Debug, Serialize)]
struct NodeShown {
    node_id: u64,
    client_address: String,
    http_address: String,
    up: bool,
    ready: bool,
    leads: Vec<u32>,
    uptime_ms: u64,
    version: String,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct ShardShown {
    shard: u32,
    /// 0: none is known.
    leader_node_id: u64,
    /// `null`, as the two below: its replica could not be read for a while.
    applied_index: Option<u64>,
    totals: Option<Totals>,
    /// Empty: it takes commands.
    halted: Option<String>,
    /// When this node's replica was audited last; 0: not since it started.
    audited_at_ms: u64,
    /// Its last event.
    #[serde(skip)]
    change_log_seq: u64,
}

/// Sums of units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Totals {
    skus: u64,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    free: u64,
    sold: u64,
    fulfilled: u64,
    returned: u64,
    reservations: u64,
    commands: u64,
    unbalanced: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct AuditShown {
    audits: u64,
    breaches: u64,
    last_at_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Rates {
    commands_per_s: f64,
    /// Commands that were refused for good by the nodes that are up, since they started.
    refused: Option<u64>,
    /// At most so long took 99 of 100 answers since the look before.
    p99_ms: Option<f64>,
}

/// Looks at the cluster for as long as its `Web` lives.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    history: Mutex<History>,
    last: Mutex<Option<Arc<Overview>>>,
    /// When somebody asked last.
    asked: Mutex<Option<Instant>>,
}

impl Watcher {
    /// Whether to look, where the last look took so long.
    fn is_worth_it(&self, took: Duration) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        took <= CHEAP || asked.is_some_and(|asked| asked.elapsed() <= WATCHED)
    }

    fn last(&self) -> Option<Arc<Overview>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The node whose replicas were shown last; `None`: it has not looked yet, or knew of none.
    pub(super) fn teller(&self) -> Option<u64> {
        self.last().map(|overview| overview.node_id).filter(|node_id| *node_id != 0)
    }

    /// The last event of a shard that this node has seen; 0: it has not looked yet.
    pub(super) fn head(&self, shard: u32) -> u64 {
        let of_shard = |overview: Arc<Overview>| {
            overview.shards.iter().find(|shown| shown.shard == shard).map(|shown| shown.change_log_seq)
        };
        self.last().and_then(of_shard).unwrap_or(0)
    }

    /// Begins to look.
    pub(crate) fn begin(web: &Arc<Web>) {
        let web = Arc::downgrade(web);
        tokio::spawn(async move { watch(&web).await });
    }
}

async fn watch(web: &Weak<Web>) {
    let (mut seen, mut reading) = (Seen::default(), Duration::ZERO);
    loop {
        let begun = Instant::now();
        {
            let Some(web) = web.upgrade() else { return };
            if web.watcher.is_worth_it(reading)
                && let Ok(client) = web.client()
            {
                let overview = look(&web, &client, &mut seen, &mut reading).await;
                let is_serving = overview.serving;
                *web.watcher.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(overview));
                if !is_serving {
                    wait_for_leaders(&web, &client).await;
                }
            }
        }
        sleep(LOOK_EVERY.max(reading * SHARE).saturating_sub(begun.elapsed())).await;
    }
}

/// Waits until every shard has a leader that lives, or for a while, and marks when that was.
async fn wait_for_leaders(web: &Web, client: &Client) {
    let until = Instant::now() + GAP_FOR;
    while Instant::now() < until {
        sleep(GAP_EVERY).await;
        if timeout(PATIENCE, client.refresh_routing()).await.is_err() {
            continue;
        }
        let routing = client.routing();
        let leaders: Option<BTreeSet<u64>> = routing.shards.iter().map(|(_, leader)| *leader).collect();
        let Some(leaders) = leaders.filter(|leaders| !leaders.is_empty()) else { continue };
        // One that has died may be named yet, and one that was down may be back.
        let alive = join_all(leaders.iter().map(|leader| timeout(PATIENCE, client.status(*leader)))).await;
        if alive.iter().all(|said| matches!(said, Ok(Ok(_)))) {
            web.watcher.history.lock().unwrap_or_else(PoisonError::into_inner).serving(now_ms(), true);
            return;
        }
    }
}

/// `GET /ui/api/overview`.
pub(super) async fn show(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    *asked.web.watcher.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    match asked.web.watcher.last() {
        Some(overview) => Ok(Reply::ok(&*overview)),
        None => Err(asked.client().err().unwrap_or_else(|| Problem::overloaded("the cluster is being looked at"))),
    }
}

/// What nodes said of the requests that they had.
type Sums = BTreeMap<u64, v1::RequestSums>;

/// What the looks before have seen.
#[derive(Debug, Default)]
struct Seen {
    sums: Sums,
    /// The node whose replicas these are.
    teller: u64,
    replicas: BTreeMap<u32, (Instant, v1::GetReplicaResponse)>,
    standings: Option<(Instant, Vec<v1::ShardStanding>)>,
}

impl Seen {
    /// Takes in what a node said at this look; what it did not say stands as it was seen last, for a while.
    fn take_in(
        &mut self,
        teller: u64,
        replicas: impl IntoIterator<Item = (u32, Option<v1::GetReplicaResponse>)>,
        standings: Option<Vec<v1::ShardStanding>>,
    ) {
        if self.teller != teller {
            (self.teller, self.replicas, self.standings) = (teller, BTreeMap::new(), None);
        }
        let now = Instant::now();
        self.replicas.extend(replicas.into_iter().filter_map(|(shard, said)| Some((shard, (now, said?)))));
        self.replicas.retain(|_, (at, _)| at.elapsed() <= STANDS_FOR);
        self.standings = standings.map(|said| (now, said)).or(self.standings.take());
        self.standings.take_if(|(at, _)| at.elapsed() > STANDS_FOR);
    }

    fn replica(&self, shard: u32) -> Option<&v1::GetReplicaResponse> {
        self.replicas.get(&shard).map(|(_, replica)| replica)
    }

    fn standings(&self) -> Option<&[v1::ShardStanding]> {
        self.standings.as_ref().map(|(_, standings)| &standings[..])
    }
}

async fn look(web: &Web, client: &Client, seen: &mut Seen, reading: &mut Duration) -> Overview {
    // Where the leaders are told by nobody the last that was known stands, and says how old it is.
    let _unreachable = timeout(PATIENCE, client.refresh_routing()).await;
    let routing = client.routing();
    let asked = routing.members.iter().map(|member| async {
        let said = timeout(PATIENCE, client.status(member.node_id)).await;
        (member.node_id, said.ok().and_then(Result::ok))
    });
    let statuses: BTreeMap<u64, Option<v1::GetStatusResponse>> = join_all(asked).await.into_iter().collect();
    let me = teller(web.node_id(&routing), &statuses);
    let began = Instant::now();
    let replicas = join_all(routing.shards.iter().map(|(shard, _)| replica(client, me, *shard))).await;
    *reading = began.elapsed();
    let standings = timeout(PATIENCE, client.shards_of(me)).await.ok().and_then(Result::ok);
    let at_ms = now_ms();
    let is_whole = replicas.iter().all(Option::is_some);
    seen.take_in(me, routing.shards.iter().map(|(shard, _)| *shard).zip(replicas), standings);
    let mut overview = told(&routing, me, at_ms, &statuses, seen);
    let mut history = web.watcher.history.lock().unwrap_or_else(PoisonError::into_inner);
    history.nodes(at_ms, overview.nodes.iter().map(|node| (node.node_id, node.up)));
    history.serving(at_ms, overview.serving);
    // Without one of the replicas the sums are of something else.
    if let Some(Totals { sold, reserved, commands, .. }) = overview.totals.filter(|_| is_whole) {
        history.take_in(at_ms, sold, reserved, commands);
    }
    overview.demo = web.desk.is_some();
    overview.history = history.samples();
    overview.marks = history.marks();
    let now: Sums =
        statuses.iter().filter_map(|(node, said)| Some((*node, said.as_ref()?.requests.clone()?))).collect();
    overview.rates = rates(&seen.sums, &now);
    seen.sums = now;
    overview.rates.commands_per_s = overview.history.last().map_or(0.0, |last| last.commands_per_s);
    overview
}

/// Whose replicas are shown: this node's own; a demo's page outlives the node it began with, and shows another's then.
fn teller(own: u64, statuses: &BTreeMap<u64, Option<v1::GetStatusResponse>>) -> u64 {
    let is_up = |node: &u64| statuses.get(node).is_some_and(Option::is_some);
    if is_up(&own) { own } else { statuses.keys().copied().find(is_up).unwrap_or(own) }
}

/// What was refused by the nodes that are up since they started, and how long answers took since the look before.
fn rates(before: &Sums, now: &Sums) -> Rates {
    let mut took: Vec<u64> = Vec::new();
    for (node, sums) in now {
        let known = before.get(node).map_or(&[][..], |sums| &sums.took);
        took.resize(took.len().max(sums.took.len()), 0);
        for (place, count) in sums.took.iter().enumerate() {
            // Less than before: the node was started anew.
            took[place] += count.saturating_sub(known.get(place).copied().unwrap_or(0));
        }
    }
    let all: u64 = took.iter().sum();
    let (mut seen, rank) = (0, all - all / 100);
    let reaches = |count: &u64| {
        seen += count;
        seen >= rank
    };
    let place = if all == 0 { None } else { took.iter().position(reaches) };
    let refused = (!now.is_empty()).then(|| now.values().map(|sums| sums.refused).sum());
    // As the proto says: 100 µs times the square root of 2 to the power of the place.
    let p99_ms = place.map(|place| 0.1 * 2_f64.powf(place as f64 / 2.0));
    Rates { commands_per_s: 0.0, refused, p99_ms }
}

async fn replica(client: &Client, node: u64, shard: u32) -> Option<v1::GetReplicaResponse> {
    let question = v1::GetReplicaRequest { shard, ..v1::GetReplicaRequest::default() };
    client.replica(node, question, PATIENCE).await.ok()
}

/// Puts together what was heard.
fn told(
    routing: &Routing,
    me: u64,
    at_ms: u64,
    statuses: &BTreeMap<u64, Option<v1::GetStatusResponse>>,
    seen: &Seen,
) -> Overview {
    let is_up = |node: u64| statuses.get(&node).is_some_and(Option::is_some);
    let (all, up) = (routing.members.len(), routing.members.iter().filter(|member| is_up(member.node_id)).count());
    // A leader that does not answer leads nothing; nor does one without a majority behind it, though it may long not know.
    let has_majority = up > all / 2;
    let leader = |known: Option<u64>| known.filter(|node| has_majority && is_up(*node)).unwrap_or(0);
    let standings = seen.standings().unwrap_or_default();
    let shards: Vec<ShardShown> = routing
        .shards
        .iter()
        .map(|(shard, known)| {
            let replica = seen.replica(*shard);
            let standing = standings.iter().find(|standing| standing.shard == *shard);
            let audit = standing.and_then(|standing| standing.last_audit.as_ref());
            ShardShown {
                shard: *shard,
                leader_node_id: leader(*known),
                applied_index: replica.map(|replica| replica.applied_index),
                change_log_seq: replica.map_or(0, |replica| replica.change_log_seq),
                totals: replica.and_then(|replica| replica.totals).map(Totals::of),
                halted: replica.map(|replica| replica.halted.clone()),
                audited_at_ms: audit.map_or(0, |audit| audit.audited_at_ms),
            }
        })
        .collect();
    let nodes: Vec<NodeShown> = routing
        .members
        .iter()
        .map(|member| {
            let status = statuses.get(&member.node_id).and_then(Clone::clone);
            let leads = shards.iter().filter(|shard| shard.leader_node_id == member.node_id);
            NodeShown {
                node_id: member.node_id,
                client_address: member.client_address.clone(),
                http_address: member.http_address.clone(),
                up: status.is_some(),
                ready: status.as_ref().is_some_and(|status| status.ready),
                leads: leads.map(|shard| shard.shard).collect(),
                uptime_ms: status.as_ref().map_or(0, |status| status.uptime_ms),
                version: status.as_ref().map_or_else(String::new, |status| status.version.clone()),
                warnings: status.map_or_else(Vec::new, |status| status.warnings),
            }
        })
        .collect();
    let totals = shards.iter().try_fold(Totals::default(), |sum, shard| Some(sum.plus(&shard.totals?)));
    let audits = standings.iter().fold(AuditShown::default(), |sum, standing| {
        let last = standing.last_audit.as_ref();
        AuditShown {
            audits: sum.audits + standing.audits,
            breaches: sum.breaches + last.map_or(0, |audit| audit.breaches_in_all),
            last_at_ms: sum.last_at_ms.max(last.map_or(0, |audit| audit.audited_at_ms)),
        }
    });
    let serving = !shards.is_empty() && shards.iter().all(|shard| shard.leader_node_id != 0);
    Overview {
        cluster_id: routing.cluster_id.clone(),
        node_id: me,
        at_ms,
        serving,
        can_lose: up.saturating_sub(all / 2 + 1),
        age_ms: age_of(&shards, seen),
        oversold: totals.zip(seen.standings()).map(|(totals, _)| totals.unbalanced + audits.breaches),
        nodes,
        shards,
        totals,
        audit: audits,
        rates: Rates::default(),
        history: Vec::new(),
        marks: Vec::new(),
        demo: false,
    }
}

/// How old the replicas of those shards are that have no leader, and hear nothing new.
fn age_of(shards: &[ShardShown], seen: &Seen) -> Option<u64> {
    let leaderless = shards.iter().filter(|shard| shard.leader_node_id == 0);
    let ages = leaderless.map(|shard| {
        let (at, replica) = seen.replicas.get(&shard.shard)?;
        Some(replica.age_ms.saturating_add(u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)))
    });
    ages.collect::<Option<Vec<u64>>>().map(|ages| ages.into_iter().max().unwrap_or(0))
}

impl Totals {
    fn of(totals: v1::ShardTotals) -> Self {
        Self {
            skus: totals.skus,
            on_hand: totals.on_hand,
            reserved: totals.reserved,
            committed: totals.committed,
            free: totals.free,
            sold: totals.sold,
            fulfilled: totals.fulfilled,
            returned: totals.returned,
            reservations: totals.reservations,
            commands: totals.commands,
            unbalanced: totals.unbalanced,
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            skus: self.skus + other.skus,
            on_hand: self.on_hand + other.on_hand,
            reserved: self.reserved + other.reserved,
            committed: self.committed + other.committed,
            free: self.free + other.free,
            sold: self.sold + other.sold,
            fulfilled: self.fulfilled + other.fulfilled,
            returned: self.returned + other.returned,
            reservations: self.reservations + other.reservations,
            commands: self.commands + other.commands,
            unbalanced: self.unbalanced + other.unbalanced,
        }
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(leaders: [Option<u64>; 2]) -> Routing {
        let member = |node_id| v1::Member { node_id, client_address: format!("n{node_id}"), ..v1::Member::default() };
        Routing {
            epoch: 1,
            shards: vec![(0, leaders[0]), (1, leaders[1])],
            members: (1..=3).map(member).collect(),
            default_location_id: "main".to_owned(),
            cluster_id: "test".to_owned(),
        }
    }

    fn statuses(up: &[u64]) -> BTreeMap<u64, Option<v1::GetStatusResponse>> {
        let status = |node| v1::GetStatusResponse { node_id: node, ready: true, ..Default::default() };
        (1..=3).map(|node| (node, up.contains(&node).then(|| status(node)))).collect()
    }

    fn replica(sold: u64, unbalanced: u64, age_ms: u64) -> Option<v1::GetReplicaResponse> {
        let totals = v1::ShardTotals { sold, unbalanced, ..Default::default() };
        Some(v1::GetReplicaResponse { totals: Some(totals), age_ms, ..Default::default() })
    }

    /// What node 1 said of its replicas of two shards.
    fn seen(replicas: [Option<v1::GetReplicaResponse>; 2]) -> Seen {
        let mut seen = Seen::default();
        seen.take_in(1, (0..).zip(replicas), Some(Vec::new()));
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_of_three_can_lose_one_then_none_then_serves_no_more() {
        let seen = seen([replica(3, 0, 4_000), replica(4, 0, 20)]);
        let of = |leaders, up: &[u64]| told(&routing(leaders), 1, 5_000, &statuses(up), &seen);
        let whole = of([Some(1), Some(2)], &[1, 2, 3]);
        assert_eq!((whole.serving, whole.can_lose, whole.age_ms), (true, 1, Some(0)));
        assert_eq!(whole.totals.map(|totals| totals.sold), Some(7));
        let one_less = of([Some(1), Some(2)], &[1, 2]);
        assert_eq!((one_less.serving, one_less.can_lose), (true, 0));
        let leaderless = of([Some(1), None], &[1, 2]);
        assert_eq!(leaderless.age_ms, Some(20), "the shard that has a leader is as new as can be");
        let alone = of([Some(1), Some(2)], &[1]);
        assert_eq!((alone.serving, alone.can_lose), (false, 0));
        assert_eq!(alone.age_ms, Some(4_000), "its own copy, and how old the oldest of it is");
        assert_eq!(alone.shards[1].leader_node_id, 0, "who does not answer leads nothing");
        let leads_all = of([Some(1), Some(1)], &[1]);
        assert!(
            !leads_all.serving,
            "a leader without a majority decides nothing, though it still thinks that it leads"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_is_not_read_stands_as_it_was_for_a_while_and_is_unknown_then_and_never_nothing() {
        let mut seen = seen([replica(3, 0, 0), replica(4, 1, 0)]);
        let of = |seen: &Seen| {
            let told = told(&routing([Some(1); 2]), 1, 5_000, &statuses(&[1, 2, 3]), seen);
            (told.totals.map(|totals| totals.sold), told.oversold, told.shards[1].halted.clone())
        };
        sleep(STANDS_FOR).await;
        seen.take_in(1, [(0, replica(5, 0, 0)), (1, None)], Some(Vec::new()));
        assert_eq!(of(&seen), (Some(9), Some(1), Some(String::new())));
        sleep(Duration::from_secs(1)).await;
        seen.take_in(1, [(0, replica(5, 0, 0)), (1, None)], Some(Vec::new()));
        assert_eq!(of(&seen), (None, None, None));
        seen.take_in(2, [(0, replica(5, 0, 0)), (1, replica(6, 0, 0))], None);
        assert_eq!(of(&seen), (Some(11), None, Some(String::new())), "what audits of another node found is not known");
    }

    #[test]
    fn the_page_of_a_node_that_is_gone_shows_another_ones_copy() {
        assert_eq!([statuses(&[1, 2]), statuses(&[2, 3]), statuses(&[])].map(|of| teller(1, &of)), [1, 2, 1]);
    }

    #[test]
    fn of_a_hundred_answers_the_slowest_one_is_left_out_and_a_restarted_node_counts_anew() {
        let sums = |refused, took: &[u64]| v1::RequestSums { refused, took: took.to_vec(), ..Default::default() };
        let before: Sums = [(1, sums(5, &[10, 0, 0])), (2, sums(9, &[100, 7, 7]))].into();
        let now: Sums = [(1, sums(6, &[10, 0, 0])), (2, sums(1, &[0, 0, 0]))].into();
        let quiet = rates(&before, &now);
        assert_eq!((quiet.refused, quiet.p99_ms), (Some(7), None));
        let busy = rates(&Sums::new(), &[(1, sums(0, &[0, 0, 99, 0, 1]))].into());
        assert_eq!(busy.p99_ms, Some(0.2), "100 µs times the square root of 2 twice");
        assert_eq!(rates(&Sums::new(), &Sums::new()).refused, None);
    }

    #[tokio::test(start_paused = true)]
    async fn sums_that_take_long_are_made_while_somebody_watches_alone() {
        let watcher = Watcher::default();
        assert!(watcher.is_worth_it(CHEAP));
        assert!(!watcher.is_worth_it(CHEAP * 2));
        *watcher.asked.lock().unwrap() = Some(Instant::now());
        sleep(WATCHED).await;
        assert!(watcher.is_worth_it(CHEAP * 2));
        sleep(Duration::from_secs(1)).await;
        assert!(!watcher.is_worth_it(CHEAP * 2));
    }

    #[test]
    fn what_does_not_balance_is_told_as_oversold() {
        let seen = seen([replica(0, 1, 0), replica(0, 2, 0)]);
        let shown = told(&routing([Some(1); 2]), 1, 5_000, &statuses(&[1, 2, 3]), &seen);
        assert_eq!(shown.oversold, Some(3));
    }
}
