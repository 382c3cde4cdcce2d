//! The recipe of openraft #2116: many writes, checkpoints without a rest, a log that is purged right behind them, and a follower
//! that is too slow for all of it, so that it gets one snapshot after the other in the middle of what it appends and applies.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_world::{Disk, DiskFile, EndReason, IoFuture, OpenMode, ProcessEnd, World};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::{Cluster, Deliveries};
use super::troubled_stores::{Trouble, troubled};
use crate::eventually::PATIENCE;
use crate::host::Group;

/// So many snapshots the slow follower gets before the load ends.
const SNAPSHOTS: usize = 5;
/// Proposals under way at once.
const UNDER_WAY: usize = 512;
const SKUS: u64 = 20;
/// After so many commands the same ones come again: the state stays small, so that a checkpoint takes a moment.
const COMMANDS: u64 = 1_000;

/// So long the slow node gets no processor, again and again: longer than its peers wait for it, who then drop the stream of
/// appends and with it what keeps the leader from purging.
const STARVED: Duration = Duration::from_millis(2_500);

/// A node's disk and state store, which become slow below one folder; and the ends of nodes, which a test wants to know of.
#[derive(Clone, Debug, Default)]
struct Slowness {
    /// Which folder, and how much longer syncs and writes of checkpoints take there.
    below: Arc<Mutex<Option<(PathBuf, Duration)>>>,
    ends: Arc<Mutex<Vec<EndReason>>>,
}

impl Slowness {
    fn world(&self) -> World {
        let real = World::real();
        let disk = SlowDisk { real: real.disk.clone(), slowness: self.clone() };
        World { disk: Arc::new(disk), end: Arc::new(self.clone()), ..troubled(&Arc::new(self.clone())) }
    }

    fn of(&self, path: &Path) -> Duration {
        let below = self.below.lock().unwrap();
        below.as_ref().filter(|(below, _)| path.starts_with(below)).map_or(Duration::ZERO, |(_, longer)| *longer)
    }

    fn set(&self, below: PathBuf, longer: Duration) {
        *self.below.lock().unwrap() = Some((below, longer));
    }

    fn stop(&self) {
        *self.below.lock().unwrap() = None;
    }
}

impl ProcessEnd for Slowness {
    fn end(&self, reason: EndReason) {
        self.ends.lock().unwrap().push(reason);
    }
}

#[derive(Debug)]
struct SlowDisk {
    real: Arc<dyn Disk>,
    slowness: Slowness,
}

#[derive(Debug)]
struct SlowFile {
    real: Arc<dyn DiskFile>,
    path: PathBuf,
    slowness: Slowness,
}

impl Disk for SlowDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.real.create_dir_all(path)
    }

    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>> {
        Box::pin(async move {
            let (real, path) = (self.real.open(path, mode).await?, path.to_owned());
            Ok(Arc::new(SlowFile { real, path, slowness: self.slowness.clone() }) as Arc<dyn DiskFile>)
        })
    }

    fn list<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Vec<PathBuf>> {
        self.real.list(dir)
    }

    fn exists<'a>(&'a self, path: &'a Path) -> IoFuture<'a, bool> {
        self.real.exists(path)
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> IoFuture<'a, ()> {
        self.real.rename(from, to)
    }

    fn remove_file<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.real.remove_file(path)
    }

    fn sync_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()> {
        self.real.sync_dir(dir)
    }

    fn lock_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Box<dyn std::any::Any + Send + Sync>> {
        self.real.lock_dir(dir)
    }

    fn free_bytes<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, u64> {
        self.real.free_bytes(dir)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> IoFuture<'_, u64> {
        self.real.len()
    }

    fn set_len(&self, len: u64) -> IoFuture<'_, ()> {
        self.real.set_len(len)
    }

    fn read_exact_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> IoFuture<'a, ()> {
        self.real.read_exact_at(buffer, offset)
    }

    fn write_all_at<'a>(&'a self, bytes: &'a [u8], offset: u64) -> IoFuture<'a, ()> {
        self.real.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> IoFuture<'_, ()> {
        // As a slow drive does: whoever syncs has a thread of its own, which is blocked.
        std::thread::sleep(self.slowness.of(&self.path));
        self.real.sync_data()
    }
}

impl Trouble for Slowness {
    fn write<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()> {
        Box::pin(async move {
            tokio::time::sleep(self.of(dir)).await;
            Ok(())
        })
    }
}

/// Proposes until it is told to stop, and says how many entries were applied. What is refused is not asked for again.
async fn restock(shard: Group, goes_on: Arc<AtomicBool>) -> u64 {
    let mut entries = Deliveries::beyond(1 << 40);
    let (mut under_way, mut applied) = (JoinSet::new(), 0);
    let mut number = 0;
    while goes_on.load(Relaxed) {
        number += 1;
        let payload = entries.restocking((1 << 40) + number % COMMANDS, number % COMMANDS % SKUS);
        let Ok(proposal) = shard.propose(payload).await else { break };
        under_way.spawn(proposal.applied());
        if under_way.len() >= UNDER_WAY
            && let Some(Ok(Ok(_))) = under_way.join_next().await
        {
            applied += 1;
        }
    }
    applied + under_way.join_all().await.into_iter().filter(Result::is_ok).count() as u64
}

/// Takes one checkpoint after the other, with hardly a rest, and purges the log right behind them.
async fn checkpoint(shard: Group, goes_on: Arc<AtomicBool>) {
    while goes_on.load(Relaxed) {
        shard.checkpoint(0, Instant::now() + PATIENCE).await.expect("the group takes a checkpoint");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_too_slow_for_the_load_is_filled_by_snapshot_after_snapshot_and_catches_up() {
    let slowness = Slowness::default();
    let mut cluster = Cluster::founded_in(slowness.world()).await;
    cluster.deliver(0..SKUS).await;
    cluster.agreed().await;
    let (leader, slow) = cluster.leader_and_follower().await;
    let other = 6 - leader - slow;
    slowness.set(cluster.dir(slow), Duration::from_millis(10));
    let goes_on = Arc::new(AtomicBool::new(true));
    let load = tokio::spawn(restock(cluster.nodes[&leader].shard.clone(), goes_on.clone()));
    let checkpoints: Vec<_> =
        [leader, other].map(|id| tokio::spawn(checkpoint(cluster.nodes[&id].shard.clone(), goes_on.clone()))).into();

    // It takes none by itself: each that it has is one that the leader has sent.
    let (mut snapshots, began) = (0, Instant::now());
    while snapshots < SNAPSHOTS && slowness.ends.lock().unwrap().is_empty() {
        let state = || cluster.nodes[&slow].shard.status();
        let before = state();
        cluster.starve(slow, STARVED).await;
        let target = cluster.nodes[&leader].shard.applied_index();
        cluster
            .until("the slow one is where the leader was", |_| {
                (state().applied_index >= target || !slowness.ends.lock().unwrap().is_empty()).then_some(())
            })
            .await;
        snapshots += usize::from(state().checkpointed_index > before.checkpointed_index);
        assert!(began.elapsed() < 3 * PATIENCE, "only {snapshots} snapshots");
    }
    let took = began.elapsed();
    goes_on.store(false, Relaxed);
    slowness.stop();
    let applied = load.await.unwrap();
    for checkpoint in checkpoints {
        checkpoint.await.unwrap();
    }
    println!("{applied} entries in {took:?}, {snapshots} snapshots to the slow follower");
    assert_eq!(*slowness.ends.lock().unwrap(), Vec::new(), "a node has ended itself");
    cluster.deliver(SKUS..SKUS + 3).await;
    cluster.agreed().await;
    assert_eq!(*slowness.ends.lock().unwrap(), Vec::new(), "a node has ended itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_is_asked_for_while_another_is_written_is_taken_after_it() {
    let slowness = Slowness::default();
    let mut cluster = Cluster::founded_in(slowness.world()).await;
    cluster.deliver(0..3).await;
    cluster.agreed().await;
    let leader = cluster.leader().await;
    cluster.checkpoint(leader).await;
    slowness.set(cluster.dir(leader).join("state"), Duration::from_secs(1));
    // Nothing is new: it is there at once, and is written all the same.
    let shard = cluster.nodes[&leader].shard.clone();
    shard.checkpoint(0, Instant::now() + PATIENCE).await.unwrap();
    cluster.deliver_by(leader, 3..4).await;
    let applied = shard.applied_index();
    assert!(shard.checkpoint(0, Instant::now() + PATIENCE).await.unwrap() >= applied);
}
