//! A state store that takes nothing for a while, as on a full disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use holdfast_inventory::Limits;
use holdfast_world::IoFuture;
use tokio::time::Instant;

use super::troubled_stores::{Trouble, troubled};
use crate::eventually::{PATIENCE, eventually};
use crate::host::{Host, HostOptions};
use crate::machine::MachineKind;
use crate::types::GroupId;

/// A disk that is full when it is said.
#[derive(Debug, Default)]
struct FullDisk {
    is_full: AtomicBool,
    refused: AtomicU32,
}

impl Trouble for FullDisk {
    fn write<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, ()> {
        let is_full = self.is_full.load(Ordering::Relaxed);
        self.refused.fetch_add(u32::from(is_full), Ordering::Relaxed);
        Box::pin(std::future::ready(if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }))
    }
}

#[tokio::test]
async fn a_group_outlives_a_full_disk_before_its_first_checkpoint_and_takes_it_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FullDisk::default());
    let mut options = HostOptions::new(1, "test", folder.path().join("node"));
    options.log.segment_bytes = 1 << 20;
    let host = Host::open(troubled(&disk), options).await.unwrap();
    let group = host.start_group(GroupId::of_shard(0), MachineKind::Shard(Limits::default())).await.unwrap();
    group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    group.wait_applied(1, deadline).await.expect("the group applies its first entries");
    disk.is_full.store(true, Ordering::Relaxed);
    let asked = group.clone();
    let taken = tokio::spawn(async move { asked.checkpoint(0, Instant::now() + PATIENCE).await });
    eventually("a checkpoint is tried", || disk.refused.load(Ordering::Relaxed) > 0).await;
    disk.is_full.store(false, Ordering::Relaxed);
    assert!(taken.await.unwrap().expect("the group lives, and the checkpoint is taken") > 0);
    assert!(group.read_index().await.is_ok());
    host.stop().await;
}
