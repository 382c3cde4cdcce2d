//! One `stream_append` of openraft: a numbered session in the stream to a peer.
//!
//! Requests go out as fast as the limits of the session and of the stream allow; replies come back in their order. The output
//! ends once the input has ended **and** every reply has come: openraft's first stream to a follower holds a single request,
//! and it waits for that stream's end before it sends anything more.

use futures_util::{Stream, StreamExt};
use holdfast_proto::peer::v1 as wire;
use openraft::errors::{RPCError, Timeout, Unreachable};
use openraft::network::RPCTypes;
use openraft::raft::StreamAppendResult;
use prost::Message;
use tokio::time::Instant;
use wire::leader_frame::Frame;

use super::connection::SessionHandle;
use super::options::TransportOptions;
use super::outbox::OutboxError;
use super::wire::{Answer, Request, entry_to_wire, log_id_to_wire, vote_to_wire};
use crate::types::{GroupId, NodeId, Types};

/// What surrounds the entries of a frame: numbers, ids, tags.
const FRAME_OVERHEAD: usize = 512;

/// What surrounds an entry in its frame.
const ENTRY_OVERHEAD: usize = 64;

type Item = Result<StreamAppendResult<Types>, RPCError<Types>>;

pub(super) fn unreachable(why: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

/// The requests and replies of one session.
#[derive(Debug)]
pub(super) struct AppendSession<S> {
    handle: SessionHandle,
    group: GroupId,
    target: NodeId,
    options: TransportOptions,
    /// `None`: it has ended.
    input: Option<S>,
    /// Frames of the last request that wait for room.
    pending: std::collections::VecDeque<(wire::LeaderFrame, usize)>,
    /// Bytes of each frame without a reply, the oldest first.
    unanswered: std::collections::VecDeque<usize>,
    unanswered_bytes: usize,
    next_sequence: u64,
    /// When a reply is due; moves with each.
    reply_due: Instant,
}

enum Step {
    Answer(Option<Answer>),
    Room(Result<super::outbox::Room, OutboxError>),
    Request(Option<Request>),
    Late,
}

impl<S> AppendSession<S>
where
    S: Stream<Item = Request> + Send + Unpin + 'static,
{
    pub(super) fn new(
        handle: SessionHandle,
        group: GroupId,
        target: NodeId,
        options: TransportOptions,
        input: S,
    ) -> Self {
        Self {
            handle,
            group,
            target,
            reply_due: Instant::now() + options.session_timeout,
            options,
            input: Some(input),
            pending: std::collections::VecDeque::new(),
            unanswered: std::collections::VecDeque::new(),
            unanswered_bytes: 0,
            next_sequence: 0,
        }
    }

    /// The replies, in order.
    pub(super) fn replies(self) -> impl Stream<Item = Item> + Send + 'static {
        futures_util::stream::unfold(Some(self), |session| async move {
            let mut session = session?;
            let item = session.next().await?;
            let goes_on = matches!(item, Ok(Ok(_)));
            Some((item, goes_on.then_some(session)))
        })
    }

    async fn next(&mut self) -> Option<Item> {
        loop {
            if self.input.is_none() && self.pending.is_empty() && self.unanswered.is_empty() {
                return None;
            }
            match self.step().await {
                Step::Answer(answer) => return Some(self.take(answer)),
                Step::Late => {
                    return Some(Err(RPCError::Timeout(Timeout {
                        action: RPCTypes::AppendEntries,
                        id: self.options.node_id,
                        target: self.target,
                        timeout: self.options.session_timeout,
                    })));
                }
                Step::Request(None) => self.input = None,
                Step::Request(Some(request)) => match frames(self.group, &self.options, request) {
                    Ok(frames) => self.pending = frames.into(),
                    Err(error) => return Some(Err(unreachable(error))),
                },
                Step::Room(room) => {
                    if let Err(error) = room.and_then(|room| self.send(room)) {
                        return Some(Err(unreachable(format!("{error}: {}", self.handle.connection.why_broken()))));
                    }
                }
            }
        }
    }

    /// Waits for whatever comes first.
    async fn step(&mut self) -> Step {
        let next_bytes = self.pending.front().map(|(_, bytes)| *bytes);
        let may_send = self.unanswered.is_empty()
            || (self.unanswered.len() < self.options.session_frames
                && self.unanswered_bytes + next_bytes.unwrap_or(0) <= self.options.session_bytes);
        let reads_input = next_bytes.is_none() && may_send;
        let outbox = &self.handle.connection.outbox;
        let room = async {
            match next_bytes {
                Some(bytes) if may_send => outbox.room(bytes).await,
                _ => std::future::pending().await,
            }
        };
        let input = self.input.as_mut();
        let request = async {
            match input {
                Some(input) if reads_input => input.next().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = self.handle.answers.recv() => Step::Answer(answer),
            room = room => Step::Room(room),
            request = request => Step::Request(request),
            () = tokio::time::sleep_until(self.reply_due), if !self.unanswered.is_empty() => Step::Late,
        }
    }

    fn send(&mut self, room: super::outbox::Room) -> Result<(), OutboxError> {
        let Some((mut frame, bytes)) = self.pending.pop_front() else { return Ok(()) };
        if let Some(Frame::Append(append)) = &mut frame.frame {
            append.session = self.handle.id;
            append.sequence = self.next_sequence;
        }
        self.next_sequence += 1;
        if self.unanswered.is_empty() {
            self.reply_due = Instant::now() + self.options.session_timeout;
        }
        self.unanswered.push_back(bytes);
        self.unanswered_bytes += bytes;
        self.handle.connection.outbox.append(room, self.handle.id, frame, bytes)
    }

    fn take(&mut self, answer: Option<Answer>) -> Item {
        let answer = answer.unwrap_or_else(|| Err(self.handle.connection.why_broken()));
        let result = answer.map_err(unreachable)?;
        let Some(bytes) = self.unanswered.pop_front() else {
            return Err(unreachable("the peer has replied to what was not asked"));
        };
        self.unanswered_bytes -= bytes;
        self.reply_due = Instant::now() + self.options.session_timeout;
        Ok(result)
    }
}

/// An entry that no frame can carry.
#[derive(Debug, thiserror::Error)]
#[error(
    "entry {index} of group {group} has {bytes} bytes, more than the {limit} that a message between nodes may have"
)]
pub(super) struct EntryTooLong {
    group: GroupId,
    index: u64,
    bytes: usize,
    limit: usize,
}

/// The frames of one request, as few as its entries fit in, each with its encoded length. Session and sequence are given when
/// it is sent.
fn frames(
    group: GroupId,
    options: &TransportOptions,
    request: Request,
) -> Result<Vec<(wire::LeaderFrame, usize)>, EntryTooLong> {
    let limit = options.frame_bytes.saturating_sub(FRAME_OVERHEAD);
    let head = |previous: Option<wire::LogId>| wire::Append {
        session: 0,
        group: group.0,
        sequence: 0,
        ballot: Some(vote_to_wire(&request.vote)),
        previous,
        committed: log_id_to_wire(request.leader_commit.as_ref()),
        first_index: previous.map_or(0, |previous| previous.index + 1),
        entries: Vec::new(),
    };
    let mut frames = Vec::with_capacity(1);
    let mut append = head(log_id_to_wire(request.prev_log_id.as_ref()));
    let mut in_frame = 0;
    for entry in request.entries {
        let id = log_id_to_wire(Some(&entry.log_id));
        let index = entry.log_id.index;
        let entry = entry_to_wire(entry);
        let bytes = entry.payload.len() + ENTRY_OVERHEAD;
        if bytes > limit {
            return Err(EntryTooLong { group, index, bytes, limit });
        }
        if in_frame + bytes > limit {
            let last = append.entries.last().map(|last: &wire::Entry| wire::LogId {
                term: last.term,
                leader_node: last.leader_node,
                index: index - 1,
            });
            frames.push(std::mem::replace(&mut append, head(last)));
            in_frame = 0;
        }
        if append.entries.is_empty() {
            append.first_index = id.map_or(append.first_index, |id| id.index);
        }
        append.entries.push(entry);
        in_frame += bytes;
    }
    frames.push(append);
    let framed = |append| {
        let frame = wire::LeaderFrame { frame: Some(Frame::Append(append)) };
        let bytes = frame.encoded_len();
        (frame, bytes)
    };
    Ok(frames.into_iter().map(framed).collect())
}
