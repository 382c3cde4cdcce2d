//! The audit, over real processes: what the replicas keep of the past is read back and compared, while the shop sells.

mod cluster;

use cluster::{Cluster, Shop, flip_amid, last_written};
use holdfast_client::{Adjust, Client, ExecuteOptions, PutItem, Receive, Reserve, v1};
use serde_json::Value;

const SHARDS: u32 = 2;

async fn receive(client: &Client, number: u32) {
    let sku = format!("SKU-{number:03}");
    client.put_item(PutItem::new(v1::Item { sku: sku.clone(), ..v1::Item::default() })).await.expect("an item is put");
    client.receive(Receive::of(sku, 1)).await.expect("a unit is received");
}

/// The exit status of `audit verify`, and its answer.
async fn verify(cluster: &Cluster) -> (i32, Value) {
    let (status, answer, said) = cluster.holdfast(&["audit", "verify"]).await;
    (status, serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{status}: {said}")))
}

fn breaches(answer: &Value) -> Vec<(u64, u64, String)> {
    let rows = answer["replicas"].as_array().expect("there are replicas").iter();
    let number = |row: &Value, name: &str| row[name].as_u64().expect("a number");
    let breaches = rows.map(|row| (number(row, "shard"), number(row, "node"), row["breaches"][0].to_string()));
    breaches.filter(|(.., breach)| breach != "null").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replica_is_verified_amid_the_trade_and_the_one_that_was_changed_is_named() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    for number in 0..40 {
        receive(&client, number).await;
    }
    let trade = {
        let client = client.clone();
        tokio::spawn(async move {
            for number in 40.. {
                receive(&client, number % 900).await;
            }
        })
    };
    let (status, answer) = verify(&cluster).await;
    assert_eq!((status, &answer["sound"]), (0, &Value::from(true)), "{answer}");
    assert_eq!(answer["replicas"].as_array().map(Vec::len), Some(3 * SHARDS as usize));
    assert!(answer["events"].as_u64() >= Some(80), "an item and its stock are an event each: {answer}");
    trade.abort();

    // After a restart all stands in files, and is read back from there.
    cluster.restart_all().await;
    let (status, answer) = verify(&cluster).await;
    assert_eq!((status, breaches(&answer)), (0, vec![]), "{answer}");
    let shard = client.shard_of("SKU-007");
    let file = last_written(&cluster.folder(2).join(format!("changes/group-{}", shard + 1)));
    assert!(flip_amid(&file, "SKU-007"), "the change log names the SKU");
    let (status, answer) = verify(&cluster).await;
    let found = breaches(&answer);
    assert_eq!((status, found.len()), (1, 1), "{answer}");
    assert_eq!((found[0].0, found[0].1), (u64::from(shard), 2), "{answer}");
}

/// What `audit query` shows: each event's kind and SKU or reservation.
async fn query(cluster: &Cluster, flags: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["audit", "query"].iter().chain(flags).copied().collect();
    let (status, answer, said) = cluster.holdfast(&arguments).await;
    assert_eq!(status, 0, "{said}");
    let rows: Value = serde_json::from_str(&answer).expect("rows in JSON");
    rows.as_array().expect("rows").clone()
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["kind"].as_str().expect("a kind")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_what_and_why_is_found_by_sku_actor_document_command_reservation_and_time() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    receive(&client, 1).await;
    receive(&client, 2).await;
    let broken = v1::Cause {
        actor: "ann".to_owned(),
        reason: "broken on the shelf".to_owned(),
        reference: "https://a.example/report/7".to_owned(),
    };
    let key: holdfast_client::CommandKey =
        holdfast_client::CommandKey::Own(holdfast_client::ids::CommandId::of_key("ann-7"));
    let found = Adjust::of("SKU-001", 5);
    let options = ExecuteOptions { key, cause: Some(broken), ..ExecuteOptions::default() };
    client.execute_with(found, options).await.expect("units are found");
    let held = client.reserve(Reserve::new().line("SKU-001", 2)).await.expect("units are held");
    let reservation = held.reservation_id.expect("it has an id").to_string();
    client.release(held.reservation_id.expect("it has an id")).await.expect("it is given back");

    // What was written is told from files too, after a crash of all nodes.
    cluster.restart_all().await;
    let all = query(&cluster, &["--sku", "SKU-001"]).await;
    let told = [
        "item.changed",
        "stock.received",
        "availability.back",
        "stock.adjusted",
        "reservation.held",
        "reservation.released",
    ];
    assert_eq!(kinds(&all), told, "{all:?}");
    let adjusted = &all[3];
    assert_eq!(adjusted["reason"], "broken on the shelf");
    assert_eq!(
        (&adjusted["changes"][0]["delta"]["on_hand"], &adjusted["changes"][0]["after"]["on_hand"]),
        (&5.into(), &6.into())
    );
    for flags in [
        ["--actor", "ann"],
        ["--reference", "https://a.example/report/7"],
        ["--command", "ann-7"],
        ["--kind", "stock.adjusted"],
    ] {
        assert_eq!(query(&cluster, &flags).await, std::slice::from_ref(adjusted), "{flags:?}");
    }
    let of_reservation = query(&cluster, &["--reservation", &reservation]).await;
    assert_eq!(kinds(&of_reservation), ["reservation.held", "reservation.released"]);
    let since = adjusted["time"].as_str().expect("a time");
    assert_eq!(kinds(&query(&cluster, &["--sku", "SKU-001", "--until", since]).await), told[..3]);
    assert_eq!(
        kinds(&query(&cluster, &["--sku", "SKU-001", "--since", since, "--kind", "reservation."]).await),
        told[4..]
    );
    assert_eq!(query(&cluster, &["--actor", "bob"]).await, Vec::<Value>::new());
    let (status, _, said) = cluster.holdfast(&["audit", "query", "--kind", "Stock"]).await;
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("filter.kinds[0]"), "{said}");
}

/// Runs a verb, and keeps what it printed in a file.
async fn keep(cluster: &Cluster, arguments: &[&str], name: &str) -> String {
    let (status, answer, said) = cluster.holdfast(arguments).await;
    assert_eq!(status, 0, "{said}");
    let path = cluster.folder(1).with_file_name(name);
    std::fs::write(&path, answer).expect("the file is written");
    path.to_str().expect("a path of ours").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_proved_against_a_head_that_was_kept_and_another_history_is_found_out() {
    let mut cluster = Cluster::of_shards(SHARDS).await;
    let client = Shop::client(&cluster).await;
    for number in 0..20 {
        receive(&client, number).await;
    }
    let head = keep(&cluster, &["audit", "head"], "head.json").await;
    for number in 20..40 {
        receive(&client, number).await;
    }
    cluster.restart_all().await;
    let received = query(&cluster, &["--sku", "SKU-007", "--kind", "stock.received"]).await;
    let place = format!("{}:{}", received[0]["shard"], received[0]["seq"]);
    let proof = keep(&cluster, &["audit", "prove", &place, "--head", &head], "proof.json").await;
    let (status, answer, said) = cluster.holdfast(&["audit", "check", &proof, "--head", &head]).await;
    assert_eq!(status, 0, "{said}");
    let checked: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!((&checked["holds"], &checked["event"]["hash"]), (&true.into(), &received[0]["hash"]), "{checked}");

    // A proof for the present history does not fit an older head, and says what to do.
    let present = keep(&cluster, &["audit", "prove", &place], "present.json").await;
    let (status, _, said) = cluster.holdfast(&["audit", "check", &present, "--head", &head]).await;
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("--head FILE"), "{said}");

    // An event that was changed in the proof is not in the tree.
    let mut forged: Value = serde_json::from_str(&std::fs::read_to_string(&proof).expect("it is there")).expect("JSON");
    let other = query(&cluster, &["--sku", "SKU-008", "--kind", "stock.received"]).await;
    let other_place = format!("{}:{}", other[0]["shard"], other[0]["seq"]);
    let (_, other_proof, _) = cluster.holdfast(&["audit", "prove", &other_place, "--head", &head]).await;
    let other_proof: Value = serde_json::from_str(&other_proof).expect("JSON");
    forged["event"] = other_proof["event"].clone();
    std::fs::write(&proof, forged.to_string()).expect("the file is written");
    let (status, _, said) = cluster.holdfast(&["audit", "check", &proof, "--head", &head]).await;
    assert_eq!(status, 1, "{said}");

    // Every replica has the history of the head; a head of another history names them all.
    let (status, _, said) = cluster.holdfast(&["audit", "verify", "--head", &head]).await;
    assert_eq!(status, 0, "{said}");
    let other_cluster = Cluster::of_shards(SHARDS).await;
    let other_client = Shop::client(&other_cluster).await;
    for number in 0..20 {
        receive(&other_client, number + 100).await;
    }
    let foreign = keep(&other_cluster, &["audit", "head"], "foreign.json").await;
    let (status, answer, _) = cluster.holdfast(&["audit", "verify", "--head", &foreign]).await;
    assert_eq!(status, 1);
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(breaches(&answer).len(), 3 * SHARDS as usize, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quantities_are_told_as_they_were_at_every_moment_of_the_past() {
    let mut cluster = Cluster::of_shards(1).await;
    let client = Shop::client(&cluster).await;
    receive(&client, 1).await;
    let held = client.reserve(Reserve::new().line("SKU-001", 1)).await.expect("it is held");
    let id = held.reservation_id.expect("it has an id");
    client.commit(id).await.expect("it is sold");
    client.fulfil(holdfast_client::Fulfil::of(id)).await.expect("it is shipped");
    receive(&client, 1).await;
    cluster.restart_all().await;
    let events = query(&cluster, &["--sku", "SKU-001"]).await;
    for (at, event) in events.iter().enumerate() {
        // The last of its millisecond says what was there after it.
        let is_last = events.get(at + 1).is_none_or(|next| next["time"] != event["time"]);
        let Some(change) = event["changes"].get(0).filter(|_| is_last) else { continue };
        let time = event["time"].as_str().expect("a time");
        let (status, answer, said) = cluster.holdfast(&["audit", "asof", "SKU-001", time]).await;
        assert_eq!(status, 0, "{said}");
        let was: Value = serde_json::from_str(&answer).expect("JSON");
        let level = was["levels"].get(0).cloned().unwrap_or_else(|| serde_json::json!({}));
        for quantity in ["on_hand", "reserved", "committed"] {
            let number = |value: &Value| value[quantity].as_u64().unwrap_or(0);
            assert_eq!(number(&level), number(&change["after"]), "{quantity} at {time}: {was} {event}");
        }
    }
    let (status, answer, said) = cluster.holdfast(&["audit", "asof", "SKU-001", "2001-01-01T00:00:00Z"]).await;
    assert_eq!(status, 0, "{said}");
    assert!(answer.contains("\"levels\": []"), "{answer}");
}
