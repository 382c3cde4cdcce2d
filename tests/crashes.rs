//! kill -9 of one node, then of all at once, under load and during checkpoints: nothing acknowledged is lost, no id is applied
//! twice.

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Shop};
use holdfast_proto::v1::{CheckpointRequest, GetStatusResponse, ReplicaStatus};

/// Limits that make checkpoints and purges frequent.
const OFTEN: &[&str] = &["limits.checkpoint_bytes=1048576", "limits.segment_bytes=1048576"];

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
        cluster.restart_all().await;
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
        let asked = services.iter_mut().map(|service| service.checkpoint(CheckpointRequest { shard: 0, all: true }));
        // The nodes are killed while they write; whether the checkpoints were whole by then does not matter.
        let asked = futures_util::future::join_all(asked);
        let _ = tokio::time::timeout(Duration::from_millis(30), asked).await;
        cluster.restart_all().await;
    }
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_back_after_its_log_was_purged_catches_up_by_snapshot() {
    let mut cluster = Cluster::with_settings(OFTEN).await;
    let shop = Shop::open(&cluster, 8, 16).await;
    let ended = shards(&cluster.status(3).await.unwrap(), |replica| replica.last_log_index);
    cluster.kill(3);
    // Until the log of the two others begins behind what node 3 has.
    let deadline = Instant::now() + PATIENCE;
    for id in [1, 2] {
        loop {
            shop.sells(500).await;
            cluster.checkpoint(id).await;
            let purged = shards(&cluster.status(id).await.unwrap(), |replica| replica.purged_index);
            if purged.iter().zip(&ended).all(|(purged, ended)| purged > ended) {
                break;
            }
            assert!(Instant::now() < deadline, "node {id} keeps its log: {purged:?} of {ended:?}");
        }
    }
    let behind = shards(&cluster.status(1).await.unwrap(), |replica| replica.applied_index);
    shop.sells(100).await;
    cluster.start(3);
    cluster.wait_ready().await;
    let is_there = |status: &GetStatusResponse| {
        shards(status, |replica| replica.applied_index).iter().zip(&behind).all(|(now, then)| now >= then)
    };
    cluster.wait_status(3, "caught up", is_there).await;
    shop.close_and_compare(&cluster).await;
}

/// Something of each shard's replica, in the order of the shards.
fn shards(status: &GetStatusResponse, of: fn(&ReplicaStatus) -> u64) -> Vec<u64> {
    status.replicas.iter().filter(|replica| replica.group > 0).map(of).collect()
}
