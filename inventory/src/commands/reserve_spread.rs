//! `reserve` where the lines lie on several shards: decided here once all the others have answered.

use serde::{Deserialize, Serialize};

use super::reserve::Reserve;
use super::role::Role;
use crate::state::{RemoteLine, RemotePart, Whole};
use crate::turn::Turn;
use crate::{AttemptId, Field, InvalidArgument, LineCounts, LogTime, Refusal, Slot, Success};

/// What another shard has prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedPart {
    /// A slot of it.
    pub slot: Slot,
    /// The numbers of its lines in the whole, ascending.
    pub numbers: Vec<u16>,
    /// Units that it holds of each.
    pub held: Vec<u32>,
    /// Units of each that it promises without stock; empty: none.
    pub backordered: Vec<u32>,
    /// Before this instant some of it may not be shipped.
    pub release_at: Option<LogTime>,
}

impl PreparedPart {
    /// What each of its lines has: its number, units held, and units promised without stock.
    fn lines(&self) -> impl Iterator<Item = (u16, u32, u32)> {
        let backordered = self.backordered.iter().copied().chain(std::iter::repeat(0));
        self.numbers.iter().zip(&self.held).zip(backordered).map(|((number, held), units)| (*number, *held, units))
    }
}

/// Decides a reservation: the lines of this shard are held in the same entry, all or nothing with the others'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveSpread {
    /// What was asked for: every line.
    pub reserve: Reserve,
    /// What the other shards hold.
    pub parts: Vec<PreparedPart>,
    /// How another shard refused. Then this shard does too, for good.
    pub refused: Option<Refusal>,
    /// Which attempt it is.
    pub attempt: AttemptId,
    /// From this instant on it is not decided any more.
    pub deadline: LogTime,
    /// It must not be held beyond this: the least that the items of the other shards allow.
    pub not_after: LogTime,
}

impl ReserveSpread {
    /// One that is refused for good before anything is held, unless its command was decided before.
    #[must_use]
    pub fn refused(reserve: Reserve, refusal: Refusal) -> Self {
        let (deadline, not_after) = (LogTime(u64::MAX), LogTime(u64::MAX));
        let attempt = AttemptId::default();
        Self { reserve, parts: Vec::new(), refused: Some(refusal), attempt, deadline, not_after }
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        self.reserve.validate()?;
        let lines = self.reserve.lines.len();
        let mut is_taken = vec![false; lines];
        for part in &self.parts {
            let lines = part.numbers.len();
            let fits = part.held.len() == lines && [0, lines].contains(&part.backordered.len());
            if !fits || lines == 0 {
                return Err(InvalidArgument::of(Field::Lines));
            }
            for (number, held, backordered) in part.lines() {
                let number = usize::from(number);
                let line = self.reserve.lines.get(number).ok_or(InvalidArgument::of(Field::LineNumber))?;
                if std::mem::replace(&mut is_taken[number], true)
                    || u64::from(held) + u64::from(backordered) > line.units.count()
                {
                    return Err(InvalidArgument::in_line(Field::LineNumber, number));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        if let Some(refusal) = &self.refused {
            return Err(self.reserve.of_asked(refusal.clone()));
        }
        if turn.state.find_reservation(self.reserve.reservation).is_some() {
            return Err(Refusal::Exists);
        }
        if turn.now() > self.deadline {
            // The other shards may have been told by now that there is no such reservation.
            return Err(Refusal::OrderUndecided);
        }
        let is_remote = |number: u16| self.parts.iter().any(|part| part.numbers.contains(&number));
        let own: Vec<u16> = (0..self.reserve.lines.len() as u16).filter(|number| !is_remote(*number)).collect();
        // What was asked for lies in this slot; what it became may lie on other shards only.
        if own.is_empty() && (self.reserve.plan.is_none() || self.parts.is_empty()) {
            return Err(InvalidArgument::of(Field::ReservationId).into());
        }
        let lines = own.iter().map(|number| self.reserve.lines[usize::from(*number)].clone()).collect();
        let parts = self.parts.iter().map(|part| self.remote_part(part)).collect();
        let release_at = self.parts.iter().filter_map(|part| part.release_at).max();
        let whole = Whole { own: own.clone(), attempt: self.attempt, parts, version: 1, release_at };
        let plan = self.reserve.plan.as_ref().map(|plan| Box::new(plan.of_lines(&own)));
        let reserve = Reserve { lines, plan, ..self.reserve.clone() };
        let role = Role::Whole { whole, not_after: self.not_after, reserve: &self.reserve };
        let success = reserve.decide_as(turn, role);
        let success = success.map_err(|refusal| self.reserve.of_asked(refusal.of_lines(&own)))?;
        Ok(self.of_whole(turn, &own, success))
    }

    fn remote_part(&self, part: &PreparedPart) -> RemotePart {
        let line = |(number, held, backordered): (u16, u32, u32)| {
            let asked = &self.reserve.lines[usize::from(number)];
            RemoteLine {
                number,
                sku: asked.sku.clone(),
                location: asked.location.clone(),
                lot: asked.lot.clone(),
                optional: asked.optional,
                units: LineCounts { held: held.into(), backordered: backordered.into(), ..LineCounts::default() },
                filled: 0,
            }
        };
        RemotePart { slot: part.slot, told: 1, lines: part.lines().map(line).collect() }
    }

    /// The success of this shard's lines as that of the whole: units held of each asked line, where some have less than was asked for,
    /// and units promised without stock, where any are.
    fn of_whole(&self, turn: &Turn<'_>, own: &[u16], of_own: Success) -> Success {
        let Some(no) = turn.state.find_reservation(self.reserve.reservation) else { return of_own };
        let record = turn.state.reservation(no);
        let (mut held, mut backordered) = (vec![0; self.reserve.lines.len()], vec![0; self.reserve.lines.len()]);
        let own = own.iter().copied().zip(record.lines.iter().map(|line| &line.units));
        for (number, units) in own.chain(record.remote_lines().map(|line| (line.number, &line.units))) {
            held[usize::from(number)] = units.held as u32;
            backordered[usize::from(number)] = units.backordered as u32;
        }
        let is_all = held.iter().zip(&self.reserve.lines).all(|(held, asked)| *held == asked.units.0);
        if is_all && self.reserve.is_of_all() {
            return Success { held: None, backordered: None, ..of_own };
        }
        let (held, backordered) = self.reserve.told_of(held, backordered, true);
        Success { held, backordered, ..of_own }
    }
}

#[cfg(test)]
mod tests {
    use super::ReserveSpread;
    use crate::commands::{AskDecision, Follow, Prepare, Told};
    use crate::test_shop::{OPENING, Shop, id, reserve, spread_of};
    use crate::*;

    const ATTEMPT: AttemptId = AttemptId(3);
    const DEADLINE: LogTime = LogTime(OPENING + 10_000);

    fn slot() -> Slot {
        Slot::new(77).unwrap()
    }

    /// Two lines, the second of which another shard holds.
    fn spread(rouge: u32, elsewhere: u32) -> ReserveSpread {
        let Operation::Reserve(reserve) = reserve(1, &[("rouge", rouge), ("far", elsewhere)]) else { unreachable!() };
        spread_of(reserve, &[1], &[elsewhere])
    }

    fn decide(shop: &mut Shop, spread: ReserveSpread) -> Result<Success, Refusal> {
        shop.run(Operation::ReserveSpread(Box::new(spread)))
    }

    fn held(shop: &Shop) -> Vec<(String, u64)> {
        shop.reservation(1).lines.iter().map(|line| (line.sku.to_string(), line.units.held)).collect()
    }

    #[test]
    fn the_deciding_shard_shows_every_line_in_its_order_and_holds_its_own() {
        let mut shop = Shop::with_rouge(5);
        let success = decide(&mut shop, spread(2, 3)).unwrap();
        assert_eq!(success.expires_at, Some(LogTime(OPENING + 60_000)), "the other shard's items allow no longer hold");
        assert_eq!(held(&shop), [("rouge".to_owned(), 2), ("far".to_owned(), 3)]);
        assert_eq!((shop.stock("rouge").counts.reserved, shop.inventory.unsettled_parts()), (2, 0));
    }

    #[test]
    fn what_the_deciding_shard_lacks_is_refused_by_the_line_that_was_asked_for() {
        let mut shop = Shop::with_rouge(1);
        let mut swapped = spread(2, 3);
        swapped.reserve.lines.swap(0, 1);
        swapped.parts[0].numbers = vec![0];
        let refused = decide(&mut shop, swapped);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 1, recorded: true }));
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn what_another_shard_refused_is_refused_here_for_good() {
        let mut shop = Shop::with_rouge(5);
        let lack = Refusal::InsufficientStock { available: 0, line: 1, recorded: true };
        let refused = ReserveSpread { refused: Some(lack.clone()), parts: vec![], ..spread(2, 3) };
        let command = shop.command(Operation::ReserveSpread(Box::new(refused)));
        let again = Command { operation: Operation::ReserveSpread(Box::new(spread(2, 3))), ..command.clone() };
        assert_eq!(shop.apply(vec![command])[0].outcome, Err(lack.clone()));
        let answer = &shop.apply(vec![again])[0];
        assert_eq!((&answer.outcome, answer.replayed), (&Err(lack), true));
    }

    #[test]
    fn after_its_deadline_nothing_is_decided_and_a_part_that_asks_is_told_so() {
        let mut shop = Shop::with_rouge(5);
        let ask = || {
            let attempts = vec![ATTEMPT];
            let ask = AskDecision {
                reservation: id(1),
                slot: slot(),
                attempts,
                deadline: DEADLINE,
                filled: vec![],
                returned: vec![],
            };
            Operation::AskDecision(ask)
        };
        assert_eq!(shop.after_s(10).run(ask()), Err(Refusal::OrderUndecided));
        assert_eq!(shop.after_s(11).run(ask()), Err(Refusal::ReservationNotFound));
        assert_eq!(decide(&mut shop, spread(2, 3)), Err(Refusal::OrderUndecided));
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn a_part_of_another_attempt_than_that_which_made_the_whole_is_told_that_it_is_none_and_changes_nothing() {
        let mut shop = Shop::with_rouge(5);
        decide(&mut shop, spread(2, 3)).unwrap();
        shop.commit(1).unwrap();
        let told = |attempt, version| Operation::Told(Told { reservation: id(1), slot: slot(), attempt, version });
        let ask = |attempts: &[u64]| {
            let attempts = attempts.iter().copied().map(AttemptId).collect();
            let ask = AskDecision {
                reservation: id(1),
                slot: slot(),
                attempts,
                deadline: DEADLINE,
                filled: vec![3],
                returned: vec![],
            };
            Operation::AskDecision(ask)
        };
        shop.run(told(AttemptId(77), 2)).unwrap();
        assert_eq!(shop.inventory.parts_behind(9)[0].1.attempt, ATTEMPT);
        shop.run(told(ATTEMPT, 2)).unwrap();
        assert_eq!(shop.run(ask(&[77])), Err(Refusal::OrderUndecided), "by its deadline it could be decided");
        assert_eq!(shop.after_s(11).run(ask(&[77])), Err(Refusal::ReservationNotFound));
        assert_eq!(shop.inventory.parts_behind(9), []);
        shop.run(ask(&[77, 3])).unwrap();
        assert_eq!(shop.inventory.parts_behind(9).len(), 1);
    }

    #[test]
    fn the_whole_is_sold_and_given_back_at_once_and_says_so_until_the_parts_have_heard() {
        let mut shop = Shop::with_rouge(5);
        decide(&mut shop, spread(2, 3)).unwrap();
        shop.commit(1).unwrap();
        let behind = shop.inventory.parts_behind(9);
        assert_eq!((behind[0].0, behind[0].1.version, behind[0].1.lines[0].committed), (slot(), 2, 3));
        shop.run(Operation::Told(Told { reservation: id(1), slot: slot(), attempt: ATTEMPT, version: 2 })).unwrap();
        assert_eq!(shop.inventory.parts_behind(9), []);
        shop.cancel(1).unwrap();
        assert_eq!((shop.reservation(1).state, shop.inventory.parts_behind(9).len()), (ReservationState::Cancelled, 1));
    }

    #[test]
    fn a_whole_whose_parts_have_not_heard_of_its_end_is_not_forgotten() {
        let mut shop = Shop::with_limits(Limits { keep_ended_ms: 1_000, ..Limits::default() });
        shop.receive("rouge", "PAR", 5).unwrap();
        decide(&mut shop, spread(2, 3)).unwrap();
        shop.release(1).unwrap();
        shop.after_s(100).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Released);
        shop.run(Operation::Told(Told { reservation: id(1), slot: slot(), attempt: ATTEMPT, version: 2 })).unwrap();
        shop.tick();
        assert!(shop.inventory.reservation(id(1)).is_none());
    }

    #[test]
    fn units_of_some_lines_are_sold_and_shipped_wherever_they_lie_and_their_shards_follow() {
        let mut shop = Shop::with_rouge(5);
        decide(&mut shop, spread(2, 3)).unwrap();
        let sell = |shop: &mut Shop, parts: &[(u32, u32)], last| {
            shop.commit_with(1, |commit| (commit.parts, commit.last) = (crate::test_shop::parts_of(parts), last))
        };
        let exceeds = |line, available| Err(Refusal::ExceedsHeldQuantity { line, available });
        assert_eq!(sell(&mut shop, &[(1, 4)], false), exceeds(1, 3));
        sell(&mut shop, &[(0, 1), (1, 1)], false).unwrap();
        let follows = |shop: &Shop| shop.inventory.parts_behind(9)[0].1.lines[0];
        assert_eq!((follows(&shop).held, follows(&shop).committed), (2, 1));
        // The last of what is sold gives back the rest, here and there.
        sell(&mut shop, &[(1, 1)], true).unwrap();
        let units = follows(&shop);
        assert_eq!((units.held, units.committed, units.released), (0, 2, 1));
        assert_eq!((shop.stock("rouge").counts.reserved, shop.stock("rouge").counts.committed), (0, 1));

        assert_eq!(shop.fulfil(1, &[(1, 3)]), exceeds(1, 2));
        let lot = shop.fulfil_of(1, &[(1, 1)], "A");
        assert_eq!(lot, Err(InvalidArgument::in_line(Field::LotId, 1).into()), "its lots are another shard's");
        assert_eq!(shop.fulfil(1, &[(1, 1)]).unwrap().state, Some(ReservationState::PartiallyFulfilled));
        assert_eq!((follows(&shop).committed, follows(&shop).fulfilled), (1, 1));
        assert_eq!(shop.cancel(1).unwrap().state, Some(ReservationState::Fulfilled));
        assert_eq!((follows(&shop).fulfilled, follows(&shop).cancelled), (1, 1));
    }

    #[test]
    fn an_amend_takes_less_of_any_line_and_more_of_its_own_shards_alone() {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 4).unwrap();
        decide(&mut shop, spread(2, 3)).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 1), ("far", 4)]), Err(Refusal::LinesSpanShards));
        assert_eq!(held(&shop), [("rouge".to_owned(), 2), ("far".to_owned(), 3)]);
        shop.amend(1, &[("far", 1), ("rouge", 5), ("mascara", 2)]).unwrap();
        let expected = [("rouge".to_owned(), 5), ("far".to_owned(), 1), ("mascara".to_owned(), 2)];
        assert_eq!(held(&shop), expected);
        let units = shop.inventory.parts_behind(9)[0].1.lines[0];
        assert_eq!((units.held, units.released), (1, 2));
        shop.amend(1, &[("far", 0)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.stock("mascara").counts.committed, 2);
    }

    #[test]
    fn what_another_shard_has_shipped_comes_back_there_and_the_whole_is_told() {
        let mut shop = Shop::with_rouge(5);
        decide(&mut shop, spread(2, 3)).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        let back = |shop: &mut Shop, parts: &[(u32, u32)]| shop.take_back(1, parts, None, Condition::Resellable);
        assert_eq!(back(&mut shop, &[(1, 1)]), Err(Refusal::LinesElsewhere { slot: slot() }));
        assert_eq!(back(&mut shop, &[(0, 1), (1, 1)]), Err(Refusal::LinesSpanShards));
        back(&mut shop, &[(0, 1)]).unwrap();
        let (reservation, version) = (id(1), 9);
        shop.run(Operation::Told(Told { reservation, slot: slot(), attempt: ATTEMPT, version })).unwrap();

        // The part, on a shard of its own.
        let mut other = Shop::new();
        other.put_item("far", ItemSpec::default()).unwrap();
        other.receive("far", "PAR", 3).unwrap();
        let Operation::Reserve(reserve) = reserve(1, &[("far", 3)]) else { unreachable!() };
        let (numbers, command, attempt) = (vec![1], CommandId(9), ATTEMPT);
        let prepare = Prepare { reserve, numbers, command, attempt, deadline: DEADLINE };
        other.run(Operation::Prepare(Box::new(prepare))).unwrap();
        assert_eq!(back(&mut other, &[(1, 1)]), Err(Refusal::OrderUndecided));
        let shipped = LineCounts { fulfilled: 3, ..LineCounts::default() };
        let follow = |units| {
            let (reservation, attempt, lines) = (id(1), ATTEMPT, vec![units]);
            Operation::Follow(Box::new(Follow { reservation, attempt, version: 3, lines, filled: Vec::new() }))
        };
        other.run(follow(shipped)).unwrap();
        assert_eq!(back(&mut other, &[(1, 4)]), Err(Refusal::ExceedsFulfilled { line: 1, available: 3 }));
        back(&mut other, &[(1, 2)]).unwrap();
        assert_eq!(other.stock("far").atp, 2);
        let asks = other.inventory.parts_in_doubt(LogTime(OPENING), 9);
        assert_eq!(asks[0].returned, [2]);

        shop.run(Operation::AskDecision(AskDecision { slot: slot(), ..asks[0].clone() })).unwrap();
        let returned: Vec<u64> = shop.reservation(1).lines.iter().map(|line| line.units.returned).collect();
        assert_eq!(returned, [1, 2]);
        other.run(follow(shop.inventory.parts_behind(9)[0].1.lines[0])).unwrap();
        assert_eq!(other.inventory.parts_in_doubt(LogTime(u64::MAX), 9), []);
    }

    #[test]
    fn a_line_that_is_held_by_two_shards_or_by_none_that_asks_is_refused() {
        let mut shop = Shop::with_rouge(5);
        let mut twice = spread(2, 3);
        twice.parts.push(twice.parts[0].clone());
        assert!(matches!(decide(&mut shop, twice), Err(Refusal::InvalidArgument(_))));
        let mut beyond = spread(2, 3);
        beyond.parts[0].held = vec![4];
        assert!(matches!(decide(&mut shop, beyond), Err(Refusal::InvalidArgument(_))));
    }
}
