//! Where things lie: the cluster's records as the services ask for them, made anew when they change.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_inventory::{CampaignId, ChannelId, ChannelSpec, LocationId, Revision, Slot};
use holdfast_raft::meta::{Member, Meta};
use holdfast_raft::types::NodeId;

use crate::from_proto::{Words, Zones};
use crate::shard::{KnownCampaign, KnownChannel, ShardRecords};

/// The cluster's records at one revision.
#[derive(Debug)]
pub(crate) struct Routes {
    pub(crate) cluster_id: String,
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
    pub(crate) shards: u32,
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) words: Words,
    /// What every shard must know: the locations, the channels and its limits.
    pub(crate) for_shards: Arc<ShardRecords>,
    /// Revisions of the locations, in their order.
    pub(crate) location_revisions: Vec<u64>,
    /// The channels, as the services ask for them.
    pub(crate) channels: BTreeMap<ChannelId, ChannelSpec>,
    /// (first slot, last slot, shard), in the order of the slots.
    pub(crate) ranges: Vec<(u16, u16, u32)>,
}

impl Routes {
    /// The records, once the cluster is founded.
    pub(crate) fn of(meta: &Meta) -> Option<Self> {
        if !meta.is_founded() {
            return None;
        }
        let mut customer_key = [0; 32];
        let key = meta.customer_key();
        customer_key[..key.len().min(32)].copy_from_slice(&key[..key.len().min(32)]);
        let known = meta.locations().iter().filter_map(|(id, location)| {
            // The services check an id before it becomes a location.
            let id = LocationId::new(id).ok()?;
            Some(((id, location.spec.clone()), location.revision))
        });
        let (locations, location_revisions): (Vec<_>, Vec<_>) = known.unzip();
        let channels: Vec<KnownChannel> = meta
            .channels()
            .iter()
            .filter_map(|(id, channel)| {
                let id = ChannelId::new(id).ok()?;
                Some(KnownChannel { id, spec: channel.spec.clone(), revision: Revision(channel.revision) })
            })
            .collect();
        let known = meta.campaigns().iter().filter_map(|(id, campaign)| {
            let revision = Revision(campaign.revision);
            Some(KnownCampaign { id: CampaignId::new(id).ok()?, spec: campaign.spec, revision })
        });
        let campaigns = known.collect();
        let (limits, records_at) = (Some(meta.shard_limits().clone()), Revision(meta.revision()));
        Some(Self {
            cluster_id: meta.cluster_id().to_owned(),
            epoch: meta.epoch(),
            revision: meta.revision(),
            shards: meta.shards(),
            members: meta.members().clone(),
            words: Words {
                default_location: LocationId::new(meta.default_location()).ok()?,
                zones: Zones::of(&locations),
                customer_key,
            },
            channels: channels.iter().map(|channel| (channel.id.clone(), channel.spec.clone())).collect(),
            for_shards: Arc::new(ShardRecords { limits, locations, channels, campaigns, revision: records_at }),
            location_revisions,
            ranges: meta.slot_ranges(),
        })
    }

    /// The shard that decides a slot.
    pub(crate) fn shard_of(&self, slot: Slot) -> u32 {
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot.number());
        self.ranges.get(at).map_or(0, |(_, _, shard)| *shard)
    }

    /// Where clients reach a node.
    pub(crate) fn client_address(&self, node: NodeId) -> Option<&str> {
        self.members.get(&node).map(|member| member.client_address.as_str()).filter(|address| !address.is_empty())
    }
}
