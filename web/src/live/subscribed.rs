//! The SKUs that one reader hears of, and what it was told of them last.
//!
//! Promises that a reader is told only what differs from what it was told: a reader that is shown a status alone does not hear of each sale.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_proto::v1;

use super::said::{Level, Said};
use crate::Shown;

/// Locations of a SKU of which is remembered what was told; what is told of more of them is told whether it differs or not.
const LOCATIONS: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscribed(BTreeMap<String, Vec<Last>>);

/// What was told last of a SKU at a location.
#[derive(Debug)]
struct Last {
    location_id: Box<str>,
    revision: u64,
    status: Level,
    quantity: Option<u64>,
}

impl Subscribed {
    /// Hears of these, too, of which nothing counts as told.
    pub(super) fn add(&mut self, skus: &BTreeSet<String>) {
        self.0.extend(skus.iter().map(|sku| (sku.clone(), Vec::new())));
    }

    pub(super) fn remove(&mut self, skus: &BTreeSet<String>) {
        self.0.retain(|sku, _| !skus.contains(sku));
    }

    /// Nothing counts as told any more.
    pub(super) fn forget(&mut self) {
        self.0.values_mut().for_each(Vec::clear);
    }

    pub(super) fn has(&self, sku: &str) -> bool {
        self.0.contains_key(sku)
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn skus(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// What is to be told of these changes.
    pub(super) fn news<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a v1::AvailabilityChange>,
        shown: Shown,
    ) -> Vec<Said> {
        changes.into_iter().filter_map(|change| self.of_one(change, shown)).collect()
    }

    fn of_one(&mut self, change: &v1::AvailabilityChange, shown: Shown) -> Option<Said> {
        let told = self.0.get_mut(&change.sku)?;
        let said = Said::of(change, shown);
        let (revision, status, quantity) = (change.revision, said.status, said.quantity);
        let Some(last) = told.iter_mut().find(|last| *last.location_id == *change.location_id) else {
            if told.len() < LOCATIONS {
                let location_id = change.location_id.as_str().into();
                told.push(Last { location_id, revision, status, quantity });
            }
            return Some(said);
        };
        // What there is now was read after it.
        if revision < last.revision {
            return None;
        }
        let is_same = (last.status, last.quantity) == (status, quantity);
        (last.revision, last.status, last.quantity) = (revision, status, quantity);
        (said.back || !is_same).then_some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(skus: &[&str]) -> Subscribed {
        let mut subscribed = Subscribed::default();
        subscribed.add(&skus.iter().map(|&sku| sku.to_owned()).collect());
        subscribed
    }

    fn change(sku: &str, location_id: &str, revision: u64, atp: u64, back: bool) -> v1::AvailabilityChange {
        let mut change = v1::AvailabilityChange {
            sku: sku.to_owned(),
            location_id: location_id.to_owned(),
            revision,
            atp,
            back,
            ..v1::AvailabilityChange::default()
        };
        change.set_level(match atp {
            0 => v1::AvailabilityLevel::Out,
            1..=2 => v1::AvailabilityLevel::Low,
            _ => v1::AvailabilityLevel::InStock,
        });
        change
    }

    /// How many of those are told, one after the other.
    fn told(subscribed: &mut Subscribed, shown: Shown, changes: &[v1::AvailabilityChange]) -> Vec<usize> {
        changes.iter().map(|change| subscribed.news([change], shown).len()).collect()
    }

    #[test]
    fn who_is_shown_a_status_hears_when_it_changes_and_not_of_each_sale() {
        let sales = [9, 8, 7, 2, 1, 0, 0, 5].into_iter().zip(1..);
        let sales: Vec<_> = sales.map(|(atp, revision)| change("A", "main", revision, atp, false)).collect();
        assert_eq!(told(&mut of(&["A"]), Shown::Status, &sales), [1, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(told(&mut of(&["A"]), Shown::Exact, &sales), [1, 1, 1, 1, 1, 1, 0, 1]);
        assert_eq!(told(&mut of(&["B"]), Shown::Exact, &sales), [0; 8], "it did not ask for it");
        let was_out = [change("A", "main", 1, 9, false), change("A", "main", 3, 9, true)];
        assert_eq!(told(&mut of(&["A"]), Shown::Status, &was_out), [1, 1], "it was out meanwhile");
    }

    #[test]
    fn what_is_older_than_what_was_told_is_not_told_any_more() {
        let changes =
            [change("A", "main", 7, 3, false), change("A", "main", 6, 4, false), change("A", "b", 2, 4, false)];
        let mut subscribed = of(&["A"]);
        assert_eq!(told(&mut subscribed, Shown::Exact, &changes), [1, 0, 1]);
        subscribed.forget();
        assert_eq!(told(&mut subscribed, Shown::Exact, &changes[1..]), [1, 1], "after that it counts");
        subscribed.remove(&subscribed.skus());
        assert_eq!(told(&mut subscribed, Shown::Exact, &changes), [0, 0, 0]);
    }

    #[test]
    fn of_very_many_locations_some_are_told_each_time_and_none_is_left_out() {
        let changes: Vec<_> = (0..LOCATIONS + 2).map(|at| change("A", &format!("shop-{at}"), 1, 3, false)).collect();
        let mut subscribed = of(&["A"]);
        assert_eq!(subscribed.news(&changes, Shown::Exact).len(), LOCATIONS + 2);
        assert_eq!(subscribed.news(&changes, Shown::Exact).len(), 2);
    }
}
