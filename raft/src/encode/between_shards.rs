//! What shards say to one another, to the log's types and back.

use holdfast_inventory::commands::{Abandon, AskDecision, Follow, Prepare, PreparedPart, ReserveSpread, Told};
use holdfast_inventory::{AttemptId, CommandId, LineCounts, LogTime, Refusal, ReservationId, Slot};
use holdfast_proto::log::v1 as log;

use super::{DecodeError, from_log, to_log};

fn halves(id: ReservationId) -> (u64, u64) {
    ((id.0 >> 64) as u64, id.0 as u64)
}

fn reservation(high: u64, low: u64) -> ReservationId {
    ReservationId((u128::from(high) << 64) | u128::from(low))
}

fn slot(number: u32) -> Result<Slot, DecodeError> {
    let slot = u16::try_from(number).ok().and_then(Slot::new);
    slot.ok_or_else(|| DecodeError::malformed("a slot beyond the last"))
}

fn numbers(lines: &[u32]) -> Result<Vec<u16>, DecodeError> {
    let number = |line: &u32| u16::try_from(*line).map_err(|_| DecodeError::malformed("a line beyond the last"));
    lines.iter().map(number).collect()
}

fn lines(numbers: &[u16]) -> Vec<u32> {
    numbers.iter().map(|number| u32::from(*number)).collect()
}

fn attempts(numbers: &[u64]) -> Vec<AttemptId> {
    numbers.iter().copied().map(AttemptId).collect()
}

fn numbers_of(attempts: &[AttemptId]) -> Vec<u64> {
    attempts.iter().map(|attempt| attempt.0).collect()
}

fn asked<T>(message: Option<T>) -> Result<T, DecodeError> {
    message.ok_or_else(|| DecodeError::malformed("a part of a reservation without what was asked for"))
}

pub(super) fn reserve_spread_to_log(it: &ReserveSpread) -> log::ReserveSpread {
    let part = |part: &PreparedPart| log::PreparedPart {
        slot: part.slot.number().into(),
        lines: lines(&part.numbers),
        held: part.held.clone(),
        backordered: part.backordered.clone(),
        release_at_ms: part.release_at.map_or(0, |at| at.0),
    };
    log::ReserveSpread {
        reserve: Some(to_log::reserve(&it.reserve)),
        parts: it.parts.iter().map(part).collect(),
        refused: it.refused.as_ref().map(Refusal::encode).unwrap_or_default(),
        deadline_ms: it.deadline.0,
        not_after_ms: it.not_after.0,
        attempt: it.attempt.0,
    }
}

pub(super) fn reserve_spread_from_log(it: log::ReserveSpread) -> Result<ReserveSpread, DecodeError> {
    let part = |part: log::PreparedPart| {
        Ok(PreparedPart {
            slot: slot(part.slot)?,
            numbers: numbers(&part.lines)?,
            held: part.held,
            backordered: part.backordered,
            release_at: Some(LogTime(part.release_at_ms)).filter(|at| at.0 > 0),
        })
    };
    let refused = match it.refused.as_slice() {
        [] => None,
        bytes => Some(Refusal::decode(bytes).ok_or_else(|| DecodeError::malformed("a refusal that is none"))?),
    };
    Ok(ReserveSpread {
        reserve: from_log::reserve(asked(it.reserve)?)?,
        parts: it.parts.into_iter().map(part).collect::<Result<_, DecodeError>>()?,
        refused,
        attempt: AttemptId(it.attempt),
        deadline: LogTime(it.deadline_ms),
        not_after: LogTime(it.not_after_ms),
    })
}

pub(super) fn prepare_to_log(it: &Prepare) -> log::Prepare {
    log::Prepare {
        reserve: Some(to_log::reserve(&it.reserve)),
        lines: lines(&it.numbers),
        command_high: (it.command.0 >> 64) as u64,
        command_low: it.command.0 as u64,
        attempt: it.attempt.0,
        deadline_ms: it.deadline.0,
    }
}

pub(super) fn prepare_from_log(it: log::Prepare) -> Result<Prepare, DecodeError> {
    Ok(Prepare {
        numbers: numbers(&it.lines)?,
        command: CommandId((u128::from(it.command_high) << 64) | u128::from(it.command_low)),
        attempt: AttemptId(it.attempt),
        deadline: LogTime(it.deadline_ms),
        reserve: from_log::reserve(asked(it.reserve)?)?,
    })
}

pub(super) fn follow_to_log(it: &Follow) -> log::Follow {
    let (reservation_high, reservation_low) = halves(it.reservation);
    let line = |units: &LineCounts| log::LineCounts {
        held: units.held,
        backordered: units.backordered,
        short: units.short,
        short_sold: units.short_sold,
        committed: units.committed,
        fulfilled: units.fulfilled,
        cancelled: units.cancelled,
        released: units.released,
        expired: units.expired,
        returned: units.returned,
        backordered_sold: units.backordered_sold,
    };
    let lines = it.lines.iter().map(line).collect();
    let filled = it.filled.clone();
    log::Follow { reservation_high, reservation_low, version: it.version, lines, attempt: it.attempt.0, filled }
}

pub(super) fn follow_from_log(it: &log::Follow) -> Follow {
    let line = |units: &log::LineCounts| LineCounts {
        held: units.held,
        backordered: units.backordered,
        short: units.short,
        short_sold: units.short_sold,
        committed: units.committed,
        fulfilled: units.fulfilled,
        cancelled: units.cancelled,
        released: units.released,
        expired: units.expired,
        returned: units.returned,
        backordered_sold: units.backordered_sold,
    };
    Follow {
        reservation: reservation(it.reservation_high, it.reservation_low),
        attempt: AttemptId(it.attempt),
        version: it.version,
        lines: it.lines.iter().map(line).collect(),
        filled: it.filled.clone(),
    }
}

pub(super) fn abandon_to_log(it: &Abandon) -> log::Abandon {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::Abandon { reservation_high, reservation_low, attempts: numbers_of(&it.attempts) }
}

pub(super) fn abandon_from_log(it: &log::Abandon) -> Abandon {
    let reservation = reservation(it.reservation_high, it.reservation_low);
    Abandon { reservation, attempts: attempts(&it.attempts) }
}

pub(super) fn ask_to_log(it: &AskDecision) -> log::AskDecision {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::AskDecision {
        reservation_high,
        reservation_low,
        slot: it.slot.number().into(),
        attempts: numbers_of(&it.attempts),
        deadline_ms: it.deadline.0,
        filled: it.filled.clone(),
        returned: it.returned.clone(),
    }
}

pub(super) fn ask_from_log(it: &log::AskDecision) -> Result<AskDecision, DecodeError> {
    let reservation = reservation(it.reservation_high, it.reservation_low);
    let (attempts, deadline) = (attempts(&it.attempts), LogTime(it.deadline_ms));
    let (filled, returned) = (it.filled.clone(), it.returned.clone());
    Ok(AskDecision { reservation, slot: slot(it.slot)?, attempts, deadline, filled, returned })
}

pub(super) fn told_to_log(it: &Told) -> log::Told {
    let (reservation_high, reservation_low) = halves(it.reservation);
    let (slot, attempt) = (it.slot.number().into(), it.attempt.0);
    log::Told { reservation_high, reservation_low, slot, attempt, version: it.version }
}

pub(super) fn told_from_log(it: &log::Told) -> Result<Told, DecodeError> {
    let reservation = reservation(it.reservation_high, it.reservation_low);
    Ok(Told { reservation, slot: slot(it.slot)?, attempt: AttemptId(it.attempt), version: it.version })
}
