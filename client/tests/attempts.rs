//! What a client does about each answer that a node may give, against a cluster that follows a script.

#![allow(clippy::unwrap_used, reason = "clippy knows functions with `#[test]` as tests, not what they call")]

mod scripted;

use std::time::Duration;

use holdfast_client::ids::{CommandId, slot_of};
use holdfast_client::traces::{self, TraceContext, Tracer};
use holdfast_client::v1::{self, CommandError, ErrorReason};
use holdfast_client::{Client, Command, Consistency, Receive, Reserve, Transport};
use scripted::{Cluster, LOG_TIME_MS, Say};

fn say(reason: ErrorReason) -> Say {
    Say::Error(CommandError::of(reason, "so the script says"))
}

fn not_leader(leader: &str) -> Say {
    Say::Error(CommandError::of(ErrorReason::NotLeader, "not the leader").with("leader", leader))
}

/// SKUs of the first shard and of the second.
fn sku_of_shard(shard: u32, nth: usize) -> String {
    let of_shard = |sku: &String| (slot_of(sku) >= 8_192) == (shard == 1);
    (0..).map(|number| format!("SKU-{number}")).filter(of_shard).nth(nth).unwrap()
}

async fn reserve_one(client: &Client) -> Result<holdfast_client::Success, holdfast_client::Error> {
    client.reserve(Reserve::new().line(sku_of_shard(0, 0), 1)).await
}

#[tokio::test]
async fn a_command_goes_to_the_leader_of_its_shard_under_an_id_of_cluster_time() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let client = cluster.client().await;
    for shard in [0, 1] {
        let done = client.receive(Receive::of(sku_of_shard(shard, 0), 5)).await.unwrap();
        assert_eq!(done.token.map(|token| (token.shard, token.applied_index)), Some((shard, 10)));
        assert_eq!(client.token(shard), done.token);
    }
    let seen = cluster.seen();
    assert_eq!(seen.iter().map(|(node, _)| *node).collect::<Vec<_>>(), vec![1, 2]);
    let minted_at_ms = seen[0].1.minted_at_ms;
    assert!((LOG_TIME_MS..LOG_TIME_MS + 60_000).contains(&minted_at_ms));
    assert_eq!(seen[0].1.command_id.map(CommandId::from).unwrap().time_ms(), Some(minted_at_ms));
}

#[tokio::test]
async fn a_hint_is_followed_with_the_same_command_and_remembered() {
    for transport in [Transport::Session, Transport::Unary] {
        let cluster = Cluster::of(|node, _, _| if node == 3 { Say::Done } else { not_leader("node-3:7400") });
        let mut options = cluster.options();
        options.transport = transport;
        let client = Client::connect(options).await.unwrap();
        reserve_one(&client).await.unwrap();
        reserve_one(&client).await.unwrap();
        let seen = cluster.seen();
        assert_eq!(seen.iter().map(|(node, _)| *node).collect::<Vec<_>>(), vec![1, 3, 3]);
        assert_eq!(seen[0].1, seen[1].1);
        assert_ne!(seen[1].1.command_id, seen[2].1.command_id);
    }
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_repeated_as_it_was_and_marked_for_the_log_to_decide() {
    for transport in [Transport::Session, Transport::Unary] {
        let cluster = Cluster::of(|node, _, times| match (node, times) {
            (_, 1) => Say::Nothing,
            (1, _) => Say::Done,
            _ => not_leader("node-1:7400"),
        });
        let mut options = cluster.options();
        options.transport = transport;
        let client = Client::connect(options).await.unwrap();
        assert!(reserve_one(&client).await.unwrap().replayed);
        let seen = cluster.seen();
        assert!(seen.len() >= 2);
        assert_repeated(&seen);
    }
}

#[tokio::test]
async fn a_leader_that_does_not_answer_is_passed_over_even_where_the_routes_still_name_it() {
    for transport in [Transport::Session, Transport::Unary] {
        for _ in 0..4 {
            let cluster = Cluster::of(|node, _, _| if node == 1 { Say::Nothing } else { Say::Done });
            let mut options = cluster.options();
            options.transport = transport;
            let client = Client::connect(options).await.unwrap();
            reserve_one(&client).await.unwrap();
            let asked: Vec<u64> = cluster.seen().iter().map(|(node, _)| *node).collect();
            assert!(asked.len() == 2 && asked[0] == 1 && asked[1] != 1, "{asked:?}");
        }
    }
}

#[tokio::test]
async fn a_broken_session_is_opened_anew_and_its_commands_repeated() {
    let cluster = Cluster::of(|node, _, times| match (node, times) {
        (_, 1) => Say::Break,
        (1, _) => Say::Done,
        _ => not_leader("node-1:7400"),
    });
    let client = cluster.client().await;
    assert!(reserve_one(&client).await.unwrap().replayed);
    assert_repeated(&cluster.seen());
}

/// All attempts after the first are the same command, and say that an earlier one may be decided yet.
fn assert_repeated(seen: &[(u64, v1::Command)]) {
    assert!(!seen[0].1.retry);
    let again = v1::Command { retry: true, ..seen[0].1.clone() };
    assert!(seen[1..].iter().all(|(_, command)| *command == again), "{seen:?}");
}

#[tokio::test]
async fn what_is_overloaded_for_good_is_not_admitted_and_what_was_silent_before_is_unknown() {
    let overloaded = Cluster::of(|_, _, _| say(ErrorReason::Overloaded));
    let mut options = overloaded.options();
    options.deadline = Duration::from_millis(300);
    let error = reserve_one(&Client::connect(options).await.unwrap()).await.unwrap_err();
    assert!(error.is_not_admitted());
    assert_eq!(error.reason(), ErrorReason::Overloaded);
    assert_eq!(error.failure().attempts as usize, overloaded.seen().len());

    let silent = Cluster::of(|_, _, times| if times == 1 { Say::Break } else { say(ErrorReason::Overloaded) });
    let mut options = silent.options();
    options.deadline = Duration::from_millis(300);
    let error = reserve_one(&Client::connect(options).await.unwrap()).await.unwrap_err();
    assert!(error.is_unknown());
    assert_eq!(error.reason(), ErrorReason::OutcomeUnknown);
    let sent = silent.seen()[0].1.command_id.map(CommandId::from);
    assert_eq!(error.failure().command_id, sent);
    assert!(error.failure().reservation_id.is_some());
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let cluster = Cluster::of(|_, _, _| {
        Say::Error(CommandError::of(ErrorReason::InsufficientStock, "sold out").with("available", 0))
    });
    let client = cluster.client().await;
    let error = reserve_one(&client).await.unwrap_err();
    assert!(error.is_refused());
    assert_eq!(error.failure().metadata.get("available").map(String::as_str), Some("0"));
    assert_eq!(cluster.seen().len(), 1);
}

#[tokio::test]
async fn a_batch_is_split_by_leader_and_only_what_was_not_admitted_is_repeated() {
    let late = sku_of_shard(1, 1);
    let marked = late.clone();
    let cluster = Cluster::of(move |_, command, times| match &command.operation {
        Some(holdfast_client::v1::command::Operation::Receive(receive)) if receive.sku == marked && times == 1 => {
            say(ErrorReason::Overloaded)
        }
        _ => Say::Done,
    });
    let client = cluster.client().await;
    let skus = [sku_of_shard(0, 0), sku_of_shard(1, 0), sku_of_shard(0, 1), late.clone(), sku_of_shard(1, 2)];
    let commands: Vec<Command> = skus.iter().map(|sku| Receive::of(sku, 1).into()).collect();
    let answers = client.execute_batch(commands).await;
    assert!(answers.iter().all(Result::is_ok));
    let mut sizes = cluster.sizes();
    sizes.sort_unstable();
    assert_eq!(sizes, vec![1, 2, 3]);
    assert!(cluster.seen().iter().all(|(node, command)| match &command.operation {
        Some(holdfast_client::v1::command::Operation::Receive(receive)) => {
            u64::from(client.shard_of(&receive.sku)) + 1 == *node
        }
        _ => false,
    }));
}

#[tokio::test]
async fn a_chain_over_two_shards_is_refused_without_asking_and_the_others_are_done() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let client = cluster.client().await;
    let answers = client
        .execute_batch(vec![
            Command::from(Receive::of(sku_of_shard(0, 0), 1)).linked(),
            Receive::of(sku_of_shard(1, 0), 1).into(),
            Receive::of(sku_of_shard(1, 1), 1).into(),
        ])
        .await;
    let reasons: Vec<_> =
        answers.iter().map(|answer| answer.as_ref().err().map(holdfast_client::Error::reason)).collect();
    assert_eq!(reasons, vec![Some(ErrorReason::ChainSpansShards), Some(ErrorReason::ChainSpansShards), None]);
    assert_eq!(cluster.seen().len(), 1);
}

#[tokio::test]
async fn a_chain_is_repeated_whole() {
    let cluster = Cluster::of(|_, _, times| if times == 1 { say(ErrorReason::Overloaded) } else { Say::Done });
    let client = cluster.client().await;
    let answers = client
        .execute_batch(vec![
            Command::from(Receive::of(sku_of_shard(0, 0), 1)).linked(),
            Receive::of(sku_of_shard(0, 1), 1).into(),
        ])
        .await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(cluster.sizes(), vec![2, 2]);
}

#[tokio::test]
async fn callers_that_wait_together_share_requests() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let client = cluster.client().await;
    let calls = (0..500).map(|_| reserve_one(&client));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(cluster.sizes().iter().sum::<usize>(), 500);
    assert!(cluster.sizes().len() < 50, "{:?}", cluster.sizes());
}

#[tokio::test]
async fn a_node_that_never_answers_delays_no_caller_past_its_deadline() {
    let cluster = Cluster::of(|_, _, _| Say::Nothing);
    let mut options = cluster.options();
    options.deadline = Duration::from_millis(500);
    let client = Client::connect(options).await.unwrap();
    let calls = (0..100).map(|_| reserve_one(&client));
    let answers = tokio::time::timeout(Duration::from_secs(10), futures_util::future::join_all(calls)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(holdfast_client::Error::is_unknown)));
}

#[tokio::test]
async fn a_listing_reads_every_page_of_every_shard() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let client = cluster.client().await;
    let items = client.reader(Consistency::Linearizable).items().take(100).await.unwrap();
    let skus: Vec<_> = items.iter().map(|item| item.sku.as_str()).collect();
    assert_eq!(skus, vec!["0-0", "0-1", "0-2", "0-3", "1-0", "1-1", "1-2", "1-3"]);
}

#[tokio::test]
async fn a_linearizable_read_asks_the_leader_and_a_stale_one_any_node() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let client = cluster.client().await;
    let sku = sku_of_shard(1, 0);
    for _ in 0..3 {
        assert_eq!(client.item(&sku).await.unwrap().value.revision, 2);
    }
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..3 {
        asked.insert(client.reader(Consistency::Stale).item(&sku).await.unwrap().value.revision);
    }
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn who_asks_again_for_a_replacement_asks_another_node_though_routes_are_asked_for_in_between() {
    let cluster = Cluster::of(|_, _, _| Say::Done);
    let mut options = cluster.options();
    // Only when it is told to.
    options.refresh_min_interval = Duration::from_secs(3_600);
    let client = Client::connect(options).await.unwrap();
    for _ in 0..4 {
        client.replace_node(1, "node-4:7401", Duration::from_secs(5)).await.unwrap_err();
        client.refresh_routing().await.unwrap();
    }
    let mut replacers = cluster.replacers();
    assert_eq!(replacers.len(), 4);
    replacers.sort_unstable();
    replacers.dedup();
    assert_eq!(replacers, vec![2, 3]);
}

#[tokio::test]
async fn each_attempt_of_what_is_asked_within_a_trace_is_a_call_of_its_own_with_a_span() {
    let cluster = Cluster::of(|node, _, _| if node == 3 { Say::Done } else { not_leader("node-3:7400") });
    let mut options = cluster.options();
    let (tracer, mut queue) = Tracer::queued(options.world.entropy.clone(), 0.0);
    options.world.tracer = tracer;
    let parent = TraceContext::begun(&*options.world.entropy, true);
    let client = Client::connect(options).await.unwrap();
    reserve_one(&client).await.unwrap();
    assert_eq!(queue.try_next(), None, "this one is in no trace");
    let other = client.receive(Receive::of(sku_of_shard(1, 0), 5));
    traces::within(Some(parent), other).await.unwrap();
    let spans: Vec<_> = std::iter::from_fn(|| queue.try_next()).collect();
    let told: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), span.parent, span.context.trace_id)).collect();
    let attempt = ("holdfast.v1.InventoryService/ExecuteBatch", Some(parent.span_id), parent.trace_id);
    assert_eq!(told, [attempt, attempt]);
    assert_ne!(spans[0].context.span_id, spans[1].context.span_id);
}
