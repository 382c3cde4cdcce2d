//! A wall clock for each node: a library that is loaded before all others (libfaketime, where the machine has it) reads how
//! far off it is from a file. The system has no other clock for one process: its time namespaces leave the wall clock alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The clocks of a cluster.
#[derive(Debug)]
pub(super) struct Clocks {
    library: PathBuf,
    folder: PathBuf,
}

impl Clocks {
    /// Clocks that are right.
    pub(super) fn right(library: &Path, folder: &Path, nodes: &[u64]) -> io::Result<Self> {
        if !library.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {}", library.display())));
        }
        let clocks = Self { library: library.canonicalize()?, folder: folder.to_owned() };
        for node in nodes {
            clocks.set(*node, 0)?;
        }
        Ok(clocks)
    }

    fn file(&self, node: u64) -> PathBuf {
        self.folder.join(format!("clock-{node}"))
    }

    /// Puts a node's wall clock off by so many milliseconds.
    pub(super) fn set(&self, node: u64, offset_ms: i64) -> io::Result<()> {
        let (sign, off) = (if offset_ms < 0 { '-' } else { '+' }, offset_ms.unsigned_abs());
        // By renaming: a file that is read while it is written would be another time.
        let written = self.file(node).with_extension("new");
        fs::write(&written, format!("{sign}{}.{:03}\n", off / 1_000, off % 1_000))?;
        fs::rename(written, self.file(node))
    }

    /// What a node is started with.
    pub(super) fn environment(&self, node: u64) -> Vec<(String, String)> {
        [
            ("LD_PRELOAD", self.library.to_string_lossy().into_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file(node).to_string_lossy().into_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_put_off_either_way_and_right_again_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("library");
        let missing = Clocks::right(&library, folder.path(), &[1]).unwrap_err().to_string();
        assert!(missing.contains("library"), "{missing}");
        fs::write(&library, "").unwrap();
        let clocks = Clocks::right(&library, folder.path(), &[1]).unwrap();
        let shown = || fs::read_to_string(folder.path().join("clock-1")).unwrap();
        assert_eq!(shown(), "+0.000\n");
        clocks.set(1, -1_250).unwrap();
        assert_eq!(shown(), "-1.250\n");
        clocks.set(1, 4_007).unwrap();
        assert_eq!(shown(), "+4.007\n");
    }
}
