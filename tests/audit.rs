//! The audit, over real processes: what the replicas keep of the past is read back and compared, while the shop sells.

mod cluster;

use cluster::{Cluster, Shop, flip_amid, last_written};
use holdfast_client::{Client, PutItem, Receive, v1};
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
    cluster.kill_all();
    cluster.start_all();
    cluster.wait_ready().await;
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
