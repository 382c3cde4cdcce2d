//! What can happen to a node's folder while the node is down.

use std::fs;
use std::path::{Path, PathBuf};

/// Flips one bit of a file.
pub fn flip_a_bit(file: &Path, offset: u64) {
    let mut bytes = fs::read(file).expect("the file is read");
    let at = usize::try_from(offset).expect("an offset in memory") % bytes.len();
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("the file is written");
}

/// Cuts a file.
pub fn truncate(file: &Path, len: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).expect("the file is opened");
    file.set_len(len).expect("the file is cut");
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is made");
    for entry in fs::read_dir(from).expect("the folder is read") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target);
        } else {
            fs::copy(&source, &target).expect("the file is copied");
        }
    }
}

/// The file of a folder whose name sorts last among those that start with `prefix`.
pub fn newest_file(dir: &Path, prefix: &str) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the folder is read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    files.sort();
    files.pop().expect("a file of that prefix")
}
