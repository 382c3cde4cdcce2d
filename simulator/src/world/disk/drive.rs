//! The drive of one host: what outlives its processes, and where its failures are set.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::tree::{InodeId, Tree};
use super::{SYNC_MS, milliseconds};
use crate::world::states::Stores;
use crate::{Crash, Dice};

/// `EIO`, as Linux numbers it.
const EIO: i32 = 5;

/// A host's drive.
#[derive(Debug)]
pub struct SimDrive {
    tree: Mutex<Tree>,
    stores: Mutex<Stores>,
    syncs: Mutex<Syncs>,
    locks: Locks,
    locks_taken: AtomicU64,
}

/// The locked folders, each with the number of its lock.
type Locks = Arc<Mutex<BTreeMap<InodeId, u64>>>;

#[derive(Debug)]
struct Syncs {
    dice: Dice,
    begun: u64,
    ended: u64,
    fail_at: Option<u64>,
}

impl SimDrive {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            tree: Mutex::new(Tree::new()),
            stores: Mutex::new(Stores::default()),
            syncs: Mutex::new(Syncs { dice, begun: 0, ended: 0, fail_at: None }),
            locks: Locks::default(),
            locks_taken: AtomicU64::new(0),
        }
    }

    /// Lets the `nth` sync from now (1: the next to end) fail with EIO.
    pub fn fail_sync(&self, nth: u64) {
        let mut syncs = self.syncs();
        syncs.fail_at = Some(syncs.ended + nth);
    }

    /// How many syncs have ended, failed ones included.
    #[must_use]
    pub fn syncs_ended(&self) -> u64 {
        self.syncs().ended
    }

    pub(crate) fn crash(&self, crash: Crash) {
        self.tree(|tree| tree.crash(crash));
        self.stores(|stores| stores.crash(crash));
    }

    /// Frees the locks of a process that has died.
    pub(crate) fn release_locks(&self) {
        self.locks.lock().expect("no panic happens while the locks are locked").clear();
    }

    pub(super) fn tree<T>(&self, work: impl FnOnce(&mut Tree) -> T) -> T {
        work(&mut self.tree.lock().expect("no panic happens while the tree is locked"))
    }

    pub(in crate::world) fn stores<T>(&self, work: impl FnOnce(&mut Stores) -> T) -> T {
        work(&mut self.stores.lock().expect("no panic happens while the stores are locked"))
    }

    fn syncs(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().expect("no panic happens while the syncs are locked")
    }

    /// The number of a sync and how long it takes.
    pub(super) fn begin_sync(&self) -> (u64, Duration) {
        let mut syncs = self.syncs();
        syncs.begun += 1;
        let time = milliseconds(syncs.dice.between(SYNC_MS.0, SYNC_MS.1));
        (syncs.begun, time)
    }

    /// Ends a sync: whether it is one that fails.
    pub(in crate::world) fn sync_result(&self) -> io::Result<()> {
        let mut syncs = self.syncs();
        syncs.ended += 1;
        if syncs.fail_at == Some(syncs.ended) { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    pub(super) fn lock(&self, folder: InodeId) -> io::Result<FolderLock> {
        let mut locks = self.locks.lock().expect("no panic happens while the locks are locked");
        if locks.contains_key(&folder) {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        let number = self.locks_taken.fetch_add(1, Ordering::Relaxed);
        locks.insert(folder, number);
        Ok(FolderLock { folder, number, locks: self.locks.clone() })
    }
}

/// The lock of a folder; dropping it frees the folder.
#[derive(Debug)]
pub(super) struct FolderLock {
    folder: InodeId,
    number: u64,
    locks: Locks,
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        let mut locks = self.locks.lock().expect("no panic happens while the locks are locked");
        // A dead process's lock may be dropped late, when the folder is another's.
        if locks.get(&self.folder) == Some(&self.number) {
            locks.remove(&self.folder);
        }
    }
}
