//! `put_kit`: creates a kit, or replaces its recipe.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::kit::{Component, MAX_COMPONENTS};
use crate::state::ItemRecord;
use crate::turn::Turn;
use crate::{
    Backorder, DifferentField, EventKind, Field, InvalidArgument, ItemSpec, MAX_TEXT_BYTES, MAX_UNITS, Refusal,
    Revision, Sku, Subject, Success,
};

/// Creates a kit, or replaces its name and recipe. The same again changes nothing. What was reserved keeps what it was sold as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutKit {
    /// The kit.
    pub sku: Sku,
    /// Shown, at most [`MAX_TEXT_BYTES`].
    pub name: String,
    /// What one of it is made of: 1 to [`MAX_COMPONENTS`], each SKU once.
    pub components: Vec<Component>,
    /// Only if its `kit_rev` is this.
    pub if_revision: Option<Revision>,
    /// Only if there is no such kit yet.
    pub if_absent: bool,
    /// Whether kits may be promised of which components are not there, where those may be.
    pub backorder: bool,
}

impl PutKit {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.sku.is_counter() {
            return Err(InvalidArgument::of(Field::Sku));
        }
        if self.name.len() > MAX_TEXT_BYTES {
            return Err(InvalidArgument::of(Field::Name));
        }
        if self.components.is_empty() || self.components.len() > MAX_COMPONENTS {
            return Err(InvalidArgument::of(Field::Components));
        }
        for (at, component) in self.components.iter().enumerate() {
            if !component.units.is_askable() {
                return Err(InvalidArgument::in_line(Field::ComponentUnits, at));
            }
            if self.components[..at].iter().any(|other| other.sku == component.sku) {
                return Err(InvalidArgument::in_line(Field::ComponentSku, at));
            }
        }
        Ok(())
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        if self.components.iter().any(|component| component.sku == self.sku) {
            return Err(Refusal::KitCycle { path: vec![self.sku.clone(), self.sku.clone()] });
        }
        let Some(no) = turn.state.find_sku(&self.sku) else { return self.create(turn) };
        let record = turn.state.item(no);
        let Some(components) = &record.kit else {
            return Err(Refusal::ExistsWithDifferent { field: DifferentField::Kit });
        };
        if self.if_absent {
            return Err(Refusal::Exists);
        }
        if self.if_revision.is_some_and(|expected| expected != record.revision) {
            return Err(Refusal::RevisionMismatch { actual: record.revision });
        }
        if **components == self.components && *record.spec == self.spec() {
            return Ok(Success { revision: record.revision, ..Success::default() });
        }
        let record = turn.state.item_mut(no);
        record.spec = Arc::new(self.spec());
        record.kit = Some(Arc::new(self.components.clone()));
        record.revision = record.revision.next();
        let revision = record.revision;
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
        turn.state.add_item(ItemRecord {
            sku: self.sku.clone(),
            spec: Arc::new(self.spec()),
            revision,
            kit: Some(Arc::new(self.components.clone())),
        });
        Ok(self.record(turn, revision))
    }

    fn spec(&self) -> ItemSpec {
        // A kit has no stock and so no cap of its own.
        let backorder = if self.backorder { Backorder::UpTo { cap: MAX_UNITS.into() } } else { Backorder::None };
        ItemSpec { name: self.name.clone(), backorder, ..ItemSpec::default() }
    }

    fn record(&self, turn: &mut Turn<'_>, revision: Revision) -> Success {
        turn.record(EventKind::ItemChanged, None, Some(Subject::Item { sku: self.sku.clone(), revision }));
        Success { revision, ..Success::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::PutKit;
    use crate::test_shop::{Shop, reserve};
    use crate::*;

    fn put(components: &[(&str, u32)]) -> PutKit {
        let component = |(sku, units): &(&str, u32)| Component { sku: sku.parse().unwrap(), units: Units(*units) };
        PutKit {
            sku: "set".parse().unwrap(),
            name: "Gift set".to_owned(),
            components: components.iter().map(component).collect(),
            if_revision: None,
            if_absent: false,
            backorder: false,
        }
    }

    fn run(shop: &mut Shop, put: PutKit) -> Result<Success, Refusal> {
        shop.run(Operation::PutKit(Box::new(put)))
    }

    #[test]
    fn each_put_that_changes_the_recipe_raises_the_revision() {
        let mut shop = Shop::new();
        assert_eq!(run(&mut shop, put(&[("rouge", 2)])).unwrap().revision, Revision(1));
        assert_eq!(shop.events(), [EventKind::ItemChanged]);
        assert_eq!(run(&mut shop, put(&[("rouge", 2)])).unwrap().revision, Revision(1));
        assert_eq!(shop.events(), []);
        assert_eq!(run(&mut shop, put(&[("rouge", 1)])).unwrap().revision, Revision(2));
        let kit = shop.inventory.kit(&"set".parse().unwrap()).unwrap();
        assert_eq!((kit.name.as_str(), kit.components[0].units, kit.revision), ("Gift set", Units(1), Revision(2)));
    }

    #[test]
    fn a_kit_is_put_only_at_the_revision_that_was_read() {
        let mut shop = Shop::new();
        run(&mut shop, put(&[("rouge", 2)])).unwrap();
        let stale = PutKit { if_revision: Some(Revision(7)), ..put(&[("rouge", 1)]) };
        assert_eq!(run(&mut shop, stale), Err(Refusal::RevisionMismatch { actual: Revision(1) }));
        let absent = PutKit { if_absent: true, ..put(&[("rouge", 1)]) };
        assert_eq!(run(&mut shop, absent), Err(Refusal::Exists));
    }

    #[test]
    fn a_sku_is_stocked_or_a_kit_and_never_both() {
        let mut shop = Shop::with_rouge(3);
        let kit: Sku = "set".parse().unwrap();
        run(&mut shop, put(&[("rouge", 2)])).unwrap();
        let is_kit = Err(Refusal::SkuIsKit { sku: kit, recorded: true });
        assert_eq!(shop.receive("set", "PAR", 1), is_kit);
        assert_eq!(shop.amend(1, &[("set", 1)]), Err(Refusal::ReservationNotFound));
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.amend(1, &[("set", 1)]), is_kit);
        let other = Refusal::ExistsWithDifferent { field: DifferentField::Kit };
        assert_eq!(shop.put_item("set", ItemSpec::default()), Err(other.clone()));
        let item = PutKit { sku: "rouge".parse().unwrap(), ..put(&[("mascara", 1)]) };
        assert_eq!(run(&mut shop, item), Err(other));
        assert_eq!(shop.inventory.stock(&"set".parse().unwrap()), Some(Vec::new()));
    }

    #[test]
    fn a_line_of_a_kit_that_nobody_has_worked_out_decides_nothing() {
        let mut shop = Shop::with_rouge(3);
        run(&mut shop, put(&[("rouge", 2)])).unwrap();
        let command = shop.command(reserve(1, &[("rouge", 1), ("set", 1)]));
        let answer = shop.apply(vec![command.clone()]).remove(0).outcome;
        let sku: Sku = "set".parse().unwrap();
        assert_eq!(answer, Err(Refusal::SkuIsKit { sku, recorded: false }));
        // The same id is decided once its lines are worked out.
        let again = Command { operation: reserve(1, &[("rouge", 3)]), ..command };
        assert!(shop.apply(vec![again]).remove(0).outcome.is_ok());
    }

    #[test]
    fn a_kit_that_is_made_of_itself_is_refused() {
        let sku: Sku = "set".parse().unwrap();
        let refused = run(&mut Shop::new(), put(&[("rouge", 1), ("set", 1)]));
        assert_eq!(refused, Err(Refusal::KitCycle { path: vec![sku.clone(), sku] }));
    }

    #[test]
    fn a_shape_that_cannot_be_right_is_refused_by_its_field() {
        let refused = |components: &[(&str, u32)]| put(components).validate().unwrap_err();
        assert_eq!(refused(&[]), InvalidArgument::of(Field::Components));
        assert_eq!(refused(&[("rouge", 1), ("rouge", 2)]), InvalidArgument::in_line(Field::ComponentSku, 1));
        assert_eq!(refused(&[("rouge", 0)]), InvalidArgument::in_line(Field::ComponentUnits, 0));
        let many: Vec<String> = (0..33).map(|number| format!("c{number}")).collect();
        let many: Vec<(&str, u32)> = many.iter().map(|sku| (sku.as_str(), 1)).collect();
        assert_eq!(refused(&many), InvalidArgument::of(Field::Components));
        let long = PutKit { name: "x".repeat(256), ..put(&[("rouge", 1)]) };
        assert_eq!(long.validate(), Err(InvalidArgument::of(Field::Name)));
    }

    #[test]
    fn a_kit_is_there_again_after_a_load_and_gone_after_a_chain_that_failed() {
        let mut shop = Shop::new();
        run(&mut shop, put(&[("rouge", 2)])).unwrap();
        shop.inventory.mark_all_changed();
        let cut = shop.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        assert_eq!(loaded.kit(&"set".parse().unwrap()), shop.inventory.kit(&"set".parse().unwrap()));
        let before = shop.digest();
        let other = PutKit { sku: "other".parse().unwrap(), ..put(&[("rouge", 1)]) };
        let chain = vec![
            Operation::PutKit(Box::new(put(&[("rouge", 9)]))),
            Operation::PutKit(Box::new(other)),
            reserve(1, &[("rouge", 1)]),
        ];
        let chain = shop.chain(chain);
        shop.apply(chain);
        assert_eq!(shop.inventory.kit(&"set".parse().unwrap()).unwrap().revision, Revision(1));
        assert_eq!(shop.inventory.kit(&"other".parse().unwrap()), None);
        assert_ne!(shop.digest(), before, "the results are kept");
    }
}
