//! What happened in a run, as lines, and their hash.
//!
//! A line is `<simulated µs> <host> <event>`. Two runs of one seed give the same lines byte for byte; a difference names
//! the first event that was not determined by the seed. Only simulated things may be printed into it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use crate::HostId;

/// The record of one run.
pub struct Trace {
    lines: Mutex<Lines>,
}

struct Lines {
    hash: Xxh3,
    count: u64,
    line: Vec<u8>,
    file: Option<BufWriter<File>>,
}

impl Trace {
    /// A trace that keeps only the hash of its lines.
    #[must_use]
    pub fn new() -> Self {
        Self::keeping(None)
    }

    /// A trace whose lines are also written to a file, which is created or emptied.
    pub fn to_file(path: &Path) -> io::Result<Self> {
        Ok(Self::keeping(Some(BufWriter::new(File::create(path)?))))
    }

    fn keeping(file: Option<BufWriter<File>>) -> Self {
        Self { lines: Mutex::new(Lines { hash: Xxh3::new(), count: 0, line: Vec::new(), file }) }
    }

    /// Records one event.
    ///
    /// # Panics
    /// When the trace's file cannot be written: a shortened trace would look like a difference.
    pub fn record(&self, at: Duration, host: HostId, event: fmt::Arguments<'_>) {
        let mut lines = self.lines.lock().expect("no panic happens while the lines are locked");
        let Lines { hash, count, line, file } = &mut *lines;
        line.clear();
        writeln!(line, "{} {host} {event}", at.as_micros()).expect("a vector takes what is written");
        hash.update(line);
        *count += 1;
        if let Some(file) = file {
            file.write_all(line).expect("the trace's file can be written");
        }
    }

    /// The hash of the lines so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.lines.lock().expect("no panic happens while the lines are locked").hash.digest()
    }

    /// How many lines there are so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lines.lock().expect("no panic happens while the lines are locked").count
    }

    /// Writes what is still buffered to the file, if there is one.
    pub fn flush(&self) -> io::Result<()> {
        let mut lines = self.lines.lock().expect("no panic happens while the lines are locked");
        lines.file.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} lines)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_time_host_event_and_order() {
        let hash = |events: &[(u64, u64, &str)]| {
            let trace = Trace::new();
            for (at, host, event) in events {
                trace.record(Duration::from_micros(*at), HostId(*host), format_args!("{event}"));
            }
            trace.hash()
        };
        let base = hash(&[(1, 1, "a"), (2, 1, "b")]);
        assert_eq!(base, hash(&[(1, 1, "a"), (2, 1, "b")]));
        for other in [[(1, 1, "b"), (2, 1, "a")], [(1, 2, "a"), (2, 1, "b")], [(0, 1, "a"), (2, 1, "b")]] {
            assert_ne!(base, hash(&other));
        }
    }
}
