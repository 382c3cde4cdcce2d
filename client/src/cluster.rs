//! Questions to the cluster, and its administration.

use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::ErrorReason;
use holdfast_proto::v1::cluster_service_client::ClusterServiceClient;
use holdfast_world::GrpcChannel;
use tokio::time::Instant;

use crate::answer::Error;
use crate::call::{Calling, Nature, Target};
use crate::core::channel;
use crate::{Client, node};

fn cluster(channel: GrpcChannel) -> ClusterServiceClient<GrpcChannel> {
    ClusterServiceClient::new(channel)
}

/// Where the cluster's slots, leaders and nodes are, as this client knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Of the slot map.
    pub epoch: u64,
    /// Each shard with its leader, where it is known.
    pub shards: Vec<(u32, Option<u64>)>,
    /// The nodes, by their ids.
    pub members: Vec<v1::Member>,
    /// Where lines without a location are.
    pub default_location_id: String,
    /// Of the cluster.
    pub cluster_id: String,
}

impl Client {
    /// The routes as this client knows them now; asks nobody.
    #[must_use]
    pub fn routing(&self) -> Routing {
        self.core().with_routes(|routes| Routing {
            epoch: routes.epoch,
            shards: routes.shards.iter().map(|&shard| (shard, routes.leader_of(shard))).collect(),
            members: routes.members.values().cloned().collect(),
            default_location_id: routes.default_location_id.clone(),
            cluster_id: routes.cluster_id.clone(),
        })
    }

    /// Asks for the routes anew.
    pub async fn refresh_routing(&self) -> Result<Routing, Error> {
        self.core().fetch_routes().await?;
        Ok(self.routing())
    }

    /// What a node says of itself. One attempt.
    pub async fn status(&self, node_id: u64) -> Result<v1::GetStatusResponse, Error> {
        let calling = self.core().reading(Target::Node(node_id));
        let ask = |channel, request| async move { cluster(channel).get_status(request).await };
        self.core().call(calling, v1::GetStatusRequest {}, ask).await
    }

    /// What the node at an address says of itself, member or not. One attempt.
    pub async fn status_at(&self, address: &str) -> Result<v1::GetStatusResponse, Error> {
        let options = &self.core().options;
        let ends = Instant::now() + options.attempt_timeout;
        let mut asked = cluster(channel(options, address)?);
        let answer = tokio::time::timeout_at(ends, asked.get_status(node::within(v1::GetStatusRequest {}, ends))).await;
        match answer {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| node::error_of(&status)),
            Err(_) => Err(Error::not_admitted(ErrorReason::Unavailable, format!("no answer from {address} in time"))),
        }
    }

    /// Digest, position and sums of a node's replica of a shard. With `at_least_index` it waits until that is applied,
    /// with `verify` the node recomputes and checks everything; `deadline` bounds it.
    pub async fn replica(
        &self,
        node_id: u64,
        question: v1::GetReplicaRequest,
        deadline: Duration,
    ) -> Result<v1::GetReplicaResponse, Error> {
        let ask = |channel, request| async move { cluster(channel).get_replica(request).await };
        let calling = self.at_length(Target::Node(node_id), Nature::Read, deadline);
        self.core().call(calling, question, ask).await
    }

    /// Creates a location, or replaces what is known of it.
    pub async fn put_location(&self, location: v1::Location) -> Result<v1::Location, Error> {
        let question = v1::PutLocationRequest { location: Some(location) };
        let ask = |channel, request| async move { cluster(channel).put_location(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::PutLocationResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.location.unwrap_or_default())
    }

    /// All locations.
    pub async fn locations(&self) -> Result<Vec<v1::Location>, Error> {
        let calling = self.core().reading(Target::MetaLeader);
        let ask = |channel, request| async move { cluster(channel).list_locations(request).await };
        let reply: v1::ListLocationsResponse = self.core().call(calling, v1::ListLocationsRequest {}, ask).await?;
        Ok(reply.locations)
    }

    /// Creates a channel, or replaces what is said of it.
    pub async fn put_channel(&self, channel: v1::Channel) -> Result<v1::Channel, Error> {
        let question = v1::PutChannelRequest { channel: Some(channel) };
        let ask = |channel, request| async move { cluster(channel).put_channel(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::PutChannelResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.channel.unwrap_or_default())
    }

    /// All channels, or one that must be there.
    pub async fn channels(&self, channel_id: Option<&str>) -> Result<Vec<v1::Channel>, Error> {
        let calling = self.core().reading(Target::MetaLeader);
        let ask = |channel, request| async move { cluster(channel).list_channels(request).await };
        let question = v1::ListChannelsRequest { channel_id: channel_id.unwrap_or_default().to_owned() };
        let reply: v1::ListChannelsResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.channels)
    }

    /// Makes a campaign known. The same again changes nothing.
    pub async fn open_campaign(&self, campaign: v1::Campaign) -> Result<v1::Campaign, Error> {
        let question = v1::OpenCampaignRequest { campaign: Some(campaign) };
        let ask = |channel, request| async move { cluster(channel).open_campaign(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::OpenCampaignResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.campaign.unwrap_or_default())
    }

    /// Ends a campaign: what it has not sold goes back to sale. `UNKNOWN_CAMPAIGN` where there is none.
    pub async fn close_campaign(&self, campaign_id: &str) -> Result<v1::Campaign, Error> {
        let question = v1::CloseCampaignRequest { campaign_id: campaign_id.to_owned() };
        let ask = |channel, request| async move { cluster(channel).close_campaign(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::CloseCampaignResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.campaign.unwrap_or_default())
    }

    /// All campaigns, or one that must be there.
    pub async fn campaigns(&self, campaign_id: Option<&str>) -> Result<Vec<v1::Campaign>, Error> {
        let calling = self.core().reading(Target::MetaLeader);
        let ask = |channel, request| async move { cluster(channel).list_campaigns(request).await };
        let campaign_id = campaign_id.unwrap_or_default().to_owned();
        let question = v1::ListCampaignsRequest { campaign_id, stale: false };
        let reply: v1::ListCampaignsResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.campaigns)
    }

    /// All campaigns as that node has them, and how old that may be, in milliseconds; it asks no other. One attempt.
    pub async fn campaigns_at(&self, node_id: u64) -> Result<(Vec<v1::Campaign>, u64), Error> {
        let calling = self.core().reading(Target::Node(node_id));
        let ask = |channel, request| async move { cluster(channel).list_campaigns(request).await };
        let question = v1::ListCampaignsRequest { campaign_id: String::new(), stale: true };
        let reply: v1::ListCampaignsResponse = self.core().call(calling, question, ask).await?;
        Ok((reply.campaigns, reply.age_ms))
    }

    /// Creates a limit per customer over several SKUs, or replaces what is said of it.
    pub async fn put_shared_limit(&self, limit: v1::SharedLimit) -> Result<v1::SharedLimit, Error> {
        let question = v1::PutSharedLimitRequest { limit: Some(limit) };
        let ask = |channel, request| async move { cluster(channel).put_shared_limit(request).await };
        let calling = self.at_length(Target::MetaLeader, Nature::Change, self.core().options.deadline);
        let reply: v1::PutSharedLimitResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.limit.unwrap_or_default())
    }

    /// All limits per customer over several SKUs.
    pub async fn shared_limits(&self) -> Result<Vec<v1::SharedLimit>, Error> {
        let calling = self.core().reading(Target::MetaLeader);
        let ask = |channel, request| async move { cluster(channel).list_shared_limits(request).await };
        let reply: v1::ListSharedLimitsResponse =
            self.core().call(calling, v1::ListSharedLimitsRequest {}, ask).await?;
        Ok(reply.limits)
    }

    /// Replaces a member that may not vote by the fresh node at `peer_address`. Answers when it is done.
    pub async fn replace_node(
        &self,
        node_id: u64,
        peer_address: &str,
        deadline: Duration,
    ) -> Result<v1::Member, Error> {
        let question = v1::ReplaceNodeRequest { node_id, peer_address: peer_address.to_owned() };
        let ask = |channel, request| async move { cluster(channel).replace_node(request).await };
        // The one to be replaced may hold an older copy of its folder, and believe that it leads.
        let calling = self.at_length(Target::Other(node_id), Nature::Change, deadline);
        let reply: v1::ReplaceNodeResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.member.unwrap_or_default())
    }

    /// Asks a node to hand leadership on. Answers with the number of groups.
    pub async fn transfer_leadership(
        &self,
        node_id: u64,
        question: v1::TransferLeadershipRequest,
        deadline: Duration,
    ) -> Result<u32, Error> {
        let ask = |channel, request| async move { cluster(channel).transfer_leadership(request).await };
        let calling = self.at_length(Target::Node(node_id), Nature::Change, deadline);
        let reply: v1::TransferLeadershipResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.transferred)
    }

    /// Asks a node for a checkpoint of its replica of a shard, or of all. Answers with the applied index of the
    /// checkpoint; of all, the least.
    pub async fn checkpoint(&self, node_id: u64, shard: Option<u32>, deadline: Duration) -> Result<u64, Error> {
        let question = v1::CheckpointRequest { shard: shard.unwrap_or_default(), all: shard.is_none() };
        let ask = |channel, request| async move { cluster(channel).checkpoint(request).await };
        let calling = self.at_length(Target::Node(node_id), Nature::Read, deadline);
        let reply: v1::CheckpointResponse = self.core().call(calling, question, ask).await?;
        Ok(reply.applied_index)
    }

    /// A call that may take all of its time in one attempt.
    pub(crate) fn at_length(&self, target: Target, nature: Nature, deadline: Duration) -> Calling {
        Calling { target, nature, deadline: Instant::now() + deadline, attempt: deadline }
    }
}
