//! The same operations by every door of a cluster: REST, the command line, and gRPC from a language that has no library of ours, once by
//! code made from the .proto files and once by reflection alone. Whoever asks gets the same results and the same errors.

mod cluster;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use cluster::{Cluster, PATIENCE, Raw, python, root};
use holdfast_client::ids::ReservationId;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// What is asked by each door, of a SKU of its own: what goes well, and what is refused for each reason that few steps lead to.
fn steps() -> Vec<Value> {
    vec![
        json!({ "verb": "receive", "sku": "SKU", "units": 10 }),
        json!({ "verb": "put_item", "sku": "SKU", "name": "Rouge" }),
        json!({ "verb": "receive", "sku": "SKU", "units": 10 }),
        json!({ "verb": "receive", "sku": "SKU", "units": 0 }),
        json!({ "verb": "reserve", "sku": "SKU", "units": 3, "reservation": "first" }),
        json!({ "verb": "reserve", "sku": "SKU", "units": 8, "reservation": "too-many" }),
        json!({ "verb": "reserve", "sku": "SKU", "units": 0, "reservation": "none" }),
        json!({ "verb": "extend", "reservation": "first", "ttl_s": 20_000 }),
        json!({ "verb": "commit", "reservation": "first", "units": 4 }),
        json!({ "verb": "stock", "sku": "SKU" }),
        json!({ "verb": "commit", "reservation": "first" }),
        json!({ "verb": "commit", "reservation": "first" }),
        json!({ "verb": "release", "reservation": "first" }),
        json!({ "verb": "fulfil", "reservation": "first", "units": 2 }),
        json!({ "verb": "fulfil", "reservation": "first", "units": 2 }),
        json!({ "verb": "return", "reservation": "first", "units": 1 }),
        json!({ "verb": "return", "reservation": "first", "units": 2 }),
        json!({ "verb": "cancel", "reservation": "first" }),
        json!({ "verb": "reserve", "sku": "SKU", "units": 2, "reservation": "second" }),
        json!({ "verb": "fulfil", "reservation": "second", "units": 1 }),
        json!({ "verb": "release", "reservation": "second" }),
        json!({ "verb": "release", "reservation": "second" }),
        json!({ "verb": "commit", "reservation": "second" }),
        json!({ "verb": "commit", "reservation": "never-made" }),
        json!({ "verb": "adjust", "sku": "SKU", "delta": -1 }),
        json!({ "verb": "adjust", "sku": "SKU", "delta": -100 }),
        json!({ "verb": "set", "sku": "SKU", "on_hand": 5, "if_revision": 1 }),
        json!({ "verb": "stock", "sku": "SKU" }),
    ]
}

/// The reasons that those steps must come to, so that no door agrees with the others on nothing.
const REASONS: [&str; 9] = [
    "UNKNOWN_SKU",
    "INVALID_ARGUMENT",
    "INSUFFICIENT_STOCK",
    "ALREADY_COMMITTED",
    "EXCEEDS_HELD_QUANTITY",
    "EXCEEDS_FULFILLED",
    "ALREADY_RELEASED",
    "RESERVATION_NOT_FOUND",
    "REVISION_MISMATCH",
];

/// A field of a step as text.
fn text(step: &Value, name: &str) -> String {
    match &step[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Fields that every door tells of a stock.
fn quantities(level: &Value) -> Value {
    let names =
        ["on_hand", "reserved", "committed", "free", "atp", "fulfilled", "returned", "quality_control", "revision"];
    Value::Object(names.map(|name| (name.to_owned(), level[name].clone())).into_iter().collect())
}

/// REST at one node.
struct Rest<'a> {
    cluster: &'a Cluster,
    raw: &'a Raw<'a>,
    reservations: BTreeMap<String, String>,
}

impl Rest<'_> {
    async fn ask(&mut self, number: usize, step: &Value) -> Value {
        let (verb, sku) = (text(step, "verb"), text(step, "sku"));
        let http = self.cluster.http(1 + number as u64 % 3);
        let mut body: Map<String, Value> = step.as_object().expect("a step").clone();
        body.retain(|name, _| !["verb", "reservation", "units"].contains(&name.as_str()));
        let name = text(step, "reservation");
        let known = self.reservations.get(&name).cloned();
        let id = known.unwrap_or_else(|| self.raw.reservation("SKU").to_string());
        let (method, path) = match verb.as_str() {
            "stock" => {
                let said = http.get(&format!("/v1/items/{sku}/stock")).await.json();
                return json!({ "stock": quantities(&said["levels"][0]) });
            }
            "put_item" => {
                ("PUT", format!("/v1/items/{}", body.remove("sku").map_or(sku, |it| text(&json!({ "it": it }), "it"))))
            }
            "receive" | "adjust" | "set" => {
                body.extend(step.get("units").map(|units| ("units".to_owned(), units.clone())));
                ("POST", format!("/v1/stock:{verb}"))
            }
            "reserve" => {
                body.remove("sku");
                body.insert("lines".to_owned(), json!([{ "sku": sku, "units": step["units"] }]));
                ("POST", "/v1/reservations".to_owned())
            }
            _ => {
                body.extend(
                    step.get("units").map(|units| ("lines".to_owned(), json!([{ "line": 0, "units": units }]))),
                );
                ("POST", format!("/v1/reservations/{id}:{verb}"))
            }
        };
        let key = format!("step-{number}");
        let said = http.change(method, &path, &key, &Value::Object(body).to_string()).await.json();
        if said["reason"].is_string() {
            let names = ["reason", "field", "retry", "effect", "metadata"];
            let mut refused: Map<String, Value> =
                names.map(|name| (name.to_owned(), said[name].clone())).into_iter().collect();
            for (name, empty) in [("field", json!("")), ("metadata", json!({}))] {
                if refused[name].is_null() {
                    refused.insert(name.to_owned(), empty);
                }
            }
            refused.insert("message".to_owned(), said["detail"].clone());
            return json!({ "refused": refused });
        }
        if verb == "reserve" {
            self.reservations.insert(name, text(&said, "reservation_id"));
        }
        let state = if said["state"].is_null() { json!("") } else { said["state"].clone() };
        json!({ "done": { "revision": said["revision"], "atp_after": said["atp_after"], "state": state } })
    }
}

/// The command line. Of an error it tells people what is wrong, and programs its reason.
struct Typed<'a> {
    cluster: &'a Cluster,
    raw: &'a Raw<'a>,
    reservations: BTreeMap<String, String>,
}

impl Typed<'_> {
    async fn ask(&mut self, step: &Value) -> Value {
        let (verb, sku, units, name) =
            (text(step, "verb"), text(step, "sku"), text(step, "units"), text(step, "reservation"));
        let known = self.reservations.get(&name).cloned();
        let id = known.unwrap_or_else(|| self.raw.reservation("SKU").to_string());
        let line = format!("0={units}");
        let words = match verb.as_str() {
            "stock" => vec!["stock".to_owned(), "get".to_owned(), sku],
            "put_item" => vec!["item".to_owned(), "put".to_owned(), sku, "--name".to_owned(), text(step, "name")],
            "receive" => vec!["stock".to_owned(), verb.clone(), sku, "--units".to_owned(), units],
            "adjust" => vec!["stock".to_owned(), verb.clone(), sku, format!("--by={}", step["delta"])],
            "set" => {
                let (on_hand, revision) = (text(step, "on_hand"), text(step, "if_revision"));
                let set = ["stock", "set", &sku, "--on-hand", &on_hand, "--if-revision", &revision];
                set.map(str::to_owned).to_vec()
            }
            "reserve" => vec![verb.clone(), format!("{sku}={units}")],
            "extend" => ["extend", "--reservation", &id, "--ttl", &text(step, "ttl_s")].map(str::to_owned).to_vec(),
            _ => {
                let mut words = vec![verb.clone(), "--reservation".to_owned(), id];
                words.extend((!step["units"].is_null()).then(|| ["--line".to_owned(), line]).into_iter().flatten());
                words
            }
        };
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (status, said, messages) = self.cluster.holdfast(&words).await;
        if status != 0 {
            let first = messages.lines().next().unwrap_or_default().strip_prefix("error: ").unwrap_or(&messages);
            let (message, reason) = first.rsplit_once(" [").unwrap_or_else(|| panic!("{words:?}: {messages}"));
            return json!({ "refused": { "reason": reason.trim_end_matches(']'), "message": message } });
        }
        let said: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{words:?}: {error}: {said}"));
        if verb == "stock" {
            return json!({ "stock": quantities(&said["levels"][0]) });
        }
        if verb == "reserve" {
            self.reservations.insert(name, text(&said, "reservation"));
        }
        let state = if said["state"].is_null() { json!("") } else { said["state"].clone() };
        json!({ "done": { "revision": said["revision"], "atp_after": said["atp_after"], "state": state } })
    }
}

/// A program in Python that asks by gRPC.
struct Python {
    _process: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn start(program: &Path, how: &str, cluster: &Cluster) -> Self {
        let (folder, protos) = (root().join("tests/doors"), root().join("proto"));
        let mut process = Command::new(program)
            .arg(folder.join("caller.py"))
            .args([how.as_ref(), protos.as_os_str(), cluster.addresses().join(",").as_ref()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let asks = process.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        Self { _process: process, asks, answers }
    }

    async fn ask(&mut self, step: &Value) -> Value {
        self.asks.write_all(format!("{step}\n").as_bytes()).await.expect("the caller reads");
        let answer = timeout(2 * PATIENCE, self.answers.next_line()).await.expect("the caller answers in time");
        let answer =
            answer.expect("the caller's answers are text").unwrap_or_else(|| panic!("the caller ends at {step}"));
        let mut answer: Value = serde_json::from_str(&answer).expect("the caller answers in JSON");
        if !answer["stock"].is_null() {
            answer["stock"] = quantities(&answer["stock"]);
        }
        answer
    }
}

/// A SKU of the door's own, of the first shard: revisions are alike.
fn sku_of(raw: &Raw<'_>, door: &str) -> String {
    let mut names = (0..).map(|number| format!("{door}-{number}"));
    names.find(|name| raw.client.shard_of(name) == 0).expect("every shard has SKUs")
}

/// What was said, without what is a door's own: its SKU, and ids.
fn comparable(answer: &Value, sku: &str) -> Value {
    let plain = answer.to_string().replace(sku, "SKU");
    let words: Vec<String> = plain
        .split_inclusive([' ', '"'])
        .map(|word| {
            let bare = word.trim_end_matches([' ', '"']);
            if bare.parse::<ReservationId>().is_ok() { word.replace(bare, "ID") } else { word.to_owned() }
        })
        .collect();
    serde_json::from_str(&words.concat()).expect("it is JSON still")
}

/// The command line tells of a refusal its reason and its message.
fn as_typed(answer: &Value) -> Value {
    match &answer["refused"] {
        Value::Null => answer.clone(),
        refused => json!({ "refused": { "reason": refused["reason"], "message": refused["message"] } }),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_door_gives_the_same_results_and_the_same_errors() {
    let cluster = Cluster::with_http(&[]).await;
    for node in 1..=3 {
        cluster.http(node).serves().await;
    }
    let raw = Raw::of(&cluster).await;
    let mut rest = Rest { cluster: &cluster, raw: &raw, reservations: BTreeMap::new() };
    let mut typed = Typed { cluster: &cluster, raw: &raw, reservations: BTreeMap::new() };
    let mut pythons: Vec<(&str, Python)> = Vec::new();
    if let Some(program) = python("gRPC from Python") {
        pythons =
            ["protos", "reflection"].map(|how| (how, Python::start(&program, how, &cluster))).into_iter().collect();
    }
    let mut reasons = Vec::new();
    for (number, step) in steps().iter().enumerate() {
        let of = |sku: &str| {
            let mut step = step.clone();
            if step["sku"].is_string() {
                step["sku"] = sku.into();
            }
            step
        };
        let sku = sku_of(&raw, "REST");
        let by_rest = comparable(&rest.ask(number, &of(&sku)).await, &sku);
        let sku = sku_of(&raw, "TYPED");
        let by_hand = comparable(&typed.ask(&of(&sku)).await, &sku);
        assert_eq!(by_hand, as_typed(&by_rest), "the command line and REST, {step}");
        for (how, python) in &mut pythons {
            let sku = sku_of(&raw, how);
            let by_grpc = comparable(&python.ask(&of(&sku)).await, &sku);
            assert_eq!(by_grpc, by_rest, "gRPC by {how} and REST, {step}");
        }
        reasons.extend(by_rest["refused"]["reason"].as_str().map(str::to_owned));
    }
    for reason in REASONS {
        assert!(reasons.iter().any(|it| it == reason), "{reason} is among {reasons:?}");
    }
}
