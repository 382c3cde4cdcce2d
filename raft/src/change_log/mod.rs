//! The change log of one group: the events of its shard, in append-only files, read in order and never changed.
//!
//! Promises: what [`ChangeLog::sync_through`] has covered is there after any crash; sequences have no gaps; every event
//! read back has passed its checksum. Events after the last checkpoint may be lost in a crash: [`ChangeLog::open`] cuts
//! back to the checkpoint and replay of the log writes them again.
//! Leaves to others: what an event means, the hash chain over them, and fetching what is missing from a peer.

mod format;
mod retention;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use holdfast_inventory::Frontier;
use holdfast_world::{DiskFile, EndReason, OpenMode, World};

use crate::log::GroupId;
use format::{Header, Scan, encode_event, file_path, first_seq_of, hash_of};

/// Events are written to the file when this many bytes of them have gathered.
const BUFFER_BYTES: usize = 256 << 10;
/// Distance between remembered places in a file, in bytes.
const MARK_EVERY: u64 = 64 << 10;
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// The largest event, in bytes.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// The limits of a change log.
#[derive(Clone, Debug)]
pub struct ChangeLogOptions {
    /// A new file is begun when one has this many bytes.
    pub file_bytes: u64,
    /// The oldest files are deleted while all together have more than this many bytes.
    pub retention_bytes: u64,
}

impl Default for ChangeLogOptions {
    fn default() -> Self {
        Self { file_bytes: 16 << 20, retention_bytes: 1 << 30 }
    }
}

/// Why a change log could not be opened, read or appended to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeLogError {
    /// It ends before the checkpoint it was synced for: files are gone or rotten.
    #[error("the change log of group {group} ends at {found}, before the checkpoint's {wanted}")]
    EndsEarly {
        /// The group.
        group: GroupId,
        /// The last sequence found whole.
        found: u64,
        /// The sequence of the checkpoint.
        wanted: u64,
    },
    /// Its events up to the checkpoint are others than those of the checkpoint.
    #[error("the change log of group {group} has another history than the checkpoint at {seq}")]
    OtherHistory {
        /// The group.
        group: GroupId,
        /// The sequence of the checkpoint.
        seq: u64,
    },
    /// Events are rotten from here on.
    #[error("the change log of group {group} is damaged at {seq}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// The first sequence that is not whole.
        seq: u64,
    },
    /// An append that does not follow the last one.
    #[error("event {seq} of group {group} does not follow {last}")]
    NotConsecutive {
        /// The group.
        group: GroupId,
        /// The sequence offered.
        seq: u64,
        /// The last one held.
        last: u64,
    },
    /// An event larger than [`MAX_EVENT_BYTES`].
    #[error("an event of {bytes} bytes is too large")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The events asked for were dropped by retention.
    #[error("events before {floor} of group {group} are not kept any more")]
    BelowFloor {
        /// The group.
        group: GroupId,
        /// The first sequence there is.
        floor: u64,
    },
    /// The disk failed.
    #[error("the change log: {0}")]
    Io(#[from] io::Error),
}

/// One event as it lies in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its place in the group's change log, from 1, without gaps.
    pub seq: u64,
    /// The encoded event.
    pub bytes: Bytes,
}

/// The open change log of a group. Cheap to clone; one task appends, any number read.
#[derive(Clone, Debug)]
pub struct ChangeLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    world: World,
    dir: PathBuf,
    group: GroupId,
    header_identity: u128,
    options: ChangeLogOptions,
    state: Mutex<State>,
    /// Held while files are written: flushes and syncs go one after the other.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// By first sequence.
    files: BTreeMap<u64, ChangeFile>,
    /// Encoded events that are in no file yet.
    buffer: Vec<u8>,
    /// The sequence of the first of them, or of the next event.
    buffer_first: u64,
    /// All events before that one, as a tree: what a file that begins with it says.
    before_buffer: Frontier,
    next_seq: u64,
    /// All events, as a tree.
    tree: Frontier,
    synced_through: u64,
    dir_is_synced: bool,
}

#[derive(Clone, Debug)]
struct ChangeFile {
    file: Arc<dyn DiskFile>,
    len: u64,
    /// Places to begin reading: (sequence, offset), rising.
    marks: Vec<(u64, u64)>,
    is_synced: bool,
}

impl ChangeLog {
    /// Begins an empty change log in `dir` whose first event will be the one after those of `after`: for a fresh group (none), or
    /// one that was filled by a snapshot. Files that are there are set aside under other names.
    ///
    /// # Errors
    /// The disk failed.
    pub async fn begin(
        world: &World,
        dir: &Path,
        group: GroupId,
        identity: u128,
        options: ChangeLogOptions,
        after: Frontier,
    ) -> Result<Self, ChangeLogError> {
        world.disk.create_dir_all(dir).await?;
        if let Some(parent) = dir.parent() {
            world.disk.sync_dir(parent).await?;
        }
        retention::set_aside(world, dir).await?;
        Ok(Self::build(world, dir, group, identity, options, BTreeMap::new(), after))
    }

    /// Opens the change log in `dir` and cuts it back to the checkpoint's sequence. `identity` is that of the node's log, `checkpoint`
    /// the tree of all events that the checkpoint has.
    ///
    /// # Errors
    /// [`ChangeLogError::EndsEarly`] if the checkpoint's sequence is not reached, [`ChangeLogError::OtherHistory`] if its events are
    /// others: fetch the files from a peer, or [`ChangeLog::begin`] after the checkpoint and state the floor.
    pub async fn open(
        world: &World,
        dir: &Path,
        group: GroupId,
        identity: u128,
        options: ChangeLogOptions,
        checkpoint: Frontier,
    ) -> Result<Self, ChangeLogError> {
        let checkpoint_seq = checkpoint.size();
        if !world.disk.exists(dir).await? || checkpoint_seq == 0 {
            if checkpoint_seq == 0 {
                return Self::begin(world, dir, group, identity, options, checkpoint).await;
            }
            return Err(ChangeLogError::EndsEarly { group, found: 0, wanted: checkpoint_seq });
        }
        let mut firsts = Vec::new();
        for path in world.disk.list(dir).await? {
            match first_seq_of(&path) {
                Some(first) if first <= checkpoint_seq => firsts.push(first),
                Some(_) => world.disk.remove_file(&path).await?,
                None => {}
            }
        }
        let Some(&last_first) = firsts.last() else {
            return Err(ChangeLogError::EndsEarly { group, found: 0, wanted: checkpoint_seq });
        };
        let mut files = BTreeMap::new();
        for first in firsts {
            let file = world.disk.open(&file_path(dir, first), OpenMode::ReadWrite).await?;
            let len = file.len().await?;
            files.insert(first, ChangeFile { file, len, marks: vec![(first, Header::LEN)], is_synced: true });
        }
        let log = Self::build(world, dir, group, identity, options, files, checkpoint);
        log.cut_last(last_first, checkpoint_seq).await?;
        Ok(log)
    }

    fn build(
        world: &World,
        dir: &Path,
        group: GroupId,
        header_identity: u128,
        options: ChangeLogOptions,
        files: BTreeMap<u64, ChangeFile>,
        tree: Frontier,
    ) -> Self {
        let last = tree.size();
        let state = State {
            files,
            buffer: Vec::new(),
            buffer_first: last + 1,
            before_buffer: tree.clone(),
            next_seq: last + 1,
            tree,
            synced_through: last,
            dir_is_synced: true,
        };
        let (world, dir) = (world.clone(), dir.to_owned());
        let (state, writing) = (Mutex::new(state), tokio::sync::Mutex::new(()));
        Self { shared: Arc::new(Shared { world, dir, group, header_identity, options, state, writing }) }
    }

    /// Cuts the last file after `seq`.
    async fn cut_last(&self, first: u64, seq: u64) -> Result<(), ChangeLogError> {
        let file = self.file(first);
        let mut scan = self.scan(first, &file, first, Header::LEN);
        let group = self.shared.group;
        let mut marks = vec![(first, Header::LEN)];
        let mut tree = scan.before().await?.cloned().unwrap_or_default();
        while scan.next_seq() <= seq {
            let at = scan.offset();
            if marks.last().is_some_and(|(_, last)| at >= last + MARK_EVERY) {
                marks.push((scan.next_seq(), at));
            }
            let Some(change) = scan.next().await? else {
                return Err(ChangeLogError::EndsEarly { group, found: scan.next_seq() - 1, wanted: seq });
            };
            tree.push(hash_of(&change.bytes));
        }
        if tree != self.shared.lock().tree {
            return Err(ChangeLogError::OtherHistory { group, seq });
        }
        let len = scan.offset();
        file.file.set_len(len).await?;
        file.file.sync_data().await?;
        let mut state = self.shared.lock();
        if let Some(file) = state.files.get_mut(&first) {
            (file.len, file.marks) = (len, marks);
        }
        Ok(())
    }

    /// Appends the event `seq`. It is buffered, now and then written, and synced only by [`ChangeLog::sync_through`].
    ///
    /// # Errors
    /// Nothing was taken.
    pub async fn append(&self, seq: u64, event: &[u8]) -> Result<(), ChangeLogError> {
        if event.len() > MAX_EVENT_BYTES {
            return Err(ChangeLogError::TooLarge { bytes: event.len() });
        }
        let is_full = {
            let mut state = self.shared.lock();
            if seq != state.next_seq {
                let last = state.next_seq - 1;
                return Err(ChangeLogError::NotConsecutive { group: self.shared.group, seq, last });
            }
            encode_event(self.shared.header_identity, self.shared.group, seq, event, &mut state.buffer);
            state.tree.push(hash_of(event));
            state.next_seq += 1;
            state.buffer.len() >= BUFFER_BYTES
        };
        if is_full {
            self.flush().await;
        }
        Ok(())
    }

    /// The last sequence appended; 0 if there was none ever.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.shared.lock().next_seq - 1
    }

    /// The first sequence that can be read; one past the last if there is none.
    #[must_use]
    pub fn floor(&self) -> u64 {
        let state = self.shared.lock();
        state.files.keys().next().copied().unwrap_or(state.buffer_first)
    }

    /// Everything up to here is durable.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.shared.lock().synced_through
    }

    /// Makes the events up to and with `seq` durable, then lets retention delete old files. To be awaited where it may
    /// block. A sync that fails ends the process.
    pub async fn sync_through(&self, seq: u64) {
        if self.synced() >= seq {
            return;
        }
        self.flush().await;
        let _writing = self.shared.writing.lock().await;
        let (files, dir_is_synced, through) = {
            let state = self.shared.lock();
            let unsynced = state.files.iter().filter(|(_, file)| !file.is_synced);
            let files: Vec<_> = unsynced.map(|(&first, file)| (first, file.file.clone())).collect();
            (files, state.dir_is_synced, state.buffer_first - 1)
        };
        for (_, file) in &files {
            self.shared.or_end("synced a change log", file.sync_data().await).await;
        }
        if !dir_is_synced {
            let synced = self.shared.world.disk.sync_dir(&self.shared.dir).await;
            self.shared.or_end("synced the folder of a change log", synced).await;
        }
        {
            let mut state = self.shared.lock();
            for (first, _) in files {
                if let Some(file) = state.files.get_mut(&first) {
                    file.is_synced = true;
                }
            }
            state.dir_is_synced = true;
            state.synced_through = through;
        }
        retention::enforce(&self.shared).await;
    }

    /// Up to `limit` events from `from` on, in order; fewer at the end of the log. None if `from` is past the end.
    ///
    /// # Errors
    /// [`ChangeLogError::BelowFloor`] if retention has dropped `from`, [`ChangeLogError::Damaged`] if an event is rotten.
    pub async fn read(&self, from: u64, limit: usize) -> Result<Vec<Change>, ChangeLogError> {
        let (last, buffer_first) = {
            let state = self.shared.lock();
            (state.next_seq - 1, state.buffer_first)
        };
        let end = from.saturating_add(limit as u64).min(last + 1);
        if from < self.floor() {
            return Err(ChangeLogError::BelowFloor { group: self.shared.group, floor: self.floor() });
        }
        if end > buffer_first {
            self.flush().await;
        }
        let mut changes = Vec::new();
        let mut seq = from;
        while seq < end {
            let Some((first, file)) = self.file_with(seq) else {
                return Err(ChangeLogError::BelowFloor { group: self.shared.group, floor: self.floor() });
            };
            let at = file.marks.partition_point(|(mark, _)| *mark <= seq);
            let (mark, offset) = file.marks[at.saturating_sub(1)];
            let mut scan = self.scan(first, &file, mark, offset);
            while seq < end {
                let Some(change) = scan.next().await? else { break };
                if change.seq == seq {
                    seq += 1;
                    changes.push(change);
                }
            }
            let is_last = self.file_with(seq).is_none_or(|(next, _)| next == first);
            if seq < end && is_last {
                return Err(ChangeLogError::Damaged { group: self.shared.group, seq });
            }
        }
        Ok(changes)
    }

    /// The tree of the events before a place that is at most `seq`, as near to it as is known without reading events: the next one
    /// to read is the one after it.
    ///
    /// # Errors
    /// [`ChangeLogError::BelowFloor`] if retention has dropped `seq`, [`ChangeLogError::Damaged`] if the header is rotten.
    pub async fn tree_before(&self, seq: u64) -> Result<Frontier, ChangeLogError> {
        let group = self.shared.group;
        let Some((first, file)) = self.file_with(seq) else {
            let before = self.shared.lock().before_buffer.clone();
            if seq > before.size() {
                return Ok(before);
            }
            return Err(ChangeLogError::BelowFloor { group, floor: self.floor() });
        };
        let mut scan = self.scan(first, &file, first, Header::LEN);
        let before = scan.before().await?.cloned();
        before.ok_or(ChangeLogError::Damaged { group, seq: first })
    }

    /// Reads everything back and checks it.
    ///
    /// # Errors
    /// [`ChangeLogError::Damaged`] with the first event that is not whole.
    pub async fn verify(&self) -> Result<(), ChangeLogError> {
        let mut seq = self.floor();
        loop {
            match self.read(seq, 1_024).await {
                Ok(changes) if changes.is_empty() => return Ok(()),
                Ok(changes) => seq += changes.len() as u64,
                // Retention went on meanwhile.
                Err(ChangeLogError::BelowFloor { floor, .. }) if floor > seq => seq = floor,
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is buffered, without a sync.
    async fn flush(&self) {
        let _writing = self.shared.writing.lock().await;
        let (buffer, before, tree, current) = {
            let mut state = self.shared.lock();
            if state.buffer.is_empty() {
                return;
            }
            let current = state.files.iter().next_back().map(|(&first, file)| (first, file.clone()));
            (std::mem::take(&mut state.buffer), state.before_buffer.clone(), state.tree.clone(), current)
        };
        let first_seq = before.size() + 1;
        let current = match current {
            Some((first, file)) if file.len < self.shared.options.file_bytes => (first, file),
            _ => {
                let created = self.create_file(&before).await;
                (first_seq, self.shared.or_end("created a change log file", created).await)
            }
        };
        let (first, mut file) = current;
        let written = file.file.write_all_at(&buffer, file.len).await;
        self.shared.or_end("wrote a change log", written).await;
        if file.marks.last().is_none_or(|(_, last)| file.len >= last + MARK_EVERY) {
            file.marks.push((first_seq, file.len));
        }
        file.len += buffer.len() as u64;
        file.is_synced = false;
        let mut state = self.shared.lock();
        state.dir_is_synced &= state.files.contains_key(&first);
        state.files.insert(first, file);
        // Nothing was appended meanwhile that the buffer had, but more may have come.
        state.buffer_first = tree.size() + 1;
        state.before_buffer = tree;
    }

    /// Begins a file with the event after those of `before`.
    async fn create_file(&self, before: &Frontier) -> io::Result<ChangeFile> {
        let first = before.size() + 1;
        let path = file_path(&self.shared.dir, first);
        if self.shared.world.disk.exists(&path).await? {
            self.shared.world.disk.remove_file(&path).await?;
        }
        let file = self.shared.world.disk.open(&path, OpenMode::CreateNew).await?;
        let header = Header { identity: self.shared.header_identity, group: self.shared.group, first };
        file.write_all_at(&header.encode(before), 0).await?;
        Ok(ChangeFile { file, len: Header::LEN, marks: vec![(first, Header::LEN)], is_synced: false })
    }

    fn file(&self, first: u64) -> ChangeFile {
        self.shared.lock().files.get(&first).cloned().expect("the caller has it from the list")
    }

    /// The file that holds `seq`, if it is written.
    fn file_with(&self, seq: u64) -> Option<(u64, ChangeFile)> {
        let state = self.shared.lock();
        let (&first, file) = state.files.range(..=seq).next_back()?;
        (seq < state.buffer_first).then(|| (first, file.clone()))
    }

    fn scan(&self, first: u64, file: &ChangeFile, seq: u64, offset: u64) -> Scan {
        let header = Header { identity: self.shared.header_identity, group: self.shared.group, first };
        Scan::new(file.file.clone(), header, file.len, seq, offset)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of writing, or the end of the process.
    async fn or_end<T>(&self, doing: &str, result: io::Result<T>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => {
                let doing = format!("{doing} of group {}", self.group);
                self.world.end.end(EndReason::DiskFailed { doing, error: error.to_string() });
                std::future::pending().await
            }
        }
    }
}
