//! Live updates over real processes: events and availability by server-sent events and WebSocket, through a kill of the node that serves
//! them; and what the dashboard tells while the quorum is lost.

mod cluster;

use std::collections::BTreeSet;
use std::time::Duration;

use cluster::{Cluster, PATIENCE, Shop, pause};
use futures_util::{SinkExt as _, StreamExt as _};
use holdfast_client::{Client, Grant, PutItem, PutKit, Receive, Reserve, v1};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const SKU: &str = "ROSE";

/// An item that is low at two units, with five of it.
async fn stocked(client: &Client) {
    stocked_in(client, SKU, "").await;
}

/// The same of a SKU in a category.
async fn stocked_in(client: &Client, sku: &str, category: &str) {
    let (sku, category) = (sku.to_owned(), category.to_owned());
    let item = v1::Item { sku: sku.clone(), category, low_stock_threshold: 2, ..v1::Item::default() };
    client.execute(PutItem::new(item)).await.expect("an item is put");
    client.receive(Receive::of(sku, 5)).await.expect("units are received");
}

/// One message of a stream: its kind, its id, its data.
#[derive(Debug, Default)]
struct Told {
    kind: String,
    id: String,
    data: Value,
}

/// A reader of server-sent events.
struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(cluster: &Cluster, node: u64, path: &str, last_id: &str) -> Option<Self> {
        let address = cluster.http(node).address;
        let mut stream = TcpStream::connect(&address).await.ok()?;
        let last_id = if last_id.is_empty() { String::new() } else { format!("Last-Event-ID: {last_id}\r\n") };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n{last_id}\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut head).await.ok()? > 0).then_some(())?;
        }
        head.starts_with("HTTP/1.1 200").then_some(Self(reader))
    }

    /// Opened as soon as the node serves it.
    async fn open_when_served(cluster: &Cluster, node: u64, path: &str, last_id: &str) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(stream) = Self::open(cluster, node, path, last_id).await {
                return stream;
            }
            assert!(Instant::now() < deadline, "node {node} does not serve {path}");
            pause().await;
        }
    }

    /// The next message; `None`: the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        let mut told = Told::default();
        loop {
            let mut line = String::new();
            if timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("something is told in time").ok()? == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", kind)) => told.kind = kind.trim().to_owned(),
                Some(("id", id)) => told.id = id.trim().to_owned(),
                Some(("data", data)) => told.data = serde_json::from_str(data).expect("data is JSON"),
                None if line.trim_end().is_empty() && !told.kind.is_empty() => return Some(told),
                _ => {}
            }
        }
    }
}

/// A reader by WebSocket.
struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn say(&mut self, said: Value) {
        self.0.send(Message::text(said.to_string())).await.expect("it is there");
    }

    /// The next message that is no sign of life.
    async fn next(&mut self) -> Value {
        loop {
            let said = self.next_or_idle().await;
            if said["type"] != "idle" {
                return said;
            }
        }
    }

    async fn next_or_idle(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.expect("it is told in time");
            if let Message::Text(text) = message.expect("the node stays").expect("a message") {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }

    /// What is told of SKUs until those are told with these quantities.
    async fn until(&mut self, wanted: &[(&str, u64)]) -> Vec<(String, u64)> {
        let mut told = Vec::new();
        while !wanted.iter().all(|(sku, units)| told.contains(&((*sku).to_owned(), *units))) {
            told.push(quantity(&self.next().await));
        }
        told
    }
}

/// What a message says of a SKU.
fn quantity(said: &Value) -> (String, u64) {
    assert_eq!(said["type"], "availability", "{said}");
    (said["sku"].as_str().expect("a SKU").to_owned(), said["quantity"].as_u64().expect("a quantity"))
}

/// A WebSocket of a node, as soon as it serves one.
async fn socket(cluster: &Cluster, node: u64, path: &str) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
    let url = format!("ws://{}{path}", cluster.http(node).address);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match tokio_tungstenite::connect_async(&url).await {
            Ok((socket, _)) => return socket,
            Err(error) => assert!(Instant::now() < deadline, "node {node} takes no WebSocket: {error}"),
        }
        pause().await;
    }
}

/// The identity of an event.
fn place(event: &Value) -> (u64, u64) {
    (event["shard"].as_u64().expect("a shard"), event["seq"].as_u64().expect("a sequence"))
}

/// A reader of events, of either kind.
enum Follower {
    Stream(Stream),
    Socket(Box<Socket>),
}

impl Follower {
    async fn open(cluster: &Cluster, node: u64, by_socket: bool, cursor: &str) -> Self {
        if !by_socket {
            let (path, last_id) =
                if cursor == "0=0" { ("/v1/events?cursor=0%3D0", "") } else { ("/v1/events", cursor) };
            return Self::Stream(Stream::open_when_served(cluster, node, path, last_id).await);
        }
        let mut socket = Socket(socket(cluster, node, "/v1/ws").await);
        socket.say(json!({"follow": {"cursor": cursor}})).await;
        Self::Socket(Box::new(socket))
    }

    /// The next message; `None`: its node is gone.
    async fn next(&mut self) -> Option<Told> {
        let socket = match self {
            Self::Stream(stream) => return stream.next().await,
            Self::Socket(socket) => socket,
        };
        let said: Value = loop {
            let message = timeout(PATIENCE, socket.0.next()).await.expect("something is told in time")?.ok()?;
            if let Message::Text(text) = message {
                break serde_json::from_str(&text).ok()?;
            }
        };
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Some(Told { kind: text("type"), id: text("cursor"), data: said["event"].clone() })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_events_that_goes_on_at_another_node_after_a_kill_sees_each_event_once_and_in_order() {
    follows_through_a_kill(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_one_that_follows_them_by_websocket() {
    follows_through_a_kill(true).await;
}

async fn follows_through_a_kill(by_socket: bool) {
    let mut cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let mut stream = Follower::open(&cluster, 1, by_socket, "0=0").await;
    let (mut seen, mut last_id, mut repeats) = (Vec::new(), String::new(), 0);
    let mut made = 0;
    let mut is_killed = false;
    let deadline = Instant::now() + PATIENCE;
    // Each hold and each release is an event.
    while made < 40 || seen.len() < made + 2 {
        if made < 40 {
            let held =
                client.reserve(Reserve::new().line(SKU, 1).ttl(Duration::from_secs(600))).await.expect("one is there");
            client.release(held.reservation_id.expect("a hold has an id")).await.expect("it is given back");
            made += 2;
        }
        if made >= 20 && !is_killed {
            is_killed = true;
            cluster.kill(1);
            stream = Follower::open(&cluster, 2, by_socket, &last_id).await;
        }
        if let Some(told) = stream.next().await {
            match told.kind.as_str() {
                "event" if seen.contains(&place(&told.data)) => repeats += 1,
                "event" => seen.push(place(&told.data)),
                "cursor" | "idle" if told.id.is_empty() => {}
                "cursor" | "idle" => last_id = told.id,
                other => panic!("{other}: {told:?}"),
            }
        }
        assert!(Instant::now() < deadline, "{} events of {made} after {repeats} repeats", seen.len());
    }
    for shard in seen.iter().map(|(shard, _)| *shard).collect::<BTreeSet<_>>() {
        let of_shard: Vec<u64> = seen.iter().filter(|(of, _)| *of == shard).map(|(_, seq)| *seq).collect();
        assert!(of_shard.windows(2).all(|pair| pair[0] + 1 == pair[1]), "shard {shard}: {of_shard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_hears_of_the_last_items_that_they_are_gone_and_that_there_are_some_again() {
    let cluster = Cluster::with_http(&["http.availability_shown=exact"]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let mut socket = Socket(socket(&cluster, 2, "/public/v1/ws").await);
    socket.say(json!({"subscribe": {"skus": [SKU]}})).await;
    let mut heard = async |wanted: (&str, u64)| {
        loop {
            let said = socket.next().await;
            if said["type"] == "availability" && said["status"] == wanted.0 && said["quantity"] == wanted.1 {
                return said;
            }
        }
    };
    heard(("in_stock", 5)).await;
    let held = client.reserve(Reserve::new().line(SKU, 4)).await.expect("four are there");
    assert_eq!(heard(("low", 1)).await["message"], "Last items remaining");
    client.reserve(Reserve::new().line(SKU, 1)).await.expect("the last one");
    heard(("out", 0)).await;
    client.release(held.reservation_id.expect("a hold has an id")).await.expect("they are given back");
    let back = heard(("in_stock", 4)).await;
    assert_eq!((&back["back"], &back["message"]), (&json!(true), &json!("Restocked")));

    let mut stream = Stream::open_when_served(&cluster, 3, &format!("/v1/availability/stream?sku={SKU}"), "").await;
    let now = stream.next().await.expect("what there is now is told first");
    assert_eq!((now.kind.as_str(), &now.data["quantity"]), ("availability", &json!(4)));
}

/// What a stream of availability tells until it has nothing more to tell: the kinds, what it says of SKUs, the last id.
async fn told_now(stream: &mut Stream) -> (Vec<String>, BTreeSet<(String, u64)>, String) {
    let (mut kinds, mut quantities, mut last_id) = (Vec::new(), BTreeSet::new(), String::new());
    loop {
        let told = stream.next().await.expect("the node stays");
        if !told.id.is_empty() {
            last_id = told.id;
        }
        match told.kind.as_str() {
            "idle" => return (kinds, quantities, last_id),
            "availability" => drop(quantities.insert(quantity(&told.data))),
            _ => kinds.push(told.kind),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_to_another_node_is_told_what_has_changed_since_and_everything_where_that_is_not_known() {
    const PATH: &str = "/v1/availability/stream?sku=ROSE,LILY";
    let mut cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    for sku in ["ROSE", "LILY"] {
        stocked_in(&client, sku, "").await;
    }
    let both = |rose, lily| BTreeSet::from([("ROSE".to_owned(), rose), ("LILY".to_owned(), lily)]);
    let mut stream = Stream::open_when_served(&cluster, 1, PATH, "").await;
    let (kinds, quantities, last_id) = told_now(&mut stream).await;
    assert_eq!((kinds, quantities), (Vec::new(), both(5, 5)));
    assert!(last_id.contains('='), "{last_id}");

    cluster.kill(1);
    client.reserve(Reserve::new().line("ROSE", 2)).await.expect("two are there");
    let mut stream = Stream::open_when_served(&cluster, 2, PATH, &last_id).await;
    let (kinds, quantities, newer) = told_now(&mut stream).await;
    assert_eq!((kinds, quantities), (Vec::new(), BTreeSet::from([("ROSE".to_owned(), 3)])), "of {last_id}");
    client.reserve(Reserve::new().line("LILY", 1)).await.expect("one is there");
    let told = loop {
        match stream.next().await.expect("it is told") {
            idle if idle.kind == "idle" => {}
            told => break told,
        }
    };
    assert_eq!(quantity(&told.data), ("LILY".to_owned(), 4));
    drop(stream);
    let mut stream = Stream::open_when_served(&cluster, 2, PATH, &told.id).await;
    assert_eq!(told_now(&mut stream).await.1, BTreeSet::new(), "nothing has changed since {} of {newer}", told.id);

    let another = "0=999999999,1=999999999";
    let mut stream = Stream::open_when_served(&cluster, 3, PATH, another).await;
    let (kinds, quantities, _) = told_now(&mut stream).await;
    assert_eq!((kinds, quantities), (vec!["reset".to_owned()], both(3, 4)), "an id of another history");
    for bad in ["x", "7=1"] {
        let refused = cluster.http(3).ask("GET", PATH, &[("Last-Event-ID", bad)], "").await;
        assert_eq!((refused.status, &refused.json()["field"]), (400, &json!("Last-Event-ID")), "{bad}");
    }
    let mut stream = Stream::open_when_served(&cluster, 3, &format!("/public{PATH}"), "").await;
    assert_eq!(stream.next().await.expect("it is told").id, "", "customers are not told how much happens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_of_categories_and_campaigns_whatever_their_names_and_of_no_kits() {
    const PATH: &str = "/public/v1/availability/stream";
    let cluster = Cluster::with_http(&["http.availability_shown=exact"]).await;
    let client = Shop::client(&cluster).await;
    let long = "x".repeat(255);
    for (sku, category) in [("ROSE", "flowers, cut"), ("FERN", long.as_str()), ("MOSS", "plants"), ("LILY", "")] {
        stocked_in(&client, sku, category).await;
    }
    client.put_kit(PutKit::of("BUNCH").component("ROSE", 2).component("FERN", 1)).await.expect("a kit is put");
    open_drop(&client, "LILY").await;
    cluster.replicas_agree().await;

    let query = format!("category=flowers%2C%20cut&category={long},none&campaign=drop");
    let mut stream = Stream::open_when_served(&cluster, 1, &format!("{PATH}?{query}"), "").await;
    let (kinds, quantities, _) = told_now(&mut stream).await;
    let all = [("FERN", 5), ("LILY", 3), ("ROSE", 5)].map(|(sku, units)| (sku.to_owned(), units));
    assert_eq!((kinds, quantities), (Vec::new(), BTreeSet::from(all)));

    for (query, status, field) in [
        ("sku=MOSS,BUNCH", 400, "skus[1]"),
        ("sku=a%0Ab", 400, "skus[0]"),
        ("campaign=nowhere", 404, "campaign_id"),
        ("colour=red", 400, "colour"),
    ] {
        let refused = cluster.http(2).get(&format!("{PATH}?{query}")).await;
        let told = refused.json();
        assert_eq!((refused.status, told["field"].as_str().unwrap_or_default()), (status, field), "{query}: {told}");
        if query.contains("BUNCH") {
            let detail = told["detail"].as_str().expect("a detail");
            assert!(detail.starts_with("skus[1] is BUNCH, a kit") && detail.contains("ROSE, FERN"), "{detail}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_leave_room_for_others_and_who_follows_other_events_keeps_its_place() {
    // Six readers of availability, and one of events.
    let cluster = Cluster::with_http(&["http.max_connections=8"]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let mut reader = Socket(socket(&cluster, 1, "/v1/ws").await);
    reader.say(json!({"follow": {"cursor": "0=0,1=0", "kinds": ["item."]}})).await;
    while reader.next().await["type"] != "cursor" {}
    let refused = cluster.http(1).ask("GET", "/v1/events", &[("Accept", "text/event-stream")], "").await;
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &json!("OVERLOADED")));
    reader.say(json!({"follow": {"cursor": "0=0,1=0", "kinds": ["stock."]}})).await;
    loop {
        match reader.next().await {
            said if said["type"] == "event" && said["event"]["kind"] == "stock.received" => break,
            said => assert_ne!(said["type"], "problem", "{said}"),
        }
    }

    let path = format!("/v1/availability/stream?sku={SKU}");
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(Stream::open_when_served(&cluster, 1, &path, "").await);
    }
    let refused = cluster.http(1).get(&path).await;
    assert_eq!((refused.status, &refused.json()["metadata"]["max_readers"]), (503, &json!("6")));
    assert_eq!(cluster.http(1).get("/livez").await.status, 200, "a probe finds a connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_a_history_that_is_gone_is_refused_by_name() {
    let cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let mut stream = Stream::open_when_served(&cluster, 2, "/v1/events", "0=999999999,1=0").await;
    let problem = loop {
        match stream.next().await.expect("it is told before the stream ends") {
            told if told.kind == "problem" => break told,
            told => assert_ne!(told.kind, "gap", "{told:?}"),
        }
    };
    assert_eq!((&problem.data["status"], &problem.data["field"]), (&json!(400), &json!("cursor")), "{problem:?}");
    assert!(problem.data["detail"].as_str().is_some_and(|detail| detail.contains("ahead of shard 0")), "{problem:?}");
    assert_eq!(problem.id, "", "a browser that comes again begins with what happens then");
}

/// A campaign to come that has two units of a SKU.
async fn open_drop(client: &Client, sku: &str) {
    let now = client.cluster_time_ms();
    let campaign = v1::Campaign {
        campaign_id: "drop".to_owned(),
        starts_at_ms: now + 600_000,
        ends_at_ms: now + 1_200_000,
        ..v1::Campaign::default()
    };
    client.open_campaign(campaign).await.expect("a campaign is opened");
    client.execute(Grant::of("drop", sku, 2)).await.expect("it is given some");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_by_socket_hears_of_categories_and_campaigns_until_it_says_that_it_does_not_want_to() {
    let cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    for (sku, category) in [("ROSE", "flowers"), ("LILY", "flowers"), ("FERN", "plants"), ("MOSS", "plants")] {
        stocked_in(&client, sku, category).await;
    }
    client.put_kit(PutKit::of("BUNCH").component("ROSE", 2)).await.expect("a kit is put");
    open_drop(&client, "FERN").await;
    cluster.replicas_agree().await;
    let take = async |sku: &str| drop(client.reserve(Reserve::new().line(sku, 1)).await.expect("one is there"));

    let mut reader = Socket(socket(&cluster, 1, "/v1/ws").await);
    reader.say(json!({"subscribe": {"categories": ["flowers"]}})).await;
    assert_eq!(reader.next().await, json!({"type": "subscribed", "skus": 2}));
    let told = reader.until(&[("ROSE", 5), ("LILY", 5)]).await;
    assert_eq!(told.len(), 2, "what there is now, once: {told:?}");
    take("FERN").await;
    take("ROSE").await;
    let told = reader.until(&[("ROSE", 4)]).await;
    assert!(told.iter().all(|(sku, _)| sku == "ROSE"), "it did not ask for others: {told:?}");

    reader.say(json!({"subscribe": {"campaigns": ["nowhere"]}})).await;
    let refused = reader.next().await;
    assert_eq!((&refused["type"], &refused["problem"]["status"]), (&json!("problem"), &json!(404)), "{refused}");
    reader.say(json!({"subscribe": {"skus": ["MOSS", "BUNCH"]}})).await;
    let refused = reader.next().await;
    assert_eq!(
        (&refused["problem"]["status"], &refused["problem"]["field"]),
        (&json!(400), &json!("skus[1]")),
        "a kit has nothing to tell of: {refused}"
    );
    reader.say(json!({"subscribe": {"campaigns": ["drop"]}})).await;
    assert_eq!(reader.next().await, json!({"type": "subscribed", "skus": 3}), "what it had stays");
    reader.until(&[("FERN", 2)]).await;
    take("FERN").await;
    reader.until(&[("FERN", 1)]).await;

    reader.say(json!({"unsubscribe": {"categories": ["flowers"]}})).await;
    assert_eq!(reader.next().await, json!({"type": "subscribed", "skus": 1}));
    take("ROSE").await;
    take("LILY").await;
    take("FERN").await;
    let mut told = Vec::new();
    loop {
        match reader.next_or_idle().await {
            idle if idle["type"] == "idle" && !told.is_empty() => break,
            idle if idle["type"] == "idle" => {}
            said => told.push(quantity(&said)),
        }
    }
    assert_eq!(told, [("FERN".to_owned(), 0)], "the flowers are not told any more");
    reader.0.send(Message::binary(vec![1, 2])).await.expect("it is there");
    let closed = timeout(PATIENCE, reader.0.next()).await.expect("in time").expect("a message").expect("a frame");
    assert!(matches!(closed, Message::Close(Some(frame)) if frame.reason.contains("JSON")), "messages are text");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_by_websocket_are_for_the_back_office_and_end_when_the_reader_says_so() {
    let cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let mut customer = Socket(socket(&cluster, 1, "/public/v1/ws").await);
    customer.say(json!({"follow": {}})).await;
    let refused = customer.next().await;
    assert_eq!((&refused["type"], &refused["problem"]["status"]), (&json!("problem"), &json!(403)), "{refused}");

    let mut reader = Socket(socket(&cluster, 2, "/v1/ws").await);
    reader.say(json!({"follow": {"cursor": "none"}})).await;
    let refused = reader.next().await;
    assert_eq!(
        (&refused["problem"]["status"], &refused["problem"]["field"]),
        (&json!(400), &json!("cursor")),
        "{refused}"
    );
    reader.say(json!({"follow": {"cursor": "0=0,1=0", "kinds": ["reservation."]}})).await;
    client.reserve(Reserve::new().line(SKU, 1)).await.expect("one is there");
    loop {
        match reader.next().await {
            said if said["type"] == "event" => break assert_eq!(said["event"]["kind"], "reservation.held", "{said}"),
            said => assert_eq!(said["type"], "cursor", "{said}"),
        }
    }
    reader.say(json!({"unfollow": {}})).await;
    reader.say(json!({"subscribe": {"skus": [SKU]}})).await;
    while reader.next().await["type"] != "subscribed" {}
    client.receive(Receive::of(SKU, 1)).await.expect("units are received");
    reader.until(&[(SKU, 5)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_goes_on_from_its_own_copy_while_the_quorum_is_lost_and_says_how_old_that_is() {
    let mut cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    let held = client.reserve(Reserve::new().line(SKU, 2)).await.expect("two are there");
    client.commit(held.reservation_id.expect("a hold has an id")).await.expect("they are paid");
    let whole = overview(&cluster, |told| told["totals"]["sold"] == 2 && told["serving"] == true).await;
    assert_eq!((&whole["can_lose"], &whole["oversold"], &whole["age_ms"]), (&json!(1), &json!(0), &json!(0)));
    Shop::open_sale(&client, "drop").await;
    wait_for_sale(&cluster).await;

    cluster.kill(1);
    cluster.kill(2);
    let alone = overview(&cluster, |told| told["serving"] == false).await;
    assert_eq!((&alone["totals"]["sold"], &alone["can_lose"]), (&json!(2), &json!(0)));
    let up = alone["nodes"].as_array().expect("nodes").iter().filter(|node| node["up"] == true).count();
    assert_eq!(up, 1);
    let stock = cluster.http(3).get("/ui/api/stock/ROSE").await;
    assert_eq!((stock.status, &stock.json()["levels"][0]["on_hand"]), (200, &json!(5)));
    wait_for_sale(&cluster).await;
    let page = cluster.http(3).get("/ui/").await;
    assert_eq!((page.status, page.header("content-security-policy").contains("default-src 'self'")), (200, true));
}

/// Others that hang keep their connections open and answer nothing: each question to one of them costs all the time that it is given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_the_dashboard_shows_the_nodes_own_copy_while_the_others_hang() {
    let cluster = Cluster::with_http(&[]).await;
    let client = Shop::client(&cluster).await;
    stocked(&client).await;
    Shop::open_sale(&client, "drop").await;
    let held = client.reserve(Reserve::new().line(SKU, 4).ttl(Duration::from_secs(600))).await.expect("four are there");
    let held = held.reservation_id.expect("a hold has an id");
    overview(&cluster, |told| told["totals"]["reserved"] == 4 && told["serving"] == true).await;
    wait_for_sale(&cluster).await;

    cluster.signal(1, Signal::STOP);
    cluster.signal(2, Signal::STOP);
    let alone = overview(&cluster, |told| told["serving"] == false).await;
    assert_eq!((&alone["totals"]["reserved"], &alone["oversold"]), (&json!(4), &json!(0)));
    let shown = async |path: &str| {
        let said = cluster.http(3).get(path).await;
        assert_eq!(said.status, 200, "{path}: {}", String::from_utf8_lossy(&said.body));
        said.json()
    };
    // Again and again: none of them may ask another node now and then.
    for _ in 0..3 {
        let levels = &shown("/ui/api/stock?find=RO").await["levels"];
        let of_level = (&levels[0]["sku"], &levels[0]["atp"], &levels[0]["low_stock_threshold"]);
        assert_eq!(of_level, (&json!(SKU), &json!(1), &json!(2)));
        let one = shown("/ui/api/stock/ROSE").await;
        let happened = one["events"].as_array().expect("a list of events");
        assert!(happened.iter().any(|event| event["kind"] == "reservation.held"), "{one}");
        assert_eq!(one["levels"][0]["reserved"], 4, "{one}");
        assert_eq!(shown("/ui/api/reservations").await["reservations"][0]["reservation_id"], json!(held.to_string()));
        assert_eq!(shown(&format!("/ui/api/reservations/{held}")).await["units"], 4);
        assert_eq!(shown("/ui/api/sales").await["campaigns"][0]["campaign_id"], "drop");
        assert!(shown("/ui/api/heads").await["heads"].as_array().is_some_and(|heads| !heads.is_empty()));
        assert_eq!(shown("/ui/api/at-risk").await, json!({"lots": [], "more": false}));
        let problems = shown("/ui/api/problems").await;
        assert_eq!((&problems["silent"], &problems["stuck"]), (&json!([1, 2]), &json!([])), "{problems}");
        assert_eq!((&problems["counts"], &problems["shortfalls"]), (&json!([]), &json!([])), "{problems}");
    }
}

/// Waits until node 3 shows it.
async fn wait_for_sale(cluster: &Cluster) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = cluster.http(3).get("/ui/api/sales").await;
        if said.status == 200 && said.json()["campaigns"][0]["campaign_id"] == "drop" {
            return;
        }
        assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&said.body));
        pause().await;
    }
}

/// What node 3 tells, as soon as it is so.
async fn overview(cluster: &Cluster, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = cluster.http(3).get("/ui/api/overview").await;
        if said.status == 200 && is_so(&said.json()) {
            return said.json();
        }
        assert!(Instant::now() < deadline, "{}", String::from_utf8_lossy(&said.body));
        pause().await;
    }
}
