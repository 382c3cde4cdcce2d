//! Watches how much room is left on the disk of this node's data.
//!
//! Responsible for saying, before anything is proposed, that there is too little: a log that meets the end of its disk ends the node,
//! and where nodes fill up alike it ends them all. Promises to look every second, and to warn once each time that it changes. What is
//! decided of begun reservations over several shards goes on: it ends them, and needs little.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{CommandError, ErrorReason};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::core::Core;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When to ask again.
const RETRY_MS: u32 = 1_000;

/// Looks until the node stops.
pub(crate) async fn watch_room(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    loop {
        look(&core).await;
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

async fn look(core: &Core) {
    let least = core.config.limits.min_free_bytes;
    // Where nobody can tell, the log finds out.
    let Ok(free) = core.world.disk.free_bytes(&core.config.node_dir()).await else { return };
    let is_short = free < least;
    let changed = core.lacks_room.send_if_modified(|lacks| std::mem::replace(lacks, is_short) != is_short);
    match (changed, is_short) {
        (true, true) => tracing::warn!(free, least, "the disk is nearly full: nothing is written until there is room"),
        (true, false) => tracing::info!(free, least, "the disk has room again"),
        (false, _) => {}
    }
}

/// The error of what is not proposed, where the disk has too little room.
///
/// # Errors
///
/// `STORAGE_FULL`.
pub(crate) fn check_room(core: &Core) -> Result<(), CommandError> {
    if !*core.lacks_room.borrow() {
        return Ok(());
    }
    let (node, least) = (core.config.node_id, core.config.limits.min_free_bytes);
    let message = format!(
        "the disk of node {node} has less than {least} bytes left (limits.min_free_bytes): make room, then ask again"
    );
    Err(CommandError::of(ErrorReason::StorageFull, message).with("node", node).after_ms(RETRY_MS))
}
