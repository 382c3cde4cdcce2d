//! Three nodes with real groups over logs in memory.

use holdfast_inventory::LocationSpec;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holdfast_world::{IoFuture, StateBatch, StateStore, World};
use openraft::async_runtime::WatchReceiver;
use openraft::type_config::alias::EntryOf;
use openraft::{BasicNode, Config, RaftLogReader, SnapshotPolicy};
use tokio::time::Instant;

use super::network::Net;
use crate::checkpoint::{Checkpoints, ReceivedSnapshot, StoredSnapshot};
use crate::control::Control;
use crate::encode::SCHEMA;
use crate::eventually::PATIENCE;
pub(super) use crate::eventually::eventually;
use crate::log::{Incarnation, Log, LogId, LogOptions, LogRecord};
use crate::machine::{Machine, MachineKind};
use crate::meta::{Founding, MetaChange, encode_change};
use crate::segments::memory_disk::{MemoryDisk, memory_world};
use crate::stages::Stages;
use crate::store::{LogStore, MachineStore, SharedMachine};
use crate::transport::{
    GroupRaft, GroupRegistry, HandshakeError, NoReplica, NodeFacts, Refusal, Transport, TransportOptions, pulse,
};
use crate::types::{GroupId, NodeId, Payload, Types};

pub(super) const CLUSTER: &str = "test";

/// How often a leader is heard from.
pub(super) const HEARTBEAT_MS: u64 = 200;

pub(super) fn address(node: NodeId) -> String {
    format!("node-{node}:1")
}

/// One node and its groups.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) transport: Transport,
    pub(super) groups: Arc<Groups>,
    log: Log,
    control: Control,
    pub(super) world: World,
    store: Arc<dyn StateStore>,
}

/// What the transport asks.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) node: NodeId,
    pub(super) cluster: String,
    life: Mutex<Incarnation>,
    groups: Mutex<BTreeMap<GroupId, Running>>,
    pub(super) damaged: Mutex<BTreeMap<GroupId, String>>,
    pub(super) refused: Mutex<Option<String>>,
    /// A peer that was refused before, and why.
    pub(super) disbelieved: Mutex<Option<String>>,
    log: OnceLock<Log>,
}

struct Running {
    raft: GroupRaft,
    machine: SharedMachine,
    checkpoints: Arc<Checkpoints>,
}

impl Groups {
    fn rafts(&self) -> Vec<GroupRaft> {
        self.groups.lock().unwrap().values().map(|running| running.raft.clone()).collect()
    }
}

impl GroupRegistry for Groups {
    fn replica(&self, group: GroupId) -> Result<GroupRaft, NoReplica> {
        let node = self.node;
        if let Some(what) = self.damaged.lock().unwrap().get(&group) {
            return Err(NoReplica::Damaged { group, node, what: what.clone() });
        }
        let groups = self.groups.lock().unwrap();
        groups.get(&group).map(|running| running.raft.clone()).ok_or(NoReplica::Unknown { group, node })
    }

    fn incarnation(&self) -> Incarnation {
        *self.life.lock().unwrap()
    }

    fn facts(&self) -> NodeFacts {
        let (cluster_id, incarnation) = (self.cluster.clone(), self.incarnation());
        NodeFacts { cluster_id, node_id: self.node, incarnation, fresh: true, ..NodeFacts::default() }
    }

    fn greet<'a>(&'a self, _peer: &'a NodeFacts) -> BoxFuture<'a, Result<(), Refusal>> {
        let refused = self.refused.lock().unwrap().clone();
        Box::pin(async move { refused.map_or(Ok(()), |why| Err(Refusal::OlderCopy(why))) })
    }

    fn judged_by(&self, _: NodeId, _: Result<(), &HandshakeError>) {}

    fn refusal(&self, _peer: NodeId) -> Option<String> {
        self.disbelieved.lock().unwrap().clone()
    }

    fn heard(&self, _: GroupId, _: u64, _: Option<LogId>, _: Option<Duration>) {}

    fn may_lead(&self) -> bool {
        true
    }

    fn is_member(&self, _group: GroupId, node: NodeId) -> bool {
        (1..=3).contains(&node)
    }

    fn entry(&self, group: GroupId, id: LogId) -> BoxFuture<'_, Option<LogRecord>> {
        let log = self.log.get().cloned();
        Box::pin(async move { log?.entry(group, id).await.ok().flatten() })
    }

    fn checkpoint(&self, group: GroupId) -> Option<StoredSnapshot> {
        self.groups.lock().unwrap().get(&group)?.checkpoints.snapshot()
    }

    fn verify(&self, _group: GroupId, received: &ReceivedSnapshot) -> Result<(), String> {
        received.machine(&MachineKind::Meta).map(drop).map_err(|error| error.to_string())
    }
}

impl Node {
    /// From now on its peers are not believed, for this reason, or are.
    pub(super) fn refuses_peers(&self, why: Option<&str>) {
        *self.groups.refused.lock().unwrap() = why.map(str::to_owned);
    }

    /// From now on it lives this life.
    pub(super) fn lives(&self, life: Incarnation) {
        *self.groups.life.lock().unwrap() = life;
    }

    pub(super) async fn start(net: &Net, id: NodeId) -> Self {
        // Small chunks, so that a snapshot has several.
        Self::start_with(net, TransportOptions { chunk_bytes: 64 << 10, ..TransportOptions::new(id, CLUSTER) }).await
    }

    pub(super) async fn start_with(net: &Net, options: TransportOptions) -> Self {
        let (id, cluster) = (options.node_id, options.cluster_id.clone());
        let (world, _) = memory_world(&MemoryDisk::default());
        let world = World { network: net.of(&address(id)), ..world };
        let dir = Path::new("/node");
        world.disk.create_dir_all(dir).await.unwrap();
        let control = Control::create(&world, dir, 7, id).await.unwrap();
        control.begin_incarnation().await.unwrap();
        let log_options = LogOptions { segment_bytes: 1 << 20, spare_segments: 1, ..LogOptions::default() };
        let log_options = LogOptions { batch_bytes: 64 << 10, queue_bytes: 1 << 20, ..log_options };
        let (log, _) = Log::open(&world, &dir.join("log"), log_options, &control).await.unwrap();
        let transport = Transport::new(&world, options);
        let groups = Arc::new(Groups { node: id, cluster, ..Groups::default() });
        groups.log.set(log.clone()).expect("it is set once");
        net.serve(&address(id), transport.routes(groups.clone()));
        let running = Arc::downgrade(&groups);
        tokio::spawn(pulse(Duration::from_millis(HEARTBEAT_MS), move || Some(running.upgrade()?.rafts())));
        Self { id, transport, groups, log, control, world, store: Arc::new(MemoryStore::default()) }
    }

    pub(super) async fn start_group(&self, group: GroupId) {
        let checkpoints = Checkpoints::new(&self.world, group, self.store.clone(), &self.control, &self.log);
        let checkpoints = Arc::new(checkpoints);
        let (kind, fresh) = (MachineKind::Meta, Machine::fresh(&MachineKind::Meta));
        let machine =
            MachineStore::new(&self.world, group, kind, fresh, checkpoints.clone(), None, Stages::default()).unwrap();
        let shared = machine.machine();
        let config = Config {
            heartbeat_interval: HEARTBEAT_MS,
            enable_heartbeat: false,
            election_timeout_min: 1_000,
            election_timeout_max: 2_000,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: 0,
            purge_batch_size: 1,
            install_snapshot_timeout: 60_000,
            enable_pre_vote: Some(true),
            ..Config::default()
        };
        let config = Arc::new(config.validate().unwrap());
        let log = LogStore::new(self.log.clone(), group);
        let raft = GroupRaft::new(self.id, config, self.transport.factory(group), log, machine).await.unwrap();
        let running = Running { raft, machine: shared, checkpoints };
        self.groups.groups.lock().unwrap().insert(group, running);
    }

    /// Appends an entry to the node's own log, beside any Raft.
    pub(super) async fn append(&self, group: GroupId, record: LogRecord) {
        let (written, wait) = tokio::sync::oneshot::channel();
        let done = move |_| written.send(()).expect("the test waits");
        self.log.append(group, vec![record], Box::new(done)).await.unwrap();
        wait.await.unwrap();
    }

    pub(super) fn raft(&self, group: GroupId) -> GroupRaft {
        self.groups.groups.lock().unwrap()[&group].raft.clone()
    }

    /// What the group's machine holds here under that name: the name of a location.
    pub(super) fn setting(&self, group: GroupId, name: &str) -> Option<String> {
        let groups = self.groups.groups.lock().unwrap();
        groups[&group].machine.read(|machine| match machine {
            Machine::Meta(meta) => meta.locations().get(name).map(|known| known.spec.name.clone()),
            Machine::Shard(_) => None,
        })
    }

    pub(super) fn applied(&self, group: GroupId) -> u64 {
        let groups = self.groups.groups.lock().unwrap();
        let applied = groups[&group].machine.applied();
        let applied = *applied.borrow();
        applied.map_or(0, |id| id.index)
    }

    /// What the node's own log holds of a group.
    pub(super) async fn entries(&self, group: GroupId, indexes: Range<u64>) -> Vec<EntryOf<Types>> {
        LogStore::new(self.log.clone(), group).try_get_log_entries(indexes).await.unwrap()
    }

    pub(super) fn last_log_index(&self, group: GroupId) -> u64 {
        self.log.log_state(group).last.map_or(0, |id| id.index)
    }

    pub(super) fn leads(&self, group: GroupId) -> bool {
        let raft = self.raft(group);
        let metrics = raft.metrics();
        metrics.borrow_watched().current_leader == Some(self.id)
    }
}

/// Three nodes.
pub(super) struct Cluster {
    pub(super) net: Net,
    pub(super) nodes: Vec<Node>,
}

impl Cluster {
    pub(super) async fn start(groups: u64) -> Self {
        let net = Net::default();
        let mut nodes = Vec::new();
        for id in 1..=3 {
            nodes.push(Node::start(&net, id).await);
        }
        let members: BTreeMap<NodeId, BasicNode> = (1..=3).map(|id| (id, BasicNode { addr: address(id) })).collect();
        for group in (0..groups).map(GroupId) {
            for node in &nodes {
                node.start_group(group).await;
            }
            nodes[0].raft(group).initialize(members.clone()).await.unwrap();
        }
        let cluster = Self { net, nodes };
        for group in (0..groups).map(GroupId) {
            let leader = cluster.leader(group).await;
            let founding = Founding {
                cluster_id: CLUSTER.to_owned(),
                shards: 1,
                members: BTreeMap::new(),
                default_location: "main".to_owned(),
                customer_key: Vec::new(),
                shard_limits: Default::default(),
            };
            let bytes = encode_change(SCHEMA, 0, u128::MAX, &MetaChange::Found(founding));
            let found = Payload::of(bytes);
            // A fresh leader takes nothing before a majority has answered it.
            let deadline = Instant::now() + PATIENCE;
            while leader.raft(group).client_write(found.clone()).await.is_err() {
                assert!(Instant::now() < deadline, "not in time: the founding");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        cluster
    }

    /// The group's leader.
    pub(super) async fn leader(&self, group: GroupId) -> &Node {
        eventually("a leader", || self.nodes.iter().any(|node| node.leads(group))).await;
        self.nodes.iter().find(|node| node.leads(group)).unwrap()
    }

    /// A member that does not lead.
    pub(super) async fn follower(&self, group: GroupId) -> &Node {
        let leader = self.leader(group).await.id;
        self.nodes.iter().find(|node| node.id != leader).unwrap()
    }

    /// Cuts a node off from both others, or brings it back.
    pub(super) fn isolate(&self, node: &Node, cut: bool) {
        for other in self.nodes.iter().filter(|other| other.id != node.id) {
            let (a, b) = (address(node.id), address(other.id));
            if cut { self.net.cut(&a, &b) } else { self.net.heal(&a, &b) }
        }
    }

    /// Waits until every node has the setting.
    pub(super) async fn all_have(&self, group: GroupId, name: &str, value: &str) {
        for node in &self.nodes {
            let what = format!("node {} has {name} = {} bytes", node.id, value.len());
            eventually(&what, || node.setting(group, name).as_deref() == Some(value)).await;
        }
    }
}

pub(super) fn setting(number: u64, name: &str, value: &str) -> Payload {
    let spec = LocationSpec { name: value.to_owned(), ..LocationSpec::default() };
    let change = MetaChange::PutLocation { id: name.to_owned(), spec };
    Payload::of(encode_change(SCHEMA, number, u128::from(number), &change))
}

/// Writes a setting by the leader.
pub(super) async fn put(leader: &Node, group: GroupId, number: u64, name: &str, value: &str) {
    let raft = leader.raft(group);
    let written = tokio::time::timeout(PATIENCE, raft.client_write(setting(number, name, value))).await;
    written.expect("a write is answered").expect("the leader takes a write");
}

#[derive(Debug, Default)]
struct MemoryStore(Mutex<BTreeMap<String, BTreeMap<Vec<u8>, Bytes>>>);

fn now<'a, T: Send + 'a>(value: T) -> IoFuture<'a, T> {
    Box::pin(async move { Ok(value) })
}

impl StateStore for MemoryStore {
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()> {
        let mut trees = self.0.lock().unwrap();
        let tree = trees.entry(tree.to_owned()).or_default();
        for (key, value) in batch {
            match value {
                Some(value) => tree.insert(key, value),
                None => tree.remove(&key),
            };
        }
        now(())
    }

    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>> {
        now(self.0.lock().unwrap().get(tree).and_then(|tree| tree.get(key)).cloned())
    }

    fn keys<'a>(&'a self, tree: &'a str, prefix: &'a [u8]) -> IoFuture<'a, Vec<Vec<u8>>> {
        let trees = self.0.lock().unwrap();
        let keys = trees.get(tree).into_iter().flat_map(BTreeMap::keys);
        now(keys.filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn remove_tree<'a>(&'a self, tree: &'a str) -> IoFuture<'a, ()> {
        self.0.lock().unwrap().remove(tree);
        now(())
    }

    fn sync(&self) -> IoFuture<'_, ()> {
        now(())
    }

    fn close(&self) -> IoFuture<'_, ()> {
        now(())
    }
}
