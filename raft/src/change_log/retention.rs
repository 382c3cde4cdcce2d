//! Which files are kept.

use std::io;
use std::path::Path;

use holdfast_world::World;

use super::Shared;
use super::format::{file_path, first_seq_of};

/// Deletes the oldest files while there are more bytes than retention allows; never the last one, nor what is not synced.
pub(super) async fn enforce(shared: &Shared) {
    loop {
        let oldest = {
            let mut state = shared.lock();
            let total: u64 = state.files.values().map(|file| file.len).sum();
            let firsts: Vec<u64> = state.files.keys().copied().take(2).collect();
            let [oldest, next] = firsts[..] else { return };
            if total <= shared.options.retention_bytes || next > state.synced_through {
                return;
            }
            state.files.remove(&oldest);
            oldest
        };
        // A reader that holds the file goes on reading it.
        let removed = shared.world.disk.remove_file(&file_path(&shared.dir, oldest)).await;
        shared.or_end("deleted an old change log file", removed).await;
    }
}

/// Gives the files in `dir` names under which they are not found, and deletes what was set aside before.
pub(super) async fn set_aside(world: &World, dir: &Path) -> io::Result<()> {
    for path in world.disk.list(dir).await? {
        if path.extension().is_some_and(|extension| extension == "aside") {
            world.disk.remove_file(&path).await?;
        }
    }
    for path in world.disk.list(dir).await? {
        if first_seq_of(&path).is_some() {
            world.disk.rename(&path, &path.with_extension("aside")).await?;
        }
    }
    world.disk.sync_dir(dir).await
}
