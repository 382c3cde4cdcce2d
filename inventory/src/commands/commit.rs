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
