//! A disk in memory for tests, with what a power cut may do: writes since the last sync of a file are kept, lost or torn
//! by the sector, in any order; names since the last sync of their folder likewise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use holdfast_world::{Disk, DiskFile, EndReason, IoFuture, OpenMode, ProcessEnd, Threads, World};

use super::SECTOR;

/// A small seeded generator (splitmix64), so that a failing test is replayed by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What becomes of unsynced writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// All are lost.
    LosesAll,
    /// All are kept.
    KeepsAll,
    /// Each sector by chance.
    Tears,
    /// Only the process has died: all is still there, and as little of it durable as before.
    OnlyKilled,
}

#[derive(Clone, Debug, Default)]
struct FileData {
    synced: Arc<Vec<u8>>,
    seen: Arc<Vec<u8>>,
    /// Writes since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    files: Vec<FileData>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    operations: u64,
    syncs: u64,
    /// The disk stops for good at this operation.
    stop_at: Option<u64>,
    /// This sync and all after it fail.
    fail_sync_at: Option<u64>,
    /// The next read gives fewer bytes than there are.
    cut_read: bool,
    stopped: bool,
}

#[derive(Clone, Default)]
pub(crate) struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
    died: Arc<tokio::sync::Notify>,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryDisk")
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    id: usize,
}

impl MemoryDisk {
    pub(crate) fn stop_at(&self, operation: Option<u64>) {
        let mut inner = self.inner.lock().unwrap();
        inner.stop_at = operation;
    }

    pub(crate) fn fail_sync_at(&self, sync: u64) {
        self.inner.lock().unwrap().fail_sync_at = Some(sync);
    }

    /// Lets the next read end before its end, once, though all is there.
    pub(crate) fn cut_next_read(&self) {
        self.inner.lock().unwrap().cut_read = true;
    }

    pub(crate) fn operations(&self) -> u64 {
        self.inner.lock().unwrap().operations
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.inner.lock().unwrap().syncs
    }

    /// Ready once the disk has stopped.
    pub(crate) async fn died(&self) {
        loop {
            let waiting = self.died.notified();
            if self.inner.lock().unwrap().stopped {
                return;
            }
            waiting.await;
        }
    }

    /// The disk as a later start finds it.
    pub(crate) fn after_power_cut(&self, cut: Cut, dice: &mut Dice) -> Self {
        let mut next = self.inner.lock().unwrap().clone();
        next.stopped = false;
        (next.stop_at, next.fail_sync_at) = (None, None);
        (next.operations, next.syncs) = (0, 0);
        if cut == Cut::OnlyKilled {
            return Self { inner: Arc::new(Mutex::new(next)), died: Arc::default() };
        }
        for file in &mut next.files {
            let mut bytes = match cut {
                Cut::LosesAll | Cut::Tears => file.synced.to_vec(),
                Cut::KeepsAll | Cut::OnlyKilled => file.seen.to_vec(),
            };
            if cut == Cut::Tears {
                for (offset, written) in &file.unsynced {
                    for (number, sector) in written.chunks(SECTOR).enumerate() {
                        let at = offset + number * SECTOR;
                        if dice.below(2) == 0 {
                            bytes.resize(bytes.len().max(at + sector.len()), 0);
                            bytes[at..at + sector.len()].copy_from_slice(sector);
                        }
                    }
                }
            }
            file.seen = Arc::new(bytes);
            file.synced = file.seen.clone();
            file.unsynced.clear();
        }
        let keeps_names = match cut {
            Cut::LosesAll => false,
            Cut::KeepsAll | Cut::OnlyKilled => true,
            Cut::Tears => dice.below(2) == 0,
        };
        if keeps_names {
            next.synced_names = next.names.clone();
        } else {
            next.names = next.synced_names.clone();
        }
        Self { inner: Arc::new(Mutex::new(next)), died: Arc::default() }
    }

    pub(crate) fn contents(&self, path: &Path) -> Vec<u8> {
        let inner = self.inner.lock().unwrap();
        inner.files[inner.names[path]].seen.to_vec()
    }

    /// Changes a file behind everyone's back, durably.
    pub(crate) fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner.lock().unwrap();
        let id = inner.names[path];
        let file = &mut inner.files[id];
        change(Arc::make_mut(&mut file.seen));
        file.synced = file.seen.clone();
        file.unsynced.clear();
    }

    pub(crate) fn delete(&self, path: &Path) {
        let mut inner = self.inner.lock().unwrap();
        inner.names.remove(path);
        inner.synced_names.remove(path);
    }

    /// Does one operation, after giving other tasks a chance. It never ends once the disk has stopped.
    fn operate<'a, T: Send + 'a>(&self, work: impl FnOnce(&mut Inner) -> io::Result<T> + Send + 'a) -> IoFuture<'a, T> {
        let disk = self.clone();
        Box::pin(async move {
            tokio::task::yield_now().await;
            let result = {
                let mut inner = disk.inner.lock().unwrap();
                inner.operations += 1;
                let is_last = inner.stop_at == Some(inner.operations);
                if inner.stopped {
                    None
                } else {
                    let result = work(&mut inner);
                    inner.stopped |= is_last;
                    (!is_last).then_some(result)
                }
            };
            match result {
                Some(result) => result,
                None => {
                    disk.died.notify_waiters();
                    std::future::pending().await
                }
            }
        })
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl Disk for MemoryDisk {
    fn free_bytes<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, u64> {
        self.operate(|_| Ok(u64::MAX))
    }

    fn create_dir_all<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.operate(move |inner| {
            inner.dirs.extend(path.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn open<'a>(&'a self, path: &'a Path, mode: OpenMode) -> IoFuture<'a, Arc<dyn DiskFile>> {
        let disk = self.clone();
        self.operate(move |inner| {
            let id = match (inner.names.get(path), mode) {
                (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
                (Some(&id), _) => id,
                (None, OpenMode::CreateNew) => {
                    inner.files.push(FileData::default());
                    inner.names.insert(path.to_owned(), inner.files.len() - 1);
                    inner.files.len() - 1
                }
                (None, _) => return Err(not_found(path)),
            };
            Ok(Arc::new(MemoryFile { disk, id }) as Arc<dyn DiskFile>)
        })
    }

    fn list<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, Vec<PathBuf>> {
        self.operate(move |inner| {
            if !inner.dirs.contains(dir) {
                return Err(not_found(dir));
            }
            Ok(inner.names.keys().filter(|path| path.parent() == Some(dir)).cloned().collect())
        })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> IoFuture<'a, bool> {
        self.operate(move |inner| Ok(inner.names.contains_key(path) || inner.dirs.contains(path)))
    }

    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> IoFuture<'a, ()> {
        self.operate(move |inner| {
            let id = inner.names.remove(from).ok_or_else(|| not_found(from))?;
            inner.names.insert(to.to_owned(), id);
            Ok(())
        })
    }

    fn remove_file<'a>(&'a self, path: &'a Path) -> IoFuture<'a, ()> {
        self.operate(move |inner| inner.names.remove(path).map(|_| ()).ok_or_else(|| not_found(path)))
    }

    fn sync_dir<'a>(&'a self, dir: &'a Path) -> IoFuture<'a, ()> {
        self.operate(move |inner| {
            let is_here = |path: &Path| path.parent() == Some(dir);
            inner.synced_names.retain(|path, _| !is_here(path));
            let here = inner.names.iter().filter(|(path, _)| is_here(path));
            inner.synced_names.extend(here.map(|(path, &id)| (path.clone(), id)));
            Ok(())
        })
    }

    fn lock_dir<'a>(&'a self, _dir: &'a Path) -> IoFuture<'a, Box<dyn std::any::Any + Send + Sync>> {
        self.operate(|_| Ok(Box::new(()) as Box<dyn std::any::Any + Send + Sync>))
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> IoFuture<'_, u64> {
        self.disk.operate(|inner| Ok(inner.files[self.id].seen.len() as u64))
    }

    fn set_len(&self, len: u64) -> IoFuture<'_, ()> {
        self.disk.operate(move |inner| {
            let file = &mut inner.files[self.id];
            Arc::make_mut(&mut file.seen).resize(usize::try_from(len).unwrap(), 0);
            // Lengths are taken to be durable at once: no test depends on losing one.
            file.synced = file.seen.clone();
            Ok(())
        })
    }

    fn read_exact_at<'a>(&'a self, buffer: &'a mut [u8], offset: u64) -> IoFuture<'a, ()> {
        self.disk.operate(move |inner| {
            let start = usize::try_from(offset).unwrap();
            let is_cut = std::mem::take(&mut inner.cut_read);
            let bytes = inner.files[self.id].seen.get(start..start + buffer.len()).filter(|_| !is_cut);
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write_all_at<'a>(&'a self, bytes: &'a [u8], offset: u64) -> IoFuture<'a, ()> {
        self.disk.operate(move |inner| {
            let start = usize::try_from(offset).unwrap();
            let file = &mut inner.files[self.id];
            let seen = Arc::make_mut(&mut file.seen);
            seen.resize(seen.len().max(start + bytes.len()), 0);
            seen[start..start + bytes.len()].copy_from_slice(bytes);
            file.unsynced.push((start, bytes.to_vec()));
            Ok(())
        })
    }

    fn sync_data(&self) -> IoFuture<'_, ()> {
        self.disk.operate(|inner| {
            inner.syncs += 1;
            if inner.fail_sync_at.is_some_and(|at| inner.syncs >= at) {
                return Err(io::Error::other("the disk failed a sync"));
            }
            let file = &mut inner.files[self.id];
            file.synced = file.seen.clone();
            file.unsynced.clear();
            Ok(())
        })
    }
}

/// Runs what wants a thread as a task.
#[derive(Debug)]
struct Tasks;

impl Threads for Tasks {
    fn dedicated(&self, _name: &str, work: std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'static>>) {
        tokio::spawn(work);
    }
}

/// Notes why the process would have ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct NotedEnd(pub(crate) Arc<Mutex<Vec<EndReason>>>);

impl ProcessEnd for NotedEnd {
    fn end(&self, reason: EndReason) {
        self.0.lock().unwrap().push(reason);
    }
}

/// A world with this disk, tasks for threads, and an end that is noted.
pub(crate) fn memory_world(disk: &MemoryDisk) -> (World, NotedEnd) {
    let end = NotedEnd::default();
    let (disk, threads) = (Arc::new(disk.clone()), Arc::new(Tasks));
    (World { disk, threads, end: Arc::new(end.clone()), ..World::real() }, end)
}
