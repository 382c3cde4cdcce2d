//! Starts a shard's actor again when it has ended by itself.
//!
//! kameo's own supervision counts restarts by `std::time::Instant`, which a simulated world does not move: here the
//! decision is ours, by tokio's clock.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use holdfast_raft::host::Group;
use holdfast_world::World;
use kameo::actor::Spawn;
use kameo::mailbox;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

use super::actor::{Parts, ShardActor};
use super::{Gate, Inner, Post, ShardHandle, ShardRecords};
use crate::config::NodeLimits;
use crate::metrics;

/// Submissions in the mailbox at most; the commands in them are bounded by the gate.
const MAILBOX: usize = 8_192;
/// Control messages that may wait.
const CONTROL: usize = 16;
/// The wait before a restart: nothing at first, then doubling, at most the last.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// An actor that has lived this long is restarted as if it had never failed.
const CALM: Duration = Duration::from_secs(10);

/// The shards of this node, by number.
pub(crate) type Shards = Arc<Vec<ShardHandle>>;

/// Starts the shard's actor and watches over it until `stopping` turns true.
pub(crate) fn start_shard(
    shard: u32,
    group: Group,
    world: &World,
    limits: &NodeLimits,
    records: &watch::Receiver<Arc<ShardRecords>>,
    stopping: watch::Receiver<bool>,
) -> ShardHandle {
    let seed =
        Seed { shard, group: group.clone(), world: world.clone(), limits: limits.clone(), records: records.clone() };
    let handle = ShardHandle {
        inner: Arc::new(Inner {
            shard,
            group,
            gate: Gate::new(limits.waiting_commands, limits.waiting_bytes),
            limits: limits.clone(),
            post: RwLock::new(seed.spawn()),
        }),
    };
    tokio::spawn(watch_over(handle.clone(), seed, stopping));
    handle
}

/// What an actor grows from.
struct Seed {
    shard: u32,
    group: Group,
    world: World,
    limits: NodeLimits,
    records: watch::Receiver<Arc<ShardRecords>>,
}

impl Seed {
    fn spawn(&self) -> Post {
        let (sender, control) = mpsc::channel(CONTROL);
        let parts = Parts {
            shard: self.shard,
            group: self.group.clone(),
            world: self.world.clone(),
            limits: self.limits.clone(),
            control,
            records: self.records.borrow().clone(),
        };
        Post { actor: ShardActor::spawn_with_mailbox(parts, mailbox::bounded(MAILBOX)), control: sender }
    }
}

async fn watch_over(handle: ShardHandle, seed: Seed, stopping: watch::Receiver<bool>) {
    let mut wait = Duration::ZERO;
    loop {
        let born = Instant::now();
        let actor = handle.inner.post.read().unwrap_or_else(PoisonError::into_inner).actor.clone();
        actor.wait_for_shutdown().await;
        drop(actor);
        if *stopping.borrow() {
            return;
        }
        if born.elapsed() >= CALM {
            wait = Duration::ZERO;
        }
        tracing::error!(
            shard = seed.shard,
            wait_ms = wait.as_millis() as u64,
            "a shard's actor has ended and is started again"
        );
        metrics::actor_restarted(seed.shard);
        sleep(wait).await;
        wait = (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
        *handle.inner.post.write().unwrap_or_else(PoisonError::into_inner) = seed.spawn();
    }
}
