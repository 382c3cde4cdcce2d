//! Alerts over real processes: what was abnormal is told by every node, once to whoever asks, and again after a kill of all nodes.

mod cluster;

use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Adjust, Client, ExecuteOptions, PutItem, Receive, v1};
use serde_json::Value;

const SETTINGS: &[&str] = &["alerts.units=100", "alerts.percent=50", "alerts.corrections=5"];
const WITHIN: Duration = Duration::from_secs(60);

async fn correct(client: &Client, sku: &str, delta: i64, actor: &str) {
    let cause = v1::Cause { actor: actor.to_owned(), ..v1::Cause::default() };
    let options = ExecuteOptions { cause: Some(cause), ..ExecuteOptions::default() };
    client.execute_with(Adjust::of(sku, delta), options).await.expect("the books are corrected");
}

/// Until every node tells of so many alerts.
async fn wait_alerts(cluster: &Cluster, count: usize) -> Vec<Value> {
    let deadline = tokio::time::Instant::now() + WITHIN;
    loop {
        let (status, answer, said) = cluster.holdfast(&["alert", "list"]).await;
        assert_eq!(status, 0, "{said}");
        let answer: Value = serde_json::from_str(&answer).expect("an answer in JSON");
        let alerts = answer["alerts"].as_array().expect("alerts").clone();
        let told_by_all = |alert: &Value| alert["nodes"].as_array().map(Vec::len) == Some(3);
        if alerts.len() == count && alerts.iter().all(told_by_all) {
            assert_eq!(answer["breaches"], Value::from(Vec::<Value>::new()), "{answer}");
            return alerts;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
        cluster::pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_off_in_slices_and_corrected_too_often_is_told_by_every_node_and_after_a_kill() {
    let mut cluster = Cluster::with_settings(SETTINGS).await;
    let client = Shop::client(&cluster).await;
    for sku in ["LIP-01", "LIP-02"] {
        let item = v1::Item { sku: sku.to_owned(), ..v1::Item::default() };
        client.put_item(PutItem::new(item)).await.expect("an item is put");
        client.receive(Receive::of(sku, 500)).await.expect("units are received");
    }
    correct(&client, "LIP-01", -200, "ann").await;
    correct(&client, "LIP-01", -60, "ann").await;
    for _ in 0..6 {
        correct(&client, "LIP-02", 1, "bob").await;
    }
    let alerts = wait_alerts(&cluster, 3).await;
    let sentence = |sku: &str, rule: &str| {
        let found = alerts.iter().find(|alert| alert["sku"] == sku && alert["rule"] == rule);
        found.and_then(|alert| alert["sentence"].as_str()).unwrap_or_else(|| panic!("{alerts:?}")).to_owned()
    };
    let of_size = sentence("LIP-01", "size");
    assert!(of_size.starts_with("LIP-01 at main: 260 of 500 units written off by ann "), "{of_size}");
    assert!(of_size.ends_with("; more than 50 % and 100 units"), "{of_size}");
    let by_sku = sentence("LIP-02", "sku_rate");
    assert!(by_sku.starts_with("LIP-02: 6 corrections by bob "), "{by_sku}");
    assert!(sentence("LIP-02", "actor_rate").starts_with("bob: 6 corrections of LIP-02 "));
    for node in 1..=3 {
        cluster.wait_message(node, "the books were corrected in an abnormal way").await;
    }

    let sentences = |alerts: &[Value]| alerts.iter().map(|alert| alert["sentence"].clone()).collect::<Vec<_>>();
    cluster.restart_all().await;
    assert_eq!(sentences(&wait_alerts(&cluster, 3).await), sentences(&alerts), "read again from the change logs");
}
