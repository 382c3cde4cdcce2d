//! Rebuilds the index of every group from the batches that were found, and keeps account of what is not whole.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_mutation::{Mutation, is_on};

use super::damage::DamageCause;
use super::format::{Run, RunKind};
use super::group::{GroupLog, Place, Slot};
use super::ids::{GroupId, LogId, LogPosition, Vote};
use super::scan::{FoundBatch, FoundRow, FoundTable};
use crate::control::ControlState;

#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) groups: BTreeMap<GroupId, GroupLog>,
    /// The last batch seen, rotten ones included.
    pub(crate) last_batch: u64,
    /// The oldest segment that holds something rotten.
    pub(crate) evidence_from: Option<u64>,
    /// Groups of which runs were seen.
    seen: BTreeSet<GroupId>,
    /// Groups that may have lost runs in batches that are gone: the sequence that would prove they have not, and the
    /// batches.
    in_doubt: BTreeMap<GroupId, (u64, DamageCause)>,
    /// The last batches that are gone; a group first seen later must begin with its first run.
    last_loss: Option<DamageCause>,
    /// Groups whose first entries found do not follow what was purged (expected, found): those between were truncated
    /// later and their segments freed, as the rest of the log must show.
    afloat: BTreeMap<GroupId, (u64, u64)>,
    /// Groups whose entries do not follow each other: nothing more of them is taken in.
    broken: BTreeSet<GroupId>,
}

impl Replay {
    /// Starts from the floors in the control file.
    pub(crate) fn new(control: &ControlState) -> Self {
        let groups = control.groups.iter().map(|(&group, floor)| {
            let log = GroupLog::purged_to(floor.purged);
            (group, log)
        });
        Self {
            groups: groups.collect(),
            last_batch: 0,
            evidence_from: None,
            seen: BTreeSet::new(),
            in_doubt: BTreeMap::new(),
            last_loss: None,
            afloat: BTreeMap::new(),
            broken: BTreeSet::new(),
        }
    }

    /// Batches `first` to `last`, up to segment `generation`, are gone or their headers are: every group is in doubt until
    /// its next run proves that it lost none.
    pub(crate) fn lose(&mut self, first: u64, last: u64, generation: u64) {
        let cause = DamageCause::LostBatches { first, last };
        for (&group, log) in &self.groups {
            // A group that was not seen yet has lost nothing if it is seen with its first run: the count begins anew only
            // when nothing of the group is left in the log.
            self.in_doubt.entry(group).or_insert((log.last_sequence + 1, cause.clone()));
        }
        self.last_loss = Some(cause);
        self.evidence(generation);
    }

    /// Takes in a batch. What is rotten in it becomes damage.
    pub(crate) fn take(&mut self, batch: &FoundBatch) {
        self.last_batch = batch.prologue.batch;
        let Some(table) = &batch.table else {
            self.lose(batch.prologue.batch, batch.prologue.batch, batch.generation);
            return;
        };
        self.take_table(batch, table);
    }

    fn take_table(&mut self, batch: &FoundBatch, table: &FoundTable) {
        for (run, rows) in &table.runs {
            self.prove(run);
            let log = self.groups.entry(run.group).or_default();
            log.last_sequence = run.sequence;
            match run.kind {
                RunKind::Append => self.append(batch, run, rows),
                RunKind::Repair => self.repair(batch, run, rows),
                RunKind::Vote if is_on(Mutation::VoteRolledBack) => {}
                RunKind::Vote => {
                    let vote = Vote { term: run.term, node: run.leader, committed: run.index == 1 };
                    log.vote = log.vote.max(Some(vote));
                    log.durable_vote = log.vote;
                }
                RunKind::Truncate => {
                    log.truncate_from(run.index);
                    self.land(run.group, |found| run.index <= found);
                }
                RunKind::Purge => {
                    log.purge(LogId { term: run.term, leader_node: run.leader, index: run.index });
                    self.land(run.group, |found| run.index + 1 >= found);
                }
                RunKind::Committed => {
                    let id = LogId { term: run.term, leader_node: run.leader, index: run.index };
                    log.committed = log.committed.max(Some(id));
                }
            }
        }
    }

    /// A run that follows the group's last one proves that the group lost nothing in between.
    fn prove(&mut self, run: &Run) {
        let is_new = self.seen.insert(run.group);
        let lost = match self.in_doubt.remove(&run.group) {
            Some((expected, cause)) => (expected != run.sequence).then_some(cause),
            None if is_new && run.sequence != 1 && !self.groups.contains_key(&run.group) => self.last_loss.clone(),
            None => None,
        };
        if let Some(cause) = lost {
            self.damage(run.group, cause);
        }
    }

    fn append(&mut self, batch: &FoundBatch, run: &Run, rows: &[FoundRow]) {
        for (index, found) in (run.index..).zip(rows) {
            let id = LogId { term: run.term, leader_node: run.leader, index };
            let Some(log) = self.groups.get_mut(&run.group) else { return };
            if log.purged.is_some_and(|purged| index <= purged.index) || self.broken.contains(&run.group) {
                continue;
            }
            if let Some(expected) = log.next_index().filter(|expected| *expected != index) {
                if log.first_index().is_none() && expected < index {
                    self.afloat.insert(run.group, (expected, index));
                } else {
                    self.broken.insert(run.group);
                    self.damage(run.group, DamageCause::Gap { expected, found: index });
                    return;
                }
            }
            log.push(id, Slot { place: place_of(batch, found), row: found.row }, None);
            if !found.is_whole {
                self.lost_entry(batch, run.group, id);
            }
        }
    }

    /// The entries afloat are accounted for if they begin where `is_landed` says.
    fn land(&mut self, group: GroupId, is_landed: impl Fn(u64) -> bool) {
        if self.afloat.get(&group).is_some_and(|&(_, found)| is_landed(found)) {
            self.afloat.remove(&group);
        }
    }

    fn repair(&mut self, batch: &FoundBatch, run: &Run, rows: &[FoundRow]) {
        for (index, found) in (run.index..).zip(rows) {
            let id = LogId { term: run.term, leader_node: run.leader, index };
            let Some(log) = self.groups.get_mut(&run.group) else { return };
            let is_there = log.mend(id, place_of(batch, found), found.row);
            if is_there && !found.is_whole {
                self.lost_entry(batch, run.group, id);
            }
        }
    }

    fn lost_entry(&mut self, batch: &FoundBatch, group: GroupId, id: LogId) {
        let at = LogPosition { batch: batch.prologue.batch, generation: batch.generation };
        self.damage(group, DamageCause::RottenEntries { at });
        if let Some(damage) = self.groups.get_mut(&group).and_then(|log| log.damage.as_mut()) {
            damage.lost.insert(id);
        }
        self.evidence(batch.generation);
    }

    /// The last batches that are gone with their contents unknown.
    pub(crate) fn last_loss(&self) -> Option<DamageCause> {
        self.last_loss.clone()
    }

    pub(crate) fn damage(&mut self, group: GroupId, cause: DamageCause) {
        self.groups.entry(group).or_default().damage.get_or_insert_default().add(cause);
    }

    fn evidence(&mut self, generation: u64) {
        self.evidence_from = Some(self.evidence_from.map_or(generation, |from| from.min(generation)));
    }

    /// Ends the replay: what is still in doubt counts as damaged, and the control file's floors are applied.
    pub(crate) fn finish(&mut self, control: &ControlState) {
        for (group, (_, cause)) in std::mem::take(&mut self.in_doubt) {
            self.damage(group, cause);
        }
        for (group, (expected, found)) in std::mem::take(&mut self.afloat) {
            self.damage(group, DamageCause::Gap { expected, found });
        }
        for (&group, floor) in &control.groups {
            let Some(log) = self.groups.get_mut(&group) else { continue };
            let (found, known) = (log.vote, floor.vote);
            if is_on(Mutation::VoteRolledBack) {
                continue;
            }
            log.vote = found.max(known);
            log.durable_vote = log.vote;
            if let (Some(found), Some(known)) = (found, known)
                && found < known
            {
                self.damage(group, DamageCause::VoteRolledBack { log: found, control: known });
            }
        }
    }
}

fn place_of(batch: &FoundBatch, found: &FoundRow) -> Place {
    Place::Written { generation: batch.generation, block: batch.prologue.block, offset: found.offset }
}
