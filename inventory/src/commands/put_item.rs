//! `put_item`: creates an item, or replaces its attributes.

use serde::{Deserialize, Serialize};

use std::sync::Arc;

use super::FULL_RETRY_MS;
use crate::state::ItemRecord;
use crate::turn::Turn;
use crate::{DifferentField, EventKind, Field, InvalidArgument, ItemSpec, Refusal, Revision, Sku, Subject, Success};

/// Creates an item, or replaces its attributes. The same attributes again change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutItem {
    /// The item.
    pub sku: Sku,
    /// Its attributes.
    pub spec: ItemSpec,
    /// Only if its revision is this.
    pub if_revision: Option<Revision>,
    /// Only if there is no such item yet.
    pub if_absent: bool,
}

impl PutItem {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.sku.is_counter() {
            return Err(InvalidArgument::of(Field::Sku));
        }
        self.spec.validate()
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let Some(no) = turn.state.find_sku(&self.sku) else { return self.create(turn) };
        let item = turn.state.item(no);
        if item.kit.is_some() {
            return Err(Refusal::ExistsWithDifferent { field: DifferentField::Kit });
        }
        if self.if_absent {
            return Err(Refusal::Exists);
        }
        if self.if_revision.is_some_and(|expected| expected != item.revision) {
            return Err(Refusal::RevisionMismatch { actual: item.revision });
        }
        if *item.spec == self.spec {
            return Ok(Success { revision: item.revision, ..Success::default() });
        }
        let is_in_use = turn.state.stock(no).is_in_use() || turn.state.is_counted(no);
        if item.spec.lot_tracked != self.spec.lot_tracked && is_in_use {
            return Err(Refusal::ExistsWithDifferent { field: DifferentField::LotTracked });
        }
        let item = turn.state.item_mut(no);
        item.spec = Arc::new(self.spec.clone());
        item.revision = item.revision.next();
        let revision = item.revision;
        Ok(self.record(turn, revision))
    }

    fn create(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let limit = turn.state.header.limits.items.min(u64::from(u32::MAX));
        if turn.state.item_count() >= limit {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        if self.if_revision.is_some_and(|expected| expected != Revision::default()) {
            return Err(Refusal::UnknownSku { sku: self.sku.clone() });
        }
        let revision = Revision::default().next();
        let spec = Arc::new(self.spec.clone());
        turn.state.add_item(ItemRecord { sku: self.sku.clone(), spec, revision, kit: None });
        Ok(self.record(turn, revision))
    }

    fn record(&self, turn: &mut Turn<'_>, revision: Revision) -> Success {
        turn.record(EventKind::ItemChanged, None, Some(Subject::Item { sku: self.sku.clone(), revision }));
        Success { revision, ..Success::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::PutItem;
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn the_same_attributes_again_change_nothing() {
        let mut shop = Shop::new();
        let before = shop.inventory.last_event();
        assert_eq!(shop.put_item("rouge", ItemSpec::default()).unwrap().revision, Revision(1));
        assert_eq!(shop.inventory.last_event(), before);
    }

    #[test]
    fn other_attributes_raise_the_revision_and_are_told() {
        let mut shop = Shop::new();
        let spec = ItemSpec { name: "Rouge 12".to_owned(), ..ItemSpec::default() };
        assert_eq!(shop.put_item("rouge", spec.clone()).unwrap().revision, Revision(2));
        assert_eq!(shop.events(), [EventKind::ItemChanged]);
        assert_eq!(*shop.inventory.item(&"rouge".parse().unwrap()).unwrap().spec, spec);
    }

    #[test]
    fn an_item_is_put_only_at_the_revision_that_was_read() {
        let mut shop = Shop::new();
        let sku: Sku = "rouge".parse().unwrap();
        let spec = ItemSpec { status: ItemStatus::Paused, ..ItemSpec::default() };
        let put = PutItem { sku, spec, if_revision: Some(Revision(7)), if_absent: false };
        let refused = shop.run(Operation::PutItem(Box::new(put.clone())));
        assert_eq!(refused, Err(Refusal::RevisionMismatch { actual: Revision(1) }));
        let put = PutItem { if_revision: None, if_absent: true, ..put };
        assert_eq!(shop.run(Operation::PutItem(Box::new(put))), Err(Refusal::Exists));
    }

    #[test]
    fn whether_stock_has_lots_changes_only_while_there_is_none() {
        let mut shop = Shop::with_cream(&[("A", 10, 1)]);
        let refused = shop.put_item("cream", ItemSpec::default());
        assert_eq!(refused, Err(Refusal::ExistsWithDifferent { field: DifferentField::LotTracked }));
        shop.reserve(1, &[("cream", 1)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[]).unwrap();
        shop.put_item("cream", ItemSpec::default()).unwrap();
        shop.receive("cream", "PAR", 1).unwrap();
        let untracked = ItemSpec { lot_tracked: true, tracked: false, ..ItemSpec::default() };
        let refused = shop.put_item("cream", untracked);
        assert_eq!(refused, Err(Refusal::InvalidArgument(InvalidArgument::of(Field::LotTracked))));
    }

    #[test]
    fn a_cap_and_a_release_that_cannot_be_right_are_refused() {
        let mut shop = Shop::new();
        let too_many = u64::from(MAX_UNITS) + 1;
        for backorder in [
            Backorder::UpTo { cap: 0 },
            Backorder::UpTo { cap: too_many },
            Backorder::Preorder { release_at: LogTime(0), cap: 1 },
            Backorder::Preorder { release_at: LogTime(1), cap: too_many },
        ] {
            let refused = shop.put_item("serum", ItemSpec { backorder, ..ItemSpec::default() });
            assert_eq!(refused, Err(Refusal::InvalidArgument(InvalidArgument::of(Field::Backorder))));
        }
        let backorder = Backorder::Preorder { release_at: LogTime(1), cap: 0 };
        shop.put_item("serum", ItemSpec { backorder, ..ItemSpec::default() }).unwrap();
    }
}
