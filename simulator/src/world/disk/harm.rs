//! What may befall a drive's contents while nobody looks: a bit rots, a file is lost, an older copy is put back, the drive is
//! exchanged for an empty one.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::drive::SimDrive;
use super::tree::Tree;
use crate::Dice;
use crate::world::states::Stores;

/// Bytes of a sector.
const SECTOR: u64 = 512;

/// A file as it was at some moment.
#[derive(Clone, Debug)]
pub struct FileCopy {
    path: PathBuf,
    content: Content,
}

impl FileCopy {
    /// Whose copy it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A whole drive as it was at some moment.
#[derive(Clone, Debug)]
pub struct DriveCopy {
    tree: Tree,
    stores: Stores,
}

impl SimDrive {
    /// The paths of all files, in order.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.tree(|tree| tree.files().into_iter().map(|(path, _)| path).collect())
    }

    /// The offsets of a file's sectors that hold anything but zeros, rising; none when there is no such file.
    #[must_use]
    pub fn used_sectors(&self, path: &Path) -> Vec<u64> {
        self.tree(|tree| {
            let file = tree.file(path).and_then(|inode| tree.content(inode).map(|content| content.used_sectors()));
            file.unwrap_or_default().into_iter().map(|sector| sector * SECTOR).collect()
        })
    }

    /// Where something was written last that is durable, in those files: the file, the offset and the length; `None` when
    /// nothing was.
    #[must_use]
    pub fn newest_write(&self, which: impl Fn(&Path) -> bool) -> Option<(PathBuf, u64, u64)> {
        self.tree(|tree| {
            let files = tree.files().into_iter().filter(|(path, _)| which(path));
            let newest = files.filter_map(|(path, content)| Some((content.newest()?, path))).max_by_key(|(at, _)| at.0);
            newest.map(|((_, offset, len), path)| (path, offset, len))
        })
    }

    /// The offsets in that part of a file that hold anything but zero, rising; none when there is no such file.
    #[must_use]
    pub fn used_bytes(&self, path: &Path, part: Range<u64>) -> Vec<u64> {
        self.tree(|tree| {
            let Ok(content) = tree.file(path).and_then(|inode| tree.content(inode)) else { return Vec::new() };
            let part = part.start..part.end.min(content.len());
            let mut bytes = vec![0; usize::try_from(part.end.saturating_sub(part.start)).unwrap_or(0)];
            if content.read_exact_at(&mut bytes, part.start).is_err() {
                return Vec::new();
            }
            part.zip(bytes).filter(|(_, byte)| *byte != 0).map(|(offset, _)| offset).collect()
        })
    }

    /// Flips one bit of a file.
    pub fn flip(&self, path: &Path, offset: u64, bit: u8) {
        self.tree(|tree| {
            if let Ok(content) = tree.file(path).and_then(|inode| tree.content(inode)) {
                content.flip(offset, bit);
            }
        });
    }

    /// Flips one bit of a drawn value of the state stores, and says of which tree; `None` when there is no value.
    pub fn flip_in_stores(&self, dice: &mut Dice) -> Option<String> {
        self.stores(|stores| stores.flip(dice))
    }

    /// Removes a file, as if it had never been.
    pub fn remove(&self, path: &Path) {
        // What is not there needs no removing.
        let _ = self.tree(|tree| tree.destroy(path));
    }

    /// A copy of a file; `None` when there is no such file.
    #[must_use]
    pub fn copy_file(&self, path: &Path) -> Option<FileCopy> {
        let content = self.tree(|tree| {
            let inode = tree.file(path).ok()?;
            tree.content(inode).ok().cloned()
        });
        content.map(|mut content| {
            content.settle();
            FileCopy { path: path.to_owned(), content }
        })
    }

    /// Puts a copy in place of the file that is there; nothing happens when there is none.
    pub fn put_file_back(&self, copy: FileCopy) {
        let _ = self.tree(|tree| tree.put_back(&copy.path, copy.content));
    }

    /// A copy of everything on the drive.
    #[must_use]
    pub fn copy(&self) -> DriveCopy {
        DriveCopy { tree: self.tree(|tree| tree.clone()), stores: self.stores(|stores| stores.clone()) }
    }

    /// Puts a copy in place of everything on the drive. Only while no process runs on it.
    pub fn put_back(&self, copy: DriveCopy) {
        self.tree(|tree| *tree = copy.tree);
        self.stores(|stores| *stores = copy.stores);
    }

    /// Empties the drive. Only while no process runs on it.
    pub fn wipe(&self) {
        self.tree(|tree| *tree = Tree::new());
        self.stores(|stores| *stores = Stores::default());
    }
}
