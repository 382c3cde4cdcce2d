//! State stores in memory that tell what was synced from what was not.
//!
//! A store's identity lies in a file of its folder on the simulated disk: a folder that is moved aside takes its store with
//! it, and an empty one is a new store.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_world::{Disk, IoFuture, OpenMode, StateBatch, StateStore, StateStores};

use super::disk::SimDisk;
use crate::{Crash, Dice};

/// The file that names a folder's store.
const IDENTITY: &str = "store";
const IDENTITY_BYTES: usize = 8;

/// A drive's failure, as the system numbers it.
const EIO: i32 = 5;

/// sled sends values above this to files that it never syncs.
const MAX_VALUE_BYTES: usize = 32 * 1_024;

type Trees = BTreeMap<String, BTreeMap<Vec<u8>, Bytes>>;

/// All stores that were ever opened on a drive, by their identity.
#[derive(Clone, Debug, Default)]
pub(super) struct Stores {
    stores: BTreeMap<u64, Store>,
}

#[derive(Clone, Debug, Default)]
struct Store {
    current: Trees,
    durable: Trees,
    unsynced: VecDeque<Write>,
    /// How many writes were ever taken from the front of `unsynced`.
    taken: u64,
}

#[derive(Clone, Debug)]
enum Write {
    Batch(String, StateBatch),
    RemoveTree(String),
}

fn apply(trees: &mut Trees, write: Write) {
    match write {
        Write::Batch(tree, batch) => {
            let tree = trees.entry(tree).or_default();
            for (key, value) in batch {
                match value {
                    Some(value) => tree.insert(key, value),
                    None => tree.remove(&key),
                };
            }
        }
        Write::RemoveTree(tree) => {
            trees.remove(&tree);
        }
    }
}

impl Store {
    /// The position in the writes that a sync beginning now covers.
    fn written(&self) -> u64 {
        self.taken + self.unsynced.len() as u64
    }

    /// Takes the writes up to a position: they become durable, or are forgotten.
    fn take(&mut self, covered: u64, durable: bool) {
        while self.taken < covered {
            let Some(write) = self.unsynced.pop_front() else { break };
            self.taken += 1;
            if durable {
                apply(&mut self.durable, write);
            }
        }
    }
}

impl Stores {
    pub(super) fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        for store in self.stores.values_mut() {
            if crash == Crash::PartialLoss {
                // The store's own log is read back up to its first hole.
                let kept = store.taken + dice.below(store.unsynced.len() as u64 + 1);
                store.take(kept, true);
            }
            store.take(u64::MAX, false);
            match crash {
                Crash::Kill => store.durable.clone_from(&store.current),
                Crash::PowerLoss | Crash::PartialLoss => store.current.clone_from(&store.durable),
            }
        }
    }

    /// Flips one bit of a drawn value, and says of which tree.
    pub(super) fn flip(&mut self, dice: &mut Dice) -> Option<String> {
        let places: Vec<(u64, String, Vec<u8>)> = self
            .stores
            .iter()
            .flat_map(|(id, store)| store.durable.iter().map(move |(name, tree)| (id, name, tree)))
            .flat_map(|(id, name, tree)| tree.keys().map(move |key| (*id, name.clone(), key.clone())))
            .collect();
        let (id, name, key) = places.get(dice.below(places.len() as u64) as usize)?;
        let store = self.stores.get_mut(id)?;
        let (place, bit) = (dice.next_u64() as usize, dice.below(8));
        for trees in [&mut store.current, &mut store.durable] {
            let Some(value) = trees.get_mut(name).and_then(|tree| tree.get_mut(key)) else { continue };
            let mut rotten = value.to_vec();
            let Some(byte) = place.checked_rem(rotten.len()).and_then(|at| rotten.get_mut(at)) else { continue };
            *byte ^= 1 << bit;
            *value = rotten.into();
        }
        Some(name.clone())
    }

    fn create(&mut self) -> u64 {
        let id = self.stores.len() as u64 + 1;
        self.stores.insert(id, Store::default());
        id
    }

    fn store(&mut self, id: u64) -> io::Result<&mut Store> {
        self.stores.get_mut(&id).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }
}

/// A read that failed, or ended early: a store has no ends of its own at which it could.
fn unanswered() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

/// The state stores as one process sees them.
#[derive(Debug)]
pub(super) struct SimStates {
    disk: SimDisk,
}

impl SimStates {
    pub(super) fn new(disk: SimDisk) -> Self {
        Self { disk }
    }

    async fn identity(&self, dir: &Path) -> io::Result<u64> {
        self.disk.create_dir_all(dir).await?;
        let path = dir.join(IDENTITY);
        let mut bytes = [0; IDENTITY_BYTES];
        if self.disk.exists(&path).await? {
            let file = self.disk.open(&path, OpenMode::Read).await?;
            let read = file.read_exact_at(&mut bytes, 0).await;
            if read.is_err() && file.len().await? >= IDENTITY_BYTES as u64 {
                return Err(unanswered());
            }
            read?;
            return Ok(u64::from_le_bytes(bytes));
        }
        let id = self.disk.drive().stores(Stores::create);
        let file = self.disk.open(&path, OpenMode::CreateNew).await?;
        file.write_all_at(&id.to_le_bytes(), 0).await?;
        file.sync_data().await?;
        self.disk.sync_dir(dir).await?;
        Ok(id)
    }
}

impl StateStores for SimStates {
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        Box::pin(async move {
            let id = self.identity(dir).await?;
            self.disk.drive().stores(|stores| stores.store(id).map(|_| ()))?;
            Ok(Arc::new(SimStore { disk: self.disk.clone(), id }) as Arc<dyn StateStore>)
        })
    }
}

#[derive(Debug)]
struct SimStore {
    disk: SimDisk,
    id: u64,
}

impl SimStore {
    fn act<'a, T: Send + 'a>(&'a self, work: impl FnOnce(&mut Store) -> T + Send + 'a) -> IoFuture<'a, T> {
        self.disk.act(move |drive| drive.stores(|stores| stores.store(self.id).map(work)))
    }

    fn read<'a, T: Send + 'a>(&'a self, work: impl FnOnce(&Store) -> T + Send + 'a) -> IoFuture<'a, T> {
        self.disk.act(move |drive| {
            drive.read().map_err(|_| unanswered())?;
            drive.stores(|stores| stores.store(self.id).map(|store| work(store)))
        })
    }

    fn take(&self, write: Write) -> IoFuture<'_, ()> {
        self.disk.act(move |drive| {
            drive.room()?;
            drive.stores(|stores| {
                let store = stores.store(self.id)?;
                apply(&mut store.current, write.clone());
                store.unsynced.push_back(write);
                Ok(())
            })
        })
    }
}

impl StateStore for SimStore {
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()> {
        if batch.iter().any(|(_, value)| value.as_ref().is_some_and(|value| value.len() > MAX_VALUE_BYTES)) {
            return Box::pin(async { Err(io::Error::from(io::ErrorKind::InvalidInput)) });
        }
        self.take(Write::Batch(tree.to_owned(), batch))
    }

    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>> {
        self.read(move |store| store.current.get(tree).and_then(|tree| tree.get(key)).cloned())
    }

    fn keys<'a>(&'a self, tree: &'a str, prefix: &'a [u8]) -> IoFuture<'a, Vec<Vec<u8>>> {
        self.read(move |store| {
            let keys = store.current.get(tree).into_iter().flat_map(|tree| tree.range(prefix.to_vec()..));
            keys.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(prefix)).collect()
        })
    }

    fn remove_tree<'a>(&'a self, tree: &'a str) -> IoFuture<'a, ()> {
        self.take(Write::RemoveTree(tree.to_owned()))
    }

    fn sync(&self) -> IoFuture<'_, ()> {
        Box::pin(async move {
            self.disk
                .sync(
                    "state store",
                    |drive| drive.stores(|stores| stores.store(self.id).map(|store| store.written())),
                    |drive, covered| {
                        let covered = covered?;
                        let failed = drive.sync_result("state store");
                        drive.stores(|stores| {
                            stores.store(self.id)?.take(covered, failed.is_ok());
                            failed
                        })
                    },
                )
                .await
        })
    }

    fn close(&self) -> IoFuture<'_, ()> {
        self.act(|_| ())
    }
}
