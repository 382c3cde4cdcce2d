//! What happened to a node's folder while it was down, or ran: a state store that is damaged heals, so does a log of which entries
//! are; a log that has lost more, or is old, keeps the node out of every quorum, and the way back that it names is walked.

mod cluster;

use std::fs;
use std::path::Path;
use std::time::Duration;

use cluster::{
    Cluster, Raw, Shop, amid_the_used, copy_folder, flip_amid, flip_in_every, last_written, put_item, receive, truncate,
};
use holdfast_client::{Client, ClientOptions, Error, Receive};
use holdfast_proto::v1::{Effect, ErrorReason, GetStatusResponse, ReplicaRole, Retry};

/// Limits that make segments small.
const SMALL: &[&str] = &["limits.checkpoint_bytes=1048576", "limits.segment_bytes=1048576"];

/// Damages the state store of node 3 behind a checkpoint, and lets it return while the shop sells.
async fn the_state_store_heals(damage: impl FnOnce(&Path)) {
    let mut cluster = Cluster::with_settings(SMALL).await;
    let shop = Shop::open(&cluster, 8, 8).await;
    shop.sells(300).await;
    cluster.checkpoint(3).await;
    shop.sells(50).await;
    cluster.kill(3);
    let state = cluster.folder(3).join("state");
    damage(&state);
    shop.sells(50).await;
    cluster.start(3);
    cluster.wait_message(3, "set aside").await;
    cluster.wait_ready().await;
    shop.sells(50).await;
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_state_store_was_cut_says_so_and_heals() {
    the_state_store_heals(|state| {
        let db = state.join("db");
        let middle = amid_the_used(&db);
        truncate(&db, middle);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_state_store_has_a_flipped_byte_says_so_and_heals() {
    the_state_store_heals(|state| {
        // Superseded copies lie about in the file, and damage to those harms nobody: the one that counts is among all.
        assert!(flip_in_every(&state.join("db"), "Item SKU-5") > 0, "the item lies in the state store");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_state_store_was_deleted_says_so_and_heals() {
    the_state_store_heals(|state| fs::remove_dir_all(state).unwrap()).await;
}

/// Node 3 comes back from whatever `damage` did to its folder: it does not vote, somebody says what to do, and that is done.
/// `before` sees the folder as it was some time earlier.
async fn the_node_is_replaced(before: impl FnOnce(&Path), damage: impl FnOnce(&Path)) {
    let mut cluster = Cluster::with_settings(SMALL).await;
    let shop = Shop::open(&cluster, 8, 8).await;
    shop.sells(200).await;
    cluster.kill(3);
    before(&cluster.folder(3));
    cluster.start(3);
    cluster.wait_ready().await;
    shop.sells(200).await;
    cluster.kill(3);
    damage(&cluster.folder(3));
    shop.sells(50).await;
    cluster.start(3);
    the_way_back_is_named(&cluster).await;
    it_does_not_vote(&mut cluster).await;
    shop.sells(50).await;

    cluster.add_node(4);
    cluster.start_with(4, &["join=true"]);
    cluster.wait_status(4, "there", |_| true).await;
    let fresh = cluster.nodes[3].peer.clone();
    let (exit, said, message) = cluster.holdfast(&["cluster", "replace", "3", "--with", &fresh]).await;
    assert_eq!(exit, 0, "{said}{message}");
    cluster.kill(3);
    cluster.forget(3);
    cluster.wait_ready().await;
    for id in [1, 2, 4] {
        let are_members = |status: &GetStatusResponse| {
            let members: Vec<u64> = status.members.iter().map(|member| member.node_id).collect();
            members == [1, 2, 4]
        };
        cluster.wait_status(id, "told of the members", are_members).await;
    }
    // It votes: with it, one of the old ones is not needed.
    cluster.kill(1);
    shop.sells(50).await;
    cluster.start(1);
    cluster.wait_ready().await;
    shop.close_and_compare(&cluster).await;
}

/// With node 2 down, nodes 1 and 3 would be a majority if node 3 had a vote.
async fn it_does_not_vote(cluster: &mut Cluster) {
    cluster.kill(2);
    let mut options = ClientOptions::new(cluster.addresses());
    options.deadline = Duration::from_secs(6);
    if let Ok(client) = Client::connect(options).await {
        let ask = |shard| {
            let client = &client;
            async move {
                // Nobody sells this, which is itself an answer that a majority must decide.
                let mut names = (0..).map(|number| format!("NOBODY-{number}"));
                let sku = names.find(|sku| client.shard_of(sku) == shard).expect("every shard has a SKU");
                client.receive(Receive::of(sku, 1)).await
            }
        };
        for answer in futures_util::future::join_all((0..2).map(ask)).await {
            assert!(!matches!(answer, Ok(_) | Err(Error::Refused(_))), "decided without a majority: {answer:?}");
        }
    }
    cluster.start(2);
}

/// One of the nodes says it: the damaged one of itself, or the others of it.
async fn the_way_back_is_named(cluster: &Cluster) {
    let deadline = std::time::Instant::now() + cluster::PATIENCE;
    let says = |id| cluster.messages(id).contains("holdfast cluster replace");
    while ![1, 2, 3].into_iter().any(says) {
        assert!(std::time::Instant::now() < deadline, "nobody names the way back");
        cluster::pause().await;
    }
}

fn leave(_: &Path) {}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_lost_its_last_segment_does_not_vote_and_is_replaced() {
    the_node_is_replaced(leave, |folder| fs::remove_file(last_written(&folder.join("log"))).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_has_a_flipped_bit_says_so_and_is_mended_before_it_votes() {
    let mut cluster = Cluster::with_settings(SMALL).await;
    let shop = Shop::open(&cluster, 8, 8).await;
    shop.sells(300).await;
    cluster.kill(3);
    assert!(flip_amid(&last_written(&cluster.folder(3).join("log")), "SKU-5"), "the log holds commands");
    // Nobody is there to mend it: it leads nothing and follows nobody in the group that is damaged.
    cluster.kill(1);
    cluster.kill(2);
    cluster.start(3);
    cluster.wait_message(3, "rotten").await;
    let is_kept_out =
        |status: &GetStatusResponse| status.replicas.iter().any(|replica| replica.role() == ReplicaRole::Damaged);
    cluster.wait_status(3, "kept out", is_kept_out).await;
    cluster.start(1);
    cluster.start(2);
    cluster.wait_ready().await;
    shop.sells(50).await;
    // It has its vote again.
    cluster.kill(1);
    shop.sells(50).await;
    cluster.start(1);
    cluster.wait_ready().await;
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_rots_while_its_node_runs_is_found_and_mended() {
    let settings: Vec<&str> = SMALL.iter().copied().chain(["limits.scrub_pause_s=1"]).collect();
    let mut cluster = Cluster::with_settings(&settings).await;
    let shop = Shop::open(&cluster, 8, 8).await;
    shop.sells(300).await;
    assert!(flip_amid(&last_written(&cluster.folder(3).join("log")), "SKU-5"), "the log holds commands");
    let is_mended = |status: &GetStatusResponse| {
        status.scrub.is_some_and(|scrub| scrub.rotten_entries > 0 && scrub.mended_entries == scrub.rotten_entries)
    };
    cluster.wait_status(3, "mended", is_mended).await;
    // It has its vote, also in its next life.
    for _ in 0..2 {
        cluster.kill(1);
        shop.sells(50).await;
        cluster.start(1);
        cluster.wait_ready().await;
        cluster.kill(3);
        cluster.start(3);
        cluster.wait_ready().await;
    }
    assert!(!cluster.messages(3).contains("is damaged on this node"), "{}", cluster.messages(3));
    shop.close_and_compare(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_folder_was_wiped_does_not_vote_and_is_replaced() {
    the_node_is_replaced(leave, |folder| fs::remove_dir_all(folder).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_folder_is_an_older_copy_does_not_vote_and_is_replaced() {
    let copy = |folder: &Path| folder.with_file_name("older");
    the_node_is_replaced(
        |folder| copy_folder(folder, &copy(folder)),
        |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::rename(copy(folder), folder).unwrap();
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_room_on_its_disks_takes_nothing_says_so_and_still_tells_what_it_has() {
    let mut cluster = Cluster::of_three().await;
    let raw = Raw::of(&cluster).await;
    let shard = raw.client.shard_of("SKU-0");
    for operation in [put_item("SKU-0"), receive("SKU-0", 7)] {
        raw.ask_leader(shard, raw.command(operation)).await;
    }
    cluster.kill_all();
    for id in 1..=3 {
        cluster.start_with(id, &["limits.min_free_bytes=9000000000000000000"]);
    }
    cluster.wait_ready().await;
    for id in 1..=3 {
        cluster.wait_message(id, "nearly full").await;
    }
    let raw = Raw::of(&cluster).await;
    let arrival = raw.command(receive("SKU-0", 5));
    let leader = raw.leader(shard).await;
    let told = raw.ask_batch(leader, vec![arrival.clone()]).await.expect("a batch is answered command by command");
    let refused = Raw::refusal(&told[0]).expect("nothing is taken");
    assert_eq!(
        (refused.reason(), refused.effect(), refused.retry()),
        (ErrorReason::StorageFull, Effect::None, Retry::SameKey)
    );
    assert_eq!(refused.metadata["node"], leader.to_string());
    assert_eq!(units(&cluster).await, 7, "what is there is told, and nothing came");

    cluster.restart_all().await;
    let told = Raw::of(&cluster).await.ask_leader(shard, arrival).await;
    assert!(Raw::refusal(&told).is_none(), "{told:?}");
    assert_eq!(units(&cluster).await, 12, "the same command is done once there is room");
}

/// Units of the SKU that may be promised.
async fn units(cluster: &Cluster) -> u64 {
    let client = Shop::client(cluster).await;
    client.reader(Default::default()).stock("SKU-0", None).await.expect("it is read").value.atp
}
