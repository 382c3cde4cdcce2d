//! What a shard knows of what could be had: read here where this node leads it, else asked of the node that does.

use holdfast_inventory::{AskedUnits, ChannelId, LocationId, LotId, Sku, Source};
use holdfast_proto::peer::v1 as peer;
use tokio::time::{Duration, Instant};

use crate::core::Core;
use crate::leaders::{Leader, leader_of, until_answered};
use crate::shard::ShardHandle;

/// How long all attempts may take.
const LOOKED_WITHIN: Duration = Duration::from_secs(2);
/// Most that one request may ask for.
pub(crate) const MOST_ASKED: usize = 100;

/// For each what could be had where; nothing where the shard knows no such active channel.
///
/// # Errors
///
/// No leader has answered in time.
pub(crate) async fn look(
    core: &Core,
    shard: u32,
    channel: &ChannelId,
    asked: Vec<AskedUnits>,
    deadline: Instant,
) -> Result<Vec<Vec<Source>>, String> {
    let deadline = deadline.min(Instant::now() + LOOKED_WITHIN);
    until_answered(deadline, |until| attempt(core, shard, channel, &asked, until)).await
}

async fn attempt(
    core: &Core,
    shard: u32,
    channel: &ChannelId,
    asked: &[AskedUnits],
    deadline: Instant,
) -> Result<Vec<Vec<Source>>, String> {
    let leader = match leader_of(core, shard)? {
        Leader::Here(handle) => return look_here(&handle, channel, asked),
        Leader::There(leader) => leader,
    };
    let request = peer::LookRequest {
        cluster_id: core.config.cluster_id.clone(),
        shard,
        channel_id: channel.as_str().to_owned(),
        asked: asked.iter().map(to_peer).collect(),
    };
    let found = leader.ask(deadline, |mut orders| async move { orders.look(request).await }).await?.found;
    if found.len() != asked.len() {
        return Err(leader.says("it answers something else"));
    }
    found.iter().map(|of| of.sources.iter().map(source_from_peer).collect()).collect()
}

/// The same where this node leads the shard.
fn look_here(handle: &ShardHandle, channel: &ChannelId, asked: &[AskedUnits]) -> Result<Vec<Vec<Source>>, String> {
    let found = handle.group().read_shard(|shard| shard.sources(channel, asked));
    let found = found.ok_or_else(|| "its replica here has no state".to_owned())?;
    Ok(found.unwrap_or_else(|| vec![Vec::new(); asked.len()]))
}

/// Answers another node.
///
/// # Errors
///
/// What is asked cannot be read, or this node does not lead the shard.
pub(crate) fn answer(core: &Core, request: &peer::LookRequest) -> Result<peer::LookResponse, String> {
    if request.asked.len() > MOST_ASKED {
        return Err(format!("at most {MOST_ASKED} are looked for at once"));
    }
    let channel = ChannelId::new(&request.channel_id).map_err(|error| error.to_string())?;
    let asked = request.asked.iter().map(from_peer).collect::<Result<Vec<_>, _>>()?;
    let Leader::Here(handle) = leader_of(core, request.shard)? else {
        return Err("this node does not lead the shard".to_owned());
    };
    let found = look_here(&handle, &channel, &asked)?;
    let sources = |of: &Vec<Source>| peer::Sources { sources: of.iter().map(source_to_peer).collect() };
    Ok(peer::LookResponse { found: found.iter().map(sources).collect() })
}

fn to_peer(asked: &AskedUnits) -> peer::LookedFor {
    let lot_id = asked.lot.as_ref().map(ToString::to_string).unwrap_or_default();
    peer::LookedFor { sku: asked.sku.as_str().to_owned(), lot_id }
}

fn from_peer(asked: &peer::LookedFor) -> Result<AskedUnits, String> {
    let sku = Sku::new(&asked.sku).map_err(|error| error.to_string())?;
    let lot = if asked.lot_id.is_empty() { None } else { Some(LotId::new(&asked.lot_id)) };
    Ok(AskedUnits { sku, lot: lot.transpose().map_err(|error| error.to_string())? })
}

fn source_to_peer(source: &Source) -> peer::Source {
    peer::Source { location_id: source.location.as_str().to_owned(), available: source.available }
}

fn source_from_peer(source: &peer::Source) -> Result<Source, String> {
    let location = LocationId::new(&source.location_id).map_err(|error| error.to_string())?;
    Ok(Source { location, available: source.available })
}
