//! Whole nodes in one process, over loopback: what a client is promised of one node and of three.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast_client::v1::command_result::Outcome;
use holdfast_client::{Client, ClientOptions, Command, Consistency, PutItem, Receive, Release, Reserve, v1};
use holdfast_inventory::Sku;
use holdfast_node::config::NodeAddresses;
use holdfast_node::{Node, NodeConfig, Overrides, StartError};
use holdfast_raft::types::GroupId;
use holdfast_world::{Clock, RealClock, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(30);

/// Addresses of `count` nodes on ports that nobody has.
fn addresses(count: u64) -> Vec<NodeAddresses> {
    // All are held until all are chosen, so that no two are the same.
    let listeners: Vec<TcpListener> =
        (0..2 * count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let address = |at: u64| listeners[at as usize].local_addr().expect("a bound port").to_string();
    (0..count)
        .map(|at| NodeAddresses { id: at + 1, client: address(2 * at), peer: address(2 * at + 1), http: None })
        .collect()
}

fn config(dir: &Path, nodes: &[NodeAddresses], node_id: u64, shards: u32) -> NodeConfig {
    let text = "cluster_id = \"test\"\nnode_id = 1\nnodes = []";
    let mut config: NodeConfig = toml::from_str(text).expect("the least configuration");
    config.node_id = node_id;
    config.nodes = nodes.to_vec();
    config.shards = shards;
    config.data_dir = dir.join("node-{id}");
    config.raft.heartbeat_ms = 100;
    config.raft.election_min_ms = 300;
    config.raft.election_max_ms = 600;
    config.limits.segment_bytes = 4 * 1_024 * 1_024;
    config
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

struct Cluster {
    dir: tempfile::TempDir,
    addresses: Vec<NodeAddresses>,
    shards: u32,
    /// The longest hold that a node's file says, by its id.
    max_hold_s: fn(u64) -> u32,
    nodes: Vec<Option<Node>>,
}

impl Cluster {
    async fn start(count: u64, shards: u32) -> Self {
        Self::start_with(count, shards, |_| 14_400).await
    }

    async fn start_with(count: u64, shards: u32, max_hold_s: fn(u64) -> u32) -> Self {
        let _ = tracing_subscriber::fmt().with_test_writer().with_env_filter("warn,holdfast=info").try_init();
        let dir = tempfile::tempdir().expect("a folder");
        let addresses = addresses(count);
        let mut cluster = Self { dir, addresses, shards, max_hold_s, nodes: Vec::new() };
        for id in 1..=count {
            let node = cluster.start_node(id).await.expect("the node starts");
            cluster.nodes.push(Some(node));
        }
        cluster.until_ready().await;
        cluster
    }

    async fn start_node(&self, id: u64) -> Result<Node, StartError> {
        let mut config = config(self.dir.path(), &self.addresses, id, self.shards);
        config.shard_limits.max_hold_s = (self.max_hold_s)(id);
        Node::start(World::real(), config).await
    }

    async fn until_ready(&self) {
        for node in self.nodes.iter().flatten() {
            until("the node is ready", async || node.is_ready()).await;
        }
    }

    async fn client(&self) -> Client {
        let addresses = self.addresses.iter().map(|node| node.client.clone());
        Client::connect(ClientOptions::new(addresses)).await.expect("a node answers")
    }

    async fn stop(mut self) {
        for node in self.nodes.drain(..).flatten() {
            node.stop().await;
        }
    }
}

fn item(sku: &str) -> Command {
    PutItem::new(v1::Item { sku: sku.to_owned(), name: sku.to_owned(), ..Default::default() }).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_sells_what_it_has_and_no_more() {
    let cluster = Cluster::start(1, 2).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    client.receive(Receive::of("LIP-1", 5)).await.unwrap();
    let held = client.reserve(Reserve::new().line("LIP-1", 3)).await.unwrap();
    let refused = client.reserve(Reserve::new().line("LIP-1", 3)).await.unwrap_err();
    assert!(refused.to_string().contains('2'), "{refused}");
    client.commit(held.reservation_id.unwrap()).await.unwrap();
    let stock = client.stock("LIP-1", None).await.unwrap();
    assert_eq!(stock.value.atp, 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_started_again_has_what_it_acknowledged() {
    let mut cluster = Cluster::start(1, 2).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    client.receive(Receive::of("LIP-1", 7)).await.unwrap();
    let node = cluster.nodes[0].take().unwrap();
    node.stop().await;
    drop(node);
    cluster.nodes[0] = Some(cluster.start_node(1).await.expect("it starts again"));
    cluster.until_ready().await;
    let client = cluster.client().await;
    assert_eq!(client.stock("LIP-1", None).await.unwrap().value.atp, 7);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_go_on_when_one_is_stopped() {
    let mut cluster = Cluster::start(3, 2).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    client.receive(Receive::of("LIP-1", 10)).await.unwrap();
    let leader = cluster.nodes[0].as_ref().unwrap().group(GroupId::of_shard(0)).unwrap().leader().unwrap();
    let node = cluster.nodes[leader as usize - 1].take().unwrap();
    node.stop().await;
    drop(node);
    for _ in 0..5 {
        let held = client.reserve(Reserve::new().line("LIP-1", 1)).await.unwrap();
        client.execute(Release::of(held.reservation_id.unwrap())).await.unwrap();
    }
    assert_eq!(client.stock("LIP-1", None).await.unwrap().value.atp, 10);
    cluster.nodes[leader as usize - 1] = Some(cluster.start_node(leader).await.expect("it starts again"));
    cluster.until_ready().await;
    let token = client.token(client.shard_of("LIP-1")).expect("a token of the last command");
    let stale = client.reader(Consistency::AtLeast(token)).stock("LIP-1", None).await.unwrap();
    assert_eq!(stale.value.atp, 10);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_folder_was_wiped_refuses_to_start() {
    let mut cluster = Cluster::start(3, 1).await;
    let node = cluster.nodes[2].take().unwrap();
    node.stop().await;
    drop(node);
    std::fs::remove_dir_all(cluster.dir.path().join("node-3")).unwrap();
    let wiped = cluster.start_node(3).await.expect("it listens, and asks the others");
    let error = wiped.wait().await.unwrap_err();
    assert!(matches!(*error, StartError::FreshAmongKnown { node: 3, .. }), "{error}");
    assert!(error.hint().contains("holdfast cluster replace"));
    wiped.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_each_command_and_a_chain_stands_or_falls_whole() {
    let cluster = Cluster::start(1, 1).await;
    let client = cluster.client().await;
    let receive = |units: u32| Command::from(Receive::of("LIP-1", units));
    let hold = |units: u32| Command::from(Reserve::new().line("LIP-1", units));
    let commands = vec![item("LIP-1"), receive(5), hold(2).linked(), hold(9), hold(3)];
    let answers = client.execute_batch(commands).await;
    let done: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(done, [true, true, false, false, true], "{answers:?}");
    assert_eq!(client.stock("LIP-1", None).await.unwrap().value.atp, 2);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_answers_every_request_by_its_number_and_outlives_a_bad_one() {
    let cluster = Cluster::start(1, 1).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", cluster.addresses[0].client)).unwrap();
    let mut wire = v1::inventory_service_client::InventoryServiceClient::new(channel.connect_lazy());
    let minted_at_ms = client.cluster_time_ms();
    let receive = move |number: u64| {
        let receive = v1::Receive { sku: "LIP-1".to_owned(), units: 1, ..Default::default() };
        let command = v1::Command {
            command_id: Some(v1::Id { high: 7, low: number + 1 }),
            minted_at_ms,
            operation: Some(v1::command::Operation::Receive(receive)),
            ..Default::default()
        };
        // The last one has no command: it is refused, and the stream goes on.
        let commands = if number == 199 { Vec::new() } else { vec![command] };
        v1::SessionRequest { number, commands, ..Default::default() }
    };
    let requests = tokio_stream::iter((0..200).map(receive));
    let mut replies = wire.session(requests).await.unwrap().into_inner();
    let mut numbers = std::collections::BTreeSet::new();
    let mut refused = 0;
    while let Some(reply) = replies.message().await.unwrap() {
        assert!(numbers.insert(reply.number), "{} is answered twice", reply.number);
        refused += reply.results.iter().filter(|it| matches!(it.outcome, Some(Outcome::Error(_)))).count();
    }
    assert_eq!((numbers.len(), refused), (200, 1));
    assert_eq!(client.stock("LIP-1", None).await.unwrap().value.atp, 199);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_are_told_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let mut nodes = addresses(2);
    let http = nodes.remove(1).client;
    nodes[0].http = Some(http.clone());
    let node = Node::start(World::real(), config(dir.path(), &nodes, 1, 1)).await.unwrap();
    until("the node is ready", async || node.is_ready()).await;
    let get = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(&http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(get("/livez").await.starts_with("HTTP/1.1 200"));
    let ready = get("/readyz?verbose").await;
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("shard 0: leader 1"), "{ready}");
    let metrics = get("/metrics").await;
    assert!(metrics.contains("holdfast_ready 1") && metrics.contains("holdfast_group_log_index"), "{metrics}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_takes_the_place_of_a_dead_one() {
    let mut cluster = Cluster::start(3, 1).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    client.receive(Receive::of("LIP-1", 10)).await.unwrap();
    let dead = cluster.nodes[2].take().unwrap();
    dead.stop().await;
    drop(dead);
    let mut fresh = addresses(1).remove(0);
    fresh.id = 4;
    let mut nodes = cluster.addresses.clone();
    nodes.push(fresh.clone());
    let mut joining = config(cluster.dir.path(), &nodes, 4, 1);
    joining.join = true;
    let fourth = Node::start(World::real(), joining).await.unwrap();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", cluster.addresses[0].client)).unwrap();
    let mut operator = v1::cluster_service_client::ClusterServiceClient::new(channel.connect_lazy());
    let request = v1::ReplaceNodeRequest { node_id: 3, peer_address: fresh.peer.clone() };
    let member = operator.replace_node(request).await.unwrap().into_inner().member.unwrap();
    assert_eq!((member.node_id, member.client_address), (4, fresh.client));
    until("the fresh node is ready", async || fourth.is_ready()).await;
    let group = fourth.group(GroupId::of_shard(0)).unwrap();
    until("it votes", async || group.status().voters.iter().copied().eq([1, 2, 4])).await;
    // With one of the old nodes gone too, the fresh one is needed for a majority.
    let second = cluster.nodes[1].take().unwrap();
    second.stop().await;
    client.receive(Receive::of("LIP-1", 1)).await.unwrap();
    assert_eq!(client.stock("LIP-1", None).await.unwrap().value.atp, 11);
    fourth.stop().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_ready_has_everything_that_was_acknowledged_before_its_start() {
    let mut cluster = Cluster::start(3, 1).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    for round in 1..=3 {
        cluster.nodes[2].take().unwrap().stop().await;
        for units in 1..=100 {
            client.receive(Receive::of("LIP-1", units)).await.unwrap();
        }
        let third = cluster.start_node(3).await.expect("it starts again");
        until("the node is ready", async || third.is_ready()).await;
        let group = third.group(GroupId::of_shard(0)).unwrap();
        let sku = Sku::new("LIP-1").unwrap();
        let atp = group.read_shard(|shard| shard.atp(&sku, None).expect("the item is known"));
        assert_eq!(atp, Some(round * 5_050), "round {round}");
        cluster.nodes[2] = Some(third);
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = addresses(2);
    let first = Node::start(World::real(), config(dir.path(), &addresses, 1, 1)).await.unwrap();
    let mut other = config(dir.path(), &addresses, 2, 1);
    other.cluster_id = "other".to_owned();
    let second = Node::start(World::real(), other).await.unwrap();
    let error = second.wait().await.unwrap_err();
    assert!(matches!(*error, StartError::OtherCluster { .. }), "{error}");
    first.stop().await;
    second.stop().await;
}

/// The system's clock, so many milliseconds ahead.
#[derive(Debug, Default)]
struct AheadClock {
    system: RealClock,
    ahead_ms: AtomicI64,
}

impl Clock for AheadClock {
    fn wall_ms(&self) -> u64 {
        self.system.wall_ms().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }
}

/// A node in a runtime of its own: dropped, it is gone at once and hands nothing over.
struct Alone {
    node: Arc<Node>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Alone {
    async fn start(config: NodeConfig, clock: Arc<AheadClock>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let starting = runtime.spawn(async move {
            let world = World { clock, ..World::real() };
            Node::start(world, config).await
        });
        let node = Arc::new(starting.await.expect("no panic").expect("the node starts"));
        Self { node, runtime: Some(runtime) }
    }

    async fn crash(mut self) {
        let runtime = self.runtime.take().expect("a node crashes once");
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.expect("no panic");
    }

    fn leads(&self, groups: u64) -> usize {
        (0..groups).filter(|id| self.node.group(GroupId(*id)).is_some_and(|group| group.is_leader())).count()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether all replicas of each group have the same entries: then each may be elected, as far as the log goes.
fn have_the_same(nodes: &[&Alone], groups: u64) -> bool {
    let last = |node: &Alone| -> Vec<_> {
        let statuses = (0..groups).map(|id| node.node.group(GroupId(id)).map(|group| group.status()));
        statuses.map(|status| status.map(|status| status.last_log_index)).collect()
    };
    nodes.windows(2).all(|pair| last(pair[0]) == last(pair[1]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_off_is_not_elected_until_it_is_right() {
    const SHARDS: u32 = 8;
    const GROUPS: u64 = 1 + SHARDS as u64;
    let dir = tempfile::tempdir().unwrap();
    let addresses = addresses(3);
    let clocks: Vec<_> = (0..3).map(|_| Arc::new(AheadClock::default())).collect();
    let set = |id: usize, ahead_ms: i64| clocks[id - 1].ahead_ms.store(ahead_ms, Ordering::Relaxed);
    let start = async |id: u64| {
        Alone::start(config(dir.path(), &addresses, id, SHARDS), Arc::clone(&clocks[id as usize - 1])).await
    };
    set(3, 60_000);
    let (first, second, third) = (start(1).await, start(2).await, start(3).await);
    for each in [&first, &second, &third] {
        until("the node is ready", async || each.node.is_ready()).await;
    }
    let leads_all = async |node: &Alone, wrong: &Alone| {
        assert_eq!(wrong.leads(GROUPS), 0, "the node whose clock is off was elected");
        node.leads(GROUPS) as u64 == GROUPS
    };
    // What it may have come to lead before the clocks were compared it hands over.
    until("the third node leads nothing", async || third.leads(GROUPS) == 0).await;
    until("all have the same", async || have_the_same(&[&first, &second, &third], GROUPS)).await;
    first.crash().await;
    until("the second leads all", async || leads_all(&second, &third).await).await;
    let first = start(1).await;
    until("the first is ready again", async || first.node.is_ready()).await;
    until("all have the same", async || have_the_same(&[&first, &second, &third], GROUPS)).await;
    second.crash().await;
    until("the first leads all", async || leads_all(&first, &third).await).await;

    // Now it is the second's clock that is off.
    set(3, 0);
    set(2, 60_000);
    let second = start(2).await;
    until("the second is ready again", async || second.node.is_ready()).await;
    until("the third is trusted again", async || third.leads(GROUPS) > 0).await;
    until("the second leads nothing", async || second.leads(GROUPS) == 0).await;
    until("all have the same", async || have_the_same(&[&first, &second, &third], GROUPS)).await;
    first.crash().await;
    until("the third leads all", async || leads_all(&third, &second).await).await;
}

/// The longest hold, as each replica of each shard has it.
fn longest_holds(cluster: &Cluster) -> Vec<u32> {
    let shards = (0..cluster.shards).map(GroupId::of_shard);
    let nodes = cluster.nodes.iter().flatten();
    let groups = shards.flat_map(|id| nodes.clone().filter_map(move |node| node.group(id)));
    groups.map(|group| group.read_shard(|shard| shard.limits().max_hold_s).expect("a shard")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limits_a_cluster_was_founded_with_stay_whatever_a_file_says_later() {
    let mut cluster = Cluster::start_with(1, 2, |_| 60).await;
    let client = cluster.client().await;
    client.execute(item("LIP-1")).await.unwrap();
    client.receive(Receive::of("LIP-1", 9)).await.unwrap();
    let hold_ms = async |client: &Client| {
        let held = client.reserve(Reserve::new().line("LIP-1", 1).ttl(Duration::from_secs(600))).await.unwrap();
        let id = held.reservation_id.unwrap();
        let reservation = client.reservation(id).await.unwrap().value;
        reservation.expires_at_ms - reservation.created_at_ms
    };
    assert_eq!(hold_ms(&client).await, 60_000);
    cluster.nodes[0].take().unwrap().stop().await;
    cluster.max_hold_s = |_| 120;
    cluster.nodes[0] = Some(cluster.start_node(1).await.expect("it starts again"));
    cluster.until_ready().await;
    let client = cluster.client().await;
    assert_eq!(hold_ms(&client).await, 60_000);
    let said = client.status(1).await.unwrap().warnings.join("\n");
    assert!(said.contains("the setting `shard_limits.max_hold_s` is 120 here and 60 in the cluster"), "{said}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_have_the_same_limits_where_the_files_of_their_nodes_differ() {
    let cluster = Cluster::start_with(3, 2, |id| 60 * id as u32).await;
    let holds = longest_holds(&cluster);
    assert_eq!(holds.len(), 6);
    // Those of the node that founded the cluster.
    assert!([60, 120, 180].contains(&holds[0]) && holds.iter().all(|hold| *hold == holds[0]), "{holds:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_tells_its_age_on_an_idle_shard_and_on_a_node_that_is_cut_off() {
    const HOUR_MS: u64 = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    let addresses = addresses(3);
    let clock = Arc::new(AheadClock::default());
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(Alone::start(config(dir.path(), &addresses, id, 1), Arc::clone(&clock)).await);
    }
    for each in &nodes {
        until("the node is ready", async || each.node.is_ready()).await;
    }
    let clients = addresses.iter().map(|node| node.client.clone());
    let client = Client::connect(ClientOptions::new(clients)).await.expect("a node answers");
    client.execute(item("LIP-1")).await.unwrap();
    let read = async |id: usize| {
        let url = format!("http://{}", addresses[id - 1].client);
        let channel = tonic::transport::Endpoint::from_shared(url).unwrap();
        let mut wire = v1::inventory_service_client::InventoryServiceClient::new(channel.connect_lazy());
        let consistency = v1::Consistency { level: Some(v1::consistency::Level::Stale(true)) };
        let request = v1::GetItemRequest { sku: "LIP-1".to_owned(), consistency: Some(consistency) };
        let reply = wire.get_item(request).await;
        reply.ok().and_then(|reply| reply.into_inner().freshness)
    };
    for id in 1..=3 {
        until("the replica has the item", async || read(id).await.is_some()).await;
    }
    // Nothing is written for an hour by every node's clock.
    clock.ahead_ms.store(HOUR_MS.cast_signed(), Ordering::Relaxed);
    for id in 1..=3 {
        let freshness = read(id).await.unwrap();
        assert!(freshness.log_time_ms + HOUR_MS / 2 < clock.wall_ms(), "the shard is not idle: {freshness:?}");
        until("the replica is younger than its last entry", async || read(id).await.unwrap().age_ms < HOUR_MS / 2)
            .await;
    }
    let last = nodes.pop().unwrap();
    for node in nodes {
        node.crash().await;
    }
    until("the last node's replica ages", async || read(3).await.unwrap().age_ms > 1_500).await;
    drop(last);
}

#[test]
fn the_least_configuration_is_valid_once_it_lists_the_node() {
    let dir = Path::new("data");
    config(dir, &addresses(3), 2, 4).check().unwrap();
    let flags = Overrides::default();
    assert!(NodeConfig::from_text("cluster_id = \"test\"", &flags).is_err());
}
