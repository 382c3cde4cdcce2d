//! The machine of the meta group: the cluster's own records (members, slot map, endpoints, locations, channels, campaigns). Pure, as `inventory` is.
//!
//! Its log holds `holdfast.log.v1.MetaEntry`. Like a shard's entry each says its schema; like a shard's command each is decided
//! once under its id.

mod change;
mod endpoint;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

use std::collections::{BTreeMap, VecDeque};

use holdfast_inventory::{
    CampaignSpec, ChannelSpec, LimitId, Limits, MAX_CAMPAIGNS, MAX_CHANNELS, MAX_SHARED_LIMIT_ID_BYTES,
    MAX_SHARED_LIMITS, MAX_SHARED_LIMITS_OF_ITEM, SharedLimitSpec, Sku,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

pub use change::{Founding, MetaChange, decode_change, encode_change};
pub use endpoint::{EndpointSpec, Fallback, MAX_ENDPOINTS};

use crate::types::NodeId;

/// How many ids of changes are remembered: changes are rare and retried within seconds.
const REMEMBERED: usize = 1_024;

/// Slots of the cluster; the same in `inventory`.
const SLOTS: u16 = holdfast_inventory::SLOTS;

/// A node as the cluster knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where clients reach it.
    pub client_address: String,
    /// Where other nodes reach it.
    pub peer_address: String,
    /// Where its HTTP port is; empty: none.
    pub http_address: String,
}

/// A location with the revision the shards are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaLocation {
    /// Its attributes.
    pub spec: holdfast_inventory::LocationSpec,
    /// Raised with each change.
    pub revision: u64,
}

/// A channel with the revision the shards are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaChannel {
    /// Its locations and its buffer.
    pub spec: ChannelSpec,
    /// Raised with each change.
    pub revision: u64,
}

/// A campaign with the revision the shards are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaCampaign {
    /// Its window, and whether it was ended by hand.
    pub spec: CampaignSpec,
    /// That of the records when it was opened or closed: it tells of every other campaign of that name.
    pub revision: u64,
}

/// A limit per customer over several items with the revision the shards are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaLimit {
    /// Its items and its rule.
    pub spec: SharedLimitSpec,
    /// Raised with each change.
    pub revision: u64,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaAnswer {
    /// The machine's revision after it.
    pub revision: u64,
    /// Why nothing was changed.
    pub refusal: Option<String>,
}

/// The cluster's own records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Set once, by the founding; empty before.
    cluster_id: String,
    shards: u32,
    members: BTreeMap<NodeId, Member>,
    locations: BTreeMap<String, MetaLocation>,
    /// In older states an empty map of something else, which is encoded the same.
    endpoints: BTreeMap<String, EndpointSpec>,
    default_location: String,
    customer_key: Vec<u8>,
    /// Raised with each change of the slot map or the members.
    epoch: u64,
    /// Raised with each change.
    revision: u64,
    decided: BTreeMap<u128, MetaAnswer>,
    order: VecDeque<u128>,
    /// Since version 2. This and what comes after it stand last, so that an older state is one that ends before it.
    shard_limits: Limits,
    /// Since version 3.
    channels: BTreeMap<String, MetaChannel>,
    /// Since version 4.
    campaigns: BTreeMap<String, MetaCampaign>,
    limits: BTreeMap<LimitId, MetaLimit>,
}

impl Meta {
    /// Decides one change, once under its id.
    pub fn apply(&mut self, id: u128, change: MetaChange) -> MetaAnswer {
        if let Some(answer) = self.decided.get(&id) {
            return answer.clone();
        }
        let outcome = self.decide(change);
        if outcome.is_ok() {
            self.revision += 1;
        }
        let answer = MetaAnswer { revision: self.revision, refusal: outcome.err() };
        self.decided.insert(id, answer.clone());
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.decided.remove(&oldest);
        }
        answer
    }

    fn decide(&mut self, change: MetaChange) -> Result<(), String> {
        if !self.is_founded() && !matches!(change, MetaChange::Found(_)) {
            return Err("the cluster is not founded yet".to_owned());
        }
        match change {
            MetaChange::Found(founding) => self.found(founding),
            MetaChange::PutMember { node, member } => {
                let taken =
                    self.members.iter().find(|(id, known)| **id != node && known.peer_address == member.peer_address);
                if let Some((id, _)) = taken {
                    return Err(format!("node {id} has that peer address"));
                }
                self.members.insert(node, member);
                self.epoch += 1;
                Ok(())
            }
            MetaChange::RemoveMember { node } => {
                self.members.remove(&node).ok_or_else(|| format!("node {node} is no member"))?;
                self.epoch += 1;
                Ok(())
            }
            MetaChange::PutLocation { id, spec } => {
                let known = self.locations.get(&id);
                if known.is_some_and(|known| known.spec == spec) {
                    return Ok(());
                }
                let revision = known.map_or(0, |known| known.revision) + 1;
                self.locations.insert(id, MetaLocation { spec, revision });
                Ok(())
            }
            MetaChange::PutChannel { id, spec } => self.put_channel(id, spec),
            MetaChange::OpenCampaign { id, spec } => self.open_campaign(id, spec),
            MetaChange::CloseCampaign { id } => {
                let campaign = self.campaigns.get_mut(&id).ok_or_else(|| format!("there is no campaign {id}"))?;
                if !campaign.spec.closed {
                    campaign.spec.closed = true;
                    campaign.revision = self.revision + 1;
                }
                Ok(())
            }
            MetaChange::PutEndpoint { id, spec } => self.put_endpoint(id, spec),
            MetaChange::RemoveEndpoint { id } => {
                self.endpoints.remove(&id).map(|_| ()).ok_or_else(|| format!("there is no endpoint {id}"))
            }
            MetaChange::PutLimit { id, spec } => self.put_limit(id, spec),
        }
    }

    fn found(&mut self, founding: Founding) -> Result<(), String> {
        if self.is_founded() {
            return Err(format!("the cluster is founded already, as `{}`", self.cluster_id));
        }
        let spec = holdfast_inventory::LocationSpec { name: founding.default_location.clone(), ..Default::default() };
        self.locations.insert(founding.default_location.clone(), MetaLocation { spec, revision: 1 });
        self.cluster_id = founding.cluster_id;
        self.shards = founding.shards.max(1);
        self.members = founding.members;
        self.default_location = founding.default_location;
        self.customer_key = founding.customer_key;
        self.shard_limits = founding.shard_limits;
        self.epoch = 1;
        Ok(())
    }

    fn put_channel(&mut self, id: String, spec: ChannelSpec) -> Result<(), String> {
        spec.validate().map_err(|error| format!("of channel {id}: {error}"))?;
        if let Some(unknown) = spec.locations.iter().find(|location| !self.locations.contains_key(location.as_str())) {
            return Err(format!("there is no location {unknown}"));
        }
        let known = self.channels.get(&id);
        if known.is_some_and(|known| known.spec == spec) {
            return Ok(());
        }
        if known.is_none() && self.channels.len() >= MAX_CHANNELS {
            return Err(format!("there are {MAX_CHANNELS} channels already, and there may be no more"));
        }
        let revision = known.map_or(0, |known| known.revision) + 1;
        self.channels.insert(id, MetaChannel { spec, revision });
        Ok(())
    }

    fn put_endpoint(&mut self, id: String, spec: EndpointSpec) -> Result<(), String> {
        spec.check().map_err(|(field, why)| format!("{field} of endpoint {id} {why}"))?;
        if !self.endpoints.contains_key(&id) && self.endpoints.len() >= MAX_ENDPOINTS {
            return Err(format!("there are {MAX_ENDPOINTS} endpoints already: remove one that nothing calls"));
        }
        self.endpoints.insert(id, spec);
        Ok(())
    }

    /// Where there are as many as there may be, the one that was closed and ends first makes room.
    fn open_campaign(&mut self, id: String, spec: CampaignSpec) -> Result<(), String> {
        spec.validate().map_err(|error| format!("of campaign {id}: {error}"))?;
        if let Some(known) = self.campaigns.get(&id) {
            let is_same = CampaignSpec { closed: spec.closed, ..known.spec } == spec;
            return if is_same {
                Ok(())
            } else {
                Err(format!("campaign {id} is there already, with another window or admission"))
            };
        }
        if self.campaigns.len() >= MAX_CAMPAIGNS {
            let closed = self.campaigns.iter().filter(|(_, known)| known.spec.closed);
            let oldest = closed.min_by_key(|(_, known)| known.spec.ends_at).map(|(id, _)| id.clone());
            let refused = || format!("there are {MAX_CAMPAIGNS} campaigns already: close one that is over");
            self.campaigns.remove(&oldest.ok_or_else(refused)?);
        }
        self.campaigns.insert(id, MetaCampaign { spec, revision: self.revision + 1 });
        Ok(())
    }

    fn put_limit(&mut self, id: LimitId, spec: SharedLimitSpec) -> Result<(), String> {
        spec.validate().map_err(|error| format!("of limit {id}: {error}"))?;
        if id.as_bytes().len() > MAX_SHARED_LIMIT_ID_BYTES {
            let most = MAX_SHARED_LIMIT_ID_BYTES;
            return Err(format!("the name of a limit over several items has at most {most} bytes"));
        }
        let known = self.limits.get(&id);
        if known.is_some_and(|known| known.spec == spec) {
            return Ok(());
        }
        if known.is_some_and(|known| known.spec.rule.window != spec.rule.window) {
            return Err(format!("the window of limit {id} does not change: make another limit"));
        }
        if known.is_none() && self.limits.len() >= MAX_SHARED_LIMITS {
            return Err(format!("there are {MAX_SHARED_LIMITS} limits over several items already"));
        }
        let others = |sku: &Sku| {
            self.limits.iter().filter(|(other, limit)| **other != id && limit.spec.skus.contains(sku)).count()
        };
        if let Some(sku) = spec.skus.iter().find(|sku| others(sku) >= MAX_SHARED_LIMITS_OF_ITEM) {
            return Err(format!("{sku} is under {MAX_SHARED_LIMITS_OF_ITEM} limits over several items already"));
        }
        let revision = known.map_or(0, |known| known.revision) + 1;
        self.limits.insert(id, MetaLimit { spec, revision });
        Ok(())
    }

    /// Whether the founding entry has been applied.
    #[must_use]
    pub fn is_founded(&self) -> bool {
        !self.cluster_id.is_empty()
    }

    /// The cluster's id; empty before the founding.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// How many shards there are; 0 before the founding.
    #[must_use]
    pub fn shards(&self) -> u32 {
        self.shards
    }

    /// The nodes.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// The locations, by id.
    #[must_use]
    pub fn locations(&self) -> &BTreeMap<String, MetaLocation> {
        &self.locations
    }

    /// The channels, by id.
    #[must_use]
    pub fn channels(&self) -> &BTreeMap<String, MetaChannel> {
        &self.channels
    }

    /// The campaigns, by id.
    #[must_use]
    pub fn campaigns(&self) -> &BTreeMap<String, MetaCampaign> {
        &self.campaigns
    }

    /// The limits per customer over several items, by id.
    #[must_use]
    pub fn limits(&self) -> &BTreeMap<LimitId, MetaLimit> {
        &self.limits
    }

    /// What orders' steps may call, by id.
    #[must_use]
    pub fn endpoints(&self) -> &BTreeMap<String, EndpointSpec> {
        &self.endpoints
    }

    /// Where a line goes that names no location.
    #[must_use]
    pub fn default_location(&self) -> &str {
        &self.default_location
    }

    /// The key with which nodes hash customers' strings.
    #[must_use]
    pub fn customer_key(&self) -> &[u8] {
        &self.customer_key
    }

    /// The bounds of every shard, as the cluster was founded with them.
    #[must_use]
    pub fn shard_limits(&self) -> &Limits {
        &self.shard_limits
    }

    /// Raised with each change of the slot map or the members.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Raised with each change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The slots of each shard, as (first, last, shard), both ends included: as even as whole slots allow.
    #[must_use]
    pub fn slot_ranges(&self) -> Vec<(u16, u16, u32)> {
        let shards = self.shards.min(u32::from(SLOTS));
        (0..shards)
            .map(|shard| {
                let first = u32::from(SLOTS) * shard / shards;
                let after = u32::from(SLOTS) * (shard + 1) / shards;
                (first as u16, (after - 1) as u16, shard)
            })
            .collect()
    }

    /// The shard of a slot; `None` before the founding.
    #[must_use]
    pub fn shard_of(&self, slot: u16) -> Option<u32> {
        if self.shards == 0 {
            return None;
        }
        let shards = self.shards.min(u32::from(SLOTS));
        // The least shard whose range ends after the slot.
        let guess = u32::from(slot) * shards / u32::from(SLOTS);
        let end = |shard: u32| u32::from(SLOTS) * (shard + 1) / shards;
        (guess..shards).find(|shard| u32::from(slot) < end(*shard))
    }

    /// The records as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![STATE_VERSION];
        bytes.extend(postcard::to_stdvec(self).expect("plain collections are always encoded"));
        bytes
    }

    /// The records from what [`Meta::encode`] gave; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        match *version {
            STATE_VERSION => postcard::from_bytes(rest).ok(),
            WITHOUT_SHARED_LIMITS => postcard::from_bytes(&[rest, &EMPTY].concat()).ok(),
            WITHOUT_CAMPAIGNS => postcard::from_bytes(&[rest, &EMPTY, &EMPTY].concat()).ok(),
            WITHOUT_CHANNELS => postcard::from_bytes(&[rest, &EMPTY, &EMPTY, &EMPTY].concat()).ok(),
            WITHOUT_LIMITS => {
                let limits = postcard::to_stdvec(&Limits::default()).expect("plain numbers are always encoded");
                postcard::from_bytes(&[rest, &limits, &EMPTY, &EMPTY, &EMPTY].concat()).ok()
            }
            _ => None,
        }
    }

    /// A digest of the records: equal on equal records.
    #[must_use]
    pub fn digest(&self) -> u128 {
        xxh3_128(&self.encode())
    }
}

const STATE_VERSION: u8 = 5;
/// Written before there were limits over several items.
const WITHOUT_SHARED_LIMITS: u8 = 4;
/// Written before there were campaigns.
const WITHOUT_CAMPAIGNS: u8 = 3;
/// Written before there were channels.
const WITHOUT_CHANNELS: u8 = 2;
/// An empty map, as it is encoded.
const EMPTY: [u8; 1] = [0];
/// Written before a cluster's records had the shards' limits: its shards have the default ones.
const WITHOUT_LIMITS: u8 = 1;

#[cfg(test)]
mod tests {
    use holdfast_inventory::{CampaignAdmission, LogTime};

    use super::*;

    fn founded(shards: u32) -> Meta {
        let mut meta = Meta::default();
        let founding = Founding {
            cluster_id: "c".into(),
            shards,
            members: BTreeMap::from([(1, Member::default())]),
            default_location: "main".into(),
            customer_key: vec![7; 32],
            shard_limits: Limits { results: 5_000, ..Limits::default() },
        };
        assert_eq!(meta.apply(1, MetaChange::Found(founding)).refusal, None);
        meta
    }

    #[test]
    fn every_slot_has_one_shard_and_the_ranges_agree() {
        for shards in [1, 3, 8, 64, 1_000, 16_384] {
            let meta = founded(shards);
            let mut next = 0_u32;
            for (first, last, shard) in meta.slot_ranges() {
                assert_eq!(u32::from(first), next);
                for slot in first..=last {
                    assert_eq!(meta.shard_of(slot), Some(shard), "slot {slot} of {shards} shards");
                }
                next = u32::from(last) + 1;
            }
            assert_eq!(next, u32::from(SLOTS));
        }
    }

    #[test]
    fn a_cluster_is_founded_once() {
        let mut meta = founded(8);
        let again = Founding { cluster_id: "d".into(), ..Founding::default() };
        assert!(meta.apply(2, MetaChange::Found(again)).refusal.is_some());
        assert_eq!(meta.cluster_id(), "c");
    }

    #[test]
    fn nothing_is_changed_before_the_founding() {
        let mut meta = Meta::default();
        let answer = meta.apply(1, MetaChange::RemoveEndpoint { id: "a".into() });
        assert!(answer.refusal.is_some());
        assert_eq!(meta.revision(), 0);
    }

    #[test]
    fn an_id_that_comes_again_changes_nothing_and_gets_the_same_answer() {
        let mut meta = founded(8);
        let put = |priority| MetaChange::PutLocation {
            id: "store-1".into(),
            spec: holdfast_inventory::LocationSpec { priority, ..Default::default() },
        };
        let first = meta.apply(9, put(1));
        assert_eq!(meta.apply(9, put(2)), first);
        assert_eq!(meta.locations()["store-1"].spec.priority, 1);
        assert_eq!(meta.locations()["store-1"].revision, 1);
        meta.apply(10, put(2));
        assert_eq!(meta.locations()["store-1"].revision, 2);
    }

    #[test]
    fn a_channel_sells_from_locations_that_are_there_and_its_revision_counts_its_changes() {
        let mut meta = founded(8);
        let mut put = |id: u128, channel: &str, locations: &[&str], buffer| {
            let locations = locations.iter().map(|id| id.parse().unwrap()).collect();
            let spec = ChannelSpec { locations, buffer, active: true };
            meta.apply(id, MetaChange::PutChannel { id: channel.to_owned(), spec }).refusal
        };
        assert_eq!(put(2, "web", &["main"], 1), None);
        assert_eq!(put(3, "web", &["main"], 1), None);
        assert_eq!(put(4, "web", &["main", "nowhere"], 1).as_deref(), Some("there is no location nowhere"));
        assert!(put(5, "web", &["main", "main"], 1).is_some() && put(6, "web", &[], 1).is_some());
        assert_eq!(put(7, "web", &["main"], 2), None);
        for id in 1..MAX_CHANNELS {
            assert_eq!(put(10 + id as u128, &format!("channel-{id}"), &["main"], 0), None);
        }
        assert!(put(8, "one-more", &["main"], 0).unwrap().contains("1000 channels"));
        assert_eq!((meta.channels()["web"].spec.buffer, meta.channels()["web"].revision), (2, 2));
        assert_eq!(Meta::decode(&meta.encode()), Some(meta));
    }

    #[test]
    fn a_campaign_is_opened_once_closed_for_good_and_makes_room_when_it_is() {
        let mut meta = founded(8);
        let spec = |ends_at| CampaignSpec {
            starts_at: LogTime(5),
            ends_at: LogTime(ends_at),
            admission: CampaignAdmission::None,
            closed: false,
        };
        let mut change = 10;
        let mut run = |change_of: MetaChange| {
            change += 1;
            meta.apply(change, change_of).refusal
        };
        let open = |id: &str, ends_at| MetaChange::OpenCampaign { id: id.to_owned(), spec: spec(ends_at) };
        let close = |id: &str| MetaChange::CloseCampaign { id: id.to_owned() };
        assert!(run(open("drop", 5)).unwrap().contains("ends_at_ms"));
        assert_eq!(run(open("drop", 9)), None);
        assert_eq!(run(open("drop", 9)), None);
        assert!(run(open("drop", 10)).unwrap().contains("another window"));
        assert!(run(close("other")).unwrap().contains("no campaign other"));
        for number in 1..MAX_CAMPAIGNS {
            assert_eq!(run(open(&format!("campaign-{number}"), 20)), None);
        }
        assert!(run(open("late", 9)).unwrap().contains("256 campaigns"));
        assert_eq!((run(close("campaign-3")), run(close("drop")), run(close("drop"))), (None, None, None));
        assert_eq!(run(open("drop", 9)), None, "it is there, and stays closed");
        assert_eq!(run(open("late", 9)), None);
        assert!(!meta.campaigns().contains_key("drop"), "it ended first");
        assert_eq!(meta.campaigns()["campaign-3"].revision, meta.revision() - 4);
        assert_eq!(Meta::decode(&meta.encode()), Some(meta));
    }

    #[test]
    fn a_limit_over_several_items_keeps_its_window_and_an_item_is_under_a_few_only() {
        use holdfast_inventory::{LimitSpec, LimitWindow};
        let mut meta = founded(8);
        let mut number = 1;
        let mut put = |limit: &str, skus: &[&str], units, window| {
            number += 1;
            let rule = LimitSpec { units, window, returns_restore: false, active: true };
            let spec = SharedLimitSpec { skus: skus.iter().map(|sku| sku.parse().unwrap()).collect(), rule };
            meta.apply(number, MetaChange::PutLimit { id: limit.parse().unwrap(), spec }).refusal
        };
        let ever = LimitWindow::ForEver;
        assert_eq!(put("one", &["a", "b"], 2, ever), None);
        assert_eq!(put("one", &["a", "b"], 2, ever), None);
        assert_eq!(put("one", &["a", "b", "c"], 3, ever), None);
        assert!(put("one", &["a", "b"], 3, LimitWindow::RollingSeconds(9)).unwrap().contains("does not change"));
        assert!(put("two", &["a"], 3, ever).is_some() && put("two", &["b", "a"], 3, ever).is_some());
        assert!(put(&"x".repeat(31), &["a", "b"], 3, ever).unwrap().contains("at most 30 bytes"));
        for other in 1..MAX_SHARED_LIMITS_OF_ITEM {
            assert_eq!(put(&format!("of-a-{other}"), &["a", "d"], 3, ever), None);
        }
        assert!(put("one-more", &["a", "z"], 3, ever).unwrap().contains("a is under 8 limits"));
        assert_eq!(put("one", &["a", "e"], 3, ever), None, "one of those that it is under already");
        let one = &meta.limits()["one".parse::<LimitId>().as_ref().unwrap()];
        assert_eq!((one.revision, one.spec.rule.units), (3, 3));
        assert_eq!(Meta::decode(&meta.encode()), Some(meta));
    }

    #[test]
    fn the_records_come_back_with_the_same_digest_and_damage_does_not_pass_for_them() {
        let meta = founded(8);
        let bytes = meta.encode();
        let back = Meta::decode(&bytes).unwrap();
        assert_eq!((back.digest(), &back), (meta.digest(), &meta));
        assert_eq!(Meta::decode(&[]), None);
        assert_eq!(Meta::decode(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn the_records_of_a_cluster_from_before_the_limits_have_the_default_ones() {
        let mut meta = founded(8);
        assert_eq!(meta.shard_limits().results, 5_000);
        let limits = postcard::to_stdvec(&meta.shard_limits).unwrap();
        let mut old = meta.encode();
        for version in [WITHOUT_SHARED_LIMITS, WITHOUT_CAMPAIGNS] {
            old.truncate(old.len() - EMPTY.len());
            old[0] = version;
            assert_eq!(Meta::decode(&old).as_ref(), Some(&meta));
        }
        old.truncate(old.len() - EMPTY.len());
        old[0] = WITHOUT_CHANNELS;
        assert_eq!(Meta::decode(&old).as_ref(), Some(&meta));
        old[0] = WITHOUT_LIMITS;
        old.truncate(old.len() - limits.len());
        meta.shard_limits = Limits::default();
        assert_eq!(Meta::decode(&old), Some(meta));
    }
}
