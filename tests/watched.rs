//! What an operator watches, over real processes: health of a node and of the cluster, metrics, traces, and the doctor.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster::{Cluster, PATIENCE, Shop, pause};
use holdfast_client::{PutItem, Receive, Reconcile, Reserve, v1};
use holdfast_node::metrics::{BREAKER_OPEN, Kind, METRICS};
use holdfast_proto::v1::GetStatusRequest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// What a node answers over HTTP: its status, and the body.
async fn get(cluster: &Cluster, id: u64, path: &str, headers: &str) -> (u16, String) {
    let address = cluster.nodes.iter().find(|node| node.id == id).and_then(|node| node.http.clone()).expect("HTTP");
    let ask = async {
        let mut stream = TcpStream::connect(&address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await.expect("an answer in time").expect("a node that answers");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

/// Waits until what a node says of the cluster is what is awaited.
async fn wait_health(cluster: &Cluster, id: u64, what: &str, is_so: impl Fn(u16, &Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, body) = get(cluster, id, "/healthz/cluster", "").await;
        let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
        if is_so(status, &body) {
            return body;
        }
        assert!(tokio::time::Instant::now() < deadline, "not {what}: {status} {body}");
        pause().await;
    }
}

async fn watched(settings: &[&str]) -> Cluster {
    let mut cluster = Cluster::prepared(3, settings);
    cluster.serve_http();
    cluster.start_all();
    cluster.wait_ready().await;
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_gone_is_seen_in_the_health_of_the_cluster_and_never_in_the_probes_of_another() {
    let mut cluster = watched(&[]).await;
    let whole = wait_health(&cluster, 1, "well", |status, body| status == 200 && body["status"] == "ok").await;
    assert_eq!((&whole["answering"], &whole["members"], &whole["can_lose"]), (&3.into(), &3.into(), &1.into()));
    assert_eq!(whole["groups"].as_array().map(Vec::len), Some(3), "the cluster's records, and two shards: {whole}");

    cluster.kill(3);
    let is_degraded = |status: u16, body: &Value| status == 200 && body["status"] == "degraded";
    let lacking = wait_health(&cluster, 1, "degraded", is_degraded).await;
    assert_eq!((&lacking["answering"], &lacking["can_lose"]), (&2.into(), &0.into()), "{lacking}");
    let gone = lacking["nodes"].as_array().and_then(|nodes| nodes.iter().find(|node| node["node"] == 3));
    assert_eq!(gone.map(|node| &node["answers"]), Some(&Value::Bool(false)), "{lacking}");
    assert_eq!(get(&cluster, 1, "/livez", "").await.0, 200);
    assert_eq!(get(&cluster, 1, "/readyz", "").await.0, 200, "it could serve");

    cluster.kill(2);
    wait_health(&cluster, 1, "down", |status, body| status == 503 && body["status"] == "down").await;
    assert_eq!(get(&cluster, 1, "/livez", "").await, (200, "alive\n".to_owned()), "a restart would mend nothing");

    cluster.start_all();
    cluster.wait_ready().await;
    wait_health(&cluster, 1, "well again", |status, body| status == 200 && body["status"] == "ok").await;
    let (status, verbose) = get(&cluster, 1, "/readyz?verbose", "").await;
    assert_eq!(status, 200, "{verbose}");
    for told in ["not draining", "the meta group: leader ", "core alive", "ms behind", "are remembered"] {
        assert!(verbose.contains(told), "`{told}` is missing: {verbose}");
    }
}

/// Whether a service of a node serves, as `grpc.health.v1` tells; `None`: it knows no such service.
async fn serves(cluster: &Cluster, id: u64, service: &str) -> Option<bool> {
    let mut request = tonic::Request::new(HealthCheckRequest { service: service.to_owned() });
    request.set_timeout(Duration::from_secs(5));
    let told = HealthClient::new(cluster.channel(id)).check(request).await.ok()?;
    Some(told.into_inner().status() == ServingStatus::Serving)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_tells_its_own_health() {
    let mut cluster = watched(&[]).await;
    cluster.wait_spread().await;
    let services = ["Inventory", "Cluster", "Event", "Shard", "Alert", "Endpoint"];
    for service in services.map(|name| format!("holdfast.v1.{name}Service")).into_iter().chain([String::new()]) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while serves(&cluster, 1, &service).await != Some(true) {
            assert!(tokio::time::Instant::now() < deadline, "{service} does not serve");
            pause().await;
        }
    }
    assert_eq!(serves(&cluster, 1, "holdfast.v1.NoService").await, None);
    // Alone it can sell nothing, and tell all that it knows.
    cluster.kill(2);
    cluster.kill(3);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while serves(&cluster, 1, "holdfast.v1.InventoryService").await != Some(false) {
        assert!(tokio::time::Instant::now() < deadline, "it goes on");
        pause().await;
    }
    assert_eq!(serves(&cluster, 1, "").await, Some(false));
    // It led the cluster's records itself, and nobody confirms it any more: what alerts watch says so of every group.
    let unled = |metrics: &str| (0..3).all(|group| metrics.contains(&format!("has_leader{{group=\"{group}\"}} 0\n")));
    while serves(&cluster, 1, "holdfast.v1.EndpointService").await != Some(false)
        || !unled(&get(&cluster, 1, "/metrics", "").await.1)
    {
        assert!(tokio::time::Instant::now() < deadline, "{}", get(&cluster, 1, "/metrics", "").await.1);
        pause().await;
    }
    for service in ["Cluster", "Shard", "Alert", "Event"] {
        assert_eq!(serves(&cluster, 1, &format!("holdfast.v1.{service}Service")).await, Some(true), "{service}");
    }
}

/// The families that the nodes expose, with their kinds; and all lines.
async fn exposed(cluster: &Cluster) -> (BTreeMap<String, String>, String) {
    let mut all = String::new();
    for id in 1..=3 {
        let (status, body) = get(cluster, id, "/metrics", "").await;
        assert_eq!(status, 200);
        all += &body;
    }
    let types = all.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    (types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect(), all)
}

/// Work that leaves something in each metric; and the shard on which an order failed and the books were found to differ.
async fn work(cluster: &Cluster) -> u32 {
    let client = Shop::client(cluster).await;
    for (sku, threshold) in [("LIP-01", 3), ("LIP-02", 0), ("LIP-03", 0)] {
        let item = v1::Item { sku: sku.to_owned(), low_stock_threshold: threshold, ..v1::Item::default() };
        client.put_item(PutItem::new(item)).await.expect("an item is put");
    }
    client.receive(Receive::of("LIP-01", 3)).await.expect("units arrive");
    let held = client.reserve(Reserve::new().line("LIP-01", 1)).await.expect("a unit is held");
    for _ in 0..3 {
        client.reserve(Reserve::new().line("LIP-02", 1)).await.expect_err("there is none");
    }
    client.stock("LIP-01", None).await.expect("the stock is read");
    client.receive(Receive::of("LIP-03", 9)).await.expect("units arrive");
    let drift = |delta| Reconcile::of("LIP-03", delta, v1::Discrepancy::Drift);
    client.execute(drift(-1)).await.expect("a difference is noted");
    client.execute(drift(-2).repair()).await.expect("a difference is repaired");
    let risky = client.reserve(Reserve::new().line("LIP-03", 1)).await.expect("a unit is held");
    let risky = risky.reservation_id.expect("an id").to_string();
    let reservation = held.reservation_id.expect("an id").to_string();
    for arguments in [
        &["endpoint", "put", "payments", "--url", "http://127.0.0.1:1/", "--breaker-failures", "1"][..],
        &["order", "start", &reservation, "--step", "pay=payments,within=600,attempts=9"],
        &["order", "start", &risky, "--step", "fraud,within=600"],
        &["order", "report", &risky, "fraud", "--failed", "too risky"],
        &["count", "open", "LIP-02", "--location", "main"],
    ] {
        let (status, _, said) = cluster.holdfast(arguments).await;
        assert_eq!(status, 0, "{arguments:?}: {said}");
    }
    client.shard_of("LIP-03")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_some_work_each_metric_of_the_table_is_there_and_no_other() {
    let cluster = watched(&["audit.interval_s=1"]).await;
    let shard = work(&cluster).await;
    let expected: BTreeMap<String, String> =
        METRICS.iter().map(|metric| (metric.name.to_owned(), metric.kind.name().to_owned())).collect();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let all = loop {
        let (found, all) = exposed(&cluster).await;
        let other: Vec<_> = found.iter().filter(|(name, kind)| expected.get(*name) != Some(kind)).collect();
        assert!(other.is_empty(), "not in the table, or of another kind there: {other:?}");
        let missing: BTreeSet<&String> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
        let drift = format!("holdfast_reconciliation_drift_units_total{{shard=\"{shard}\"}} 3\n");
        let failed = format!("holdfast_order_steps_failed_total{{shard=\"{shard}\",state=\"failed\"}} 1\n");
        let tells = [
            &drift,
            &failed,
            "holdfast_requests_total{request=\"reserve\",outcome=\"done\"} ",
            "holdfast_requests_total{request=\"reserve\",outcome=\"insufficient_stock\"} ",
            "availability=\"low\"} 1",
            "availability=\"out\"} 1",
            "kind=\"reservation.held\"} ",
            "holdfast_shard_open_counts{",
            "state=\"open\"} 1",
        ];
        let untold: Vec<&str> = tells.into_iter().filter(|line| !all.contains(line)).collect();
        if missing.is_empty() && untold.is_empty() {
            break all;
        }
        assert!(tokio::time::Instant::now() < deadline, "missing: {missing:?}; not told: {untold:?}");
        pause().await;
    };
    for metric in METRICS {
        let help = format!("# HELP {} {}", metric.name, metric.help);
        assert!(all.contains(&help), "{help}");
        let suffix = if metric.kind == Kind::Histogram { "_bucket{" } else { "" };
        assert!(all.contains(&format!("\n{}{suffix}", metric.name)), "{} has no series", metric.name);
    }
    assert!(all.contains(&format!("{BREAKER_OPEN}{{endpoint=\"payments\"}}")), "the endpoint's breaker is told");
    assert!(!all.contains("LIP-0"), "no label names a SKU");

    let mut detail = String::new();
    for id in 1..=3 {
        detail += &get(&cluster, id, "/metrics/detail", "").await.1;
    }
    assert!(detail.contains("holdfast_hot_sku_reserves{sku=\"LIP-01\"} 1"), "{detail}");
    assert!(detail.contains("holdfast_hot_sku_refusals{sku=\"LIP-02\"} "), "{detail}");
    assert!(!detail.contains("holdfast_hot_sku_refusals{sku=\"LIP-01\"}"), "{detail}");
}

/// The lines of a node's log that are of that trace.
fn of_trace(cluster: &Cluster, id: u64, trace_id: &str) -> Vec<Value> {
    let messages = cluster.messages(id);
    let lines = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["span"]["trace_id"] == trace_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_brings_a_trace_has_its_id_in_each_line_of_the_log() {
    let cluster = watched(&["log.format=json"]).await;
    let mut request = tonic::Request::new(GetStatusRequest {});
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().expect("ASCII"));
    cluster.cluster_service(1).get_status(request).await.expect("the node answers");
    cluster.wait_message(1, TRACE).await;
    let told = of_trace(&cluster, 1, TRACE);
    assert_eq!(told.len(), 1, "{told:?}");
    let fields = &told[0]["fields"];
    assert_eq!(
        (&fields["message"], &fields["path"]),
        (&"answered".into(), &"/holdfast.v1.ClusterService/GetStatus".into())
    );

    let other = TRACE.replace('4', "5");
    get(&cluster, 2, "/readyz", &format!("traceparent: 00-{other}-00f067aa0ba902b7-01\r\n")).await;
    cluster.wait_message(2, &other).await;
    assert_eq!(of_trace(&cluster, 2, &other)[0]["fields"]["path"], "/readyz");
    // Nobody keeps this trace, and this one brings none.
    let unsampled = TRACE.replace('4', "6");
    get(&cluster, 2, "/readyz", &format!("traceparent: 00-{unsampled}-00f067aa0ba902b7-00\r\n")).await;
    get(&cluster, 2, "/readyz", "").await;
    assert_eq!(cluster.messages(2).matches("\"answered\"").count(), 1, "{}", cluster.messages(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_nothing_in_a_cluster_that_is_well_and_names_the_node_that_is_down() {
    let mut cluster = watched(&[]).await;
    cluster.wait_spread().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let (status, answer, said) = cluster.holdfast(&["doctor"]).await;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {said}"));
        if status == 0 {
            assert_eq!(answer["healthy"], true, "{answer}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
        pause().await;
    }
    cluster.kill(3);
    let (status, answer, said) = cluster.holdfast(&["doctor"]).await;
    assert_eq!(status, 1, "{said}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let findings = answer["findings"].as_array().expect("findings");
    let about = |about: &str| findings.iter().find(|found| found["about"] == about).unwrap_or(&Value::Null);
    assert_eq!(about("node 3")["state"], "problem", "{answer}");
    let next = about("node 3")["next"].as_str().unwrap_or_default();
    assert!(next.starts_with("holdfast start ") && next.contains("--node 3"), "{next}");
    assert_eq!(about("quorum")["state"], "warning", "{answer}");
    assert!(findings.iter().all(|found| found["state"] == "ok" || found["next"] != ""), "{answer}");
}
