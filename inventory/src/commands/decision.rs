//! What shards say to one another of reservations whose lines lie on several of them, beside holding and following.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use crate::state::{Part, PartPhase, RemotePart, ReservationNo, Spread, Whole};
use crate::turn::{GiveBack, Turn};
use crate::{AttemptId, EventKind, LogTime, Refusal, ReservationId, Slot, Success};

/// Tells a part of attempts that came to nothing: it is given back when there is none left that it could be of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandon {
    /// The reservation.
    pub reservation: ReservationId,
    /// The attempts, of which it must be certain that they never make the whole.
    pub attempts: Vec<AttemptId>,
}

impl Abandon {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.state.find_reservation(self.reservation).ok_or(Refusal::ReservationNotFound)?;
        let part = turn.state.reservation(no).part().filter(|part| part.phase == PartPhase::Prepared);
        if let Some(part) = part.filter(|part| part.attempts.iter().any(|of| self.attempts.contains(of))) {
            if part.attempts.iter().all(|of| self.attempts.contains(of)) {
                turn.abandon(no);
            } else {
                turn.state.change_part(no, |part| part.attempts.retain(|of| !self.attempts.contains(of)));
            }
        } else if turn.state.reservation(no).part().is_some_and(|part| self.ends_news_of(part)) {
            // The whole has ended and is forgotten: there is nobody left to tell what became of the part since.
            turn.state.change_part(no, |part| part.is_news_told = true);
        }
        Ok(turn.reservation_success(no))
    }
}

impl Abandon {
    /// Whether it is about the very part that stood for a whole: an attempt that came to nothing before says nothing of that.
    fn ends_news_of(&self, part: &Part) -> bool {
        part.phase == PartPhase::Decided && part.attempts.iter().all(|of| self.attempts.contains(of))
    }
}

impl Turn<'_> {
    /// Gives back what a part holds of a whole that is not there.
    pub(super) fn abandon(&mut self, no: ReservationNo) {
        self.state.change_part(no, |part| {
            part.phase = PartPhase::Aborted;
            part.attempts = Vec::new();
        });
        if !is_on(Mutation::PartNotGivenBack) {
            self.give_back(no, GiveBack::Release);
        }
        self.record(EventKind::OrderAborted, Some(no), None);
    }
}

/// Asks the deciding shard whether a reservation was made by one of the part's attempts, and tells it what was filled of the part. If it
/// was, the part is told where it stands; if it was not and cannot be any more, the answer is `ReservationNotFound`: of those attempts,
/// whatever is asked later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskDecision {
    /// The reservation.
    pub reservation: ReservationId,
    /// A slot of the shard that asks.
    pub slot: Slot,
    /// The attempts that its part may be of.
    pub attempts: Vec<AttemptId>,
    /// The latest deadline of those.
    pub deadline: LogTime,
    /// Units of each of its lines that were promised without stock and are there since; empty: none.
    pub filled: Vec<u64>,
    /// Units of each of its lines that have come back; empty: none.
    pub returned: Vec<u64>,
}

impl AskDecision {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let has_part = |whole: &Whole| {
            self.attempts.contains(&whole.attempt) && whole.parts.iter().any(|part| part.slot == self.slot)
        };
        let made = turn.state.find_reservation(self.reservation);
        let made = made.filter(|no| turn.state.reservation(*no).whole().is_some_and(has_part));
        let Some(no) = made else {
            // Log time never goes back: what is not decided by the deadline never is.
            let is_over = turn.now() > self.deadline;
            return Err(if is_over { Refusal::ReservationNotFound } else { Refusal::OrderUndecided });
        };
        self.note_filled(turn, no);
        self.note_returned(turn, no);
        turn.state.change_spread(no, |spread| {
            if let Spread::Whole(whole) = spread {
                whole.parts.iter_mut().filter(|part| part.slot == self.slot).for_each(|part| part.told = 0);
            }
        });
        Ok(turn.reservation_success(no))
    }
}

impl AskDecision {
    /// Counts as returned what has come back of the part: the entry of the ledger is the part's.
    fn note_returned(&self, turn: &mut Turn<'_>, no: ReservationNo) {
        let of_part = |part: &&RemotePart| part.slot == self.slot;
        let parts = turn.state.reservation(no).whole().into_iter().flat_map(|whole| &whole.parts);
        let known = parts.filter(of_part).flat_map(|part| &part.lines).map(|line| line.units.returned);
        if known.zip(&self.returned).all(|(known, returned)| *returned <= known) {
            return;
        }
        turn.state.change_reservation(no, |record| {
            let parts = record.whole_mut().into_iter().flat_map(|whole| &mut whole.parts);
            let lines = parts.filter(|part| part.slot == self.slot).flat_map(|part| &mut part.lines);
            lines.zip(&self.returned).for_each(|(line, returned)| line.note_returned(*returned));
        });
    }

    /// Counts as there what the part has got since, of what was promised without stock.
    fn note_filled(&self, turn: &mut Turn<'_>, no: ReservationNo) {
        let of_part = |part: &&RemotePart| part.slot == self.slot;
        let parts = turn.state.reservation(no).whole().into_iter().flat_map(|whole| &whole.parts);
        let known = parts.filter(of_part).flat_map(|part| &part.lines).map(|line| line.filled);
        if known.zip(&self.filled).all(|(known, filled)| *filled <= known) {
            return;
        }
        turn.state.change_reservation(no, |record| {
            let parts = record.whole_mut().into_iter().flat_map(|whole| &mut whole.parts);
            let lines = parts.filter(|part| part.slot == self.slot).flat_map(|part| &mut part.lines);
            lines.zip(&self.filled).for_each(|(line, filled)| line.note_filled(*filled));
        });
        turn.record(EventKind::BackorderFilled, Some(no), None);
    }
}

/// Notes that a part has followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The reservation.
    pub reservation: ReservationId,
    /// A slot of the part's shard.
    pub slot: Slot,
    /// The attempt that made the whole.
    pub attempt: AttemptId,
    /// What it has followed.
    pub version: u32,
}

impl Told {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.state.find_reservation(self.reservation).ok_or(Refusal::ReservationNotFound)?;
        turn.state.change_spread(no, |spread| {
            if let Spread::Whole(whole) = spread
                && whole.attempt == self.attempt
            {
                let latest = whole.version;
                let is_told = |part: &RemotePart| part.slot == self.slot || is_on(Mutation::AllPartsTold);
                let parts = whole.parts.iter_mut().filter(|part| is_told(part));
                parts.for_each(|part| part.told = part.told.max(self.version.min(latest)));
            }
        });
        Ok(turn.reservation_success(no))
    }
}
