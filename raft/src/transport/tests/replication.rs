//! Appends, heartbeats and votes between three nodes.

use std::time::Duration;

use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::type_config::alias::VoteOf;
use openraft::{BasicNode, EntryPayload, RaftNetworkFactory, RaftNetworkV2};

use super::cluster::{Cluster, HEARTBEAT_MS, Node, address, eventually, put, setting};
use super::network::Net;
use crate::log::LogId;
use crate::store::from_log_id;
use crate::types::{GroupId, NodeId, Types};

const GROUP: GroupId = GroupId(0);

#[tokio::test(start_paused = true)]
async fn what_a_leader_commits_comes_to_all_members() {
    let cluster = Cluster::start(2).await;
    for group in [GroupId(0), GroupId(1)] {
        let leader = cluster.leader(group).await;
        for number in 1..=50 {
            put(leader, group, number, "size", &number.to_string()).await;
        }
        cluster.all_have(group, "size", "50").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_was_cut_off_under_load_catches_up_and_replication_goes_on() {
    let cluster = Cluster::start(1).await;
    let (leader, follower) = (cluster.leader(GROUP).await, cluster.follower(GROUP).await);
    let mut number = 0;
    let big = "x".repeat(10_000);
    for round in 0..3 {
        // Many writes are under way when the line is cut, and while it is.
        let mut under_way = Vec::new();
        for step in 0..200 {
            if step == 50 {
                cluster.isolate(follower, true);
            }
            number += 1;
            let raft = leader.raft(GROUP);
            under_way.push(tokio::spawn({
                let payload = setting(number, "load", &big);
                async move { raft.client_write(payload).await.is_ok() }
            }));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for write in under_way {
            assert!(write.await.unwrap(), "a majority is there, so that every write is taken");
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let behind = follower.applied(GROUP);
        assert!(behind < leader.applied(GROUP), "the cut one is behind");

        cluster.isolate(follower, false);
        let target = leader.applied(GROUP);
        eventually("the follower catches up", || follower.applied(GROUP) >= target).await;
        number += 1;
        let leader = cluster.leader(GROUP).await;
        put(leader, GROUP, number, "round", &round.to_string()).await;
        cluster.all_have(GROUP, "round", &round.to_string()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn replication_goes_on_after_streams_broke_in_the_middle() {
    let cluster = Cluster::start(1).await;
    let leader = cluster.leader(GROUP).await;
    let mut under_way = Vec::new();
    for number in 1..=300_u64 {
        if number % 60 == 0 {
            for other in cluster.nodes.iter().filter(|node| node.id != leader.id) {
                cluster.net.break_streams(&address(leader.id), &address(other.id));
            }
        }
        let raft = leader.raft(GROUP);
        let payload = setting(number, "last", &number.to_string());
        under_way.push(tokio::spawn(async move { raft.client_write(payload).await.is_ok() }));
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    for write in under_way {
        assert!(write.await.unwrap());
    }
    cluster.all_have(GROUP, "last", "300").await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_is_replaced_and_follows_when_it_is_back() {
    let cluster = Cluster::start(1).await;
    let old = cluster.leader(GROUP).await;
    put(old, GROUP, 1, "who", "old").await;
    cluster.isolate(old, true);
    let others = || cluster.nodes.iter().filter(|node| node.id != old.id);
    eventually("another leads", || others().any(|node| node.leads(GROUP))).await;
    let new = others().find(|node| node.leads(GROUP)).unwrap();
    put(new, GROUP, 2, "who", "new").await;
    cluster.isolate(old, false);
    cluster.all_have(GROUP, "who", "new").await;
}

#[tokio::test(start_paused = true)]
async fn leadership_is_handed_over_when_asked() {
    let cluster = Cluster::start(1).await;
    let (leader, follower) = (cluster.leader(GROUP).await, cluster.follower(GROUP).await);
    put(leader, GROUP, 1, "a", "b").await;
    cluster.all_have(GROUP, "a", "b").await;
    leader.raft(GROUP).trigger().transfer_leader(follower.id).await.unwrap();
    eventually("the follower leads", || follower.leads(GROUP)).await;
}

/// Frames of append streams from one node to another in ten idle seconds, and how many of the two lead a group.
async fn idle_frames(groups: u64) -> Vec<(u64, u64)> {
    let cluster = Cluster::start(groups).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let leads = |id: NodeId| {
        let node = cluster.nodes.iter().find(|node| node.id == id).unwrap();
        u64::from((0..groups).any(|group| node.leads(GroupId(group))))
    };
    let count = || {
        let ids = 1..=3;
        let pairs = ids.clone().flat_map(|a| ids.clone().map(move |b| (a, b))).filter(|(a, b)| a != b);
        let frames = pairs.map(|(a, b)| (cluster.net.replicate_frames(&address(a), &address(b)), leads(a) + leads(b)));
        frames.collect::<Vec<_>>()
    };
    let before = count();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let after = count();
    before.into_iter().zip(after).map(|((before, _), (after, leaders))| (after - before, leaders)).collect()
}

#[tokio::test(start_paused = true)]
async fn idle_messages_do_not_grow_with_the_groups() {
    // For each of the two that leads: the frames of its pulse one way, and as many answers the other; and two signs of life a
    // second that are asked for. One more of each, since the ten seconds begin anywhere.
    let each = 10_000 / HEARTBEAT_MS + 1 + 20 + 1;
    for groups in [4, 64] {
        for (frames, leaders) in idle_frames(groups).await {
            let most = leaders * each;
            assert!(frames <= most, "{frames} frames one way with {groups} groups, at most {most} are due");
            assert!(leaders == 0 || frames >= 10_000 / HEARTBEAT_MS - 5, "{frames} frames: the groups do not beat");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_vote_overtakes_appends_that_are_stuck() {
    let net = Net::default();
    let (one, two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    two.start_group(GROUP).await;
    let mut factory = one.transport.factory(GROUP);
    let node = BasicNode { addr: address(2) };
    let mut appends = factory.new_client(2, &node).await;
    let option = RPCOption::new(Duration::from_secs(1));

    // The stream is made first, then it takes nothing more.
    let probe = AppendEntriesRequest::<Types> {
        vote: VoteOf::<Types>::new_committed(1, 1),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    appends.append_entries(probe.clone(), option.clone()).await.unwrap();
    net.hold(&address(1), &address(2), true);
    let entry = |index| openraft::Entry {
        log_id: from_log_id(LogId { term: 1, leader_node: 1, index }),
        payload: EntryPayload::Normal(setting(index, "big", &"x".repeat(1 << 20))),
    };
    let stuck = tokio::spawn(async move {
        let requests = (0..40_u64).map(move |index| AppendEntriesRequest::<Types> {
            prev_log_id: index.checked_sub(1).map(|index| from_log_id(LogId { term: 1, leader_node: 1, index })),
            entries: vec![entry(index)],
            ..probe.clone()
        });
        let option = RPCOption::new(Duration::from_secs(1));
        let input = futures_util::stream::iter(requests);
        let replies = appends.stream_append(input, option).await.unwrap();
        futures_util::StreamExt::collect::<Vec<_>>(replies).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stuck.is_finished());

    let mut votes = factory.new_client(2, &node).await;
    let request = VoteRequest::<Types>::new(VoteOf::<Types>::new(9, 1), None);
    let answer = votes.pre_vote(request, option).await.expect("a vote is answered while appends are stuck");
    assert!(answer.vote.leader_id.term <= 9);
    let replies = stuck.await.unwrap();
    assert!(replies.last().unwrap().is_err(), "a stream that takes nothing is given up");
}

#[tokio::test(start_paused = true)]
async fn what_a_damaged_follower_says_amid_a_session_counts_for_nothing() {
    let cluster = Cluster::start(1).await;
    let group = GroupId(0);
    let leader = cluster.leader(group).await;
    put(leader, group, 1, "before", "yes").await;
    let mut followers = cluster.nodes.iter().filter(|node| node.id != leader.id);
    let (damaged, gone) = (followers.next().unwrap(), followers.next().unwrap());
    cluster.isolate(gone, true);
    damaged.groups.damaged.lock().unwrap().insert(group, "record 7 is rotten".to_owned());
    let raft = leader.raft(group);
    let write = tokio::spawn(async move { raft.client_write(setting(2, "meanwhile", "yes")).await });
    // It is in both logs, which would do if both counted.
    let before = damaged.last_log_index(group);
    eventually("the damaged one has the entry", || damaged.last_log_index(group) > before).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(leader.setting(group, "meanwhile"), None);
    damaged.groups.damaged.lock().unwrap().clear();
    cluster.isolate(gone, false);
    // Whether it was committed or not, nothing hangs.
    let _outcome = tokio::time::timeout(Duration::from_secs(60), write).await.expect("the write ends");
    put(cluster.leader(group).await, group, 3, "after", "yes").await;
    cluster.all_have(group, "after", "yes").await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_leader_commits_nothing_and_leads_no_longer() {
    let cluster = Cluster::start(1).await;
    let group = GroupId(0);
    let leader = cluster.leader(group).await;
    put(leader, group, 1, "before", "yes").await;
    leader.groups.damaged.lock().unwrap().insert(group, "record 7 is rotten".to_owned());
    let raft = leader.raft(group);
    let write = tokio::spawn(async move { raft.client_write(setting(2, "meanwhile", "yes")).await });
    let others: Vec<_> = cluster.nodes.iter().filter(|node| node.id != leader.id).collect();
    eventually("another leader", || others.iter().any(|node| node.leads(group))).await;
    assert_eq!(leader.setting(group, "meanwhile"), None);
    let next = others.iter().find(|node| node.leads(group)).unwrap();
    put(next, group, 3, "after", "yes").await;
    leader.groups.damaged.lock().unwrap().clear();
    cluster.all_have(group, "after", "yes").await;
    let _outcome = tokio::time::timeout(Duration::from_secs(60), write).await.expect("the write ends");
}
