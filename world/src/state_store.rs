//! The embedded store that holds checkpoints of the shards' states: keys and values in named trees.
//!
//! It is not believed: whoever reads it recomputes a digest (see `holdfast-raft`). It only has to be durable after
//! [`StateStore::sync`].

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::IoFuture;

/// Writes to one tree: each key with its new value, or `None` to remove it. Applied in order.
pub type StateBatch = Vec<(Vec<u8>, Option<Bytes>)>;

/// Opens state stores.
pub trait StateStores: Send + Sync + Debug {
    /// Opens the store in a folder, creating it if the folder is missing or empty. Damage may go unseen, or be an error.
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>>;
}

/// What a world built without a store answers.
#[cfg(not(feature = "sled"))]
#[derive(Debug)]
pub(crate) struct NoStores;

#[cfg(not(feature = "sled"))]
impl StateStores for NoStores {
    fn open<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, "built without a state store: feature `sled`");
        Box::pin(std::future::ready(Err(error)))
    }
}

/// One open store. Values are at most 32 KiB.
pub trait StateStore: Send + Sync + Debug {
    /// Applies a batch to a tree. Durable only after [`StateStore::sync`].
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()>;
    /// The value of a key.
    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>>;
    /// The keys of a tree that start with `prefix`, in order.
    fn keys<'a>(&'a self, tree: &'a str, prefix: &'a [u8]) -> IoFuture<'a, Vec<Vec<u8>>>;
    /// Removes a whole tree.
    fn remove_tree<'a>(&'a self, tree: &'a str) -> IoFuture<'a, ()>;
    /// Makes everything written so far durable: flush, then fsync of the store's own files.
    fn sync(&self) -> IoFuture<'_, ()>;
    /// Closes the store: waits for its threads and lets go of its files, so that its folder may be moved aside.
    fn close(&self) -> IoFuture<'_, ()>;
}
