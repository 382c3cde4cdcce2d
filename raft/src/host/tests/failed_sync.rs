//! A disk that fails to sync a folder while a node starts.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_world::{Disk, DiskFile, IoFuture, OpenMode, World};

use crate::host::{Host, HostError, HostOptions};

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

#[tokio::test]
async fn a_start_in_which_a_sync_of_the_nodes_folder_fails_ends_there_and_syncs_it_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let options = || {
        let mut options = HostOptions::new(1, "test", dir.clone());
        options.log.segment_bytes = 1 << 20;
        options
    };
    Host::open(World::real(), options()).await.unwrap().stop().await;
    let mut failures = 0;
    for nth in 0.. {
        let real = World::real();
        let disk = Arc::new(FailingDisk { real: real.disk.clone(), folder: dir.clone(), left: AtomicI64::new(nth) });
        let opened = Host::open(World { disk: disk.clone(), ..real }, options()).await;
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
