//! How many kits could be held where: advice, a pure function of what may be promised of the components.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::{Component, LocationId, MAX_UNITS, Promisable, Sku};

/// How many kits of these components could be held at each location, or at that one.
pub(super) fn availability(
    components: &[Component],
    promisable: &BTreeMap<Sku, Promisable>,
    only: Option<&LocationId>,
) -> BTreeMap<LocationId, u64> {
    let places_of = |sku: &Sku| match promisable.get(sku) {
        Some(Promisable::At(places)) => places.as_slice(),
        _ => &[],
    };
    let everywhere = components.iter().flat_map(|component| places_of(&component.sku)).map(|(location, _)| location);
    let locations: BTreeSet<&LocationId> = match only {
        Some(only) => BTreeSet::from([only]),
        None => everywhere.collect(),
    };
    let of_component = |component: &Component, location: &LocationId| match promisable.get(&component.sku) {
        None | Some(Promisable::Nothing) => 0,
        Some(Promisable::Anything) => u64::from(MAX_UNITS / component.units.0.max(1)),
        Some(Promisable::At(places)) => {
            let units = places.iter().find(|(id, _)| id == location).map_or(0, |(_, units)| *units);
            units / component.units.count().max(1)
        }
    };
    let at = |location: &LocationId| components.iter().map(|component| of_component(component, location)).min();
    locations.into_iter().map(|location| (location.clone(), at(location).unwrap_or(0))).collect()
}

#[cfg(test)]
mod tests {
    use holdfast_inventory::Units;

    use super::*;

    fn kits(promisable: &[(&str, Promisable)], only: Option<&str>) -> Vec<(String, u64)> {
        let component = |name: &str, units| Component { sku: name.parse().unwrap(), units: Units(units) };
        let components = [component("rouge", 2), component("mascara", 1)];
        let promisable = promisable.iter().map(|(sku, may)| (sku.parse().unwrap(), may.clone())).collect();
        let only = only.map(|location| location.parse().unwrap());
        let found = availability(&components, &promisable, only.as_ref());
        found.into_iter().map(|(location, kits)| (location.to_string(), kits)).collect()
    }

    fn at(places: &[(&str, u64)]) -> Promisable {
        Promisable::At(places.iter().map(|(location, units)| (location.parse().unwrap(), *units)).collect())
    }

    #[test]
    fn a_kit_is_there_as_often_as_its_scarcest_component_at_each_place() {
        let found = kits(&[("rouge", at(&[("PAR", 7), ("LYO", 9)])), ("mascara", at(&[("PAR", 5)]))], None);
        assert_eq!(found, [("LYO".to_owned(), 0), ("PAR".to_owned(), 3)]);
        let found = kits(&[("rouge", at(&[("PAR", 7)])), ("mascara", at(&[("PAR", 2)]))], Some("PAR"));
        assert_eq!(found, [("PAR".to_owned(), 2)]);
    }

    #[test]
    fn what_is_never_lacking_limits_nothing_and_what_is_not_on_sale_everything() {
        let rouge = ("rouge", at(&[("PAR", 7)]));
        assert_eq!(kits(&[rouge.clone(), ("mascara", Promisable::Anything)], None), [("PAR".to_owned(), 3)]);
        assert_eq!(kits(&[rouge.clone(), ("mascara", Promisable::Nothing)], None), [("PAR".to_owned(), 0)]);
        assert_eq!(kits(&[rouge], Some("PAR")), [("PAR".to_owned(), 0)]);
    }
}
