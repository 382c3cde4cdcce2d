//! What all calls of one client share: settings, routes, connections, what replies taught, and the retry budget.
//!
//! Promises that the routes are asked for again after a failure, but never faster than the settings allow, and slowly
//! when all is well; and that every node has one channel.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use holdfast_proto::CLUSTER_HEADER;
use holdfast_proto::v1::cluster_service_client::ClusterServiceClient;
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_world::{GrpcChannel, Lane};
use http::{HeaderName, HeaderValue};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::answer::Error;
use crate::cluster_time::{ClusterTime, RandomBits};
use crate::command::Minter;
use crate::gate::Gate;
use crate::learned::Learned;
use crate::node::{Node, error_of, no_answer, within};
use crate::options::ClientOptions;
use crate::retry::{Pacer, RetryBudget};
use crate::routes::{Routes, unusable};

/// Where a command of a shard goes now.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) shard: u32,
    pub(crate) epoch: u64,
    pub(crate) node: Arc<Node>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) options: ClientOptions,
    pub(crate) learned: Arc<Learned>,
    pub(crate) budget: RetryBudget,
    pub(crate) gate: Gate,
    /// Ends the tasks when the client is dropped.
    pub(crate) life: watch::Receiver<()>,
    random: RandomBits,
    routes: RwLock<Routes>,
    nodes: Mutex<BTreeMap<u64, Arc<Node>>>,
    seeds: Vec<(String, GrpcChannel)>,
    /// The id of the cluster that answered first. Every request names it from then on: an address may become another cluster's.
    cluster: Arc<OnceLock<HeaderValue>>,
    refresh_wanted: Notify,
    /// Whose turn it is among nodes that would all do.
    turn: AtomicUsize,
    /// Whose turn it is to be asked for the routes. Apart from `turn`: the routes are asked for after each attempt that failed,
    /// and of two nodes the one that failed would have its turn again and again.
    routes_turn: AtomicUsize,
    /// The node that was last hinted to lead the meta group; 0: not known.
    meta_leader: AtomicU64,
}

impl Core {
    pub(crate) fn new(options: ClientOptions, life: watch::Receiver<()>) -> Result<Self, Error> {
        let cluster = Arc::<OnceLock<HeaderValue>>::default();
        let mut seeds = Vec::with_capacity(options.addresses.len());
        for address in &options.addresses {
            seeds.push((address.clone(), channel_of(&cluster, &options, address)?));
        }
        if seeds.is_empty() {
            let error = CommandError::of(ErrorReason::InvalidArgument, "no address of any node").at("addresses");
            return Err(error.into());
        }
        let now = options.world.clock.monotonic();
        Ok(Self {
            learned: Arc::new(Learned::new(ClusterTime::new(options.world.clock.clone()))),
            budget: RetryBudget::new(options.retry_burst, options.retries_per_second, now),
            gate: Gate::new(options.max_commands, options.max_bytes),
            random: RandomBits::new(&options.world),
            routes: RwLock::default(),
            nodes: Mutex::default(),
            seeds,
            cluster,
            refresh_wanted: Notify::new(),
            turn: AtomicUsize::new(0),
            routes_turn: AtomicUsize::new(0),
            meta_leader: AtomicU64::new(0),
            options,
            life,
        })
    }

    pub(crate) fn minter(&self) -> Minter<'_> {
        Minter { time: &self.learned.time, random: &self.random }
    }

    pub(crate) fn deadline(&self, asked: Option<std::time::Duration>) -> Instant {
        Instant::now() + asked.unwrap_or(self.options.deadline)
    }

    pub(crate) fn pacer(&self, deadline: Instant) -> Pacer<'_> {
        Pacer::new(&self.options, &self.budget, deadline)
    }

    /// Reads the routes.
    pub(crate) fn with_routes<T>(&self, read: impl FnOnce(&Routes) -> T) -> T {
        read(&self.routes.read().expect("nothing panics while it holds the routes"))
    }

    fn change_routes<T>(&self, change: impl FnOnce(&mut Routes) -> T) -> T {
        change(&mut self.routes.write().expect("nothing panics while it holds the routes"))
    }

    /// Where a slot's commands go: to its shard's leader, or to any node, whose answer names it. A leader that has just left an
    /// attempt without an answer is passed over.
    pub(crate) fn way(&self, slot: u16) -> Result<Way, Error> {
        let (shard, leader, epoch) = self.with_routes(|routes| {
            let shard = routes.shard_of(slot);
            (shard, routes.leader_of(shard), routes.epoch)
        });
        let node = leader.and_then(|node_id| self.node(node_id)).filter(|node| !node.is_silent());
        let node = node.or_else(|| self.any_node()).ok_or_else(no_members)?;
        Ok(Way { shard, epoch, node })
    }

    pub(crate) fn shard_of(&self, slot: u16) -> u32 {
        self.with_routes(|routes| routes.shard_of(slot))
    }

    /// The node of that id, if it is a member.
    pub(crate) fn node(&self, node_id: u64) -> Option<Arc<Node>> {
        self.nodes.lock().expect("nothing panics while it holds the nodes").get(&node_id).cloned()
    }

    /// A member, each in its turn.
    pub(crate) fn any_node(&self) -> Option<Arc<Node>> {
        self.other_node(0)
    }

    /// A member that is not that one, each in its turn; one that answers, if there is any.
    pub(crate) fn other_node(&self, than: u64) -> Option<Arc<Node>> {
        let nodes = self.nodes.lock().expect("nothing panics while it holds the nodes");
        let others: Vec<&Arc<Node>> = nodes.values().filter(|node| node.node_id != than).collect();
        let answering: Vec<&Arc<Node>> = others.iter().copied().filter(|node| !node.is_silent()).collect();
        let candidates = if answering.is_empty() { others } else { answering };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(candidates.len())?;
        candidates.get(turn).copied().cloned()
    }

    pub(crate) fn meta_leader(&self) -> Option<Arc<Node>> {
        self.node(self.meta_leader.load(Ordering::Relaxed)).or_else(|| self.any_node())
    }

    /// Mends the routes by an attempt's error. True where it named another leader, which may be asked at once.
    pub(crate) fn mend(&self, error: &Error, shard: Option<u32>, asked: u64) -> bool {
        let failure = error.failure();
        let hint =
            |key| failure.metadata.get(key).and_then(|hint| self.with_routes(|routes| routes.member_named(hint)));
        let hinted = hint("leader").or_else(|| hint("leader_node_id"));
        match (failure.reason, shard, hinted) {
            (ErrorReason::NotLeader, Some(shard), Some(leader)) if leader != asked => {
                self.change_routes(|routes| routes.learn_leader(shard, leader));
                true
            }
            (ErrorReason::NotLeader, None, Some(leader)) if leader != asked => {
                self.meta_leader.store(leader, Ordering::Relaxed);
                true
            }
            (
                ErrorReason::NotLeader
                | ErrorReason::Unavailable
                | ErrorReason::OutcomeUnknown
                | ErrorReason::WrongCluster,
                _,
                _,
            ) => {
                match shard {
                    Some(shard) => self.change_routes(|routes| routes.forget_leader(shard, asked)),
                    None => self.meta_leader.store(0, Ordering::Relaxed),
                }
                self.refresh_wanted.notify_one();
                false
            }
            (ErrorReason::StaleRoute, _, _) => {
                self.refresh_wanted.notify_one();
                false
            }
            _ => false,
        }
    }

    /// Asks one node after the other for the routes and takes the first answer that is usable.
    pub(crate) async fn fetch_routes(&self) -> Result<(), Error> {
        let mut last = no_members();
        let known: Vec<(String, GrpcChannel)> = {
            let nodes = self.nodes.lock().expect("nothing panics while it holds the nodes");
            nodes.values().map(|node| (node.address.clone(), node.channel.clone())).collect()
        };
        let unknown = self.seeds.iter().filter(|(seed, _)| known.iter().all(|(address, _)| address != seed));
        let mut candidates: Vec<&(String, GrpcChannel)> = known.iter().chain(unknown).collect();
        let first = self.routes_turn.fetch_add(1, Ordering::Relaxed) % candidates.len().max(1);
        candidates.rotate_left(first);
        for (address, channel) in candidates {
            match self.routes_of(address, channel.clone()).await {
                Ok(routes) => {
                    self.take_routes(routes)?;
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn routes_of(&self, address: &str, channel: GrpcChannel) -> Result<Routes, Error> {
        let ends = Instant::now() + self.options.connect_timeout;
        let mut client = ClusterServiceClient::new(channel);
        let reply = tokio::time::timeout_at(ends, client.get_routing(within(v1::GetRoutingRequest {}, ends))).await;
        let reply = reply.map_err(|_| no_answer(address))?.map_err(|status| error_of(&status))?.into_inner();
        self.learned.learn(&[], reply.log_time_ms);
        Routes::from_wire(reply)
    }

    fn take_routes(&self, newer: Routes) -> Result<(), Error> {
        let named = HeaderValue::from_str(&newer.cluster_id).map_err(|_| unusable("the cluster's id is no name"))?;
        let cluster = self.cluster.get_or_init(|| named.clone());
        if *cluster != named {
            let message = format!("a node of the cluster `{}` answered, not of {cluster:?}", newer.cluster_id);
            return Err(Error::not_admitted(ErrorReason::WrongCluster, message));
        }
        let members = self.change_routes(|routes| {
            routes.renew(newer);
            routes.members.clone()
        });
        let mut nodes = self.nodes.lock().expect("nothing panics while it holds the nodes");
        nodes.retain(|node_id, node| members.get(node_id).is_some_and(|member| member.client_address == node.address));
        for (node_id, member) in members {
            if let std::collections::btree_map::Entry::Vacant(place) = nodes.entry(node_id) {
                let channel = channel_of(&self.cluster, &self.options, &member.client_address)?;
                place.insert(Arc::new(Node::new(node_id, member.client_address, channel, self.learned.clone())));
            }
        }
        Ok(())
    }

    /// Keeps the routes fresh until the client is dropped.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        let mut life = self.life.clone();
        let refreshing = async {
            loop {
                tokio::select! {
                    biased;
                    () = self.refresh_wanted.notified() => {}
                    () = tokio::time::sleep(self.options.refresh_interval) => {}
                }
                if let Err(error) = self.fetch_routes().await {
                    tracing::debug!(%error, "no node told the routes");
                }
                tokio::time::sleep(self.options.refresh_min_interval).await;
            }
        };
        tokio::select! {
            biased;
            _ = life.changed() => {}
            () = refreshing => {}
        }
    }
}

/// A channel whose requests do not say which cluster they are for.
pub(crate) fn channel(options: &ClientOptions, address: &str) -> Result<GrpcChannel, Error> {
    let channel = options.world.network.channel(address, Lane::Client, options.connect_timeout);
    channel.map_err(|error| {
        CommandError::of(ErrorReason::InvalidArgument, format!("{address}: {error}")).at("addresses").into()
    })
}

/// A channel whose requests name the cluster once it is known, and go on in the trace of whoever asks.
fn channel_of(
    cluster: &Arc<OnceLock<HeaderValue>>,
    options: &ClientOptions,
    address: &str,
) -> Result<GrpcChannel, Error> {
    let channel = channel(options, address)?.saying(HeaderName::from_static(CLUSTER_HEADER), Arc::clone(cluster));
    Ok(channel.traced(options.world.tracer.clone()))
}

pub(crate) fn no_members() -> Error {
    Error::not_admitted(ErrorReason::Unavailable, "no node of the cluster is known")
}
