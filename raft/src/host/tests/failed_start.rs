//! A disk that fails while a node starts: a sync of its folder, or the opening of its state store.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use holdfast_inventory::Limits;
use holdfast_world::{Disk, DiskFile, IoFuture, OpenMode, StateStore, StateStores, World};
use tokio::time::Instant;

use crate::host::{Host, HostError, HostOptions};
use crate::machine::MachineKind;
use crate::types::GroupId;

/// A real disk whose nth sync of one folder fails.
#[derive(Debug)]
struct FailingDisk {
    real: Arc<dyn Disk>,
    folder: PathBuf,
    /// Syncs of the folder until the one that fails; below zero: after it.
    left: AtomicI64,
}

impl Disk for FailingDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.real.create_dir_all(path)
    }

    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>> {
        self.real.open(path, mode)
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
        if dir == self.folder && self.left.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Box::pin(std::future::ready(Err(io::Error::other("this sync fails"))));
        }
        self.real.sync_dir(dir)
    }

    fn lock_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Box<dyn Any + Send + Sync>> {
        self.real.lock_dir(dir)
    }
}

fn options(dir: &Path) -> HostOptions {
    let mut options = HostOptions::new(1, "test", dir.to_owned());
    options.log.segment_bytes = 1 << 20;
    options
}

#[tokio::test]
async fn a_start_in_which_a_sync_of_the_nodes_folder_fails_ends_there_and_syncs_it_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    Host::open(World::real(), options(&dir)).await.unwrap().stop().await;
    let mut failures = 0;
    for nth in 0.. {
        let real = World::real();
        let disk = Arc::new(FailingDisk { real: real.disk.clone(), folder: dir.clone(), left: AtomicI64::new(nth) });
        let opened = Host::open(World { disk: disk.clone(), ..real }, options(&dir)).await;
        if disk.left.load(Ordering::Relaxed) >= 0 {
            // A start syncs the folder no more often than this.
            opened.unwrap().stop().await;
            break;
        }
        assert!(matches!(opened, Err(HostError::Io { .. })), "sync {nth}: {opened:?}");
        assert_eq!(disk.left.load(Ordering::Relaxed), -1, "sync {nth} failed, and the folder was synced again");
        failures += 1;
    }
    assert!(failures > 0, "a start syncs the node's folder");
}

/// Real stores, the first of which does not open.
#[derive(Debug)]
struct FailingStores {
    real: Arc<dyn StateStores>,
    has_failed: AtomicBool,
}

impl StateStores for FailingStores {
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(io::Error::other("this store does not open"))));
        }
        self.real.open(dir)
    }
}

#[tokio::test]
async fn a_node_whose_state_store_does_not_open_starts_with_an_empty_one_to_be_filled() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let host = Host::open(World::real(), options(&dir)).await.unwrap();
    let group = host.start_group(GroupId::of_shard(0), MachineKind::Shard(Limits::default())).await.unwrap();
    group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    group.wait_applied(1, deadline).await.expect("the group applies its first entries");
    assert!(group.checkpoint(0, deadline).await.unwrap() > 0);
    drop(group);
    host.stop().await;
    let real = World::real();
    let stores = FailingStores { real: real.states.clone(), has_failed: AtomicBool::new(false) };
    let host = Host::open(World { states: Arc::new(stores), ..real }, options(&dir)).await.unwrap();
    let aside = host.warnings().iter().filter(|warning| warning.contains("set aside")).count();
    assert_eq!(aside, 1, "{:?}", host.warnings());
    host.stop().await;
}
