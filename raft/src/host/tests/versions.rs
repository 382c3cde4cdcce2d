//! Nodes of two versions in one group: this version, and the next one as tests play it.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::Cluster;
use crate::encode::{NEXT_SCHEMA, SCHEMA};
use crate::host::GroupError;
use crate::types::NodeId;

/// Asks whoever leads to add a node, until one of the members has judged it.
async fn add(cluster: &mut Cluster, id: NodeId) -> Result<(), GroupError> {
    let address = cluster.address(id);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let leader = cluster.nodes.values().find(|node| node.shard.is_leader());
        if let Some(leader) = leader {
            match leader.shard.add_learner(id, address.clone()).await {
                Err(GroupError::NotLeader { .. } | GroupError::NoQuorum { .. } | GroupError::TimedOut) => {}
                judged => return judged,
            }
        }
        assert!(Instant::now() < deadline, "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until whoever leads writes this schema.
async fn until_written(cluster: &Cluster, schema: u32) {
    let leads_so = |cluster: &Cluster| {
        cluster.nodes.values().find(|node| node.shard.is_leader() && node.shard.schema() == schema).map(drop)
    };
    cluster.until("the leader writes the schema", leads_so).await;
}

fn applied_schemas(cluster: &Cluster) -> Vec<u32> {
    cluster.nodes.values().map(|node| node.shard.applied_schema()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_rolled_out_node_by_node_and_writes_its_schema_once_the_last_one_understands_it() {
    let mut cluster = Cluster::founded_by_versions([(1, NEXT_SCHEMA), (2, NEXT_SCHEMA)].into()).await;
    cluster.deliver(0..10).await;
    cluster.agreed().await;
    assert_eq!(applied_schemas(&cluster), [SCHEMA; 3]);
    // While it is away nothing is written that it could not read when it comes back as it was.
    cluster.stop(3).await;
    cluster.deliver(10..20).await;
    cluster.start(3).await;
    cluster.agreed().await;
    assert_eq!(applied_schemas(&cluster), [SCHEMA; 3]);

    cluster.stop(3).await;
    cluster.be_of_version(3, NEXT_SCHEMA);
    cluster.start(3).await;
    until_written(&cluster, NEXT_SCHEMA).await;
    cluster.deliver(20..30).await;
    cluster.agreed().await;
    assert_eq!(applied_schemas(&cluster), [NEXT_SCHEMA; 3]);
    assert!(cluster.nodes.values().all(|node| node.shard.unreadable().is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_read_what_the_group_has_written_is_refused_until_it_is_of_that_version() {
    let mut cluster = Cluster::founded_by_versions((1..=3).map(|id| (id, NEXT_SCHEMA)).collect()).await;
    until_written(&cluster, NEXT_SCHEMA).await;
    cluster.deliver(0..10).await;
    cluster.agreed().await;
    cluster.address(4);
    cluster.start(4).await;
    let refusal = add(&mut cluster, 4).await.unwrap_err();
    let GroupError::Refused { why } = &refusal else { panic!("{refusal:?}") };
    let (known, written) = (format!("up to schema {SCHEMA},"), format!("of schema {NEXT_SCHEMA}"));
    assert!(why.contains(&known) && why.contains(&written), "{why}");
    assert!(cluster.nodes.values().all(|node| node.shard.status().learners.is_empty()));

    cluster.stop(4).await;
    cluster.be_of_version(4, NEXT_SCHEMA);
    cluster.start(4).await;
    add(&mut cluster, 4).await.unwrap();
    cluster.deliver(10..20).await;
    cluster.agreed().await;
    assert_eq!(cluster.nodes[&4].shard.applied_schema(), NEXT_SCHEMA);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_node_that_is_added_before_the_later_schema_is_written_keeps_the_group_at_its_own() {
    let mut cluster = Cluster::founded_by_versions([(1, NEXT_SCHEMA), (2, NEXT_SCHEMA)].into()).await;
    cluster.deliver(0..5).await;
    cluster.agreed().await;
    cluster.address(4);
    cluster.start(4).await;
    add(&mut cluster, 4).await.unwrap();
    cluster.stop(3).await;
    cluster.be_of_version(3, NEXT_SCHEMA);
    cluster.start(3).await;
    cluster.deliver(5..15).await;
    cluster.agreed().await;
    assert_eq!(applied_schemas(&cluster)[3], SCHEMA);
    assert!(cluster.nodes.values().all(|node| node.shard.unreadable().is_none()));
}
