//! `commit`: a hold becomes a sale.

use serde::{Deserialize, Serialize};

use crate::demand::Demand;
use crate::parts::units_of_lines;
use crate::state::ReservationNo;
use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, LineUnits, LogTime, Refusal, ReservationId, StockDelta, StockFlow, Success,
    validate_parts,
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
        let record = turn.state.reservation(no);
        if record.is_holding() {
            let units = units_of_lines(record, &self.parts, |units| units.held, exceeds_held)?;
            self.sell_held(turn, no, &units);
        } else if self.if_expired == IfExpired::Retake && record.has(|units| units.expired) {
            let units = units_of_lines(record, &self.parts, |units| units.expired, exceeds_held)?;
            self.check_retake(turn, no, &units)?;
            self.sell_expired(turn, no, &units);
        } else {
            return Err(record.refuse_without_hold());
        }
        turn.record(EventKind::ReservationCommitted, Some(no), None);
        Ok(turn.reservation_success(no))
    }

    fn sell_held(&self, turn: &mut Turn<'_>, no: ReservationNo, sold: &[u64]) {
        let (now, lines) = (turn.now(), turn.state.reservation(no).lines.clone());
        for (line, &units) in lines.iter().zip(sold) {
            let reserved = if self.last { line.units.held } else { units } as i64;
            if reserved != 0 {
                let delta = StockDelta { reserved: -reserved, committed: units as i64, ..StockDelta::default() };
                turn.change_line(line, &delta, &StockFlow::default());
            }
        }
        turn.state.change_reservation(no, |record| {
            record.cancel_at = self.cancel_at.or(record.cancel_at.filter(|at| *at > now));
            for (line, &units) in record.lines.iter_mut().zip(sold) {
                line.units.held -= units;
                line.units.committed += units;
                if self.last {
                    line.units.released += std::mem::take(&mut line.units.held);
                }
            }
        });
    }

    /// What expired is tried for as a new hold would be.
    fn check_retake(&self, turn: &mut Turn<'_>, no: ReservationNo, units: &[u64]) -> Result<(), Refusal> {
        let lines = turn.state.reservation(no).lines.clone();
        for line in &lines {
            turn.end_what_is_due_of(line.sku);
        }
        let mut demand = Demand::default();
        for (number, (line, &units)) in lines.iter().zip(units).enumerate().filter(|(_, (_, units))| **units > 0) {
            turn.check_sellable(line.sku)?;
            let location = turn.state.location(line.location);
            if !location.spec.active {
                return Err(Refusal::UnknownLocation { location: location.id.clone() });
            }
            demand.require(turn, line, number, units)?;
        }
        Ok(())
    }

    fn sell_expired(&self, turn: &mut Turn<'_>, no: ReservationNo, sold: &[u64]) {
        let (now, lines) = (turn.now(), turn.state.reservation(no).lines.clone());
        for (line, &units) in lines.iter().zip(sold).filter(|(_, units)| **units > 0) {
            let delta = StockDelta { committed: units as i64, ..StockDelta::default() };
            turn.change_line(line, &delta, &StockFlow::default());
        }
        turn.state.change_reservation(no, |record| {
            record.cancel_at = self.cancel_at.or(record.cancel_at.filter(|at| *at > now));
            for (line, &units) in record.lines.iter_mut().zip(sold) {
                line.units.expired -= units;
                line.units.committed += units;
            }
        });
    }
}

fn exceeds_held(line: u32, available: u64) -> Refusal {
    Refusal::ExceedsHeldQuantity { line, available }
}

#[cfg(test)]
mod tests {
    use super::{Commit, IfExpired, MAX_CANCEL_AHEAD_MS};
    use crate::test_shop::{OPENING, Shop, parts_of};
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
}
