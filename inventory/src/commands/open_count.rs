//! `count open`: the units of an item at a location are to be counted, while they are sold.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::state::{CountLineRecord, CountRecord, DocumentBody};
use crate::turn::{CellOf, Turn};
use crate::{
    Condition, CountId, CountState, EventKind, Field, InvalidArgument, LocationId, MAX_COUNT_REFERENCE_BYTES, Refusal,
    Sku, Success,
};

/// Opens a count, and notes what the books have of each lot and condition. Nothing is kept from sale by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCount {
    /// The count to make.
    pub count: CountId,
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The caller's word for all counts that belong together, at most [`MAX_COUNT_REFERENCE_BYTES`]; may be empty.
    pub reference: String,
}

/// All conditions, in the order in which a count has them.
pub(super) const CONDITIONS: [Condition; 3] = [Condition::Resellable, Condition::Damaged, Condition::QualityControl];

impl OpenCount {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if !self.count.is_well_formed() {
            return Err(InvalidArgument::of(Field::CountId));
        }
        let reference = &self.reference;
        if reference.len() > MAX_COUNT_REFERENCE_BYTES || reference.chars().any(char::is_control) {
            return Err(InvalidArgument::of(Field::CountReference));
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        turn.check_new_document(self.count.0, FULL_RETRY_MS)?;
        let sku = turn.sku(&self.sku)?;
        let location = turn.location(&self.location)?;
        if let Some(open) = turn.state.open_count(sku, location) {
            return Err(Refusal::CountInProgress { count: CountId(turn.state.document(open).id) });
        }
        let cells = turn.state.stock(sku).place(location).map(|place| place.cells.as_slice()).unwrap_or_default();
        let lots: Vec<_> = cells.iter().map(|cell| cell.lot).collect();
        let mut lines = Vec::new();
        for lot in lots {
            for condition in CONDITIONS {
                let units = turn.lying(CellOf { sku, location, lot }, condition);
                if units > 0 {
                    lines.push(CountLineRecord::new(lot, condition, units));
                }
            }
        }
        lines.truncate(crate::MAX_COUNT_LINES);
        let (reference, state) = (self.reference.clone(), CountState::Open);
        let count = CountRecord { location, reference, state, lines, short: Vec::new(), short_reservations: 0 };
        let no = turn.add_document(self.count.0, sku, DocumentBody::Count(count));
        turn.record(EventKind::CountOpened, None, Some(turn.document_subject(no)));
        Ok(turn.document_success(no, location))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{Shop, count_id, open_count};
    use crate::*;

    #[test]
    fn an_open_count_says_what_the_books_have_and_keeps_nothing_from_sale() {
        let mut shop = Shop::with_cream(&[("A", 10, 3), ("B", 20, 4)]);
        shop.move_units("cream", "A", 1, Condition::Resellable, Condition::Damaged).unwrap();
        assert_eq!(shop.open_count(1, "cream").unwrap().revision, Revision(1));
        assert_eq!(shop.events(), [EventKind::CountOpened]);
        let lines = shop.inventory.count(count_id(1)).unwrap().lines;
        let said: Vec<_> = lines.iter().map(|line| (line.lot.as_ref().unwrap().as_str(), line.at_opening)).collect();
        assert_eq!(said, [("A", 2), ("A", 1), ("B", 4)]);
        assert!(lines.iter().all(|line| line.counted.is_none()));
        shop.reserve(1, &[("cream", 6)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
    }

    #[test]
    fn a_place_has_one_open_count_of_an_item() {
        let mut shop = Shop::with_rouge(3);
        shop.open_count(1, "rouge").unwrap();
        assert_eq!(shop.open_count(1, "rouge"), Err(Refusal::Exists));
        assert_eq!(shop.open_count(2, "rouge"), Err(Refusal::CountInProgress { count: count_id(1) }));
        shop.open_count(2, "mascara").unwrap();
        shop.cancel_count(1).unwrap();
        shop.open_count(3, "rouge").unwrap();
    }

    #[test]
    fn no_more_are_open_than_may_be() {
        let mut shop = Shop::with_limits(Limits { live_reservations: 40, ..Limits::default() });
        shop.receive("rouge", "PAR", 1).unwrap();
        shop.open_count(1, "rouge").unwrap();
        assert!(matches!(shop.open_count(2, "mascara"), Err(Refusal::Overloaded { .. })));
    }

    #[test]
    fn an_item_does_not_change_how_it_is_tracked_while_it_is_counted() {
        let mut shop = Shop::new();
        shop.open_count(1, "rouge").unwrap();
        let by_lot = ItemSpec { lot_tracked: true, ..ItemSpec::default() };
        let refused = Refusal::ExistsWithDifferent { field: DifferentField::LotTracked };
        assert_eq!(shop.put_item("rouge", by_lot.clone()), Err(refused));
        shop.cancel_count(1).unwrap();
        shop.put_item("rouge", by_lot).unwrap();
    }

    #[test]
    fn input_that_is_no_count_is_refused_by_its_field() {
        let mut shop = Shop::with_rouge(1);
        let mut refused = |change: fn(&mut super::OpenCount)| {
            let Operation::OpenCount(mut it) = open_count(1, "rouge") else { unreachable!() };
            change(&mut it);
            match shop.run(Operation::OpenCount(it)) {
                Err(Refusal::InvalidArgument(refused)) => refused.field,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|it| it.count = CountId(7)), Field::CountId);
        assert_eq!(refused(|it| it.reference = "x".repeat(65)), Field::CountReference);
        assert_eq!(refused(|it| it.reference = "a\nb".to_owned()), Field::CountReference);
    }

    #[test]
    fn a_chain_that_fails_leaves_no_count_open() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.digest();
        let chain = shop.chain(vec![open_count(1, "rouge"), crate::test_shop::commit(9)]);
        shop.apply(chain);
        assert!(shop.inventory.count(count_id(1)).is_none());
        assert_ne!(shop.digest(), before, "the refusals are kept");
        shop.open_count(2, "rouge").unwrap();
        let chain = shop.chain(vec![crate::test_shop::apply_count(2), crate::test_shop::commit(9)]);
        shop.apply(chain);
        assert_eq!(shop.open_count(3, "rouge"), Err(Refusal::CountInProgress { count: count_id(2) }));
    }
}
