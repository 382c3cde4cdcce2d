//! The cluster: its nodes, shards, locations and channels.

use holdfast_client::Client;
use holdfast_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::paging::Page;
use crate::problem::Problem;
use crate::records::Record;
use crate::reply::{Answered, Reply};
use crate::wire::{FromWire, from_wire, said, shortened, words};

words! {
    /// What a place is.
    LocationKind { Warehouse, Store, Virtual } else Warehouse
}

words! {
    /// What a replica does in its group.
    ReplicaRole { Leader, Follower, Candidate, Learner, Damaged } else Follower
}

/// A node, and where it is reached.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    node_id: u64,
    client_address: String,
    peer_address: String,
    http_address: String,
}

from_wire!(Member { node_id, client_address, peer_address, http_address });

/// A shard, and who leads it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShardRoute {
    shard: u32,
    /// 0: not known.
    leader_node_id: u64,
}

/// The cluster as this node's client knows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClusterShown {
    cluster_id: String,
    /// Of the slot map.
    epoch: u64,
    members: Vec<Member>,
    shards: Vec<ShardRoute>,
    default_location_id: String,
    /// Cluster time, in milliseconds since the Unix epoch.
    log_time_ms: u64,
}

/// A node's replica of a shard, or of the cluster's own records.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplicaStatus {
    /// 0: the cluster's own records; shard n is group n + 1.
    group: u64,
    role: ReplicaRole,
    term: u64,
    leader_node_id: u64,
    last_log_index: u64,
    committed_index: u64,
    applied_index: u64,
    checkpointed_index: u64,
    purged_index: u64,
    /// Of a damaged one: what to do.
    detail: String,
    /// Commands that wait,
    waiting: u32,
    /// and how many may.
    capacity: u32,
}

from_wire!(ReplicaStatus {
    group,
    role,
    term,
    leader_node_id,
    last_log_index,
    committed_index,
    applied_index,
    checkpointed_index,
    purged_index,
    detail,
    waiting,
    capacity,
});

/// What a node says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NodeStatus {
    node_id: u64,
    version: String,
    /// It knows a leader for every group and no replica of its own is damaged.
    ready: bool,
    /// How often it was started.
    incarnation: u64,
    uptime_ms: u64,
    /// What an operator should look at.
    warnings: Vec<String>,
    replicas: Vec<ReplicaStatus>,
}

/// A place that holds stock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Location {
    location_id: String,
    name: String,
    kind: LocationKind,
    /// An IANA name; empty: UTC.
    time_zone: String,
    priority: u32,
    inactive: bool,
    revision: u64,
}

from_wire!(Location { location_id, name, kind, time_zone, priority, inactive, revision });

/// What is said of a location.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LocationSaid {
    name: String,
    /// A warehouse if it is not said.
    #[schema(nullable = false)]
    kind: Option<LocationKind>,
    /// An IANA name; empty: UTC.
    #[schema(example = "Europe/Paris")]
    time_zone: String,
    priority: u32,
    inactive: bool,
}

/// Through what a shop sells.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    channel_id: String,
    /// In the order in which they are asked.
    location_ids: Vec<String>,
    /// Units of each SKU at each of the locations that are not sold through it.
    buffer: u32,
    inactive: bool,
    revision: u64,
}

from_wire!(Channel { channel_id, location_ids, buffer, inactive, revision });

/// What is said of a channel.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelSaid {
    /// 1 to 64, each once, in the order in which they are asked.
    location_ids: Vec<String>,
    #[serde(default)]
    buffer: u32,
    #[serde(default)]
    inactive: bool,
}

/// The cluster: its nodes and shards.
#[utoipa::path(get, path = "/v1/cluster", tag = "cluster",
    responses((status = 200, description = "As this node knows it", body = ClusterShown)))]
pub(crate) async fn get_cluster(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    let routing = client.routing();
    let route = |(shard, leader): (u32, Option<u64>)| ShardRoute { shard, leader_node_id: leader.unwrap_or(0) };
    let shown = ClusterShown {
        cluster_id: routing.cluster_id,
        epoch: routing.epoch,
        members: Vec::from_wire(routing.members),
        shards: routing.shards.into_iter().map(route).collect(),
        default_location_id: routing.default_location_id,
        log_time_ms: client.cluster_time_ms(),
    };
    Ok(Reply::ok(&shown))
}

/// What a node says of itself. It is asked once.
#[utoipa::path(get, path = "/v1/cluster/nodes/{node_id}", tag = "cluster",
    params(("node_id" = u64, Path, description = "The node")),
    responses((status = 200, description = "Its state", body = NodeStatus)))]
pub(crate) async fn get_node(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, text) = (asked.client()?, asked.path("node_id"));
    let is_member = |id: &u64| client.routing().members.iter().any(|member| member.node_id == *id);
    let node_id = text.parse::<u64>().ok().filter(is_member).ok_or_else(|| {
        Problem::invalid("node_id", format!("the cluster has no node {}", shortened(text))).with_status(404)
    })?;
    let v1::GetStatusResponse { version, ready, incarnation, uptime_ms, warnings, replicas, .. } =
        client.status(node_id).await?;
    let replicas = Vec::from_wire(replicas);
    Ok(Reply::ok(&NodeStatus { node_id, version, ready, incarnation, uptime_ms, warnings, replicas }))
}

/// The locations, in the order of their ids.
#[utoipa::path(get, path = "/v1/locations", tag = "cluster",
    params(("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Location>)))]
pub(crate) async fn list_locations(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let items = asked.client()?.locations().await?;
    asked.page_of_records::<Location, _>(items, |it| &it.location_id)
}

/// Creates a location, or replaces what is known of it.
#[utoipa::path(put, path = "/v1/locations/{location_id}", tag = "cluster",
    params(("location_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = LocationSaid, responses((status = 200, description = "It is so", body = Location)))]
pub(crate) async fn put_location(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let LocationSaid { name, kind, time_zone, priority, inactive } = asked.body()?;
    let location = v1::Location {
        location_id: asked.path("location_id").to_owned(),
        name,
        kind: said(kind, LocationKind::wire),
        time_zone,
        priority,
        inactive,
        revision: 0,
    };
    let id = location.location_id.clone();
    let revision_of = |client: Client| async move {
        let known = client.locations().await?;
        Ok(known.iter().find(|known| known.location_id == id).map_or(0, |known| known.revision))
    };
    asked.at_revision("location", revision_of).await?;
    let (known, is_anothers) = asked.put_record::<v1::Location>(Record::Location(location)).await?;
    let revision = known.revision;
    Ok(Reply::ok(&Location::from_wire(known)).tagged(revision).replayed(is_anothers))
}

/// The channels, in the order of their ids.
#[utoipa::path(get, path = "/v1/channels", tag = "cluster",
    params(("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Channel>)))]
pub(crate) async fn list_channels(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let items = asked.client()?.channels(None).await?;
    asked.page_of_records::<Channel, _>(items, |it| &it.channel_id)
}

/// Creates a channel, or replaces what is said of it.
#[utoipa::path(put, path = "/v1/channels/{channel_id}", tag = "cluster",
    params(("channel_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = ChannelSaid, responses((status = 200, description = "It is so", body = Channel)))]
pub(crate) async fn put_channel(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let ChannelSaid { location_ids, buffer, inactive } = asked.body()?;
    let channel_id = asked.path("channel_id").to_owned();
    let channel = v1::Channel { channel_id, location_ids, buffer, inactive, revision: 0 };
    let id = channel.channel_id.clone();
    let revision_of = |client: Client| async move {
        let known = client.channels(None).await?;
        Ok(known.iter().find(|known| known.channel_id == id).map_or(0, |known| known.revision))
    };
    asked.at_revision("channel", revision_of).await?;
    let (known, is_anothers) = asked.put_record::<v1::Channel>(Record::Channel(channel)).await?;
    let revision = known.revision;
    Ok(Reply::ok(&Channel::from_wire(known)).tagged(revision).replayed(is_anothers))
}
