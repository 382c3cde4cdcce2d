//! What a leader has written rots before a follower that was cut off reads it: what it is given must be what was written, or
//! nothing. Where the leader's memory holds its last entries (`log_cache_bytes`, which the seed draws) they are read from there,
//! and the rot is for the scrubber to find.

use super::last_batch::{LastBatch, Place};
use super::{Cuts, Fault, Field, Harm, Led, pick};
use crate::HostId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RotBefore {
    waits: Option<Waits>,
    cuts: Cuts,
    batch: LastBatch,
}

/// The leader has yet to write something that the laggard lacks.
#[derive(Debug)]
struct Waits {
    leader: HostId,
    group: u64,
    /// The last index in the leader's log when the laggard was cut off.
    end: u64,
}

impl Fault for RotBefore {
    fn begin(&mut self, field: &mut Field<'_>) -> bool {
        let Some(Led { group, leader, followers }) = field.led_group() else { return false };
        if !field.spoiled.allow(leader, followers.len() + 1, Harm::MayLose) {
            return false;
        }
        let laggard = pick(field.dice, &followers);
        for other in followers.iter().filter(|other| **other != laggard).chain([&leader]) {
            self.cuts.cut(field, laggard, *other);
        }
        let end = field.cluster.reached(leader, group).map_or(0, |reached| reached.last);
        self.waits = Some(Waits { leader, group, end });
        true
    }

    fn tick(&mut self, field: &mut Field<'_>) {
        let Some(Waits { leader, group, end }) = self.waits else { return };
        self.batch.look(field, leader);
        let Some(reached) = field.cluster.reached(leader, group) else { return };
        let is_committed = reached.applied > end && reached.applied == reached.last;
        let Some(batch) = self.batch.with_end_of(group).filter(|_| is_committed) else { return };
        batch.rot(field, leader, Place::LastEntry);
        self.end(field);
    }

    fn end(&mut self, field: &mut Field<'_>) {
        self.waits = None;
        self.cuts.heal_all(field);
    }
}
