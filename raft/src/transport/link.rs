//! The stream to one peer, kept alive: made when first wanted, given up when the peer falls silent, made anew with growing
//! pauses.
//!
//! A connection that was cut may never err. So whenever something was sent and nothing was heard since, the peer is asked for
//! a sign of life, and the stream is given up when none comes in time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_client::PeerServiceClient;
use holdfast_world::GrpcChannel;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tonic::Streaming;
use wire::leader_frame::Frame;

use super::connection::Connection;
use super::wire::life_from_wire;
use super::{Context, handshake, meter};
use crate::types::NodeId;

/// How often a sign of life may be asked for within the time a peer may be silent.
const PROBES: u32 = 2;

/// The stream to one peer.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Debug)]
struct Shared {
    context: Arc<Context>,
    node: NodeId,
    control: PeerServiceClient<GrpcChannel>,
    append: PeerServiceClient<GrpcChannel>,
    phase: watch::Sender<Phase>,
    wanted: Notify,
}

#[derive(Clone, Debug)]
enum Phase {
    Down(String),
    Up(Arc<Connection>),
}

impl Link {
    pub(super) fn new(
        context: Arc<Context>,
        node: NodeId,
        control: PeerServiceClient<GrpcChannel>,
        append: PeerServiceClient<GrpcChannel>,
    ) -> Self {
        let phase = watch::channel(Phase::Down("it was not connected yet".to_owned())).0;
        let shared = Shared { context, node, control, append, phase, wanted: Notify::new() };
        Self { shared: Arc::new(shared), task: Mutex::new(None) }
    }

    /// The stream, waiting for it at most so long.
    pub(super) async fn connection(&self, within: Duration) -> Result<Arc<Connection>, String> {
        if let Phase::Up(connection) = &*self.shared.phase.borrow() {
            return Ok(connection.clone());
        }
        self.start();
        self.shared.wanted.notify_one();
        let mut phases = self.shared.phase.subscribe();
        let up = tokio::time::timeout(within, phases.wait_for(|phase| matches!(phase, Phase::Up(_)))).await;
        if let Ok(Ok(phase)) = up
            && let Phase::Up(connection) = &*phase
        {
            return Ok(connection.clone());
        }
        let why = match &*self.shared.phase.borrow() {
            Phase::Down(why) => why.clone(),
            Phase::Up(connection) => return Ok(connection.clone()),
        };
        Err(format!("node {} is not connected: {why}", self.shared.node))
    }

    /// The task of the link runs in the runtime of whoever first wants it: the node's.
    fn start(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(AbortHandle::is_finished) {
            *task = Some(tokio::spawn(self.shared.clone().keep()).abort_handle());
        }
    }

    /// Ends the stream for good.
    pub(super) fn close(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
        let was = self.shared.phase.send_replace(Phase::Down("the node is stopping".to_owned()));
        if let Phase::Up(connection) = was {
            connection.break_up("the node is stopping");
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    async fn keep(self: Arc<Self>) {
        let options = &self.context.options;
        let mut pause = options.backoff_least;
        loop {
            self.wanted.notified().await;
            let why = match self.connect().await {
                Ok((connection, replies)) => {
                    meter::connected();
                    let made = Instant::now();
                    self.phase.send_replace(Phase::Up(connection.clone()));
                    let why = self.listen(&connection, replies).await;
                    // First nobody finds it any more, then those who wait hear of it.
                    self.phase.send_replace(Phase::Down(why.clone()));
                    connection.break_up(&why);
                    meter::broken();
                    if made.elapsed() > options.backoff_most {
                        pause = options.backoff_least;
                    }
                    why
                }
                Err(why) => {
                    self.phase.send_replace(Phase::Down(why.clone()));
                    why
                }
            };
            tracing::info!(node = self.node, %why, "no stream to a peer");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(options.backoff_most);
        }
    }

    async fn connect(&self) -> Result<(Arc<Connection>, Streaming<wire::FollowerFrame>), String> {
        let options = &self.context.options;
        let facts = handshake::exchange(&self.context, self.control.clone(), self.node).await;
        let judged = facts.map_err(|error| error.to_string())?.incarnation;
        let connection = Arc::new(Connection::new(options));
        let hello = Frame::Hello(self.context.envelope(self.node));
        connection.send_urgent(hello).map_err(|error| error.to_string())?;
        let sender = connection.clone();
        let requests = futures_util::stream::unfold(sender, |sender| async move {
            let frame = sender.outbox.next().await?;
            Some((frame, sender))
        });
        let mut client = self.append.clone();
        let begun = async {
            let mut replies = client.replicate(requests).await.map_err(|status| status.to_string())?.into_inner();
            let first = replies.message().await.map_err(|status| status.to_string())?;
            match first.and_then(|first| first.frame) {
                Some(wire::follower_frame::Frame::Welcome(it)) if life_from_wire(it.follower) == Some(judged) => {
                    Ok(replies)
                }
                Some(wire::follower_frame::Frame::Welcome(_)) => Err("it was started since the handshake".to_owned()),
                _ => Err("it did not take the stream".to_owned()),
            }
        };
        let begun = tokio::time::timeout(options.connect_timeout, begun).await;
        let replies = begun.unwrap_or_else(|_| Err(format!("no answer within {:?}", options.connect_timeout)));
        match replies {
            Ok(replies) => Ok((connection, replies)),
            Err(why) => {
                connection.break_up(&why);
                Err(why)
            }
        }
    }

    /// Reads until the stream is over; gives the reason.
    async fn listen(&self, connection: &Connection, mut replies: Streaming<wire::FollowerFrame>) -> String {
        let timeout = self.context.options.link_timeout;
        let mut life = Life::default();
        let mut probe_at = Instant::now() + timeout / PROBES;
        loop {
            let sent = tokio::select! {
                biased;
                frame = replies.message() => match frame {
                    Err(status) => return status.to_string(),
                    Ok(None) => return "it has ended the stream".to_owned(),
                    Ok(Some(frame)) => {
                        meter::received();
                        life.heard(&frame);
                        if let Err(error) = connection.take(frame) {
                            return error.to_string();
                        }
                        Ok(())
                    }
                },
                () = connection.heartbeats_are_due() => connection.send_heartbeats(),
                () = tokio::time::sleep_until(probe_at) => {
                    probe_at = Instant::now() + timeout / PROBES;
                    match life.ask(connection.outbox.progress()) {
                        Ask::Nothing => Ok(()),
                        Ask::Ping(number) => connection.send_urgent(Frame::Ping(wire::Ping { number })),
                        Ask::Waits(silent) if silent < timeout => Ok(()),
                        Ask::Waits(_) => return format!("it gave no sign of life within {timeout:?}"),
                    }
                }
            };
            if let Err(error) = sent {
                return error.to_string();
            }
        }
    }
}

/// The signs of life of the peer. What it says shows that it lived, not that it got everything: only the answer to a ping that
/// left after a frame does.
#[derive(Debug, Default)]
struct Life {
    /// Pings asked so far.
    pings: u64,
    /// Since when the last ping waits for its answer and nothing else was heard.
    silent_since: Option<Instant>,
    /// The last ping follows so many frames, itself included.
    asked_through: u64,
}

/// What to do about the peer's life.
enum Ask {
    /// It has answered for everything.
    Nothing,
    /// It is to be asked.
    Ping(u64),
    /// It was asked, and was silent for so long.
    Waits(Duration),
}

impl Life {
    fn heard(&mut self, frame: &wire::FollowerFrame) {
        use wire::follower_frame::Frame;
        if matches!(&frame.frame, Some(Frame::Pong(pong)) if pong.number == self.pings) {
            self.silent_since = None;
        } else if let Some(since) = &mut self.silent_since {
            *since = Instant::now();
        }
    }

    fn ask(&mut self, (entered, all_left): (u64, bool)) -> Ask {
        if let Some(since) = self.silent_since {
            return Ask::Waits(since.elapsed());
        }
        if entered <= self.asked_through {
            return Ask::Nothing;
        }
        // It overtakes appends that wait: of those its answer says nothing.
        self.asked_through = if all_left { entered + 1 } else { 0 };
        self.pings += 1;
        self.silent_since = Some(Instant::now());
        Ask::Ping(self.pings)
    }
}
