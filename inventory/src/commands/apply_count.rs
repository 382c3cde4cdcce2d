//! `count apply`: the books get what was counted, on top of what has happened since.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::receive::check_lots_at_place;
use crate::state::{CountLineRecord, Counted, DocumentBody, LocationNo, LotNo, SkuNo};
use crate::turn::{CellOf, Move, Turn};
use crate::{
    CountId, CountState, EventKind, MAX_SHORT_NAMED, Refusal, ShortReservation, StockDelta, StockFlow, Success,
};

/// Applies, to what lies there now, what was counted less what the books had when it was recorded; of each lot and condition that
/// was recorded, all at once. What is missing is written off, whoever it was promised to: promises that cannot be kept become
/// short. A count can only miss what is there: units that it missed and that were shipped or moved away since were there
/// after all, and are written off nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyCount {
    /// The count.
    pub count: CountId,
}

impl ApplyCount {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, count) = turn.open_count(self.count)?;
        let (sku, location) = (record.sku, count.location);
        let mut lines = count.lines.clone();
        turn.end_what_is_due_of(sku);
        if is_on(Mutation::CountAgainstThePresent) {
            for line in &mut lines {
                let on_hand = turn.lying(CellOf { sku, location, lot: line.lot }, line.condition);
                line.counted = line.counted.map(|counted| Counted { on_hand, ..counted });
            }
        }
        let found = check_found(turn, sku, location, &lines)?;
        let short_before = turn.short_at(sku, location);
        found.iter().for_each(|found| turn.change(found));
        for line in &mut lines {
            let Some(counted) = line.counted else { continue };
            line.found = counted.more();
            let cell = CellOf { sku, location, lot: line.lot };
            line.written_off = turn.write_off(cell, line.condition, counted.less());
        }
        turn.state.change_document(no, |body| {
            if let DocumentBody::Count(count) = body {
                (count.lines, count.state) = (lines, CountState::Applied);
            }
        });
        turn.record(EventKind::CountApplied, None, Some(turn.document_subject(no)));
        let short = turn.tell_shortfall(sku, location, &short_before);
        if !short.is_empty() {
            keep_shortfall(turn, no, short);
        }
        Ok(turn.document_success(no, location))
    }
}

/// What is found of each cell. Refused where a counter would leave its range, or too many lots lie there.
fn check_found(
    turn: &Turn<'_>,
    sku: SkuNo,
    location: LocationNo,
    lines: &[CountLineRecord],
) -> Result<Vec<Move>, Refusal> {
    let counted = || lines.iter().filter_map(|line| Some((line, line.counted?)));
    let mut flow = StockFlow::default();
    for (_, counted) in counted() {
        let more = StockFlow { found: counted.more(), written_off: counted.less(), ..StockFlow::default() };
        flow = flow.plus(&more).ok_or(Refusal::QuantityOverflow)?;
    }
    turn.check_flow(sku, location, &flow)?;
    let found = counted().filter(|(_, counted)| counted.more() > 0).map(|(line, counted)| {
        let delta = StockDelta::of_condition(line.condition, counted.more() as i64);
        let flow = StockFlow { found: counted.more(), ..StockFlow::default() };
        Move { sku, location, lot: line.lot, delta, flow }
    });
    let found: Vec<Move> = found.collect();
    let lots: Vec<LotNo> = found.iter().filter_map(|found| found.lot).collect();
    check_lots_at_place(turn, sku, location, &lots)?;
    turn.check(&found)?;
    Ok(found)
}

/// The count names whom it has left short.
fn keep_shortfall(turn: &mut Turn<'_>, no: crate::state::DocumentNo, mut short: Vec<ShortReservation>) {
    turn.state.amend_document(no, |body| {
        if let DocumentBody::Count(count) = body {
            count.short_reservations = short.len() as u64;
            short.truncate(MAX_SHORT_NAMED);
            count.short = short;
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, count_id};
    use crate::*;

    fn units(shop: &Shop, number: u64) -> LineCounts {
        shop.reservation(number).lines[0].units
    }

    fn count(shop: &Shop) -> Count {
        shop.inventory.count(count_id(1)).unwrap()
    }

    fn counted(shop: &mut Shop, sku: &str, lot: Option<&str>, units: u64) {
        shop.open_count(1, sku).unwrap();
        shop.record_count(1, lot, units).unwrap();
    }

    #[test]
    fn what_was_counted_is_applied_to_what_has_happened_since() {
        let mut shop = Shop::with_rouge(10);
        counted(&mut shop, "rouge", None, 8);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.receive("rouge", "PAR", 4).unwrap();
        let success = shop.apply_count(1).unwrap();
        assert_eq!((success.revision, success.atp_after), (Revision(3), 9));
        assert_eq!(shop.events(), [EventKind::CountApplied]);
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.flow.written_off, level.short), (9, 2, 0));
        assert_eq!((count(&shop).state, count(&shop).lines[0].written_off), (CountState::Applied, 2));
    }

    #[test]
    fn what_is_found_is_sold_and_fills_what_was_short() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        counted(&mut shop, "rouge", None, 1);
        shop.apply_count(1).unwrap();
        assert_eq!((units(&shop, 1).held, units(&shop, 1).short), (1, 1));
        shop.open_count(2, "rouge").unwrap();
        shop.record_count(2, None, 4).unwrap();
        shop.apply_count(2).unwrap();
        assert_eq!((units(&shop, 1).held, units(&shop, 1).short, shop.stock("rouge").atp), (2, 0, 2));
        assert_eq!(shop.stock("rouge").flow.found, 3);
    }

    #[test]
    fn a_count_is_applied_once() {
        let mut shop = Shop::with_rouge(10);
        counted(&mut shop, "rouge", None, 8);
        shop.apply_count(1).unwrap();
        assert_eq!(shop.apply_count(1), Err(Refusal::AlreadyEnded));
        assert_eq!(shop.record_count(1, None, 5), Err(Refusal::AlreadyEnded));
        assert_eq!(shop.cancel_count(1), Err(Refusal::AlreadyEnded));
        assert_eq!(shop.stock("rouge").counts.on_hand, 8);
    }

    #[test]
    fn the_newest_holds_become_short_first_and_then_the_newest_orders() {
        let mut shop = Shop::with_rouge(8);
        for number in 1..=4 {
            shop.reserve(number, &[("rouge", 2)]).unwrap();
        }
        shop.commit(1).unwrap();
        shop.commit(3).unwrap();
        counted(&mut shop, "rouge", None, 3);
        shop.apply_count(1).unwrap();
        // Five are missing: the newest hold, the older one, and a unit of the newer order.
        assert_eq!([2, 4].map(|number| units(&shop, number).short), [2, 2]);
        assert_eq!([1, 3].map(|number| units(&shop, number).short_sold), [0, 1]);
        let level = shop.stock("rouge");
        assert_eq!((level.counts.on_hand, level.counts.committed, level.short, level.atp), (3, 3, 5, 0));
        assert_eq!(shop.commit(2), Err(Refusal::HoldShort { units: 2 }));
        // What comes in goes to the order first.
        shop.receive("rouge", "PAR", 2).unwrap();
        assert_eq!((units(&shop, 3).short_sold, units(&shop, 2).short, units(&shop, 4).short), (0, 1, 2));
    }

    #[test]
    fn the_event_and_the_count_name_whom_it_has_left_short() {
        let mut shop = Shop::with_rouge(4);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.commit(1).unwrap();
        shop.reserve(2, &[("rouge", 2)]).unwrap();
        counted(&mut shop, "rouge", None, 1);
        shop.apply_count(1).unwrap();
        let events = [
            EventKind::ReservationShort,
            EventKind::ReservationShort,
            EventKind::CountApplied,
            EventKind::StockShortfall,
        ];
        assert_eq!(shop.events(), events);
        let expected = [(2, 2, 0), (1, 0, 1)].map(|(number, held, sold)| {
            let reservation = crate::test_shop::id(number);
            ShortReservation { reservation, order_ref: None, held, sold }
        });
        assert_eq!((count(&shop).short, count(&shop).short_reservations), (expected.to_vec(), 2));
        let told = shop.applied.events.last().unwrap().body.subject.clone();
        let (sku, location) = ("rouge".parse().unwrap(), "PAR".parse().unwrap());
        assert_eq!(told, Some(Subject::Shortfall { sku, location, short: 3, reservations: expected.to_vec() }));
    }

    #[test]
    fn nothing_goes_below_zero_where_what_was_missed_was_shipped_since() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 4)]).unwrap();
        shop.commit(1).unwrap();
        counted(&mut shop, "rouge", None, 2);
        shop.fulfil(1, &[]).unwrap();
        shop.apply_count(1).unwrap();
        let line = &count(&shop).lines[0];
        assert_eq!((line.written_off, line.contradicted), (1, 2));
        assert_eq!((shop.stock("rouge").counts.on_hand, shop.stock("rouge").short), (0, 0));
    }

    #[test]
    fn damaged_units_are_counted_apart_and_lots_that_are_not_counted_stay() {
        let mut shop = Shop::with_cream(&[("A", 10, 5), ("B", 20, 4)]);
        shop.move_units("cream", "A", 2, Condition::Resellable, Condition::Damaged).unwrap();
        shop.open_count(1, "cream").unwrap();
        shop.record_count_of(1, Some("A"), Condition::Damaged, 1).unwrap();
        shop.record_count_of(1, Some("A"), Condition::QualityControl, 1).unwrap();
        shop.apply_count(1).unwrap();
        let counts = shop.stock("cream").counts;
        assert_eq!((counts.on_hand, counts.damaged, counts.quality_control, shop.stock("cream").atp), (9, 1, 1, 7));
    }

    #[test]
    fn an_order_whose_lot_is_missing_gets_another_before_anybody_is_short() {
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.commit(1).unwrap();
        counted(&mut shop, "cream", Some("A"), 0);
        shop.apply_count(1).unwrap();
        assert_eq!((units(&shop, 1).committed, units(&shop, 1).short_sold), (2, 0));
        assert_eq!((shop.stock("cream").atp, count(&shop).short_reservations), (0, 0));
        assert_eq!(shop.reservation(1).lines[0].lots.last().unwrap().lot.as_str(), "B");
    }

    #[test]
    fn a_hold_that_is_bound_to_no_lot_gives_way_only_where_that_helps() {
        // The older hold needs lot B, which lives long enough; the newer one may have any.
        let mut shop = Shop::with_cream(&[("A", 10, 2), ("B", 20, 2)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.reserve_of(2, "B", 2).unwrap();
        counted(&mut shop, "cream", Some("A"), 1);
        shop.apply_count(1).unwrap();
        assert_eq!([1, 2].map(|number| units(&shop, number).short), [1, 0]);
        assert_eq!(shop.stock("cream").counts.on_hand, 3);
    }

    #[test]
    fn what_of_a_blocked_lot_is_missing_is_written_off() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.block("A", LotStatus::Quarantined).unwrap();
        counted(&mut shop, "cream", Some("A"), 0);
        shop.apply_count(1).unwrap();
        assert_eq!(shop.stock("cream").counts.on_hand, 0);
    }
}
