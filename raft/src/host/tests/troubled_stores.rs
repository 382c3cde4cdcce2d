//! Real state stores that a test troubles: each of its own overrides what it troubles, and all else goes through.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use holdfast_world::{IoFuture, StateBatch, StateStore, StateStores, World};

/// What befalls the stores.
pub(super) trait Trouble: Debug + Send + Sync + 'static {
    /// Before the store of a folder is opened.
    fn open(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Before something is written to the store of a folder.
    fn write<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What is read in the place of a value.
    fn read(&self, _dir: &Path, _tree: &str, _key: &[u8], value: Option<Bytes>) -> io::Result<Option<Bytes>> {
        Ok(value)
    }
}

/// The real world, with troubled stores.
pub(super) fn troubled<T: Trouble>(trouble: &Arc<T>) -> World {
    let real = World::real();
    World { states: Arc::new(Stores { real: real.states.clone(), trouble: trouble.clone() }), ..real }
}

#[derive(Debug)]
struct Stores<T> {
    real: Arc<dyn StateStores>,
    trouble: Arc<T>,
}

#[derive(Debug)]
struct Store<T> {
    real: Arc<dyn StateStore>,
    dir: PathBuf,
    trouble: Arc<T>,
}

impl<T: Trouble> StateStores for Stores<T> {
    fn open<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Arc<dyn StateStore>> {
        Box::pin(async move {
            self.trouble.open(dir)?;
            let (real, dir) = (self.real.open(dir).await?, dir.to_owned());
            Ok(Arc::new(Store { real, dir, trouble: self.trouble.clone() }) as Arc<dyn StateStore>)
        })
    }
}

impl<T: Trouble> StateStore for Store<T> {
    fn write<'a>(&'a self, tree: &'a str, batch: StateBatch) -> IoFuture<'a, ()> {
        Box::pin(async move {
            self.trouble.write(&self.dir).await?;
            self.real.write(tree, batch).await
        })
    }

    fn get<'a>(&'a self, tree: &'a str, key: &'a [u8]) -> IoFuture<'a, Option<Bytes>> {
        Box::pin(async move { self.trouble.read(&self.dir, tree, key, self.real.get(tree, key).await?) })
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
