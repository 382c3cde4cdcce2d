//! Three hosts, each in a folder of its own, that can be stopped and started again.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_inventory::commands::{PutItem, PutLocation, Receive};
use holdfast_inventory::{
    BodyHash, Command, CommandId, Entry, ItemSpec, Limits, LocationId, LocationSpec, LogTime, Operation, Sku, Units,
};
use holdfast_world::{ServeOptions, World};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use crate::encode::{EntryBuilder, SCHEMA, encode_command};
use crate::host::{Group, Host, HostOptions, ProposeError, StartGroupError};
use crate::log::LogOptions;
use crate::machine::MachineKind;
use crate::types::{GroupId, NodeId, Payload, Reply};

/// How long a cluster may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(86_400);

pub(super) const SHARD: GroupId = GroupId(1);

pub(super) struct Node {
    pub(super) host: Host,
    pub(super) shard: Group,
    /// A runtime of its own: when it goes, all of the node goes, connections too.
    runtime: Option<Runtime>,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A node without a group.
pub(super) struct Opened {
    pub(super) host: Host,
    runtime: Runtime,
}

impl Opened {
    pub(super) async fn start_shard(&self) -> Result<Group, StartGroupError> {
        let host = self.host.clone();
        let starting = async move { host.start_group(SHARD, MachineKind::Shard(Limits::default())).await };
        self.runtime.spawn(starting).await.unwrap()
    }
}

pub(super) struct Cluster {
    folder: TempDir,
    addresses: BTreeMap<NodeId, String>,
    /// The latest schema that a node understands, where it is not this build's.
    schemas: BTreeMap<NodeId, u32>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    deliveries: Deliveries,
    checkpoint_age: Duration,
    /// What of the log is kept in memory.
    cache_bytes: usize,
    scrub_pause: Duration,
    segment_bytes: u64,
    world: World,
}

impl Cluster {
    /// Three nodes with one shard that has begun.
    pub(super) async fn founded() -> Self {
        Self::founded_with(NEVER).await
    }

    /// The same, with checkpoints at that age.
    pub(super) async fn founded_with(checkpoint_age: Duration) -> Self {
        Self::founded_as(checkpoint_age, LogOptions::default().cache_bytes, NEVER).await
    }

    /// The same, with nothing of the log in memory, and scrubbed without a rest.
    pub(super) async fn founded_to_rot() -> Self {
        Self::founded_as(NEVER, 0, Duration::from_millis(20)).await
    }

    /// The same, with nothing of the log in memory, and never scrubbed.
    pub(super) async fn founded_to_be_read() -> Self {
        Self::founded_as(NEVER, 0, NEVER).await
    }

    /// The same, in another world than the real one, with segments of the log that no test fills.
    pub(super) async fn founded_in(world: World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::fresh(folder, NEVER, LogOptions::default().cache_bytes, NEVER, 8 << 20, world).founded_now().await
    }

    /// The same, of nodes that understand the schemas up to these.
    pub(super) async fn founded_by_versions(schemas: BTreeMap<NodeId, u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self::fresh(folder, NEVER, LogOptions::default().cache_bytes, NEVER, 1 << 20, World::real());
        cluster.schemas = schemas;
        cluster.founded_now().await
    }

    async fn founded_as(checkpoint_age: Duration, cache_bytes: usize, scrub_pause: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::fresh(folder, checkpoint_age, cache_bytes, scrub_pause, 1 << 20, World::real()).founded_now().await
    }

    fn fresh(
        folder: TempDir,
        checkpoint_age: Duration,
        cache_bytes: usize,
        scrub_pause: Duration,
        segment_bytes: u64,
        world: World,
    ) -> Self {
        let sockets: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = (1..).zip(sockets.iter().map(|socket| socket.local_addr().unwrap().to_string())).collect();
        drop(sockets);
        Self {
            folder,
            addresses,
            schemas: BTreeMap::new(),
            nodes: BTreeMap::new(),
            deliveries: Deliveries::default(),
            checkpoint_age,
            cache_bytes,
            scrub_pause,
            segment_bytes,
            world,
        }
    }

    async fn founded_now(mut self) -> Self {
        for id in 1..=3 {
            self.start(id).await;
        }
        self.nodes[&1].shard.initialize(self.addresses.clone()).await.unwrap();
        self.leader().await;
        self
    }

    /// A node's version from its next start on: it understands the schemas up to this one.
    pub(super) fn be_of_version(&mut self, id: NodeId, schema: u32) {
        self.schemas.insert(id, schema);
    }

    /// A node's address; one that has none yet is given one.
    pub(super) fn address(&mut self, id: NodeId) -> String {
        let fresh = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        self.addresses.entry(id).or_insert_with(fresh).clone()
    }

    pub(super) fn dir(&self, id: NodeId) -> PathBuf {
        self.folder.path().join(format!("node-{id}"))
    }

    fn options(&self, id: NodeId) -> HostOptions {
        HostOptions {
            peers: self.addresses.clone(),
            schema: self.schemas.get(&id).copied().unwrap_or(SCHEMA),
            heartbeat_ms: 60,
            // Many clusters share a machine in these tests: a stalled one must not lose its leader.
            election_min_ms: 750,
            election_max_ms: 1_500,
            // Checkpoints only where a test asks for one.
            checkpoint_entries: u64::MAX,
            checkpoint_bytes: u64::MAX,
            checkpoint_age: self.checkpoint_age,
            kept_entries: 0,
            scrub_bytes_per_s: 1 << 30,
            scrub_pause: self.scrub_pause,
            mend_patience: Duration::from_secs(2),
            log: LogOptions {
                segment_bytes: self.segment_bytes,
                cache_bytes: self.cache_bytes,
                ..LogOptions::default()
            },
            ..HostOptions::new(id, "test", self.dir(id))
        }
    }

    pub(super) async fn start(&mut self, id: NodeId) {
        let opened = self.open(id).await;
        let shard = opened.start_shard().await.unwrap();
        self.adopt(id, opened, shard);
    }

    /// A node whose shard was started.
    pub(super) fn adopt(&mut self, id: NodeId, Opened { host, runtime }: Opened, shard: Group) {
        self.nodes.insert(id, Node { host, shard, runtime: Some(runtime) });
    }

    /// Opens a node, and starts no group of it.
    pub(super) async fn open(&self, id: NodeId) -> Opened {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (options, address) = (self.options(id), self.addresses[&id].clone());
        // A network of its own: a connection lives on the runtime that made it.
        let world = World { network: World::real().network, ..self.world.clone() };
        let starting = runtime.spawn(async move {
            let host = Host::open(world.clone(), options).await.unwrap();
            let (routes, limits) = (host.peer_routes(), ServeOptions::default());
            let serving =
                world.network.serve(&address, routes, limits, Box::pin(std::future::pending())).await.unwrap();
            tokio::spawn(serving);
            host
        });
        let host = starting.await.unwrap();
        Opened { host, runtime }
    }

    /// Stops a node in order.
    pub(super) async fn stop(&mut self, id: NodeId) {
        self.nodes[&id].host.stop().await;
        self.crash(id).await;
    }

    /// Lets a node vanish amid whatever it does.
    pub(super) async fn crash(&mut self, id: NodeId) {
        let mut node = self.nodes.remove(&id).unwrap();
        let runtime = node.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
    }

    /// Gives a node no processor for a while, as a machine does that has others to run; ready when it is over.
    pub(super) async fn starve(&self, id: NodeId, time: Duration) {
        let runtime = self.nodes[&id].runtime.as_ref().unwrap();
        // It has one thread.
        runtime.spawn(async move { std::thread::sleep(time) }).await.unwrap();
    }

    /// Waits until `found` gives something.
    pub(super) async fn until<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            let states: Vec<_> = self.nodes.values().map(|node| node.shard.status()).collect();
            assert!(Instant::now() < deadline, "in vain: {what}; {states:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The node that all running ones take for the leader.
    pub(super) async fn leader(&self) -> NodeId {
        self.until("one leader", |cluster| {
            let mut named = cluster.nodes.values().map(|node| node.shard.leader());
            let leader = named.next()??;
            (named.all(|other| other == Some(leader)) && cluster.nodes.contains_key(&leader)).then_some(leader)
        })
        .await
    }

    /// The leader, and one of the others.
    pub(super) async fn leader_and_follower(&self) -> (NodeId, NodeId) {
        let leader = self.leader().await;
        (leader, if leader == 3 { 2 } else { 3 })
    }

    /// What a node warns of, a line each.
    pub(super) fn warnings(&self, id: NodeId) -> String {
        self.nodes[&id].host.warnings().join("\n")
    }

    /// Waits until a node warns in these words.
    pub(super) async fn until_warned(&self, id: NodeId, words: &str) {
        self.until(words, |cluster| cluster.warnings(id).contains(words).then_some(())).await;
    }

    /// Waits until all running nodes have applied everything that was acknowledged before the call, and have the same state.
    /// Sameness alone would not do: after a restart all are the same before the leader has told them what is committed.
    pub(super) async fn agreed(&self) -> u64 {
        let index = self.read_index().await;
        self.until("the same state", |cluster| {
            let mut states = cluster
                .nodes
                .values()
                .map(|node| node.shard.read_shard_at(|shard, applied| (applied, shard.digest(), shard.last_event())));
            let first = states.next()??;
            let applied = first.0.map_or(0, |id| id.index);
            (applied >= index && states.all(|other| other == Some(first))).then_some(applied)
        })
        .await
    }

    /// Up to where a linearizable read looks, following the leader.
    async fn read_index(&self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.leader().await;
            match self.nodes[&leader].shard.read_index().await {
                Ok(index) => return index,
                Err(error) => assert!(Instant::now() < deadline, "no read is confirmed: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An entry that creates an item and receives some of it.
    pub(super) fn delivery(&mut self, number: u64) -> Payload {
        self.deliveries.delivery(number, SCHEMA)
    }

    /// Proposes until it is applied, following the leader.
    pub(super) async fn commit(&self, payload: Payload) -> Reply {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "nothing is committed");
            let leader = self.leader().await;
            let proposed = self.nodes[&leader].shard.propose(payload.clone()).await;
            match proposed {
                Ok(proposal) => match proposal.applied().await {
                    Ok(reply) => return reply,
                    Err(ProposeError::NotLeader { .. } | ProposeError::Unknown { .. }) => {}
                    Err(error) => panic!("{error}"),
                },
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Changes the file of a node's log in which a text stands, at the text.
    pub(super) fn rot(&self, id: NodeId, text: &[u8], change: impl FnOnce(&mut [u8])) {
        let log = self.dir(id).join("log");
        let mut files: Vec<_> = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            let bytes = std::fs::read(&path).unwrap();
            let Some(at) = bytes.windows(text.len()).position(|window| window == text) else { continue };
            let file = std::fs::File::options().write(true).open(path).unwrap();
            let mut changed = bytes[at..at + text.len()].to_vec();
            change(&mut changed);
            // Only these bytes: the node may be writing others.
            std::os::unix::fs::FileExt::write_all_at(&file, &changed, at as u64).unwrap();
            return;
        }
        panic!("the log of node {id} does not hold {}", String::from_utf8_lossy(text));
    }

    /// Keeps a copy of a stopped node's folder.
    pub(super) fn keep_copy(&self, id: NodeId) {
        copy_folder(&self.dir(id), &self.folder.path().join("copy"));
    }

    /// Puts the copy in the place of a stopped node's folder.
    pub(super) fn put_copy_back(&self, id: NodeId) {
        std::fs::remove_dir_all(self.dir(id)).unwrap();
        copy_folder(&self.folder.path().join("copy"), &self.dir(id));
    }

    /// Commits deliveries on a node that leads.
    pub(super) async fn deliver_by(&mut self, leader: NodeId, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let payload = self.deliveries.delivery(number, self.nodes[&leader].shard.schema());
            self.nodes[&leader].shard.propose(payload).await.unwrap().applied().await.unwrap();
        }
    }

    /// Commits deliveries of items with these numbers.
    pub(super) async fn deliver(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let leader = self.leader().await;
            let payload = self.deliveries.delivery(number, self.nodes[&leader].shard.schema());
            self.commit(payload).await;
        }
    }

    /// Takes a checkpoint on a node and purges its log behind it.
    pub(super) async fn checkpoint(&self, id: NodeId) -> u64 {
        let shard = &self.nodes[&id].shard;
        let index = shard.checkpoint(0, Instant::now() + PATIENCE).await.unwrap();
        self.until("the purge", |_| (shard.status().purged_index >= index).then_some(())).await;
        index
    }

    /// The same on every node that runs.
    pub(super) async fn checkpoint_all(&self) {
        for id in self.nodes.keys() {
            assert!(self.checkpoint(*id).await > 0);
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Entries that bring goods.
#[derive(Default)]
pub(super) struct Deliveries {
    /// Of the next command.
    number: u64,
}

impl Deliveries {
    /// Commands with numbers after this one.
    pub(super) fn beyond(number: u64) -> Self {
        Self { number }
    }

    fn command(&mut self, operation: Operation) -> Command {
        self.number += 1;
        Command {
            id: CommandId(u128::from(self.number)),
            minted_at: LogTime(1),
            keyed: true,
            body: BodyHash::default(),
            linked: false,
            cause: None,
            operation,
        }
    }

    /// An entry that receives some of an item that is there, as the `number`th command: one that comes again changes nothing.
    pub(super) fn restocking(&mut self, number: u64, item: u64) -> Payload {
        let (sku, location) = (Sku::new(&format!("SKU-{item}")).unwrap(), LocationId::new("main").unwrap());
        let mut command = self.command(Operation::Receive(Receive {
            sku,
            location,
            lot: None,
            lot_spec: None,
            units: Units(1),
            receipt: None,
        }));
        command.id = CommandId(u128::from(number));
        self.entry(vec![command], SCHEMA)
    }

    /// An entry in this schema that creates an item and receives some of it.
    pub(super) fn delivery(&mut self, number: u64, schema: u32) -> Payload {
        let sku = Sku::new(&format!("SKU-{number}")).unwrap();
        let location = LocationId::new("main").unwrap();
        let place = PutLocation { location: location.clone(), spec: LocationSpec::default(), if_revision: None };
        let item = PutItem { sku: sku.clone(), spec: ItemSpec::default(), if_revision: None, if_absent: true };
        let delivery = Receive { sku, location, lot: None, lot_spec: None, units: Units(3), receipt: None };
        let commands = vec![
            self.command(Operation::PutLocation(Box::new(place))),
            self.command(Operation::PutItem(Box::new(item))),
            self.command(Operation::Receive(delivery)),
        ];
        self.entry(commands, schema)
    }

    fn entry(&mut self, mut commands: Vec<Command>, schema: u32) -> Payload {
        let time = LogTime(1_000 + self.number);
        let mut entry = EntryBuilder::new(time, schema);
        for command in &mut commands {
            entry.push(&encode_command(command));
        }
        Payload::decoded(entry.finish(), Entry { time, commands })
    }
}
