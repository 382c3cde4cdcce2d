//! A folder into which other systems put their files: which of them are finished, what each says it is, and where it goes once it is
//! worked. Knows nothing of a cluster.
//!
//! A file is taken when a look finds it as the look before did, so that one that is still being written waits. It is worked first, then
//! its report is written, then it is moved: whoever is killed in between works it again, which applies nothing twice, or finds its
//! report and only moves it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Records;

/// Most names of a folder that one look takes in; the others wait for a later one.
const MOST_SEEN: usize = 10_000;
/// Most files of one name that are kept in a folder of worked files.
const MOST_OF_A_NAME: u32 = 10_000;
/// The lock that keeps a second watcher away.
const LOCK: &str = "LOCK";

/// How a file looked.
type Look = (u64, Option<SystemTime>);

/// A watched folder.
#[derive(Debug)]
pub struct Inbox {
    dir: PathBuf,
    /// What the last look saw, by name.
    seen: BTreeMap<String, Look>,
}

/// Where a worked file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was worked.
    Done,
    /// It could not be used.
    Failed,
}

impl Outcome {
    const fn folder(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A place for a worked file and its report.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the file goes.
    pub file: PathBuf,
    /// Where its report stands.
    pub report: PathBuf,
    /// The report of this very content stands there: an earlier watcher was ended before it moved the file.
    pub is_reported: bool,
}

impl Inbox {
    /// Opens the folder, and makes those of worked files in it.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        for outcome in [Outcome::Done, Outcome::Failed] {
            fs::create_dir_all(dir.join(outcome.folder()))?;
        }
        Ok(Self { dir: dir.to_owned(), seen: BTreeMap::new() })
    }

    /// Looks once. Gives the files that are as the look before saw them, in the order of their names. Those whose names begin with a
    /// dot, or end in `.part` or `.tmp`, are being written.
    ///
    /// # Errors
    ///
    /// The folder cannot be read.
    pub fn look(&mut self) -> io::Result<Vec<PathBuf>> {
        let mut now = BTreeMap::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name == LOCK || name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp") {
                continue;
            }
            // One that is gone by now was somebody else's to take away.
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_file() {
                now.insert(name, (meta.len(), meta.modified().ok()));
            }
            if now.len() > MOST_SEEN {
                now.pop_last();
            }
        }
        let is_finished = |(name, look): &(&String, &Look)| self.seen.get(*name) == Some(*look);
        let finished = now.iter().filter(is_finished).map(|(name, _)| self.dir.join(name)).collect();
        self.seen = now;
        Ok(finished)
    }

    /// Where a file of that name and content goes: the first place of its name that no other content has.
    ///
    /// # Errors
    ///
    /// A report cannot be read, or there are too many files of the name.
    pub fn place(&self, name: &str, content: &str, outcome: Outcome) -> io::Result<Place> {
        let folder = self.dir.join(outcome.folder());
        for number in 0..MOST_OF_A_NAME {
            let name = if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
            let (file, report) = (folder.join(&name), folder.join(format!("{name}.report.json")));
            if file.try_exists()? {
                continue;
            }
            match fs::read(&report) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Place { file, report, is_reported: false });
                }
                Err(error) => return Err(error),
                Ok(bytes) if content_of(&bytes).as_deref() == Some(content) => {
                    return Ok(Place { file, report, is_reported: true });
                }
                Ok(_) => {}
            }
        }
        Err(io::Error::other(format!("{} has {MOST_OF_A_NAME} files named {name}", folder.display())))
    }
}

/// Of which content a report speaks.
fn content_of(report: &[u8]) -> Option<String> {
    let report: serde_json::Value = serde_json::from_slice(report).ok()?;
    Some(report.get("content")?.as_str()?.to_owned())
}

/// Writes a report, whole or not at all.
///
/// # Errors
///
/// The disk failed.
pub fn write_report(path: &Path, report: &serde_json::Value) -> io::Result<()> {
    let unfinished = path.with_extension("json.tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(serde_json::to_string_pretty(report).map_err(io::Error::other)?.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_folder_of(path)
}

/// Moves a file that is worked.
///
/// # Errors
///
/// The disk failed.
pub fn move_to(file: &Path, place: &Path) -> io::Result<()> {
    fs::rename(file, place)?;
    sync_folder_of(place)?;
    sync_folder_of(file)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// What a file says, by the beginning of its name or, where that says nothing, by the columns of its header. Sales and shipments have
/// the same columns: of those the name must say which.
///
/// # Errors
///
/// What it could be, and how to say it.
pub fn kind_of(name: &str, header: &str) -> Result<Records, String> {
    let name = name.to_ascii_lowercase();
    for (word, kind) in [("count", Records::Counts), ("sale", Records::Sales), ("shipment", Records::Shipments)] {
        if name.starts_with(word) {
            return Ok(kind);
        }
    }
    let has = |column: &str| header.split(',').any(|field| field.trim().trim_matches('"') == column);
    match (has("on_hand"), has("order_ref")) {
        (true, false) => Ok(Records::Counts),
        (false, true) => Err("its columns are those of sales and of shipments".to_owned()),
        _ => Err("its columns are those of no kind of file".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[PathBuf]) -> Vec<&str> {
        files.iter().filter_map(|file| file.file_name()?.to_str()).collect()
    }

    #[test]
    fn a_file_is_taken_once_it_stays_as_it_is_and_in_the_order_of_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file is written");
        let mut inbox = Inbox::open(folder.path()).expect("it is opened");
        put("sales-2.csv", "b");
        put("counts-1.csv", "a");
        for unfinished in [".hidden", "next.csv.part", "next.tmp", LOCK] {
            put(unfinished, "c");
        }
        assert_eq!(names(&inbox.look().expect("it is looked at")), Vec::<&str>::new());
        put("sales-2.csv", "b, and more");
        assert_eq!(names(&inbox.look().expect("it is looked at")), ["counts-1.csv"]);
        assert_eq!(names(&inbox.look().expect("it is looked at")), ["counts-1.csv", "sales-2.csv"]);
        assert!(Inbox::open(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn a_name_that_comes_again_takes_no_place_of_another_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = Inbox::open(folder.path()).expect("it is opened");
        let place = |content| inbox.place("a.csv", content, Outcome::Done).expect("a place");
        let first = place("1");
        assert!(first.file.ends_with("done/a.csv") && !first.is_reported);
        write_report(&first.report, &serde_json::json!({"content": "1"})).expect("a report is written");
        // Reported and not moved: the same content goes there, another does not.
        assert!(place("1").is_reported && place("1").file == first.file);
        assert!(place("2").file.ends_with("done/a.csv.1"));
        fs::write(folder.path().join("a.csv"), "text").expect("a file is written");
        move_to(&folder.path().join("a.csv"), &first.file).expect("it is moved");
        assert!(place("1").file.ends_with("done/a.csv.1") && !place("1").is_reported);
    }

    #[test]
    fn a_file_says_what_it_is_by_its_name_or_its_header() {
        assert_eq!(kind_of("Counts-PAR.csv", ""), Ok(Records::Counts));
        assert_eq!(kind_of("shipments_0412.csv.gz", "order_ref,sku,quantity"), Ok(Records::Shipments));
        assert_eq!(kind_of("export.csv", "location,\"sku\",on_hand"), Ok(Records::Counts));
        assert!(kind_of("export.csv", "order_ref,sku,quantity").unwrap_err().contains("sales and of shipments"));
        assert!(kind_of("export.csv", "sku,price").unwrap_err().contains("no kind"));
    }
}
