//! What waits to be sent on one stream, bounded.
//!
//! Two queues: what is urgent goes first. Appends wait for room in bytes and frames before they enter; what is urgent is
//! small and never waits: too much of it is an error, since then the other side has stopped reading.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::meter;

/// Frames of one stream that wait to be sent.
#[derive(Debug)]
pub(super) struct Outbox<F> {
    queues: Mutex<Queues<F>>,
    filled: Notify,
    room: Arc<Semaphore>,
    /// Room that a frame takes at least, so that many small ones are bounded too.
    least_room: usize,
    whole_room: usize,
    urgent_limit: usize,
}

#[derive(Debug)]
struct Queues<F> {
    urgent: VecDeque<Waiting<F>>,
    appends: VecDeque<Waiting<F>>,
    closed: bool,
    /// Frames that were ever entered.
    entered: u64,
}

#[derive(Debug)]
struct Waiting<F> {
    frame: F,
    bytes: usize,
    session: u64,
    _room: Option<OwnedSemaphorePermit>,
}

/// The stream takes nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OutboxError {
    /// It has ended.
    #[error("the stream has ended")]
    Closed,
    /// The other side does not read.
    #[error("the peer does not read what it is sent: {0} frames wait")]
    Full(usize),
}

/// Room for one append.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

impl<F> Outbox<F> {
    pub(super) fn new(bytes: usize, frames: usize, urgent_limit: usize) -> Self {
        let whole_room = bytes.min(u32::MAX as usize).max(1);
        Self {
            queues: Mutex::new(Queues { urgent: VecDeque::new(), appends: VecDeque::new(), closed: false, entered: 0 }),
            filled: Notify::new(),
            room: Arc::new(Semaphore::new(whole_room)),
            least_room: (whole_room / frames.max(1)).max(1),
            whole_room,
            urgent_limit,
        }
    }

    fn queues(&self) -> MutexGuard<'_, Queues<F>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room for an append of so many bytes; who came first is served first.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room, OutboxError> {
        let room = u32::try_from(bytes.clamp(self.least_room, self.whole_room)).unwrap_or(u32::MAX);
        let permit = self.room.clone().acquire_many_owned(room).await.map_err(|_| OutboxError::Closed)?;
        Ok(Room(permit))
    }

    /// Enters an append of a session.
    pub(super) fn append(&self, room: Room, session: u64, frame: F, bytes: usize) -> Result<(), OutboxError> {
        let mut queues = self.queues();
        if queues.closed {
            return Err(OutboxError::Closed);
        }
        queues.entered += 1;
        queues.appends.push_back(Waiting { frame, bytes, session, _room: Some(room.0) });
        drop(queues);
        self.filled.notify_one();
        Ok(())
    }

    /// Enters what goes before all appends.
    pub(super) fn urgent(&self, frame: F, bytes: usize) -> Result<(), OutboxError> {
        let mut queues = self.queues();
        if queues.closed {
            return Err(OutboxError::Closed);
        }
        if queues.urgent.len() >= self.urgent_limit {
            return Err(OutboxError::Full(queues.urgent.len()));
        }
        queues.entered += 1;
        queues.urgent.push_back(Waiting { frame, bytes, session: 0, _room: None });
        drop(queues);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes back the appends of a session that have not left yet.
    pub(super) fn withdraw(&self, session: u64) {
        self.queues().appends.retain(|waiting| waiting.session != session);
    }

    /// Nothing enters any more, and what waits is dropped.
    pub(super) fn close(&self) {
        let mut queues = self.queues();
        queues.closed = true;
        queues.urgent.clear();
        queues.appends.clear();
        drop(queues);
        self.room.close();
        self.filled.notify_one();
    }

    /// Frames that were ever entered, and whether all of them have left.
    pub(super) fn progress(&self) -> (u64, bool) {
        let queues = self.queues();
        (queues.entered, queues.urgent.is_empty() && queues.appends.is_empty())
    }

    /// The next frame to send, for the one sender; `None`: the stream ends.
    pub(super) async fn next(&self) -> Option<F> {
        loop {
            {
                let mut queues = self.queues();
                let next = queues.urgent.pop_front().or_else(|| queues.appends.pop_front());
                if let Some(waiting) = next {
                    drop(queues);
                    meter::sent(1, waiting.bytes);
                    return Some(waiting.frame);
                }
                if queues.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_urgent_leaves_before_appends_that_waited_longer() {
        let outbox = Outbox::new(1_000, 10, 10);
        let room = outbox.room(10).await.unwrap();
        outbox.append(room, 1, "append", 10).unwrap();
        outbox.urgent("heartbeat", 10).unwrap();
        assert_eq!(outbox.next().await, Some("heartbeat"));
        assert_eq!(outbox.next().await, Some("append"));
    }

    #[tokio::test]
    async fn an_append_waits_for_room_and_gets_it_when_another_has_left() {
        let outbox = Outbox::new(1_000, 10, 10);
        let room = outbox.room(900).await.unwrap();
        outbox.append(room, 1, 1, 900).unwrap();
        let mut waits = std::pin::pin!(outbox.room(200));
        assert!(futures_util::poll!(&mut waits).is_pending());
        outbox.next().await;
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn many_small_frames_are_bounded_by_their_number() {
        let outbox = Outbox::new(1_000, 10, 10);
        for number in 0..10 {
            let room = outbox.room(1).await.unwrap();
            outbox.append(room, 1, number, 1).unwrap();
        }
        assert!(futures_util::poll!(std::pin::pin!(outbox.room(1))).is_pending());
    }

    #[tokio::test]
    async fn what_a_session_takes_back_gives_its_room_back() {
        let outbox = Outbox::new(100, 10, 10);
        let room = outbox.room(100).await.unwrap();
        outbox.append(room, 1, 1, 100).unwrap();
        outbox.withdraw(1);
        let room = outbox.room(100).await.unwrap();
        outbox.append(room, 2, 2, 100).unwrap();
        assert_eq!(outbox.next().await, Some(2));
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_is_an_error_not_a_growing_queue() {
        let outbox = Outbox::new(100, 10, 2);
        outbox.urgent(1, 1).unwrap();
        outbox.urgent(2, 1).unwrap();
        assert_eq!(outbox.urgent(3, 1), Err(OutboxError::Full(2)));
    }

    #[tokio::test]
    async fn a_closed_stream_gives_nothing_and_takes_nothing() {
        let outbox = Outbox::new(100, 10, 2);
        outbox.urgent(1, 1).unwrap();
        outbox.close();
        assert_eq!(outbox.next().await, None);
        assert_eq!(outbox.urgent(2, 1), Err(OutboxError::Closed));
        assert!(outbox.room(1).await.is_err());
    }
}
