//! How a node comes to its groups: by founding the cluster with the others, by having been there before, or by waiting to take
//! another one's place.
//!
//! The groups are initialised once, by the lowest node id, with identical members, and only when every listed node has said
//! that it is fresh, has seen all others fresh, and has its groups started. A node that finds itself fresh among nodes that
//! are not has lost its data, and refuses to start: under its old id it could vote twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::Limits as ShardLimits;
use holdfast_proto::peer::v1::IntroduceResponse;
use holdfast_raft::host::{Group, GroupError, StartGroupError};
use holdfast_raft::machine::MachineKind;
use holdfast_raft::meta::{Founding, Member, MetaChange};
use holdfast_raft::types::{GroupId, NodeId};
use holdfast_world::OpenMode;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::StartError;
use crate::change::propose_change;
use crate::core::Core;
use crate::routing::Routes;
use crate::services::introduce;
use crate::shard::{ShardRecords, start_shard};

/// Between two rounds of asking the other nodes.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Between two looks at the cluster's records.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Between two attempts to start a group of which entries have rotted that nobody gave yet.
const MEND_AGAIN: Duration = Duration::from_secs(5);
/// The location that a cluster begins with.
const DEFAULT_LOCATION: &str = "main";
/// Says in the folder that this node has seen all others fresh: one that crashes while the cluster is founded goes on.
const FOUNDING: &str = "founding";

/// Brings the node to its groups. Ready when the shards run.
pub(crate) async fn bring_up(core: &Arc<Core>, records: &watch::Receiver<Arc<ShardRecords>>) -> Result<(), StartError> {
    let marker = core.config.node_dir().join(FOUNDING);
    let was_founding = core.world.disk.exists(&marker).await.map_err(StartError::folder)?;
    let is_fresh = core.host.is_fresh();
    if core.config.join && is_fresh {
        await_a_cluster(core).await?;
    } else if is_fresh && !was_founding {
        see_all_fresh(core).await?;
        mark(core, marker.clone()).await?;
    }
    let is_founding = (is_fresh || was_founding) && !core.config.join;
    for shard in core.host.known_groups().into_iter().filter_map(GroupId::shard) {
        // A shard that was here before needs nobody's word to follow its leader.
        start_one_shard(core, shard, records).await?;
    }
    let meta = start_meta(core).await?;
    if is_founding || core.config.join {
        start_shards(core, core.config.shards, records).await?;
        core.awaits_founding.send_replace(is_founding && is_fresh);
    }
    if is_founding {
        if core.config.nodes.iter().all(|node| node.id >= core.config.node_id) {
            initialise(core).await?;
        }
        found(core, &meta).await;
    }
    let routes = founded(core).await;
    if routes.cluster_id != core.config.cluster_id {
        return Err(StartError::OtherCluster {
            found: routes.cluster_id.clone(),
            expected: core.config.cluster_id.clone(),
        });
    }
    warn_of_other_founding_settings(core, &routes);
    start_shards(core, routes.shards, records).await?;
    core.awaits_founding.send_replace(false);
    if was_founding || is_fresh {
        unmark(core, marker).await?;
    }
    Ok(())
}

/// Says which settings of this node's file are not what the cluster was founded with: the cluster's hold.
fn warn_of_other_founding_settings(core: &Core, routes: &Routes) {
    let limits = routes.for_shards.limits.as_ref();
    for difference in core.config.differences_from_founding(routes.shards, limits) {
        tracing::warn!("{difference}; it was fixed when the cluster was founded, and this node's file changes nothing");
    }
}

async fn ask(core: &Core, address: &str) -> Option<IntroduceResponse> {
    introduce(&core.world, address, &core.config.cluster_id, core.config.node_id).await
}

fn check_identity(core: &Core, id: NodeId, address: &str, said: &IntroduceResponse) -> Result<(), StartError> {
    if said.cluster_id != core.config.cluster_id {
        let (found, expected) = (said.cluster_id.clone(), core.config.cluster_id.clone());
        return Err(StartError::OtherCluster { found, expected });
    }
    if said.node_id != id {
        return Err(StartError::OtherNode { address: address.to_owned(), found: said.node_id, expected: id });
    }
    Ok(())
}

/// Waits until every other listed node was seen fresh.
async fn see_all_fresh(core: &Core) -> Result<(), StartError> {
    let mut unseen: BTreeMap<NodeId, String> =
        core.config.nodes.iter().map(|node| (node.id, node.peer.clone())).collect();
    unseen.remove(&core.config.node_id);
    loop {
        let mut seen = BTreeSet::new();
        for (id, address) in &unseen {
            let Some(said) = ask(core, address).await else { continue };
            check_identity(core, *id, address, &said)?;
            if !said.fresh {
                return Err(StartError::FreshAmongKnown { node: core.config.node_id, peer: *id });
            }
            seen.insert(*id);
        }
        unseen.retain(|id, _| !seen.contains(id));
        if unseen.is_empty() {
            return Ok(());
        }
        tracing::info!(nodes = ?unseen.keys(), "waiting for the other nodes before the cluster is founded");
        sleep(ASK_AGAIN).await;
    }
}

/// Waits until a node of the cluster answers, and makes sure that this node's id is not one that the cluster knows.
async fn await_a_cluster(core: &Core) -> Result<(), StartError> {
    loop {
        for node in &core.config.nodes {
            if node.id == core.config.node_id {
                continue;
            }
            let Some(said) = ask(core, &node.peer).await else { continue };
            check_identity(core, node.id, &node.peer, &said)?;
            if said.knows_caller {
                return Err(StartError::FreshAmongKnown { node: core.config.node_id, peer: node.id });
            }
            if !said.fresh {
                return Ok(());
            }
        }
        tracing::info!("waiting for a node of the cluster that this one shall join");
        sleep(ASK_AGAIN).await;
    }
}

async fn mark(core: &Core, marker: PathBuf) -> Result<(), StartError> {
    let disk = &core.world.disk;
    let file = disk.open(&marker, OpenMode::CreateNew).await.map_err(StartError::folder)?;
    file.sync_data().await.map_err(StartError::folder)?;
    disk.sync_dir(&core.config.node_dir()).await.map_err(StartError::folder)
}

async fn unmark(core: &Core, marker: PathBuf) -> Result<(), StartError> {
    let disk = &core.world.disk;
    if disk.exists(&marker).await.map_err(StartError::folder)? {
        disk.remove_file(&marker).await.map_err(StartError::folder)?;
        disk.sync_dir(&core.config.node_dir()).await.map_err(StartError::folder)?;
    }
    Ok(())
}

/// Starts the meta group. Where it is damaged the shards still follow their leaders, and the node is never ready.
async fn start_meta(core: &Core) -> Result<Group, StartError> {
    let mut is_said = false;
    loop {
        match core.host.start_group(GroupId::META, MachineKind::Meta).await {
            Ok(meta) => return Ok(core.meta.get_or_init(|| meta).clone()),
            Err(StartGroupError::Damaged { what, is_mendable, .. }) => {
                if !is_said {
                    tracing::error!(
                        what,
                        "the meta group is damaged here and kept out of its quorum: no client is served"
                    );
                }
                is_said = true;
                if !is_mendable {
                    std::future::pending::<()>().await;
                }
            }
            Err(error) => return Err(error.into()),
        }
        sleep(MEND_AGAIN).await;
    }
}

/// Starts the shards that were left out since nobody had copies of what rotted in them, once somebody has.
pub(crate) async fn start_mended(
    core: &Arc<Core>,
    records: &watch::Receiver<Arc<ShardRecords>>,
) -> Result<(), StartError> {
    let routes = founded(core).await;
    loop {
        let left_out = (0..routes.shards).filter(|shard| {
            let id = GroupId::of_shard(*shard);
            core.group(id).is_none() && core.host.is_mendable(id)
        });
        let left_out: Vec<u32> = left_out.collect();
        if left_out.is_empty() {
            return Ok(());
        }
        for shard in left_out {
            start_one_shard(core, shard, records).await?;
        }
        sleep(MEND_AGAIN).await;
    }
}

async fn start_shards(
    core: &Arc<Core>,
    shards: u32,
    records: &watch::Receiver<Arc<ShardRecords>>,
) -> Result<(), StartError> {
    for shard in 0..shards {
        start_one_shard(core, shard, records).await?;
    }
    Ok(())
}

/// Starts a shard that is not started yet. A damaged one is left out, and named.
async fn start_one_shard(
    core: &Arc<Core>,
    shard: u32,
    records: &watch::Receiver<Arc<ShardRecords>>,
) -> Result<(), StartError> {
    let id = GroupId::of_shard(shard);
    if core.group(id).is_some() {
        return Ok(());
    }
    // Not those of this node's file: replicas must begin alike. The shard gets the cluster's by a command in its log.
    let kind = MachineKind::Shard(ShardLimits::default());
    let group = match core.host.start_group(id, kind).await {
        Ok(group) => group,
        Err(StartGroupError::Damaged { what, .. }) => {
            tracing::error!(shard, what, "a shard is damaged here and kept out of its quorum");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let stopping = core.stopping.subscribe();
    core.add_shard(start_shard(shard, group, &core.world, &core.config.limits, records, stopping));
    Ok(())
}

/// Gives the groups their members, once every other node awaits it.
async fn initialise(core: &Core) -> Result<(), StartError> {
    for node in &core.config.nodes {
        if node.id == core.config.node_id {
            continue;
        }
        loop {
            match ask(core, &node.peer).await {
                // One that is not fresh any more has got its first entries: this was begun before a crash.
                Some(said) if said.awaits_founding || !said.fresh => break,
                _ => sleep(ASK_AGAIN).await,
            }
        }
    }
    let peers: BTreeMap<NodeId, String> = core.config.nodes.iter().map(|node| (node.id, node.peer.clone())).collect();
    for group in core.groups() {
        match group.initialize(peers.clone()).await {
            // It has a history: an earlier start of this node has initialised it.
            Ok(()) | Err(GroupError::Refused { .. }) => {}
            Err(error) => return Err(StartError::Founding { group: group.id(), error }),
        }
    }
    Ok(())
}

/// Writes the cluster's first records, if this node comes to lead the meta group before they are there.
async fn found(core: &Core, meta: &Group) {
    let mut customer_key = vec![0; 32];
    core.world.entropy.fill(&mut customer_key);
    let members = core.config.nodes.iter().map(|node| {
        let member = Member {
            client_address: node.client.clone(),
            peer_address: node.peer.clone(),
            http_address: node.http.clone().unwrap_or_default(),
        };
        (node.id, member)
    });
    let founding = Founding {
        cluster_id: core.config.cluster_id.clone(),
        shards: core.config.shards,
        members: members.collect(),
        default_location: DEFAULT_LOCATION.to_owned(),
        customer_key,
        shard_limits: core.config.shard_limits.clone(),
    };
    // The meta machine founds once, whoever proposes it how often.
    while !meta.read_meta(|meta| meta.is_founded()).unwrap_or(false) {
        if meta.is_leader() {
            match propose_change(core, meta, MetaChange::Found(founding.clone())).await {
                Ok(_) => tracing::info!(cluster = core.config.cluster_id, shards = core.config.shards, "founded"),
                Err(error) => tracing::warn!(%error, "the cluster is not founded yet"),
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits for the cluster's records.
async fn founded(core: &Core) -> Arc<Routes> {
    let mut routes = core.routes.subscribe();
    loop {
        if let Some(routes) = routes.borrow_and_update().clone() {
            return routes;
        }
        if routes.changed().await.is_err() {
            // The sender lives as long as the core, which is borrowed here.
            std::future::pending::<()>().await;
        }
    }
}
