//! `commit`: a hold becomes a sale.

use serde::{Deserialize, Serialize};

use crate::demand::{Demand, Promise};
use crate::parts::{UnitsOfLines, check_whole_kits, units_of_lines};
use crate::state::{LineRecord, LotNo, ReservationNo, ReservationRecord};
use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, LimitId, LineUnits, LogTime, Refusal, ReservationId, Success, validate_parts,
};

/// How far ahead `cancel_at` may lie, in ms.
pub const MAX_CANCEL_AHEAD_MS: u64 = 31 * 24 * 3_600_000;

/// What a commit does where the hold's time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IfExpired {
    /// It is refused.
    #[default]
    Fail,
    /// The units are tried for anew in the same decision.
    Retake,
}

/// Turns what is held into a sale: all of it, or some units of some lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The reservation.
    pub reservation: ReservationId,
    /// Empty: everything held.
    pub parts: Vec<LineUnits>,
    /// What is not committed is released.
    pub last: bool,
    /// Where the hold's time is over.
    pub if_expired: IfExpired,
    /// What is committed and not shipped by then is cancelled; at most [`MAX_CANCEL_AHEAD_MS`] ahead. `None`: an earlier
    /// commit's time stays, where it is not over yet.
    pub cancel_at: Option<LogTime>,
}

impl Commit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_parts(&self.parts)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let now = turn.now();
        if self.cancel_at.is_some_and(|at| at <= now || at > now.plus_ms(MAX_CANCEL_AHEAD_MS)) {
            return Err(InvalidArgument::of(Field::CancelAt).into());
        }
        let no = turn.reservation(self.reservation)?;
        turn.state.reservation(no).check_no_order()?;
        self.sell(turn, no)?;
        Ok(turn.reservation_success(no))
    }

    /// The same of a reservation that was found, whoever decides it.
    pub(crate) fn sell(&self, turn: &mut Turn<'_>, no: ReservationNo) -> Result<(), Refusal> {
        let record = turn.state.reservation(no);
        if record.part().is_some() {
            return Err(Refusal::LinesSpanShards);
        }
        let mut retaken: Option<Vec<LineRecord>> = None;
        if record.is_holding() {
            let units = units_of_lines(record, &self.parts, |units| units.held + units.backordered, exceeds_held);
            self.check_short(record, units.is_err())?;
            let units = units?;
            self.check_whole_kits(record, &units)?;
            self.check_waiting_elsewhere(record, &units)?;
            self.sell_held(turn, no, &units);
        } else if self.if_expired == IfExpired::Retake && record.has(|units| units.expired) {
            if record.spread.is_some() {
                // What other shards held of it, they would have to hold anew.
                return Err(Refusal::LinesSpanShards);
            }
            let units = units_of_lines(record, &self.parts, |units| units.expired, exceeds_held)?;
            self.check_whole_kits(record, &units)?;
            let taken = self.check_retake(turn, no, &units.own)?;
            let before = taken.iter().map(|(line, _)| line.clone()).collect();
            self.sell_expired(turn, no, taken);
            retaken = Some(before);
        } else {
            return Err(record.refuse_without_hold());
        }
        turn.record_changes(EventKind::ReservationCommitted, Some(no), None);
        if let Some(before) = retaken {
            turn.record_backorders(no, &before);
        }
        turn.finish();
        Ok(())
    }

    fn sell_held(&self, turn: &mut Turn<'_>, no: ReservationNo, sold: &UnitsOfLines) {
        let (now, lines) = (turn.now(), turn.state.reservation(no).lines.clone());
        let mut bound = Vec::with_capacity(lines.len());
        for (line, &units) in lines.iter().zip(&sold.own) {
            // What is there is sold first, then what is promised without stock.
            let held = units.min(line.units.held);
            bound.push(turn.sell(line, held));
            if self.last {
                turn.change_held(line, -((line.units.held - held) as i64));
                turn.change_short(line, -(line.units.short as i64));
                turn.change_backordered(line, -((line.units.backordered - (units - held)) as i64));
            }
        }
        turn.state.change_reservation(no, |record| {
            record.cancel_at = self.cancel_at.or(record.cancel_at.filter(|at| *at > now));
            for ((line, &units), bound) in record.lines.iter_mut().zip(&sold.own).zip(&bound) {
                let held = units.min(line.units.held);
                line.units.held -= held;
                line.units.backordered -= units - held;
                line.commit(held, bound);
                line.units.backordered_sold += units - held;
                if self.last {
                    line.units.released += line.units.unsold();
                    (line.units.held, line.units.backordered, line.units.short) = (0, 0, 0);
                }
            }
            // The other shards follow: what is held there can be sold, or is short there and sold without stock.
            for (line, &units) in record.remote_lines_mut().zip(&sold.remote) {
                let held = units.min(line.units.held);
                line.units.held -= held;
                line.units.committed += held;
                line.units.backordered -= units - held;
                line.units.backordered_sold += units - held;
                if self.last {
                    line.units.released += line.units.unsold();
                    (line.units.held, line.units.backordered) = (0, 0);
                }
            }
        });
    }

    fn check_whole_kits(&self, record: &ReservationRecord, units: &UnitsOfLines) -> Result<(), Refusal> {
        if self.parts.is_empty() { Ok(()) } else { check_whole_kits(record, units) }
    }

    /// Refuses to sell a part of what another shard holds while units of it are waited for: which of them have come since would not be
    /// known of what is sold and of what is not.
    fn check_waiting_elsewhere(&self, record: &ReservationRecord, units: &UnitsOfLines) -> Result<(), Refusal> {
        let mut lines = record.remote_lines().zip(&units.remote);
        let is_torn = lines.any(|(line, sold)| {
            let (waits, unsold) = (line.units.backordered > 0, line.units.unsold());
            waits && *sold > 0 && *sold < unsold
        });
        if is_torn && !self.last { Err(Refusal::LinesSpanShards) } else { Ok(()) }
    }

    /// Refuses to sell what was held and is not there any more.
    fn check_short(&self, record: &ReservationRecord, exceeds: bool) -> Result<(), Refusal> {
        let units = record.lines.iter().map(|line| line.units.short).sum();
        let is_asked = self.parts.is_empty() || exceeds;
        if units > 0 && is_asked { Err(Refusal::HoldShort { units }) } else { Ok(()) }
    }

    /// What expired is tried for as a new hold would be. Answers the lines as they would be held now.
    fn check_retake(
        &self,
        turn: &mut Turn<'_>,
        no: ReservationNo,
        units: &[u64],
    ) -> Result<Vec<(LineRecord, Promise)>, Refusal> {
        let mut lines = turn.state.reservation(no).lines.clone();
        let mut promises = vec![Promise { held: 0, backordered: 0 }; lines.len()];
        for line in &lines {
            turn.end_what_is_due_of(line.sku);
        }
        let record = turn.state.reservation(no);
        let sourced = record.plan().and_then(|plan| plan.sourced.as_ref());
        let sale = turn.sale_of(no)?;
        let demand = Demand::of(record.customer(), turn.through(record.channel(), sourced)?, sale);
        let mut demand = demand.in_campaign(record.campaign());
        for (number, (line, &units)) in lines.iter_mut().zip(units).enumerate().filter(|(_, (_, units))| **units > 0) {
            turn.check_sellable(line.sku)?;
            self.check_counted(turn, no, line, number)?;
            let location = turn.state.location(line.location);
            if !location.spec.active {
                return Err(Refusal::UnknownLocation { location: location.id.clone() });
            }
            let spec = &turn.state.item(line.sku).spec;
            match &mut line.by_lot {
                Some(by_lot) if spec.lot_tracked => {
                    by_lot.need = spec.need_at(turn.now());
                    by_lot.named.map_or(Ok(()), |lot| turn.check_lot_sellable(lot, by_lot.need))?;
                }
                None if !spec.lot_tracked => {}
                // It is another kind of stock now than what was held.
                _ => return Err(turn.state.reservation(no).refuse_without_hold()),
            }
            promises[number] = demand.promise(turn, line, number, units)?;
        }
        Ok(lines.into_iter().zip(promises).collect())
    }

    /// A limit over several items that came after the hold has no counter among the lines, and none can be asked by now: it takes a new
    /// reservation.
    fn check_counted(
        &self,
        turn: &Turn<'_>,
        no: ReservationNo,
        line: &LineRecord,
        number: usize,
    ) -> Result<(), Refusal> {
        let record = turn.state.reservation(no);
        let is_counted = |limit: &LimitId| {
            let number = u16::try_from(number).ok();
            number.zip(record.plan()).is_some_and(|(number, plan)| plan.is_counted(number, limit))
        };
        let mut limits = turn.state.shared_limits_over(&turn.state.item(line.sku).sku);
        if limits.all(|limit| is_counted(&limit.id)) { Ok(()) } else { Err(record.refuse_without_hold()) }
    }

    fn sell_expired(&self, turn: &mut Turn<'_>, no: ReservationNo, taken: Vec<(LineRecord, Promise)>) {
        let now = turn.now();
        // All are held before the first is bound: what one line names, another must not be bound to.
        for (line, promise) in &taken {
            turn.change_held(line, promise.held as i64);
            turn.promise_backorder(line, promise.backordered);
        }
        let bound: Vec<_> = taken.iter().map(|(line, promise)| turn.sell(line, promise.held)).collect();
        let sell = |((mut line, promise), bound): ((LineRecord, Promise), &Vec<(LotNo, u64)>)| {
            line.units.expired -= promise.held + promise.backordered;
            line.commit(promise.held, bound);
            line.units.backordered_sold += promise.backordered;
            line
        };
        turn.state.change_reservation(no, |record| {
            record.cancel_at = self.cancel_at.or(record.cancel_at.filter(|at| *at > now));
            record.lines = taken.into_iter().zip(&bound).map(sell).collect();
        });
    }
}

impl LineRecord {
    /// Counts units as sold, of the lots that they are of.
    pub(crate) fn commit(&mut self, units: u64, bound: &[(LotNo, u64)]) {
        self.units.committed += units;
        if let Some(by_lot) = &mut self.by_lot {
            for (lot, units) in bound {
                by_lot.bound_mut(*lot).committed += units;
            }
        }
    }
}

fn exceeds_held(line: u32, available: u64) -> Refusal {
    Refusal::ExceedsHeldQuantity { line, available }
}

#[cfg(test)]
mod tests {
    use super::{Commit, IfExpired, MAX_CANCEL_AHEAD_MS};
    use crate::test_shop::{OPENING, Shop, parts_of, reserve};
    use crate::*;

    const EXPIRED: Refusal = Refusal::ReservationExpired { expired_at: LogTime(OPENING + 600_000) };

    #[test]
    fn a_commit_at_the_expiry_instant_is_refused() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.after_s(600).commit(1), Err(EXPIRED));
    }

    #[test]
    fn a_commit_before_the_expiry_ends_the_clock() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let success = shop.after_s(599).commit(1).unwrap();
        assert_eq!((success.state, success.expires_at), (Some(ReservationState::Committed), None));
        shop.after_s(1_000_000).tick();
        assert_eq!(shop.stock("rouge").counts.committed, 1);
        assert_eq!(shop.commit(1), Err(Refusal::AlreadyCommitted));
    }

    #[test]
    fn a_retake_sells_what_expired_if_it_is_still_there() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.after_s(600).reserve(2, &[("rouge", 1)]).unwrap();
        let retake = |commit: &mut Commit| commit.if_expired = IfExpired::Retake;
        let refused = shop.commit_with(1, retake);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 0, recorded: true }));
        shop.release(2).unwrap();
        assert_eq!(shop.commit_with(1, retake).unwrap().state, Some(ReservationState::Committed));
        assert_eq!(shop.stock("rouge").counts.committed, 2);
    }

    #[test]
    fn a_partial_commit_leaves_the_rest_held_until_its_time() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        let success = shop.commit_with(1, |commit| commit.parts = parts_of(&[(0, 2)])).unwrap();
        assert_eq!(success.expires_at, Some(LogTime(OPENING + 600_000)));
        shop.after_s(600).tick();
        let counts = shop.stock("rouge").counts;
        assert_eq!((counts.reserved, counts.committed), (0, 2));
        assert_eq!(shop.commit(1), Err(EXPIRED));
    }

    #[test]
    fn a_last_partial_commit_releases_the_rest() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        let last = |commit: &mut Commit| (commit.parts, commit.last) = (parts_of(&[(0, 2)]), true);
        shop.commit_with(1, last).unwrap();
        let units = shop.reservation(1).lines[0].units;
        assert_eq!((units.committed, units.released, units.held), (2, 3, 0));
        assert_eq!(shop.stock("rouge").atp, 3);
    }

    #[test]
    fn no_more_is_sold_than_is_held() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let refused = shop.commit_with(1, |commit| commit.parts = parts_of(&[(0, 3)]));
        assert_eq!(refused, Err(Refusal::ExceedsHeldQuantity { line: 0, available: 2 }));
        let refused = shop.commit_with(1, |commit| commit.parts = parts_of(&[(1, 1)]));
        let invalid = InvalidArgument::in_line(Field::LineNumber, 1);
        assert_eq!(refused, Err(Refusal::InvalidArgument(invalid)));
    }

    #[test]
    fn a_slow_payment_is_cancelled_at_its_time() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        let at = LogTime(OPENING + 3_600_000);
        shop.commit_with(1, |commit| commit.cancel_at = Some(at)).unwrap();
        assert_eq!(shop.inventory.next_due(), Some(at));
        shop.fulfil(1, &[(0, 2)]).unwrap();
        shop.after_s(3_600).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Fulfilled);
        assert_eq!((shop.reservation(1).lines[0].units.cancelled, shop.stock("rouge").atp), (3, 3));
    }

    #[test]
    fn a_cancel_time_that_is_over_does_not_cancel_what_is_sold_later() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        let at = LogTime(OPENING + 60_000);
        shop.commit_with(1, |commit| (commit.parts, commit.cancel_at) = (parts_of(&[(0, 2)]), Some(at))).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.after_s(120).commit(1).unwrap();
        shop.tick();
        assert_eq!((shop.stock("rouge").counts.committed, shop.inventory.next_due()), (3, None));
    }

    #[test]
    fn a_cancel_time_lies_ahead_and_not_too_far() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 5)]).unwrap();
        for at in [OPENING, OPENING + MAX_CANCEL_AHEAD_MS + 1] {
            let refused = shop.commit_with(1, |commit| commit.cancel_at = Some(LogTime(at)));
            assert_eq!(refused, Err(Refusal::InvalidArgument(InvalidArgument::of(Field::CancelAt))));
        }
    }

    #[test]
    fn a_sale_is_bound_to_the_lots_that_leave_sale_first() {
        let mut shop = Shop::with_cream(&[("late", 30, 5), ("early", 10, 2)]);
        shop.reserve(1, &[("cream", 3)]).unwrap();
        assert!(shop.reservation(1).lines[0].lots.is_empty(), "a hold is bound to no lot");
        shop.commit(1).unwrap();
        let bound = shop.reservation(1).lines[0].lots.clone();
        let lots: Vec<(&str, u64)> = bound.iter().map(|lot| (lot.lot.as_str(), lot.committed)).collect();
        assert_eq!(lots, [("early", 2), ("late", 1)]);
    }

    #[test]
    fn what_is_short_is_not_sold_and_what_is_there_is() {
        let mut shop = Shop::with_cream(&[("A", 10, 3), ("B", 10, 2)]);
        shop.reserve(1, &[("cream", 4)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!(shop.commit(1), Err(Refusal::HoldShort { units: 2 }));
        let part = |commit: &mut Commit| commit.parts = parts_of(&[(0, 2)]);
        assert_eq!(shop.commit_with(1, part).unwrap().state, Some(ReservationState::Committed));
        shop.block("A", LotStatus::Approved).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.reservation(1).lines[0].units.committed, 4);
    }

    #[test]
    fn a_retake_leaves_to_a_line_the_lot_that_it_names() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        let Operation::Reserve(mut reserve) = reserve(1, &[("cream", 2), ("cream", 2)]) else { unreachable!() };
        reserve.lines[1].lot = Some("A".parse().unwrap());
        shop.run(Operation::Reserve(reserve)).unwrap();
        shop.after_s(600).commit_with(1, |commit| commit.if_expired = IfExpired::Retake).unwrap();
        let lots: Vec<String> = shop.reservation(1).lines.iter().map(|line| line.lots[0].lot.to_string()).collect();
        assert_eq!(lots, ["B", "A"]);
    }

    #[test]
    fn a_retake_is_bound_like_any_sale() {
        let mut shop = Shop::with_cream(&[("A", 10, 3)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.after_s(600).commit_with(1, |commit| commit.if_expired = IfExpired::Retake).unwrap();
        assert_eq!(shop.reservation(1).lines[0].lots[0].committed, 2);
        assert_eq!(shop.stock("cream").atp, 1);
    }
}
