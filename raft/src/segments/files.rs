//! Segment files: their names, and how they come to be.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdfast_world::{Disk, DiskFile, OpenMode};

use super::stamp::SegmentSeed;

const ZEROES_AT_ONCE: usize = 1 << 20;
/// Zeroes that wait for the disk at most: the log's own syncs queue behind them.
const ZEROES_UNSYNCED: u64 = 4 << 20;

/// One use of a segment file.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    /// The number in the file's name.
    pub(crate) number: u32,
    /// What makes this use its own.
    pub(crate) seed: SegmentSeed,
    /// Its length in bytes.
    pub(crate) len: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// The path of segment file `number` in `dir`.
pub(crate) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.segment"))
}

/// Creates a file of `len` zeroed bytes, all written, so that later writes change no extents. It appears under its name
/// only when it is whole, contents and name durable.
pub(crate) async fn create_zeroed(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a segment lies in a folder"))?;
    let unfinished = path.with_extension("new");
    if disk.exists(&unfinished).await? {
        disk.remove_file(&unfinished).await?;
    }
    let file = disk.open(&unfinished, OpenMode::CreateNew).await?;
    let zeroes = vec![0; ZEROES_AT_ONCE];
    let mut at = 0;
    while at < len {
        let take = usize::try_from(len - at).map_or(ZEROES_AT_ONCE, |left| left.min(ZEROES_AT_ONCE));
        file.write_all_at(&zeroes[..take], at).await?;
        at += take as u64;
        if at % ZEROES_UNSYNCED == 0 {
            file.sync_data().await?;
        }
    }
    file.sync_data().await?;
    disk.rename(&unfinished, path).await?;
    disk.sync_dir(dir).await?;
    disk.open(path, OpenMode::ReadWrite).await
}
