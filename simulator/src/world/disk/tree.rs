//! Folders and files by name: as they are seen, and as they would be after a loss of power.
//!
//! A name is durable once its folder was synced, the folder's own name once the folder above it was. What no durable name
//! leads to is gone after a loss of power, however well it was synced. Changes of a folder reach the drive in their order, as
//! a journal writes them; a rename within a folder is one change.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::content::Content;
use crate::{Crash, Dice};

pub(super) type InodeId = u64;
type Names = BTreeMap<OsString, InodeId>;

const ROOT: InodeId = 0;

#[derive(Clone, Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
    next: InodeId,
}

#[derive(Clone, Debug)]
enum Inode {
    Folder(Folder),
    File(Content),
}

#[derive(Clone, Debug, Default)]
struct Folder {
    names: Names,
    durable: Names,
    /// Changes that no sync has covered yet, in order; each is a set of names and what they lead to now.
    unsynced: VecDeque<Vec<(OsString, Option<InodeId>)>>,
    /// How many changes were ever taken from the front of `unsynced`.
    taken: u64,
}

/// The position in a folder's changes up to which a sync covers them.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoversNames {
    folder: InodeId,
    changes: u64,
}

impl Folder {
    fn change(&mut self, change: Vec<(OsString, Option<InodeId>)>) {
        apply(&mut self.names, &change);
        self.unsynced.push_back(change);
    }

    fn keep(&mut self, changes: u64) {
        while self.taken < changes {
            let Some(change) = self.unsynced.pop_front() else { break };
            apply(&mut self.durable, &change);
            self.taken += 1;
        }
    }

    fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        let all = self.taken + self.unsynced.len() as u64;
        match crash {
            Crash::Kill => self.keep(all),
            Crash::PowerLoss => {}
            Crash::PartialLoss => self.keep(self.taken + dice.below(self.unsynced.len() as u64 + 1)),
        }
        self.unsynced.clear();
        self.taken = all;
        self.names.clone_from(&self.durable);
    }
}

fn apply(names: &mut Names, change: &[(OsString, Option<InodeId>)]) {
    for (name, inode) in change {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Inode::Folder(Folder::default());
        Self { inodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1 }
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in names_of(path) {
            at = match self.names_in(at)?.get(name) {
                Some(inode) => *inode,
                None => {
                    let folder = self.add(Inode::Folder(Folder::default()));
                    self.folder_mut(at)?.change(vec![(name.to_owned(), Some(folder))]);
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
        self.folder_mut(parent)?.change(vec![(name, Some(file))]);
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
        if from_parent == to_parent {
            self.folder_mut(to_parent)?.change(vec![(from_name, None), (to_name, Some(inode))]);
        } else {
            self.folder_mut(to_parent)?.change(vec![(to_name, Some(inode))]);
            self.folder_mut(from_parent)?.change(vec![(from_name, None)]);
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        let (parent, name) = self.parent(path)?;
        self.folder_mut(parent)?.change(vec![(name, None)]);
        Ok(())
    }

    /// All changes of a folder up to now, for [`Tree::keep_names`].
    pub(super) fn unsynced_names(&mut self, dir: &Path) -> io::Result<CoversNames> {
        let inode = self.folder(dir)?;
        let folder = self.folder_mut(inode)?;
        Ok(CoversNames { folder: inode, changes: folder.taken + folder.unsynced.len() as u64 })
    }

    /// Makes the covered changes of a folder durable.
    pub(super) fn keep_names(&mut self, covers: CoversNames) -> io::Result<()> {
        self.folder_mut(covers.folder)?.keep(covers.changes);
        Ok(())
    }

    /// All files by path, in order.
    pub(super) fn files(&self) -> Vec<(PathBuf, &Content)> {
        let mut found = Vec::new();
        self.gather(ROOT, Path::new(""), &mut found);
        found
    }

    fn gather<'a>(&'a self, inode: InodeId, path: &Path, found: &mut Vec<(PathBuf, &'a Content)>) {
        match self.inodes.get(&inode) {
            Some(Inode::File(content)) => found.push((path.to_owned(), content)),
            Some(Inode::Folder(folder)) => {
                for (name, below) in &folder.names {
                    self.gather(*below, &path.join(name), found);
                }
            }
            None => {}
        }
    }

    /// Puts a content in place of a file's, as an older copy that was put back; durably.
    pub(super) fn put_back(&mut self, path: &Path, copy: Content) -> io::Result<()> {
        let inode = self.file(path)?;
        *self.content(inode)? = copy;
        Ok(())
    }

    /// Removes a file for good, whatever was synced.
    pub(super) fn destroy(&mut self, path: &Path) -> io::Result<()> {
        self.remove_file(path)?;
        let (parent, _) = self.parent(path)?;
        let folder = self.folder_mut(parent)?;
        folder.keep(folder.taken + folder.unsynced.len() as u64);
        Ok(())
    }

    /// The content of a file; also of one that has lost its name and is still open.
    pub(super) fn content(&mut self, inode: InodeId) -> io::Result<&mut Content> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(content)) => Ok(content),
            Some(Inode::Folder(_)) => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Does to everything what a crash does, and drops what no name leads to any more.
    pub(super) fn crash(&mut self, crash: Crash, dice: &mut Dice) {
        for inode in self.inodes.values_mut() {
            match (inode, crash) {
                (Inode::Folder(folder), crash) => folder.crash(crash, dice),
                (Inode::File(content), Crash::Kill) => content.settle(),
                (Inode::File(content), Crash::PowerLoss) => content.lose_unsynced(),
                (Inode::File(content), Crash::PartialLoss) => content.lose_some(dice),
            }
        }
        let mut reached = BTreeMap::new();
        self.reach(ROOT, &mut reached);
        self.inodes = reached;
    }

    fn reach(&mut self, inode: InodeId, reached: &mut BTreeMap<InodeId, Inode>) {
        let Some(found) = self.inodes.remove(&inode) else { return };
        let below: Vec<InodeId> = match &found {
            Inode::Folder(folder) => folder.names.values().copied().collect(),
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

    fn names_in(&mut self, inode: InodeId) -> io::Result<&Names> {
        self.folder_mut(inode).map(|folder| &folder.names)
    }

    fn folder_mut(&mut self, inode: InodeId) -> io::Result<&mut Folder> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::Folder(folder)) => Ok(folder),
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
