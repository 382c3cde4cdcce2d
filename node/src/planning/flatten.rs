//! Kits of kits taken apart: a pure function of the recipes.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::MAX_PLANNED_LINES;
use holdfast_inventory::{Component, MAX_UNITS, Sku, SkuKind, Units};
use holdfast_mutation::{Mutation, is_on};

/// How deep kits may nest: a kit of items is one deep.
pub(super) const MAX_DEPTH: usize = 8;
/// Of how many SKUs it is asked what they are, for one request.
pub(super) const MAX_SKUS: usize = 2_048;

/// What SKUs are, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Recipes(BTreeMap<Sku, SkuKind>);

/// Why a kit cannot be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is made of itself.
    Cycle { path: Vec<Sku> },
    /// It nests too deep, or becomes too many lines.
    TooLarge,
    /// A quantity leaves its range.
    Overflow,
}

/// What one kit becomes, and how deep it nests.
#[derive(Clone, Debug)]
struct Flat {
    units: BTreeMap<Sku, u64>,
    depth: usize,
}

impl Recipes {
    pub(super) fn insert(&mut self, sku: Sku, kind: SkuKind) {
        self.0.insert(sku, kind);
    }

    pub(super) fn get(&self, sku: &Sku) -> Option<&SkuKind> {
        self.0.get(sku)
    }

    /// The SKUs that these are made of, themselves included, of which it is not known what they are; none where they would be too
    /// many, which [`Recipes::flatten`] refuses.
    pub(super) fn unknown<'a>(&'a self, roots: impl Iterator<Item = &'a Sku>) -> Vec<Sku> {
        let mut seen: BTreeSet<&Sku> = BTreeSet::new();
        let mut waiting: Vec<&Sku> = roots.collect();
        let mut unknown = Vec::new();
        while let Some(sku) = waiting.pop() {
            if !seen.insert(sku) {
                continue;
            }
            match self.get(sku) {
                None => unknown.push(sku.clone()),
                Some(SkuKind::Kit(kit)) => waiting.extend(kit.components.iter().map(|component| &component.sku)),
                Some(SkuKind::Item | SkuKind::Unknown) => {}
            }
        }
        if seen.len() > MAX_SKUS { Vec::new() } else { unknown }
    }

    /// What so many of a kit become: nested kits taken apart, each SKU once, in the order of the SKUs.
    pub(super) fn flatten(&self, kit: &Sku, kits: Units) -> Result<Vec<Component>, Trouble> {
        let flat = self.flat(kit, &mut Vec::new(), &mut BTreeMap::new())?;
        let times = |(sku, units): (Sku, u64)| {
            let units = units.checked_mul(kits.count()).and_then(|units| u32::try_from(units).ok());
            let units = units.filter(|units| *units <= MAX_UNITS).ok_or(Trouble::Overflow)?;
            Ok(Component { sku, units: Units(units) })
        };
        flat.units.into_iter().map(times).collect()
    }

    fn flat(&self, sku: &Sku, path: &mut Vec<Sku>, done: &mut BTreeMap<Sku, Flat>) -> Result<Flat, Trouble> {
        if let Some(at) = path.iter().position(|above| above == sku) {
            return Err(Trouble::Cycle { path: path[at..].iter().chain([sku]).cloned().collect() });
        }
        if let Some(flat) = done.get(sku) {
            return if path.len() + flat.depth > MAX_DEPTH { Err(Trouble::TooLarge) } else { Ok(flat.clone()) };
        }
        let kit = match self.get(sku) {
            Some(SkuKind::Kit(kit)) => kit,
            // What nobody knows is refused by its own shard, if it is not there.
            Some(SkuKind::Item | SkuKind::Unknown) => {
                return Ok(Flat { units: BTreeMap::from([(sku.clone(), 1)]), depth: 0 });
            }
            // There were too many to ask about, or they nest deeper than was asked.
            None => return Err(Trouble::TooLarge),
        };
        if path.len() >= MAX_DEPTH {
            return Err(Trouble::TooLarge);
        }
        path.push(sku.clone());
        let mut whole = Flat { units: BTreeMap::new(), depth: 0 };
        for Component { sku: component, units: times } in kit.components.iter() {
            let part = self.flat(component, path, done)?;
            whole.depth = whole.depth.max(part.depth);
            let counted_once = part.depth > 0 && is_on(Mutation::NestedKitCountedOnce);
            let times = if counted_once { 1 } else { times.count() };
            for (sku, units) in part.units {
                let sum = whole.units.entry(sku).or_default();
                let more = units.checked_mul(times).filter(|units| *units <= u64::from(MAX_UNITS));
                *sum = more.and_then(|more| sum.checked_add(more)).ok_or(Trouble::Overflow)?;
            }
            if whole.units.len() > MAX_PLANNED_LINES {
                return Err(Trouble::TooLarge);
            }
        }
        path.pop();
        whole.depth += 1;
        done.insert(sku.clone(), whole.clone());
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use holdfast_inventory::{Kit, Revision};
    use proptest::prelude::*;

    use super::*;

    fn sku(name: &str) -> Sku {
        name.parse().unwrap()
    }

    fn recipes(kits: &[(&str, &[(&str, u32)])]) -> Recipes {
        let mut recipes = Recipes::default();
        for (name, components) in kits {
            let component = |(name, units): &(&str, u32)| Component { sku: sku(name), units: Units(*units) };
            let components: Vec<Component> = components.iter().map(component).collect();
            for component in &components {
                recipes.0.entry(component.sku.clone()).or_insert(SkuKind::Item);
            }
            let kit = Kit {
                sku: sku(name),
                name: String::new(),
                components: Arc::new(components),
                revision: Revision(1),
                backorder: false,
            };
            recipes.insert(sku(name), SkuKind::Kit(kit));
        }
        recipes
    }

    fn flat(kits: &[(&str, &[(&str, u32)])], of: &str, units: u32) -> Result<Vec<(String, u32)>, Trouble> {
        let flat = recipes(kits).flatten(&sku(of), Units(units))?;
        Ok(flat.into_iter().map(|component| (component.sku.to_string(), component.units.0)).collect())
    }

    #[test]
    fn nested_kits_are_taken_apart_and_what_is_the_same_is_summed() {
        let kits: &[(&str, &[(&str, u32)])] =
            &[("gift", &[("set", 2), ("ribbon", 1), ("rouge", 1)]), ("set", &[("rouge", 3), ("mascara", 1)])];
        let expected = [("mascara".to_owned(), 10), ("ribbon".to_owned(), 5), ("rouge".to_owned(), 35)];
        assert_eq!(flat(kits, "gift", 5).unwrap(), expected);
    }

    #[test]
    fn a_cycle_is_refused_with_its_path() {
        let kits: &[(&str, &[(&str, u32)])] = &[("a", &[("b", 1)]), ("b", &[("c", 1), ("x", 1)]), ("c", &[("b", 2)])];
        assert_eq!(flat(kits, "a", 1), Err(Trouble::Cycle { path: vec![sku("b"), sku("c"), sku("b")] }));
    }

    #[test]
    fn kits_nest_eight_deep_and_no_deeper_by_whatever_way_they_are_reached() {
        let names: Vec<String> = (0..10).map(|depth| format!("k{depth}")).collect();
        let chain: Vec<[(&str, u32); 1]> = (0..9).map(|depth| [(names[depth].as_str(), 1)]).collect();
        let kits: Vec<(&str, &[(&str, u32)])> =
            (0..9).map(|depth| (names[depth + 1].as_str(), &chain[depth][..])).collect();
        assert_eq!(flat(&kits, "k8", 1).unwrap(), [("k0".to_owned(), 1)]);
        assert_eq!(flat(&kits, "k9", 1), Err(Trouble::TooLarge));
        // The shallow way to the same kit was taken first.
        let both: &[(&str, u32)] = &[("k7", 1), ("k8", 1)];
        let mut with_both = kits.clone();
        with_both.push(("z", both));
        assert_eq!(flat(&with_both, "z", 1), Err(Trouble::TooLarge));
    }

    #[test]
    fn a_quantity_beyond_its_range_is_refused() {
        let kits: &[(&str, &[(&str, u32)])] =
            &[("a", &[("b", MAX_UNITS)]), ("b", &[("x", MAX_UNITS)]), ("c", &[("x", 2)])];
        assert_eq!(flat(kits, "a", 1), Err(Trouble::Overflow));
        assert_eq!(flat(kits, "b", 2), Err(Trouble::Overflow));
        assert_eq!(flat(kits, "c", MAX_UNITS / 2).unwrap(), [("x".to_owned(), MAX_UNITS)]);
    }

    #[test]
    fn what_is_not_known_is_asked_for_level_by_level() {
        let mut known = recipes(&[("a", &[("b", 1), ("x", 1)])]);
        known.0.remove(&sku("b"));
        assert_eq!(known.unknown([&sku("a"), &sku("q")].into_iter()), [sku("q"), sku("b")]);
        assert_eq!(known.flatten(&sku("a"), Units(1)), Err(Trouble::TooLarge));
    }

    /// The same by recursion, one line after the other, with products that stay at the end of a far wider range.
    fn naive(
        kits: &BTreeMap<Sku, Vec<Component>>,
        of: &Sku,
        times: u128,
        path: &[Sku],
    ) -> Result<Vec<(Sku, u128)>, ()> {
        let Some(components) = kits.get(of) else { return Ok(vec![(of.clone(), times)]) };
        if path.contains(of) || path.len() >= MAX_DEPTH {
            return Err(());
        }
        let path: Vec<Sku> = path.iter().cloned().chain([of.clone()]).collect();
        let mut lines = Vec::new();
        for component in components {
            lines.extend(naive(kits, &component.sku, times.saturating_mul(u128::from(component.units.0)), &path)?);
        }
        Ok(lines)
    }

    proptest! {
        #[test]
        fn taking_apart_is_what_a_naive_recursion_says(
            drawn in prop::collection::vec(
                prop::collection::btree_map(0_usize..9, prop_oneof![1_u32..4, Just(40_000), Just(MAX_UNITS)], 1..4),
                5,
            ),
            units in prop_oneof![1_u32..5, Just(50_000)],
        ) {
            let names: Vec<Sku> = (0..9).map(|number| sku(&format!("s{number}"))).collect();
            let mut kits = BTreeMap::new();
            let mut known = Recipes::default();
            for (number, name) in names.iter().enumerate() {
                let Some(components) = drawn.get(number) else {
                    known.insert(name.clone(), SkuKind::Item);
                    continue;
                };
                let component = |(of, units): (&usize, &u32)| Component { sku: names[*of].clone(), units: Units(*units) };
                let components: Vec<Component> = components.iter().map(component).collect();
                kits.insert(name.clone(), components.clone());
                let kit = Kit { sku: name.clone(), name: String::new(), components: Arc::new(components), revision: Revision(1), backorder: false };
                known.insert(name.clone(), SkuKind::Kit(kit));
            }
            let flat = known.flatten(&names[0], Units(units));
            match naive(&kits, &names[0], u128::from(units), &[]) {
                Err(()) => prop_assert!(
                    matches!(flat, Err(Trouble::Cycle { .. } | Trouble::TooLarge | Trouble::Overflow)),
                    "{flat:?}"
                ),
                Ok(lines) => {
                    let mut sums: BTreeMap<Sku, u128> = BTreeMap::new();
                    lines.into_iter().for_each(|(sku, units)| {
                        let sum = sums.entry(sku).or_default();
                        *sum = sum.saturating_add(units);
                    });
                    if sums.values().any(|units| *units > u128::from(MAX_UNITS)) {
                        prop_assert_eq!(flat, Err(Trouble::Overflow));
                    } else {
                        let flat: BTreeMap<Sku, u128> = flat.unwrap().into_iter()
                            .map(|component| (component.sku, u128::from(component.units.0))).collect();
                        prop_assert_eq!(flat, sums);
                    }
                }
            }
        }
    }
}
