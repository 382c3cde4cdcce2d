//! The sending end of one stream to a peer, from when it was made until it breaks: its sessions and heartbeats.
//!
//! A session that is open when the stream breaks hears of it at once. Replies of sessions that are over are dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use holdfast_proto::peer::v1 as wire;
use prost::Message;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use wire::leader_frame::Frame;

use super::meter;
use super::options::TransportOptions;
use super::outbox::Outbox;
use super::wire::{Answer, Request, answer_from_wire, heartbeat_to_wire};
use crate::types::GroupId;

/// Heartbeats in one frame at most: they stay far below a frame's bytes.
const HEARTBEATS_A_FRAME: usize = 1_024;

/// One life of the stream to a peer.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) outbox: Outbox<wire::LeaderFrame>,
    state: Mutex<State>,
    /// Wakes whoever sends the heartbeats once they have waited long enough.
    gathered: Notify,
    max_sessions: usize,
    max_heartbeats: usize,
    session_frames: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Why it is over.
    broken: Option<String>,
    last_session: u64,
    sessions: BTreeMap<u64, Session>,
    last_heartbeat: u64,
    heartbeats: BTreeMap<u64, oneshot::Sender<Answer>>,
    waiting: Vec<wire::Heartbeat>,
    /// When the waiting ones leave.
    leave_at: Option<Instant>,
}

#[derive(Debug)]
struct Session {
    answers: mpsc::Sender<Answer>,
    /// The sequence of the next reply.
    expected: u64,
}

/// A session's place in its stream; ends it when dropped.
#[derive(Debug)]
pub(super) struct SessionHandle {
    pub(super) connection: Arc<Connection>,
    pub(super) id: u64,
    pub(super) answers: mpsc::Receiver<Answer>,
}

/// A heartbeat on its way; forgotten when dropped.
#[derive(Debug)]
pub(super) struct HeartbeatHandle {
    connection: Arc<Connection>,
    number: u64,
    answer: oneshot::Receiver<Answer>,
}

/// A reply that breaks the protocol: the stream cannot be trusted any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// A reply out of order.
    #[error("session {session} got reply {got} where {expected} comes next")]
    OutOfOrder {
        /// The session.
        session: u64,
        /// The sequence it carries.
        got: u64,
        /// The sequence that comes next.
        expected: u64,
    },
    /// More replies than requests.
    #[error("session {0} got more replies than it has requests")]
    TooMany(u64),
    /// A frame that this version does not know.
    #[error("a frame that this version does not know")]
    Unknown,
}

impl Connection {
    pub(super) fn new(options: &TransportOptions) -> Self {
        let urgent = options.max_sessions + options.max_heartbeats + 64;
        Self {
            outbox: Outbox::new(options.outbox_bytes, options.outbox_frames, urgent),
            state: Mutex::default(),
            gathered: Notify::new(),
            max_sessions: options.max_sessions,
            max_heartbeats: options.max_heartbeats,
            session_frames: options.session_frames,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session of appends.
    pub(super) fn open_session(self: &Arc<Self>) -> Result<SessionHandle, String> {
        let mut state = self.state();
        if let Some(why) = &state.broken {
            return Err(why.clone());
        }
        if state.sessions.len() >= self.max_sessions {
            return Err(format!("too many sessions are open to the peer ({})", self.max_sessions));
        }
        state.last_session += 1;
        let id = state.last_session;
        // One place more than replies can come: a full channel is a peer that replies too often.
        let (sender, answers) = mpsc::channel(self.session_frames + 1);
        state.sessions.insert(id, Session { answers: sender, expected: 0 });
        drop(state);
        meter::session_opened();
        Ok(SessionHandle { connection: self.clone(), id, answers })
    }

    /// Sends a heartbeat with others that come within `hold`, or at once. `confirmed`: how long ago a majority last confirmed this
    /// node as the leader.
    pub(super) fn beat(
        self: &Arc<Self>,
        group: GroupId,
        request: &Request,
        confirmed: Option<Duration>,
        hold: Duration,
    ) -> Result<HeartbeatHandle, String> {
        let mut state = self.state();
        if let Some(why) = &state.broken {
            return Err(why.clone());
        }
        if state.heartbeats.len() >= self.max_heartbeats {
            return Err(format!("too many heartbeats wait for the peer ({})", self.max_heartbeats));
        }
        state.last_heartbeat += 1;
        let number = state.last_heartbeat;
        let (sender, answer) = oneshot::channel();
        state.heartbeats.insert(number, sender);
        // When it leaves, that is as much longer ago.
        let confirmed = confirmed.map(|confirmed| confirmed + hold);
        state.waiting.push(heartbeat_to_wire(number, group, request, confirmed));
        let leave_at = Instant::now() + hold;
        state.leave_at = Some(state.leave_at.map_or(leave_at, |at| at.min(leave_at)));
        drop(state);
        self.gathered.notify_one();
        Ok(HeartbeatHandle { connection: self.clone(), number, answer })
    }

    /// Ready when the waiting heartbeats are to leave.
    pub(super) async fn heartbeats_are_due(&self) {
        loop {
            let at = self.state().leave_at;
            tokio::select! {
                biased;
                () = self.gathered.notified() => {}
                () = sleep_until(at) => return,
            }
        }
    }

    /// Sends the waiting heartbeats, as few frames as they fit in.
    pub(super) fn send_heartbeats(&self) -> Result<(), super::outbox::OutboxError> {
        let waiting = {
            let mut state = self.state();
            state.leave_at = None;
            std::mem::take(&mut state.waiting)
        };
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            let heartbeats: Vec<_> = waiting.by_ref().take(HEARTBEATS_A_FRAME).collect();
            meter::heartbeats(heartbeats.len());
            self.send_urgent(Frame::Heartbeats(wire::Heartbeats { heartbeats }))?;
        }
        Ok(())
    }

    pub(super) fn send_urgent(&self, frame: Frame) -> Result<(), super::outbox::OutboxError> {
        let frame = wire::LeaderFrame { frame: Some(frame) };
        let bytes = frame.encoded_len();
        self.outbox.urgent(frame, bytes)
    }

    /// Takes a frame of the peer to whom it concerns.
    pub(super) fn take(&self, frame: wire::FollowerFrame) -> Result<(), FrameError> {
        use wire::follower_frame::Frame;
        match frame.frame {
            Some(Frame::Append(reply)) => self.take_reply(reply),
            Some(Frame::End(end)) => {
                if let Some(session) = self.state().sessions.remove(&end.session)
                    && !end.reason.is_empty()
                {
                    // No room: the session has enough to read, and then finds its stream closed.
                    let _ = session.answers.try_send(Err(end.reason));
                }
                Ok(())
            }
            Some(Frame::Heartbeats(replies)) => {
                let mut state = self.state();
                for reply in replies.replies {
                    if let Some(waits) = state.heartbeats.remove(&reply.number) {
                        // Nobody waits any more: its deadline has passed.
                        let _ = waits.send(answer_from_wire(reply.outcome));
                    }
                }
                Ok(())
            }
            Some(Frame::Welcome(_) | Frame::Pong(_)) => Ok(()),
            None => Err(FrameError::Unknown),
        }
    }

    fn take_reply(&self, reply: wire::AppendReply) -> Result<(), FrameError> {
        let mut state = self.state();
        let Some(session) = state.sessions.get_mut(&reply.session) else {
            meter::late();
            return Ok(());
        };
        if session.expected != reply.sequence {
            let (session, got, expected) = (reply.session, reply.sequence, session.expected);
            return Err(FrameError::OutOfOrder { session, got, expected });
        }
        session.expected += 1;
        match session.answers.try_send(answer_from_wire(reply.outcome)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(FrameError::TooMany(reply.session)),
        }
    }

    /// The stream is over: everyone who waits hears why.
    pub(super) fn break_up(&self, why: &str) {
        let (sessions, heartbeats) = {
            let mut state = self.state();
            state.broken.get_or_insert_with(|| why.to_owned());
            state.waiting.clear();
            state.leave_at = None;
            (std::mem::take(&mut state.sessions), std::mem::take(&mut state.heartbeats))
        };
        self.outbox.close();
        for session in sessions.into_values() {
            // No room: it finds its stream closed after what it has to read.
            let _ = session.answers.try_send(Err(why.to_owned()));
        }
        for waits in heartbeats.into_values() {
            let _ = waits.send(Err(why.to_owned()));
        }
    }

    /// Why the stream is over; a session that found its answers closed asks.
    pub(super) fn why_broken(&self) -> String {
        self.state().broken.clone().unwrap_or_else(|| "the peer has ended the session".to_owned())
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        meter::session_closed();
        self.connection.state().sessions.remove(&self.id);
        self.connection.outbox.withdraw(self.id);
        let end = wire::SessionEnd { session: self.id, reason: String::new() };
        // A stream that takes nothing any more has no sessions to end.
        let _ = self.connection.send_urgent(Frame::End(end));
    }
}

impl HeartbeatHandle {
    /// What the peer says.
    pub(super) async fn answer(mut self) -> Answer {
        (&mut self.answer).await.unwrap_or_else(|_| Err(self.connection.why_broken()))
    }
}

impl Drop for HeartbeatHandle {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        if state.heartbeats.remove(&self.number).is_some() {
            state.waiting.retain(|heartbeat| heartbeat.number != self.number);
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
