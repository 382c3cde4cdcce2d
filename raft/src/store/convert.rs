//! openraft's entries, ids and memberships, and the log's: translated here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::type_config::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::{BasicNode, EntryPayload, Membership};
use serde::{Deserialize, Serialize};

use crate::log::{LogId, LogRecord, Vote};
use crate::types::{NodeId, Payload, Types};

/// What a record of the log holds.
const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

pub(crate) fn to_log_id(id: &LogIdOf<Types>) -> LogId {
    LogId { term: id.leader_id.term, leader_node: id.leader_id.node_id, index: id.index }
}

pub(crate) fn from_log_id(id: LogId) -> LogIdOf<Types> {
    LogIdOf::<Types>::new(LeaderId { term: id.term, node_id: id.leader_node }, id.index)
}

pub(crate) fn to_vote(vote: &VoteOf<Types>) -> Vote {
    Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn from_vote(vote: Vote) -> VoteOf<Types> {
    if vote.committed {
        VoteOf::<Types>::new_committed(vote.term, vote.node)
    } else {
        VoteOf::<Types>::new(vote.term, vote.node)
    }
}

/// The record that holds an entry. A normal entry's bytes are shared, not copied.
#[must_use]
pub fn record_from_entry(entry: EntryOf<Types>) -> LogRecord {
    let id = to_log_id(&entry.log_id);
    let (kind, payload) = match entry.payload {
        EntryPayload::Blank => (BLANK, Bytes::new()),
        EntryPayload::Normal(payload) => (NORMAL, payload.bytes),
        EntryPayload::Membership(membership) => (MEMBERSHIP, encode_membership(&membership).into()),
    };
    LogRecord { index: id.index, term: id.term, leader_node: id.leader_node, kind, payload }
}

/// The entry that a record holds.
///
/// # Errors
///
/// `InvalidData` for a kind that is not known, or a membership that is none.
pub fn entry_from_record(record: LogRecord) -> io::Result<EntryOf<Types>> {
    let log_id = from_log_id(record.id());
    let payload = match record.kind {
        BLANK => EntryPayload::Blank,
        NORMAL => EntryPayload::Normal(Payload::of(record.payload)),
        MEMBERSHIP => EntryPayload::Membership(decode_membership(&record.payload)?),
        other => {
            let message = format!("entry {} has kind {other}, which this version does not know", record.id());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
    };
    Ok(openraft::Entry { log_id, payload })
}

#[derive(Serialize, Deserialize)]
struct StoredMembership {
    /// Its format, raised when it changes.
    version: u8,
    configs: Vec<BTreeSet<NodeId>>,
    addresses: BTreeMap<NodeId, String>,
}

/// A membership as bytes.
#[must_use]
pub fn encode_membership(membership: &Membership<NodeId, BasicNode>) -> Vec<u8> {
    let stored = StoredMembership {
        version: 1,
        configs: membership.get_joint_config().clone(),
        addresses: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
    };
    postcard::to_stdvec(&stored).expect("plain collections are always encoded")
}

/// The membership in what [`encode_membership`] gave.
///
/// # Errors
///
/// `InvalidData` for anything else.
pub fn decode_membership(bytes: &[u8]) -> io::Result<Membership<NodeId, BasicNode>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("not a membership: {what}"));
    let stored: StoredMembership = postcard::from_bytes(bytes).map_err(|error| invalid(error.to_string()))?;
    if stored.version != 1 {
        return Err(invalid(format!("version {} is not known", stored.version)));
    }
    let nodes: BTreeMap<NodeId, BasicNode> =
        stored.addresses.into_iter().map(|(id, addr)| (id, BasicNode { addr })).collect();
    if stored.configs.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(stored.configs, nodes).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(payload: EntryPayload<Payload, NodeId, BasicNode>) -> EntryOf<Types> {
        openraft::Entry { log_id: from_log_id(LogId { term: 3, leader_node: 2, index: 9 }), payload }
    }

    #[test]
    fn every_kind_of_entry_comes_back_as_it_went_in() {
        let nodes: BTreeMap<u64, BasicNode> = (1..4).map(|n| (n, BasicNode { addr: format!("h:{n}") })).collect();
        let membership = Membership::new(vec![BTreeSet::from([1, 2])], nodes).unwrap();
        for payload in [
            EntryPayload::Blank,
            EntryPayload::Normal(Payload::of(Bytes::from_static(b"abc"))),
            EntryPayload::Membership(membership),
        ] {
            let before = entry(payload);
            let shown = format!("{before:?}");
            let after = entry_from_record(record_from_entry(before)).unwrap();
            assert_eq!(format!("{after:?}"), shown);
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_an_error() {
        let record = LogRecord { index: 0, term: 0, leader_node: 0, kind: 9, payload: Bytes::new() };
        assert_eq!(entry_from_record(record).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn the_empty_membership_of_a_fresh_group_comes_back() {
        let empty = Membership::default();
        assert_eq!(decode_membership(&encode_membership(&empty)).unwrap(), empty);
    }

    #[test]
    fn votes_keep_whether_they_are_committed() {
        for committed in [false, true] {
            let vote = Vote { term: 4, node: 2, committed };
            assert_eq!(to_vote(&from_vote(vote)), vote);
        }
    }
}
