//! The routing table: which shard owns a slot, which node leads a shard, where the nodes are.
//!
//! Pure: what it learns is handed to it. Promises that a table taken from a node is whole (every slot has a shard) or is
//! not taken. Where a leader is may be wrong at any time; the nodes' own answers correct it.

use std::collections::BTreeMap;

use holdfast_proto::v1::{self, ErrorReason};

use crate::answer::Error;
use crate::ids::SLOTS;

/// What one node said, mended by hints since.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Routes {
    pub(crate) epoch: u64,
    shard_of_slot: Vec<u32>,
    /// Known leaders. Shards without one are absent.
    leaders: BTreeMap<u32, u64>,
    pub(crate) shards: Vec<u32>,
    pub(crate) members: BTreeMap<u64, v1::Member>,
    pub(crate) default_location_id: String,
    pub(crate) cluster_id: String,
}

impl Routes {
    /// Takes a node's answer, if it is whole.
    pub(crate) fn from_wire(wire: v1::GetRoutingResponse) -> Result<Self, Error> {
        let mut shard_of_slot = vec![None; usize::from(SLOTS)];
        for range in &wire.slots {
            let owned = shard_of_slot.get_mut(range.first as usize..=range.last as usize);
            owned.ok_or_else(|| unusable("a slot range is out of bounds"))?.fill(Some(range.shard));
        }
        let shard_of_slot: Option<Vec<u32>> = shard_of_slot.into_iter().collect();
        let shard_of_slot = shard_of_slot.ok_or_else(|| unusable("a slot has no shard"))?;
        let mut shards = shard_of_slot.clone();
        shards.sort_unstable();
        shards.dedup();
        Ok(Self {
            epoch: wire.epoch,
            shard_of_slot,
            leaders: wire
                .shards
                .iter()
                .filter(|route| route.leader_node_id != 0)
                .map(|route| (route.shard, route.leader_node_id))
                .collect(),
            shards,
            members: wire.members.into_iter().map(|member| (member.node_id, member)).collect(),
            default_location_id: wire.default_location_id,
            cluster_id: wire.cluster_id,
        })
    }

    /// The shard that owns a slot.
    pub(crate) fn shard_of(&self, slot: u16) -> u32 {
        self.shard_of_slot.get(usize::from(slot)).copied().unwrap_or(0)
    }

    /// The node that is believed to lead a shard.
    pub(crate) fn leader_of(&self, shard: u32) -> Option<u64> {
        self.leaders.get(&shard).copied()
    }

    /// The member that a hint names by its client address or its id.
    pub(crate) fn member_named(&self, hint: &str) -> Option<u64> {
        let by_address = || self.members.values().find(|member| member.client_address == hint);
        let by_id = || hint.parse().ok().and_then(|id: u64| self.members.get(&id));
        by_address().or_else(by_id).map(|member| member.node_id)
    }

    /// Remembers a shard's leader.
    pub(crate) fn learn_leader(&mut self, shard: u32, node_id: u64) {
        self.leaders.insert(shard, node_id);
    }

    /// Forgets a leader that turned out to be none, so that another node is asked.
    pub(crate) fn forget_leader(&mut self, shard: u32, node_id: u64) {
        if self.leader_of(shard) == Some(node_id) {
            self.leaders.remove(&shard);
        }
    }

    /// Takes a table over. One of an older epoch is left aside; leaders that it does not know stay as they were.
    pub(crate) fn renew(&mut self, newer: Self) {
        if newer.epoch < self.epoch {
            return;
        }
        let known = std::mem::take(&mut self.leaders);
        *self = newer;
        for (shard, leader) in known {
            if self.members.contains_key(&leader) {
                self.leaders.entry(shard).or_insert(leader);
            }
        }
    }
}

pub(crate) fn unusable(what: &str) -> Error {
    Error::not_admitted(ErrorReason::Unavailable, format!("unusable routes: {what}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two shards, the lower half of the slots and the upper, led by nodes 1 and 2.
    pub(crate) fn two_shards(epoch: u64) -> v1::GetRoutingResponse {
        let member = |node_id: u64| v1::Member {
            node_id,
            client_address: format!("node-{node_id}:7400"),
            ..v1::Member::default()
        };
        v1::GetRoutingResponse {
            epoch,
            slots: vec![
                v1::SlotRange { first: 0, last: 8_191, shard: 0 },
                v1::SlotRange { first: 8_192, last: 16_383, shard: 1 },
            ],
            shards: vec![
                v1::ShardRoute { shard: 0, leader_node_id: 1 },
                v1::ShardRoute { shard: 1, leader_node_id: 2 },
            ],
            members: vec![member(1), member(2), member(3)],
            default_location_id: "main".to_owned(),
            cluster_id: "c".to_owned(),
            log_time_ms: 1_790_000_000_000,
        }
    }

    #[test]
    fn a_slot_leads_to_its_shard_and_the_shard_to_its_leader() {
        let routes = Routes::from_wire(two_shards(1)).unwrap();
        assert_eq!((routes.shard_of(0), routes.shard_of(8_191), routes.shard_of(8_192)), (0, 0, 1));
        assert_eq!((routes.leader_of(0), routes.leader_of(1), routes.leader_of(2)), (Some(1), Some(2), None));
        assert_eq!(routes.shards, vec![0, 1]);
    }

    #[test]
    fn a_table_with_a_hole_or_out_of_bounds_is_not_taken() {
        let mut wire = two_shards(1);
        wire.slots.pop();
        assert!(Routes::from_wire(wire).is_err());
        let mut wire = two_shards(1);
        wire.slots[1].last = 16_384;
        assert!(Routes::from_wire(wire).is_err());
        let mut wire = two_shards(1);
        wire.slots[1].first = 20_000;
        assert!(Routes::from_wire(wire).is_err());
    }

    #[test]
    fn a_hint_names_a_member_by_address_or_id() {
        let routes = Routes::from_wire(two_shards(1)).unwrap();
        assert_eq!(routes.member_named("node-3:7400"), Some(3));
        assert_eq!(routes.member_named("2"), Some(2));
        assert_eq!(routes.member_named("node-9:7400"), None);
    }

    #[test]
    fn an_older_table_does_not_replace_a_newer_one() {
        let mut routes = Routes::from_wire(two_shards(5)).unwrap();
        let before = routes.clone();
        routes.renew(Routes::from_wire(two_shards(4)).unwrap());
        assert_eq!(routes, before);
    }

    #[test]
    fn a_leader_that_the_new_table_does_not_know_is_kept_while_it_is_a_member() {
        let mut routes = Routes::from_wire(two_shards(5)).unwrap();
        let mut wire = two_shards(6);
        wire.shards.clear();
        wire.members.pop();
        routes.learn_leader(1, 3);
        routes.renew(Routes::from_wire(wire).unwrap());
        assert_eq!((routes.leader_of(0), routes.leader_of(1)), (Some(1), None));
    }
}
