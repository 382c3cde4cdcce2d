//! A reservation whose lines lie on several shards: what each shard keeps of it.
//!
//! The shard of the reservation's slot decides: it keeps the whole, with its own lines as any reservation has them and what the
//! others have as it decided it. The other shards keep a part each: a hold that never ends by their clock, and that follows what
//! the deciding shard says. See "Reservations over several shards" in docs/ARCHITECTURE.md.

use serde::{Deserialize, Serialize};

use super::records::ReservationRecord;
use crate::commands::{MAX_PLANNED_LINES, Plan};
use crate::{AttemptId, CommandId, LineCounts, LocationId, LogTime, LotId, ReservationLine, SLOTS, Sku, Slot};

/// What a shard keeps beside its own lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Spread {
    /// On the shard that decides.
    Whole(Whole),
    /// On each of the others.
    Part(Part),
}

/// What the deciding shard keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Whole {
    /// The numbers of its own lines.
    pub(crate) own: Vec<u16>,
    /// The attempt that was decided: its parts are those that were taken or found taken for it, and no others.
    pub(crate) attempt: AttemptId,
    pub(crate) parts: Vec<RemotePart>,
    /// Raised whenever the parts have something to follow; 1 when it is made, which parts need not be told.
    pub(crate) version: u32,
    /// Before this instant something of the parts may not be shipped, and so nothing of the whole.
    pub(crate) release_at: Option<LogTime>,
}

/// What the deciding shard knows of the lines of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemotePart {
    /// A slot of that shard.
    pub(crate) slot: Slot,
    /// The version that it is known to have.
    pub(crate) told: u32,
    pub(crate) lines: Vec<RemoteLine>,
}

/// A line on another shard, as the deciding shard wants it to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemoteLine {
    pub(crate) number: u16,
    pub(crate) sku: Sku,
    pub(crate) location: LocationId,
    pub(crate) lot: Option<LotId>,
    pub(crate) optional: bool,
    pub(crate) units: LineCounts,
    /// Of the units that were promised without stock those that the part has told to be there since.
    pub(crate) filled: u64,
}

/// What another shard keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The command that asked for the whole.
    pub(crate) command: CommandId,
    /// The attempts that took the units or found them taken, 1 to [`MAX_ATTEMPTS`]; none once it was given back. The units are those of
    /// the whole that one of these makes. Of a whole that any other makes they are not: that one had nothing here, or had a part that has
    /// followed it to the end and is forgotten.
    pub(crate) attempts: Vec<AttemptId>,
    /// The latest deadline of all of them: by then it is decided, by the deciding shard's log time; after that it is asked.
    pub(crate) deadline: LogTime,
    pub(crate) phase: PartPhase,
    /// What it has followed.
    pub(crate) version: u32,
    /// The numbers of its lines in the whole.
    pub(crate) numbers: Vec<u16>,
    /// Units of each line that were promised without stock and are there since; empty where none were.
    pub(crate) filled: Vec<u64>,
    /// The deciding shard knows that, and what has come back.
    pub(crate) is_news_told: bool,
}

/// Most attempts that may find the units of one part taken: more are not decided until it is known what became of these.
pub(crate) const MAX_ATTEMPTS: usize = 16;

/// Whether a part stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PartPhase {
    /// Not known yet.
    Prepared,
    /// The whole was decided.
    Decided,
    /// There is no whole, and there will be none.
    Aborted,
}

impl ReservationRecord {
    pub(crate) fn whole(&self) -> Option<&Whole> {
        match self.spread.as_deref() {
            Some(Spread::Whole(whole)) => Some(whole),
            _ => None,
        }
    }

    pub(crate) fn whole_mut(&mut self) -> Option<&mut Whole> {
        match self.spread.as_deref_mut() {
            Some(Spread::Whole(whole)) => Some(whole),
            _ => None,
        }
    }

    pub(crate) fn part(&self) -> Option<&Part> {
        match self.spread.as_deref() {
            Some(Spread::Part(part)) => Some(part),
            _ => None,
        }
    }

    /// The lines on other shards; of a part, and of what lies on one shard, none.
    pub(crate) fn remote_lines(&self) -> impl Iterator<Item = &RemoteLine> {
        self.whole().into_iter().flat_map(|whole| &whole.parts).flat_map(|part| &part.lines)
    }

    /// The number in the whole of a line of this shard, by its place.
    pub(crate) fn number_of(&self, at: usize) -> usize {
        match self.spread.as_deref() {
            Some(Spread::Whole(whole)) => whole.own.get(at).map_or(at, |number| usize::from(*number)),
            Some(Spread::Part(part)) => part.numbers.get(at).map_or(at, |number| usize::from(*number)),
            None => at,
        }
    }

    /// Where a line of this shard stands among its lines, by its number in the whole.
    pub(crate) fn place_of(&self, number: usize) -> Option<usize> {
        let numbers = match self.spread.as_deref() {
            Some(Spread::Whole(whole)) => &whole.own,
            Some(Spread::Part(part)) => &part.numbers,
            None => return Some(number).filter(|number| *number < self.lines.len()),
        };
        numbers.iter().position(|own| usize::from(*own) == number)
    }

    pub(crate) fn remote_lines_mut(&mut self) -> impl Iterator<Item = &mut RemoteLine> {
        self.whole_mut().into_iter().flat_map(|whole| &mut whole.parts).flat_map(|part| &mut part.lines)
    }

    /// Counts a change of what the parts are to follow.
    pub(super) fn raise_version_after(&mut self, before: &[LineCounts]) {
        let is_same = self.remote_lines().map(|line| &line.units).eq(before);
        if let Some(whole) = self.whole_mut().filter(|_| !is_same) {
            whole.version = whole.version.saturating_add(1);
        }
    }

    /// How its lines were worked out, where they are not those that were asked for.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.details.as_ref()?.plan.as_ref()
    }

    /// Whether the plan is one of so many lines as there are.
    pub(super) fn plan_fits(&self) -> bool {
        self.plan().is_none_or(|plan| plan.validate(self.lines.len() + self.remote_lines().count()).is_ok())
    }

    /// Some part has not been told the latest.
    pub(crate) fn is_ahead_of_parts(&self) -> bool {
        self.whole().is_some_and(|whole| whole.parts.iter().any(|part| part.told < whole.version))
    }

    /// A part of which it is not known whether it stands.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.part().is_some_and(|part| part.phase == PartPhase::Prepared)
    }

    /// When the deciding shard is to be asked; at once where it is to learn what was filled or came back of a part that stands.
    pub(crate) fn ask_at(&self) -> Option<LogTime> {
        let part = self.part()?;
        match part.phase {
            PartPhase::Prepared => Some(part.deadline),
            PartPhase::Decided if !part.is_news_told => Some(LogTime(0)),
            PartPhase::Decided | PartPhase::Aborted => None,
        }
    }

    /// Since when it may be forgotten; a whole only when all parts know how it ended, and an order only when it has ended.
    pub(crate) fn forgettable_since(&self) -> Option<LogTime> {
        self.ended_at.filter(|_| !self.is_ahead_of_parts() && self.open_order().is_none())
    }

    /// Whether what it keeps of other shards is what a reservation can have.
    pub(super) fn spread_fits(&self) -> bool {
        let numbers_fit = |numbers: &[u16]| {
            numbers.len() == self.lines.len() && numbers.iter().all(|number| usize::from(*number) < MAX_PLANNED_LINES)
        };
        match self.spread.as_deref() {
            None => true,
            Some(Spread::Part(part)) => {
                numbers_fit(&part.numbers)
                    && [0, self.lines.len()].contains(&part.filled.len())
                    && part.attempts.len() <= MAX_ATTEMPTS
                    && part.attempts.is_empty() == (part.phase == PartPhase::Aborted)
            }
            Some(Spread::Whole(whole)) => {
                let slots = whole.parts.iter().map(|part| part.slot.number());
                numbers_fit(&whole.own)
                    && slots.into_iter().all(|slot| slot < SLOTS)
                    && self.remote_lines().all(|line| line.units.all().is_some())
            }
        }
    }
}

impl Part {
    /// Whether the units are those of a whole that this attempt makes.
    pub(crate) fn is_of(&self, attempt: AttemptId) -> bool {
        self.attempts.contains(&attempt)
    }

    /// Counts an attempt among those whose units they are, to be decided by that deadline.
    pub(crate) fn join(&mut self, attempt: AttemptId, deadline: LogTime) {
        debug_assert!(
            self.is_of(attempt) || self.attempts.len() < MAX_ATTEMPTS,
            "whoever joins has looked whether there is room"
        );
        if !self.is_of(attempt) {
            self.attempts.push(attempt);
        }
        self.deadline = self.deadline.max(deadline);
    }

    /// Counts units of each line that were promised without stock and are there now.
    pub(crate) fn note_filled(&mut self, filled: &[u64]) {
        self.filled.resize(filled.len(), 0);
        self.filled.iter_mut().zip(filled).for_each(|(sum, units)| *sum = sum.saturating_add(*units));
        self.is_news_told = false;
    }
}

impl RemoteLine {
    /// Moves units that the part has told to be there since, as far as they are still wanted: those that are sold first, as the part has
    /// them; those that are not become held. How many were filled in all is known then.
    pub(crate) fn note_filled(&mut self, filled: u64) {
        let more = filled.saturating_sub(self.filled);
        self.filled = self.filled.max(filled);
        let sold = more.min(self.units.backordered_sold);
        let unsold = (more - sold).min(self.units.backordered);
        self.units.backordered -= unsold;
        self.units.held += unsold;
        self.units.backordered_sold -= sold;
        self.units.committed += sold;
    }

    /// Counts as returned what the part has told to have come back, as far as it was shipped.
    pub(crate) fn note_returned(&mut self, returned: u64) {
        self.units.returned = self.units.returned.max(returned.min(self.units.fulfilled));
    }

    /// The line as it is shown: which lots its units are of, its own shard knows.
    pub(crate) fn show(&self) -> ReservationLine {
        ReservationLine {
            sku: self.sku.clone(),
            location: self.location.clone(),
            lot: self.lot.clone(),
            lots: Vec::new(),
            optional: self.optional,
            counted: true,
            units: self.units,
        }
    }
}
