//! What the shards of one reservation have to say to one another: planned and read here, carried by whoever runs the shards.
//!
//! Try, confirm, cancel: each other shard prepares its lines; the deciding shard then holds its own in the entry that decides;
//! what becomes of the whole later, the parts follow. Nobody waits on a lock: a hold is the prepare. See "Reservations over
//! several shards" in docs/ARCHITECTURE.md.

use std::collections::BTreeMap;

use holdfast_mutation::{Mutation, is_on};

use crate::commands::{AskDecision, Follow, Prepare, PreparedPart, Reserve, ReserveSpread};
use crate::state::{ReservationNo, ReservationRecord};
use crate::{AttemptId, CommandId, Inventory, LineCounts, LogTime, Refusal, ReservationState, Slot, Success, slot_of};

/// How a reserve is carried out whose lines lie on several shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadPlan {
    /// What each other shard is to prepare, by a slot of it.
    pub prepares: Vec<(Slot, Prepare)>,
    attempt: AttemptId,
    deadline: LogTime,
}

impl SpreadPlan {
    /// The plan of an attempt to make a reserve, to be decided by the deadline; `None` where one shard has all of its lines. The lines
    /// must be valid.
    #[must_use]
    pub fn of(
        command: CommandId,
        reserve: &Reserve,
        attempt: AttemptId,
        deadline: LogTime,
        shard_of: impl Fn(Slot) -> u32,
    ) -> Option<Self> {
        let deciding = shard_of(reserve.reservation.slot());
        let mut shards: BTreeMap<u32, (Slot, Vec<u16>)> = BTreeMap::new();
        for (number, line) in reserve.lines.iter().enumerate() {
            let slot = slot_of(&line.sku);
            let shard = shard_of(slot);
            if shard != deciding {
                shards.entry(shard).or_insert_with(|| (slot, Vec::new())).1.push(number as u16);
            }
        }
        let prepare = |(slot, numbers): (Slot, Vec<u16>)| {
            let lines = numbers.iter().map(|number| reserve.lines[usize::from(*number)].clone()).collect();
            let plan = reserve.plan.as_ref().map(|plan| Box::new(plan.of_lines(&numbers)));
            (slot, Prepare { reserve: Reserve { lines, plan, ..reserve.clone() }, numbers, command, attempt, deadline })
        };
        let prepares: Vec<_> = shards.into_values().map(prepare).collect();
        (!prepares.is_empty()).then_some(Self { prepares, attempt, deadline })
    }

    /// What the deciding shard is to decide, once every other shard has answered, in the order of the plan.
    ///
    /// # Errors
    ///
    /// A shard decided nothing: it may be asked again.
    pub fn decision(&self, reserve: Reserve, answers: &[Result<Success, Refusal>]) -> Result<ReserveSpread, Refusal> {
        let mut decision = ReserveSpread {
            reserve,
            parts: Vec::with_capacity(self.prepares.len()),
            refused: None,
            attempt: self.attempt,
            deadline: self.deadline,
            not_after: LogTime(u64::MAX),
        };
        for ((slot, prepare), answer) in self.prepares.iter().zip(answers) {
            let lines = &prepare.reserve.lines;
            let (mut backordered, mut release_at) = (Vec::new(), None);
            let held: Vec<u32> = match answer {
                // It has followed a whole: the command was decided, and this attempt is told how, or decides nothing.
                Ok(success) if success.state != Some(ReservationState::Preparing) => {
                    decision.deadline = LogTime(0);
                    vec![0; lines.len()]
                }
                Ok(success) => {
                    decision.not_after = decision.not_after.min(success.expires_at.unwrap_or(LogTime(u64::MAX)));
                    release_at = success.release_at;
                    backordered = success.backordered.as_deref().unwrap_or_default().to_vec();
                    success
                        .held
                        .as_deref()
                        .map_or_else(|| lines.iter().map(|line| line.units.0).collect(), <[u32]>::to_vec)
                }
                // A lack that is not recorded lost a race that another plan may win.
                Err(lack)
                    if is_of_a_line(lack) && (prepare.reserve.partial_ok || lines.iter().all(|line| line.optional)) =>
                {
                    vec![0; lines.len()]
                }
                Err(refusal) if refusal.is_recorded() && is_on(Mutation::OrderHalfDecided) => vec![0; lines.len()],
                Err(refusal) if refusal.is_recorded() => {
                    decision.refused.get_or_insert_with(|| refusal.clone());
                    continue;
                }
                Err(refusal) => return Err(refusal.clone()),
            };
            let numbers = prepare.numbers.clone();
            decision.parts.push(PreparedPart { slot: *slot, numbers, held, backordered, release_at });
        }
        Ok(decision)
    }
}

/// Whether it is why a line gets nothing, which fails the rest only where the line is not optional: the same as where one shard has all
/// of the lines.
const fn is_of_a_line(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::InsufficientStock { recorded: true, .. }
            | Refusal::BackorderCapExceeded { .. }
            | Refusal::AllocationExhausted { .. }
            | Refusal::CustomerRequired { .. }
            | Refusal::CustomerLimitExceeded { .. }
    )
}

impl Inventory {
    /// Up to `limit` parts that have not been told the latest of a reservation this shard decides, with what they are to follow,
    /// each by a slot of its shard.
    #[must_use]
    pub fn parts_behind(&self, limit: usize) -> Vec<(Slot, Follow)> {
        let records = self.state.indexes.behind.iter().map(|no| self.state.reservation(*no));
        records.flat_map(ReservationRecord::behind).take(limit).collect()
    }

    /// How many parts this shard has to hear of, and how many reservations have parts that have to hear of it.
    #[must_use]
    pub fn unsettled_parts(&self) -> u64 {
        (self.state.indexes.in_doubt.len() + self.state.indexes.behind.len()) as u64
    }

    /// Up to `limit` questions of this shard, by `now`, about reservations that others were to decide by then.
    #[must_use]
    pub fn parts_in_doubt(&self, now: LogTime, limit: usize) -> Vec<AskDecision> {
        let due = self.state.indexes.in_doubt.range(..(now, ReservationNo(0))).take(limit);
        let ask = |(_, no): &(LogTime, ReservationNo)| {
            let record = self.state.reservation(*no);
            let first = record.lines.first()?;
            let slot = slot_of(&self.state.asked_sku(record, first));
            let part = record.part()?;
            let (attempts, deadline, filled) = (part.attempts.clone(), part.deadline, part.filled.clone());
            let returned: Vec<u64> = record.lines.iter().map(|line| line.units.returned).collect();
            let returned = if returned.iter().all(|units| *units == 0) { Vec::new() } else { returned };
            Some(AskDecision { reservation: record.id, slot, attempts, deadline, filled, returned })
        };
        due.filter_map(ask).collect()
    }
}

impl ReservationRecord {
    fn behind(&self) -> impl Iterator<Item = (Slot, Follow)> {
        let (reservation, whole) = (self.id, self.whole());
        let (version, attempt) = whole.map_or((0, AttemptId(0)), |whole| (whole.version, whole.attempt));
        let parts = whole.into_iter().flat_map(|whole| &whole.parts).filter(move |part| part.told < version);
        parts.map(move |part| {
            let lines: Vec<LineCounts> = part.lines.iter().map(|line| line.units).collect();
            let filled = part.lines.iter().map(|line| line.filled).collect();
            (part.slot, Follow { reservation, attempt, version, lines, filled })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SpreadPlan;
    use crate::test_shop::{OPENING, Shop, id, reserve};
    use crate::*;

    /// A reserve of `rouge` here and `far` on another shard, and its plan.
    fn plan(far_is_optional: bool) -> (commands::Reserve, SpreadPlan) {
        let Operation::Reserve(mut reserve) = reserve(1, &[("rouge", 1), ("far", 1)]) else { unreachable!() };
        reserve.lines[1].optional = far_is_optional;
        let far = slot_of(&"far".parse().unwrap());
        let shard_of = |slot: Slot| u32::from(slot == far);
        let deadline = LogTime(OPENING + 10_000);
        let plan = SpreadPlan::of(CommandId(1), &reserve, AttemptId(1), deadline, shard_of).unwrap();
        (reserve, plan)
    }

    #[test]
    fn whatever_an_optional_line_of_another_shard_lacks_does_not_fail_the_rest() {
        let far: Sku = "far".parse().unwrap();
        let lacks = [
            Refusal::InsufficientStock { available: 0, line: 1, recorded: true },
            Refusal::BackorderCapExceeded { available: 0, line: 1 },
            Refusal::AllocationExhausted { available: 0, line: 1 },
            Refusal::CustomerRequired { sku: far },
            Refusal::CustomerLimitExceeded { limit: "two-each".parse().unwrap(), remaining: 0, line: 1 },
        ];
        for lack in lacks {
            let mut shop = Shop::with_rouge(1);
            let (reserve, optional) = plan(true);
            let decision = optional.decision(reserve, &[Err(lack.clone())]).unwrap();
            let held = shop.run(Operation::ReserveSpread(Box::new(decision))).map(|success| success.held);
            assert_eq!(held, Ok(Some([1, 0].into())), "{lack:?}");
            assert_eq!(shop.inventory.reservation(id(1)).unwrap().state, ReservationState::Held);
            let (reserve, required) = plan(false);
            let decision = required.decision(reserve, &[Err(lack.clone())]).unwrap();
            assert_eq!(decision.refused, Some(lack));
        }
    }
}
