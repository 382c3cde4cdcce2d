//! The log beside raft-engine 0.4.2: appends of one entry, each waited for until it is synced, from several groups at
//! once. Random bytes, so that nothing can be compressed (raft-engine's compression is off besides). Five runs each,
//! interleaved; the median, the least and the most of them.
//!
//! The groups are tasks of tokio, as openraft's are, or threads. The difference matters to raft-engine, which syncs on the
//! thread that calls it: a task has to hand the call over to a thread that may block, a thread of its own has not. Our log
//! hands over in either case.
//!
//! `cargo bench -p holdfast-raft --bench log -- [seconds a run] [tasks|threads] [4x1000 ...]`, all rows unless some are
//! named, on a machine that does nothing else: both sides are mostly waiting.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use holdfast_raft::control::Control;
use holdfast_raft::log::{GroupId, Log, LogId, LogOptions, LogRecord};
use holdfast_world::{Entropy, RealEntropy, World};
use tokio::sync::oneshot;

mod theirs;

const RUNS: usize = 5;
const PURGE_EVERY: u64 = 1_000;

/// Something that appends one entry and returns when it is on the disk.
trait Engine: Send + Sync + 'static {
    fn append(&self, group: u64, index: u64, payload: &Bytes);
    fn purge(&self, group: u64, upto: u64);

    /// The same for a task, which must not block its thread.
    fn append_in_task(self: Arc<Self>, group: u64, index: u64, payload: Bytes) -> BoxFuture<'static, ()>;
    fn purge_in_task(self: Arc<Self>, group: u64, upto: u64) -> BoxFuture<'static, ()>;
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
        let report = Box::new(move |result| sender.send(result).unwrap());
        futures_executor::block_on(self.log.append(GroupId(group), vec![record(index, payload)], report)).unwrap();
        done.recv().unwrap().unwrap();
    }

    fn purge(&self, group: u64, upto: u64) {
        futures_executor::block_on(self.log.purge(GroupId(group), log_id(upto))).unwrap();
    }

    fn append_in_task(self: Arc<Self>, group: u64, index: u64, payload: Bytes) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let (sender, done) = oneshot::channel();
            let report = Box::new(move |result| sender.send(result).unwrap());
            self.log.append(GroupId(group), vec![record(index, &payload)], report).await.unwrap();
            done.await.unwrap().unwrap();
        })
    }

    fn purge_in_task(self: Arc<Self>, group: u64, upto: u64) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.log.purge(GroupId(group), log_id(upto)).await.unwrap() })
    }
}

fn record(index: u64, payload: &Bytes) -> LogRecord {
    LogRecord { index, term: 1, leader_node: 1, kind: 0, payload: payload.clone() }
}

fn log_id(index: u64) -> LogId {
    LogId { term: 1, leader_node: 1, index }
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

/// What the groups of a run know in common.
#[derive(Default)]
struct Signals {
    measuring: AtomicBool,
    stopping: AtomicBool,
}

impl Signals {
    fn stop(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn note(&self, latencies: &mut Vec<Duration>, start: Instant) {
        if self.measuring.load(Ordering::Relaxed) {
            latencies.push(start.elapsed());
        }
    }
}

#[derive(Clone, Copy)]
enum Callers {
    Tasks,
    Threads,
}

impl Callers {
    fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Threads => "threads",
        }
    }

    /// Starts the groups; what is returned waits for their latencies.
    fn start(self, engine: &Arc<impl Engine>, groups: u64, payload: &Bytes, signals: &Arc<Signals>) -> Collect {
        match self {
            Self::Tasks => {
                let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
                let tasks: Vec<_> = (1..=groups)
                    .map(|group| runtime.spawn(task(engine.clone(), group, payload.clone(), signals.clone())))
                    .collect();
                Box::new(move || tasks.into_iter().flat_map(|task| runtime.block_on(task).unwrap()).collect())
            }
            Self::Threads => {
                let threads: Vec<_> = (1..=groups)
                    .map(|group| {
                        let (engine, payload, signals) = (engine.clone(), payload.clone(), signals.clone());
                        std::thread::spawn(move || thread(&*engine, group, &payload, &signals))
                    })
                    .collect();
                Box::new(move || threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect())
            }
        }
    }
}

type Collect = Box<dyn FnOnce() -> Vec<Duration>>;

async fn task(engine: Arc<impl Engine>, group: u64, payload: Bytes, signals: Arc<Signals>) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for index in 1.. {
        if signals.stop() {
            break;
        }
        let start = Instant::now();
        engine.clone().append_in_task(group, index, payload.clone()).await;
        signals.note(&mut latencies, start);
        if index % PURGE_EVERY == 0 {
            engine.clone().purge_in_task(group, index - 1).await;
        }
    }
    latencies
}

fn thread(engine: &impl Engine, group: u64, payload: &Bytes, signals: &Signals) -> Vec<Duration> {
    let mut latencies = Vec::new();
    for index in 1.. {
        if signals.stop() {
            break;
        }
        let start = Instant::now();
        engine.append(group, index, payload);
        signals.note(&mut latencies, start);
        if index % PURGE_EVERY == 0 {
            engine.purge(group, index - 1);
        }
    }
    latencies
}

fn run(engine: &Arc<impl Engine>, callers: Callers, groups: u64, size: usize, time: Duration) -> Run {
    let mut payload = vec![0; size];
    RealEntropy.fill(&mut payload);
    let signals = Arc::new(Signals::default());
    let collect = callers.start(engine, groups, &Bytes::from(payload), &signals);
    std::thread::sleep(time / 2);
    let (start, bytes) = (Instant::now(), disk_bytes());
    signals.measuring.store(true, Ordering::Relaxed);
    std::thread::sleep(time);
    let (elapsed, bytes) = (start.elapsed(), disk_bytes() - bytes);
    signals.stopping.store(true, Ordering::Relaxed);
    let mut latencies = collect();
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

/// What was asked for on the command line.
struct Asked {
    time: Duration,
    callers: Vec<Callers>,
    /// Rows like `4x1000`; all if there are none.
    rows: Vec<String>,
}

impl Asked {
    fn read() -> Self {
        let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
        let seconds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1.0);
        let mut callers = vec![Callers::Tasks, Callers::Threads];
        if words.iter().any(|word| callers.iter().any(|one| one.name() == word)) {
            callers.retain(|one| words.iter().any(|word| one.name() == word));
        }
        let rows = words.into_iter().filter(|word| word.contains('x')).collect();
        Self { time: Duration::from_secs_f64(seconds), callers, rows }
    }

    fn wants(&self, groups: u64, size: usize) -> bool {
        self.rows.is_empty() || self.rows.contains(&format!("{groups}x{size}"))
    }
}

fn compare(callers: Callers, groups: u64, size: usize, time: Duration) {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        ours.push(run(&Arc::new(Ours::open(dir.path())), callers, groups, size, time));
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        theirs.push(run(&Arc::new(theirs::RaftEngine::open(dir.path())), callers, groups, size, time));
    }
    for (name, runs) in [("holdfast", &ours), ("raft-engine", &theirs)] {
        let (rate, p50) = (summary(runs, |run| run.per_second), summary(runs, |run| run.p50));
        let (p99, written) = (summary(runs, |run| run.p99), summary(runs, |run| run.written));
        println!("| {} | {groups} | {size} | {name} | {rate} | {p50} | {p99} | {written} |", callers.name());
    }
}

fn main() {
    let asked = Asked::read();
    println!("| callers | groups | bytes | engine | appends/s | p50 µs | p99 µs | bytes written per byte |");
    println!("| - | - | - | - | - | - | - | - |");
    for &callers in &asked.callers {
        for size in [120, 1_000, 8_000] {
            for groups in [1, 4, 16, 64] {
                if asked.wants(groups, size) {
                    compare(callers, groups, size, asked.time);
                }
            }
        }
    }
}
