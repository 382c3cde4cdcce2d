//! What can be done to drives: a small one that is filled, and neighbours that keep a drive busy.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SMALL_DRIVE: &str = "256m";
/// The name of what fills it.
const BALLAST: &str = "ballast";
const BLOCK_BYTES: usize = 1_024 * 1_024;

/// A file system in memory of a fixed size. Taken down when it is dropped.
#[derive(Debug)]
pub(super) struct SmallDrive {
    folder: PathBuf,
}

impl SmallDrive {
    /// Over a folder that is there.
    pub(super) fn mount(folder: &Path) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SMALL_DRIVE},mode=0755"), "holdfast-chaos"]).arg(folder);
        let output = mount.output().map_err(|error| format!("`mount` cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(Self { folder: folder.to_owned() });
        }
        let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        Err(format!("a file system of a fixed size cannot be mounted, which takes root: {why}"))
    }

    /// Leaves no room on it.
    pub(super) fn fill(&self) -> io::Result<()> {
        let mut ballast = File::create(self.folder.join(BALLAST))?;
        let mut size = BLOCK_BYTES;
        let block = vec![0; BLOCK_BYTES];
        while size > 0 {
            match ballast.write(&block[..size]) {
                Ok(written) if written > 0 => {}
                Ok(_) => size /= 2,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(super) fn clear(&self) -> io::Result<()> {
        let ballast = self.folder.join(BALLAST);
        // Emptied first: a process that is just being started has the file open for a moment, and so keeps its room.
        File::options().write(true).open(&ballast)?.set_len(0)?;
        fs::remove_file(ballast)
    }

    /// Puts what lies on it into a plain folder beside it, so that it outlives it.
    pub(super) fn keep(&self) -> io::Result<()> {
        let copy = self.folder.with_extension("kept");
        let status = Command::new("cp").arg("-a").arg(&self.folder).arg(copy).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other("`cp` failed")) }
    }
}

impl Drop for SmallDrive {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may hold files for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}

/// How many write beside the nodes.
const NEIGHBOURS: usize = 2;
/// What each writes between two syncs, over and over.
const WRITTEN_BYTES: usize = 8 * BLOCK_BYTES;

/// Threads that write and sync without a pause, until they are dropped.
#[derive(Debug)]
pub struct Neighbours {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Neighbours {
    pub(super) fn move_in(folder: &Path) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let threads = (0..NEIGHBOURS).map(|number| {
            let (path, is_over) = (folder.join(format!("neighbour-{number}")), is_over.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    if write_and_sync(&path, WRITTEN_BYTES).is_err() {
                        break;
                    }
                }
                let _ = fs::remove_file(path);
            })
        });
        Self { threads: threads.collect(), is_over }
    }

    /// Waits until the last has gone.
    pub(super) fn move_out(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

fn write_and_sync(path: &Path, bytes: usize) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&vec![7; bytes])?;
    file.sync_data()
}

/// How long a small write with its sync takes in a folder: the middle one of five.
pub(super) fn sync_time(folder: &Path) -> Duration {
    let path = folder.join("probe");
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            let _ = write_and_sync(&path, 4_096);
            begun.elapsed()
        })
        .collect();
    let _ = fs::remove_file(path);
    times.sort_unstable();
    times[times.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_write_while_they_are_there_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let neighbours = Neighbours::move_in(folder.path());
        let deadline = Instant::now() + Duration::from_secs(20);
        while fs::read_dir(folder.path()).unwrap().count() < NEIGHBOURS {
            assert!(Instant::now() < deadline, "nobody writes");
            std::thread::yield_now();
        }
        neighbours.move_out();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_small_drive_is_full_after_it_is_filled_and_has_room_when_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let over = folder.path().join("drive");
        fs::create_dir(&over).unwrap();
        // Only root may mount; elsewhere the harness leaves this fault out, and says so.
        let Ok(drive) = SmallDrive::mount(&over) else { return };
        drive.fill().unwrap();
        let refused = fs::write(over.join("file"), [1; 100]).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        drive.clear().unwrap();
        fs::write(over.join("file"), [1; 100]).unwrap();
    }
}
