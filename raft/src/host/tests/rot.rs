//! Rot while a node runs, and where nobody has a copy: found, named and mended, and never voted with.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holdfast_inventory::Limits;
use holdfast_world::{ServeOptions, World};
use tokio::time::Instant;

use super::cluster::{Cluster, Deliveries, SHARD};
use super::troubled_stores::{Trouble, troubled};
use crate::checkpoint::{ReceivedSnapshot, StoredSnapshot};
use crate::encode::SCHEMA;
use crate::eventually::{PATIENCE, eventually};
use crate::host::{Host, HostOptions, ScrubStatus, StartGroupError};
use crate::log::{Incarnation, LogId, LogOptions, LogRecord};
use crate::machine::MachineKind;
use crate::transport::{
    GroupRaft, GroupRegistry, HandshakeError, NoReplica, NodeFacts, Refusal, Transport, TransportOptions,
};
use crate::types::{GroupId, NodeId};

fn flip(bytes: &mut [u8]) {
    bytes[0] ^= 0x20;
}

/// Two nodes are the least that decide: with one of the others gone, this one's vote is needed.
async fn it_votes(cluster: &mut Cluster, id: NodeId, numbers: std::ops::Range<u64>) {
    let gone = if id == 1 { 2 } else { 1 };
    cluster.crash(gone).await;
    cluster.deliver(numbers).await;
    cluster.agreed().await;
    cluster.start(gone).await;
    cluster.agreed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_rots_while_its_group_runs_is_fetched_from_a_peer_and_the_group_votes_again() {
    let mut cluster = Cluster::founded_to_rot().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    let leader = cluster.leader().await;
    // A leader and a follower: both are mended.
    for (id, text) in [(leader, b"SKU-7"), (if leader == 3 { 2 } else { 3 }, b"SKU-9")] {
        cluster.rot(id, text, flip);
        cluster
            .until("it is found and mended", |cluster| {
                let status = cluster.nodes[&id].host.scrub_status();
                (status.rotten_entries == 1 && status.mended_entries == 1).then_some(())
            })
            .await;
        assert!(cluster.nodes[&id].host.damage().is_empty());
        it_votes(&mut cluster, id, 30..35).await;
        // The copy is durable.
        cluster.stop(id).await;
        cluster.start(id).await;
        let status = cluster.nodes[&id].host.scrub_status();
        assert_eq!((status.rotten_entries, cluster.nodes[&id].host.warnings()), (0, Vec::new()));
    }
    cluster.agreed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_reads_a_rotten_entry_for_a_follower_fetches_it_from_the_other_and_goes_on() {
    let mut cluster = Cluster::founded_to_be_read().await;
    cluster.deliver(0..5).await;
    cluster.agreed().await;
    let leader = cluster.leader().await;
    let lagging = if leader == 3 { 2 } else { 3 };
    cluster.stop(lagging).await;
    cluster.deliver(5..30).await;
    cluster.agreed().await;
    let leader = cluster.leader().await;
    cluster.rot(leader, b"SKU-21", flip);
    cluster.start(lagging).await;
    cluster.agreed().await;
    let status = cluster.nodes[&leader].host.scrub_status();
    assert_eq!((status.rotten_entries, status.mended_entries), (1, 1));
    it_votes(&mut cluster, leader, 30..35).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_rots_on_two_of_three_nodes_is_fetched_from_the_third() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    let before = cluster.agreed().await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in [1, 2] {
        cluster.rot(id, b"SKU-7", flip);
    }
    // The third is there first: the other two are no majority for what they say before they are whole.
    let third = cluster.open(3).await;
    let shard = third.start_shard().await.unwrap();
    cluster.adopt(3, third, shard);
    for id in [1, 2] {
        cluster.start(id).await;
        let status = cluster.nodes[&id].host.scrub_status();
        assert_eq!((status.rotten_entries, status.mended_entries), (1, 1));
    }
    assert!(cluster.agreed().await >= before);
    cluster.deliver(30..32).await;
    cluster.agreed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_peers_are_gone_waits_a_while_says_so_and_is_mended_when_they_are_back() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    let before = cluster.agreed().await;
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    cluster.rot(3, b"SKU-7", flip);
    let alone = cluster.open(3).await;
    let waited = tokio::time::timeout(PATIENCE, alone.start_shard()).await.expect("it does not wait for ever");
    match waited {
        Err(StartGroupError::Damaged { what, is_mendable, .. }) => {
            assert!(is_mendable);
            assert!(what.contains("rotten") && what.contains("start those that are down"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    let warnings = alone.host.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("no other member gives yet")), "{warnings:?}");
    cluster.start(1).await;
    cluster.start(2).await;
    let shard = alone.start_shard().await.unwrap();
    cluster.adopt(3, alone, shard);
    assert!(cluster.agreed().await >= before);
    it_votes(&mut cluster, 3, 30..32).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_does_not_say_what_it_holds_is_left_behind_while_the_node_knows() {
    let mut cluster = Cluster::founded_to_rot().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    let leader = cluster.leader().await;
    let follower = if leader == 3 { 2 } else { 3 };
    // The first batch of the log.
    cluster.rot(follower, b"HFBATCH\0", flip);
    cluster
        .until("the segment is out of use", |cluster| {
            let status = cluster.nodes[&follower].host.scrub_status();
            (status.rotten_segments == 1 && status.mended_segments == 1).then_some(())
        })
        .await;
    it_votes(&mut cluster, follower, 30..35).await;
    cluster.stop(follower).await;
    cluster.start(follower).await;
    assert!(cluster.nodes[&follower].host.warnings().is_empty(), "{:?}", cluster.nodes[&follower].host.warnings());
    cluster.agreed().await;
}

/// A peer that gives entries which are not what was asked for.
struct Liar;

impl GroupRegistry for Liar {
    fn replica(&self, group: GroupId) -> Result<GroupRaft, NoReplica> {
        Err(NoReplica::Unknown { group, node: 2 })
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation::default()
    }

    fn facts(&self) -> NodeFacts {
        NodeFacts { cluster_id: "test".to_owned(), node_id: 2, ..NodeFacts::default() }
    }

    fn greet<'a>(&'a self, _: &'a NodeFacts) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn judged_by(&self, _: NodeId, _: Result<(), &HandshakeError>) {}

    fn refusal(&self, _: NodeId) -> Option<String> {
        None
    }

    fn heard(&self, _: GroupId, _: u64, _: Option<LogId>, _: Option<Duration>) {}

    fn may_lead(&self) -> bool {
        false
    }

    fn is_member(&self, _: GroupId, _: NodeId) -> bool {
        true
    }

    fn entry(&self, _: GroupId, id: LogId) -> BoxFuture<'_, Option<LogRecord>> {
        let LogId { term, leader_node, index } = id;
        let payload = Bytes::from_static(b"something else");
        Box::pin(std::future::ready(Some(LogRecord { index, term, leader_node, kind: 1, payload })))
    }

    fn checkpoint(&self, _: GroupId) -> Option<StoredSnapshot> {
        None
    }

    fn verify(&self, _: GroupId, _: &ReceivedSnapshot) -> Result<(), String> {
        Ok(())
    }
}

/// A node that is its whole cluster, with another one listed beside it.
async fn alone(dir: &Path, world: World, other: &str) -> Host {
    let options = HostOptions {
        peers: BTreeMap::from([(2, other.to_owned())]),
        checkpoint_entries: u64::MAX,
        checkpoint_age: Duration::from_secs(86_400),
        scrub_bytes_per_s: 1 << 30,
        scrub_pause: Duration::from_millis(20),
        mend_patience: Duration::from_secs(1),
        kept_entries: 0,
        log: LogOptions { segment_bytes: 1 << 20, cache_bytes: 0, ..LogOptions::default() },
        ..HostOptions::new(1, "test", dir)
    };
    Host::open(world, options).await.unwrap()
}

async fn started(host: &Host) -> crate::host::Group {
    host.start_group(SHARD, MachineKind::Shard(Limits::default())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_gives_a_wrong_entry_is_refused_and_the_group_stays_out() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    drop(socket);
    let world = World::real();
    let transport = Transport::new(&world, TransportOptions::new(2, "test"));
    let routes = transport.routes(Arc::new(Liar));
    let serving = world.network.serve(&address, routes, ServeOptions::default(), Box::pin(std::future::pending()));
    tokio::spawn(serving.await.unwrap());

    let host = alone(&dir, world.clone(), &address).await;
    let group = started(&host).await;
    group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    eventually("the first entries are applied", || group.applied_index() > 0).await;
    host.stop().await;
    drop((host, group));

    // The membership is the first entry: its address stands in it.
    let path = dir.join("log").join("00000001.segment");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(11).position(|window| window == b"127.0.0.1:1").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let host = alone(&dir, world, &address).await;
    let refused = host.start_group(SHARD, MachineKind::Shard(Limits::default())).await;
    assert!(matches!(refused, Err(StartGroupError::Damaged { is_mendable: true, .. })), "{refused:?}");
    let warnings = host.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("they are refused")), "{warnings:?}");
    let ScrubStatus { rotten_entries, mended_entries, .. } = host.scrub_status();
    assert_eq!((rotten_entries, mended_entries), (1, 0));
    host.stop().await;
}

/// Values rot when it is said, until they are written under another key.
#[derive(Debug, Default)]
struct Rotten(Mutex<Vec<Vec<u8>>>);

impl Trouble for Rotten {
    fn read(&self, _dir: &Path, _tree: &str, key: &[u8], value: Option<Bytes>) -> io::Result<Option<Bytes>> {
        let is_rotten = self.0.lock().unwrap().iter().any(|rotten| rotten == key);
        let changed = |value: Bytes| {
            let mut bytes = value.to_vec();
            *bytes.last_mut().expect("no value is empty") ^= 1;
            bytes.into()
        };
        Ok(if is_rotten { value.map(changed) } else { value })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rots_of_a_checkpoint_is_written_anew_from_memory() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let rotten = Arc::new(Rotten::default());
    let world = troubled(&rotten);
    let host = alone(&dir, world.clone(), "127.0.0.1:1").await;
    let group = started(&host).await;
    group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    let mut deliveries = Deliveries::default();
    for number in 0..20 {
        eventually("it leads", || group.is_leader()).await;
        group.propose(deliveries.delivery(number, SCHEMA)).await.unwrap().applied().await.unwrap();
    }
    group.checkpoint(0, Instant::now() + PATIENCE).await.unwrap();
    let first_pass = host.scrub_status().passes;
    eventually("a pass over what is whole", || host.scrub_status().passes > first_pass + 1).await;
    assert_eq!(host.scrub_status().rotten_chunks, 0);
    assert!(host.scrub_status().state_bytes > 0);

    let keys = |prefix: &'static [u8; 1]| {
        let store = host.inner.store.clone();
        async move { store.keys(&format!("group-{}", SHARD.0), prefix).await.unwrap() }
    };
    // A chunk of the state, then the manifest of the checkpoint that was taken because of it.
    for (times, kind) in [(1, b"c"), (2, b"m")] {
        let key = keys(kind).await.pop().unwrap();
        rotten.0.lock().unwrap().push(key);
        eventually("it is written anew", || {
            let status = host.scrub_status();
            status.rotten_chunks == times && status.mended_chunks == times
        })
        .await;
    }
    let digest = group.read_shard(|shard| shard.digest());
    host.stop().await;
    drop((host, group));
    // A start believes what is there now.
    let host = alone(&dir, world, "127.0.0.1:1").await;
    let group = started(&host).await;
    eventually("everything is applied", || group.read_shard(|shard| shard.digest()) == digest).await;
    assert!(host.warnings().is_empty(), "{:?}", host.warnings());
    host.stop().await;
}
