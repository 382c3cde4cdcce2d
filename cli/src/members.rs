//! The nodes of a cluster, each spoken to by itself: what one node says of itself cannot be asked through a client that
//! chooses the node. Everything else goes through the client library.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_proto::v1::alert_service_client::AlertServiceClient;
use holdfast_proto::v1::cluster_service_client::ClusterServiceClient;
use holdfast_proto::v1::inventory_service_client::InventoryServiceClient;
use holdfast_proto::v1::shard_service_client::ShardServiceClient;
use holdfast_proto::v1::{
    AuditResult, AuditShardRequest, Cause, CommandError, ErrorReason, GetReplicaRequest, GetReplicaResponse,
    GetRoutingRequest, GetRoutingResponse, GetStatusRequest, GetStatusResponse, ListAlertsRequest, ListAlertsResponse,
    ListReservationsRequest, ListReservationsResponse, ListShardsRequest, ListStockRequest, ListStockResponse,
    ResumeShardRequest, ShardStanding,
};
use holdfast_world::{GrpcChannel, Lane, World};
use tonic::{Request, Status};

use crate::failure::Failure;

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A replica that checks all its records, or sends a page of them, may take longer.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// A shard may be between two leaders.
const RESUME_WITHIN: Duration = Duration::from_secs(8);

/// One channel a node.
#[derive(Clone)]
pub struct Members(BTreeMap<u64, (String, GrpcChannel)>);

impl Members {
    /// Nodes whose client addresses are known. Connects when first used.
    pub fn at(nodes: impl IntoIterator<Item = (u64, String)>) -> Result<Self, Failure> {
        let world = World::real();
        let mut members = BTreeMap::new();
        for (id, address) in nodes {
            let channel = world
                .network
                .channel(&address, Lane::Client, CONNECT_WITHIN)
                .map_err(|error| Failure::usage(format!("{address} is no address: {error}")).hint("write host:port"))?;
            members.insert(id, (address, channel));
        }
        Ok(Self(members))
    }

    /// The nodes of the cluster that one of the addresses belongs to.
    pub async fn find(addresses: &[String]) -> Result<Self, Failure> {
        let asked = Self::at((1..).zip(addresses.iter().cloned()))?;
        let routing = asked.routing().await?;
        Self::at(routing.members.into_iter().map(|member| (member.node_id, member.client_address)))
    }

    /// Their ids and client addresses.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &str)> {
        self.0.iter().map(|(id, (address, _))| (*id, address.as_str()))
    }

    fn channel(&self, id: u64) -> Result<GrpcChannel, Failure> {
        let found = self.0.get(&id).map(|(_, channel)| channel.clone());
        found.ok_or_else(|| Failure::usage(format!("the cluster has no node {id}")))
    }

    /// The routing as the first node that answers knows it.
    pub async fn routing(&self) -> Result<GetRoutingResponse, Failure> {
        let mut last = None;
        for (address, channel) in self.0.values() {
            match ClusterServiceClient::new(channel.clone())
                .get_routing(within(GetRoutingRequest {}, ANSWER_WITHIN))
                .await
            {
                Ok(routing) => return Ok(routing.into_inner()),
                Err(status) => last = Some((address, status)),
            }
        }
        let tried: Vec<&str> = self.0.values().map(|(address, _)| address.as_str()).collect();
        let why = last.map(|(_, status)| format!(": {}", status.message())).unwrap_or_default();
        Err(Failure::unavailable(format!("no node answers at {}{why}", tried.join(", ")))
            .hint("name the nodes with `--addr host:port,…` or HOLDFAST_ADDR, or start a cluster with `holdfast up`"))
    }

    /// How many shards the cluster has.
    pub async fn shards(&self) -> Result<u32, Failure> {
        let routing = self.routing().await?;
        u32::try_from(routing.shards.len())
            .map_err(|_| Failure::unavailable("the cluster has too many shards to be true"))
    }

    /// What a node says of itself.
    pub async fn status(&self, id: u64) -> Result<GetStatusResponse, Failure> {
        let mut service = ClusterServiceClient::new(self.channel(id)?);
        let reply = service.get_status(within(GetStatusRequest {}, ANSWER_WITHIN)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| unread(id, &status))
    }

    /// Does the node answer, and say that it is ready?
    pub async fn is_ready(&self, id: u64) -> bool {
        self.status(id).await.is_ok_and(|status| status.ready)
    }

    /// A node's replica of a shard.
    pub async fn replica(&self, id: u64, request: GetReplicaRequest) -> Result<GetReplicaResponse, Failure> {
        let mut service = ClusterServiceClient::new(self.channel(id)?);
        let reply = service.get_replica(within(request, READ_WITHIN)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| unread(id, &status))
    }

    /// A page of a node's stock of a shard.
    pub async fn stock(&self, id: u64, request: ListStockRequest) -> Result<ListStockResponse, Failure> {
        let mut service = InventoryServiceClient::new(self.channel(id)?).max_decoding_message_size(MAX_REPLY_BYTES);
        let reply = service.list_stock(within(request, READ_WITHIN)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| unread(id, &status))
    }

    /// A page of a node's reservations of a shard.
    pub async fn reservations(
        &self,
        id: u64,
        request: ListReservationsRequest,
    ) -> Result<ListReservationsResponse, Failure> {
        let mut service = InventoryServiceClient::new(self.channel(id)?).max_decoding_message_size(MAX_REPLY_BYTES);
        let reply = service.list_reservations(within(request, READ_WITHIN)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| unread(id, &status))
    }
}

impl Members {
    /// What a node says of its replicas of the shards.
    pub async fn shard_standings(&self, id: u64) -> Result<Vec<ShardStanding>, Failure> {
        let mut service = ShardServiceClient::new(self.channel(id)?).max_decoding_message_size(MAX_REPLY_BYTES);
        let reply = service.list_shards(within(ListShardsRequest {}, ANSWER_WITHIN)).await;
        reply.map(|reply| reply.into_inner().shards).map_err(|status| unread(id, &status))
    }

    /// What a node found abnormal, of a shard or of all.
    pub async fn alerts(&self, id: u64, shard: Option<u32>) -> Result<ListAlertsResponse, Failure> {
        let mut service = AlertServiceClient::new(self.channel(id)?).max_decoding_message_size(MAX_REPLY_BYTES);
        let reply = service.list_alerts(within(ListAlertsRequest { shard }, ANSWER_WITHIN)).await;
        reply.map(tonic::Response::into_inner).map_err(|status| unread(id, &status))
    }

    /// Has a node audit its replica of a shard.
    pub async fn audit_shard(&self, id: u64, shard: u32) -> Result<AuditResult, Failure> {
        let mut service = ShardServiceClient::new(self.channel(id)?);
        let reply = service.audit_shard(within(AuditShardRequest { shard }, READ_WITHIN)).await;
        reply.map(|reply| reply.into_inner().audit.unwrap_or_default()).map_err(|status| unread(id, &status))
    }

    /// Has a halted shard take commands again: by the first node that can tell its leader.
    pub async fn resume_shard(&self, shard: u32, halted_seq: u64, cause: &Cause) -> Result<(), Failure> {
        let mut last = Failure::unavailable("the cluster has no node");
        for (id, (_, channel)) in &self.0 {
            let request = ResumeShardRequest { shard, halted_seq, cause: Some(cause.clone()) };
            match ShardServiceClient::new(channel.clone()).resume_shard(within(request, RESUME_WITHIN)).await {
                Ok(_) => return Ok(()),
                Err(status) => last = failed(*id, &status),
            }
        }
        Err(last)
    }
}

/// A page of a thousand reservations of a hundred lines each stays below.
const MAX_REPLY_BYTES: usize = 32 * 1_024 * 1_024;

fn within<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Of a question that changes nothing: no answer is no unknown outcome.
fn unread(id: u64, status: &Status) -> Failure {
    let error = CommandError::from(status);
    if error.reason() == ErrorReason::OutcomeUnknown {
        return Failure::unavailable(format!("node {id}: no answer: {}", status.message()));
    }
    Failure::from(error).about(format!("node {id}"))
}

fn failed(id: u64, status: &Status) -> Failure {
    Failure::from(CommandError::from(status)).about(format!("node {id}"))
}
