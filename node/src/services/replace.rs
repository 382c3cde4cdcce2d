//! Replacing a member by a fresh node: for every group, one after the other, the fresh node becomes a learner, catches up, and
//! takes the vote of the old one.
//!
//! Each step looks at what is already done, so that a replacement that was broken off is finished by asking for it again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_proto::peer::v1::IntroduceResponse;
use holdfast_proto::v1::cluster_service_client::ClusterServiceClient;
use holdfast_proto::v1::{self, CommandError, ErrorReason};
use holdfast_raft::host::{Group, GroupError};
use holdfast_raft::meta::{Member, MetaChange};
use holdfast_raft::types::{GroupId, NodeId};
use holdfast_world::Lane;
use tokio::time::{Instant, sleep, timeout_at};

use super::cluster::{change_error, group_error};
use super::introduce;
use crate::change::propose_change;
use crate::core::{Core, group_name};
use crate::from_proto::invalid;
use crate::routing::Routes;
use crate::to_proto;

/// How long a learner may take to catch up with one group.
const CATCH_UP: Duration = Duration::from_secs(600);
/// How long this node may take to become the leader of one group.
const TAKE_LEAD: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Puts the node at `peer_address` in the place of `old`.
pub(super) async fn replace(core: &Core, old: NodeId, peer_address: &str) -> Result<v1::Member, CommandError> {
    let routes = core.routes()?;
    if old == core.config.node_id {
        return Err(invalid("node_id", "is the node that was asked", "ask another node to replace this one"));
    }
    if let Some(why) = cannot_lead(&core.host.refused_by(), core.may_lead(core.config.node_id)) {
        let message = format!("this node can lead no group now, since {why}; ask another node");
        return Err(CommandError::of(ErrorReason::Unavailable, message));
    }
    let said =
        introduce(&core.world, peer_address, &core.config.cluster_id, core.config.node_id).await.ok_or_else(|| {
            let problem = format!("is {peer_address}, where no node answers as a peer");
            let hint = "start the fresh node with `join = true`, and name the `peer` address of its cluster.toml";
            invalid("peer_address", &problem, hint)
        })?;
    check(core, &routes, old, &said)?;
    let new = said.node_id;
    let groups = core.groups();
    if let Some(lacking) = not_running(groups.iter().map(Group::id), routes.shards) {
        let message = format!("{} does not run on this node now; ask another node", group_name(lacking));
        return Err(CommandError::of(ErrorReason::Unavailable, message));
    }
    for group in groups {
        lead(core, &routes, &said, &group).await?;
        let status = group.status();
        if !status.voters.contains(&new) {
            let deadline = Instant::now() + CATCH_UP;
            let learning = async {
                group.add_learner(new, peer_address.to_owned()).await?;
                group.wait_for_learner(new, deadline).await
            };
            let learned = timeout_at(deadline, learning).await.unwrap_or(Err(GroupError::TimedOut));
            learned.map_err(|error| match error {
                GroupError::TimedOut => {
                    let name = group_name(group.id());
                    let message = format!("node {new} did not catch up with {name} in time; ask again to go on");
                    CommandError::of(ErrorReason::Unavailable, message)
                }
                error => group_error(&error, group.id(), &routes),
            })?;
        }
        let mut voters: BTreeSet<NodeId> = group.status().voters;
        if !voters.contains(&new) || voters.contains(&old) {
            voters.remove(&old);
            voters.insert(new);
            group.set_voters(voters).await.map_err(|error| group_error(&error, group.id(), &routes))?;
        }
        tracing::info!(group = %group.id(), old, new, "the fresh node has the vote");
    }
    record(core, &routes, old, peer_address, &said).await
}

/// Why a node cannot lead, where that is known. Asked to replace another it would only wait, and have leaders try to hand over to it.
fn cannot_lead(refused_by: &BTreeMap<NodeId, String>, clock_is_right: bool) -> Option<String> {
    let refused = refused_by.iter().next().map(|(peer, why)| format!("node {peer} refuses it: {why}"));
    refused.or_else(|| (!clock_is_right).then(|| "its clock is too far off".to_owned()))
}

/// The first of the cluster's groups that is not among those that run on this node: a replacement without it would leave the old
/// node's vote in it for ever.
fn not_running(running: impl Iterator<Item = GroupId>, shards: u32) -> Option<GroupId> {
    let running: BTreeSet<GroupId> = running.collect();
    (0..=u64::from(shards)).map(GroupId).find(|group| !running.contains(group))
}

fn check(core: &Core, routes: &Routes, old: NodeId, said: &IntroduceResponse) -> Result<(), CommandError> {
    if said.cluster_id != core.config.cluster_id {
        let problem = format!("is a node of the cluster `{}`", said.cluster_id);
        return Err(invalid("peer_address", &problem, "name a fresh node of this cluster"));
    }
    if said.node_id == old {
        let hint = "start the fresh node with an id that no node ever had: an id used again could vote twice";
        return Err(invalid("peer_address", &format!("is node {old} itself"), hint));
    }
    let is_begun = core.groups().iter().any(|group| {
        let status = group.status();
        status.voters.contains(&said.node_id) || status.learners.contains(&said.node_id)
    });
    let is_member = routes.members.contains_key(&said.node_id);
    if !routes.members.contains_key(&old) && !is_member {
        return Err(invalid(
            "node_id",
            &format!("is {old}, which is no member"),
            "`holdfast cluster status` lists the members",
        ));
    }
    if !said.fresh && !is_begun {
        let hint = "start a node with an empty folder and a new id";
        return Err(invalid("peer_address", "is a node that has data already", hint));
    }
    if is_member && routes.members.contains_key(&old) && !is_begun {
        return Err(invalid("peer_address", "is a member already", "name a fresh node with a new id"));
    }
    Ok(())
}

/// Makes this node the group's leader: changes of a group are its leader's. The fresh node may have come to lead a group already
/// in which it has the vote, and is in no records before all is done.
async fn lead(core: &Core, routes: &Routes, fresh: &IntroduceResponse, group: &Group) -> Result<(), CommandError> {
    let deadline = Instant::now() + TAKE_LEAD;
    while !group.is_leader() {
        if Instant::now() >= deadline {
            let message = format!("this node did not come to lead {} in time; ask again", group_name(group.id()));
            return Err(CommandError::of(ErrorReason::Unavailable, message));
        }
        let address = group.leader().and_then(|leader| {
            let is_fresh = leader == fresh.node_id;
            if is_fresh { Some(fresh.client_address.as_str()) } else { routes.client_address(leader) }
        });
        if let Some(address) = address
            && let Ok(channel) = core.world.network.channel(address, Lane::Client, CONNECT)
        {
            let request =
                v1::TransferLeadershipRequest { group: group.id().0, all: false, to_node_id: core.config.node_id };
            if let Ok(Err(status)) =
                timeout_at(deadline, ClusterServiceClient::new(channel).transfer_leadership(request)).await
            {
                tracing::debug!(group = %group.id(), %status, "the leader does not hand over yet");
            }
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Writes the change of members into the cluster's records.
async fn record(
    core: &Core,
    routes: &Routes,
    old: NodeId,
    peer_address: &str,
    said: &IntroduceResponse,
) -> Result<v1::Member, CommandError> {
    let meta = core.meta()?;
    lead(core, routes, said, meta).await?;
    let member = Member {
        client_address: said.client_address.clone(),
        peer_address: peer_address.to_owned(),
        http_address: said.http_address.clone(),
    };
    let put = MetaChange::PutMember { node: said.node_id, member: member.clone() };
    propose_change(core, meta, put).await.map_err(|error| change_error(&error, routes))?;
    if meta.read_meta(|meta| meta.members().contains_key(&old)).unwrap_or(false) {
        let remove = MetaChange::RemoveMember { node: old };
        propose_change(core, meta, remove).await.map_err(|error| change_error(&error, routes))?;
    }
    Ok(to_proto::member(said.node_id, &member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_cannot_lead_says_so_at_once() {
        let nobody = BTreeMap::new();
        let refusing = BTreeMap::from([(2, "an older copy".to_owned())]);
        assert_eq!(cannot_lead(&nobody, true), None);
        assert_eq!(cannot_lead(&nobody, false), Some("its clock is too far off".to_owned()));
        assert_eq!(cannot_lead(&refusing, true), Some("node 2 refuses it: an older copy".to_owned()));
    }

    #[test]
    fn a_replacement_needs_the_meta_group_and_every_shard_on_the_node_that_does_it() {
        let lacking = |running: &[u64]| not_running(running.iter().copied().map(GroupId), 3);
        assert_eq!(lacking(&[0, 1, 2, 3]), None);
        assert_eq!(lacking(&[0, 2, 3]), Some(GroupId(1)), "its log may be damaged");
        assert_eq!(lacking(&[0, 1, 2]), Some(GroupId(3)), "it may not have started yet");
        assert_eq!(lacking(&[1, 2, 3]), Some(GroupId(0)));
    }
}
