//! What the services of a node share: its groups and shards, the cluster's records, and whether it is ready.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use holdfast_inventory::{Inventory, LogTime};
use holdfast_mutation::{Mutation, is_on};
use holdfast_proto::v1::{self, CommandError};
use holdfast_raft::host::{Group, Host};
use holdfast_raft::types::{GroupId, NodeId};
use holdfast_world::World;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::alerts::Alerts;
use crate::audit::Audits;
use crate::calls::Breakers;
use crate::config::NodeConfig;
use crate::from_proto::Freshness;
use crate::leaders::Connections;
use crate::metrics::{Requests, Surveys};
use crate::planning::KnownKits;
use crate::refusals;
use crate::routing::Routes;
use crate::services::Lacking;
use crate::shard::{ShardHandle, Shards};

/// A leader that no majority has confirmed for so long may be gone, though nobody has said so: whoever follows it keeps its name until
/// another is elected.
const UNHEARD: Duration = Duration::from_secs(10);

/// See the module. One a node, behind an `Arc`.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) world: World,
    pub(crate) config: NodeConfig,
    pub(crate) host: Host,
    /// Set when the meta group is started.
    pub(crate) meta: OnceLock<Group>,
    /// The shards that are started, by number.
    pub(crate) shards: RwLock<Shards>,
    /// The cluster's records; `None` before they are known.
    pub(crate) routes: watch::Sender<Option<Arc<Routes>>>,
    /// True from the moment the node begins to stop.
    pub(crate) stopping: watch::Sender<bool>,
    /// How far this node's wall clock is from the median of the nodes', in milliseconds; `None` before it is known.
    pub(crate) clock_offset_ms: watch::Sender<Option<i64>>,
    /// The nodes, this one too, whose clocks are too far off: they shall not lead.
    pub(crate) clocks_off: watch::Sender<BTreeSet<NodeId>>,
    /// True while the disk of this node's data has less room than it must.
    pub(crate) lacks_room: watch::Sender<bool>,
    /// True once the groups of a fresh node are started and it has seen every other listed node fresh.
    pub(crate) awaits_founding: watch::Sender<bool>,
    /// To the nodes that lead shards.
    pub(crate) connections: Connections,
    /// SKUs that were seen to be kits.
    pub(crate) known_kits: KnownKits,
    /// Slots of what the log has refused here for want of stock.
    pub(crate) lacking: Lacking,
    /// Places for readers that watch events or availability.
    pub(crate) readers: Arc<Semaphore>,
    /// What looks after the replicas of this node.
    pub(crate) audits: Audits,
    pub(crate) alerts: Alerts,
    /// Endpoints that this node calls, and those that it leaves alone for a while.
    pub(crate) breakers: Breakers,
    /// What this node is asked and answers, for the metrics.
    pub(crate) requests: Requests,
    /// What the shards were last seen to have, for the metrics.
    pub(crate) surveys: Surveys,
    pub(crate) started_at: Instant,
}

impl Core {
    /// True where this node's folder held nothing when it started, and no group has a history since.
    pub(crate) fn is_fresh(&self) -> bool {
        self.host.is_fresh()
            && self.groups().iter().all(|group| group.status().last_log_index == 0 && group.term() == 0)
    }

    /// The cluster's records.
    pub(crate) fn routes(&self) -> Result<Arc<Routes>, CommandError> {
        self.routes.borrow().clone().ok_or_else(refusals::not_founded)
    }

    /// The shards that are started.
    pub(crate) fn shards(&self) -> Shards {
        Arc::clone(&self.shards.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One more shard is started.
    pub(crate) fn add_shard(&self, handle: ShardHandle) {
        crate::metrics::begin_shard(handle.shard());
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = shards.as_ref().clone();
        all.push(handle);
        all.sort_by_key(ShardHandle::shard);
        *shards = Arc::new(all);
    }

    /// A shard of this node.
    pub(crate) fn shard(&self, shard: u32, routes: &Routes) -> Result<ShardHandle, CommandError> {
        if shard >= routes.shards {
            return Err(refusals::no_such_shard(shard, routes));
        }
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let found = shards.binary_search_by_key(&shard, ShardHandle::shard).ok().map(|at| shards[at].clone());
        found.ok_or_else(|| refusals::unavailable(shard, "its replica here is not started; /readyz?verbose says why"))
    }

    /// The meta group.
    pub(crate) fn meta(&self) -> Result<&Group, CommandError> {
        self.meta.get().ok_or_else(refusals::not_founded)
    }

    /// Every group of this node that runs.
    pub(crate) fn groups(&self) -> Vec<Group> {
        let shards = self.shards();
        self.meta.get().into_iter().chain(shards.iter().map(ShardHandle::group)).cloned().collect()
    }

    /// A group of this node that runs.
    pub(crate) fn group(&self, id: GroupId) -> Option<Group> {
        if let Some(meta) = self.meta.get().filter(|meta| meta.id() == id) {
            return Some(meta.clone());
        }
        self.shards().iter().map(ShardHandle::group).find(|group| group.id() == id).cloned()
    }

    /// When a request that says nothing more is given up.
    pub(crate) fn deadline(&self, asked: Option<Duration>) -> Instant {
        let longest = Duration::from_millis(self.config.limits.request_timeout_ms);
        Instant::now() + asked.map_or(longest, |asked| asked.min(longest))
    }

    /// An estimate of cluster time: what the shards have seen, or the wall clock, whichever is later.
    pub(crate) fn log_time_ms(&self) -> u64 {
        let shards = self.shards();
        let seen = shards.iter().filter_map(|shard| shard.group().read_shard(|shard| shard.now().0)).max();
        seen.unwrap_or(0).max(self.world.clock.wall_ms())
    }

    /// Reads a shard's state, as fresh as asked.
    pub(crate) async fn read<R>(
        &self,
        shard: u32,
        freshness: Freshness,
        deadline: Instant,
        read: impl FnOnce(&Inventory) -> R,
    ) -> Result<(R, v1::ReadFreshness), CommandError> {
        let began = Instant::now();
        let answer = self.read_shard(shard, freshness, deadline, read).await;
        self.requests.read(began, answer.as_ref().map(|_| ()));
        answer
    }

    async fn read_shard<R>(
        &self,
        shard: u32,
        freshness: Freshness,
        deadline: Instant,
        read: impl FnOnce(&Inventory) -> R,
    ) -> Result<(R, v1::ReadFreshness), CommandError> {
        let routes = self.routes()?;
        let handle = self.shard(shard, &routes)?;
        let group = handle.group();
        match freshness {
            Freshness::Linearizable if is_on(Mutation::StaleLeaseRead) && group.is_leader() => {}
            Freshness::Linearizable => {
                in_time(deadline, shard, group.read_index())
                    .await?
                    .map_err(|error| refusals::not_read(&error, shard, &routes))?;
            }
            Freshness::Stale => {}
            Freshness::AtLeast { .. } if is_on(Mutation::TokenIgnored) => {}
            Freshness::AtLeast { shard: of_shard, index } => {
                if of_shard != shard {
                    let hint = format!("send the token of shard {shard}, which has what is asked for");
                    let problem = format!("is of shard {of_shard}");
                    return Err(crate::from_proto::invalid("consistency.at_least", &problem, &hint));
                }
                in_time(deadline, shard, group.wait_applied(index, deadline))
                    .await?
                    .map_err(|error| refusals::not_read(&error, shard, &routes))?;
            }
        }
        // Before the read, which may see more but not less.
        let age = group.age();
        // Of one instant: a token must promise no more than was seen.
        let (answer, log_time, applied) = group
            .read_shard_at(|shard, applied| (read(shard), shard.now(), applied))
            .ok_or_else(|| refusals::unavailable(shard, "its replica here has no state"))?;
        let age_ms = if freshness == Freshness::Linearizable { 0 } else { self.age_ms(age, log_time) };
        let token = v1::ConsistencyToken { shard, applied_index: applied.map_or(0, |id| id.index) };
        Ok((answer, v1::ReadFreshness { token: Some(token), age_ms, log_time_ms: log_time.0 }))
    }

    /// How old, at most, a replica is that has that log time. Where it has heard from no leader yet only the log time tells, and
    /// overstates it.
    pub(crate) fn age_ms(&self, age: Option<Duration>, log_time: LogTime) -> u64 {
        let known = age.and_then(|age| u64::try_from(age.as_millis()).ok());
        known.unwrap_or_else(|| self.world.clock.wall_ms().saturating_sub(log_time.0))
    }

    /// What is missing before this node is ready, each with its reason; empty: ready.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if *self.stopping.borrow() {
            missing.push("the node is stopping".to_owned());
        }
        let Some(routes) = self.routes.borrow().clone() else {
            missing.push("the cluster is not founded yet, or this node has not heard of it".to_owned());
            return missing;
        };
        let shards = self.shards();
        if shards.len() < routes.shards as usize {
            missing.push(format!("{} of {} shards are started", shards.len(), routes.shards));
        }
        for group in self.groups().iter() {
            if let Some(why) = group.core_fault() {
                missing.push(format!("{}: its Raft core has ended: {why}", group_name(group.id())));
            }
            // Whoever restarts one node after the other waits for this: a replica that lacks what others have cannot stand in
            // for them.
            if group.leader().is_none() {
                missing.push(format!("{} has no known leader", group_name(group.id())));
            } else if group.age().is_none() {
                missing.push(format!(
                    "{} lacks some of what was decided before this node's start",
                    group_name(group.id())
                ));
            } else if let Some(age) = group.age().filter(|age| *age > self.unheard()) {
                let seconds = age.as_secs();
                missing
                    .push(format!("{} has not heard for {seconds} s that it has everything", group_name(group.id())));
            }
        }
        for shard in shards.iter() {
            let (records, number) = (&routes.for_shards, shard.shard());
            let lacks = shard.group().read_shard(|shard| {
                let limits = records.unknown_limits(shard).is_some();
                let channels = records.unknown_channels(shard).next().is_some();
                let campaigns = records.unknown_campaigns(shard).next().is_some();
                (limits, records.unknown_locations(shard).next().is_some(), channels, campaigns)
            });
            let (limits, locations, channels, campaigns) = lacks.unwrap_or((true, true, true, true));
            if limits {
                missing.push(format!("shard {number} does not have the cluster's limits yet"));
            }
            if locations {
                missing.push(format!("shard {number} does not know every location yet"));
            }
            if channels {
                missing.push(format!("shard {number} does not know every channel yet"));
            }
            if campaigns {
                missing.push(format!("shard {number} does not know every campaign yet"));
            }
        }
        for (group, what) in self.host.damage() {
            let of = group.map_or_else(|| "the node".to_owned(), group_name);
            missing.push(format!("{of} is damaged: {what}"));
        }
        for (peer, why) in self.host.refused_by() {
            missing.push(format!("node {peer} refuses this node: {why}"));
        }
        missing
    }

    /// From then on a leader that was not confirmed may be gone. Several elections, where these are configured to take long.
    fn unheard(&self) -> Duration {
        UNHEARD.max(4 * Duration::from_millis(self.config.raft.election_max_ms))
    }

    /// Who leads a group, where this node has heard so lately, and that a majority confirms it.
    pub(crate) fn confirmed_leader(&self, group: &Group) -> Option<NodeId> {
        group.leader().filter(|_| group.age().is_some_and(|age| age <= self.unheard()))
    }

    /// What an operator should look at.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.not_ready();
        warnings.extend(self.host.warnings());
        if let Some(routes) = self.routes.borrow().as_ref() {
            warnings.extend(self.config.differences_from_founding(routes.shards, routes.for_shards.limits.as_ref()));
        }
        for shard in self.shards().iter() {
            let number = shard.shard();
            let halt = shard.group().read_shard(|shard| shard.halt().cloned()).flatten();
            if let Some(halt) = halt {
                let (invariant, finding, node) = (halt.invariant.id(), halt.finding, halt.node);
                warnings.push(format!(
                    "shard {number} takes no commands: an audit on node {node} found {invariant} broken: {finding}"
                ));
            }
            if let Some((_, audited)) = self.audits.last(number).filter(|(_, last)| last.report.breaches_in_all > 0) {
                let breaches = audited.report.breaches_in_all;
                warnings.push(format!("the last audit of shard {number} on this node found {breaches} breaches"));
            }
        }
        for endpoint in self.breakers.open(Instant::now()) {
            warnings.push(format!("endpoint {endpoint} does not answer this node, which leaves it alone for a while"));
        }
        let offset = *self.clock_offset_ms.borrow();
        if let Some(offset) = offset.filter(|offset| offset.unsigned_abs() > self.config.raft.max_clock_offset_ms) {
            let meaning = if self.may_lead(self.config.node_id) {
                "no majority of the nodes' clocks agree"
            } else {
                "this node does not lead"
            };
            warnings.push(format!("the clock is {offset} ms from the median of the nodes: {meaning}; set it right"));
        }
        warnings
    }

    /// False for a node whose clock is too far off.
    pub(crate) fn may_lead(&self, node: NodeId) -> bool {
        !self.clocks_off.borrow().contains(&node)
    }
}

/// A group's name for people.
pub(crate) fn group_name(id: GroupId) -> String {
    id.shard().map_or_else(|| "the meta group".to_owned(), |shard| format!("shard {shard}"))
}

/// The outcome of something a read waits for, within its time.
async fn in_time<T>(deadline: Instant, shard: u32, work: impl Future<Output = T>) -> Result<T, CommandError> {
    timeout_at(deadline, work).await.map_err(|_| refusals::unavailable(shard, "the read took too long"))
}
