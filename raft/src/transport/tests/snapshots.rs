//! Checkpoints between nodes.

use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::type_config::alias::SnapshotOf;
use openraft::{BasicNode, RaftNetworkFactory, RaftNetworkV2};

use super::cluster::{Cluster, Node, address, eventually, put};
use super::network::Net;
use crate::checkpoint::{Snapshot, meta_of};
use crate::machine::{Machine, MachineKind};
use crate::transport::{FetchError, GroupRegistry};
use crate::types::{GroupId, Types};

const GROUP: GroupId = GroupId(0);

/// More than a chunk of the snapshot, within an entry's limit.
fn long() -> String {
    "y".repeat(200_000)
}

#[tokio::test(start_paused = true)]
async fn a_follower_whose_entries_are_purged_gets_a_snapshot_and_goes_on() {
    let cluster = Cluster::start(1).await;
    let (leader, follower) = (cluster.leader(GROUP).await, cluster.follower(GROUP).await);
    cluster.isolate(follower, true);
    put(leader, GROUP, 1, "long", &long()).await;
    for number in 2..=20 {
        put(leader, GROUP, number, "n", &number.to_string()).await;
    }
    let raft = leader.raft(GROUP);
    raft.trigger().snapshot().await.unwrap();
    eventually("a checkpoint", || crate::transport::GroupRegistry::checkpoint(&*leader.groups, GROUP).is_some()).await;
    raft.trigger().purge_log(leader.applied(GROUP)).await.unwrap();
    eventually("the log is purged", || {
        let metrics = raft.metrics();
        openraft::async_runtime::WatchReceiver::borrow_watched(&metrics).purged.is_some_and(|id| id.index > 15)
    })
    .await;

    cluster.isolate(follower, false);
    cluster.all_have(GROUP, "long", &long()).await;
    let leader = cluster.leader(GROUP).await;
    put(leader, GROUP, 99, "n", "99").await;
    cluster.all_have(GROUP, "n", "99").await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_put_in_place_of_entries_that_were_not_known_to_be_committed() {
    let cluster = Cluster::start(1).await;
    let (leader, follower) = (cluster.leader(GROUP).await, cluster.follower(GROUP).await);
    let third = cluster.nodes.iter().find(|node| node.id != leader.id && node.id != follower.id).unwrap();
    put(leader, GROUP, 1, "n", "1").await;
    cluster.all_have(GROUP, "n", "1").await;
    let known = leader.applied(GROUP);
    cluster.isolate(follower, true);
    for number in 2..=20 {
        put(leader, GROUP, number, "n", &number.to_string()).await;
    }
    leader.raft(GROUP).trigger().snapshot().await.unwrap();
    eventually("a checkpoint", || leader.groups.checkpoint(GROUP).is_some()).await;

    // The follower gets three entries more, and no word that they are committed; then the snapshot of all.
    let mut entries = leader.entries(GROUP, known..known + 4).await;
    let last_known = entries.remove(0).log_id;
    let vote = leader.raft(GROUP).metrics().borrow_watched().vote;
    let (prev_log_id, leader_commit) = (Some(last_known), Some(last_known));
    let appended = AppendEntriesRequest::<Types> { vote, prev_log_id, entries, leader_commit };
    follower.raft(GROUP).append_entries(appended).await.unwrap();
    assert_eq!((follower.applied(GROUP), follower.last_log_index(GROUP)), (known, known + 3));
    cluster.net.heal(&address(third.id), &address(follower.id));
    let stored = leader.groups.checkpoint(GROUP).unwrap();
    let meta = meta_of(&stored.record).unwrap();
    let snapshot = SnapshotOf::<Types, Snapshot> { meta, snapshot: Snapshot::Stored(stored) };
    let node = BasicNode { addr: address(follower.id) };
    let mut network = third.transport.factory(GROUP).new_client(follower.id, &node).await;
    let option = RPCOption::new(Duration::from_secs(1));
    network.full_snapshot(vote, snapshot, std::future::pending(), option).await.unwrap();
    assert_eq!(follower.setting(GROUP, "n").as_deref(), Some("20"));

    cluster.isolate(follower, false);
    let leader = cluster.leader(GROUP).await;
    put(leader, GROUP, 99, "n", "99").await;
    cluster.all_have(GROUP, "n", "99").await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_can_be_fetched_and_is_whole() {
    let cluster = Cluster::start(1).await;
    let leader = cluster.leader(GROUP).await;
    put(leader, GROUP, 1, "long", &long()).await;
    leader.raft(GROUP).trigger().snapshot().await.unwrap();
    eventually("a checkpoint", || crate::transport::GroupRegistry::checkpoint(&*leader.groups, GROUP).is_some()).await;
    let stranger = Node::start(&cluster.net, 4).await;
    let received = stranger.transport.fetch_snapshot(&address(leader.id), GROUP).await.unwrap();
    let Machine::Meta(meta) = received.machine(&MachineKind::Meta).unwrap() else { panic!("another machine") };
    assert_eq!(meta.locations()["long"].spec.name, long());
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_a_checkpoint_says_so() {
    let net = Net::default();
    let (one, two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    two.start_group(GROUP).await;
    let error = one.transport.fetch_snapshot(&address(2), GROUP).await.unwrap_err();
    assert!(matches!(error, FetchError::None(_)), "{error}");
}
