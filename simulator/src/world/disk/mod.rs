//! A disk in memory that tells what was synced from what was not.
//!
//! A [`SimDrive`] belongs to a host and outlives its processes; each process has a [`SimDisk`] on it, which does nothing
//! any more once the process is dead. Writes and reads take no simulated time, syncs do.

mod content;
mod drive;
mod harm;
mod tree;
mod troubles;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdfast_world::{Disk, DiskFile, IoFuture, OpenMode};

pub use drive::SimDrive;
pub use harm::{DriveCopy, FileCopy};
pub use troubles::ReadFailure;

use super::{Death, Life};
use crate::Trace;
use tree::InodeId;

/// The disk as one process sees it.
#[derive(Clone, Debug)]
pub(super) struct SimDisk {
    drive: Arc<SimDrive>,
    life: Arc<Life>,
    trace: Arc<Trace>,
}

impl SimDisk {
    pub(super) fn new(drive: Arc<SimDrive>, life: Arc<Life>, trace: Arc<Trace>) -> Self {
        Self { drive, life, trace }
    }

    pub(super) fn drive(&self) -> &Arc<SimDrive> {
        &self.drive
    }

    /// Does some work on the drive, unless the process is dead.
    pub(super) fn act<'a, T: Send + 'a>(
        &'a self,
        work: impl FnOnce(&SimDrive) -> io::Result<T> + Send + 'a,
    ) -> IoFuture<'a, T> {
        Box::pin(async move {
            self.begin().await;
            work(&self.drive)
        })
    }

    /// Returns when an operation may be done: never in a process that is dead, or whose machine goes down in it.
    async fn begin(&self) {
        self.life.goes_on().await;
        if self.drive.troubles().goes_down() {
            self.life.die(Death::Crashed);
            self.life.goes_on().await;
        }
    }

    /// A sync: what `work` covers is fixed at its start, and is durable when its time has passed.
    pub(super) async fn sync<T>(
        &self,
        what: &str,
        covered: impl FnOnce(&SimDrive) -> T,
        work: impl FnOnce(&SimDrive, T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin().await;
        let covers = covered(&self.drive);
        let (number, time) = self.drive.begin_sync(what);
        tokio::time::sleep(time).await;
        self.life.goes_on().await;
        let result = work(&self.drive, covers);
        let outcome = if result.is_ok() { "" } else { " fails" };
        self.trace.record(self.life.now(), self.life.host(), format_args!("sync {number} of {what}{outcome}"));
        result
    }
}

/// The time of one sync in milliseconds, as drawn.
fn milliseconds(drawn: u64) -> Duration {
    Duration::from_millis(drawn)
}

impl Disk for SimDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.act(move |drive| {
            drive.tree(|tree| match tree.exists(path) {
                true => Ok(()),
                false => drive.room().and_then(|()| tree.create_dir_all(path)),
            })
        })
    }

    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>> {
        self.act(move |drive| {
            let inode = drive.tree(|tree| match mode {
                OpenMode::Read | OpenMode::ReadWrite => tree.file(path),
                OpenMode::CreateNew => drive.room().and_then(|()| tree.create_file(path)),
            })?;
            let writable = mode != OpenMode::Read;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(Arc::new(SimFile { disk: self.clone(), inode, writable, name }) as Arc<dyn DiskFile>)
        })
    }

    fn list<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Vec<PathBuf>> {
        self.act(move |drive| drive.tree(|tree| tree.list(dir)))
    }

    fn exists<'a>(&'a self, path: &'a Path) -> IoFuture<'a, bool> {
        self.act(move |drive| drive.tree(|tree| Ok(tree.exists(path))))
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> IoFuture<'a, ()> {
        self.act(move |drive| drive.tree(|tree| tree.rename(from, to)))
    }

    fn remove_file<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.act(move |drive| drive.tree(|tree| tree.remove_file(path)))
    }

    fn sync_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()> {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Box::pin(async move {
            let what = format!("folder {name}");
            self.sync(
                &what,
                |drive| drive.tree(|tree| tree.unsynced_names(dir)),
                |drive, covers| {
                    drive.sync_result(&what)?;
                    let covers = covers?;
                    drive.tree(|tree| tree.keep_names(covers))
                },
            )
            .await
        })
    }

    fn lock_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Box<dyn Any + Send + Sync>> {
        self.act(move |drive| {
            let inode = drive.tree(|tree| tree.folder(dir))?;
            let guard = drive.lock(inode)?;
            Ok(Box::new(guard) as Box<dyn Any + Send + Sync>)
        })
    }

    fn free_bytes<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, u64> {
        self.act(|drive| Ok(if drive.room().is_ok() { u64::MAX } else { 0 }))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: InodeId,
    writable: bool,
    /// Of the path it was opened by, for the trace.
    name: String,
}

impl SimFile {
    /// Changes the content, which reaches up to `end` then.
    fn write<'a>(&'a self, end: u64, work: impl FnOnce(&mut content::Content) + Send + 'a) -> IoFuture<'a, ()> {
        self.disk.act(move |drive| {
            if !self.writable {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied));
            }
            let nth = drive.next_write();
            drive.tree(|tree| {
                let content = tree.content(self.inode)?;
                if end > content.len() {
                    drive.room()?;
                }
                work(content);
                content.number_write(nth);
                Ok(())
            })
        })
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> IoFuture<'_, u64> {
        self.disk.act(|drive| drive.tree(|tree| Ok(tree.content(self.inode)?.len())))
    }

    fn set_len(&self, len: u64) -> IoFuture<'_, ()> {
        self.write(len, move |content| content.set_len(len))
    }

    fn read_exact_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> IoFuture<'a, ()> {
        self.disk.act(move |drive| {
            drive.read()?;
            drive.tree(|tree| tree.content(self.inode)?.read_exact_at(buffer, offset))
        })
    }

    fn write_all_at<'a>(&'a self, bytes: &'a [u8], offset: u64) -> IoFuture<'a, ()> {
        self.write(offset + bytes.len() as u64, move |content| content.write_all_at(bytes, offset))
    }

    fn sync_data(&self) -> IoFuture<'_, ()> {
        Box::pin(async move {
            self.disk
                .sync(
                    &self.name,
                    |drive| drive.tree(|tree| tree.content(self.inode).map(|content| content.unsynced())),
                    |drive, covers| {
                        let covers = covers?;
                        let failed = drive.sync_result(&self.name);
                        drive.tree(|tree| {
                            let content = tree.content(self.inode)?;
                            match &failed {
                                Ok(()) => content.keep(covers),
                                // As Linux does: the pages count as clean from now on, a later sync says nothing of them.
                                Err(_) => content.forget(covers),
                            }
                            Ok::<(), io::Error>(())
                        })?;
                        failed
                    },
                )
                .await
        })
    }
}

#[cfg(test)]
mod tests;
