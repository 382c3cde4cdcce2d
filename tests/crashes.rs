//! kill -9 of one node, then of all at once, under load and during checkpoints: nothing acknowledged is lost, no id is applied
//! twice.

mod cluster;

use cluster::{Cluster, Shop};

/// Limits that make checkpoints and purges frequent.
const OFTEN: &[&str] = &["limits.checkpoint_bytes=65536", "limits.segment_bytes=1048576"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_each_node_is_killed_in_turn() {
    let mut cluster = Cluster::with_settings(OFTEN).await;
    let shop = Shop::open(&cluster, 8, 16).await;
    for id in 1..=3 {
        shop.sells(200).await;
        cluster.kill(id);
        shop.sells(100).await;
        cluster.start(id);
        cluster.wait_ready().await;
    }
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_when_all_nodes_are_killed_at_once() {
    let mut cluster = Cluster::with_settings(OFTEN).await;
    let shop = Shop::open(&cluster, 8, 16).await;
    for _ in 0..3 {
        shop.sells(200).await;
        cluster.kill_all();
        cluster.start_all();
        cluster.wait_ready().await;
    }
    shop.sells(50).await;
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_all_nodes_are_killed_amid_checkpoints() {
    let mut cluster = Cluster::with_settings(OFTEN).await;
    let shop = Shop::open(&cluster, 8, 16).await;
    for _ in 0..3 {
        shop.sells(100).await;
        let mut services: Vec<_> = (1..=3).map(|id| cluster.cluster_service(id)).collect();
        let asked = services.iter_mut().map(|service| {
            service.checkpoint(holdfast_proto::v1::CheckpointRequest { shard: 0, all: true })
        });
        // The nodes are killed while they write; whether the checkpoints were whole by then does not matter.
        let asked = futures_util::future::join_all(asked);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(30), asked).await;
        cluster.kill_all();
        cluster.start_all();
        cluster.wait_ready().await;
    }
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_after_its_log_was_purged_catches_up_by_snapshot() {
    let mut cluster = Cluster::with_settings(OFTEN).await;
    let shop = Shop::open(&cluster, 8, 16).await;
    cluster.kill(3);
    shop.sells(500).await;
    let behind = cluster.status(1).await.unwrap();
    cluster.checkpoint(1).await;
    cluster.checkpoint(2).await;
    shop.sells(200).await;
    cluster.start(3);
    cluster.wait_ready().await;
    cluster.wait_status(3, "caught up", |status| {
        behind.replicas.iter().all(|before| {
            let now = status.replicas.iter().find(|now| now.group == before.group);
            now.is_some_and(|now| now.applied_index >= before.applied_index)
        })
    })
    .await;
    shop.close_and_compare(&cluster).await;
}
