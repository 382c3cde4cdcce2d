//! The receiving end of a peer's stream: gives each session's appends to its group in order, and each heartbeat.
//!
//! Reading never waits for a group: what a session may send without a reply is bounded, and who sends more loses the session.
//! So a group that is slow, or stopped, holds up no other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use holdfast_proto::peer::v1 as wire;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::follower_frame::Frame;

use super::outbox::{Outbox, OutboxError};
use super::registry::{GroupRaft, GroupRegistry};
use super::wire::{Answer, answer_to_wire, append_from_wire, heartbeat_answer, heartbeat_from_wire, life_to_wire};
use super::{Context, meter};
use crate::store::{to_log_id, to_vote};
use crate::types::{GroupId, NodeId, Types};

/// Frames of heartbeats answered at once; more are dropped, and the sender's deadline tells it.
const HEARTBEAT_FRAMES: usize = 64;

/// How long the first answers to a frame of heartbeats wait for the last ones.
const ANSWERS_HOLD: Duration = Duration::from_millis(10);

/// How long a heartbeat may wait for its group.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(5);

type Request = AppendEntriesRequest<Types>;
type Replies = Arc<Outbox<wire::FollowerFrame>>;

/// The sessions of one peer's stream.
pub(super) struct Incoming {
    context: Arc<Context>,
    registry: Arc<dyn GroupRegistry>,
    from: NodeId,
    replies: Replies,
    sessions: BTreeMap<u64, Session>,
    /// Each ends with the id of its session.
    appending: JoinSet<u64>,
    beating: JoinSet<()>,
}

struct Session {
    requests: mpsc::Sender<Request>,
    expected: u64,
}

impl Incoming {
    pub(super) fn new(context: Arc<Context>, registry: Arc<dyn GroupRegistry>, from: NodeId, replies: Replies) -> Self {
        Self {
            context,
            registry,
            from,
            replies,
            sessions: BTreeMap::new(),
            appending: JoinSet::new(),
            beating: JoinSet::new(),
        }
    }

    /// Reads the stream to its end, then ends all sessions.
    pub(super) async fn read(mut self, mut frames: Streaming<wire::LeaderFrame>) {
        let node_id = self.context.options.node_id;
        let follower = Some(life_to_wire(self.registry.incarnation()));
        let why = match send(&self.replies, Frame::Welcome(wire::Welcome { node_id, follower })) {
            Ok(()) => self.read_frames(&mut frames).await,
            Err(error) => error.to_string(),
        };
        tracing::info!(from = self.from, %why, "a peer's stream has ended");
        self.replies.close();
    }

    async fn read_frames(&mut self, frames: &mut Streaming<wire::LeaderFrame>) -> String {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.appending.join_next(), if !self.appending.is_empty() => {
                    if let Ok(session) = ended {
                        self.sessions.remove(&session);
                    }
                }
                Some(_) = self.beating.join_next(), if !self.beating.is_empty() => {}
                frame = frames.message() => match frame {
                    Err(status) => return status.to_string(),
                    Ok(None) => return "the peer has ended it".to_owned(),
                    Ok(Some(frame)) => {
                        meter::received();
                        if let Err(error) = self.take(frame) {
                            return error.to_string();
                        }
                    }
                },
            }
        }
    }

    fn take(&mut self, frame: wire::LeaderFrame) -> Result<(), OutboxError> {
        use wire::leader_frame::Frame as Sent;
        match frame.frame {
            Some(Sent::Append(append)) => self.append(append),
            Some(Sent::End(end)) => {
                // Its requests end; the task answers those it has, and ends.
                self.sessions.remove(&end.session);
                Ok(())
            }
            Some(Sent::Heartbeats(heartbeats)) => {
                self.beat(heartbeats);
                Ok(())
            }
            Some(Sent::Ping(ping)) => send(&self.replies, Frame::Pong(ping)),
            // What a later version may send beside these is none of a session's.
            Some(Sent::Hello(_)) | None => Ok(()),
        }
    }

    fn append(&mut self, append: wire::Append) -> Result<(), OutboxError> {
        let (id, sequence, group) = (append.session, append.sequence, GroupId(append.group));
        if !self.sessions.contains_key(&id) {
            // A session begins with its first append, which comes once. Sessions of different groups may begin in another
            // order than that of their ids.
            if sequence != 0 {
                meter::late();
                return Ok(());
            }
            if let Err(why) = self.begin(id, group) {
                return self.end(id, why);
            }
        }
        let request = match append_from_wire(append) {
            Ok(request) => request,
            Err(error) => return self.end(id, error.to_string()),
        };
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if session.expected != sequence {
            let why = format!("append {sequence} came where {} comes next", session.expected);
            return self.end(id, why);
        }
        session.expected += 1;
        match session.requests.try_send(request) {
            Ok(()) => Ok(()),
            // The group has refused an earlier append: what was sent before that was known is void.
            Err(mpsc::error::TrySendError::Closed(_)) => {
                meter::late();
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                let limit = self.context.options.session_frames;
                self.end(id, format!("more than {limit} appends without a reply"))
            }
        }
    }

    fn begin(&mut self, id: u64, group: GroupId) -> Result<(), String> {
        let options = &self.context.options;
        // Tasks of ended sessions that still answer count too.
        if self.appending.len() >= options.max_sessions {
            return Err(format!("too many sessions are open ({})", options.max_sessions));
        }
        let raft = self.registry.replica(group).map_err(|why| why.to_string())?;
        let (requests, unread) = mpsc::channel(options.session_frames);
        self.sessions.insert(id, Session { requests, expected: 0 });
        self.appending.spawn(serve_session(self.context.clone(), group, raft, id, unread, self.replies.clone()));
        Ok(())
    }

    fn end(&mut self, session: u64, reason: String) -> Result<(), OutboxError> {
        self.sessions.remove(&session);
        send(&self.replies, Frame::End(wire::SessionEnd { session, reason }))
    }

    fn beat(&mut self, heartbeats: wire::Heartbeats) {
        if self.beating.len() >= HEARTBEAT_FRAMES {
            meter::late();
            return;
        }
        let asked: Vec<_> = heartbeats
            .heartbeats
            .into_iter()
            .map(|heartbeat| {
                let raft = self.registry.replica(GroupId(heartbeat.group)).map_err(|why| why.to_string());
                (heartbeat, raft)
            })
            .collect();
        self.beating.spawn(answer_heartbeats(self.registry.clone(), asked, self.replies.clone()));
    }
}

fn send(replies: &Replies, frame: Frame) -> Result<(), OutboxError> {
    let frame = wire::FollowerFrame { frame: Some(frame) };
    let bytes = frame.encoded_len();
    replies.urgent(frame, bytes)
}

/// A peer that reads no replies loses its stream; openraft's own error is one more reason to end the session.
async fn serve_session(
    context: Arc<Context>,
    group: GroupId,
    raft: GroupRaft,
    id: u64,
    requests: mpsc::Receiver<Request>,
    replies: Replies,
) -> u64 {
    let mut answers = std::pin::pin!(raft.stream_append(ReceiverStream::new(requests)));
    let mut sequence = 0;
    while let Some(answer) = answers.next().await {
        if let Some(silent) = context.silence(group) {
            let end = Frame::End(wire::SessionEnd { session: id, reason: silent.to_string() });
            if send(&replies, end).is_err() {
                replies.close();
            }
            break;
        }
        let frame = match answer {
            Ok(answer) => {
                let outcome = Some(answer_to_wire(Ok(answer)));
                Frame::Append(wire::AppendReply { session: id, sequence, outcome })
            }
            Err(fatal) => Frame::End(wire::SessionEnd { session: id, reason: fatal.to_string() }),
        };
        sequence += 1;
        if send(&replies, frame).is_err() {
            replies.close();
            break;
        }
    }
    id
}

/// Answers heartbeats together, as far as their groups are quick.
async fn answer_heartbeats(
    registry: Arc<dyn GroupRegistry>,
    asked: Vec<(wire::Heartbeat, Result<GroupRaft, String>)>,
    replies: Replies,
) {
    let registry = &*registry;
    let mut pending: FuturesUnordered<_> = asked
        .into_iter()
        .map(|(heartbeat, raft)| async move {
            let number = heartbeat.number;
            (number, answer_heartbeat(registry, heartbeat, raft).await)
        })
        .collect();
    let patience = tokio::time::sleep(HEARTBEAT_PATIENCE);
    let mut patience = std::pin::pin!(patience);
    let mut answered = Vec::with_capacity(pending.len());
    let mut leave_at = Instant::now() + ANSWERS_HOLD;
    while !pending.is_empty() {
        tokio::select! {
            biased;
            Some((number, answer)) = pending.next() => {
                answered.push(wire::HeartbeatReply { number, outcome: Some(answer_to_wire(answer)) });
                continue;
            }
            () = tokio::time::sleep_until(leave_at) => leave_at = Instant::now() + ANSWERS_HOLD,
            () = &mut patience => break,
        }
        if !send_answers(&mut answered, &replies) {
            return;
        }
    }
    send_answers(&mut answered, &replies);
}

fn send_answers(answered: &mut Vec<wire::HeartbeatReply>, replies: &Replies) -> bool {
    if answered.is_empty() {
        return true;
    }
    let frame = Frame::Heartbeats(wire::HeartbeatReplies { replies: std::mem::take(answered) });
    let is_sent = send(replies, frame).is_ok();
    if !is_sent {
        replies.close();
    }
    is_sent
}

async fn answer_heartbeat(
    registry: &dyn GroupRegistry,
    heartbeat: wire::Heartbeat,
    raft: Result<GroupRaft, String>,
) -> Answer {
    let raft = raft?;
    let (group, confirmed) = (GroupId(heartbeat.group), heartbeat.confirmed_ms.map(Duration::from_millis));
    let request = heartbeat_from_wire(heartbeat).map_err(|error| error.to_string())?;
    let previous = request.prev_log_id;
    let (term, committed) = (to_vote(&request.vote).term, request.leader_commit.as_ref().map(to_log_id));
    let response = raft.append_entries(request).await.map_err(|error| error.to_string())?;
    if response == AppendEntriesResponse::Success {
        registry.heard(group, term, committed, confirmed);
    }
    Ok(heartbeat_answer(response, previous))
}

#[cfg(test)]
mod tests {
    use holdfast_world::World;
    use std::sync::OnceLock;

    use super::super::lives::Lives;
    use super::*;
    use crate::checkpoint::{ReceivedSnapshot, StoredSnapshot};
    use crate::log::{Incarnation, LogId, LogRecord};
    use crate::transport::{HandshakeError, NoReplica, NodeFacts, Refusal, TransportOptions};

    /// A node that has no groups: every session ends at once, by name.
    struct NoGroups;

    impl GroupRegistry for NoGroups {
        fn replica(&self, group: GroupId) -> Result<GroupRaft, NoReplica> {
            Err(NoReplica::Unknown { group, node: 2 })
        }

        fn incarnation(&self) -> Incarnation {
            Incarnation::default()
        }

        fn facts(&self) -> NodeFacts {
            NodeFacts::default()
        }

        fn greet<'a>(&'a self, _: &'a NodeFacts) -> futures_util::future::BoxFuture<'a, Result<(), Refusal>> {
            Box::pin(async { Ok(()) })
        }

        fn judged_by(&self, _: NodeId, _: Result<(), &HandshakeError>) {}

        fn refusal(&self, _: NodeId) -> Option<String> {
            None
        }

        fn heard(&self, _: GroupId, _: u64, _: Option<LogId>, _: Option<Duration>) {}

        fn may_lead(&self) -> bool {
            true
        }

        fn is_member(&self, _: GroupId, _: NodeId) -> bool {
            true
        }

        fn entry(&self, _: GroupId, _: LogId) -> futures_util::future::BoxFuture<'_, Option<LogRecord>> {
            Box::pin(async { None })
        }

        fn checkpoint(&self, _: GroupId) -> Option<StoredSnapshot> {
            None
        }

        fn verify(&self, _: GroupId, _: &ReceivedSnapshot) -> Result<(), String> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_session_that_begins_after_a_newer_one_is_heard_and_late_frames_are_not() {
        let options = TransportOptions::new(2, "c");
        let context =
            Arc::new(Context { world: World::real(), options, registry: OnceLock::new(), lives: Lives::default() });
        let replies = Arc::new(Outbox::new(1 << 20, 16, 16));
        let mut incoming = Incoming::new(context, Arc::new(NoGroups), 1, replies.clone());
        let append = |session, sequence| wire::Append { session, sequence, group: session, ..Default::default() };
        for (session, sequence) in [(2, 0), (2, 1), (1, 0), (1, 1)] {
            incoming.append(append(session, sequence)).unwrap();
        }
        let mut ended = Vec::new();
        // What is queued comes at once; then there is nothing more to wait for.
        while let Some(Some(frame)) = futures_util::FutureExt::now_or_never(replies.next()) {
            match frame.frame {
                Some(Frame::End(end)) => ended.push(end.session),
                other => panic!("only ends are expected: {other:?}"),
            }
        }
        assert_eq!(ended, vec![2, 1]);
    }
}
