//! Subscribers that wait: thousands of readers of one node's live updates, what they cost it in memory, and how long the last one waits
//! for what all of them wait for.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use holdfast_client::{Client, PutItem, Receive};
use holdfast_proto::v1::Item;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::output;

const SKU: &str = "BENCH-SUBSCRIBED";
/// Subscribers that are connecting at once.
const AT_ONCE: usize = 256;
/// Updates that are measured.
const ROUNDS: u32 = 10;
/// Between two of them, and after everybody is there.
const PAUSE: Duration = Duration::from_secs(2);
/// How long one is waited for.
const WITHIN: Duration = Duration::from_secs(30);
/// The metric of a node's memory.
const RESIDENT: &str = "holdfast_process_resident_bytes";

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    workload: &'static str,
    node: u64,
    subscribers: usize,
    /// The node's memory before they came, and when all were there.
    resident_bytes_before: Option<u64>,
    resident_bytes_with_all: Option<u64>,
    bytes_a_subscriber: Option<u64>,
    rounds: u32,
    /// From the acknowledgement of a receipt until the last subscriber had heard of it: the median of the rounds, and the longest.
    last_heard_ms_median: f64,
    last_heard_ms_most: f64,
    /// The same until half of them had.
    half_heard_ms_median: f64,
}

/// Lets so many subscribe at one node, and measures.
pub async fn run(client: &Client, subscribers: usize) -> Result<Report, Failure> {
    let routing = client.routing();
    let node = routing.members.iter().find(|member| !member.http_address.is_empty());
    let node = node.ok_or_else(|| {
        Failure::usage("no node of the cluster serves HTTP").hint("give the nodes an `http` address in cluster.toml")
    })?;
    let address: Arc<str> = node.http_address.as_str().into();
    let from_client = |error: holdfast_client::Error| Failure::from_client(error.failure());
    let item = Item { sku: SKU.to_owned(), ..Item::default() };
    client.execute(PutItem::new(item)).await.map_err(from_client)?;
    client.receive(Receive::of(SKU, 1)).await.map_err(from_client)?;
    let before = resident(&address).await;

    let (heard, mut hears) = mpsc::channel(subscribers.max(1));
    let bar = output::bar("subscribing", subscribers as u64);
    let mut coming = iter(0..subscribers)
        .map(|_| {
            let (address, heard) = (Arc::clone(&address), heard.clone());
            async move {
                let stream = subscribe(&address).await?;
                tokio::spawn(listen(stream, heard));
                io::Result::Ok(())
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(came) = coming.next().await {
        came.map_err(|error| {
            Failure::unavailable(format!("a subscriber finds no place at {address}: {error}"))
                .hint("raise http.max_connections of the node, of which three quarters are for readers, and the open files (ulimit -n) of both")
        })?;
        bar.inc(1);
    }
    drop(coming);
    bar.finish_and_clear();
    // Each is told first what there is.
    let mut last = 0;
    for _ in 0..subscribers {
        last = next(&mut hears).await?.0.max(last);
    }
    sleep(PAUSE).await;
    let with_all = resident(&address).await;

    let (mut lasts, mut halves) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        client.receive(Receive::of(SKU, 1)).await.map_err(from_client)?;
        let acknowledged = Instant::now();
        last += 1;
        let mut heard = 0;
        while heard < subscribers {
            let (units, at) = next(&mut hears).await?;
            if units != last {
                continue;
            }
            heard += 1;
            let ms = at.saturating_duration_since(acknowledged).as_secs_f64() * 1e3;
            if heard == subscribers.div_ceil(2) {
                halves.push(ms);
            }
            if heard == subscribers {
                lasts.push(ms);
            }
        }
        sleep(PAUSE).await;
    }
    let grown = before.zip(with_all).map(|(before, after)| after.saturating_sub(before) / subscribers.max(1) as u64);
    Ok(Report {
        workload: "subscribers",
        node: node.node_id,
        subscribers,
        resident_bytes_before: before,
        resident_bytes_with_all: with_all,
        bytes_a_subscriber: grown,
        rounds: ROUNDS,
        last_heard_ms_median: median(&mut lasts),
        last_heard_ms_most: lasts.last().copied().unwrap_or(0.0),
        half_heard_ms_median: median(&mut halves),
    })
}

/// The median of what was measured, which is in order then.
fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

async fn next(hears: &mut mpsc::Receiver<(u64, Instant)>) -> Result<(u64, Instant), Failure> {
    let heard = timeout(WITHIN, hears.recv()).await.ok().flatten();
    heard.ok_or_else(|| Failure::check(format!("not every subscriber was told within {} s", WITHIN.as_secs())))
}

/// A stream of the SKU's availability, whose head was read.
async fn subscribe(address: &str) -> io::Result<BufReader<OwnedReadHalf>> {
    let connecting = async {
        let (read, mut write) = TcpStream::connect(address).await?.into_split();
        let request = format!("GET /v1/availability/stream?sku={SKU} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        write.write_all(request.as_bytes()).await?;
        // Dropped, it would close its side, which ends the stream.
        write.forget();
        let mut read = BufReader::with_capacity(512, read);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if read.read_line(&mut head).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        if head.starts_with("HTTP/1.1 200") { Ok(read) } else { Err(io::Error::other(head)) }
    };
    timeout(WITHIN, connecting).await.map_err(io::Error::other)?
}

/// Says how many units it hears of, and when.
async fn listen(mut stream: BufReader<OwnedReadHalf>, heard: mpsc::Sender<(u64, Instant)>) {
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|bytes| bytes > 0) {
        let at = Instant::now();
        if let Some(units) = units_of(&line)
            && heard.send((units, at)).await.is_err()
        {
            return;
        }
        line.clear();
    }
}

/// The quantity that a line of a stream tells of.
fn units_of(line: &str) -> Option<u64> {
    let told: serde_json::Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
    told.get("quantity")?.as_u64()
}

/// The memory of a node, as its metrics say; `None` where they do not.
async fn resident(address: &str) -> Option<u64> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await.ok()?;
        resident_in(&said)
    };
    timeout(WITHIN, asking).await.ok()?
}

fn resident_in(metrics: &str) -> Option<u64> {
    let value = metrics.lines().find_map(|line| line.strip_prefix(RESIDENT)?.strip_prefix(' '))?;
    // A whole number of bytes, as the exporter writes it.
    value.trim().parse::<f64>().ok().map(|bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_a_quantity_or_nothing() {
        assert_eq!(units_of("data: {\"type\":\"availability\",\"quantity\":7}\n"), Some(7));
        assert_eq!(units_of("data: {}\n"), None);
        assert_eq!(units_of("event: availability\n"), None);
    }

    #[test]
    fn the_memory_is_found_among_the_metrics() {
        let metrics = "# HELP holdfast_process_resident_bytes x\nholdfast_process_resident_bytes 1234567\n";
        assert_eq!(resident_in(metrics), Some(1_234_567));
        assert_eq!(resident_in("holdfast_up 1\n"), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
