//! Checkpoints between nodes.

use super::cluster::{Cluster, Node, address, eventually, put};
use super::network::Net;
use crate::machine::{Machine, MachineKind};
use crate::transport::FetchError;
use crate::types::GroupId;

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
async fn a_checkpoint_can_be_fetched_and_is_whole() {
    let cluster = Cluster::start(1).await;
    let leader = cluster.leader(GROUP).await;
    put(leader, GROUP, 1, "long", &long()).await;
    leader.raft(GROUP).trigger().snapshot().await.unwrap();
    eventually("a checkpoint", || crate::transport::GroupRegistry::checkpoint(&*leader.groups, GROUP).is_some()).await;
    let stranger = Node::start(&cluster.net, 4).await;
    let received = stranger.transport.fetch_snapshot(&address(leader.id), GROUP).await.unwrap();
    let Machine::Meta(meta) = received.machine(&MachineKind::Meta).unwrap() else { panic!("another machine") };
    assert_eq!(meta.setting("long"), Some(long().as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_peer_without_a_checkpoint_says_so() {
    let net = Net::default();
    let (one, two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    two.start_group(GROUP).await;
    let error = one.transport.fetch_snapshot(&address(2), GROUP).await.unwrap_err();
    assert!(matches!(error, FetchError::None(_)), "{error}");
}
