//! A state store that takes nothing for a while, as on a full disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use holdfast_inventory::Limits;
use holdfast_world::{IoFuture, StateBatch, StateStore, StateStores, World};
use tokio::time::Instant;

use crate::eventually::{PATIENCE, eventually};
use crate::host::{Host, HostOptions};
use crate::machine::MachineKind;
use crate::types::GroupId;

/// Real stores, whose disk is full when it is said.
#[derive(Debug)]
struct FullStores {
    real: Arc<dyn StateStores>,
    disk: Arc<FullDisk>,
}

#[derive(Debug, Default)]
struct FullDisk {
    is_full: AtomicBool,
    refused: AtomicU32,
}

#[derive(Debug)]
struct FullStore {
    real: Arc<dyn StateStore>,
    disk: Arc<FullDisk>,
}

impl StateStores for FullStores {
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        Box::pin(async move {
            let store = FullStore { real: self.real.open(dir).await?, disk: self.disk.clone() };
            Ok(Arc::new(store) as Arc<dyn StateStore>)
        })
    }
}

impl StateStore for FullStore {
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()> {
        if self.disk.is_full.load(Ordering::Relaxed) {
            self.disk.refused.fetch_add(1, Ordering::Relaxed);
            return Box::pin(std::future::ready(Err(io::Error::from(io::ErrorKind::StorageFull))));
        }
        self.real.write(tree, batch)
    }

    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>> {
        self.real.get(tree, key)
    }

    fn keys<'a>(&'a self, tree: &'a str, prefix: &'a [u8]) -> IoFuture<'a, Vec<Vec<u8>>> {
        self.real.keys(tree, prefix)
    }

    fn remove_tree<'a>(&'a self, tree: &'a str) -> IoFuture<'a, ()> {
        self.real.remove_tree(tree)
    }

    fn sync(&self) -> IoFuture<'_, ()> {
        self.real.sync()
    }

    fn close(&self) -> IoFuture<'_, ()> {
        self.real.close()
    }
}

#[tokio::test]
async fn a_group_outlives_a_full_disk_before_its_first_checkpoint_and_takes_it_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FullDisk::default());
    let real = World::real();
    let stores = FullStores { real: real.states.clone(), disk: disk.clone() };
    let world = World { states: Arc::new(stores), ..real };
    let mut options = HostOptions::new(1, "test", folder.path().join("node"));
    options.log.segment_bytes = 1 << 20;
    let host = Host::open(world, options).await.unwrap();
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
