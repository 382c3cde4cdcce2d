//! The real state store: sled 0.34.7, with its known faults kept away from what we promise.
//!
//! sled answers "flushed" after `sync_file_range`, which does not survive a power loss, and its own flusher thread swallows
//! errors. So the flusher is off, and [`StateStore::sync`] flushes and then syncs sled's file by a descriptor of our own that
//! was opened before the first write. Values over a limit would go to blob files that sled never syncs: they are refused,
//! and that no blob file exists is checked at every sync. sled opens damaged files without a word; whoever reads from it
//! recomputes a digest.
//!
//! The head of each of sled's segments says up to where all before it is on the disk, and sled takes that from its own
//! `sync_file_range`. After a loss of power it believes the head, meets what was torn before it, and does not open: what had
//! been synced long before would be lost with it. So nothing is written while anything before it is not durable: writes take
//! turns, and each, of far less than a segment, is synced before the next.
//!
//! sled's threads may hold its file, and with it its lock, for a while after the last handle is gone. So closing waits until the
//! lock is free, and opening waits a while for the one who has it, and then says [`io::ErrorKind::WouldBlock`]: nothing is known of
//! what such a store holds.
//!
//! sled blocks, so its calls run on tokio's blocking threads.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::state_store::StateBatch;
use crate::{IoFuture, StateStore, StateStores};

/// Values may be this long: longer ones could become blob files.
const MAX_VALUE_BYTES: usize = 32 * 1_024;

/// With sled's default of 512 KiB, values of 8 KiB already left blob files.
const SEGMENT_BYTES: usize = 4 * 1_024 * 1_024;

/// What is written between two syncs: so many bytes and keys. Taking a key out may write the others of its page anew.
const WRITE_BYTES: usize = 512 * 1_024;
const WRITE_KEYS: usize = 64;

/// sled takes about ten times as much memory as its cache is given.
const CACHE_BYTES: u64 = 16 * 1_024 * 1_024;

/// How long opening and closing wait for sled's lock, and how often they look.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// Opens sled databases.
#[derive(Debug)]
pub struct SledStores;

impl StateStores for SledStores {
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        let dir = dir.to_owned();
        Box::pin(async move {
            let store = blocking(move || SledStore::open(&dir)).await?;
            Ok(Arc::new(store) as Arc<dyn StateStore>)
        })
    }
}

#[derive(Debug)]
struct SledStore {
    /// `None` once closed.
    open: Arc<Mutex<Option<Open>>>,
}

#[derive(Clone, Debug)]
struct Open {
    db: sled::Db,
    /// sled's one file of pages, opened before sled wrote to it first.
    pages: Arc<File>,
    dir: PathBuf,
    /// Held by whoever writes.
    writing: Arc<Mutex<()>>,
    /// Why a sync between two writes failed: no later one says what of them was lost.
    failed: Arc<OnceLock<String>>,
}

impl SledStore {
    fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        remove_half_made_snapshots(dir)?;
        let path = dir.join("db");
        let pages = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        wait_for_lock(&pages)?;
        let db = sled::Config::new()
            .path(dir)
            .flush_every_ms(None)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            .open()
            .map_err(io_error)?;
        // sled opens nothing without it, and writes it but never syncs it.
        File::open(dir.join("conf"))?.sync_all()?;
        sync_names(dir)?;
        let open =
            Open { db, pages: Arc::new(pages), dir: dir.to_owned(), writing: Arc::default(), failed: Arc::default() };
        Ok(Self { open: Arc::new(Mutex::new(Some(open))) })
    }

    fn opened(&self) -> io::Result<Open> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| io::Error::other("the state store is closed"))
    }

    fn with<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Open) -> io::Result<T> + Send + 'static,
    ) -> IoFuture<'a, T> {
        let opened = self.opened();
        Box::pin(async move {
            let open = opened?;
            blocking(move || work(&open)).await
        })
    }
}

impl Open {
    /// Makes durable what was written, before anything else is. A failure is told by the next [`StateStore::sync`], which is
    /// what a caller relies on.
    fn settle(&self) {
        let settled = self.db.flush().map_err(io_error).and_then(|_| self.pages.sync_data());
        if let Err(error) = settled {
            self.failed.get_or_init(|| error.to_string());
        }
    }
}

impl StateStore for SledStore {
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()> {
        let tree = tree.to_owned();
        self.with(move |open| {
            if let Some(value) =
                batch.iter().filter_map(|(_, value)| value.as_ref()).find(|it| it.len() > MAX_VALUE_BYTES)
            {
                let message = format!("a value of {} bytes, at most {MAX_VALUE_BYTES}", value.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            let _turn = open.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let tree = open.db.open_tree(tree).map_err(io_error)?;
            let (mut changes, mut keys, mut bytes) = (sled::Batch::default(), 0, 0);
            for (key, value) in batch {
                keys += 1;
                bytes += value.as_ref().map_or(0, Bytes::len);
                match value {
                    None => changes.remove(key),
                    Some(value) => changes.insert(key, value.as_ref()),
                }
                if keys >= WRITE_KEYS || bytes >= WRITE_BYTES {
                    tree.apply_batch(std::mem::take(&mut changes)).map_err(io_error)?;
                    open.settle();
                    (keys, bytes) = (0, 0);
                }
            }
            tree.apply_batch(changes).map_err(io_error)?;
            open.settle();
            Ok(())
        })
    }

    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>> {
        let (tree, key) = (tree.to_owned(), key.to_owned());
        self.with(move |open| {
            let tree = open.db.open_tree(tree).map_err(io_error)?;
            let value = tree.get(key).map_err(io_error)?;
            Ok(value.map(|value| Bytes::copy_from_slice(&value)))
        })
    }

    fn keys<'a>(&'a self, tree: &'a str, prefix: &'a [u8]) -> IoFuture<'a, Vec<Vec<u8>>> {
        let (tree, prefix) = (tree.to_owned(), prefix.to_owned());
        self.with(move |open| {
            let tree = open.db.open_tree(tree).map_err(io_error)?;
            tree.scan_prefix(prefix).keys().map(|key| key.map(|key| key.to_vec()).map_err(io_error)).collect()
        })
    }

    fn remove_tree<'a>(&'a self, tree: &'a str) -> IoFuture<'a, ()> {
        let tree = tree.to_owned();
        self.with(move |open| {
            let _turn = open.writing.lock().unwrap_or_else(PoisonError::into_inner);
            open.db.drop_tree(tree).map_err(io_error)?;
            open.settle();
            Ok(())
        })
    }

    fn sync(&self) -> IoFuture<'_, ()> {
        self.with(|open| {
            let _turn = open.writing.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = open.failed.get() {
                return Err(io::Error::other(format!("an earlier sync failed: {error}")));
            }
            open.db.flush().map_err(io_error)?;
            if !is_empty(&open.dir.join("blobs"))? {
                return Err(io::Error::other("sled has written a blob file, which it never syncs"));
            }
            open.pages.sync_all()?;
            sync_names(&open.dir)
        })
    }

    fn close(&self) -> IoFuture<'_, ()> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(blocking(move || {
            let Some(Open { db, pages, .. }) = open else { return Ok(()) };
            drop(db);
            wait_for_lock(&pages)
        }))
    }
}

/// A snapshot file that was being written when the process ended blocks opening for ever (spacejam/sled#1527); it is never
/// the live one.
fn remove_half_made_snapshots(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "generating") {
            tracing::warn!(path = %path.display(), "removed a half-made snapshot file of sled");
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Waits until nobody has sled's lock. It is not kept: sled takes it by a descriptor of its own.
fn wait_for_lock(pages: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match pages.try_lock() {
            Ok(()) => return pages.unlock(),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let message = format!("its lock is held by another process or handle, for {LOCK_PATIENCE:?} now");
                return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_empty(dir: &Path) -> io::Result<bool> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn sync_names(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn io_error(error: sled::Error) -> io::Error {
    match error {
        sled::Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::other("the state store's thread panicked or the runtime has ended")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn opened(dir: &Path) -> Arc<dyn StateStore> {
        SledStores.open(dir).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_synced_is_there_after_closing_and_opening() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path()).await;
        let batch = vec![(b"a1".to_vec(), Some(Bytes::from_static(b"one"))), (b"b1".to_vec(), Some(Bytes::new()))];
        store.write("shard-0", batch).await.unwrap();
        store.sync().await.unwrap();
        store.close().await.unwrap();
        drop(store);

        let store = opened(dir.path()).await;
        assert_eq!(store.get("shard-0", b"a1").await.unwrap().unwrap(), "one");
        assert_eq!(store.keys("shard-0", b"a").await.unwrap(), vec![b"a1".to_vec()]);
        store.write("shard-0", vec![(b"a1".to_vec(), None)]).await.unwrap();
        assert_eq!(store.get("shard-0", b"a1").await.unwrap(), None);
        store.remove_tree("shard-0").await.unwrap();
        assert_eq!(store.keys("shard-0", b"").await.unwrap(), Vec::<Vec<u8>>::new());
    }

    #[tokio::test]
    async fn values_that_could_become_blob_files_are_refused_and_the_largest_allowed_leave_none() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path()).await;
        let too_long = Bytes::from(vec![7; MAX_VALUE_BYTES + 1]);
        let refused = store.write("t", vec![(b"k".to_vec(), Some(too_long))]).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);

        for round in 0_u8..4 {
            let batch = (0_u8..64).map(|n| (vec![round, n], Some(Bytes::from(vec![n; MAX_VALUE_BYTES])))).collect();
            store.write("t", batch).await.unwrap();
        }
        store.sync().await.unwrap();
        assert_eq!(store.keys("t", b"").await.unwrap().len(), 256);
    }

    #[tokio::test]
    async fn a_half_made_snapshot_file_does_not_block_opening() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path()).await;
        store.write("t", vec![(b"k".to_vec(), Some(Bytes::from_static(b"v")))]).await.unwrap();
        store.sync().await.unwrap();
        store.close().await.unwrap();
        drop(store);
        std::fs::write(dir.path().join("snap.0000000000000001.generating"), b"half").unwrap();
        let store = opened(dir.path()).await;
        assert_eq!(store.get("t", b"k").await.unwrap().unwrap(), "v");
    }

    #[tokio::test]
    async fn a_store_that_was_closed_opens_again_at_once() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0_u8..100 {
            let store = opened(dir.path()).await;
            for key in 0_u8..8 {
                let batch = vec![(vec![round, key], Some(Bytes::from(vec![round; MAX_VALUE_BYTES])))];
                store.write("t", batch).await.unwrap();
            }
            store.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_store_that_someone_else_has_is_not_opened_and_not_taken_for_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path()).await;
        let refused = SledStores.open(dir.path()).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        store.close().await.unwrap();
        opened(dir.path()).await;
    }

    #[tokio::test]
    async fn a_closed_store_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened(dir.path()).await;
        store.close().await.unwrap();
        assert!(store.get("t", b"k").await.is_err());
    }
}
