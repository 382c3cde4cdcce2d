//! What can happen to a node's folder while the node is down, or runs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

/// The file of a folder that was written to last, of those that hold anything.
pub fn last_written(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).expect("the folder is read").map(|entry| entry.expect("an entry").path());
    let used = files.filter(|path| path.is_file() && used_bytes(path).is_some());
    used.max_by_key(|path| fs::metadata(path).and_then(|meta| meta.modified()).expect("a time of change"))
        .expect("a file that was written to")
}

/// An offset amid what a file holds: as many bytes that are not zero lie before it as behind it.
pub fn amid_the_used(file: &Path) -> u64 {
    let (offsets, middle) = used_bytes(file).expect("a file that holds something");
    offsets[middle]
}

fn used_bytes(file: &Path) -> Option<(Vec<u64>, usize)> {
    let bytes = fs::read(file).expect("the file is read");
    let offsets: Vec<u64> = (0_u64..).zip(&bytes).filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let middle = offsets.len() / 2;
    (!offsets.is_empty()).then_some((offsets, middle))
}

/// Flips one bit in every copy of a text that a file holds; says how many there were.
pub fn flip_in_every(file: &Path, text: &str) -> usize {
    let places = places(file, text);
    flip(file, &places);
    places.len()
}

/// Flips one bit in one copy of a text, as many copies before it as behind; false where the file does not hold the text.
pub fn flip_amid(file: &Path, text: &str) -> bool {
    let places = places(file, text);
    let middle = places.get(places.len() / 2).copied();
    flip(file, middle.as_slice());
    middle.is_some()
}

fn places(file: &Path, text: &str) -> Vec<usize> {
    let bytes = fs::read(file).expect("the file is read");
    let windows = bytes.windows(text.len()).enumerate();
    windows.filter(|(_, window)| *window == text.as_bytes()).map(|(at, _)| at).collect()
}

fn flip(file: &Path, places: &[usize]) {
    let bytes = fs::read(file).expect("the file is read");
    let file = fs::File::options().write(true).open(file).expect("the file is opened");
    for place in places {
        // This byte alone: the node that owns the file may be writing others.
        file.write_all_at(&[bytes[*place] ^ 1], *place as u64).expect("the file is written");
    }
}
