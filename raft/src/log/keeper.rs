//! The keeper of segments: has the next one ready before it is needed, frees those that nobody needs.

use std::io;
use std::sync::Arc;

use holdfast_world::{DiskFile, EndReason};

use super::state::{Shared, State};
use crate::control::{ControlError, SegmentRef};
use crate::segments::{SegmentFile, SegmentSeed, create_zeroed, segment_path};

/// A segment file that is not in use: zeroed once, now full of leftovers.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) number: u32,
    pub(crate) len: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    spares: Vec<Spare>,
    /// Freed, but a reader may still hold them.
    retiring: Vec<Arc<SegmentFile>>,
    next_file: u32,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, spares: Vec<Spare>, next_file: u32) -> Self {
        Self { shared, spares, retiring: Vec::new(), next_file }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let (closed, drained, wants_next, may_free) = {
                let mut state = self.shared.lock();
                let may_free = std::mem::take(&mut state.may_free);
                let wants_next = state.next_segment.is_none() && state.node_damage.is_none();
                (state.closed, state.drained || state.node_damage.is_some(), wants_next, may_free)
            };
            if closed && drained {
                self.shared.lock().is_over = true;
                self.shared.ended.notify_waiters();
                return;
            }
            // The writer may be waiting for the next segment even while the log closes.
            let done = async {
                if wants_next {
                    self.prepare_next().await?;
                }
                if may_free && !closed {
                    self.free().await?;
                }
                self.retire().await?;
                Ok::<(), KeepError>(())
            };
            if let Err(error) = done.await {
                if self.is_not_needed_any_more().await {
                    continue;
                }
                let doing = "prepared or freed a segment of the log".to_owned();
                self.shared.world.end.end(EndReason::DiskFailed { doing, error: error.to_string() });
                std::future::pending::<()>().await;
            }
            self.shared.keeping.notified().await;
        }
    }

    /// Whether the log has been closed and everything in it written: then a segment that could not be readied is no loss,
    /// nor is a folder that is gone.
    async fn is_not_needed_any_more(&self) -> bool {
        loop {
            {
                let state = self.shared.lock();
                if !state.closed || state.drained {
                    return state.closed;
                }
                if state.writer_waits {
                    return false;
                }
            }
            self.shared.keeping.notified().await;
        }
    }

    async fn prepare_next(&mut self) -> Result<(), KeepError> {
        let shared = self.shared.clone();
        let spare = match self.spares.pop() {
            Some(spare) => spare,
            None => {
                let number = self.next_file;
                self.next_file += 1;
                create_spare(&shared, number).await?
            }
        };
        let segment = Arc::new(use_spare(&shared.control, shared.identity, spare).await?);
        shared.lock().next_segment = Some(segment);
        shared.segment_ready.notify_one();
        Ok(())
    }

    /// Takes the oldest segments that no group needs out of use. The control file is told first: from then on their
    /// votes and purged ids stand in it.
    async fn free(&mut self) -> Result<(), KeepError> {
        let unneeded = unneeded(&self.shared.lock());
        let Some(&last) = unneeded.last() else { return Ok(()) };
        self.shared.control.update(move |control| control.segments.retain(|segment| segment.generation > last)).await?;
        let mut state = self.shared.lock();
        for generation in unneeded {
            self.retiring.extend(state.segments.remove(&generation));
        }
        Ok(())
    }

    /// Keeps a few of the freed files for reuse and deletes the rest, once nobody reads them any more.
    async fn retire(&mut self) -> io::Result<()> {
        let (free, held) =
            std::mem::take(&mut self.retiring).into_iter().partition(|file| Arc::strong_count(file) == 1);
        self.retiring = held;
        let free: Vec<Arc<SegmentFile>> = free;
        for segment in free {
            let options = &self.shared.options;
            if self.spares.len() < options.spare_segments && segment.len == options.segment_bytes {
                self.spares.push(Spare { number: segment.number, len: segment.len, file: segment.file.clone() });
            } else {
                self.shared.world.disk.remove_file(&segment_path(&self.shared.dir, segment.number)).await?;
            }
        }
        Ok(())
    }
}

/// The generations, oldest first, that hold nothing any group needs. Never the active one.
fn unneeded(state: &State) -> Vec<u64> {
    if state.truncations_waiting > 0 || state.node_damage.is_some() {
        return Vec::new();
    }
    let needed = state.groups.values().filter_map(super::group::GroupLog::first_generation);
    let oldest_needed = needed.chain(state.evidence_from).min().unwrap_or(u64::MAX).min(state.synced.generation);
    state.segments.keys().copied().take_while(|generation| *generation < oldest_needed).collect()
}

async fn create_spare(shared: &Shared, number: u32) -> io::Result<Spare> {
    let path = segment_path(&shared.dir, number);
    let file = create_zeroed(&*shared.world.disk, &path, shared.options.segment_bytes).await?;
    Ok(Spare { number, len: shared.options.segment_bytes, file })
}

/// Puts a file to a new use: the control file knows of it before anything in it is acknowledged.
pub(crate) async fn use_spare(
    control: &crate::control::Control,
    identity: u128,
    spare: Spare,
) -> Result<SegmentFile, ControlError> {
    let (number, bytes) = (spare.number, spare.len);
    // The keeper, or recovery before it, is the only one that numbers segments.
    let generation = control.read(|control| control.next_segment_generation);
    control
        .update(move |control| {
            control.next_segment_generation = generation + 1;
            control.segments.push(SegmentRef { file: number, generation, bytes });
        })
        .await?;
    Ok(SegmentFile { number, seed: SegmentSeed { identity, generation }, len: bytes, file: spare.file })
}

/// Why a segment could not be prepared or freed.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Control(#[from] ControlError),
}
