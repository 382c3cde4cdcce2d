//! One session: its order, its end, its limits.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use openraft::network::RPCOption;
use openraft::raft::AppendEntriesRequest;
use openraft::type_config::alias::VoteOf;
use openraft::{BasicNode, EntryPayload, RaftNetworkFactory, RaftNetworkV2};

use super::cluster::{Node, address, eventually, setting};
use super::network::Net;
use crate::log::LogId;
use crate::store::{from_log_id, to_log_id};
use crate::transport::{GroupNetwork, TransportOptions};
use crate::types::{GroupId, Types};

const GROUP: GroupId = GroupId(0);

fn id(index: u64) -> LogId {
    LogId { term: 1, leader_node: 1, index }
}

fn request(first: u64, entries: u64, bytes: usize) -> AppendEntriesRequest<Types> {
    let entry = |index| openraft::Entry {
        log_id: from_log_id(id(index)),
        payload: EntryPayload::Normal(setting(index, "name", &"x".repeat(bytes))),
    };
    AppendEntriesRequest {
        vote: VoteOf::<Types>::new_committed(1, 1),
        prev_log_id: first.checked_sub(1).map(|index| from_log_id(id(index))),
        entries: (first..first + entries).map(entry).collect(),
        leader_commit: None,
    }
}

fn option() -> RPCOption {
    RPCOption::new(Duration::from_secs(1))
}

async fn two_nodes(options: TransportOptions) -> (Net, Node, Node, GroupNetwork) {
    let net = Net::default();
    let one = Node::start_with(&net, options).await;
    let two = Node::start(&net, 2).await;
    two.start_group(GROUP).await;
    let network = one.transport.factory(GROUP).new_client(2, &BasicNode { addr: address(2) }).await;
    (net, one, two, network)
}

fn options() -> TransportOptions {
    TransportOptions::new(1, super::cluster::CLUSTER)
}

#[tokio::test(start_paused = true)]
async fn replies_come_in_order_and_the_output_ends_after_the_last() {
    let (_net, _one, _two, mut network) = two_nodes(options()).await;
    let input = futures_util::stream::iter((0..200).map(|number| request(number * 2, 2, 100)));
    let replies: Vec<_> = network.stream_append(input, option()).await.unwrap().collect().await;
    let matched: Vec<u64> =
        replies.into_iter().map(|reply| to_log_id(&reply.unwrap().unwrap().unwrap()).index).collect();
    assert_eq!(matched, (0..200).map(|number| number * 2 + 1).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_output_waits_while_the_input_has_not_ended() {
    let (_net, _one, _two, mut network) = two_nodes(options()).await;
    let input = Box::pin(futures_util::stream::iter([request(0, 1, 10)]).chain(futures_util::stream::pending()));
    let mut replies = network.stream_append(input, option()).await.unwrap();
    assert!(replies.next().await.unwrap().is_ok());
    // Nothing is asked, so nothing is late: an idle session lives on.
    let more = tokio::time::timeout(Duration::from_secs(60), replies.next()).await;
    assert!(more.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_ends_the_session() {
    let (_net, _one, _two, mut network) = two_nodes(options()).await;
    let input = futures_util::stream::iter([request(0, 1, 10), request(5, 1, 10), request(6, 1, 10)]);
    let replies: Vec<_> = network.stream_append(input, option()).await.unwrap().collect().await;
    assert_eq!(replies.len(), 2);
    assert!(replies[0].as_ref().unwrap().is_ok());
    assert!(replies[1].as_ref().unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_session_dropped_in_the_middle_does_not_disturb_the_next() {
    let (_net, _one, two, mut network) = two_nodes(options()).await;
    for round in 0..20_u64 {
        let input = futures_util::stream::iter((0..50).map(move |number| request(round * 50 + number, 1, 10_000)));
        let mut replies = network.stream_append(input, option()).await.unwrap();
        // Whatever is ready at once, then it is let go.
        let _ = replies.next().now_or_never();
        drop(replies);
        let whole = futures_util::stream::iter((0..50).map(move |number| request(round * 50 + number, 1, 10_000)));
        let replies: Vec<_> = network.stream_append(whole, option()).await.unwrap().collect().await;
        assert_eq!(replies.len(), 50);
        assert!(replies.iter().all(|reply| matches!(reply, Ok(Ok(_)))), "round {round}: {:?}", replies.last());
    }
    eventually("all is logged", || {
        let metrics = two.raft(GROUP).metrics();
        openraft::async_runtime::WatchReceiver::borrow_watched(&metrics).last_log_index == Some(999)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_request_longer_than_a_frame_goes_in_several() {
    let small = TransportOptions { frame_bytes: 64 << 10, ..options() };
    let (_net, _one, _two, mut network) = two_nodes(small).await;
    let input = futures_util::stream::iter([request(0, 20, 10_000), request(20, 1, 10)]);
    let replies: Vec<_> = network.stream_append(input, option()).await.unwrap().collect().await;
    assert!(replies.len() > 2);
    let last = to_log_id(&replies.last().unwrap().as_ref().unwrap().as_ref().unwrap().unwrap());
    assert_eq!(last.index, 20);
}

#[tokio::test(start_paused = true)]
async fn an_entry_longer_than_a_frame_is_refused_by_name_and_the_stream_lives_on() {
    let small = TransportOptions { frame_bytes: 64 << 10, ..options() };
    let (_net, _one, _two, mut network) = two_nodes(small).await;
    let input = futures_util::stream::iter([request(0, 1, 100_000)]);
    let replies: Vec<_> = network.stream_append(input, option()).await.unwrap().collect().await;
    let error = replies[0].as_ref().unwrap_err().to_string();
    assert!(error.contains("entry 0 of group 0 has"), "{error}");
    network.append_entries(request(0, 1, 10), option()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_sent_is_bounded() {
    let (net, one, _two, mut network) = two_nodes(TransportOptions {
        outbox_bytes: 100_000,
        link_timeout: Duration::from_secs(100),
        session_timeout: Duration::from_secs(50),
        ..options()
    })
    .await;
    network.append_entries(request(0, 1, 10), option()).await.unwrap();
    net.hold(&address(1), &address(2), true);
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = asked.clone();
    let input = futures_util::stream::iter((1..1_000).map(move |number| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        request(number, 1, 10_000)
    }));
    let replies = network.stream_append(input, option()).await.unwrap().collect::<Vec<_>>();
    let held = tokio::time::timeout(Duration::from_secs(10), replies).await;
    assert!(held.is_err());
    let taken = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!((5..30).contains(&taken), "{taken} requests were taken from the input");
    drop(one);
}
