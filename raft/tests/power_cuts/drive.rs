//! A drive with a cache, to which a record is done again: what has surely arrived, and what may be lost when the power goes.
//!
//! Surely arrived is what a file held when an `fsync` or `fdatasync` of it began that has ended, and the names of a folder
//! likewise. All else is pending: each 512-byte sector of a write, each change of a length and each name may arrive or not, by
//! itself. That is more than most file systems lose; a file's own `fsync` does not make its name durable here.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::record::{Event, Handle, PROMISES, Record};

/// What a drive writes whole or not at all.
const SECTOR: u64 = 512;

/// Which part of what is pending arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrives {
    All,
    Nothing,
    /// Each by itself, with so many chances in a hundred.
    Some(u64),
}

/// What a power cut leaves: of what is pending in files, and in folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    pub contents: Arrives,
    pub names: Arrives,
}

impl Fate {
    /// The plug is not pulled, the process is killed.
    pub const KILLED: Self = Self { contents: Arrives::All, names: Arrives::All };
    /// Nothing arrives that was not waited for.
    pub const ONLY_SYNCED: Self = Self { contents: Arrives::Nothing, names: Arrives::Nothing };
}

#[derive(Debug)]
enum Inode {
    File(File),
    Folder(Folder),
}

#[derive(Debug, Default)]
struct File {
    arrived: Vec<u8>,
    /// With the events that did it, in order.
    pending: Vec<(usize, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: u64, bytes: Range<usize> },
    Length(u64),
}

#[derive(Debug, Default)]
struct Folder {
    arrived: BTreeMap<String, usize>,
    present: BTreeMap<String, usize>,
    pending: Vec<(usize, NameChange)>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Made(String, usize),
    Moved { from: String, to: String, inode: usize },
    Removed(String),
}

/// The files and folders that a power cut leaves, with paths below the recorded folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Image {
    folders: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Image {
    /// Writes it into an empty folder.
    pub fn write(&self, dir: &Path) {
        for folder in &self.folders {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for (path, bytes) in &self.files {
            std::fs::write(dir.join(path), bytes).unwrap();
        }
    }

    /// Reads what a folder holds.
    pub fn read(dir: &Path) -> Self {
        let mut image = Self::default();
        let mut below = vec![PathBuf::new()];
        while let Some(folder) = below.pop() {
            for entry in std::fs::read_dir(dir.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    image.folders.push(path.clone());
                    below.push(path);
                } else if path != Path::new(PROMISES) {
                    image.files.insert(path.clone(), std::fs::read(entry.path()).unwrap());
                }
            }
        }
        image.folders.sort();
        image
    }

    /// In what two differ, for the message of a test.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.folders != other.folders {
            found.push(format!("folders {:?} and {:?}", self.folders, other.folders));
        }
        for path in self.files.keys().chain(other.files.keys().filter(|path| !self.files.contains_key(*path))) {
            if self.files.get(path) != other.files.get(path) {
                let length = |image: &Self| image.files.get(path).map(Vec::len);
                found.push(format!("{}: lengths {:?} and {:?}", path.display(), length(self), length(other)));
            }
        }
        found
    }
}

/// The drive.
#[derive(Debug)]
pub struct Drive<'a> {
    record: &'a Record,
    inodes: Vec<Inode>,
    handles: HashMap<Handle, usize>,
    /// When the syncs under way began, by life and number.
    begun: HashMap<(usize, u64), usize>,
    /// How many events were done.
    done: usize,
}

const ROOT: usize = 0;

impl<'a> Drive<'a> {
    pub fn empty(record: &'a Record) -> Self {
        let inodes = vec![Inode::Folder(Folder::default())];
        Self { record, inodes, handles: HashMap::new(), begun: HashMap::new(), done: 0 }
    }

    /// Does events until `end` of them are done, but for the syncs that `is_lost`: a fault put in on purpose.
    pub fn run_to(&mut self, end: usize, is_lost: impl Fn(usize) -> bool) {
        while self.done < end {
            let (number, record) = (self.done, self.record);
            self.done += 1;
            self.step(number, &record.events[number], is_lost(number));
        }
    }

    fn step(&mut self, number: usize, event: &Event, is_lost: bool) {
        match event {
            Event::Opened { handle, path, created, emptied } => {
                if *created {
                    self.make(number, path, Inode::File(File::default()));
                }
                let inode = self.find(path).unwrap_or_else(|| panic!("{path} was opened, and never made"));
                self.handles.insert(*handle, inode);
                if *emptied {
                    self.file(handle).pending.push((number, Change::Length(0)));
                }
            }
            Event::Written { handle, at, bytes } => {
                let change = Change::Write { at: *at, bytes: bytes.clone() };
                self.file(handle).pending.push((number, change));
            }
            Event::LengthSet { handle, length } => {
                self.file(handle).pending.push((number, Change::Length(*length)));
            }
            Event::SyncBegun { handle, sync } => {
                self.begun.insert((handle.0, *sync), number);
            }
            Event::SyncEnded { handle, sync } => {
                let begun = self.begun.remove(&(handle.0, *sync)).expect("a sync that ends has begun");
                if !is_lost {
                    let record = self.record;
                    self.inodes[self.handles[handle]].sync(record, begun);
                }
            }
            Event::RangeFlushed { .. } => {}
            Event::FolderMade { path } => self.make(number, path, Inode::Folder(Folder::default())),
            Event::Renamed { from, to } => {
                let ((folder, from), (other, to)) = (self.place(from), self.place(to));
                assert_eq!(folder, other, "names are moved within a folder");
                let folder = self.folder(folder);
                let inode = folder.present.remove(&from).expect("what is renamed is there");
                folder.present.insert(to.clone(), inode);
                folder.pending.push((number, NameChange::Moved { from, to, inode }));
            }
            Event::Removed { path } => {
                let (folder, name) = self.place(path);
                let folder = self.folder(folder);
                folder.present.remove(&name).expect("what is removed is there");
                folder.pending.push((number, NameChange::Removed(name)));
            }
        }
    }

    fn make(&mut self, number: usize, path: &str, inode: Inode) {
        let (folder, name) = self.place(path);
        let made = self.inodes.len();
        self.inodes.push(inode);
        let folder = self.folder(folder);
        folder.present.insert(name.clone(), made);
        folder.pending.push((number, NameChange::Made(name, made)));
    }

    /// The folder that a path lies in, and its name there.
    fn place(&self, path: &str) -> (usize, String) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(folder).unwrap_or_else(|| panic!("no folder {folder}")), name.to_owned())
    }

    fn find(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |at, name| match &self.inodes[at] {
            Inode::Folder(folder) => folder.present.get(name).copied(),
            Inode::File(_) => None,
        })
    }

    fn file(&mut self, handle: &Handle) -> &mut File {
        match &mut self.inodes[self.handles[handle]] {
            Inode::File(file) => file,
            Inode::Folder(_) => panic!("a folder is not written to"),
        }
    }

    fn folder(&mut self, inode: usize) -> &mut Folder {
        match &mut self.inodes[inode] {
            Inode::Folder(folder) => folder,
            Inode::File(_) => panic!("a file holds no names"),
        }
    }

    /// What is found after a power cut at this moment.
    pub fn cut(&self, fate: Fate, dice: &mut Dice) -> Image {
        let mut image = Image::default();
        let mut below = vec![(PathBuf::new(), ROOT)];
        while let Some((path, inode)) = below.pop() {
            match &self.inodes[inode] {
                Inode::File(_) if path == Path::new(PROMISES) => {}
                Inode::File(file) => {
                    image.files.insert(path, file.cut(self.record, fate.contents, dice));
                }
                Inode::Folder(folder) => {
                    let names = folder.cut(fate.names, dice);
                    below.extend(names.into_iter().map(|(name, inode)| (path.join(name), inode)));
                    if inode != ROOT {
                        image.folders.push(path);
                    }
                }
            }
        }
        image.folders.sort();
        image
    }
}

impl Arrives {
    fn happens(self, dice: &mut Dice) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Some(percent) => dice.below(100) < percent,
        }
    }
}

impl Inode {
    /// Everything that was done before the event `begun` is durable.
    fn sync(&mut self, record: &Record, begun: usize) {
        match self {
            Self::File(file) => {
                let covered = file.pending.iter().take_while(|(number, _)| *number < begun).count();
                for (_, change) in file.pending.drain(..covered) {
                    change.apply(record, &mut file.arrived);
                }
            }
            Self::Folder(folder) => {
                let covered = folder.pending.iter().take_while(|(number, _)| *number < begun).count();
                for (_, change) in folder.pending.drain(..covered) {
                    change.apply(&mut folder.arrived);
                }
            }
        }
    }
}

impl File {
    fn cut(&self, record: &Record, arrives: Arrives, dice: &mut Dice) -> Vec<u8> {
        let mut found = self.arrived.clone();
        for (_, change) in &self.pending {
            match (change, arrives) {
                (Change::Write { at, bytes }, Arrives::Some(_)) => {
                    for (at, bytes) in sectors(*at, bytes) {
                        if arrives.happens(dice) {
                            Change::Write { at, bytes }.apply(record, &mut found);
                        }
                    }
                }
                (change, arrives) if arrives.happens(dice) => change.apply(record, &mut found),
                _ => {}
            }
        }
        found
    }
}

/// A write cut where sectors begin.
fn sectors(at: u64, bytes: &Range<usize>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let (end, mut next) = (bytes.end, bytes.start);
    let mut at = at;
    std::iter::from_fn(move || {
        if next == end {
            return None;
        }
        let room = (SECTOR - at % SECTOR) as usize;
        let sector = (at, next..end.min(next + room));
        next = sector.1.end;
        at += room as u64;
        Some(sector)
    })
}

impl Change {
    fn apply(&self, record: &Record, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length as usize, 0),
            Self::Write { at, bytes } => {
                let range = *at as usize..*at as usize + bytes.len();
                if content.len() < range.end {
                    content.resize(range.end, 0);
                }
                content[range].copy_from_slice(&record.bytes[bytes.clone()]);
            }
        }
    }
}

impl Folder {
    fn cut(&self, arrives: Arrives, dice: &mut Dice) -> BTreeMap<String, usize> {
        let mut found = self.arrived.clone();
        for (_, change) in &self.pending {
            if arrives.happens(dice) {
                change.apply(&mut found);
            }
        }
        found
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Made(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Moved { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Removed(name) => {
                names.remove(name);
            }
        }
    }
}
