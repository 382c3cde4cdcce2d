//! `count record`: units of a count have been counted.

use serde::{Deserialize, Serialize};

use crate::state::{CountLineRecord, Counted, DocumentBody};
use crate::turn::{CellOf, Turn};
use crate::{
    Condition, CountId, EventKind, Field, InvalidArgument, LotId, MAX_COUNT_LINES, MAX_DOCUMENT_LINES, MAX_UNITS,
    Refusal, Success,
};

/// Notes what was counted, and beside it what the books have at this position of the log: what is shipped before this is in
/// neither number, what is shipped after it in both. So a shelf is counted and recorded, and the next one while the first is
/// sold from. What is recorded again replaces what was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCount {
    /// The count.
    pub count: CountId,
    /// 1 to [`MAX_DOCUMENT_LINES`], each lot and condition at most once.
    pub lines: Vec<CountedUnits>,
}

/// What was counted of one lot, or of an item that has none, in one condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedUnits {
    /// The lot.
    pub lot: Option<LotId>,
    /// The condition.
    pub condition: Condition,
    /// How many, 0 to [`MAX_UNITS`]; of the resellable ones those too that are held or sold and still lie there.
    pub units: u64,
}

impl RecordCount {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.lines.is_empty() || self.lines.len() > MAX_DOCUMENT_LINES {
            return Err(InvalidArgument::of(Field::DocumentLines));
        }
        for (at, line) in self.lines.iter().enumerate() {
            if line.units > u64::from(MAX_UNITS) {
                return Err(InvalidArgument::in_line(Field::CountedUnits, at));
            }
            let is_same = |other: &CountedUnits| (&other.lot, other.condition) == (&line.lot, line.condition);
            if self.lines[..at].iter().any(is_same) {
                return Err(InvalidArgument::in_line(Field::LotId, at));
            }
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let (no, record, count) = turn.open_count(self.count)?;
        let (sku, location) = (record.sku, count.location);
        let mut lines = count.lines.clone();
        for counted in &self.lines {
            let lot = turn.lot_of_stock(sku, counted.lot.as_ref())?;
            let on_hand = turn.lying(CellOf { sku, location, lot }, counted.condition);
            let is_it = |line: &CountLineRecord| (line.lot, line.condition) == (lot, counted.condition);
            let at = lines.iter().position(is_it).unwrap_or_else(|| {
                lines.push(CountLineRecord::new(lot, counted.condition, 0));
                lines.len() - 1
            });
            lines[at].counted = Some(Counted { units: counted.units, on_hand });
        }
        if lines.len() > MAX_COUNT_LINES {
            return Err(Refusal::TooManyLots { most: crate::commands::MAX_LOTS_AT_PLACE as u32 });
        }
        turn.state.change_document(no, |body| {
            if let DocumentBody::Count(count) = body {
                count.lines = lines;
            }
        });
        turn.record(EventKind::CountRecorded, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, count_id, record_count};
    use crate::*;

    fn counted(shop: &Shop, line: usize) -> Option<(u64, u64)> {
        shop.inventory.count(count_id(1)).unwrap().lines[line].counted
    }

    #[test]
    fn what_was_counted_is_noted_beside_what_the_books_have_then() {
        let mut shop = Shop::with_rouge(10);
        shop.open_count(1, "rouge").unwrap();
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[(0, 2)]).unwrap();
        assert_eq!(shop.record_count(1, None, 7).unwrap().revision, Revision(2));
        assert_eq!((shop.events(), counted(&shop, 0)), (vec![EventKind::CountRecorded], Some((7, 8))));
        shop.fulfil(1, &[(0, 1)]).unwrap();
        shop.record_count(1, None, 7).unwrap();
        assert_eq!((counted(&shop, 0), shop.stock("rouge").counts.on_hand), (Some((7, 7)), 7));
    }

    #[test]
    fn a_lot_of_which_the_books_have_nothing_there_may_be_counted_and_one_nobody_knows_may_not() {
        let mut shop = Shop::with_cream(&[("A", 10, 2)]);
        shop.open_count(1, "cream").unwrap();
        let lot = "B".parse().unwrap();
        assert_eq!(shop.record_count(1, Some("B"), 1), Err(Refusal::UnknownLot { lot }));
        assert_eq!(shop.record_count(1, None, 1), Err(Refusal::LotRequired));
        shop.put_lot("cream", "B", 20).unwrap();
        shop.record_count(1, Some("B"), 1).unwrap();
        assert_eq!(counted(&shop, 1), Some((1, 0)));
    }

    #[test]
    fn input_that_is_no_record_is_refused_by_its_field() {
        let mut shop = Shop::with_rouge(1);
        shop.open_count(1, "rouge").unwrap();
        assert_eq!(shop.record_count(2, None, 1), Err(Refusal::CountNotFound));
        let mut refused = |change: fn(&mut super::RecordCount)| {
            let Operation::RecordCount(mut it) = record_count(1, None, 1) else { unreachable!() };
            change(&mut it);
            match shop.run(Operation::RecordCount(it)) {
                Err(Refusal::InvalidArgument(refused)) => (refused.field, refused.line),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|it| it.lines.clear()), (Field::DocumentLines, None));
        assert_eq!(refused(|it| it.lines[0].units = u64::from(MAX_UNITS) + 1), (Field::CountedUnits, Some(0)));
        assert_eq!(refused(|it| it.lines.push(it.lines[0].clone())), (Field::LotId, Some(1)));
        assert_eq!(refused(|it| it.lines[0].lot = "A".parse().ok()), (Field::LotId, None));
    }
}
