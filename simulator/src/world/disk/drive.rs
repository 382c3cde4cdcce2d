//! The drive of one host: what outlives its processes, and where its failures are set.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::milliseconds;
use super::tree::{InodeId, Tree};
use super::troubles::{ReadFailure, Troubles};
use crate::world::states::Stores;
use crate::{Crash, Dice};

/// A host's drive.
#[derive(Debug)]
pub struct SimDrive {
    tree: Mutex<Tree>,
    stores: Mutex<Stores>,
    dice: Mutex<Dice>,
    syncs_begun: AtomicU64,
    writes_begun: AtomicU64,
    troubles: Troubles,
    locks: Locks,
    locks_taken: AtomicU64,
}

/// The locked folders, each with the number of its lock.
type Locks = Arc<Mutex<BTreeMap<InodeId, u64>>>;

impl SimDrive {
    pub(crate) fn new(dice: Dice) -> Self {
        Self {
            tree: Mutex::new(Tree::new()),
            stores: Mutex::new(Stores::default()),
            dice: Mutex::new(dice),
            syncs_begun: AtomicU64::new(0),
            writes_begun: AtomicU64::new(0),
            troubles: Troubles::none(),
            locks: Locks::default(),
            locks_taken: AtomicU64::new(0),
        }
    }

    /// Lets the `nth` sync from now (1: the next to end) fail with EIO. The one after it succeeds again.
    pub fn fail_sync(&self, nth: u64) {
        self.troubles.fail_sync(nth);
    }

    /// Lets the `nth` read from now (1: the next) fail.
    pub fn fail_read(&self, nth: u64, failure: ReadFailure) {
        self.troubles.fail_read(nth, failure);
    }

    /// Fills the drive, or makes room again: on a full one nothing new is created and no file grows, with ENOSPC.
    pub fn set_full(&self, is_full: bool) {
        self.troubles.set_full(is_full);
    }

    /// Sets how long syncs take from now on, in milliseconds.
    pub fn set_sync_ms(&self, least: u64, most: u64) {
        self.troubles.set_sync_ms(least, most);
    }

    /// Takes the machine down in the `nth` operation of its process from now (1: the next), which is not done any more.
    pub fn crash_in(&self, nth: u64, crash: Crash) {
        self.troubles.crash_in(nth, crash);
    }

    /// Ends everything that was set to go wrong.
    pub fn heal(&self) {
        self.troubles.heal();
    }

    /// How many syncs have ended, failed ones included.
    #[must_use]
    pub fn syncs_ended(&self) -> u64 {
        self.troubles.syncs_ended()
    }

    /// How many syncs have failed.
    #[must_use]
    pub fn syncs_failed(&self) -> u64 {
        self.troubles.syncs_failed()
    }

    /// How often a process has begun a sync of the very thing whose sync had failed to it: nobody may.
    #[must_use]
    pub fn syncs_retried(&self) -> u64 {
        self.troubles.syncs_retried()
    }

    pub(crate) fn crash(&self, crash: Crash) {
        let mut dice = self.dice.lock().expect("no panic happens while dice are locked");
        self.tree(|tree| tree.crash(crash, &mut dice));
        self.stores(|stores| stores.crash(crash, &mut dice));
    }

    /// How the machine went down in an operation of the process that has just ended, if it did.
    pub(crate) fn take_crash(&self) -> Option<Crash> {
        self.troubles.take_crash()
    }

    pub(super) fn troubles(&self) -> &Troubles {
        &self.troubles
    }

    pub(in crate::world) fn room(&self) -> io::Result<()> {
        self.troubles.room()
    }

    pub(in crate::world) fn read(&self) -> io::Result<()> {
        self.troubles.read()
    }

    /// Frees the locks of a process that has died.
    pub(crate) fn release_locks(&self) {
        self.locks.lock().expect("no panic happens while the locks are locked").clear();
        self.troubles.process_ended();
    }

    pub(super) fn tree<T>(&self, work: impl FnOnce(&mut Tree) -> T) -> T {
        work(&mut self.tree.lock().expect("no panic happens while the tree is locked"))
    }

    pub(in crate::world) fn stores<T>(&self, work: impl FnOnce(&mut Stores) -> T) -> T {
        work(&mut self.stores.lock().expect("no panic happens while the stores are locked"))
    }

    /// The number of a sync and how long it takes.
    pub(super) fn begin_sync(&self, what: &str) -> (u64, Duration) {
        let (least, most) = self.troubles.begin_sync(what);
        let number = self.syncs_begun.fetch_add(1, Ordering::Relaxed) + 1;
        let drawn = self.dice.lock().expect("no panic happens while dice are locked").between(least, most);
        (number, milliseconds(drawn))
    }

    /// The number of a write.
    pub(super) fn next_write(&self) -> u64 {
        self.writes_begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Ends a sync: whether it is one that fails.
    pub(in crate::world) fn sync_result(&self, what: &str) -> io::Result<()> {
        self.troubles.end_sync(what)
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
