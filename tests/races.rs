//! What happens at once, or again: races for the last unit, retries after lost replies, full mailboxes, and what users of other
//! systems suffer from (docs/ARCHITECTURE.md names the invariants).

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Raw, Shop, pause, receive, reservation_id, reserve};
use holdfast_client::{Client, Command, CommandKey, Commit, Error, PutItem, Receive, Release, Reserve};
use holdfast_client::{Stock, ids::CommandId, v1};
use holdfast_proto::v1::ErrorReason;
use rustix::process::Signal;

/// An item with so many units.
async fn stocked(client: &Client, sku: &str, units: u32) {
    let item = v1::Item { sku: sku.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.execute(Receive::of(sku, units)).await.expect("units are received");
}

fn hold(sku: &str, units: u32) -> Reserve {
    Reserve::new().line(sku, units).ttl(Duration::from_secs(14_400))
}

async fn stock(client: &Client, sku: &str) -> Stock {
    client.stock(sku, None).await.expect("stock is read").value
}

fn reserved(stock: &Stock) -> u64 {
    stock.levels.iter().map(|level| level.reserved).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_lost_reply_is_answered_as_decided_and_done_once() {
    const ROUNDS: u64 = 40;
    let cluster = Cluster::of_three().await;
    let raw = Raw::of(&cluster).await;
    stocked(&raw.client, "SKU", 1_000).await;
    let shard = raw.client.shard_of("SKU");
    let leader = raw.leader(shard).await;
    for round in 0..ROUNDS {
        let command = raw.command(reserve(raw.reservation("SKU"), &[("SKU", 1)]));
        // The caller goes away a little later each time: before the command left, amid it, after it was decided.
        let gone = tokio::time::timeout(Duration::from_micros(100 * round), raw.ask(leader, command.clone()));
        let _lost = gone.await;
        // Each over a connection of its own.
        let decided = raw.ask_leader(shard, command.clone()).await;
        let again = raw.ask_leader(shard, command).await;
        assert!(again.replayed, "round {round}");
        assert_eq!(decided.outcome, again.outcome, "round {round}");
    }
    assert_eq!(reserved(&stock(&raw.client, "SKU").await), ROUNDS);
}

/// What an error says of whether it was recorded.
fn recorded(error: &v1::CommandError) -> (ErrorReason, &str) {
    (error.reason(), error.metadata.get("recorded").map_or("", String::as_str))
}

async fn applied_index(client: &Client, sku: &str) -> u64 {
    let read = client.stock(sku, None).await.expect("stock is read");
    read.freshness.token.expect("a read has a token").applied_index
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sold_out_is_answered_with_nothing_in_the_log_and_leaves_the_id_unused() {
    let cluster = Cluster::of_three().await;
    let raw = Raw::of(&cluster).await;
    stocked(&raw.client, "SKU", 1).await;
    raw.client.execute(hold("SKU", 1)).await.expect("the last unit is held");
    let leader = raw.leader(raw.client.shard_of("SKU")).await;
    let ask = || raw.command(reserve(raw.reservation("SKU"), &[("SKU", 1)]));
    let sold_out = ErrorReason::InsufficientStock;

    // A node looks only at what it has seen the log refuse.
    assert_eq!(recorded(&raw.ask(leader, ask()).await.unwrap_err()), (sold_out, "true"));
    let before = applied_index(&raw.client, "SKU").await;
    let first = ask();
    let told = raw.ask(leader, first.clone()).await.expect_err("nothing is left");
    assert_eq!((recorded(&told), told.metadata["available"].as_str()), ((sold_out, "false"), "0"));
    for _ in 0..10 {
        assert_eq!(recorded(&raw.ask(leader, ask()).await.unwrap_err()), (sold_out, "false"));
    }
    let told = raw.client.execute(hold("SKU", 1)).await.unwrap_err();
    assert!(told.is_refused() && told.failure().metadata["recorded"] == "false", "{told:?}");
    assert_eq!(applied_index(&raw.client, "SKU").await, before);

    // Another attempt may be done: the log decides, and so does it where the caller's own key does not say that it is new.
    let marked = v1::Command { retry: true, ..ask() };
    assert_eq!(recorded(&raw.ask(leader, marked.clone()).await.unwrap_err()), (sold_out, "true"));
    let key = CommandKey::Own(CommandId::of_key("order 18"));
    let keyed = || Command::from(hold("SKU", 1)).with_key(key);
    let told = raw.client.execute(keyed().first_attempt()).await.unwrap_err();
    assert_eq!(told.failure().metadata["recorded"], "false");
    assert_eq!(raw.client.execute(keyed()).await.unwrap_err().failure().metadata["recorded"], "true");
    assert!(applied_index(&raw.client, "SKU").await > before);

    raw.client.execute(Receive::of("SKU", 1)).await.expect("one more comes");
    let told = raw.ask(leader, marked).await.expect_err("what is recorded is final");
    assert_eq!(recorded(&told), (sold_out, "true"));
    let held = raw.ask(leader, first).await.expect("the id was not used");
    assert!(!held.replayed && Raw::refusal(&held).is_none(), "{held:?}");
    assert_eq!(reserved(&stock(&raw.client, "SKU").await), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_with_another_body_is_refused_and_changes_nothing() {
    let cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    stocked(&client, "SKU", 10).await;
    let keys: [fn(CommandId) -> CommandKey; 2] = [CommandKey::Id, |_| CommandKey::Own(CommandId::of_key("order 17"))];
    for (already, key) in keys.into_iter().enumerate() {
        let now_ms = client.cluster_time_ms();
        let key = key(CommandId::mint(now_ms, 17));
        let id =
            holdfast_client::ids::ReservationId::mint(now_ms, holdfast_client::ids::slot_of("SKU"), already as u128);
        let first = Command::from(hold("SKU", 1).id(id)).with_key(key);
        client.execute(first.clone()).await.expect("a first time");
        let other = client.execute(Command::from(hold("SKU", 2).id(id)).with_key(key)).await;
        assert_eq!(other.unwrap_err().reason(), ErrorReason::ExistsWithDifferent);
        assert!(client.execute(first).await.expect("the first again").replayed);
        assert_eq!(reserved(&stock(&client, "SKU").await), already as u64 + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_mailbox_answers_overloaded_with_a_delay_and_nothing_is_lost() {
    const BATCHES: usize = 8;
    const COMMANDS: usize = 4_000;
    let narrow = ["limits.waiting_commands=8192", "limits.entries_in_flight=1", "limits.request_timeout_ms=60000"];
    let cluster = Cluster::with_settings(&narrow).await;
    cluster.wait_spread().await;
    let raw = Raw::of(&cluster).await;
    let sku = raw.sku_of(0);
    stocked(&raw.client, &sku, 1_000_000).await;
    let leader = raw.leader(0).await;
    let followers: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    for id in &followers {
        cluster.signal(*id, Signal::STOP);
    }
    let batches: Vec<Vec<v1::Command>> =
        (0..BATCHES).map(|_| (0..COMMANDS).map(|_| raw.command(receive(&sku, 1))).collect()).collect();
    let asked = futures_util::future::join_all(batches.iter().map(|batch| raw.ask_batch(leader, batch.clone())));
    let thawed = async {
        // The mailbox is full as soon as its fill is told; the followers go on before the leader gives up.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = cluster.status(leader).await;
            let waiting = status.iter().flat_map(|status| &status.replicas).map(|replica| replica.waiting).max();
            if waiting >= Some(4_000) || Instant::now() >= deadline {
                break;
            }
            pause().await;
        }
        for id in &followers {
            cluster.signal(*id, Signal::CONT);
        }
    };
    let (answers, ()) = tokio::join!(asked, thawed);
    let results: Vec<_> = answers.into_iter().flatten().flatten().collect();
    let overloaded: Vec<_> =
        results.iter().filter_map(Raw::refusal).filter(|error| error.reason() == ErrorReason::Overloaded).collect();
    assert!(!overloaded.is_empty(), "nobody was turned away");
    assert!(overloaded.iter().all(|error| error.retry_after_ms > 0), "{:?}", overloaded[0]);
    for batch in batches {
        let again: Vec<Command> = batch
            .into_iter()
            .map(|command| {
                let id = CommandId::from(command.command_id.unwrap());
                Command::from(Receive::of(sku.as_str(), 1)).with_key(CommandKey::Id(id))
            })
            .collect();
        for answer in raw.client.execute_batch_within(again, PATIENCE).await {
            answer.expect("what was turned away is done when asked again");
        }
    }
    let expected = 1_000_000 + (BATCHES * COMMANDS) as u64;
    assert_eq!(stock(&raw.client, &sku).await.levels[0].on_hand, expected);
    cluster.replicas_agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_races_a_commit_leaves_one_of_them_true() {
    let cluster = Cluster::of_three().await;
    let (one, other) = (Shop::client(&cluster).await, Shop::client(&cluster).await);
    stocked(&one, "SKU", 50).await;
    let (mut sold, mut given_back) = (0, 0);
    for round in 0..50 {
        let held = one.reserve(hold("SKU", 1)).await.expect("a hold");
        let id = reservation_id(&held);
        match tokio::join!(one.execute(Commit::of(id)), other.execute(Release::of(id))) {
            (Ok(_), Err(Error::Refused(_))) => sold += 1,
            (Err(Error::Refused(_)), Ok(_)) => given_back += 1,
            both => panic!("round {round}: {both:?}"),
        }
    }
    let stock = stock(&one, "SKU").await;
    let level = &stock.levels[0];
    assert_eq!((level.committed, level.reserved, level.free), (sold, 0, given_back));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_told_nothing_by_another_cluster_that_has_taken_its_addresses() {
    let mut cluster = Cluster::prepared(1, &[]);
    cluster.start_all();
    cluster.wait_ready().await;
    let mut options = holdfast_client::ClientOptions::new(cluster.addresses());
    options.deadline = Duration::from_secs(2);
    let client = Client::connect(options).await.expect("the cluster is found");
    stocked(&client, "SKU", 10).await;

    cluster.kill_all();
    let mut other = Cluster::prepared(1, &[]);
    other.take_addresses_of(&cluster);
    other.start_all();
    other.wait_ready().await;

    // Without the check it was told UNKNOWN_SKU, and that there is no such stock. An attempt that the client's own deadline cuts short
    // has no answer.
    let cut_short = [ErrorReason::OutcomeUnknown, ErrorReason::Unavailable];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = client.execute(hold("SKU", 1)).await.expect_err("it is not their stock").reason();
        let read = client.stock("SKU", None).await.expect_err("it is not their stock").reason();
        if [held, read] == [ErrorReason::WrongCluster; 2] {
            break;
        }
        let is_one = |told: &ErrorReason| *told == ErrorReason::WrongCluster || cut_short.contains(told);
        assert!([held, read].iter().all(is_one) && Instant::now() < deadline, "{held:?}, {read:?}");
    }

    other.kill_all();
    cluster.start_all();
    cluster.wait_ready().await;
    client.execute(hold("SKU", 1)).await.expect("its own cluster sells to it again");
}
