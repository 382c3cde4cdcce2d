//! `prepare`: units are held for a reservation that another shard decides.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::Line;
use super::reserve::Reserve;
use super::role::Role;
use crate::state::{LineRecord, MAX_ATTEMPTS, Part, PartPhase, ReservationNo};
use crate::turn::Turn;
use crate::{AttemptId, CommandId, Field, InvalidArgument, LogTime, Refusal, Success};

/// Holds the lines of this shard, until the deciding shard says what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The reservation's lines of this shard, with what is said of the whole.
    pub reserve: Reserve,
    /// The numbers of those lines in the whole, ascending.
    pub numbers: Vec<u16>,
    /// The command that asks for the whole.
    pub command: CommandId,
    /// The attempt that they are held for.
    pub attempt: AttemptId,
    /// By when it is decided, by the deciding shard's log time: from then on this shard asks.
    pub deadline: LogTime,
}

impl Prepare {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.reserve.validate_part()?;
        let fits = self.numbers.len() == self.reserve.lines.len() && self.numbers.is_sorted_by(|a, b| a < b);
        if fits { Ok(()) } else { Err(InvalidArgument::of(Field::LineNumber)) }
    }

    /// Answers what each line got, and until when its items would allow the hold. An attempt that comes again, or a later one of
    /// the same command, finds what the first one took.
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        if let Some(no) = turn.state.find_reservation(self.reserve.reservation) {
            match self.known(turn, no) {
                Ok(Some(success)) => return Ok(success),
                // What an earlier attempt held was given back: this one begins anew.
                Ok(None) if turn.now() <= self.deadline => turn.state.forget_reservation(no),
                Ok(None) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        if turn.now() > self.deadline {
            // It comes late: what it was for may be decided, followed to its end and forgotten.
            return Err(Refusal::OrderUndecided);
        }
        let part = Part {
            command: self.command,
            attempts: vec![self.attempt],
            deadline: self.deadline,
            phase: PartPhase::Prepared,
            version: 1,
            numbers: self.numbers.clone(),
            filled: Vec::new(),
            is_news_told: true,
        };
        self.reserve.decide_as(turn, Role::Part(part)).map_err(|refusal| refusal.of_lines(&self.numbers))
    }

    /// Whether the units that an earlier attempt took may be this one's too.
    fn may_join(&self, turn: &Turn<'_>, no: ReservationNo) -> bool {
        // It comes late: what it was for may be decided, followed to its end and forgotten.
        let is_in_time = turn.now() <= self.deadline;
        let has_room = turn.state.reservation(no).part().is_some_and(|part| part.attempts.len() < MAX_ATTEMPTS);
        // The earlier attempt may yet be decided with the lines that it asked for: until its deadline others are not held.
        is_in_time && has_room && self.asks_for(turn, no)
    }

    /// Whether the lines are those that an earlier attempt has asked for. Of a request that became other lines they may not be.
    fn asks_for(&self, turn: &Turn<'_>, no: ReservationNo) -> bool {
        let record = turn.state.reservation(no);
        let plan = self.reserve.plan.as_deref();
        let may_be_fewer = plan.is_some_and(|plan| plan.asked.iter().any(|asked| asked.min_units.is_some()))
            || self.reserve.lines.iter().any(|line| line.min_units.is_some());
        let is_it = |(line, asked): (&LineRecord, &Line)| {
            let lot = line.named_lot().map(|lot| &turn.state.lot(lot).id);
            let taken = line.units.all().unwrap_or_default();
            turn.state.asked_sku(record, line) == asked.sku
                && turn.state.location(line.location).id == asked.location
                && (lot == asked.lot.as_ref() || line.by_lot.is_none())
                && (taken == 0 || taken == asked.units.count() || may_be_fewer)
        };
        record.part().is_some_and(|part| part.numbers == self.numbers)
            && record.lines.len() == self.reserve.lines.len()
            && record.lines.iter().zip(&self.reserve.lines).all(is_it)
            && record.plan() == plan
    }

    /// What an earlier attempt took; `None` where it was given back.
    fn known(&self, turn: &mut Turn<'_>, no: ReservationNo) -> Result<Option<Success>, Refusal> {
        let record = turn.state.reservation(no);
        let Some(part) = record.part().filter(|part| part.command == self.command) else {
            return Err(Refusal::Exists);
        };
        match part.phase {
            PartPhase::Aborted => return Ok(None),
            PartPhase::Decided => {}
            PartPhase::Prepared if !part.is_of(self.attempt) && !self.may_join(turn, no) => {
                return Err(Refusal::OrderUndecided);
            }
            PartPhase::Prepared if is_on(Mutation::CounterCountedTwice) => turn.state.count_again(no),
            // Whoever gave the earlier attempt up must not end this one. And whichever of the two makes the whole, the units are its own.
            PartPhase::Prepared => turn.state.change_part(no, |part| part.join(self.attempt, self.deadline)),
        }
        let record = turn.state.reservation(no);
        let skus: Vec<_> = record.lines.iter().map(|line| line.sku).collect();
        let asked = self.reserve.lines.iter().map(|line| line.units.count());
        let taken: Vec<u64> = record.lines.iter().map(|line| line.units.all().unwrap_or_default()).collect();
        // As it was promised first: what was filled since, the deciding shard is told.
        let filled = record.part().map(|part| part.filled.clone()).unwrap_or_default();
        let filled = filled.into_iter().chain(std::iter::repeat(0));
        let lines = record.lines.iter().zip(filled);
        let backordered: Vec<u64> =
            lines.map(|(line, filled)| line.units.all_backordered().saturating_add(filled)).collect();
        let is_whole = taken.iter().copied().eq(asked);
        let is_backordered = backordered.iter().any(|units| *units > 0);
        let held = taken.iter().zip(&backordered).map(|(taken, units)| taken.saturating_sub(*units) as u32);
        let held: Vec<u32> = held.collect();
        let release_at = skus.iter().filter_map(|sku| turn.state.item(*sku).spec.backorder.release_at()).max();
        let max_hold_s = skus.iter().filter_map(|sku| turn.state.item(*sku).spec.max_hold_s).min();
        let max_hold_s = max_hold_s.unwrap_or(u32::MAX).min(turn.state.header.limits.max_hold_s);
        let expires_at = Some(record.created_at.plus_seconds(max_hold_s));
        Ok(Some(Success {
            held: (!is_whole || is_backordered).then(|| held.into()),
            backordered: is_backordered.then(|| backordered.iter().map(|units| *units as u32).collect()),
            release_at,
            expires_at,
            ..turn.reservation_success(no)
        }))
    }
}
