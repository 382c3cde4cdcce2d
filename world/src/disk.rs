//! Files.
//!
//! The futures of the real disk do their work when they are polled and block the thread meanwhile: they are awaited on
//! threads of their own (see [`crate::Threads`]), or where a read of a few pages may block. The simulated disk's futures
//! take simulated time.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

/// A future of an IO result.
pub type IoFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    ReadWrite,
    /// For reading and writing; it must not exist yet and is created empty. The name is durable only after
    /// [`Disk::sync_dir`] of its folder.
    CreateNew,
}

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Creates a folder and those above it, if missing. Durable only after [`Disk::sync_dir`] of each parent.
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()>;
    /// Opens a file.
    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>>;
    /// The full paths of what a folder holds, sorted. A missing folder is an error.
    fn list<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Vec<PathBuf>>;
    /// Whether a file or folder is there.
    fn exists<'a>(&'a self, path: &'a Path) -> IoFuture<'a, bool>;
    /// Renames a file or folder, replacing a file at `to`. Durable after [`Disk::sync_dir`].
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> IoFuture<'a, ()>;
    /// Removes a file.
    fn remove_file<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()>;
    /// Makes the names in a folder durable.
    fn sync_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()>;
    /// Takes the exclusive lock of a folder (a file `LOCK` in it) for the life of the process or until the returned guard
    /// is dropped; an error of kind `WouldBlock` if another process holds it.
    fn lock_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Box<dyn std::any::Any + Send + Sync>>;
    /// How many bytes may still be written beneath a folder, by who is not privileged.
    fn free_bytes<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, u64>;
}

/// An open file. All offsets are bytes from its start.
#[allow(clippy::len_without_is_empty, reason = "a file's length is an IO operation, asked for rarely")]
pub trait DiskFile: Send + Sync + Debug {
    /// The file's length.
    fn len(&self) -> IoFuture<'_, u64>;
    /// Sets the file's length; new bytes read as zero.
    fn set_len(&self, len: u64) -> IoFuture<'_, ()>;
    /// Fills `buffer` from `offset`; past the end of the file is an error of kind `UnexpectedEof`.
    fn read_exact_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> IoFuture<'a, ()>;
    /// Writes all of `bytes` at `offset`. Durable only after a sync.
    fn write_all_at<'a>(&'a self, bytes: &'a [u8], offset: u64) -> IoFuture<'a, ()>;
    /// `fdatasync`: the contents, and the length where it matters for reading them, are durable. After an error nothing is
    /// known of any earlier write: the caller must end the process, never retry.
    fn sync_data(&self) -> IoFuture<'_, ()>;
}

/// The operating system's files.
#[derive(Debug)]
pub struct RealDisk;

fn now<'a, T: Send + 'a>(work: impl FnOnce() -> io::Result<T> + Send + 'a) -> IoFuture<'a, T> {
    Box::pin(async move { work() })
}

impl Disk for RealDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        now(move || std::fs::create_dir_all(path))
    }

    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>> {
        now(move || {
            let mut options = std::fs::OpenOptions::new();
            match mode {
                OpenMode::Read => options.read(true),
                OpenMode::ReadWrite => options.read(true).write(true),
                OpenMode::CreateNew => options.read(true).write(true).create_new(true),
            };
            let file = options.open(path)?;
            Ok(Arc::new(RealFile { file }) as Arc<dyn DiskFile>)
        })
    }

    fn list<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Vec<PathBuf>> {
        now(move || {
            let mut paths: Vec<PathBuf> =
                std::fs::read_dir(dir)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
            paths.sort();
            Ok(paths)
        })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> IoFuture<'a, bool> {
        now(move || path.try_exists())
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> IoFuture<'a, ()> {
        now(move || std::fs::rename(from, to))
    }

    fn remove_file<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        now(move || std::fs::remove_file(path))
    }

    fn sync_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()> {
        now(move || std::fs::File::open(dir)?.sync_all())
    }

    fn lock_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Box<dyn std::any::Any + Send + Sync>> {
        now(move || {
            let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(dir.join("LOCK"))?;
            rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
            Ok(Box::new(file) as Box<dyn std::any::Any + Send + Sync>)
        })
    }

    fn free_bytes<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, u64> {
        now(move || {
            let drive = rustix::fs::statvfs(dir)?;
            Ok(drive.f_bavail.saturating_mul(drive.f_frsize))
        })
    }
}

#[derive(Debug)]
struct RealFile {
    file: std::fs::File,
}

impl DiskFile for RealFile {
    fn len(&self) -> IoFuture<'_, u64> {
        now(|| Ok(self.file.metadata()?.len()))
    }

    fn set_len(&self, len: u64) -> IoFuture<'_, ()> {
        now(move || self.file.set_len(len))
    }

    fn read_exact_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> IoFuture<'a, ()> {
        now(move || std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset))
    }

    fn write_all_at<'a>(&'a self, bytes: &'a [u8], offset: u64) -> IoFuture<'a, ()> {
        now(move || std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset))
    }

    fn sync_data(&self) -> IoFuture<'_, ()> {
        now(|| self.file.sync_data())
    }
}
