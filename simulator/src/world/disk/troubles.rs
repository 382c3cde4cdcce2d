//! What a drive may answer instead of doing what it was asked: errors, no room, slowness; and the operation in which its
//! machine goes down.

use std::io;
use std::sync::{Mutex, MutexGuard};

use crate::Crash;

/// `EIO` and `ENOSPC`, as Linux numbers them.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How long a sync takes on a healthy drive, in milliseconds.
const SYNC_MS: (u64, u64) = (1, 2);

/// How a read fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFailure {
    /// The drive cannot read the place.
    Error,
    /// The file seems to end before what was asked for.
    Short,
}

#[derive(Debug)]
pub(super) struct Troubles(Mutex<State>);

#[derive(Debug)]
struct State {
    operations: u64,
    crash_at: Option<(u64, Crash)>,
    /// The machine is down; the simulation takes the process away at the end of its turn.
    crashed: Option<Crash>,
    reads: u64,
    fail_read_at: Option<(u64, ReadFailure)>,
    is_full: bool,
    sync_ms: (u64, u64),
    syncs_ended: u64,
    fail_sync_at: Option<u64>,
    /// What the present process was told of a failed sync.
    failed: Option<String>,
    syncs_failed: u64,
    syncs_retried: u64,
}

impl Troubles {
    pub(super) fn none() -> Self {
        Self(Mutex::new(State {
            operations: 0,
            crash_at: None,
            crashed: None,
            reads: 0,
            fail_read_at: None,
            is_full: false,
            sync_ms: SYNC_MS,
            syncs_ended: 0,
            fail_sync_at: None,
            failed: None,
            syncs_failed: 0,
            syncs_retried: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic happens while the troubles are locked")
    }

    pub(super) fn crash_in(&self, operations: u64, crash: Crash) {
        let mut state = self.state();
        state.crash_at = Some((state.operations + operations, crash));
    }

    /// Counts an operation: whether the machine goes down before it is done.
    pub(super) fn goes_down(&self) -> bool {
        let mut state = self.state();
        state.operations += 1;
        let Some((at, crash)) = state.crash_at else { return state.crashed.is_some() };
        if state.operations >= at {
            (state.crash_at, state.crashed) = (None, Some(crash));
        }
        state.crashed.is_some()
    }

    /// How the machine went down in an operation, once.
    pub(super) fn take_crash(&self) -> Option<Crash> {
        self.state().crashed.take()
    }

    /// A new process knows nothing of what the last one was told.
    pub(super) fn process_ended(&self) {
        let mut state = self.state();
        state.failed = None;
        state.crash_at = None;
    }

    pub(super) fn fail_read(&self, nth: u64, failure: ReadFailure) {
        let mut state = self.state();
        state.fail_read_at = Some((state.reads + nth, failure));
    }

    pub(super) fn read(&self) -> io::Result<()> {
        let mut state = self.state();
        state.reads += 1;
        let reads = state.reads;
        let Some((_, failure)) = state.fail_read_at.take_if(|(at, _)| *at <= reads) else { return Ok(()) };
        Err(match failure {
            ReadFailure::Error => io::Error::from_raw_os_error(EIO),
            ReadFailure::Short => io::Error::from(io::ErrorKind::UnexpectedEof),
        })
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Whether there is room for more.
    pub(super) fn room(&self) -> io::Result<()> {
        if self.state().is_full { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    }

    pub(super) fn set_sync_ms(&self, least: u64, most: u64) {
        self.state().sync_ms = (least, most);
    }

    pub(super) fn fail_sync(&self, nth: u64) {
        let mut state = self.state();
        state.fail_sync_at = Some(state.syncs_ended + nth);
    }

    /// No error that was set waits any more, there is room, and syncs are quick.
    pub(super) fn heal(&self) {
        let mut state = self.state();
        (state.fail_read_at, state.fail_sync_at, state.crash_at) = (None, None, None);
        (state.is_full, state.sync_ms) = (false, SYNC_MS);
    }

    /// A sync of `what` begins: the bounds of its time.
    pub(super) fn begin_sync(&self, what: &str) -> (u64, u64) {
        let mut state = self.state();
        if state.failed.as_deref() == Some(what) {
            state.syncs_retried += 1;
        }
        state.sync_ms
    }

    /// A sync of `what` ends: whether it is one that fails.
    pub(super) fn end_sync(&self, what: &str) -> io::Result<()> {
        let mut state = self.state();
        state.syncs_ended += 1;
        if state.fail_sync_at != Some(state.syncs_ended) {
            return Ok(());
        }
        state.fail_sync_at = None;
        state.failed = Some(what.to_owned());
        state.syncs_failed += 1;
        Err(io::Error::from_raw_os_error(EIO))
    }

    pub(super) fn syncs_ended(&self) -> u64 {
        self.state().syncs_ended
    }

    pub(super) fn syncs_failed(&self) -> u64 {
        self.state().syncs_failed
    }

    pub(super) fn syncs_retried(&self) -> u64 {
        self.state().syncs_retried
    }
}
