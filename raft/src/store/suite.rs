//! openraft's own storage suite, over the real log, control file, sled and machine.

use std::sync::Arc;

use holdfast_inventory::Limits;
use holdfast_world::World;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{Changes, LogStore, MachineStore};
use crate::change_log::ChangeLogOptions;
use crate::checkpoint::Checkpoints;
use crate::control::Control;
use crate::log::{GroupId, Log, LogOptions};
use crate::machine::MachineKind;
use crate::stages::Stages;
use crate::types::Types;

struct Builder;

impl StoreBuilder<Types, LogStore, MachineStore, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, MachineStore), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let world = World::real();
        let group = GroupId(1);
        let control = Control::create(&world, dir.path(), 1, 0).await.unwrap();
        control.begin_incarnation().await.unwrap();
        let options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
        let (log, _) = Log::open(&world, &dir.path().join("log"), options, &control).await.unwrap();
        let store = world.states.open(&dir.path().join("state")).await.unwrap();
        let checkpoints = Arc::new(Checkpoints::new(&world, group, store, &control, &log));
        let kind = MachineKind::Shard(Limits::default());
        let machine = checkpoints.load(&kind).await.unwrap();
        let changes_dir = dir.path().join("changes");
        let changes =
            Changes::open(&world, changes_dir, group, 1, ChangeLogOptions::default(), machine.history()).await.unwrap();
        let machine =
            MachineStore::new(&world, group, kind, machine, checkpoints, Some(changes), Stages::default()).unwrap();
        Ok((dir, LogStore::new(log, group), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_own_suite_passes_on_our_stores() {
    Suite::test_all(Builder).await.unwrap();
}
