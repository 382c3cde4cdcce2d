//! The life of a group: it commits, and goes on after its nodes were stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Cluster, SHARD};
use crate::host::registry::Registry;
use crate::host::{ProposeError, Role};
use crate::stages::Passage;
use crate::transport::{GroupRegistry, NoReplica};
use crate::types::{Payload, Reply};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_commit_and_come_to_the_same_state() {
    let mut cluster = Cluster::founded().await;
    let payload = cluster.delivery(0);
    let Reply::Shard { answers, .. } = cluster.commit(payload).await else { panic!("not a shard's reply") };
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| answer.outcome.is_ok()), "{answers:?}");
    cluster.deliver(1..50).await;
    assert!(cluster.agreed().await >= 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_follows_an_entry_knows_when_its_leader_synced_and_applied_it() {
    let mut cluster = Cluster::founded().await;
    let before = Instant::now();
    let passage = Arc::<Passage>::default();
    let mut payload = cluster.delivery(0);
    payload.passage = Some(Arc::clone(&passage));
    cluster.commit(payload).await;
    let after = Instant::now();
    let (append_began, append_ended) = passage.appended().expect("it was appended");
    let (apply_began, applied) = passage.applied().expect("it was applied");
    // A majority of the others may be faster than the leader's own disk.
    assert!(append_ended.is_none_or(|ended| append_began <= ended));
    assert!(before <= append_began && append_began <= apply_began && apply_began <= applied && applied <= after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_is_there_after_every_node_was_stopped_and_started() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..20).await;
    let before = cluster.agreed().await;
    let digest = cluster.nodes[&1].shard.read_shard(|shard| shard.digest());
    for id in 1..=3 {
        cluster.stop(id).await;
    }
    for id in 1..=3 {
        cluster.start(id).await;
    }
    cluster.leader().await;
    assert!(cluster.agreed().await >= before);
    assert_eq!(cluster.nodes[&2].shard.read_shard(|shard| shard.digest()), digest);
    cluster.deliver(20..25).await;
    cluster.agreed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_loads_the_checkpoint_and_replays_what_came_after_it() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    cluster.checkpoint_all().await;
    cluster.deliver(30..40).await;
    cluster.agreed().await;
    let state = cluster.nodes[&1].shard.read_shard(|shard| (shard.digest(), shard.last_event()));
    for id in 1..=3 {
        cluster.stop(id).await;
        cluster.start(id).await;
        cluster.leader().await;
    }
    cluster.agreed().await;
    assert_eq!(cluster.nodes[&3].shard.read_shard(|shard| (shard.digest(), shard.last_event())), state);
    assert_eq!(cluster.warnings(3), "");
    assert_eq!(cluster.nodes[&3].shard.id(), SHARD);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_with_little_traffic_is_checkpointed_when_it_has_waited_long_enough() {
    let mut cluster = Cluster::founded_with(Duration::from_millis(1)).await;
    cluster.deliver(0..3).await;
    let applied = cluster.agreed().await;
    cluster
        .until("every replica is in a checkpoint", |cluster| {
            let mut states = cluster.nodes.values().map(|node| node.shard.status());
            states.all(|status| status.checkpointed_index >= applied && status.purged_index >= applied).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_lags_behind_the_purge_is_filled_by_a_snapshot() {
    let mut cluster = Cluster::founded().await;
    let (_, lagging) = cluster.leader_and_follower().await;
    cluster.deliver(0..5).await;
    cluster.agreed().await;
    cluster.stop(lagging).await;
    cluster.deliver(5..60).await;
    cluster.agreed().await;
    cluster.checkpoint_all().await;
    cluster.start(lagging).await;
    cluster.deliver(60..70).await;
    cluster.agreed().await;
    assert!(cluster.nodes[&lagging].shard.status().checkpointed_index > 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_state_store_is_gone_is_filled_from_a_peer_under_its_old_id() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    cluster.checkpoint_all().await;
    cluster.deliver(30..35).await;
    cluster.stop(3).await;
    std::fs::remove_dir_all(cluster.dir(3).join("state")).unwrap();
    cluster.start(3).await;
    cluster.deliver(35..40).await;
    cluster.agreed().await;
    cluster.until_warned(3, "was filled from node").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_filled_lets_go_of_what_it_had_written_alone() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..10).await;
    let committed = cluster.agreed().await;
    for id in 1..=3 {
        cluster.checkpoint(id).await;
    }
    let first = cluster.leader().await;
    let others: Vec<_> = (1..=3).filter(|id| *id != first).collect();
    for id in &others {
        cluster.crash(*id).await;
    }
    for number in 10..30 {
        let payload = cluster.delivery(number);
        cluster.nodes[&first].shard.propose(payload).await.unwrap();
    }
    cluster
        .until("entries that nobody else has", |cluster| {
            (cluster.nodes[&first].shard.status().last_log_index >= committed + 20).then_some(())
        })
        .await;
    cluster.crash(first).await;
    for id in &others {
        cluster.start(*id).await;
    }
    cluster.deliver(30..33).await;
    let since = cluster.agreed().await;
    assert!(since < committed + 20, "the log of node {first} must be longer than what was committed without it");
    for id in &others {
        cluster.checkpoint(*id).await;
    }
    std::fs::remove_dir_all(cluster.dir(first).join("state")).unwrap();
    cluster.start(first).await;
    cluster.deliver(33..35).await;
    cluster.agreed().await;
    let warnings = cluster.nodes[&first].host.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("was filled from node")), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_when_the_leader_vanishes_and_it_comes_back_as_a_follower() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..20).await;
    let first = cluster.leader().await;
    let term = cluster.nodes[&first].shard.term();
    cluster.crash(first).await;
    cluster.deliver(20..40).await;
    cluster.start(first).await;
    cluster.deliver(40..45).await;
    cluster.agreed().await;
    assert!(cluster.nodes[&first].shard.term() > term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_rotted_is_set_aside_and_its_place_filled() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    cluster.checkpoint_all().await;
    cluster.stop(2).await;
    let db = cluster.dir(2).join("state").join("db");
    let mut bytes = std::fs::read(&db).unwrap();
    let at = bytes.windows(4).rposition(|window| window == b"SKU-").expect("the store holds the items");
    bytes[at] ^= 0x20;
    std::fs::write(&db, bytes).unwrap();
    cluster.start(2).await;
    cluster.deliver(30..35).await;
    cluster.agreed().await;
    cluster.until_warned(2, "set aside").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_to_a_node_that_has_everything() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..10).await;
    let (leader, to) = cluster.leader_and_follower().await;
    let handed = cluster.nodes[&leader].shard.transfer_leadership(Some(to)).await.unwrap();
    assert_eq!(handed, to);
    cluster.until("the other leads", |cluster| (cluster.nodes[&to].shard.is_leader()).then_some(())).await;
    cluster.deliver(10..12).await;
    let index = cluster.nodes[&to].shard.read_index().await.unwrap();
    assert!(index >= 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_folder_is_refused() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..10).await;
    cluster.agreed().await;
    let (leader, follower) = cluster.leader_and_follower().await;
    cluster.stop(follower).await;
    cluster.keep_copy(follower);
    cluster.start(follower).await;
    cluster.deliver(10..20).await;
    let before = cluster.agreed().await;
    cluster.stop(follower).await;
    cluster.put_copy_back(follower);
    cluster.start(follower).await;
    cluster.until_warned(leader, "older copy").await;
    cluster.deliver_by(leader, 20..25).await;
    assert!(cluster.nodes[&follower].shard.applied_index() < before);
    let why = cluster
        .until("the copy knows that it is refused", |cluster| {
            cluster.nodes[&follower].host.refused_by().get(&leader).cloned()
        })
        .await;
    assert!(why.contains("older copy"), "{why}");
    assert_eq!(cluster.nodes[&leader].host.refused_by(), BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_that_was_started_more_often_than_was_seen_is_refused_too() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..3).await;
    cluster.agreed().await;
    let (leader, follower) = cluster.leader_and_follower().await;
    let host = &cluster.nodes[&leader].host;
    let seen = cluster.nodes[&follower].host.facts();
    host.greet(&seen).await.unwrap();
    let mut later = seen.clone();
    later.past_lives.extend([seen.incarnation.nonce, 7]);
    later.incarnation.counter += 2;
    later.control_generation += 100;
    let mut copy = later.clone();
    let at = copy.past_lives.len() - 2;
    copy.past_lives[at] ^= 1;
    let why = host.greet(&copy).await.unwrap_err().to_string();
    assert!(why.contains("another start") && why.contains("older copy"), "{why}");
    host.greet(&later).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_is_silent_towards_a_peer_that_takes_it_once_another_has_told_it_what_it_is() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..10).await;
    cluster.agreed().await;
    let (leader, follower) = cluster.leader_and_follower().await;
    let newcomer = 6 - leader - follower;
    cluster.stop(follower).await;
    cluster.keep_copy(follower);
    cluster.start(follower).await;
    cluster.deliver_by(leader, 10..20).await;
    cluster.agreed().await;
    cluster.stop(follower).await;
    // As if it had joined only now.
    let control = &cluster.nodes[&newcomer].host.inner.control;
    control.update(move |state| drop(state.peers.remove(&follower))).await.unwrap();
    cluster.put_copy_back(follower);
    cluster.start(follower).await;
    cluster
        .until("the newcomer takes the copy", |cluster| {
            (cluster.nodes[&newcomer].host.seen_life_of(follower) > 0).then_some(())
        })
        .await;
    let silence = cluster
        .until("the copy is silent", |cluster| {
            let host = &cluster.nodes[&follower].host;
            let registry = Registry { host: std::sync::Arc::downgrade(&host.inner), node: follower };
            registry.replica(SHARD).err().filter(|why| matches!(why, NoReplica::Outcast { .. }))
        })
        .await;
    assert!(
        matches!(&silence, NoReplica::Outcast { why, .. } if why.contains(&format!("node {leader} says"))),
        "{silence}"
    );
    assert!(!cluster.nodes[&follower].host.refused_by().contains_key(&newcomer));
    cluster.deliver(20..25).await;
    assert_ne!(cluster.leader().await, follower);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_a_folder_elects_nobody() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..10).await;
    cluster.agreed().await;
    let (leader, follower) = cluster.leader_and_follower().await;
    let other = 6 - leader - follower;
    cluster.stop(follower).await;
    cluster.keep_copy(follower);
    cluster.start(follower).await;
    cluster.deliver_by(leader, 10..20).await;
    let before = cluster.agreed().await;
    cluster
        .until("the other has seen the life that the copy does not know", |cluster| {
            let life = cluster.nodes[&follower].host.incarnation();
            let seen = cluster.nodes[&other].host.inner.control.read(|state| state.peers.get(&follower).cloned());
            (seen?.incarnation.counter == life).then_some(())
        })
        .await;
    cluster.stop(follower).await;
    cluster.crash(leader).await;
    let term = cluster.nodes[&other].shard.term();
    cluster.put_copy_back(follower);
    cluster.start(follower).await;
    // With the copy's vote the other would lead at once.
    cluster.until_warned(other, "older copy").await;
    assert_eq!(cluster.nodes[&other].shard.term(), term, "the copy has voted");
    assert_eq!(cluster.nodes[&follower].shard.status().role, Role::Follower);
    cluster.start(leader).await;
    // A fresh leader takes nothing before a majority has answered it.
    let leads = |id: &u64, cluster: &Cluster| {
        let status = cluster.nodes[id].shard.status();
        status.role == Role::Leader && status.since_quorum_ms.is_some()
    };
    let elected = cluster
        .until("a leader among the two", |cluster| [leader, other].into_iter().find(|id| leads(id, cluster)))
        .await;
    cluster.deliver_by(elected, 20..25).await;
    assert!(cluster.nodes[&elected].shard.applied_index() > before);
    assert!(cluster.nodes[&follower].shard.applied_index() < before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_whose_nodes_were_all_killed_at_once_comes_back() {
    let mut cluster = Cluster::founded().await;
    for round in 0..3 {
        cluster.deliver(round * 10..round * 10 + 10).await;
        let before = cluster.agreed().await;
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in 1..=3 {
            cluster.start(id).await;
        }
        assert!(cluster.agreed().await >= before);
    }
    for id in 1..=3 {
        assert_eq!(cluster.warnings(id), "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_are_applied_in_the_order_they_were_proposed() {
    let mut cluster = Cluster::founded().await;
    // A busy machine may lose its leader on the way: then the rest is refused, and it is begun anew.
    for round in 0..10 {
        let leader = cluster.leader().await;
        let shard = cluster.nodes[&leader].shard.clone();
        let mut proposals = Vec::new();
        for number in 0..500 {
            proposals.push(shard.propose(cluster.delivery(500 * round + number)).await.unwrap());
        }
        let (mut last, mut refused) = (0, 0);
        for proposal in proposals {
            match proposal.applied().await {
                Ok(Reply::Shard { index, .. }) => {
                    assert!(index > last);
                    last = index;
                }
                Ok(reply) => panic!("not a shard's reply: {reply:?}"),
                Err(ProposeError::NotLeader { .. } | ProposeError::Unknown { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        if refused == 0 {
            assert!(cluster.agreed().await >= last);
            return;
        }
    }
    panic!("no leader kept its place for 500 entries, ten times over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_a_later_version_stops_its_group_and_nothing_else() {
    let cluster = Cluster::founded().await;
    let mut later = bytes::BytesMut::new();
    let entry = holdfast_proto::log::v1::Entry { schema: 1_000, time_ms: 1, commands: Vec::new() };
    prost::Message::encode(&entry, &mut later).unwrap();
    let payload = Payload::of(later.freeze());
    // Asked again where whoever leads could not take it yet.
    let deadline = Instant::now() + Duration::from_secs(30);
    let leader = loop {
        assert!(Instant::now() < deadline, "nobody stops before an entry of a later version");
        let leader = cluster.leader().await;
        let shard = &cluster.nodes[&leader].shard;
        if let Ok(proposal) = shard.propose(payload.clone()).await {
            assert!(proposal.applied().await.is_err());
        }
        if shard.unreadable().is_some() {
            break leader;
        }
    };
    // A majority holds the entry and stops before it; the third replica may never be sent it, for the leader has stopped.
    cluster
        .until("the groups that hold it say why", |cluster| {
            let stopped = cluster.nodes.values().filter(|node| node.shard.unreadable().is_some()).count();
            (stopped >= 2).then_some(())
        })
        .await;
    let why = cluster.nodes[&leader].shard.unreadable().unwrap();
    assert!(why.contains("schema 1000") && why.contains("upgrade"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotten_entries_are_mended_with_copies_of_the_others() {
    let mut cluster = Cluster::founded().await;
    cluster.deliver(0..30).await;
    cluster.agreed().await;
    let (_, follower) = cluster.leader_and_follower().await;
    cluster.stop(follower).await;
    for text in [b"SKU-7", b"SKU-9"] {
        cluster.rot(follower, text, |bytes| bytes[0] ^= 0x20);
    }
    cluster.start(follower).await;
    cluster.deliver(30..35).await;
    cluster.agreed().await;
    cluster.until_warned(follower, "were mended").await;
}
