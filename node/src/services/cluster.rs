//! `ClusterService`: routing, state, locations, channels, campaigns and the operator's changes.

use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::{CampaignId, Inventory, LocationId, LogTime, Revision};
use holdfast_proto::v1::cluster_service_server::ClusterService;
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_raft::host::{Group, GroupError, Role, ScrubStatus};
use holdfast_raft::meta::{Meta, MetaChange};
use holdfast_raft::stages::{Stage, StageTotal};
use holdfast_raft::types::{GroupId, NodeId};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Request, Response, Status};

use super::{replace, timeout_of};
use crate::change::{ChangeError, propose_change};
use crate::core::{Core, group_name};
use crate::from_proto::{self, Freshness, invalid};
use crate::refusals;
use crate::routing::Routes;
use crate::shard::ShardHandle;
use crate::to_proto;

/// How long a checkpoint asked for may take.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(120);
/// Entries that a checkpoint asked for leaves in the log, for followers that lag a little.
const KEPT_ENTRIES: u64 = 1_000;
/// Between two looks at whether the shards know a new location.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Rows that are summed under one lock of the shard.
const SUMMED_AT_ONCE: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    core: Arc<Core>,
    /// One replacement at a time.
    replacing: Mutex<()>,
}

impl Cluster {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core, replacing: Mutex::new(()) }
    }

    fn group(&self, number: u64) -> Result<Group, CommandError> {
        let id = GroupId(number);
        self.core.group(id).ok_or_else(|| {
            invalid(
                "group",
                &format!("is {number}, which does not run here"),
                "0 is the meta group, shard n is group n + 1",
            )
        })
    }
}

fn stage_timing((stage, total): (Stage, StageTotal)) -> v1::StageTiming {
    v1::StageTiming { stage: stage.name().to_owned(), count: total.count, total_us: total.total_us }
}

fn scrub_status(status: ScrubStatus) -> v1::ScrubStatus {
    v1::ScrubStatus {
        passes: status.passes,
        log_bytes: status.log_bytes,
        state_bytes: status.state_bytes,
        rotten_entries: status.rotten_entries,
        mended_entries: status.mended_entries,
        rotten_segments: status.rotten_segments,
        mended_segments: status.mended_segments,
        rotten_chunks: status.rotten_chunks,
        mended_chunks: status.mended_chunks,
        failed_reads: status.failed_reads,
    }
}

fn members(routes: &Routes) -> Vec<v1::Member> {
    routes.members.iter().map(|(id, member)| to_proto::member(*id, member)).collect()
}

pub(super) fn group_error(error: &GroupError, group: GroupId, routes: &Routes) -> CommandError {
    match error {
        GroupError::NotLeader { leader } => {
            let mut not_leader = refusals::not_leader(*leader, group.shard().unwrap_or(0), routes, 0);
            not_leader.metadata.insert("group".to_owned(), group.0.to_string());
            not_leader
        }
        GroupError::NoQuorum { .. }
        | GroupError::TimedOut
        | GroupError::InProgress { .. }
        | GroupError::Stopped { .. } => {
            CommandError::of(ErrorReason::Unavailable, format!("{}: {error}", group_name(group))).with("group", group.0)
        }
        GroupError::Refused { why } => invalid(
            "group",
            &format!("of {} is not changed: {why}", group_name(group)),
            "`holdfast cluster status` shows its members",
        ),
    }
}

pub(super) fn change_error(error: &ChangeError, routes: &Routes) -> CommandError {
    match error {
        ChangeError::NotLeader { leader } => {
            group_error(&GroupError::NotLeader { leader: *leader }, GroupId::META, routes)
        }
        ChangeError::Stopped { why } => group_error(&GroupError::Stopped { why: why.clone() }, GroupId::META, routes),
        ChangeError::Refused { why } => CommandError::of(ErrorReason::InvalidArgument, why.clone()),
        ChangeError::Unknown { .. } => CommandError::of(ErrorReason::OutcomeUnknown, error.to_string()),
    }
}

/// The meta group, which this node leads, with all in its records that was acknowledged before: what is not there now, there is not.
///
/// # Errors
///
/// `NOT_LEADER` where another node leads it; `UNAVAILABLE` where no majority answers by the deadline.
pub(super) async fn present_records(core: &Core, deadline: Instant) -> Result<&Group, CommandError> {
    let (routes, meta) = (core.routes()?, core.meta()?);
    let read = timeout_at(deadline, meta.read_index()).await.unwrap_or(Err(GroupError::TimedOut));
    read.map_err(|error| group_error(&error, GroupId::META, &routes))?;
    Ok(meta)
}

/// What is made of the records as [`present_records`] has them.
async fn present_routes(core: &Core, deadline: Instant) -> Result<Routes, CommandError> {
    let meta = present_records(core, deadline).await?;
    meta.read_meta(Routes::of).flatten().ok_or_else(refusals::not_founded)
}

impl Cluster {
    /// Waits until every shard of this node knows something of the records, or the deadline is over: until then a shard would decide
    /// without it.
    async fn until_shards_know(&self, deadline: Instant, is_known: impl Fn(&Inventory) -> bool) {
        let knows = |shard: &ShardHandle| shard.group().read_shard(&is_known) == Some(true);
        while Instant::now() < deadline && !self.core.shards().iter().all(knows) {
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Opens or closes a campaign, and waits until the shards of this node know it: a reserve would be refused by one that does not.
    async fn change_campaign(
        &self,
        id: &CampaignId,
        change: MetaChange,
        deadline: Instant,
    ) -> Result<v1::Campaign, CommandError> {
        let routes = self.core.routes()?;
        let meta = self.core.meta()?;
        propose_change(&self.core, meta, change).await.map_err(|error| change_error(&error, &routes))?;
        let known = meta.read_meta(|meta| meta.campaigns().get(id.as_str()).cloned()).flatten();
        let known = known.ok_or_else(|| from_proto::unknown_campaign("campaign_id", id))?;
        let revision = Revision(known.revision);
        let is_known = |shard: &Inventory| shard.campaign(id).is_some_and(|known| known.revision >= revision);
        self.until_shards_know(deadline, is_known).await;
        Ok(to_proto::campaign(id, &known.spec, revision))
    }
}

#[tonic::async_trait]
impl ClusterService for Cluster {
    async fn get_routing(&self, _: Request<v1::GetRoutingRequest>) -> Result<Response<v1::GetRoutingResponse>, Status> {
        let routes = self.core.routes()?;
        let range = |(first, last, shard): &(u16, u16, u32)| v1::SlotRange {
            first: u32::from(*first),
            last: u32::from(*last),
            shard: *shard,
        };
        let route = |shard: u32| {
            let group = self.core.group(GroupId::of_shard(shard));
            v1::ShardRoute { shard, leader_node_id: group.and_then(|group| group.leader()).unwrap_or(0) }
        };
        Ok(Response::new(v1::GetRoutingResponse {
            epoch: routes.epoch,
            slots: routes.ranges.iter().map(range).collect(),
            shards: (0..routes.shards).map(route).collect(),
            members: members(&routes),
            default_location_id: routes.words.default_location.to_string(),
            cluster_id: routes.cluster_id.clone(),
            log_time_ms: self.core.log_time_ms(),
        }))
    }

    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::GetStatusResponse>, Status> {
        let core = &self.core;
        let routes = core.routes.borrow().clone();
        let mut replicas: Vec<v1::ReplicaStatus> =
            core.groups().iter().map(|group| replica_status(core, group)).collect();
        for (group, detail) in core.host.damage() {
            let Some(group) = group else { continue };
            let role = v1::ReplicaRole::Damaged.into();
            match replicas.iter_mut().find(|replica| replica.group == group.0) {
                // It runs, and is silent until it is mended.
                Some(running) => (running.role, running.detail) = (role, detail),
                None => replicas.push(v1::ReplicaStatus { group: group.0, role, detail, ..Default::default() }),
            }
        }
        replicas.sort_by_key(|replica| replica.group);
        Ok(Response::new(v1::GetStatusResponse {
            node_id: core.config.node_id,
            cluster_id: core.config.cluster_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            members: routes.as_deref().map(members).unwrap_or_default(),
            replicas,
            ready: core.not_ready().is_empty(),
            incarnation: core.host.incarnation(),
            uptime_ms: u64::try_from(core.started_at.elapsed().as_millis()).unwrap_or(u64::MAX),
            warnings: core.warnings(),
            endpoints_left_alone: core.breakers.open(Instant::now()).iter().map(ToString::to_string).collect(),
            stages: core.host.stages().totals().into_iter().map(stage_timing).collect(),
            scrub: Some(scrub_status(core.host.scrub_status())),
            requests: core.requests.sums(),
        }))
    }

    async fn get_replica(
        &self,
        request: Request<v1::GetReplicaRequest>,
    ) -> Result<Response<v1::GetReplicaResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let request = request.into_inner();
        let freshness = match request.at_least_index {
            0 => Freshness::Stale,
            index => Freshness::AtLeast { shard: request.shard, index },
        };
        let verify = request.verify;
        let look = move |shard: &Inventory| {
            let (seq, hash) = shard.last_event();
            let digest = if verify { shard.recompute_digest() } else { shard.digest() };
            let breaches = if verify { holdfast_inventory::invariants::check(shard) } else { Vec::new() };
            v1::GetReplicaResponse {
                applied_index: 0,
                digest: digest.0.to_be_bytes().to_vec(),
                change_log_seq: seq,
                change_log_hash: hash.0.to_vec(),
                log_time_ms: shard.now().0,
                totals: Some(totals(shard)),
                breaches: breaches.iter().map(ToString::to_string).collect(),
                change_log_floor: 0,
                unsettled_parts: shard.unsettled_parts(),
                chain_hash: Vec::new(),
                root: Vec::new(),
                age_ms: 0,
                halted: shard
                    .halt()
                    .map(|halt| format!("[{}] {}", halt.invariant.id(), halt.finding))
                    .unwrap_or_default(),
            }
        };
        let routes = self.core.routes()?;
        let group = self.core.shard(request.shard, &routes)?.group().clone();
        if let Freshness::AtLeast { index, .. } = freshness {
            let waited = group.wait_applied(index, deadline).await;
            waited.map_err(|error| refusals::not_read(&error, request.shard, &routes))?;
        }
        let (mut replica, last_event, applied) = group
            .read_shard_at(|shard, applied| (look(shard), shard.last_event(), applied))
            .ok_or_else(|| refusals::unavailable(request.shard, "its replica here has no state"))?;
        replica.applied_index = applied.map_or(0, |id| id.index);
        replica.age_ms = self.core.age_ms(group.age(), LogTime(replica.log_time_ms));
        if request.verify_change_log {
            match group.verify_changes(last_event.0, last_event.1, deadline).await {
                Ok(floor) => replica.change_log_floor = floor,
                Err(fault) => replica.breaches.push(format!("the change log: {fault}")),
            }
        }
        if request.chain_at > 0 {
            match group.change_hash(request.chain_at).await {
                Ok(hash) => replica.chain_hash = hash.map(|hash| hash.0.to_vec()).unwrap_or_default(),
                Err(fault) => replica.breaches.push(format!("the change log: {fault}")),
            }
        }
        if request.root_at > 0 {
            match group.tree_root(request.root_at).await {
                Ok(root) => replica.root = root.map(|root| root.0.to_vec()).unwrap_or_default(),
                Err(fault) => replica.breaches.push(format!("the change log: {fault}")),
            }
        }
        Ok(Response::new(replica))
    }

    async fn put_location(
        &self,
        request: Request<v1::PutLocationRequest>,
    ) -> Result<Response<v1::PutLocationResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let (id, spec) = from_proto::location(request.into_inner().location)?;
        let routes = self.core.routes()?;
        let meta = self.core.meta()?;
        let change = MetaChange::PutLocation { id: id.as_str().to_owned(), spec: spec.clone() };
        propose_change(&self.core, meta, change).await.map_err(|error| change_error(&error, &routes))?;
        let revision = meta.read_meta(|meta| meta.locations().get(id.as_str()).map_or(0, |known| known.revision));
        // A command that names the location would be refused by a shard that does not know it yet.
        let is_known = |shard: &Inventory| shard.location(&id).is_some_and(|known| known.spec == spec);
        self.until_shards_know(deadline, is_known).await;
        let location = Some(to_proto::location(&id, &spec, revision.unwrap_or(0)));
        Ok(Response::new(v1::PutLocationResponse { location }))
    }

    async fn list_locations(
        &self,
        request: Request<v1::ListLocationsRequest>,
    ) -> Result<Response<v1::ListLocationsResponse>, Status> {
        let routes = present_routes(&self.core, self.core.deadline(timeout_of(&request))).await?;
        let known = routes.for_shards.locations.iter().zip(&routes.location_revisions);
        let locations = known.map(|((id, spec), revision)| to_proto::location(id, spec, *revision)).collect();
        Ok(Response::new(v1::ListLocationsResponse { locations }))
    }

    async fn put_channel(
        &self,
        request: Request<v1::PutChannelRequest>,
    ) -> Result<Response<v1::PutChannelResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let routes = present_routes(&self.core, deadline).await?;
        let is_location = |id: &LocationId| routes.for_shards.locations.iter().any(|(known, _)| known == id);
        let (id, spec) = from_proto::channel(request.into_inner().channel, is_location)?;
        let meta = self.core.meta()?;
        let change = MetaChange::PutChannel { id: id.as_str().to_owned(), spec: spec.clone() };
        propose_change(&self.core, meta, change).await.map_err(|error| change_error(&error, &routes))?;
        let revision = meta.read_meta(|meta| meta.channels().get(id.as_str()).map_or(0, |known| known.revision));
        let revision = Revision(revision.unwrap_or(0));
        // A reserve through the channel would be refused, or decided by an older buffer, by a shard that does not know it yet.
        let is_known = |shard: &Inventory| shard.channel(&id).is_some_and(|known| known.revision >= revision);
        self.until_shards_know(deadline, is_known).await;
        Ok(Response::new(v1::PutChannelResponse { channel: Some(to_proto::channel(&id, &spec, revision)) }))
    }

    async fn list_channels(
        &self,
        request: Request<v1::ListChannelsRequest>,
    ) -> Result<Response<v1::ListChannelsResponse>, Status> {
        let routes = present_routes(&self.core, self.core.deadline(timeout_of(&request))).await?;
        let only = match request.into_inner().channel_id.as_str() {
            "" => None,
            text => Some(from_proto::channel_id("channel_id", text)?),
        };
        let known = routes.for_shards.channels.iter().filter(|known| only.as_ref().is_none_or(|id| *id == known.id));
        let channels: Vec<_> = known.map(|known| to_proto::channel(&known.id, &known.spec, known.revision)).collect();
        if let Some(unknown) = only.filter(|_| channels.is_empty()) {
            return Err(from_proto::unknown_channel("channel_id", &unknown).into());
        }
        Ok(Response::new(v1::ListChannelsResponse { channels }))
    }

    async fn open_campaign(
        &self,
        request: Request<v1::OpenCampaignRequest>,
    ) -> Result<Response<v1::OpenCampaignResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let (id, spec) = from_proto::campaign(request.into_inner().campaign)?;
        let change = MetaChange::OpenCampaign { id: id.as_str().to_owned(), spec };
        let campaign = Some(self.change_campaign(&id, change, deadline).await?);
        Ok(Response::new(v1::OpenCampaignResponse { campaign }))
    }

    async fn close_campaign(
        &self,
        request: Request<v1::CloseCampaignRequest>,
    ) -> Result<Response<v1::CloseCampaignResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let id = from_proto::campaign_id("campaign_id", &request.into_inner().campaign_id)?;
        let is_known = |meta: &Meta| meta.campaigns().contains_key(id.as_str());
        if present_records(&self.core, deadline).await?.read_meta(is_known) == Some(false) {
            return Err(from_proto::unknown_campaign("campaign_id", &id).into());
        }
        let change = MetaChange::CloseCampaign { id: id.as_str().to_owned() };
        let campaign = Some(self.change_campaign(&id, change, deadline).await?);
        Ok(Response::new(v1::CloseCampaignResponse { campaign }))
    }

    async fn list_campaigns(
        &self,
        request: Request<v1::ListCampaignsRequest>,
    ) -> Result<Response<v1::ListCampaignsResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let request = request.into_inner();
        let only = match request.campaign_id.as_str() {
            "" => None,
            text => Some(from_proto::campaign_id("campaign_id", text)?),
        };
        let (routes, age_ms) = if request.stale {
            // Records have no log time: where no leader was heard, they are as old as can be.
            (self.core.routes()?, self.core.age_ms(self.core.meta()?.age(), LogTime(0)))
        } else {
            (Arc::new(present_routes(&self.core, deadline).await?), 0)
        };
        let known = routes.for_shards.campaigns.iter().filter(|known| only.as_ref().is_none_or(|id| *id == known.id));
        let campaigns: Vec<_> = known.map(|known| to_proto::campaign(&known.id, &known.spec, known.revision)).collect();
        if let Some(unknown) = only.filter(|_| campaigns.is_empty()) {
            return Err(from_proto::unknown_campaign("campaign_id", &unknown).into());
        }
        Ok(Response::new(v1::ListCampaignsResponse { campaigns, age_ms }))
    }

    async fn put_shared_limit(
        &self,
        request: Request<v1::PutSharedLimitRequest>,
    ) -> Result<Response<v1::PutSharedLimitResponse>, Status> {
        let deadline = self.core.deadline(timeout_of(&request));
        let routes = self.core.routes()?;
        let (id, spec) = from_proto::shared_limit(request.into_inner().limit)?;
        let meta = self.core.meta()?;
        let change = MetaChange::PutLimit { id: id.clone(), spec: spec.clone() };
        propose_change(&self.core, meta, change).await.map_err(|error| change_error(&error, &routes))?;
        let revision = meta.read_meta(|meta| meta.limits().get(&id).map_or(0, |known| known.revision));
        let revision = Revision(revision.unwrap_or(0));
        // A shard that does not know it yet sells its items uncounted, and counts nothing under it.
        let is_known = |shard: &Inventory| shard.shared_limit(&id).is_some_and(|known| known.revision >= revision);
        self.until_shards_know(deadline, is_known).await;
        let limit = Some(to_proto::shared_limit(&id, &spec, revision));
        Ok(Response::new(v1::PutSharedLimitResponse { limit }))
    }

    async fn list_shared_limits(
        &self,
        request: Request<v1::ListSharedLimitsRequest>,
    ) -> Result<Response<v1::ListSharedLimitsResponse>, Status> {
        let routes = present_routes(&self.core, self.core.deadline(timeout_of(&request))).await?;
        let limits = routes.for_shards.shared_limits.iter();
        let limits = limits.map(|limit| to_proto::shared_limit(&limit.id, &limit.spec, limit.revision)).collect();
        Ok(Response::new(v1::ListSharedLimitsResponse { limits }))
    }

    async fn replace_node(
        &self,
        request: Request<v1::ReplaceNodeRequest>,
    ) -> Result<Response<v1::ReplaceNodeResponse>, Status> {
        let Ok(_alone) = self.replacing.try_lock() else {
            let message = "a replacement is under way on this node; ask again when it is done";
            return Err(CommandError::of(ErrorReason::Overloaded, message).after_ms(1_000).into());
        };
        let request = request.into_inner();
        let member = replace::replace(&self.core, request.node_id, &request.peer_address).await?;
        Ok(Response::new(v1::ReplaceNodeResponse { member: Some(member) }))
    }

    async fn transfer_leadership(
        &self,
        request: Request<v1::TransferLeadershipRequest>,
    ) -> Result<Response<v1::TransferLeadershipResponse>, Status> {
        let request = request.into_inner();
        let routes = self.core.routes()?;
        let to = (request.to_node_id > 0).then_some(request.to_node_id);
        if let Some(to) = to.filter(|to| !routes.members.contains_key(to)) {
            return Err(
                invalid("to_node_id", &format!("is {to}, which is no member"), "name a member, or 0 for any").into()
            );
        }
        let may_lead = |id: NodeId| to.map_or_else(|| self.core.may_lead(id), |to| to == id);
        if !request.all {
            let group = self.group(request.group)?;
            group
                .transfer_leadership_among(may_lead)
                .await
                .map_err(|error| group_error(&error, group.id(), &routes))?;
            return Ok(Response::new(v1::TransferLeadershipResponse { transferred: 1 }));
        }
        let mut transferred = 0;
        for group in self.core.groups() {
            if !group.is_leader() {
                continue;
            }
            group
                .transfer_leadership_among(may_lead)
                .await
                .map_err(|error| group_error(&error, group.id(), &routes))?;
            transferred += 1;
        }
        Ok(Response::new(v1::TransferLeadershipResponse { transferred }))
    }

    async fn checkpoint(
        &self,
        request: Request<v1::CheckpointRequest>,
    ) -> Result<Response<v1::CheckpointResponse>, Status> {
        let request = request.into_inner();
        let routes = self.core.routes()?;
        let groups = if request.all {
            self.core.groups()
        } else {
            vec![self.core.shard(request.shard, &routes)?.group().clone()]
        };
        let mut least = u64::MAX;
        for group in groups {
            let done = group.checkpoint(KEPT_ENTRIES, Instant::now() + CHECKPOINT_WAIT).await;
            least = least.min(done.map_err(|error| group_error(&error, group.id(), &routes))?);
        }
        Ok(Response::new(v1::CheckpointResponse { applied_index: least }))
    }
}

fn replica_status(core: &Core, group: &Group) -> v1::ReplicaStatus {
    let status = group.status();
    let role = match status.role {
        Role::Leader => v1::ReplicaRole::Leader,
        Role::Follower => v1::ReplicaRole::Follower,
        Role::Candidate => v1::ReplicaRole::Candidate,
        Role::Learner => v1::ReplicaRole::Learner,
    };
    let shards = core.shards();
    let shard = shards.iter().find(|shard| shard.group().id() == group.id());
    let (waiting, capacity) = shard.map_or((0, 0), |shard| shard.waiting());
    v1::ReplicaStatus {
        group: group.id().0,
        role: role.into(),
        term: status.term,
        leader_node_id: status.leader.unwrap_or(0),
        last_log_index: status.last_log_index,
        committed_index: status.committed_index,
        applied_index: status.applied_index,
        checkpointed_index: status.checkpointed_index,
        purged_index: status.purged_index,
        detail: String::new(),
        waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
    }
}

/// Sums over a shard, and how many of its stocks do not balance.
fn totals(shard: &Inventory) -> v1::ShardTotals {
    let sums = shard.grand_totals();
    let counts = shard.counts();
    let (mut free, mut unbalanced) = (0_u64, 0_u64);
    let mut after = None;
    loop {
        let page = shard.stock_of_items(after.as_ref(), SUMMED_AT_ONCE);
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for level in page.iter().flat_map(|(_, levels)| levels) {
            free = free.saturating_add(level.free);
            let flow = &level.flow;
            let came = i128::from(flow.received) + i128::from(flow.found) + i128::from(flow.returned);
            let came = came + i128::from(flow.arrived);
            let went = i128::from(flow.written_off) + i128::from(flow.shipped) + i128::from(flow.sent);
            let parts = level.counts.free();
            if came - went != i128::from(level.counts.on_hand) || parts.is_none() {
                unbalanced += 1;
            }
        }
    }
    v1::ShardTotals {
        skus: counts.items,
        on_hand: sums.counts.on_hand,
        reserved: sums.counts.reserved,
        committed: sums.counts.committed,
        damaged: sums.counts.damaged,
        quality_control: sums.counts.quality_control,
        free,
        received: sums.flow.received,
        adjusted: to_proto::saturated(i128::from(sums.flow.found) - i128::from(sums.flow.written_off)),
        fulfilled: sums.flow.shipped,
        returned: sums.flow.returned,
        reservations: counts.live_reservations + counts.ended_reservations,
        results: counts.results,
        commands: counts.decided,
        sold: sums.counts.committed.saturating_add(sums.flow.shipped),
        unbalanced,
        in_transit: sums.in_transit,
        sent: sums.flow.sent,
        arrived: sums.flow.arrived,
    }
}
