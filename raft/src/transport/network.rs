//! What openraft sends by: one [`GroupNetwork`] for each group and peer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Timeout};
use openraft::network::{Backoff, RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::{SnapshotOf, VoteOf};
use openraft::{BasicNode, Instant as _, OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::connection::SessionHandle;
use super::lives::asks_for_a_handshake;
use super::session::{AppendSession, unreachable};
use super::wire::{self, Request};
use super::{Peer, Reached, Transport, handshake, snapshots};
use crate::checkpoint::Snapshot;
use crate::log::Incarnation;
use crate::types::{GroupId, NodeId, Types};

/// The first pause of openraft after a peer was unreachable; it doubles up to [`BACKOFF_MOST`].
const BACKOFF_LEAST: Duration = Duration::from_millis(50);

/// The longest pause.
const BACKOFF_MOST: Duration = Duration::from_millis(500);

/// The part of a heartbeat's deadline that it may wait for others to go with.
const HOLD_PART: u32 = 4;

/// Makes the networks of one group.
#[derive(Clone, Debug)]
pub struct Factory {
    transport: Transport,
    group: GroupId,
}

/// What a group of this node reaches one peer by.
#[derive(Debug)]
pub struct GroupNetwork {
    transport: Transport,
    group: GroupId,
    peer: Arc<Peer>,
    /// Only heartbeats go by it; how many reads wait for one.
    heartbeats: Option<Arc<AtomicUsize>>,
}

impl Factory {
    pub(super) fn new(transport: Transport, group: GroupId) -> Self {
        Self { transport, group }
    }

    fn network(&self, target: NodeId, node: &BasicNode, heartbeats: bool) -> GroupNetwork {
        GroupNetwork {
            transport: self.transport.clone(),
            group: self.group,
            peer: self.transport.peer(target, &node.addr),
            heartbeats: heartbeats.then(|| self.transport.readers(self.group)),
        }
    }
}

impl RaftNetworkFactory<Types> for Factory {
    type Network = GroupNetwork;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> GroupNetwork {
        self.network(target, node, false)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, node: &BasicNode) -> GroupNetwork {
        self.network(target, node, true)
    }
}

type Replies<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

impl GroupNetwork {
    /// The way to the peer, for a group that may speak.
    fn reached(&self) -> Result<&Reached, RPCError<Types>> {
        self.has_voice()?;
        self.peer.reached.as_ref().map_err(unreachable)
    }

    fn has_voice(&self) -> Result<(), RPCError<Types>> {
        self.transport.context.silence(self.group).map_or(Ok(()), |why| Err(unreachable(why)))
    }

    /// Awaits a call at most until its deadline: a connection that was cut may never err.
    async fn within<T>(
        &self,
        action: RPCTypes,
        option: &RPCOption,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T, RPCError<Types>> {
        match tokio::time::timeout(option.soft_ttl(), call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(unreachable(status)),
            Err(_) => Err(self.too_late(action, option.soft_ttl())),
        }
    }

    fn too_late(&self, action: RPCTypes, timeout: Duration) -> RPCError<Types> {
        RPCError::Timeout(Timeout {
            action,
            id: self.transport.context.options.node_id,
            target: self.peer.node,
            timeout,
        })
    }

    fn request<T>(option: &RPCOption, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(option.soft_ttl());
        request
    }

    /// Asks for a vote, shaking hands before and anew where the peer's present life was not judged yet: see the lives.
    async fn ask_vote(
        &self,
        rpc: &VoteRequest<Types>,
        option: &RPCOption,
        pre: bool,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let asked = async {
            if let Some(answer) = self.ask_vote_once(rpc, option, pre).await? {
                return Ok(answer);
            }
            // One of the two was started since they last shook hands.
            let answer = self.ask_vote_once(rpc, option, pre).await?;
            answer.ok_or_else(|| unreachable("the peer begins one life after the other"))
        };
        match tokio::time::timeout(option.soft_ttl(), asked).await {
            Ok(answer) => self.has_voice().and(answer),
            Err(_) => Err(self.too_late(RPCTypes::Vote, option.soft_ttl())),
        }
    }

    /// The answer of the peer in the life that was judged; `None`: it is to be judged anew.
    async fn ask_vote_once(
        &self,
        rpc: &VoteRequest<Types>,
        option: &RPCOption,
        pre: bool,
    ) -> Result<Option<VoteResponse<Types>>, RPCError<Types>> {
        let (context, node) = (&self.transport.context, self.peer.node);
        let judged = self.judged().await.map_err(unreachable)?;
        let request = wire::vote_request_to_wire(context.envelope(node), self.group, rpc, context.own_life());
        let request = Self::request(option, request);
        let mut client = self.reached()?.control.clone();
        let answered = if pre { client.pre_vote(request).await } else { client.vote(request).await };
        let response = match answered {
            Ok(response) => response.into_inner(),
            Err(status) if asks_for_a_handshake(&status) => {
                context.lives.forget(node);
                return Ok(None);
            }
            Err(status) => return Err(unreachable(status)),
        };
        if wire::life_from_wire(response.voter) != Some(judged) {
            context.lives.forget(node);
            return Ok(None);
        }
        wire::vote_response_from_wire(response).map(Some).map_err(unreachable)
    }

    /// The life in which the peer was judged and found well, shaking hands if it was not judged yet.
    async fn judged(&self) -> Result<Incarnation, String> {
        let (context, node) = (&self.transport.context, self.peer.node);
        let known = || {
            let refusal = context.registry().and_then(|registry| registry.refusal(node));
            refusal.map_or_else(|| Ok(context.lives.of(node)), Err)
        };
        if let Some(life) = known()? {
            return Ok(life);
        }
        let reached = self.peer.reached.as_ref().map_err(Clone::clone)?;
        let _one = reached.shaking.lock().await;
        if let Some(life) = known()? {
            return Ok(life);
        }
        let shaken = handshake::exchange(context, reached.control.clone(), node).await;
        if let Some(registry) = context.registry() {
            registry.judged_by(node, shaken.as_ref().map(drop));
        }
        shaken.map(|facts| facts.incarnation).map_err(|error| error.to_string())
    }

    async fn open_session(&self, option: &RPCOption) -> Result<SessionHandle, RPCError<Types>> {
        let connection = self.reached()?.link.connection(option.soft_ttl()).await.map_err(unreachable)?;
        connection.open_session().map_err(unreachable)
    }

    /// How long ago a majority last confirmed this node as the group's leader.
    fn confirmed(&self) -> Option<Duration> {
        let raft = self.transport.context.registry()?.replica(self.group).ok()?;
        let metrics = raft.metrics();
        let confirmed = metrics.borrow_watched().last_quorum_acked;
        confirmed.map(|at| at.elapsed())
    }

    /// One heartbeat, together with those of other groups.
    async fn beat(&self, request: &Request, option: &RPCOption) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
        let link = &self.reached()?.link;
        let options = &self.transport.context.options;
        let limit = option.soft_ttl().min(options.heartbeat_timeout);
        let beat = async {
            let connection = link.connection(limit).await?;
            let is_read = self.heartbeats.as_ref().is_some_and(|readers| readers.load(Ordering::Relaxed) > 0);
            let hold = if is_read { Duration::ZERO } else { options.heartbeat_hold.min(limit / HOLD_PART) };
            connection.beat(self.group, request, self.confirmed(), hold)?.answer().await
        };
        match tokio::time::timeout(limit, beat).await {
            Ok(answer) => self.has_voice().and(answer.map_err(unreachable)),
            Err(_) => Err(self.too_late(RPCTypes::AppendEntries, limit)),
        }
    }

    fn heartbeats<S>(&self, input: S, option: RPCOption) -> Replies<'_>
    where
        S: Stream<Item = Request> + OptionalSend + Unpin + 'static,
    {
        Box::pin(futures_util::stream::unfold(Some((self, input, option)), |state| async move {
            let (network, mut input, option) = state?;
            let request = input.next().await?;
            let reply = network.beat(&request, &option).await;
            let goes_on = matches!(reply, Ok(Ok(_)));
            Some((reply, goes_on.then_some((network, input, option))))
        }))
    }
}

impl RaftNetworkV2<Types> for GroupNetwork {
    type SnapshotData = Snapshot;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let one = futures_util::stream::iter([rpc]);
        let mut replies = self.stream_append(one, option).await?;
        let mut last = None;
        while let Some(reply) = replies.next().await {
            last = Some(reply?);
        }
        last.map(AppendEntriesResponse::from).ok_or_else(|| unreachable("the session ended without a reply"))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<Replies<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let this: &'s Self = self;
        Box::pin(async move {
            if this.heartbeats.is_some() {
                return Ok(this.heartbeats(input, option));
            }
            let handle = match this.open_session(&option).await {
                Ok(handle) => handle,
                Err(error) => {
                    // openraft waits before it reads the next request: one that was refused before any was read would be
                    // made again at once, without end.
                    tokio::time::sleep(BACKOFF_LEAST).await;
                    return Err(error);
                }
            };
            let options = this.transport.context.options.clone();
            let session = AppendSession::new(handle, this.group, this.peer.node, options, input);
            // A session may live long: what comes while the group is silent does not count.
            let replies = session.replies().map(|reply| this.has_voice().and(reply));
            Ok(Box::pin(replies) as Replies<'s>)
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, &option, false).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(&rpc, &option, true).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types>,
        snapshot: SnapshotOf<Types, Snapshot>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let client = self.reached()?.bulk.clone();
        let sending =
            snapshots::Sending { context: &self.transport.context, group: self.group, target: self.peer.node, vote };
        sending.send(client, snapshot.snapshot, cancel).await
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let mut client = self.reached()?.control.clone();
        let envelope = self.transport.context.envelope(self.peer.node);
        let request = Self::request(&option, wire::transfer_to_wire(envelope, self.group, &req));
        let response = self.within(RPCTypes::TransferLeader, &option, client.transfer_leader(request)).await?;
        wire::transfer_response_from_wire(response).map_err(unreachable)
    }

    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(BACKOFF_LEAST), |pause| Some((*pause * 2).min(BACKOFF_MOST)));
        Some(Backoff::new(pauses))
    }
}
