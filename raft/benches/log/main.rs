//! The log beside raft-engine 0.4.2: appends of one entry, each waited for until it is synced, from several groups at
//! once. Random bytes, so that nothing can be compressed (raft-engine's compression is off besides). Five runs each,
//! interleaved; the median, the least and the most of them.
//!
//! `cargo bench -p holdfast-raft --bench log -- [seconds a run]`, on a machine that does nothing else: both sides are mostly waiting.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_raft::control::Control;
use holdfast_raft::log::{GroupId, Log, LogId, LogOptions, LogRecord};
use holdfast_world::{Entropy, RealEntropy, World};

mod theirs;

const RUNS: usize = 5;
const PURGE_EVERY: u64 = 1_000;

/// Something that appends one entry and returns when it is on the disk.
trait Engine: Send + Sync {
    fn append(&self, group: u64, index: u64, payload: &Bytes);
    fn purge(&self, group: u64, upto: u64);
}

struct Ours {
    log: Log,
    _control: Control,
}

impl Ours {
    fn open(dir: &Path) -> Self {
        futures_executor::block_on(async {
            let world = World::real();
            let control = Control::create(&world, dir, 1, 1).await.unwrap();
            control.begin_incarnation().await.unwrap();
            let (log, _) = Log::open(&world, &dir.join("log"), LogOptions::default(), &control).await.unwrap();
            Self { log, _control: control }
        })
    }
}

impl Engine for Ours {
    fn append(&self, group: u64, index: u64, payload: &Bytes) {
        let (sender, done) = mpsc::sync_channel(1);
        let record = LogRecord { index, term: 1, leader_node: 1, kind: 0, payload: payload.clone() };
        let report = Box::new(move |result| sender.send(result).unwrap());
        futures_executor::block_on(self.log.append(GroupId(group), vec![record], report)).unwrap();
        done.recv().unwrap().unwrap();
    }

    fn purge(&self, group: u64, upto: u64) {
        let upto = LogId { term: 1, leader_node: 1, index: upto };
        futures_executor::block_on(self.log.purge(GroupId(group), upto)).unwrap();
    }
}

/// One run: appends a second, latencies in microseconds, bytes written to the disk for each byte of payload.
struct Run {
    per_second: f64,
    p50: f64,
    p99: f64,
    written: f64,
}

/// Bytes handed to the system's write calls; what the kernel reports as sent to the disk counts whole folios of the cache.
fn disk_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn run(engine: &Arc<dyn Engine>, groups: u64, size: usize, time: Duration) -> Run {
    let (measuring, stopping) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (1..=groups)
        .map(|group| {
            let (engine, measuring, stopping) = (engine.clone(), measuring.clone(), stopping.clone());
            std::thread::spawn(move || {
                let mut payload = vec![0; size];
                RealEntropy.fill(&mut payload);
                let payload = Bytes::from(payload);
                let mut latencies = Vec::new();
                for index in 1.. {
                    if stopping.load(Ordering::Relaxed) {
                        break;
                    }
                    let start = Instant::now();
                    engine.append(group, index, &payload);
                    if measuring.load(Ordering::Relaxed) {
                        latencies.push(start.elapsed());
                    }
                    if index % PURGE_EVERY == 0 {
                        engine.purge(group, index - 1);
                    }
                }
                latencies
            })
        })
        .collect();
    std::thread::sleep(time / 2);
    let (start, bytes) = (Instant::now(), disk_bytes());
    measuring.store(true, Ordering::Relaxed);
    std::thread::sleep(time);
    let (elapsed, bytes) = (start.elapsed(), disk_bytes() - bytes);
    stopping.store(true, Ordering::Relaxed);
    let mut latencies: Vec<Duration> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Run {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        written: bytes as f64 / (latencies.len() * size) as f64,
    }
}

fn summary(runs: &[Run], value: impl Fn(&Run) -> f64) -> String {
    let mut values: Vec<f64> = runs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (least, median, most) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    if most < 100.0 {
        format!("{median:.1} ({least:.1}..{most:.1})")
    } else {
        format!("{median:.0} ({least:.0}..{most:.0})")
    }
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1.0);
    let time = Duration::from_secs_f64(seconds);
    println!("| groups | bytes | engine | appends/s | p50 µs | p99 µs | bytes written per byte |");
    println!("| - | - | - | - | - | - | - |");
    for size in [120, 1_000, 8_000] {
        for groups in [1, 4, 16, 64] {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..RUNS {
                let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                let engine: Arc<dyn Engine> = Arc::new(Ours::open(dir.path()));
                ours.push(run(&engine, groups, size, time));
                drop(engine);
                let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
                let engine: Arc<dyn Engine> = Arc::new(theirs::RaftEngine::open(dir.path()));
                theirs.push(run(&engine, groups, size, time));
            }
            for (name, runs) in [("holdfast", &ours), ("raft-engine", &theirs)] {
                let (rate, p50) = (summary(runs, |run| run.per_second), summary(runs, |run| run.p50));
                let (p99, written) = (summary(runs, |run| run.p99), summary(runs, |run| run.written));
                println!("| {groups} | {size} | {name} | {rate} | {p50} | {p99} | {written} |");
            }
        }
    }
}
