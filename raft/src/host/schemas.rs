//! Which schema a group's leader writes, so that nodes of two versions can be in one cluster.
//!
//! Nodes tell in the handshake which schemas of log entries they understand. A leader writes the latest that all members of the
//! group understand, voters and learners: a version that raises the schema is rolled out node by node, and writes it once the
//! last member has told that it understands it. What was told is kept in memory alone. A member that has told nothing since this
//! node's start counts as one that understands what was applied here since then, for those entries were written when all
//! members understood them, and the oldest schema else: what is written may fall back for a while, and all can read it.
//!
//! What lies in the log is not taken back: a node whose version cannot read it is not added to the group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_mutation::{Mutation, is_on};

use crate::encode::OLDEST_SCHEMA;
use crate::log::GroupId;
use crate::store::AppliedSchemas;
use crate::transport::NodeFacts;
use crate::types::NodeId;

/// Far more than a cluster has nodes; who finds no room counts as not heard of.
const PEERS: usize = 1_024;

/// What this node and its peers understand.
#[derive(Debug)]
pub(super) struct Schemas {
    node: NodeId,
    own: u32,
    told: Mutex<BTreeMap<NodeId, Told>>,
}

/// What a peer has told.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// In which of its lives.
    life: u64,
    /// The latest schema that it understands.
    latest: u32,
}

impl Schemas {
    /// Of a node that understands the schemas up to `own`.
    pub(super) fn new(node: NodeId, own: u32) -> Self {
        Self { node, own: own.max(OLDEST_SCHEMA), told: Mutex::default() }
    }

    /// A peer that was judged and found well tells of itself. The latest life counts, for it may be of another version.
    pub(super) fn hear(&self, peer: &NodeFacts) {
        let latest = peer.schemas.iter().copied().max().unwrap_or(0).max(OLDEST_SCHEMA);
        let life = peer.incarnation.counter;
        let mut told = lock(&self.told);
        let has_room = told.len() < PEERS;
        match told.get_mut(&peer.node_id) {
            // Two handshakes may overtake each other.
            Some(known) if known.life > life => {}
            Some(known) => *known = Told { life, latest },
            None if has_room => drop(told.insert(peer.node_id, Told { life, latest })),
            None => {}
        }
    }

    /// The latest schema that a node understands; `None`: it has not told.
    fn of(&self, node: NodeId) -> Option<u32> {
        if node == self.node {
            return Some(self.own);
        }
        lock(&self.told).get(&node).map(|told| told.latest)
    }
}

/// Of one group: what its leader writes, and who may join it.
#[derive(Debug)]
pub(super) struct Gate {
    group: GroupId,
    schemas: Arc<Schemas>,
    /// Decisions are made under its lock: none overtakes another.
    decided: Mutex<Decided>,
}

#[derive(Debug, Default)]
struct Decided {
    /// The schema that was given out to be written last, and the latest of all.
    present: u32,
    latest: u32,
    /// Nodes that are to be members, and may not yet be among those that the group knows.
    joining: BTreeSet<NodeId>,
}

impl Gate {
    pub(super) fn new(group: GroupId, schemas: Arc<Schemas>) -> Self {
        Self { group, schemas, decided: Mutex::default() }
    }

    /// This node.
    pub(super) fn node(&self) -> NodeId {
        self.schemas.node
    }

    /// Whether this node understands more than every node does.
    pub(super) fn has_choice(&self) -> bool {
        self.schemas.own > OLDEST_SCHEMA
    }

    /// The schema to write in a group with these members, of whose entries the latest schema applied here is `applied`.
    pub(super) fn open(&self, applied: u32, members: impl FnOnce() -> BTreeSet<NodeId>) -> u32 {
        if !self.has_choice() {
            return OLDEST_SCHEMA;
        }
        let mut decided = lock(&self.decided);
        // Under the lock: a node that is added meanwhile is among them, or among those that join.
        let members = members();
        decided.joining.retain(|node| !members.contains(node));
        let understood = |node: &NodeId| self.schemas.of(*node).unwrap_or(applied);
        let least = members.iter().chain(&decided.joining).map(understood).min().unwrap_or(OLDEST_SCHEMA);
        let schema = if is_on(Mutation::SchemaNotGated) { self.schemas.own } else { least };
        let schema = schema.clamp(OLDEST_SCHEMA, self.schemas.own);
        if std::mem::replace(&mut decided.present, schema) != schema {
            tracing::info!(group = %self.group, schema, "the schema of the entries that this node writes where it leads");
        }
        decided.latest = decided.latest.max(schema);
        schema
    }

    /// Lets a node join, of whom it is counted from here on what it understands.
    ///
    /// # Errors
    ///
    /// It cannot read what the group has written.
    pub(super) fn admit(&self, node: NodeId, applied: AppliedSchemas) -> Result<(), String> {
        let mut decided = lock(&self.decided);
        // Behind a checkpoint anything may lie that this node understands: peers may still be sent it.
        let unseen = if applied.has_unseen { self.schemas.own } else { 0 };
        let written = decided.latest.max(applied.latest).max(unseen);
        let understood = self.schemas.of(node).unwrap_or(OLDEST_SCHEMA);
        if understood < written {
            return Err(format!(
                "node {node} understands log entries up to schema {understood}, and the group may hold ones of schema {written}: \
                 start it with the version that the members run"
            ));
        }
        decided.joining.insert(node);
        Ok(())
    }

    /// A node does not join, or is no member any more.
    pub(super) fn forget(&self, node: NodeId) {
        lock(&self.decided).joining.remove(&node);
    }

    /// Only these are members.
    pub(super) fn keep(&self, members: &BTreeSet<NodeId>) {
        lock(&self.decided).joining.retain(|node| members.contains(node));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::NEXT_SCHEMA;
    use crate::log::Incarnation;

    fn facts(node_id: NodeId, counter: u64, latest: u32) -> NodeFacts {
        let incarnation = Incarnation { counter, nonce: 0 };
        NodeFacts { node_id, incarnation, schemas: (1..=latest).collect(), ..NodeFacts::default() }
    }

    /// Node 1 of the next version, in a group with nodes 2 and 3.
    struct Group {
        schemas: Arc<Schemas>,
        gate: Gate,
        members: BTreeSet<NodeId>,
    }

    impl Group {
        fn new() -> Self {
            let schemas = Arc::new(Schemas::new(1, NEXT_SCHEMA));
            Self { gate: Gate::new(GroupId(1), schemas.clone()), schemas, members: [1, 2, 3].into() }
        }

        fn writes(&self, applied: u32) -> u32 {
            self.gate.open(applied, || self.members.clone())
        }

        fn hear(&self, node: NodeId, life: u64, latest: u32) {
            self.schemas.hear(&facts(node, life, latest));
        }
    }

    const NOTHING: AppliedSchemas = AppliedSchemas { latest: 0, has_unseen: false };

    #[test]
    fn the_least_that_a_member_understands_is_written_and_who_has_not_told_counts_as_the_oldest() {
        let group = Group::new();
        assert_eq!(group.writes(0), OLDEST_SCHEMA);
        group.hear(2, 1, NEXT_SCHEMA);
        assert_eq!(group.writes(0), OLDEST_SCHEMA);
        group.hear(3, 1, OLDEST_SCHEMA);
        assert_eq!(group.writes(0), OLDEST_SCHEMA);
        group.hear(3, 2, NEXT_SCHEMA);
        assert_eq!(group.writes(0), NEXT_SCHEMA);
    }

    #[test]
    fn the_latest_life_of_a_peer_counts_whatever_overtakes_it() {
        let group = Group::new();
        group.hear(2, 1, NEXT_SCHEMA);
        group.hear(3, 5, NEXT_SCHEMA);
        group.hear(3, 6, OLDEST_SCHEMA);
        group.hear(3, 5, NEXT_SCHEMA);
        assert_eq!(group.writes(0), OLDEST_SCHEMA);
    }

    #[test]
    fn who_has_not_told_understands_what_was_applied_when_all_did() {
        let group = Group::new();
        group.hear(2, 1, NEXT_SCHEMA);
        assert_eq!(group.writes(NEXT_SCHEMA), NEXT_SCHEMA);
        // It says otherwise.
        group.hear(3, 1, OLDEST_SCHEMA);
        assert_eq!(group.writes(NEXT_SCHEMA), OLDEST_SCHEMA);
    }

    #[test]
    fn nothing_later_than_this_node_understands_is_written() {
        let schemas = Arc::new(Schemas::new(1, OLDEST_SCHEMA));
        schemas.hear(&facts(2, 1, NEXT_SCHEMA));
        assert_eq!(Gate::new(GroupId(1), schemas).open(NEXT_SCHEMA, || [1, 2].into()), OLDEST_SCHEMA);
    }

    #[test]
    fn a_node_that_joins_counts_from_when_it_was_let_in() {
        let group = Group::new();
        group.hear(4, 1, OLDEST_SCHEMA);
        assert_eq!(group.gate.admit(4, NOTHING), Ok(()));
        group.hear(2, 1, NEXT_SCHEMA);
        group.hear(3, 1, NEXT_SCHEMA);
        assert_eq!(group.writes(0), OLDEST_SCHEMA);
        group.gate.forget(4);
        assert_eq!(group.writes(0), NEXT_SCHEMA);
    }

    #[test]
    fn a_node_that_cannot_read_what_is_written_or_may_be_is_refused() {
        let group = Group::new();
        group.hear(4, 1, OLDEST_SCHEMA);
        let applied = AppliedSchemas { latest: NEXT_SCHEMA, ..NOTHING };
        let unseen = AppliedSchemas { has_unseen: true, ..NOTHING };
        assert!(group.gate.admit(4, applied).is_err_and(|why| why.contains("node 4") && why.contains("version")));
        assert!(group.gate.admit(4, unseen).is_err());
        assert!(group.gate.admit(5, applied).is_err(), "it has not told");
        group.hear(2, 1, NEXT_SCHEMA);
        group.hear(3, 1, NEXT_SCHEMA);
        assert_eq!(group.writes(0), NEXT_SCHEMA);
        assert!(group.gate.admit(4, NOTHING).is_err(), "it was given out to be written");
        group.hear(4, 2, NEXT_SCHEMA);
        assert_eq!(group.gate.admit(4, applied), Ok(()));
    }
}
