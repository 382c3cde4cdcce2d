//! Audits and halted shards over real processes: followers audit at their interval and halt nothing that is sound; a shard that was
//! halted takes no commands after a kill of every node either, is read as before, and goes on once somebody says why it may.

mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, PATIENCE, Shop};
use holdfast_client::{Adjust, Client, PutItem, Receive, Reserve, v1};
use holdfast_proto::log::v1 as log;
use holdfast_proto::peer::v1::DecideRequest;
use holdfast_proto::peer::v1::decide_response::Outcome;
use holdfast_proto::peer::v1::order_service_client::OrderServiceClient;
use holdfast_proto::v1::ErrorReason;
use holdfast_world::{Lane, Network, RealNetwork};
use prost::Message as _;
use serde_json::Value;

const SKU: &str = "CREAM";

async fn open_shop(client: &Client) {
    let item = v1::Item { sku: SKU.to_owned(), ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of(SKU, 10)).await.expect("units are received");
}

async fn holdfast(cluster: &Cluster, arguments: &[&str]) -> (i32, Value, String) {
    let (code, stdout, stderr) = cluster.holdfast(arguments).await;
    (code, serde_json::from_str(&stdout).unwrap_or_default(), stderr)
}

/// Tells the leader of a shard what an audit on node 3 would tell it that had found something.
async fn tell_of_a_breach(cluster: &Cluster, shard: u32) {
    let operation = log::command::Operation::HaltShard(log::HaltShard {
        invariant: "H-LEDGER".to_owned(),
        finding: "CREAM at main: 11, not 10".to_owned(),
        node: 3,
        seen_seq: u64::MAX,
    });
    let command = log::Command { id_high: 7, id_low: 7, operation: Some(operation), ..log::Command::default() };
    let request = DecideRequest { cluster_id: cluster.cluster_id(), shard, command: command.encode_to_vec().into() };
    let deadline = Instant::now() + PATIENCE;
    loop {
        for node in &cluster.nodes {
            let channel = RealNetwork::new().channel(&node.peer, Lane::Control, Duration::from_secs(1));
            let answer = OrderServiceClient::new(channel.expect("a channel")).decide(request.clone()).await;
            if let Ok(answer) = answer
                && let Some(Outcome::Decided(_)) = answer.into_inner().outcome
            {
                return;
            }
        }
        assert!(Instant::now() < deadline, "no node leads shard {shard}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn shard_row(listed: &Value, shard: u64) -> &Value {
    let rows = listed["shards"].as_array().expect("rows");
    rows.iter().find(|row| row["shard"] == shard).unwrap_or_else(|| panic!("no shard {shard}: {listed}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_halted_shard_stays_halted_over_a_kill_of_all_nodes_and_goes_on_when_somebody_says_why() {
    let mut cluster = Cluster::of_three().await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let shard = client.shard_of(SKU);
    let held = client.reserve(Reserve::new().line(SKU, 2).ttl(Duration::from_secs(1))).await.expect("units are held");
    tell_of_a_breach(&cluster, shard).await;
    let refused = client.execute(Adjust::of(SKU, 1)).await.expect_err("a halted shard takes no commands");
    assert_eq!(refused.reason(), ErrorReason::ShardHalted);
    assert!(refused.is_refused() && refused.failure().metadata["invariant"] == "H-LEDGER", "{refused}");
    assert!(refused.to_string().contains("holdfast shard resume SHARD"), "{refused}");

    cluster.restart_all().await;
    let client = Shop::client(&cluster).await;
    let refused = client.reserve(Reserve::new().line(SKU, 1)).await.expect_err("it is halted still");
    assert_eq!(refused.reason(), ErrorReason::ShardHalted);
    // It is read as before, and holds end by themselves.
    let reservation = held.reservation_id.expect("a reservation");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let level = client.stock(SKU, None).await.expect("stock is read").value.levels.remove(0);
        if level.reserved == 0 {
            assert_eq!(level.on_hand, 10);
            break;
        }
        assert!(Instant::now() < deadline, "{reservation} does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = cluster.wait_status(1, "warned", |status| !status.warnings.is_empty()).await;
    assert!(status.warnings.iter().any(|line| line.contains("H-LEDGER")), "{:?}", status.warnings);

    let (code, listed, _) = holdfast(&cluster, &["shard", "list"]).await;
    let row = shard_row(&listed, u64::from(shard));
    let halt = &row["halt"];
    assert_eq!((code, row["halted"].as_bool(), halt["node"].as_u64()), (0, Some(true), Some(3)), "{listed}");
    assert_eq!(halt["finding"], "CREAM at main: 11, not 10");
    let other = shard_row(&listed, u64::from(1 - shard));
    assert_eq!(other["halted"], false);

    let number = shard.to_string();
    let (code, _, stderr) = holdfast(&cluster, &["shard", "resume", &number]).await;
    assert!(code == 2 && stderr.contains("--reason"), "{stderr}");
    let resume = ["shard", "resume", &number, "--reason", "counted by hand", "--actor", "ann"];
    let (code, resumed, stderr) = holdfast(&cluster, &resume).await;
    assert_eq!((code, &resumed["resumed"]["seq"]), (0, &halt["seq"]), "{stderr}");
    // Said once more it finds nothing to lift.
    let (code, resumed, _) = holdfast(&cluster, &resume).await;
    assert_eq!((code, &resumed["resumed"]), (0, &Value::Null));
    client.execute(Adjust::of(SKU, 1)).await.expect("it takes commands again");
    let (code, told, stderr) = holdfast(&cluster, &["audit", "query", "--kind", "shard."]).await;
    let told: Vec<(&str, &str, &str)> = told
        .as_array()
        .expect("events")
        .iter()
        .map(|event| ["kind", "reason", "actor"].map(|name| event[name].as_str().unwrap_or_default()))
        .map(|[kind, reason, actor]| (kind, reason, actor))
        .collect();
    assert_eq!(
        (code, told),
        (0, vec![("shard.halted", "", ""), ("shard.resumed", "counted by hand", "ann")]),
        "{stderr}"
    );
    cluster.replicas_agree().await;
    let (code, audited, stderr) = holdfast(&cluster, &["shard", "audit", &number]).await;
    assert_eq!((code, audited["sound"].as_bool()), (0, Some(true)), "{stderr}");
    let audits = audited["audits"].as_array().expect("an audit of each node");
    assert!(audits.len() == 3 && audits.iter().all(|audit| audit["skus"].as_u64() >= Some(1)), "{audited}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_audit_at_their_interval_and_halt_nothing_that_is_sound() {
    let cluster = Cluster::with_settings(&["audit.interval_s=1"]).await;
    let client = Shop::client(&cluster).await;
    open_shop(&client).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.reserve(Reserve::new().line(SKU, 1).ttl(Duration::from_secs(1))).await.expect("units are held");
        let (_, listed, stderr) = holdfast(&cluster, &["shard", "list"]).await;
        let row = shard_row(&listed, u64::from(client.shard_of(SKU)));
        assert_eq!(row["halted"], false, "{listed}{stderr}");
        let replicas = row["replicas"].as_array().expect("replicas");
        let followers = replicas.iter().filter(|replica| replica["leads"] == false);
        let is_seen = |replica: &Value| {
            let last = &replica["last_audit"];
            replica["audits"].as_u64() >= Some(2)
                && last["breaches_in_all"] == 0
                && last["reservations"].as_u64() >= Some(1)
        };
        if followers.filter(|replica| is_seen(replica)).count() == 2 {
            break;
        }
        assert!(Instant::now() < deadline, "not both followers have audited: {listed}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
