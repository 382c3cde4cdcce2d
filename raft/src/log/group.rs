//! The index of one group: which entries there are, where they lie, and the tail of them in memory.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::damage::Damage;
use super::format::Row;
use super::ids::{LogId, Vote};
use super::record::GroupLogState;

/// Where an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not written yet: it waits in the queue, under the ticket of its append. Its body is in memory.
    Waiting { ticket: u64 },
    /// In the batch at `block` of the segment, `offset` bytes into its contents.
    Written { generation: u64, block: u32, offset: u32 },
}

/// An entry without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) place: Place,
    pub(crate) row: Row,
}

/// Entries from `first_index` on, up to the next run, are of one leader.
#[derive(Clone, Copy, Debug)]
struct Reign {
    first_index: u64,
    term: u64,
    leader_node: u64,
}

#[derive(Debug, Default)]
pub(crate) struct GroupLog {
    /// `purged.index < first index of entries`.
    pub(crate) purged: Option<LogId>,
    pub(crate) vote: Option<Vote>,
    /// The latest vote that is durable.
    pub(crate) durable_vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    /// The committed id has changed since it was last written.
    pub(crate) committed_is_new: bool,
    /// The sequence of the last run; the first is 1.
    pub(crate) last_sequence: u64,
    pub(crate) damage: Option<Damage>,
    /// The index of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    reigns: VecDeque<Reign>,
    /// The bodies of the last entries, as many as are kept.
    bodies: VecDeque<Bytes>,
    /// Bytes of all bodies, in memory or not.
    bytes: u64,
    /// Repaired entries, with the segment of their first, rotten copy.
    repaired: BTreeMap<u64, u64>,
}

impl GroupLog {
    /// The log of a new group, which may be in doubt.
    pub(crate) fn new(damage: Option<Damage>) -> Self {
        Self { damage, ..Self::default() }
    }

    /// A log that is known to be purged.
    pub(crate) fn purged_to(purged: Option<LogId>) -> Self {
        Self { purged, ..Self::default() }
    }

    /// The index an append must begin at; `None` if any will do since the log is empty.
    pub(crate) fn next_index(&self) -> Option<u64> {
        if self.slots.is_empty() { self.purged.map(|id| id.index + 1) } else { Some(self.end()) }
    }

    /// One past the last index; meaningless while there are no slots.
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The index of the first entry there is.
    pub(crate) fn first_index(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.first)
    }

    /// The segment of the first entry; `None` if there is none or it is not written yet.
    pub(crate) fn first_generation(&self) -> Option<u64> {
        let first = self.slots.front().and_then(|slot| match slot.place {
            Place::Written { generation, .. } => Some(generation),
            Place::Waiting { .. } => None,
        });
        // The first copy of a repaired entry still says where the entry stands among its neighbours.
        let repaired = self.repaired.values().min().copied();
        [first, repaired].into_iter().flatten().min()
    }

    pub(crate) fn state(&self) -> GroupLogState {
        let last = self.slots.len().checked_sub(1).and_then(|at| self.id(self.first + at as u64)).or(self.purged);
        GroupLogState { purged: self.purged, last, vote: self.vote, committed: self.committed }
    }

    /// The id of an entry, or the purged id at its index.
    pub(crate) fn id(&self, index: u64) -> Option<LogId> {
        if let Some(purged) = self.purged.filter(|id| id.index == index) {
            return Some(purged);
        }
        self.slot(index)?;
        let at = self.reigns.partition_point(|reign| reign.first_index <= index);
        let reign = self.reigns.get(at.checked_sub(1)?)?;
        Some(LogId { term: reign.term, leader_node: reign.leader_node, index })
    }

    pub(crate) fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    pub(crate) fn slot_mut(&mut self, index: u64) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }

    /// The index of the first body in memory; the end if there is none.
    fn first_body(&self) -> u64 {
        self.end() - self.bodies.len() as u64
    }

    /// The body of an entry, if it is in memory.
    pub(crate) fn body(&self, index: u64) -> Option<&Bytes> {
        self.bodies.get(usize::try_from(index.checked_sub(self.first_body())?).ok()?)
    }

    /// Adds an entry; the caller has checked that it follows the last one.
    pub(crate) fn push(&mut self, id: LogId, slot: Slot, body: Option<Bytes>) {
        if self.slots.is_empty() {
            self.first = id.index;
            self.reigns.clear();
        }
        debug_assert_eq!(id.index, self.end(), "entries follow each other");
        if self.reigns.back().is_none_or(|reign| (reign.term, reign.leader_node) != (id.term, id.leader_node)) {
            self.reigns.push_back(Reign { first_index: id.index, term: id.term, leader_node: id.leader_node });
        }
        self.bytes += u64::from(slot.row.len);
        self.slots.push_back(slot);
        match body {
            Some(body) => self.bodies.push_back(body),
            None => self.bodies.clear(),
        }
    }

    /// Removes the entries from `index` on; returns the bytes of bodies that left memory.
    pub(crate) fn truncate_from(&mut self, index: u64) -> usize {
        let mut freed = 0;
        while !self.slots.is_empty() && self.end() > index {
            if let Some(body) = self.bodies.pop_back() {
                freed += body.len();
            }
            if let Some(slot) = self.slots.pop_back() {
                self.bytes -= u64::from(slot.row.len);
            }
        }
        while self.reigns.back().is_some_and(|reign| reign.first_index >= index) {
            self.reigns.pop_back();
        }
        self.repaired.retain(|&repaired, _| repaired < index);
        self.retain_lost(|lost| lost < index);
        freed
    }

    /// Removes the entries up to and with `upto`; returns the bytes of bodies that left memory.
    pub(crate) fn purge(&mut self, upto: LogId) -> usize {
        let mut freed = 0;
        while !self.slots.is_empty() && self.first <= upto.index {
            if self.first_body() == self.first {
                freed += self.bodies.pop_front().map_or(0, |body| body.len());
            }
            if let Some(slot) = self.slots.pop_front() {
                self.bytes -= u64::from(slot.row.len);
            }
            self.first += 1;
        }
        while self.reigns.get(1).is_some_and(|reign| reign.first_index <= self.first) {
            self.reigns.pop_front();
        }
        self.purged = self.purged.max(Some(upto));
        self.repaired.retain(|&repaired, _| repaired > upto.index);
        self.retain_lost(|lost| lost > upto.index);
        freed
    }

    /// Points a repaired entry to its new copy; `false` if there is no such entry any more.
    pub(crate) fn mend(&mut self, id: LogId, place: Place, row: Row) -> bool {
        if self.id(id.index) != Some(id) {
            return false;
        }
        let Some(slot) = self.slot_mut(id.index) else { return false };
        let first_copy = slot.place;
        *slot = Slot { place, row };
        if let Place::Written { generation, .. } = first_copy {
            self.repaired.entry(id.index).or_insert(generation);
        }
        self.retain_lost(|lost| lost != id.index);
        true
    }

    /// Drops rotten entries from the damage; when none is left and nothing else is wrong, the group is whole again.
    fn retain_lost(&mut self, keep: impl Fn(u64) -> bool) {
        if let Some(damage) = &mut self.damage {
            damage.lost.retain(|id| keep(id.index));
            if damage.lost.is_empty() && damage.is_repairable() {
                self.damage = None;
            }
        }
    }

    /// Lets go of the body at `index` if it is the oldest in memory and written; `None` if it must stay for now, else the
    /// bytes that left memory.
    pub(crate) fn forget_body(&mut self, index: u64) -> Option<usize> {
        if self.bodies.is_empty() || self.first_body() != index {
            return Some(0);
        }
        match self.slot(index)?.place {
            Place::Waiting { .. } => None,
            Place::Written { .. } => Some(self.bodies.pop_front().map_or(0, |body| body.len())),
        }
    }
}
