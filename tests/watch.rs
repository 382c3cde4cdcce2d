//! Watches over real processes: nothing of what happens is left out or out of order, whoever serves it and whoever dies.

mod cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, Shop};
use holdfast_client::{Adjust, AvailabilityWatch, Client, EventWatch, PutItem, Receive, Reserve, v1};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn put(client: &Client, sku: &str, low_stock_threshold: u64) {
    let item = v1::Item { sku: sku.to_owned(), low_stock_threshold, ..v1::Item::default() };
    client.put_item(PutItem::new(item)).await.expect("an item is put");
}

/// The sequences of each shard, as they came, without those that came again.
#[derive(Debug, Default)]
struct Seen(BTreeMap<u32, Vec<u64>>);

impl Seen {
    fn take(&mut self, answer: &v1::WatchEventsResponse) {
        assert_eq!(answer.gap, None);
        for event in &answer.events {
            let seqs = self.0.entry(event.shard).or_default();
            let last = seqs.last().copied().unwrap_or(0);
            assert!(event.seq <= last + 1, "shard {}: {} after {last}", event.shard, event.seq);
            if event.seq > last {
                seqs.push(event.seq);
            }
        }
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_comes_in_order_while_the_nodes_that_serve_it_are_killed_one_after_the_other() {
    let mut cluster = Cluster::of_shards(3).await;
    let client = Shop::client(&cluster).await;
    // From the beginning: a cursor that says so of one shard, and nothing of the others.
    let mut watch = client.watch_events(EventWatch { cursor: "0=0".to_owned(), ..EventWatch::default() });
    let mut seen = Seen::default();
    for round in 0..3 {
        for number in 0..20 {
            let sku = format!("SKU-{round}-{number:03}");
            put(&client, &sku, 0).await;
            client.receive(Receive::of(sku, 5)).await.expect("units are received");
        }
        let told = seen.count();
        while seen.count() < told + 40 {
            seen.take(&timeout(PATIENCE, watch.next()).await.expect("events come").expect("a node serves them"));
        }
        let node = round + 1;
        cluster.kill(node);
        cluster.start(node);
        cluster.wait_ready().await;
    }
    // Another reader that goes on in the middle sees the rest, on whichever node.
    let (&shard, seqs) = seen.0.iter().next().expect("a shard has events");
    let middle = seqs[seqs.len() / 2];
    let mut later = client.watch_events(EventWatch {
        cursor: format!("{shard}={middle}"),
        shards: vec![shard],
        ..EventWatch::default()
    });
    let mut next = middle + 1;
    while next <= *seqs.last().expect("there are some") {
        let answer = timeout(PATIENCE, later.next()).await.expect("events come").expect("a node serves them");
        for event in answer.events {
            assert_eq!((event.shard, event.seq), (shard, next));
            next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn availability_is_told_as_it_is_now_and_then_when_it_runs_low_out_and_comes_back() {
    let cluster = Cluster::of_shards(2).await;
    let client = Shop::client(&cluster).await;
    put(&client, "ROUGE", 2).await;
    client.receive(Receive::of("ROUGE", 5)).await.expect("units are received");
    let skus = vec!["ROUGE".to_owned()];
    let coalesce = Duration::from_millis(20);
    let mut watch = client.watch_availability(AvailabilityWatch { skus, coalesce, ..AvailabilityWatch::default() });
    assert_eq!(told(&mut watch, 5).await, ("IN_STOCK", false));
    let held = client.reserve(Reserve::new().line("ROUGE", 3)).await.expect("they are held");
    assert_eq!(told(&mut watch, 2).await, ("LOW", false));
    client.reserve(Reserve::new().line("ROUGE", 2)).await.expect("they are held");
    assert_eq!(told(&mut watch, 0).await, ("OUT", false));
    client.release(held.reservation_id.expect("it has an id")).await.expect("they are given back");
    assert_eq!(told(&mut watch, 3).await, ("IN_STOCK", true));
    // A thousand changes are told as few; the last of them is among these.
    for _ in 0..100 {
        client.adjust(Adjust::of("ROUGE", 1)).await.expect("units are found");
    }
    assert_eq!(told(&mut watch, 103).await, ("IN_STOCK", false));
}

/// Waits until so many may be promised: at which level, and whether they are back.
async fn told(watch: &mut holdfast_client::Watch<v1::WatchAvailabilityResponse>, atp: u64) -> (&'static str, bool) {
    loop {
        let answer = timeout(PATIENCE, watch.next()).await.expect("changes come").expect("a node serves them");
        if let Some(change) = answer.changes.iter().find(|change| change.atp == atp) {
            let level = change.level().as_str_name();
            return (level.strip_prefix("AVAILABILITY_LEVEL_").expect("its name begins so"), change.back);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_shows_a_line_each_and_bad_wishes_are_refused_by_field() {
    let cluster = Cluster::of_shards(1).await;
    let client = Shop::client(&cluster).await;
    put(&client, "ROUGE", 0).await;
    client.receive(Receive::of("ROUGE", 5)).await.expect("units are received");
    let arguments = ["watch", "events", "--cursor", "0=0", "--sku", "ROUGE", "--kind", "stock.", "--count", "1"];
    let (status, lines, said) = cluster.holdfast(&arguments).await;
    assert_eq!(status, 0, "{said}");
    let event: serde_json::Value = serde_json::from_str(lines.trim()).expect("one line of JSON");
    assert_eq!((&event["kind"], &event["changes"][0]["after"]["on_hand"]), (&"stock.received".into(), &5.into()));
    assert!(said.contains("--cursor 0="), "{said}");
    let (status, lines, said) = cluster.holdfast(&["watch", "availability", "ROUGE", "--count", "1"]).await;
    assert_eq!(status, 0, "{said}");
    let change: serde_json::Value = serde_json::from_str(lines.trim()).expect("one line of JSON");
    assert_eq!((&change["atp"], &change["level"]), (&5.into(), &"in_stock".into()));
    for (arguments, field) in [
        (["watch", "events", "--cursor", "x"].as_slice(), "cursor"),
        (&["watch", "events", "--cursor", "7=0"], "cursor"),
        (&["watch", "events", "--kind", "A"], "filter.kinds[0]"),
        (&["watch", "availability", "a\n"], "skus[0]"),
    ] {
        let (status, _, said) = cluster.holdfast(arguments).await;
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains(field), "{arguments:?}: {said}");
    }
}
