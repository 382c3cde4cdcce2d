//! A node: built by one constructor, for the process and for the simulator alike.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};
use std::time::Duration;

use axum::Router;
use holdfast_raft::host::{Group, Host, HostError, HostOptions, StartGroupError};
use holdfast_raft::types::{GroupId, NodeId};
use holdfast_world::{ServeOptions, Shutdown, World};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::service::Routes;

use crate::alerts::{Alerts, watch_movements};
use crate::audit::{Audits, audit_replicas};
use crate::bootstrap::{bring_up, start_mended};
use crate::calls::{Breakers, make_calls};
use crate::config::{ConfigError, NodeConfig};
use crate::core::Core;
use crate::leaders::Connections;
use crate::metrics::{Requests, Surveys, survey_shards};
use crate::orders;
use crate::planning::KnownKits;
use crate::routing::Routes as ClusterRoutes;
use crate::services::{Introduction, Lacking, client_routes, introduction_service};
use crate::shard::ShardRecords;
use crate::traced::{Drawn, traced};
use crate::{balance, clocks, health, http, room};

/// The most readers that watch events or availability on a node.
pub(crate) const MAX_READERS: usize = 16_384;

/// Between two looks at the cluster's records.
const RECORDS_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at whether the node is ready.
const HEALTH_EVERY: Duration = Duration::from_millis(250);
/// Connections of other nodes at once.
const PEER_CONNECTIONS: usize = 256;
/// How long listeners may take to end.
const LISTENERS_END: Duration = Duration::from_secs(2);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder could not be opened.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A group could not be started.
    #[error(transparent)]
    Group(#[from] StartGroupError),
    /// The folder could not be read or written.
    #[error("the node's folder: {error}")]
    Folder {
        /// What the system says.
        error: std::io::Error,
    },
    /// An address is taken, or none of this machine's.
    #[error("cannot listen on {address} for {purpose}: {error}")]
    Listen {
        /// The address.
        address: String,
        /// What for.
        purpose: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
    /// The folder is empty, and the others know this node.
    #[error("the folder of node {node} is empty, but node {peer} belongs to a cluster already")]
    FreshAmongKnown {
        /// This node.
        node: NodeId,
        /// The node that is not fresh.
        peer: NodeId,
    },
    /// Another cluster answers, or the folder's records are another cluster's.
    #[error("this is a node of the cluster `{expected}`, and found the cluster `{found}`")]
    OtherCluster {
        /// What was found.
        found: String,
        /// What the configuration says.
        expected: String,
    },
    /// Another node answers at a listed address.
    #[error("node {found} answers at {address}, where node {expected} is listed")]
    OtherNode {
        /// The address.
        address: String,
        /// Who answers.
        found: NodeId,
        /// Who is listed.
        expected: NodeId,
    },
    /// The groups could not be given their members.
    #[error("the cluster could not be founded: group {group}: {error}")]
    Founding {
        /// The group.
        group: GroupId,
        /// What it says.
        error: holdfast_raft::host::GroupError,
    },
}

impl StartError {
    pub(crate) fn folder(error: std::io::Error) -> Self {
        Self::Folder { error }
    }

    /// The way out.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint(),
            Self::Host(error) => error.hint().to_owned(),
            Self::Group(_) => {
                "the message says what is damaged; `holdfast cluster replace` puts a fresh node in its place".to_owned()
            }
            Self::Folder { .. } => "check that the folder is there, writable and not full".to_owned(),
            Self::Listen { .. } => {
                "stop the program that has the address, or choose another in cluster.toml".to_owned()
            }
            Self::FreshAmongKnown { .. } => {
                "a node that lost its folder may not come back under its id, since it could vote twice: \
                start a node with a new id, an empty folder and `join = true`, then run `holdfast cluster replace`"
                    .to_owned()
            }
            Self::OtherCluster { .. } => "check cluster_id, the addresses and the data folder".to_owned(),
            Self::OtherNode { .. } => "check the ids and addresses in cluster.toml".to_owned(),
            Self::Founding { .. } => "start the node again; founding goes on where it stopped".to_owned(),
        }
    }
}

/// A running node. Dropping it does not stop it: [`stop`](Self::stop) does.
#[derive(Debug)]
pub struct Node {
    core: Arc<Core>,
    /// Ready with what ended the start, if it failed after the listeners were up.
    failed: watch::Receiver<Option<Arc<StartError>>>,
    /// True when everything has been stopped.
    stopped: watch::Sender<bool>,
    /// Ends the listeners.
    listeners_end: watch::Sender<bool>,
    listeners: std::sync::Mutex<Vec<JoinHandle<()>>>,
    tasks: std::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Node {
    /// Opens the folder, listens, and brings the groups up in the background: [`is_ready`](Self::is_ready) tells when clients
    /// are served, [`wait`](Self::wait) when it ends, and why.
    ///
    /// # Errors
    ///
    /// The configuration cannot work, the folder is not this node's or damaged, or an address is taken.
    pub async fn start(world: World, config: NodeConfig) -> Result<Self, StartError> {
        Self::start_with(world, config, Router::new()).await
    }

    /// The same, with more routes on its HTTP port, where it has one, beside those of health and metrics.
    ///
    /// # Errors
    ///
    /// As [`Node::start`].
    pub async fn start_with(world: World, config: NodeConfig, routes: Router) -> Result<Self, StartError> {
        config.check()?;
        let host = Host::open(world.clone(), host_options(&config)).await?;
        let is_watched = config.me().http.is_some();
        if is_watched {
            http::record_metrics();
        }
        let audits = Audits::start(&world);
        let core = Arc::new(Core {
            world,
            config,
            host,
            meta: OnceLock::new(),
            shards: RwLock::default(),
            routes: watch::Sender::new(None),
            stopping: watch::Sender::new(false),
            clock_offset_ms: watch::Sender::new(None),
            clocks_off: watch::Sender::default(),
            lacks_room: watch::Sender::new(false),
            awaits_founding: watch::Sender::new(false),
            connections: Connections::default(),
            known_kits: KnownKits::default(),
            lacking: Lacking::default(),
            readers: Arc::new(Semaphore::new(MAX_READERS)),
            audits,
            alerts: Alerts::default(),
            breakers: Breakers::default(),
            requests: Requests::new(is_watched),
            surveys: Surveys::default(),
            started_at: Instant::now(),
        });
        let (fail, failed) = watch::channel(None);
        let node = Self {
            failed,
            stopped: watch::Sender::new(false),
            listeners_end: watch::Sender::new(false),
            listeners: std::sync::Mutex::default(),
            tasks: std::sync::Mutex::default(),
            core,
        };
        node.listen(routes).await?;
        let records = watch::Sender::new(Arc::<ShardRecords>::default());
        let core = &node.core;
        let (bring_up_core, known) = (Arc::clone(core), records.subscribe());
        node.spawn(async move {
            let mut brought_up = bring_up(&bring_up_core, &known).await;
            if brought_up.is_ok() {
                brought_up = start_mended(&bring_up_core, &known).await;
            }
            if let Err(error) = brought_up {
                tracing::error!(%error, hint = error.hint(), "the node cannot go on");
                fail.send_replace(Some(Arc::new(error)));
            }
        });
        node.spawn(follow_records(Arc::clone(core), records, core.stopping.subscribe()));
        node.spawn(clocks::compare_clocks(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(room::watch_room(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(orders::drive(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(make_calls(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(audit_replicas(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(watch_movements(Arc::clone(core), core.stopping.subscribe()));
        node.spawn(balance::balance_leaders(Arc::clone(core), core.stopping.subscribe()));
        Ok(node)
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(work);
        self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    async fn listen(&self, routes: Router) -> Result<(), StartError> {
        let core = &self.core;
        let me = core.config.me().clone();
        let limits = &core.config.limits;
        let introduction = introduction_service(Introduction::new(Arc::clone(core)));
        let peers =
            core.host.peer_routes().add_service(introduction).add_service(orders::order_service(Arc::clone(core)));
        // What other nodes ask for a request that is in a trace.
        let traced = axum::middleware::from_fn_with_state((core.world.tracer.clone(), Drawn::None), traced);
        let peers = Routes::from(peers.into_axum_router().layer(traced));
        let options = ServeOptions { max_connections: PEER_CONNECTIONS, ..ServeOptions::default() };
        self.serve(&me.peer, "the other nodes", peers, options).await?;
        let (reporter, health) = tonic_health::server::health_reporter();
        self.spawn(report_health(Arc::clone(core), reporter, core.stopping.subscribe()));
        let options = ServeOptions {
            max_streams: limits.max_streams,
            max_connections: limits.max_connections,
            ..ServeOptions::default()
        };
        self.serve(&me.client, "clients", client_routes(core, health), options).await?;
        if let Some(address) = &me.http {
            self.spawn(survey_shards(Arc::clone(core), core.stopping.subscribe()));
            let stopped = self.stopped.subscribe();
            http::serve(Arc::clone(core), address, routes, stopped).await.map_err(|error| StartError::Listen {
                address: address.clone(),
                purpose: "HTTP",
                error,
            })?;
        }
        Ok(())
    }

    async fn serve(
        &self,
        address: &str,
        purpose: &'static str,
        routes: Routes,
        options: ServeOptions,
    ) -> Result<(), StartError> {
        let mut end = self.listeners_end.subscribe();
        let shutdown: Shutdown = Box::pin(async move {
            // The sender is gone when the node is: then nobody is served either.
            let _gone = end.wait_for(|end| *end).await.is_err();
        });
        let serving = self
            .core
            .world
            .network
            .serve(address, routes, options, shutdown)
            .await
            .map_err(|error| StartError::Listen { address: address.to_owned(), purpose, error })?;
        self.listeners.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(tokio::spawn(serving));
        Ok(())
    }

    /// Who this node is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.core.config.node_id
    }

    /// True when it knows a leader for every group, and no replica of its own is damaged.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.core.not_ready().is_empty()
    }

    /// What is missing before it is ready; empty: it is.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        self.core.not_ready()
    }

    /// How often the node was started: it lives another life after each start.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.core.host.incarnation()
    }

    /// The latest life of another node that this one has seen and noted durably; 0: none.
    #[must_use]
    pub fn seen_life_of(&self, peer: NodeId) -> u64 {
        self.core.host.seen_life_of(peer)
    }

    /// A group of this node that runs.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<Group> {
        self.core.group(id)
    }

    /// Ready when the node has stopped, or cannot go on; then with the reason.
    ///
    /// # Errors
    ///
    /// Why the node cannot go on.
    pub async fn wait(&self) -> Result<(), Arc<StartError>> {
        let mut failed = self.failed.clone();
        let mut stopped = self.stopped.subscribe();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => Ok(()),
            Ok(failed) = failed.wait_for(Option::is_some) => Err(failed.clone().expect("waited for it")),
        }
    }

    /// Hands its leaderships over, waits a bounded time for what is under way, and stops. What was acknowledged is on disk
    /// before and after.
    pub async fn stop(&self) {
        if self.core.stopping.send_replace(true) {
            let _already = self.stopped.subscribe().wait_for(|stopped| *stopped).await.is_ok();
            return;
        }
        let drain = Duration::from_millis(self.core.config.limits.drain_ms);
        let drained = timeout(drain, async {
            hand_all_over(&self.core).await;
            for shard in self.core.shards().iter() {
                shard.stop().await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                drain_ms = drain.as_millis() as u64,
                "not everything under way was done in time; its outcome is unknown"
            );
        }
        self.listeners_end.send_replace(true);
        let listeners = std::mem::take(&mut *self.listeners.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        let ends = Instant::now() + LISTENERS_END;
        for mut listener in listeners {
            // A client that keeps its connection open does not keep the node.
            if tokio::time::timeout_at(ends, &mut listener).await.is_err() {
                listener.abort();
            }
        }
        for task in std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner)) {
            task.abort();
        }
        self.core.host.stop().await;
        self.stopped.send_replace(true);
    }
}

/// Hands over every group that another node can take.
async fn hand_all_over(core: &Core) {
    for group in core.groups() {
        if !group.is_leader() || group.status().voters.len() < 2 {
            continue;
        }
        match group.transfer_leadership_among(|id| core.may_lead(id)).await {
            Ok(to) => tracing::info!(group = %group.id(), to, "handed over"),
            Err(error) => tracing::warn!(group = %group.id(), %error, "not handed over"),
        }
    }
}

fn host_options(config: &NodeConfig) -> HostOptions {
    let mut options = HostOptions::new(config.node_id, config.cluster_id.clone(), config.node_dir());
    options.peers = config.nodes.iter().map(|node| (node.id, node.peer.clone())).collect();
    options.schema = config.schema;
    options.heartbeat_ms = config.raft.heartbeat_ms;
    options.election_min_ms = config.raft.election_min_ms;
    options.election_max_ms = config.raft.election_max_ms;
    options.checkpoint_bytes = config.limits.checkpoint_bytes;
    options.checkpoint_age = Duration::from_secs(config.limits.checkpoint_age_s);
    options.scrub_bytes_per_s = config.limits.scrub_bytes_per_s;
    options.scrub_pause = Duration::from_secs(config.limits.scrub_pause_s);
    options.log.segment_bytes = config.limits.segment_bytes;
    options.log.cache_bytes = config.limits.log_cache_bytes;
    options
}

/// Makes the routes anew when the cluster's records have changed, and tells the shards what they must know of them.
async fn follow_records(
    core: Arc<Core>,
    records: watch::Sender<Arc<ShardRecords>>,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let seen = core.routes.borrow().as_ref().map_or(0, |routes| routes.revision);
        let changed = core.meta.get().and_then(|meta| {
            meta.read_meta(|meta| if meta.revision() == seen { None } else { ClusterRoutes::of(meta) }).flatten()
        });
        if let Some(routes) = changed {
            records.send_replace(Arc::clone(&routes.for_shards));
            for shard in core.shards().iter() {
                shard.tell_records(Arc::clone(&routes.for_shards));
            }
            core.routes.send_replace(Some(Arc::new(routes)));
        }
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(RECORDS_EVERY) => {}
        }
    }
}

/// Tells `grpc.health.v1` how each service is.
async fn report_health(
    core: Arc<Core>,
    reporter: tonic_health::server::HealthReporter,
    mut stopping: watch::Receiver<bool>,
) {
    let mut told = BTreeMap::new();
    loop {
        for (service, serves) in health::services(&core) {
            if told.insert(service, serves) != Some(serves) {
                let status =
                    if serves { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
                reporter.set_service_status(service, status).await;
            }
        }
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = sleep(HEALTH_EVERY) => continue,
        }
        for service in told.keys() {
            reporter.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
        return;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // A node that is dropped without a stop goes as one that crashed: its tasks end, its folder is as it was.
        for tasks in [&self.tasks, &self.listeners] {
            for task in tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).drain(..) {
                task.abort();
            }
        }
    }
}
