//! Who is not spoken with, and why.

use std::time::Duration;

use bytes::Bytes;
use holdfast_proto::peer::v1 as wire;
use holdfast_world::Lane;
use openraft::network::RPCOption;
use openraft::raft::{AppendEntriesRequest, VoteRequest};
use openraft::type_config::alias::VoteOf;
use openraft::{BasicNode, RaftNetworkFactory, RaftNetworkV2};
use tonic::Code;

use super::cluster::{CLUSTER, Node, address};
use super::network::Net;
use crate::log::{Incarnation, LogId, LogRecord};
use crate::transport::{FetchError, HandshakeError, NodeFacts, Transport, TransportOptions};
use crate::types::{GroupId, NodeId, Types};

const GROUP: GroupId = GroupId(0);

/// Two nodes, the group running on the second.
async fn two_nodes(net: &Net) -> (Node, Node) {
    let (one, two) = (Node::start(net, 1).await, Node::start(net, 2).await);
    two.start_group(GROUP).await;
    (one, two)
}

/// Sends an append to a node at an address.
async fn append_to(transport: &Transport, node: NodeId, address: &str) -> Result<(), String> {
    let probe = AppendEntriesRequest::<Types> {
        vote: VoteOf::<Types>::new_committed(1, 1),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    };
    let mut network = transport.factory(GROUP).new_client(node, &BasicNode { addr: address.to_owned() }).await;
    let option = RPCOption::new(Duration::from_secs(1));
    network.append_entries(probe, option).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn two_nodes_learn_who_the_other_is() {
    let net = Net::default();
    let (one, _two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    let facts = one.transport.handshake(&address(2)).await.unwrap();
    let expected = NodeFacts { cluster_id: CLUSTER.to_owned(), node_id: 2, fresh: true, ..NodeFacts::default() };
    assert_eq!(facts, expected);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_nothing_to_tell_of_itself_any_more_tells_nothing() {
    let net = Net::default();
    let (one, _two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    // Without a registry, as a node is that stops. Blank facts would make it an older copy of itself to its peers.
    let stopping = Transport::new(&one.world, TransportOptions::new(1, CLUSTER));
    let error = stopping.handshake(&address(2)).await.unwrap_err();
    assert!(matches!(&error, HandshakeError::Unreachable(why) if why.contains("stopping")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_node_of_another_cluster_is_refused_by_name() {
    let net = Net::default();
    let stranger = Node::start_with(&net, TransportOptions::new(1, "elsewhere")).await;
    let two = Node::start(&net, 2).await;
    two.start_group(GROUP).await;
    let error = stranger.transport.handshake(&address(2)).await.unwrap_err();
    assert!(matches!(&error, HandshakeError::Refused(why) if why.contains("`elsewhere`")), "{error}");
    let error = append_to(&stranger.transport, 2, &address(2)).await.unwrap_err();
    assert!(error.contains("`elsewhere`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn another_node_than_was_meant_is_refused_by_name() {
    let net = Net::default();
    let (one, _two) = two_nodes(&net).await;
    let error = append_to(&one.transport, 3, &address(2)).await.unwrap_err();
    assert!(error.contains("this is node 2, the message is for node 3"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_the_node_does_not_believe_gets_no_frame() {
    let net = Net::default();
    let (one, _two) = two_nodes(&net).await;
    one.refuses_peers(Some("its folder is an older copy"));
    let error = append_to(&one.transport, 2, &address(2)).await.unwrap_err();
    assert!(error.contains("older copy"), "{error}");
    assert_eq!(net.replicate_frames(&address(1), &address(2)), 0);
    one.refuses_peers(None);
    // The link comes up again after its pause.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while let Err(error) = append_to(&one.transport, 2, &address(2)).await {
        assert!(tokio::time::Instant::now() < deadline, "it is believed again, and still gets nothing: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_vote_is_given_only_to_a_peer_that_was_judged_in_the_life_in_which_it_asks() {
    let net = Net::default();
    let (one, _two) = two_nodes(&net).await;
    let channel = net.of(&address(1)).channel(&address(2), Lane::Control, Duration::from_secs(1)).unwrap();
    let mut client = wire::peer_service_client::PeerServiceClient::new(channel);
    let asked = |nonce| wire::VoteRequest {
        envelope: Some(wire::Envelope { cluster_id: CLUSTER.to_owned(), from_node: 1, to_node: 2 }),
        group: GROUP.0,
        ballot: Some(wire::Ballot { term: 9, node: 1, committed: false }),
        candidate: Some(wire::Incarnation { counter: 1, nonce }),
        ..wire::VoteRequest::default()
    };
    one.lives(Incarnation { counter: 1, nonce: 5 });
    assert_eq!(client.vote(asked(5)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(client.pre_vote(asked(5)).await.unwrap_err().code(), Code::Unauthenticated);
    one.transport.handshake(&address(2)).await.unwrap();
    assert_eq!(client.vote(asked(6)).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(client.vote(asked(5)).await.unwrap().into_inner().granted);
}

#[tokio::test(start_paused = true)]
async fn a_vote_counts_only_from_a_peer_that_was_judged_in_the_life_in_which_it_answers() {
    let net = Net::default();
    let (one, two) = two_nodes(&net).await;
    let mut network = one.transport.factory(GROUP).new_client(2, &BasicNode { addr: address(2) }).await;
    let option = || RPCOption::new(Duration::from_secs(1));
    let request = || VoteRequest::<Types>::new(VoteOf::<Types>::new(9, 1), None);
    network.pre_vote(request(), option()).await.expect("hands are shaken first");
    // Another life of the second node, that the first does not find well.
    two.lives(Incarnation { counter: 2, nonce: 7 });
    one.refuses_peers(Some("its folder is an older copy"));
    for _ in 0..2 {
        let error = network.vote(request(), option()).await.unwrap_err().to_string();
        assert!(error.contains("older copy"), "{error}");
    }
    one.refuses_peers(None);
    assert!(network.vote(request(), option()).await.expect("hands are shaken anew").vote_granted);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_group_answers_unreachable_and_the_others_go_on() {
    let net = Net::default();
    let (one, two) = two_nodes(&net).await;
    two.groups.damaged.lock().unwrap().insert(GROUP, "record 7 is rotten".to_owned());
    let error = append_to(&one.transport, 2, &address(2)).await.unwrap_err();
    assert!(error.contains("record 7 is rotten"), "{error}");
    two.groups.damaged.lock().unwrap().clear();
    append_to(&one.transport, 2, &address(2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_too_long_ends_its_stream_and_no_other() {
    let net = Net::default();
    let (one, _two) = two_nodes(&net).await;
    let channel = net.of(&address(9)).channel(&address(2), Lane::Append, Duration::from_secs(1)).unwrap();
    let mut client = wire::peer_service_client::PeerServiceClient::new(channel);
    let hello = wire::Envelope { cluster_id: CLUSTER.to_owned(), from_node: 9, to_node: 2 };
    let long = wire::Entry { payload: vec![0; 5 << 20].into(), ..wire::Entry::default() };
    let append = wire::Append { session: 1, entries: vec![long], ..wire::Append::default() };
    let frames = [wire::leader_frame::Frame::Hello(hello), wire::leader_frame::Frame::Append(append)];
    let frames = frames.map(|frame| wire::LeaderFrame { frame: Some(frame) });
    let mut replies = client.replicate(futures_util::stream::iter(frames)).await.unwrap().into_inner();
    while let Ok(Some(reply)) = replies.message().await {
        assert!(matches!(reply.frame, Some(wire::follower_frame::Frame::Welcome(_))), "{reply:?}");
    }
    append_to(&one.transport, 2, &address(2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn entries_are_given_to_members_alone_and_only_those_that_were_asked_for() {
    let net = Net::default();
    let (one, two) = (Node::start(&net, 1).await, Node::start(&net, 2).await);
    let entry = |index, text: &'static [u8]| LogRecord {
        index,
        term: 1,
        leader_node: 1,
        kind: 2,
        payload: Bytes::from_static(text),
    };
    two.append(GROUP, entry(0, b"first")).await;
    two.append(GROUP, entry(1, b"second")).await;
    let ids = [LogId { term: 1, leader_node: 1, index: 1 }, LogId { term: 2, leader_node: 1, index: 0 }];
    let fetched = one.transport.fetch_entries(2, &address(2), GROUP, &ids).await.unwrap();
    assert_eq!(fetched, [entry(1, b"second")]);

    let refused = |transport: Transport, node| async move {
        let fetched = transport.fetch_entries(node, &address(2), GROUP, &ids).await;
        match fetched {
            Err(FetchError::Refused(why)) => why,
            other => panic!("not refused: {other:?}"),
        }
    };
    let of_another_cluster = Node::start_with(&net, TransportOptions::new(3, "elsewhere")).await;
    assert!(refused(of_another_cluster.transport.clone(), 2).await.contains("`elsewhere`"));
    let no_member = Node::start(&net, 9).await;
    assert!(refused(no_member.transport.clone(), 2).await.contains("no member"));
    assert!(refused(one.transport.clone(), 3).await.contains("this is node 2"));
    *two.groups.disbelieved.lock().unwrap() = Some("its folder is an older copy".to_owned());
    assert!(refused(one.transport.clone(), 2).await.contains("older copy"));
}

#[tokio::test(start_paused = true)]
async fn no_more_askers_for_entries_are_answered_at_once_than_there_may_be() {
    let net = Net::default();
    let one = Node::start(&net, 1).await;
    let options = TransportOptions { entry_requests_at_once: 0, ..TransportOptions::new(2, CLUSTER) };
    let _two = Node::start_with(&net, options).await;
    let fetched = one.transport.fetch_entries(2, &address(2), GROUP, &[]).await;
    assert!(matches!(fetched, Err(FetchError::Busy(_))), "{fetched:?}");
}
