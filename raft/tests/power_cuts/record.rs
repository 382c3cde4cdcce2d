//! The record that record.c writes, read back: what a process did to the files below a folder, in order.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of an event's head.
const HEAD: usize = 24;

/// The file below the recorded folder in which the load notes what it has promised: a witness, and no part of the node.
pub const PROMISES: &str = "promises";

/// One opening of a file. The lives of a node number theirs apart.
pub type Handle = (usize, u32);

/// One thing that was done. Paths are below the recorded folder; bytes lie in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Opened {
        handle: Handle,
        path: String,
        created: bool,
        emptied: bool,
    },
    Written {
        handle: Handle,
        at: u64,
        bytes: Range<usize>,
    },
    LengthSet {
        handle: Handle,
        length: u64,
    },
    /// What was written before this is durable after the sync of the same number has ended.
    SyncBegun {
        handle: Handle,
        sync: u64,
    },
    SyncEnded {
        handle: Handle,
        sync: u64,
    },
    /// `sync_file_range`, which promises nothing.
    RangeFlushed {
        handle: Handle,
    },
    FolderMade {
        path: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    Removed {
        path: String,
    },
}

/// What all lives of a node did, one after the other.
#[derive(Debug, Default)]
pub struct Record {
    pub bytes: Vec<u8>,
    pub events: Vec<Event>,
    lives: usize,
}

impl Record {
    /// Adds what one more life has recorded.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        while at < self.bytes.len() {
            let word = |from: usize| u64::from_le_bytes(self.bytes[at + from..at + from + 8].try_into().unwrap());
            let (kind, handle) = (word(0) as u32, (self.lives, (word(0) >> 32) as u32));
            let (offset, length) = (word(8), word(16) as usize);
            let body = at + HEAD..at + HEAD + length;
            let text = || String::from_utf8(self.bytes[body.clone()].to_vec()).unwrap();
            self.events.push(match kind {
                1 => Event::Opened { handle, path: text(), created: offset & 1 != 0, emptied: offset & 2 != 0 },
                2 => Event::Written { handle, at: offset, bytes: body.clone() },
                3 => Event::LengthSet { handle, length: offset },
                4 => Event::SyncBegun { handle, sync: offset },
                5 => Event::SyncEnded { handle, sync: offset },
                6 => Event::RangeFlushed { handle },
                7 => Event::FolderMade { path: text() },
                8 => {
                    let (from, to) = text().split_once('\0').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
                    Event::Renamed { from, to }
                }
                9 => Event::Removed { path: text() },
                other => panic!("record.c does not write events of kind {other}"),
            });
            at = body.end;
        }
        self.lives += 1;
    }
}

/// Compiles record.c into `dir`.
pub fn compile(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cuts/record.c");
    let library = dir.join("record.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-Wall", "-o"]).arg(&library).arg(source).args(["-ldl", "-lpthread"]);
    let status = command.status().expect("a C compiler: the build wants one too");
    assert!(status.success(), "{command:?}");
    library
}
