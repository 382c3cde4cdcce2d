//! Mending entries that have rotted: which they are, who waits for them, and copies put in their place.
//!
//! A copy is taken only if it is what was written here: the entry's row, which a checksum of its own vouches for, still tells
//! kind, length and checksum of what has rotted. Nobody's word is believed beyond that.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};

use super::damage::Damage;
use super::format::Row;
use super::group::Place;
use super::handle::Log;
use super::ids::{GroupId, LogId};
use super::record::{AppendError, LogRecord};
use super::state::{Command, RotCounts, cost_of};

/// What became of copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mended {
    /// The entries that have a new copy, durably.
    pub mended: Vec<LogId>,
    /// Copies that bear the id of a rotten entry and are not what was written here.
    pub refused: Vec<LogId>,
}

/// Whether a record is what a row says that was written.
fn is_as_written(row: Row, record: &LogRecord) -> bool {
    row.kind == record.kind && row.len as usize == record.payload.len() && row.crc == crc32c::crc32c(&record.payload)
}

impl Log {
    /// Puts copies in the place of rotten entries; ready once they are durable. Copies of what is not rotten here, or is not
    /// here at all, are ignored, those that are not what was written here are refused. Works on damaged groups; the damage is
    /// over when nothing in it is left ([`Log::damage`]).
    ///
    /// # Errors
    /// What is not in the answer was not written.
    pub async fn repair(&self, group: GroupId, copies: Vec<LogRecord>) -> Result<Mended, AppendError> {
        let mut answer = Mended::default();
        for copy in copies {
            let id = copy.id();
            let fits = {
                let state = self.shared().lock();
                let Some(log) = state.groups.get(&group) else { continue };
                let is_lost = log.damage.as_ref().is_some_and(|damage| damage.lost.contains(&id));
                let Some(slot) = log.slot(id.index).filter(|_| is_lost && log.id(id.index) == Some(id)) else {
                    continue;
                };
                is_as_written(slot.row, &copy)
            };
            if !fits {
                answer.refused.push(id);
                continue;
            }
            self.put_copy(group, copy).await?;
            answer.mended.push(id);
        }
        Ok(answer)
    }

    /// Writes an entry of which the copy on the disk has rotted from memory, where it is there as it was written. Says whether
    /// it was.
    ///
    /// # Errors
    /// Nothing was written.
    pub(super) async fn mend_from_memory(&self, group: GroupId, id: LogId) -> Result<bool, AppendError> {
        let copy = {
            let mut state = self.shared().lock();
            let Some(log) = state.groups.get(&group).filter(|log| log.id(id.index) == Some(id)) else {
                return Ok(false);
            };
            let Some((slot, body)) = log.slot(id.index).zip(log.body(id.index)) else { return Ok(false) };
            let LogId { term, leader_node, index } = id;
            let copy = LogRecord { index, term, leader_node, kind: slot.row.kind, payload: body.clone() };
            let is_written = matches!(slot.place, Place::Written { .. });
            if !is_written || !is_as_written(slot.row, &copy) {
                return Ok(false);
            }
            state.rot.found += 1;
            copy
        };
        self.put_copy(group, copy).await?;
        Ok(true)
    }

    async fn put_copy(&self, group: GroupId, copy: LogRecord) -> Result<(), AppendError> {
        let room = self.room(cost_of(std::slice::from_ref(&copy))).await?;
        let durable = {
            let mut state = self.shared().lock();
            if state.closed {
                return Err(AppendError::Closed);
            }
            if state.node_damage.is_some() {
                return Err(AppendError::Damaged { group });
            }
            let (done, durable) = oneshot::channel();
            state.queue.push_back(Command::Repair { group, records: vec![copy], done });
            durable
        };
        room.forget();
        self.shared().queued.notify_one();
        durable.await.map_err(|_| AppendError::Closed)
    }

    /// From now on what rots of the group is mended by the caller while the group runs: it may be written to meanwhile, and who
    /// reads a rotten entry may wait for it with [`Log::is_mended`]. To be called only for a group that is whole.
    pub fn attend(&self, group: GroupId) {
        self.shared().lock().attended.insert(group);
    }

    /// Nobody mends anything any more: who waits is told so.
    pub fn attend_none(&self) {
        self.shared().lock().attended.clear();
        self.shared().mended.notify_waiters();
    }

    /// Told when something has rotted.
    #[must_use]
    pub fn rot_found(&self) -> Arc<Notify> {
        self.shared().rot_found.clone()
    }

    /// The attended groups that are damaged.
    #[must_use]
    pub fn to_be_mended(&self) -> Vec<GroupId> {
        let state = self.shared().lock();
        state.attended.iter().copied().filter(|group| state.damage(*group).is_some()).collect()
    }

    /// Waits while the group is damaged and attended; then says whether it is whole.
    pub async fn is_mended(&self, group: GroupId) -> bool {
        loop {
            let mended = self.shared().mended.notified();
            tokio::pin!(mended);
            // Listens before the state is looked at, so that no word slips between.
            mended.as_mut().enable();
            {
                let state = self.shared().lock();
                if !state.is_damaged(group) {
                    return true;
                }
                if state.closed || !state.attended.contains(&group) {
                    return false;
                }
            }
            mended.await;
        }
    }

    /// Whether copies from peers could mend all that is wrong with the group.
    #[must_use]
    pub fn is_mendable(&self, group: GroupId) -> bool {
        self.shared().lock().damage(group).is_some_and(Damage::is_repairable)
    }

    /// What was found rotten since the log was opened.
    #[must_use]
    pub fn rot_counts(&self) -> RotCounts {
        self.shared().lock().rot
    }

    /// Has the writer leave the segments up to `generation` behind; ready once the next one is in use. The groups whose first
    /// entries keep those segments from being freed.
    ///
    /// # Errors
    /// The log is closed.
    pub async fn leave_behind(&self, generation: u64) -> Result<Vec<GroupId>, AppendError> {
        let (done, durable) = oneshot::channel();
        let report = move |_| {
            // The waiter may be gone.
            let _ = done.send(());
        };
        {
            let mut state = self.shared().lock();
            if state.closed || state.node_damage.is_some() {
                return Err(AppendError::Closed);
            }
            state.leave_behind = state.leave_behind.max(Some(generation));
            // A batch without anything in it takes the writer over.
            if !state.push_nothing(Box::new(report)) {
                return Ok(Vec::new());
            }
        }
        self.shared().queued.notify_one();
        durable.await.map_err(|_| AppendError::Closed)?;
        let mut state = self.shared().lock();
        // Else they go when something is purged next.
        state.may_free = true;
        let pinning = state.groups.iter().filter(|(_, log)| log.first_generation().is_some_and(|it| it <= generation));
        let pinning = pinning.map(|(group, _)| *group).collect();
        drop(state);
        self.shared().keeping.notify_one();
        Ok(pinning)
    }

    /// Whether a segment is still in use.
    #[must_use]
    pub fn has_segment(&self, generation: u64) -> bool {
        self.shared().lock().segments.contains_key(&generation)
    }
}
