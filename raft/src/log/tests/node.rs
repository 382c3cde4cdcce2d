//! A node's control file and log on a disk in memory.

use std::path::Path;

use bytes::Bytes;
use holdfast_world::World;
use tokio::sync::oneshot;

use crate::control::{Control, ControlError};
use crate::log::{GroupId, Log, LogId, LogOptions, LogRecord, OpenError, Recovered};
use crate::segments::memory_disk::{MemoryDisk, NotedEnd, memory_world};

pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) log: Log,
    pub(super) control: Control,
    pub(super) recovered: Recovered,
    pub(super) end: NotedEnd,
}

pub(super) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        batch_bytes: 8 << 10,
        queue_bytes: 64 << 10,
        cache_bytes: 4 << 10,
        spare_segments: 2,
        ..LogOptions::default()
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Control(ControlError),
    #[error(transparent)]
    Open(OpenError),
}

/// Starts a node on the disk; the first time, it is created.
pub(super) async fn start(disk: &MemoryDisk) -> Result<Node, StartError> {
    let (world, end) = memory_world(disk);
    let dir = Path::new("/node");
    let control = open_control(&world, dir).await.map_err(StartError::Control)?;
    control.begin_incarnation().await.map_err(StartError::Control)?;
    let (log, recovered) = Log::open(&world, &dir.join("log"), options(), &control).await.map_err(StartError::Open)?;
    Ok(Node { log, control, recovered, end })
}

async fn open_control(world: &World, dir: &Path) -> Result<Control, ControlError> {
    world.disk.create_dir_all(dir).await?;
    match Control::open(world, dir).await {
        Err(ControlError::Missing) => Control::create(world, dir, 7, 1).await,
        other => other,
    }
}

pub(super) fn record(index: u64, term: u64, payload: Vec<u8>) -> LogRecord {
    LogRecord { index, term, leader_node: 1, kind: 2, payload: Bytes::from(payload) }
}

pub(super) fn id(term: u64, index: u64) -> LogId {
    LogId { term, leader_node: 1, index }
}

/// Submits an append; the receiver tells when it is durable.
pub(super) async fn submit(log: &Log, group: GroupId, records: Vec<LogRecord>) -> oneshot::Receiver<()> {
    let (sender, done) = oneshot::channel();
    let report = move |result: std::io::Result<()>| {
        result.unwrap();
        // The waiter may be gone.
        let _ = sender.send(());
    };
    log.append(group, records, Box::new(report)).await.unwrap();
    done
}

/// Appends and waits until it is durable.
pub(super) async fn append(log: &Log, group: GroupId, records: Vec<LogRecord>) {
    submit(log, group, records).await.await.unwrap();
}

/// Runs a test on one thread; its tasks are gone afterwards.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

/// Flips a bit amid the first place where this body lies. Not in its first byte: the one before it may be the same by chance, and
/// is none of the body's.
pub(super) fn flip(disk: &MemoryDisk, path: &str, body: [u8; 50]) {
    let at = disk.contents(Path::new(path)).windows(50).position(|window| window == body).expect("the body is there");
    disk.tamper(Path::new(path), |bytes| bytes[at + 25] ^= 4);
}
