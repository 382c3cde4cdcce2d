//! A disk that fails while a node starts: a sync of its folder, or the opening of its state store.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_inventory::Limits;
use holdfast_world::{Disk, DiskFile, IoFuture, OpenMode, World};
use tokio::time::Instant;

use super::troubled_stores::{Trouble, troubled};
use crate::host::{Group, Host, HostError, HostOptions};
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

    fn free_bytes<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, u64> {
        self.real.free_bytes(dir)
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

const EIO: i32 = 5;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// One store is refused once, and in another one a tree cannot be read.
#[derive(Debug, Default)]
struct Unreadable {
    /// The folder whose store is refused, and the system's code for why.
    refused: Option<(&'static str, i32)>,
    has_refused: AtomicBool,
    /// The tree that is rotten in the folder `state`.
    rotten: Option<&'static str>,
}

impl Trouble for Unreadable {
    fn open(&self, dir: &Path) -> io::Result<()> {
        match self.refused {
            Some((name, code)) if dir.ends_with(name) && !self.has_refused.swap(true, Ordering::Relaxed) => {
                Err(io::Error::from_raw_os_error(code))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, dir: &Path, tree: &str, _key: &[u8], value: Option<Bytes>) -> io::Result<Option<Bytes>> {
        if self.rotten == Some(tree) && dir.ends_with("state") {
            Err(io::ErrorKind::InvalidData.into())
        } else {
            Ok(value)
        }
    }
}

fn unreadable(refused: Option<(&'static str, i32)>, rotten: Option<&'static str>) -> World {
    troubled(&Arc::new(Unreadable { refused, rotten, ..Unreadable::default() }))
}

/// A folder in which two groups have a checkpoint; gives how far the first one is.
async fn with_checkpoints(dir: &Path) -> u64 {
    let host = Host::open(World::real(), options(dir)).await.unwrap();
    let mut applied = 0;
    for shard in [1, 0] {
        let group = start(&host, shard).await;
        group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        group.wait_applied(1, deadline).await.expect("the group applies its first entries");
        applied = group.checkpoint(0, deadline).await.unwrap();
        assert!(applied > 0);
    }
    host.stop().await;
    applied
}

async fn start(host: &Host, shard: u32) -> Group {
    host.start_group(GroupId::of_shard(shard), MachineKind::Shard(Limits::default())).await.unwrap()
}

fn set_aside(host: &Host) -> usize {
    host.warnings().iter().filter(|warning| warning.contains("set aside")).count()
}

#[tokio::test]
async fn a_node_whose_state_store_does_not_open_starts_with_an_empty_one_to_be_filled() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    with_checkpoints(&dir).await;
    let world = unreadable(Some(("state", EINVAL)), None);
    let host = Host::open(world, options(&dir)).await.unwrap();
    assert_eq!(set_aside(&host), 1, "{:?}", host.warnings());
    host.stop().await;
}

#[tokio::test]
async fn a_drive_that_is_full_or_does_not_answer_keeps_a_node_from_its_start_and_takes_nothing_from_its_state() {
    for code in [ENOSPC, EIO, EMFILE, EACCES] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("node");
        let applied = with_checkpoints(&dir).await;
        let refused = Host::open(unreadable(Some(("state", code)), None), options(&dir)).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("(os error {code}); mend what the machine lacks")), "{refused}");
        let host = Host::open(World::real(), options(&dir)).await.unwrap();
        assert_eq!((set_aside(&host), host.damage()), (0, Vec::new()), "{:?}", host.warnings());
        assert!(start(&host, 0).await.applied_index() >= applied);
        host.stop().await;
    }
}

#[tokio::test]
async fn what_can_be_read_of_a_damaged_store_is_kept_whenever_the_start_ends() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("node");
    let applied = with_checkpoints(&dir).await;
    let rotten = Some("group-2");
    // There is no room for the other store.
    let world = unreadable(Some(("state.rebuilt", ENOSPC)), rotten);
    Host::open(world, options(&dir)).await.unwrap_err();
    let host = Host::open(unreadable(None, rotten), options(&dir)).await.unwrap();
    assert_eq!(set_aside(&host), 1, "{:?}", host.warnings());
    let lost: Vec<String> = host.warnings().into_iter().filter(|warning| warning.contains("checkpoint of")).collect();
    assert!(lost.len() == 1 && lost[0].contains("checkpoint of 2"), "{lost:?}");
    assert!(start(&host, 0).await.applied_index() >= applied);
    host.stop().await;
    // The same when it ends between the two renames.
    std::fs::rename(dir.join("state"), dir.join("state.rebuilt")).unwrap();
    let host = Host::open(World::real(), options(&dir)).await.unwrap();
    assert!(start(&host, 0).await.applied_index() >= applied);
    host.stop().await;
}
