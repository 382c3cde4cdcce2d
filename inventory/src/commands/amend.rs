//! `amend`: a hold's quantities change, all or none.

use serde::{Deserialize, Serialize};

use crate::commands::{Line, MAX_LINES};
use crate::demand::Demand;
use crate::state::{CountedLine, LineRecord, RemoteLine, ReservationNo};
use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, LineCounts, LogTime, MAX_UNITS, Refusal, ReservationId, ReservationState,
    Success,
};

/// New quantities for lines of a hold, found by item, location and lot: more is a new hold, less a release, 0 gives the
/// line back, another item, location or lot is a new line. Lines that are not named stay. Refused whole, the old hold
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    /// The reservation.
    pub reservation: ReservationId,
    /// The new quantities, each item, location and lot once.
    pub lines: Vec<Line>,
}

impl Amend {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.lines.is_empty() || self.lines.len() > MAX_LINES {
            return Err(InvalidArgument::of(Field::Lines));
        }
        for (at, line) in self.lines.iter().enumerate() {
            if line.units.0 > MAX_UNITS {
                return Err(InvalidArgument::in_line(Field::Units, at));
            }
            if line.min_units.is_some() {
                return Err(InvalidArgument::in_line(Field::MinUnits, at));
            }
            let key = (&line.sku, &line.location, &line.lot);
            if self.lines[..at].iter().any(|other| (&other.sku, &other.location, &other.lot) == key) {
                return Err(InvalidArgument::in_line(Field::Sku, at));
            }
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        record.check_no_order()?;
        if record.state() != ReservationState::Held {
            return Err(record.refuse_without_hold());
        }
        if record.part().is_some() {
            return Err(Refusal::LinesSpanShards);
        }
        if record.plan().is_some() {
            return Err(Refusal::LinesMoveTogether);
        }
        let mut max_expires_at = record.max_expires_at;
        let created_at = record.created_at;
        let mut lines = record.lines.clone();
        let mut remote: Vec<RemoteLine> = record.remote_lines().cloned().collect();
        let mut demand = Demand::of(record.customer(), None, record.sale()).in_campaign(record.campaign());
        for (number, line) in self.lines.iter().enumerate() {
            if amend_remote(&mut remote, line)? {
                continue;
            }
            let sku = turn.sku(&line.sku)?;
            turn.end_what_is_due_of(sku);
            let more = amend_line(turn, &mut lines, line)?;
            if more > 0 {
                turn.check_sellable(sku)?;
                turn.sale_of(no)?;
                let (at, spec) = (turn.new_line(line)?, &turn.state.item(sku).spec);
                if turn.state.shared_limits_over(&line.sku).next().is_some() {
                    // Of a counter, which may lie on another shard, nothing more is held by an amend.
                    return Err(Refusal::LinesMoveTogether);
                }
                if let Some(limit) = spec.max_hold_s {
                    max_expires_at = max_expires_at.min(created_at.plus_seconds(limit));
                }
                let kept = lines.iter_mut().find(|kept| is_same(kept, &at)).expect("the line is there or was made");
                kept.stock_only = line.no_backorder;
                let promise = demand.promise(turn, kept, number, more)?;
                promise.count(&mut kept.units);
            }
        }
        if max_expires_at <= turn.now() {
            // A new item may be held less long than this hold has lived already.
            return Err(Refusal::ExtendLimitReached { max_expires_at });
        }
        if lines.len() + remote.len() > MAX_LINES {
            return Err(InvalidArgument::of(Field::Lines).into());
        }
        self.check_order_limits(turn, &lines)?;
        self.apply(turn, no, lines, remote, max_expires_at);
        Ok(turn.reservation_success(no))
    }

    fn check_order_limits(&self, turn: &Turn<'_>, lines: &[LineRecord]) -> Result<(), Refusal> {
        for line in lines {
            let item = turn.state.item(line.sku);
            let Some(limit) = item.spec.max_per_order else { continue };
            let same = lines.iter().filter(|other| other.sku == line.sku);
            let is_named = self.lines.iter().any(|named| named.sku == item.sku);
            let promised = same.map(|other| other.units.unsold());
            if is_named && promised.sum::<u64>() > u64::from(limit) {
                return Err(Refusal::OrderLimitExceeded { sku: item.sku.clone(), limit });
            }
        }
        Ok(())
    }

    /// What is named anew is counted by the limits there are.
    fn counted_anew(&self, turn: &Turn<'_>, no: ReservationNo, lines: &[LineRecord]) -> Vec<CountedLine> {
        let mut counted = turn.counted_lines(lines, turn.state.reservation(no).campaign());
        counted.retain(|mark| {
            let sku = &turn.state.item(lines[usize::from(mark.line)].sku).sku;
            self.lines.iter().any(|named| named.sku == *sku)
        });
        counted
    }

    fn apply(
        &self,
        turn: &mut Turn<'_>,
        no: ReservationNo,
        lines: Vec<LineRecord>,
        remote: Vec<RemoteLine>,
        max_expires_at: LogTime,
    ) {
        let before = turn.state.reservation(no).lines.clone();
        // What is given back goes first, so that no count is above what is there in between.
        for is_more in [false, true] {
            for (at, line) in lines.iter().enumerate() {
                let change = |of: fn(&LineCounts) -> u64| {
                    let change = of(&line.units) as i64 - before.get(at).map_or(0, |line| of(&line.units)) as i64;
                    if (change > 0) == is_more { change } else { 0 }
                };
                turn.change_held(line, change(|units| units.held));
                turn.change_short(line, change(|units| units.short));
                match change(|units| units.backordered) {
                    more @ 1.. => turn.promise_backorder(line, more.unsigned_abs()),
                    less => turn.change_backordered(line, less),
                }
            }
        }
        let counted = self.counted_anew(turn, no, &lines);
        turn.state.change_reservation(no, |record| {
            if let Some(whole) = record.whole_mut() {
                let of_all = (whole.own.len() + remote.len())..(lines.len() + remote.len());
                whole.own.extend(of_all.map(|number| number as u16));
            }
            record.remote_lines_mut().zip(remote).for_each(|(line, after)| *line = after);
            record.lines = lines;
            record.count_lines(counted);
            record.max_expires_at = max_expires_at;
            record.expires_at = record.expires_at.min(max_expires_at);
        });
        turn.record_changes(EventKind::ReservationAmended, Some(no), None);
        turn.record_backorders(no, &before);
        turn.finish();
    }
}

fn is_same(a: &LineRecord, b: &LineRecord) -> bool {
    (a.sku, a.location, a.named_lot()) == (b.sku, b.location, b.named_lot())
}

/// Takes what another shard holds of an item, location and lot down to a new sum; false: no other shard has such a line.
///
/// # Errors
///
/// It would be more: that is a new hold, which is the other shard's to decide.
fn amend_remote(remote: &mut [RemoteLine], new: &Line) -> Result<bool, Refusal> {
    let is_it = |line: &RemoteLine| (&line.sku, &line.location, &line.lot) == (&new.sku, &new.location, &new.lot);
    let all: u64 = remote.iter().filter(|line| is_it(line)).map(|line| line.units.unsold()).sum();
    if !remote.iter().any(is_it) {
        return Ok(false);
    }
    let mut less = all.checked_sub(new.units.count()).ok_or(Refusal::LinesSpanShards)?;
    for line in remote.iter_mut().rev().filter(|line| is_it(line)) {
        less = give_back_first_what_is_not_there(&mut line.units, less);
    }
    Ok(true)
}

/// Takes up to so many units of a line; answers how many are left to take.
fn give_back_first_what_is_not_there(units: &mut LineCounts, less: u64) -> u64 {
    let mut left = less;
    for of in [&mut units.short, &mut units.backordered, &mut units.held] {
        let part = left.min(*of);
        *of -= part;
        units.released += part;
        left -= part;
    }
    left
}

/// Takes the lines of one item, location and lot down to a new sum, or answers how many units more they are to have.
fn amend_line(turn: &Turn<'_>, lines: &mut Vec<LineRecord>, new: &Line) -> Result<u64, Refusal> {
    let (sku, location) = (turn.sku(&new.sku)?, turn.location(&new.location)?);
    let lot = new.lot.as_ref().map(|lot| turn.lot(sku, lot)).transpose()?;
    let is_it = |line: &LineRecord| (line.sku, line.location, line.named_lot()) == (sku, location, lot);
    let held: u64 = lines.iter().filter(|line| is_it(line)).map(|line| line.units.unsold()).sum();
    let asked = new.units.count();
    if asked > held {
        let more = asked - held;
        if !lines.iter().any(is_it) {
            lines.push(turn.new_line(new)?);
        }
        return Ok(more);
    }
    let mut less = held - asked;
    for line in lines.iter_mut().rev().filter(|line| is_it(line)) {
        less = give_back_first_what_is_not_there(&mut line.units, less);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{OPENING, Shop};
    use crate::*;

    #[test]
    fn more_is_a_new_hold_and_less_a_release() {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 5).unwrap();
        shop.reserve(1, &[("rouge", 2), ("mascara", 4)]).unwrap();
        shop.amend(1, &[("rouge", 5), ("mascara", 1)]).unwrap();
        assert_eq!((shop.stock("rouge").atp, shop.stock("mascara").atp), (0, 4));
        let reservation = shop.reservation(1);
        let units: Vec<(u64, u64)> =
            reservation.lines.iter().map(|line| (line.units.held, line.units.released)).collect();
        assert_eq!((units, reservation.revision), (vec![(5, 0), (1, 3)], Revision(2)));
    }

    #[test]
    fn a_refused_amend_leaves_the_old_hold() {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 1).unwrap();
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let before = (shop.reservation(1), shop.stock("rouge"), shop.stock("mascara"));
        let refused = shop.amend(1, &[("rouge", 1), ("mascara", 2)]);
        assert_eq!(refused, Err(Refusal::InsufficientStock { available: 1, line: 1, recorded: true }));
        assert_eq!((shop.reservation(1), shop.stock("rouge"), shop.stock("mascara")), before);
    }

    #[test]
    fn a_new_item_becomes_a_new_line_and_the_expiry_stays() {
        let mut shop = Shop::with_rouge(5);
        shop.receive("mascara", "PAR", 1).unwrap();
        let expires_at = shop.reserve(1, &[("rouge", 2)]).unwrap().expires_at;
        assert_eq!(shop.after_s(60).amend(1, &[("mascara", 1)]).unwrap().expires_at, expires_at);
        assert_eq!(shop.reservation(1).lines.len(), 2);
        shop.after_s(540).tick();
        assert_eq!((shop.stock("rouge").atp, shop.stock("mascara").atp), (5, 1));
    }

    #[test]
    fn what_is_short_is_a_part_of_what_is_amended_and_is_given_back_first() {
        let mut shop = Shop::with_cream(&[("A", 10, 3)]);
        shop.reserve(1, &[("cream", 3)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        shop.receive_lot("cream", "B", 20, 9).unwrap();
        let units = |shop: &Shop| {
            let units = shop.reservation(1).lines[0].units;
            (units.held, units.short, units.released)
        };
        // The new lot filled what was short; of the next hold two are short.
        assert_eq!(units(&shop), (3, 0, 0));
        shop.block("B", LotStatus::OnHold).unwrap();
        assert_eq!(units(&shop), (0, 3, 0));
        shop.amend(1, &[("cream", 3)]).unwrap();
        assert_eq!(units(&shop), (0, 3, 0), "it has three already");
        shop.amend(1, &[("cream", 2)]).unwrap();
        assert_eq!(units(&shop), (0, 2, 1));
        assert_eq!(shop.amend(1, &[("cream", 0)]).unwrap().state, Some(ReservationState::Released));
        shop.receive_lot("cream", "C", 20, 9).unwrap();
        assert_eq!((units(&shop), shop.stock("cream").atp), ((0, 0, 3), 9), "nothing fills what was given back");
    }

    #[test]
    fn amending_everything_away_releases_the_reservation() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 0)]).unwrap().state, Some(ReservationState::Released));
        assert_eq!(shop.inventory.next_due(), None);
    }

    #[test]
    fn an_item_that_may_not_be_held_that_long_is_not_added() {
        let mut shop = Shop::with_rouge(5);
        shop.put_item("mascara", ItemSpec { max_hold_s: Some(60), ..ItemSpec::default() }).unwrap();
        shop.receive("mascara", "PAR", 1).unwrap();
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let refused = shop.after_s(60).amend(1, &[("mascara", 1)]);
        assert_eq!(refused, Err(Refusal::ExtendLimitReached { max_expires_at: LogTime(OPENING + 60_000) }));
    }

    #[test]
    fn what_is_sold_is_not_amended() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.amend(1, &[("rouge", 1)]), Err(Refusal::AlreadyCommitted));
    }
}
