//! Traces over real processes: what one request makes each of them do arrives at a collector as one tree, and a collector that is away
//! harms no request. The collector reads what nodes send by OpenTelemetry's own messages.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cluster::{Cluster, Http, PATIENCE, Shop, free_addresses, pause};
use holdfast_world::{Network as _, RealNetwork, ServeOptions};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Said};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

const CALLER: &str = "00f067aa0ba902b7";

/// A span, and the node that told it.
#[derive(Clone, Debug)]
struct Told {
    node: String,
    span: Span,
}

impl Told {
    fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    fn fact(&self, key: &str) -> String {
        fact(&self.span.attributes, key)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fact(facts: &[KeyValue], key: &str) -> String {
    let found = facts.iter().find(|fact| fact.key == key).and_then(|fact| fact.value.as_ref()?.value.clone());
    match found {
        Some(Said::StringValue(text)) => text,
        Some(Said::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Told>>>);

#[tonic::async_trait]
impl TraceService for Spans {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut told = self.0.lock().expect("nothing panics while it holds the spans");
        for of_node in request.into_inner().resource_spans {
            let resource = of_node.resource.unwrap_or_default().attributes;
            assert_eq!(fact(&resource, "service.name"), "holdfast");
            let node = fact(&resource, "service.instance.id");
            let spans = of_node.scope_spans.into_iter().flat_map(|scope| scope.spans);
            told.extend(spans.map(|span| Told { node: node.clone(), span }));
        }
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}

/// A collector at work.
struct Collector {
    address: String,
    spans: Spans,
    serving: JoinHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let [address] = free_addresses();
        let spans = Spans::default();
        let routes = Routes::new(TraceServiceServer::new(spans.clone()));
        let never = Box::pin(std::future::pending());
        let serving = RealNetwork::new().serve(&address, routes, ServeOptions::default(), never).await;
        Self { address, spans, serving: tokio::spawn(serving.expect("it listens")) }
    }

    fn setting(&self) -> String {
        format!("telemetry.otlp_endpoint=http://{}", self.address)
    }

    fn all(&self) -> Vec<Told> {
        self.spans.0.lock().expect("nothing panics while it holds the spans").clone()
    }

    /// The spans of a trace, once there are all of these and each span's parent is there.
    async fn wait_tree(&self, trace: &str, names: &[&str]) -> Vec<Told> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut spans = self.all();
            spans.retain(|told| hex(&told.span.trace_id) == trace);
            let known: BTreeSet<String> = spans.iter().map(Told::id).collect();
            let roots = spans.iter().filter(|told| !known.contains(&told.parent())).count();
            if names.iter().all(|name| spans.iter().any(|told| told.span.name == *name)) && roots == 1 {
                return spans;
            }
            assert!(Instant::now() < deadline, "no tree of {trace} with {names:?}, {roots} roots: {spans:#?}");
            pause().await;
        }
    }
}

fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

/// The node that leads a SKU's shard, and the shard.
async fn leader_of(cluster: &Cluster, sku: &str) -> (u64, u32) {
    let client = Shop::client(cluster).await;
    let shard = client.shard_of(sku);
    let leader = client.routing().shards.iter().find(|(known, _)| *known == shard).and_then(|(_, leader)| *leader);
    (leader.expect("a leader is known"), shard)
}

async fn shop(settings: &[&str]) -> Cluster {
    let cluster = Cluster::with_http(settings).await;
    for id in 1..=3 {
        let deadline = Instant::now() + PATIENCE;
        while cluster.http(id).try_ask("GET", "/v1/cluster", &[], "").await.is_ok_and(|said| said.status != 200) {
            assert!(Instant::now() < deadline, "node {id} does not serve");
            pause().await;
        }
    }
    cluster.wait_spread().await;
    cluster
}

async fn item(http: &Http, sku: &str) {
    let put = http.change("PUT", &format!("/v1/items/{sku}"), "", r#"{"name":"An item"}"#).await;
    assert_eq!(put.status, 200, "{put:?}");
    let body = json!({"sku": sku, "units": 1_000}).to_string();
    assert_eq!(http.post("/v1/stock:receive", &format!("stock of {sku}"), &body).await.status, 200);
}

/// A reserve of a unit of each, within a trace.
async fn reserve(http: &Http, skus: &[&str], key: &str, traceparent: &str) -> cluster::Said {
    let lines: Vec<Value> = skus.iter().map(|sku| json!({"sku": sku, "units": 1})).collect();
    let body = json!({"lines": lines, "ttl_s": 900}).to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key), ("traceparent", traceparent)];
    let said = http.ask("POST", "/v1/reservations", &headers, &body).await;
    assert_eq!(said.status, 201, "{said:?}");
    said
}

/// The one span of that name, kind and parent.
fn one<'a>(spans: &'a [Told], name: &str, kind: SpanKind, parent: &str) -> &'a Told {
    let is_it = |told: &&Told| told.span.name == name && told.span.kind() == kind && told.parent() == parent;
    let found: Vec<&Told> = spans.iter().filter(is_it).collect();
    assert_eq!(found.len(), 1, "{name} below {parent}: {spans:#?}");
    found[0]
}

const REST: &str = "POST /v1/reservations";
const EXECUTE: &str = "holdfast.v1.InventoryService/ExecuteBatch";
const STAGES: [&str; 4] = ["shard queue", "raft commit", "raft append", "apply"];

/// How often spans were dropped by a node, as its metrics tell.
async fn dropped(http: &Http) -> u64 {
    let metrics = http.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let of = |outcome: &str| {
        let name = format!("holdfast_trace_spans_total{{outcome=\"{outcome}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).expect("it is counted")
    };
    of("queue_full") + of("not_taken")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_reserve_is_one_tree_over_all_nodes_that_took_part_and_a_collector_that_is_gone_harms_none() {
    let collector = Collector::start().await;
    let cluster = shop(&[&collector.setting(), "log.format=json"]).await;
    item(&cluster.http(1), "LIP").await;
    let (leader, shard) = leader_of(&cluster, "LIP").await;
    let asked = leader % 3 + 1;
    let http = cluster.http(asked);

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let said = reserve(&http, &["LIP"], "order 1", &traceparent(trace, "01")).await;
    let spans = collector.wait_tree(trace, &[&[REST, EXECUTE], &STAGES[..]].concat()).await;
    let rest = one(&spans, REST, SpanKind::Server, CALLER);
    assert_eq!(said.header("traceparent"), format!("00-{trace}-{}-01", rest.id()), "the reply names it");
    assert_eq!((rest.fact("http.response.status_code"), &rest.node), ("201".to_owned(), &asked.to_string()));
    let attempts: Vec<&Told> = spans.iter().filter(|told| told.parent() == rest.id()).collect();
    assert!(attempts.iter().all(|told| told.span.kind() == SpanKind::Client && told.node == asked.to_string()));
    let commit = spans.iter().find(|told| told.span.name == "raft commit").expect("it was waited for");
    let served = spans.iter().find(|told| told.id() == commit.parent()).expect("its parent is known");
    assert_eq!((served.span.name.as_str(), served.span.kind()), (EXECUTE, SpanKind::Server));
    assert_eq!(served.node, leader.to_string(), "another process");
    assert!(attempts.iter().any(|told| told.id() == served.parent()));
    one(&spans, "shard queue", SpanKind::Internal, &served.id());
    one(&spans, "raft append", SpanKind::Internal, &commit.id());
    let applied = one(&spans, "apply", SpanKind::Internal, &served.id());
    assert_eq!((applied.fact("holdfast.shard"), &applied.node), (shard.to_string(), &served.node));
    assert_eq!(applied.fact("holdfast.log.index"), commit.fact("holdfast.log.index"));
    for Told { span, .. } in &spans {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    // The lines of the leader's log say where they belong.
    let lines = cluster.messages(leader);
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_it: Vec<Value> = lines.filter(|line| line["span"]["trace_id"] == trace).collect();
    assert!(!of_it.is_empty() && of_it.iter().any(|line| line["span"]["span_id"] == served.id()), "{of_it:?}");

    // What is refused again under its key is told as a repetition, as of what travels in a session.
    let body = json!({"lines": [{"sku": "LIP", "units": 1_001}], "ttl_s": 900}).to_string();
    let told = traceparent(&trace.replace('4', "7"), "01");
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "too much"), ("traceparent", &told)];
    for replayed in ["", "true"] {
        let said = http.ask("POST", "/v1/reservations", &headers, &body).await;
        assert_eq!((said.status, said.header("idempotency-replayed")), (409, replayed), "{said:?}");
    }

    // Nobody keeps this trace; it goes on all the same.
    let unkept = trace.replace('4', "5");
    let said = reserve(&http, &["LIP"], "order 2", &traceparent(&unkept, "00")).await;
    assert!(said.header("traceparent").starts_with(&format!("00-{unkept}-")), "{said:?}");

    collector.serving.abort();
    let before = dropped(&http).await;
    for order in 3..33 {
        reserve(&http, &["LIP"], &format!("order {order}"), &traceparent(&trace.replace('4', "6"), "01")).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while dropped(&http).await == before {
        assert!(Instant::now() < deadline, "nothing is counted");
        pause().await;
    }
    reserve(&http, &["LIP"], "order 33", &traceparent(trace, "01")).await;
    assert!(collector.all().iter().all(|told| hex(&told.span.trace_id) != unkept));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reserve_over_several_shards_and_a_command_line_are_in_their_callers_trace() {
    let collector = Collector::start().await;
    let cluster = shop(&[&collector.setting()]).await;
    // A SKU of each shard: the two are led by two nodes.
    let client = Shop::client(&cluster).await;
    let mut of_shards = BTreeMap::new();
    for sku in (0..).map(|number| format!("SKU-{number}")).take(64) {
        of_shards.entry(client.shard_of(&sku)).or_insert(sku);
    }
    let skus: Vec<&str> = of_shards.values().map(String::as_str).collect();
    assert_eq!(skus.len(), 2, "there are two shards");
    for sku in &skus {
        item(&cluster.http(1), sku).await;
    }
    let trace = "aaf92f3577b34da6a3ce929d0e0e4736";
    reserve(&cluster.http(3), &skus, "order 1", &traceparent(trace, "01")).await;
    let spans = collector.wait_tree(trace, &[REST, EXECUTE, "holdfast.peer.v1.OrderService/Decide", "apply"]).await;
    let entries: BTreeSet<String> =
        spans.iter().filter(|told| told.span.name == "apply").map(|told| told.fact("holdfast.shard")).collect();
    assert_eq!(entries.len(), 2, "entries of both shards: {spans:#?}");

    let trace = "bbf92f3577b34da6a3ce929d0e0e4736";
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["stock", "receive", skus[0], "--units", "5"]).env("TRACEPARENT", traceparent(trace, "01"));
    command.env("HOLDFAST_ADDR", cluster.addresses().join(",")).stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts");
    assert!(ended.status.success(), "{ended:?}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let spans = collector.all();
        let of_it = |told: &&Told| hex(&told.span.trace_id) == trace && told.span.name == EXECUTE;
        if let Some(told) = spans.iter().find(of_it) {
            assert_eq!((told.parent().as_str(), told.span.kind()), (CALLER, SpanKind::Server));
            break;
        }
        assert!(Instant::now() < deadline, "nothing of {trace}: {spans:#?}");
        pause().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_requests_that_bring_no_trace_is_traced_from_where_they_come_in() {
    let collector = Collector::start().await;
    let cluster = shop(&[&collector.setting(), "telemetry.sample_ratio=1.0"]).await;
    item(&cluster.http(2), "LIP").await;
    let deadline = Instant::now() + PATIENCE;
    let trace = loop {
        let spans = collector.all();
        let received = spans.iter().find(|told| told.span.name == "POST /v1/stock:receive");
        if let Some(told) = received {
            assert_eq!(told.parent(), "", "it is the first");
            break hex(&told.span.trace_id);
        }
        assert!(Instant::now() < deadline, "nothing was drawn: {spans:#?}");
        pause().await;
    };
    collector.wait_tree(&trace, &[&[EXECUTE], &STAGES[..]].concat()).await;
    // Where the caller has decided that it is not traced, it is not.
    let unkept = "ccf92f3577b34da6a3ce929d0e0e4736";
    reserve(&cluster.http(2), &["LIP"], "order 1", &traceparent(unkept, "00")).await;
    let later = "ddf92f3577b34da6a3ce929d0e0e4736";
    let told = cluster.http(2).ask("GET", "/v1/items/LIP", &[("traceparent", &traceparent(later, "01"))], "").await;
    assert_eq!(told.status, 200);
    collector.wait_tree(later, &["GET /v1/items/{sku}"]).await;
    assert!(collector.all().iter().all(|told| hex(&told.span.trace_id) != unkept));
}
