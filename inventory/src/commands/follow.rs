//! `follow`: a part of a reservation becomes what the deciding shard says.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::MAX_PLANNED_LINES;
use super::fulfil::ship;
use crate::state::{LineRecord, PartPhase, ReservationNo};
use crate::turn::Turn;
use crate::{AttemptId, EventKind, Field, InvalidArgument, LineCounts, Refusal, ReservationId, Success};

/// Brings a part to where the whole stands: what was decided of its units is done with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The reservation.
    pub reservation: ReservationId,
    /// The attempt that made the whole.
    pub attempt: AttemptId,
    /// The whole's version.
    pub version: u32,
    /// What each line of the part is to have, in its order.
    pub lines: Vec<LineCounts>,
    /// What the whole knows to be filled of each line.
    pub filled: Vec<u64>,
}

/// Units of one line on their way from one state to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    /// From held to sold.
    sold: u64,
    /// From promised without stock to sold without stock.
    sold_backordered: u64,
    /// From short to sold without stock.
    sold_short: u64,
    /// From what is not sold, given back.
    released: u64,
    /// From what is not sold, because the time was over.
    expired: u64,
    /// From sold, given back.
    cancelled: u64,
    /// Held by an attempt that the whole was not made of, which had got less: given back without a count.
    excess: u64,
}

impl Follow {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.lines.len() > MAX_PLANNED_LINES || self.lines.iter().any(|line| line.all().is_none()) {
            return Err(InvalidArgument::of(Field::Lines));
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        // A part that is not there any more had ended, and followed to the end; so had one in whose place another attempt has taken units.
        let no = turn.state.find_reservation(self.reservation).ok_or(Refusal::ReservationNotFound)?;
        let record = turn.state.reservation(no);
        let Some(part) = record.part() else { return Err(Refusal::Exists) };
        if part.phase != PartPhase::Aborted && !part.is_of(self.attempt) {
            return Err(Refusal::ReservationNotFound);
        }
        let knows_returned = record.lines.iter().zip(&self.lines).all(|(line, to)| line.units.returned <= to.returned);
        let knows_filled =
            (0..record.lines.len()).all(|at| part.filled.get(at).unwrap_or(&0) == self.filled.get(at).unwrap_or(&0));
        let is_news_known = !part.is_news_told && knows_filled && knows_returned;
        let is_done = part.phase == PartPhase::Decided && part.version >= self.version;
        let is_over = is_done || part.phase == PartPhase::Aborted;
        if is_news_known {
            turn.state.change_part(no, |part| part.is_news_told = true);
        }
        if is_over {
            return Ok(turn.reservation_success(no));
        }
        if turn.state.reservation(no).lines.len() != self.lines.len() {
            return Err(InvalidArgument::of(Field::Lines).into());
        }
        turn.tell_of_lots_of(no);
        turn.state.change_part(no, |part| part.phase = PartPhase::Decided);
        self.sell_and_give_back(turn, no);
        self.ship(turn, no)?;
        self.take_back(turn, no);
        turn.state.change_part(no, |part| part.version = self.version);
        Ok(turn.reservation_success(no))
    }

    /// Sells and gives back what the whole has sold and given back.
    fn sell_and_give_back(&self, turn: &mut Turn<'_>, no: ReservationNo) {
        let lines = turn.state.reservation(no).lines.clone();
        let mut steps: Vec<Step> =
            lines.iter().zip(&self.lines).map(|(line, to)| Step::between(&line.units, to)).collect();
        if is_on(Mutation::CounterNotGivenBack) {
            let kept = steps.iter_mut().zip(&lines).filter(|(_, line)| turn.state.item(line.sku).sku.is_counter());
            kept.for_each(|(step, _)| (step.released, step.expired, step.cancelled) = (0, 0, 0));
        }
        let Some(kind) = steps.iter().find_map(Step::kind) else { return };
        let bound: Vec<_> = lines.iter().zip(&steps).map(|(line, step)| turn.sell(line, step.sold)).collect();
        let mut after = lines.clone();
        for ((line, step), bound) in after.iter_mut().zip(&steps).zip(&bound) {
            line.commit(step.sold, bound);
            line.units.held -= step.sold;
            line.units.backordered -= step.sold_backordered;
            line.units.backordered_sold += step.sold_backordered;
            line.units.short -= step.sold_short;
            line.units.short_sold += step.sold_short;
            if step.sold_short > 0 {
                // Now it comes before holds, whose units it may get.
                turn.expect_lack(line.sku, line.location);
            }
            step.give_back(turn, line);
        }
        turn.state.change_reservation(no, |record| record.lines = after);
        turn.record(kind, Some(no), None);
    }

    /// Counts as returned of counters what the whole has taken back. Of an item that lies here the deciding shard takes nothing back.
    fn take_back(&self, turn: &mut Turn<'_>, no: ReservationNo) {
        let lines = &turn.state.reservation(no).lines;
        let is_more = |(line, to): (&LineRecord, &LineCounts)| {
            to.returned > line.units.returned && turn.state.item(line.sku).sku.is_counter()
        };
        let more: Vec<bool> = lines.iter().zip(&self.lines).map(is_more).collect();
        if !more.contains(&true) {
            return;
        }
        turn.state.change_reservation(no, |record| {
            let lines = record.lines.iter_mut().zip(&self.lines).zip(&more).filter(|(_, more)| **more);
            lines.for_each(|((line, to), _)| line.units.returned = to.returned.min(line.units.fulfilled));
        });
        turn.record(EventKind::StockReturned, Some(no), None);
    }

    /// Ships what the whole has shipped, as far as it is there.
    fn ship(&self, turn: &mut Turn<'_>, no: ReservationNo) -> Result<(), Refusal> {
        let mut lines = turn.state.reservation(no).lines.clone();
        let mut moves = Vec::new();
        let mut lacks = 0;
        for (line, to) in lines.iter_mut().zip(&self.lines) {
            let units = to.fulfilled.saturating_sub(line.units.fulfilled);
            lacks += units.saturating_sub(line.units.committed);
            if units > 0 && units <= line.units.committed {
                ship(turn, line, units, None, &mut moves)?;
            }
        }
        if lacks > 0 {
            return Err(Refusal::HoldShort { units: lacks });
        }
        if !moves.is_empty() || lines != turn.state.reservation(no).lines {
            turn.check(&moves)?;
            moves.iter().for_each(|change| turn.change(change));
            turn.state.change_reservation(no, |record| record.lines = lines);
            turn.record(EventKind::ReservationFulfilled, Some(no), None);
        }
        Ok(())
    }
}

impl Step {
    /// What leads from one to the other, as far as it can be gone: a part never does what the whole has not decided, and what is
    /// short here is short for the whole.
    fn between(from: &LineCounts, to: &LineCounts) -> Self {
        let sold_units = |units: &LineCounts| units.sold() + units.fulfilled + units.cancelled;
        let all_of_it = is_on(Mutation::LineSoldWhole) && sold_units(to) > sold_units(from);
        let to_sell =
            if all_of_it { from.unsold() } else { sold_units(to).saturating_sub(sold_units(from)).min(from.unsold()) };
        let sold = to_sell.min(from.held);
        let sold_backordered = (to_sell - sold).min(from.backordered);
        let excess = from.all().unwrap_or(0).saturating_sub(to.all().unwrap_or(u64::MAX)).min(from.unsold() - to_sell);
        let left = from.unsold() - to_sell - excess;
        let released = to.released.saturating_sub(from.released).min(left);
        let expired = to.expired.saturating_sub(from.expired).min(left - released);
        let is_sold = from.sold() + to_sell;
        Self {
            sold,
            sold_backordered,
            sold_short: to_sell - sold - sold_backordered,
            released,
            expired,
            cancelled: to.cancelled.saturating_sub(from.cancelled).min(is_sold),
            excess,
        }
    }

    /// The event that tells of it, where there is something to tell.
    fn kind(&self) -> Option<EventKind> {
        [
            (self.cancelled, EventKind::ReservationCancelled),
            (self.sold + self.sold_backordered + self.sold_short, EventKind::ReservationCommitted),
            (self.released + self.excess, EventKind::ReservationReleased),
            (self.expired, EventKind::ReservationExpired),
        ]
        .into_iter()
        .find_map(|(units, kind)| (units > 0).then_some(kind))
    }

    /// Gives units back: what is not there first, as the whole has counted it, whatever of it has come since; of what is sold those that
    /// are bound first.
    fn give_back(&self, turn: &mut Turn<'_>, line: &mut LineRecord) {
        let ended = self.released + self.expired + self.excess;
        let of_backordered = ended.min(line.units.backordered);
        let of_short = (ended - of_backordered).min(line.units.short);
        let of_held = ended - of_backordered - of_short;
        turn.change_held(line, -(of_held as i64));
        turn.change_backordered(line, -(of_backordered as i64));
        turn.change_short(line, -(of_short as i64));
        line.units.held -= of_held;
        line.units.backordered -= of_backordered;
        line.units.short -= of_short;
        line.units.released += self.released;
        line.units.expired += self.expired;

        let of_sold = self.cancelled.min(line.units.committed);
        let of_backordered = (self.cancelled - of_sold).min(line.units.backordered_sold);
        let of_short = self.cancelled - of_sold - of_backordered;
        turn.change_backordered(line, -(of_backordered as i64));
        turn.change_short(line, -(of_short as i64));
        line.units.backordered_sold -= of_backordered;
        line.units.short_sold -= of_short;
        line.units.committed -= of_sold;
        line.units.cancelled += self.cancelled;
        let Some(by_lot) = &mut line.by_lot else {
            return turn.change_committed(line, None, -(of_sold as i64));
        };
        let (mut left, mut given) = (of_sold, Vec::new());
        for bound in &mut by_lot.bound {
            let units = left.min(bound.committed);
            (bound.committed, left) = (bound.committed - units, left - units);
            given.push((bound.lot, units));
        }
        for (lot, units) in given {
            turn.change_committed(line, Some(lot), -(units as i64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Follow;
    use crate::commands::{Abandon, Prepare};
    use crate::test_shop::{OPENING, Shop, id, reserve};
    use crate::*;

    /// An attempt is named by its deadline, unless it says otherwise.
    fn prepare(sku: &str, units: u32, deadline_s: u64) -> Operation {
        let Operation::Reserve(reserve) = reserve(1, &[(sku, units)]) else { unreachable!() };
        let deadline = LogTime(OPENING + deadline_s * 1_000);
        let (numbers, command, attempt) = (vec![4], CommandId(9), AttemptId(deadline_s));
        Operation::Prepare(Box::new(Prepare { reserve, numbers, command, attempt, deadline }))
    }

    /// The same of another attempt with the same deadline.
    fn prepare_as(attempt: u64, sku: &str, units: u32, deadline_s: u64) -> Operation {
        let Operation::Prepare(mut other) = prepare(sku, units, deadline_s) else { unreachable!() };
        other.attempt = AttemptId(attempt);
        Operation::Prepare(other)
    }

    fn follow(shop: &mut Shop, version: u32, units: LineCounts) -> Result<Success, Refusal> {
        shop.run(Operation::Follow(Box::new(Follow {
            reservation: id(1),
            attempt: AttemptId(10),
            version,
            lines: vec![units],
            filled: Vec::new(),
        })))
    }

    fn abandon(shop: &mut Shop, attempt: u64) -> Option<ReservationState> {
        let attempts = vec![AttemptId(attempt)];
        shop.run(Operation::Abandon(Abandon { reservation: id(1), attempts })).unwrap().state
    }

    const NONE: LineCounts = LineCounts {
        held: 0,
        backordered: 0,
        short: 0,
        short_sold: 0,
        committed: 0,
        fulfilled: 0,
        cancelled: 0,
        released: 0,
        expired: 0,
        returned: 0,
        backordered_sold: 0,
    };

    #[test]
    fn units_that_a_later_attempt_took_first_are_the_earlier_ones_too_if_it_comes_in_time() {
        let mut shop = Shop::with_rouge(5);
        shop.run(prepare("rouge", 2, 11)).unwrap();
        shop.run(prepare("rouge", 2, 10)).unwrap();
        let sold = LineCounts { committed: 2, ..NONE };
        follow(&mut shop, 2, sold).unwrap();
        assert_eq!((shop.reservation(1).state, shop.stock("rouge").counts.committed), (ReservationState::Committed, 2));
        let mut shop = Shop::with_rouge(5);
        shop.run(prepare("rouge", 2, 13)).unwrap();
        assert_eq!(shop.after_s(12).run(prepare("rouge", 2, 10)), Err(Refusal::OrderUndecided));
    }

    #[test]
    fn an_attempt_that_asks_for_other_lines_waits_until_it_is_known_what_became_of_the_earlier_one() {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 5).unwrap();
        shop.run(prepare("rouge", 2, 10)).unwrap();
        assert_eq!(shop.run(prepare("mascara", 2, 11)), Err(Refusal::OrderUndecided));
        assert_eq!(abandon(&mut shop, 10), Some(ReservationState::Aborted));
        shop.run(prepare("mascara", 2, 11)).unwrap();
        assert_eq!((shop.stock("rouge").counts.reserved, shop.stock("mascara").counts.reserved), (0, 2));
    }

    #[test]
    fn a_part_outlives_every_clock_and_ends_when_it_is_told_to() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        shop.after_s(1_000_000).tick();
        assert_eq!(shop.stock("rouge").counts.reserved, 2);
        assert_eq!(shop.inventory.parts_in_doubt(LogTime(OPENING + 10_001), 9)[0].reservation, id(1));
        assert_eq!(abandon(&mut shop, 10), Some(ReservationState::Aborted));
        assert_eq!((shop.stock("rouge").atp, shop.inventory.unsettled_parts()), (3, 0));
    }

    #[test]
    fn a_part_follows_over_steps_that_it_never_heard_of_and_does_nothing_twice() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        // Sold and cancelled, of which it hears at once; then the sale comes late.
        follow(&mut shop, 3, LineCounts { cancelled: 2, ..NONE }).unwrap();
        follow(&mut shop, 2, LineCounts { committed: 2, ..NONE }).unwrap();
        follow(&mut shop, 3, LineCounts { cancelled: 2, ..NONE }).unwrap();
        assert_eq!((shop.reservation(1).lines[0].units.cancelled, shop.stock("rouge").atp), (2, 3));
        shop.run(prepare("rouge", 2, 20)).unwrap();
        assert_eq!(shop.stock("rouge").atp, 3, "a prepare that comes late finds what has become of it");
    }

    #[test]
    fn a_shipped_whole_ships_its_part() {
        let mut shop = Shop::with_cream(&[("A", 10, 1), ("B", 20, 2)]);
        shop.run(prepare("cream", 2, 10)).unwrap();
        follow(&mut shop, 3, LineCounts { fulfilled: 2, ..NONE }).unwrap();
        let lots: Vec<u64> = shop.reservation(1).lines[0].lots.iter().map(|lot| lot.fulfilled).collect();
        assert_eq!((lots, shop.stock("cream").counts.on_hand), (vec![1, 1], 1));
    }

    #[test]
    fn what_is_sold_short_in_a_part_gets_what_holds_were_to_get() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(5, &[("cream", 2)]).unwrap();
        shop.run(prepare("cream", 2, 10)).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!((shop.reservation(1).lines[0].units.short, shop.reservation(5).lines[0].units.held), (2, 2));
        follow(&mut shop, 2, LineCounts { committed: 2, ..NONE }).unwrap();
        assert_eq!((shop.reservation(1).lines[0].units.committed, shop.reservation(5).lines[0].units.short), (2, 2));
    }

    #[test]
    fn what_is_short_in_a_part_is_sold_short_and_shipped_when_it_is_there_again() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.run(prepare("cream", 2, 10)).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        follow(&mut shop, 2, LineCounts { committed: 2, ..NONE }).unwrap();
        assert_eq!(shop.reservation(1).lines[0].units.short_sold, 2);
        let shipped = LineCounts { fulfilled: 2, ..NONE };
        assert_eq!(follow(&mut shop, 3, shipped), Err(Refusal::HoldShort { units: 2 }));
        shop.block("A", LotStatus::Approved).unwrap();
        follow(&mut shop, 3, shipped).unwrap();
        assert_eq!(shop.stock("cream").counts.on_hand, 0);
    }

    #[test]
    fn a_later_attempt_keeps_what_an_earlier_one_holds_from_being_given_back_for_it() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        shop.run(prepare("rouge", 2, 30)).unwrap();
        assert_eq!(abandon(&mut shop, 10), Some(ReservationState::Preparing));
        assert_eq!(shop.stock("rouge").counts.reserved, 2);
        assert_eq!(abandon(&mut shop, 30), Some(ReservationState::Aborted));
        // And one that comes after all was given back begins anew.
        shop.run(prepare("rouge", 3, 50)).unwrap();
        assert_eq!(shop.stock("rouge").counts.reserved, 3);
    }

    #[test]
    fn a_prepare_that_comes_late_takes_nothing_and_a_part_is_remembered_until_none_can_come() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 0, ..Limits::default() });
        shop.receive("rouge", "PAR", 3).unwrap();
        shop.run(prepare("rouge", 2, 10)).unwrap();
        follow(&mut shop, 3, LineCounts { cancelled: 2, ..NONE }).unwrap();
        shop.after_s(10).tick();
        shop.run(prepare("rouge", 2, 10)).unwrap();
        assert_eq!(shop.stock("rouge").atp, 3, "it finds what has become of the part");
        shop.after_s(11).tick();
        assert!(shop.inventory.reservation(id(1)).is_none());
        assert_eq!(shop.run(prepare("rouge", 2, 10)), Err(Refusal::OrderUndecided));
    }

    #[test]
    fn what_a_later_attempt_took_is_none_of_a_whole_that_an_earlier_one_made() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 30)).unwrap();
        let shipped = LineCounts { fulfilled: 2, ..NONE };
        assert_eq!(follow(&mut shop, 3, shipped), Err(Refusal::ReservationNotFound));
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").counts.reserved), (3, 2));
        assert_eq!(abandon(&mut shop, 30), Some(ReservationState::Aborted));
        assert_eq!(shop.stock("rouge").atp, 3);
    }

    #[test]
    fn what_an_attempt_with_the_same_deadline_and_other_lines_took_does_not_follow() {
        // The whole's own attempt got nothing here, and asked for another item in a line of the same number.
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare_as(77, "rouge", 2, 10)).unwrap();
        assert_eq!(follow(&mut shop, 2, LineCounts { committed: 2, ..NONE }), Err(Refusal::ReservationNotFound));
        let two_lines =
            Follow { reservation: id(1), attempt: AttemptId(10), version: 2, lines: vec![NONE, NONE], filled: vec![] };
        assert_eq!(shop.run(Operation::Follow(Box::new(two_lines))), Err(Refusal::ReservationNotFound));
        assert_eq!(shop.reservation(1).state, ReservationState::Preparing);
        assert_eq!(abandon(&mut shop, 10), Some(ReservationState::Preparing), "that is not its attempt");
        let ask = shop.inventory.parts_in_doubt(LogTime(u64::MAX), 9).remove(0);
        assert_eq!((ask.attempts, ask.deadline), (vec![AttemptId(77)], LogTime(OPENING + 10_000)));
        assert_eq!(abandon(&mut shop, 77), Some(ReservationState::Aborted));
        assert_eq!(shop.stock("rouge").atp, 3);
    }

    #[test]
    fn an_attempt_that_came_to_nothing_gives_back_nothing_that_another_may_yet_sell() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        shop.run(prepare_as(77, "rouge", 2, 12)).unwrap();
        assert_eq!(abandon(&mut shop, 77), Some(ReservationState::Preparing));
        assert_eq!(shop.stock("rouge").counts.reserved, 2);
        follow(&mut shop, 2, LineCounts { committed: 2, ..NONE }).unwrap();
        assert_eq!(shop.stock("rouge").counts.committed, 2);
    }

    #[test]
    fn an_attempt_of_another_command_gives_back_nothing_of_this_one() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        let Operation::Prepare(mut other) = prepare_as(77, "rouge", 2, 12) else { unreachable!() };
        other.command = CommandId(10);
        assert_eq!(shop.run(Operation::Prepare(other)), Err(Refusal::Exists));
        assert_eq!(abandon(&mut shop, 77), Some(ReservationState::Preparing));
    }

    #[test]
    fn so_many_attempts_find_the_same_units_and_no_more() {
        let mut shop = Shop::with_rouge(3);
        for attempt in 1..=16 {
            shop.run(prepare_as(attempt, "rouge", 2, 10)).unwrap();
        }
        assert_eq!(shop.run(prepare_as(17, "rouge", 2, 10)), Err(Refusal::OrderUndecided));
        shop.run(prepare_as(16, "rouge", 2, 10)).unwrap();
        assert_eq!(shop.stock("rouge").counts.reserved, 2);
    }

    #[test]
    fn an_attempt_that_finds_a_part_of_a_decided_whole_decides_nothing() {
        let mut shop = Shop::with_rouge(3);
        let Operation::Reserve(reserve) = reserve(1, &[("rouge", 2)]) else { unreachable!() };
        let plan = |attempt| {
            let deadline = LogTime(OPENING + 10_000);
            let rouge = slot_of(&"rouge".parse().unwrap());
            SpreadPlan::of(CommandId(9), &reserve, AttemptId(attempt), deadline, |slot| u32::from(slot == rouge))
                .unwrap()
        };
        let prepare = |attempt| Operation::Prepare(Box::new(plan(attempt).prepares.remove(0).1));
        let answers = [shop.run(prepare(10))];
        let decision = plan(10).decision(reserve.clone(), &answers).unwrap();
        assert_eq!((decision.deadline, &decision.parts[0].held), (LogTime(OPENING + 10_000), &vec![2]));
        follow(&mut shop, 2, LineCounts { cancelled: 2, ..NONE }).unwrap();
        let answers = [shop.run(prepare(77))];
        let decision = plan(77).decision(reserve.clone(), &answers).unwrap();
        assert_eq!((decision.deadline, &decision.parts[0].held), (LogTime(0), &vec![0]));
        let mut deciding = Shop::with_rouge(1);
        assert_eq!(deciding.run(Operation::ReserveSpread(Box::new(decision))), Err(Refusal::OrderUndecided));
    }

    #[test]
    fn another_command_finds_the_reservation_taken_and_a_whole_that_got_less_gives_back_the_rest() {
        let mut shop = Shop::with_rouge(3);
        shop.run(prepare("rouge", 2, 10)).unwrap();
        let Operation::Prepare(mut other) = prepare("rouge", 1, 10) else { unreachable!() };
        other.command = CommandId(10);
        assert_eq!(shop.run(Operation::Prepare(other)), Err(Refusal::Exists));
        follow(&mut shop, 1, NONE).unwrap();
        assert_eq!((shop.stock("rouge").atp, shop.reservation(1).state), (3, ReservationState::Released));
    }

    #[test]
    fn a_part_that_is_refused_says_which_line_of_the_whole_and_is_not_shown_as_a_reservation_of_its_own() {
        let mut shop = Shop::with_rouge(1);
        let lack = Refusal::InsufficientStock { available: 1, line: 4, recorded: true };
        assert_eq!(shop.run(prepare("rouge", 2, 10)), Err(lack));
        shop.run(prepare("rouge", 1, 10)).unwrap();
        assert_eq!(shop.inventory.reservations(ReservationCursor::default(), None, 9).0, []);
    }
}
