//! Folders and files by name: as they are seen, and as they would be after a loss of power.
//!
//! A name is durable once its folder was synced, the folder's own name once the folder above it was. What no durable name
//! leads to is gone after a loss of power, however well it was synced.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::content::Content;
use crate::Crash;

pub(super) type InodeId = u64;
type Names = BTreeMap<OsString, InodeId>;

const ROOT: InodeId = 0;

#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
    next: InodeId,
}

#[derive(Debug)]
enum Inode {
    Folder { names: Names, durable: Names },
    File(Content),
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Inode::Folder { names: Names::new(), durable: Names::new() };
        Self { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in names_of(path) {
            at = match self.names_in(at)?.get(name) {
                Some(inode) => *inode,
                None => {
                    let folder = self.add(Inode::Folder { names: Names::new(), durable: Names::new() });
                    self.names_in(at)?.insert(name.to_owned(), folder);
                    folder
                }
            };
        }
        self.names_in(at).map(|_| ())
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<InodeId> {
        let (parent, name) = self.parent(path)?;
        if self.names_in(parent)?.contains_key(&name) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        let file = self.add(Inode::File(Content::default()));
        self.names_in(parent)?.insert(name, file);
        Ok(file)
    }

    /// The file at a path.
    pub(super) fn file(&mut self, path: &Path) -> io::Result<InodeId> {
        let inode = self.find(path)?;
        self.content(inode)?;
        Ok(inode)
    }

    /// The folder at a path.
    pub(super) fn folder(&mut self, path: &Path) -> io::Result<InodeId> {
        let inode = self.find(path)?;
        self.names_in(inode)?;
        Ok(inode)
    }

    pub(super) fn exists(&mut self, path: &Path) -> bool {
        self.find(path).is_ok()
    }

    pub(super) fn list(&mut self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let inode = self.find(dir)?;
        Ok(self.names_in(inode)?.keys().map(|name| dir.join(name)).collect())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let (to_parent, to_name) = self.parent(to)?;
        if let Some(replaced) = self.names_in(to_parent)?.get(&to_name).copied() {
            // Like rename(2): a folder replaces only an empty folder; ours never have reason to.
            self.content(replaced)?;
        }
        let (from_parent, from_name) = self.parent(from)?;
        self.names_in(from_parent)?.remove(&from_name);
        self.names_in(to_parent)?.insert(to_name, inode);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        let (parent, name) = self.parent(path)?;
        self.names_in(parent)?.remove(&name);
        Ok(())
    }

    /// The names in a folder, for [`Tree::keep_names`].
    pub(super) fn names(&mut self, dir: &Path) -> io::Result<(InodeId, Names)> {
        let inode = self.folder(dir)?;
        Ok((inode, self.names_in(inode)?.clone()))
    }

    /// Makes names in a folder durable.
    pub(super) fn keep_names(&mut self, dir: InodeId, kept: Names) -> io::Result<()> {
        match self.inodes.get_mut(&dir) {
            Some(Inode::Folder { durable, .. }) => {
                *durable = kept;
                Ok(())
            }
            _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    /// The content of a file; also of one that has lost its name and is still open.
    pub(super) fn content(&mut self, inode: InodeId) -> io::Result<&mut Content> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(content)) => Ok(content),
            Some(Inode::Folder { .. }) => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Does to everything what a crash does, and drops what no name leads to any more.
    pub(super) fn crash(&mut self, crash: Crash) {
        for inode in self.inodes.values_mut() {
            match (inode, crash) {
                (Inode::Folder { names, durable }, Crash::Kill) => durable.clone_from(names),
                (Inode::Folder { names, durable }, Crash::PowerLoss) => names.clone_from(durable),
                (Inode::File(content), Crash::Kill) => content.settle(),
                (Inode::File(content), Crash::PowerLoss) => content.lose_unsynced(),
            }
        }
        let mut reached = BTreeMap::new();
        self.reach(ROOT, &mut reached);
        self.inodes = reached;
    }

    fn reach(&mut self, inode: InodeId, reached: &mut BTreeMap<InodeId, Inode>) {
        let Some(found) = self.inodes.remove(&inode) else { return };
        let below: Vec<InodeId> = match &found {
            Inode::Folder { names, .. } => names.values().copied().collect(),
            Inode::File(_) => Vec::new(),
        };
        reached.insert(inode, found);
        for inode in below {
            self.reach(inode, reached);
        }
    }

    fn add(&mut self, inode: Inode) -> InodeId {
        let id = self.next;
        self.next += 1;
        self.inodes.insert(id, inode);
        id
    }

    fn find(&mut self, path: &Path) -> io::Result<InodeId> {
        let mut at = ROOT;
        for name in names_of(path) {
            at = *self.names_in(at)?.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn parent(&mut self, path: &Path) -> io::Result<(InodeId, OsString)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let parent = self.find(path.parent().unwrap_or(Path::new("")))?;
        Ok((parent, name))
    }

    fn names_in(&mut self, inode: InodeId) -> io::Result<&mut Names> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::Folder { names, .. }) => Ok(names),
            Some(Inode::File(_)) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }
}

/// The names along a path from the root; a relative path starts there too.
fn names_of(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    })
}
