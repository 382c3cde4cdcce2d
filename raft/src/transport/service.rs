//! The service that answers the peers.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::Stream;
use holdfast_proto::peer::v1 as wire;
use holdfast_proto::peer::v1::peer_service_server::PeerService;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tonic::{Request, Response, Status, Streaming};

use super::handshake::meant_for_us;
use super::incoming::Incoming;
use super::outbox::Outbox;
use super::registry::{GroupRaft, GroupRegistry};
use super::wire::{
    life_from_wire, transfer_from_wire, transfer_response_to_wire, vote_request_from_wire, vote_response_to_wire,
};
use super::{Context, entries, handshake, snapshots};
use crate::types::{GroupId, NodeId};

type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers the peers of a node.
#[derive(Clone)]
pub(super) struct PeerServer {
    context: Arc<Context>,
    registry: Arc<dyn GroupRegistry>,
    /// The one stream of each peer.
    streams: Arc<Mutex<BTreeMap<NodeId, AbortHandle>>>,
    snapshots: Arc<Semaphore>,
    entries: Arc<Semaphore>,
}

impl fmt::Debug for PeerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServer").field("context", &self.context).finish_non_exhaustive()
    }
}

impl PeerServer {
    pub(super) fn new(context: Arc<Context>, registry: Arc<dyn GroupRegistry>) -> Self {
        let snapshots = Arc::new(Semaphore::new(context.options.snapshots_at_once));
        let entries = Arc::new(Semaphore::new(context.options.entry_requests_at_once));
        Self { context, registry, streams: Arc::default(), snapshots, entries }
    }

    fn replica(&self, group: u64) -> Result<GroupRaft, Status> {
        self.registry.replica(GroupId(group)).map_err(|why| Status::unavailable(why.to_string()))
    }

    /// A message about who leads is taken only from a peer that can be believed.
    fn believed(&self, envelope: Option<&wire::Envelope>) -> Result<NodeId, Status> {
        let from = meant_for_us(&self.context, envelope)?;
        self.registry.refusal(from).map_or(Ok(from), |why| Err(Status::failed_precondition(why)))
    }

    /// A vote, or the word that there would be one, is given only to a peer that was judged in the life in which it asks.
    async fn answer_vote(&self, request: wire::VoteRequest, pre: bool) -> Result<wire::VoteResponse, Status> {
        let from = self.believed(request.envelope.as_ref())?;
        let candidate = life_from_wire(request.candidate).ok_or_else(|| bad("a vote is asked for without a life"))?;
        self.context.lives.check(from, candidate)?;
        let raft = self.replica(request.group)?;
        let request = vote_request_from_wire(request).map_err(bad)?;
        let answered = if pre { raft.pre_vote(request).await } else { raft.vote(request).await };
        Ok(vote_response_to_wire(&answered.map_err(stopped)?, self.registry.incarnation()))
    }

    /// A new stream of a peer ends its earlier one, whose end it may never have been told.
    fn replace_stream(&self, from: NodeId, stream: AbortHandle) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|_, stream| !stream.is_finished());
        if let Some(earlier) = streams.insert(from, stream) {
            earlier.abort();
        }
    }
}

fn bad(error: impl fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}

fn stopped(error: impl fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

#[tonic::async_trait]
impl PeerService for PeerServer {
    type ReplicateStream = Frames<wire::FollowerFrame>;
    type FetchSnapshotStream = Frames<wire::SnapshotChunk>;

    async fn handshake(
        &self,
        request: Request<wire::HandshakeRequest>,
    ) -> Result<Response<wire::HandshakeResponse>, Status> {
        handshake::answer(&self.context, &self.registry, request.into_inner()).await.map(Response::new)
    }

    async fn replicate(
        &self,
        request: Request<Streaming<wire::LeaderFrame>>,
    ) -> Result<Response<Self::ReplicateStream>, Status> {
        let mut frames = request.into_inner();
        let timeout = self.context.options.connect_timeout;
        let first = tokio::time::timeout(timeout, frames.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("the stream did not begin"))??;
        let Some(wire::leader_frame::Frame::Hello(hello)) = first.and_then(|first| first.frame) else {
            return Err(Status::invalid_argument("the first frame of the stream is not `hello`"));
        };
        let from = meant_for_us(&self.context, Some(&hello))?;
        let options = &self.context.options;
        let outbox = Arc::new(Outbox::new(1, 1, options.reply_frames));
        let incoming = Incoming::new(self.context.clone(), self.registry.clone(), from, outbox.clone());
        let reading = tokio::spawn(incoming.read(frames));
        self.replace_stream(from, reading.abort_handle());
        let guard = StreamGuard { reading: reading.abort_handle(), outbox };
        let replies = futures_util::stream::unfold(guard, |guard| async move {
            let frame = guard.outbox.next().await?;
            Some((Ok(frame), guard))
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn vote(&self, request: Request<wire::VoteRequest>) -> Result<Response<wire::VoteResponse>, Status> {
        self.answer_vote(request.into_inner(), false).await.map(Response::new)
    }

    async fn pre_vote(&self, request: Request<wire::VoteRequest>) -> Result<Response<wire::VoteResponse>, Status> {
        self.answer_vote(request.into_inner(), true).await.map(Response::new)
    }

    async fn transfer_leader(
        &self,
        request: Request<wire::TransferLeaderRequest>,
    ) -> Result<Response<wire::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        self.believed(request.envelope.as_ref())?;
        // The others hear of it too, so that they grant their votes: only the one that is meant would lead.
        if request.to_node == self.context.options.node_id && !self.registry.may_lead() {
            return Err(Status::failed_precondition("this node leads nothing for now"));
        }
        let raft = self.replica(request.group)?;
        let request = transfer_from_wire(request).map_err(bad)?;
        let response = raft.handle_transfer_leader(request).await.map_err(stopped)?;
        Ok(Response::new(transfer_response_to_wire(response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotChunk>>,
    ) -> Result<Response<wire::InstallSnapshotResponse>, Status> {
        let _place = self
            .snapshots
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("the node takes as many snapshots as it may at once"))?;
        snapshots::install(&self.context, &self.registry, request.into_inner()).await.map(Response::new)
    }

    async fn fetch_snapshot(
        &self,
        request: Request<wire::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let request = request.into_inner();
        meant_for_us(&self.context, request.envelope.as_ref())?;
        let group = GroupId(request.group);
        let stored = self
            .registry
            .checkpoint(group)
            .ok_or_else(|| Status::not_found(format!("there is no checkpoint of group {group} here")))?;
        let chunks = snapshots::serve(&self.context, group, stored);
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn fetch_entries(
        &self,
        request: Request<wire::FetchEntriesRequest>,
    ) -> Result<Response<wire::FetchEntriesResponse>, Status> {
        let request = request.into_inner();
        let from = self.believed(request.envelope.as_ref())?;
        let _place = self.entries.try_acquire().map_err(|_| {
            Status::resource_exhausted("the node answers as many requests for entries as it may at once")
        })?;
        entries::serve(&self.registry, from, request).await.map(Response::new)
    }
}

/// Stops the reading end of a stream when the replies are read no more.
#[derive(Debug)]
struct StreamGuard {
    reading: AbortHandle,
    outbox: Arc<Outbox<wire::FollowerFrame>>,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.reading.abort();
        self.outbox.close();
    }
}
