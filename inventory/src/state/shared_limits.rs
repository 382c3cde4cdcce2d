//! Limits over several items as the state has them, and the lines that are their counters.
//!
//! A counter's line follows from the lines that it counts: whatever changes a reservation changes it too, in the one place where
//! reservations change. Where it is a line of another shard, that shard follows as it does for any line.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::State;
use super::customer_limits::{LimitNo, LimitRecord};
use super::indexes::Indexes;
use super::records::{ItemRecord, LineRecord, ReservationNo, ReservationRecord, SkuNo};
use crate::{ItemSpec, LimitId, LineCounts, Revision, Sku};

impl Indexes {
    pub(super) fn name_limit(&mut self, no: LimitNo, record: &LimitRecord) {
        let names = if record.is_shared() { &mut self.shared_limits } else { &mut self.limits };
        names.insert(record.id.clone(), no);
        self.limits_by_sku.insert((record.sku, no));
        self.active_limits.extend(record.spec.active.then_some((record.sku, no)));
        self.shared_by_sku.extend(record.skus.iter().map(|sku| (sku.clone(), no)));
    }

    pub(super) fn unname_limit(&mut self, no: LimitNo, record: &LimitRecord) {
        let names = if record.is_shared() { &mut self.shared_limits } else { &mut self.limits };
        names.remove(&record.id);
        self.limits_by_sku.remove(&(record.sku, no));
        self.active_limits.remove(&(record.sku, no));
        for sku in &record.skus {
            self.shared_by_sku.remove(&(sku.clone(), no));
        }
    }
}

impl State {
    pub(crate) fn find_shared_limit(&self, id: &LimitId) -> Option<LimitNo> {
        self.indexes.shared_limits.get(id).copied()
    }

    pub(crate) fn shared_limits(&self) -> impl ExactSizeIterator<Item = &LimitRecord> {
        self.indexes.shared_limits.values().map(|no| self.limit(*no))
    }

    /// The limits over several items that new holds of the item are checked against.
    pub(crate) fn shared_limits_over(&self, sku: &Sku) -> impl Iterator<Item = &LimitRecord> {
        let none = self.indexes.shared_by_sku.is_empty();
        let range = (!none).then(|| {
            let from = (sku.clone(), LimitNo(0));
            let to = (sku.clone(), LimitNo(u32::MAX));
            self.indexes.shared_by_sku.range(from..=to)
        });
        range.into_iter().flatten().map(|(_, no)| self.limit(*no)).filter(|limit| limit.spec.active)
    }

    /// Adds what the counters' lines of a limit are of: nothing of it lies anywhere, and it is no item to anyone.
    pub(crate) fn add_counted(&mut self, name: Sku) -> SkuNo {
        debug_assert!(name.is_counter(), "only a counter's name is none of an item");
        let spec = Arc::new(ItemSpec { tracked: false, ..ItemSpec::default() });
        self.add_item(ItemRecord { sku: name, spec, revision: Revision::default().next(), kit: None })
    }

    /// Counts what a reservation has once more: a fault that is made on purpose.
    pub(crate) fn count_again(&mut self, no: ReservationNo) {
        let record = self.reservation(no);
        let (customer, created_at, counted) = (record.customer(), record.created_at, record.counted());
        self.count(customer, created_at, &BTreeMap::new(), &counted);
    }

    /// The SKU that a line was asked for by.
    pub(crate) fn asked_sku(&self, record: &ReservationRecord, line: &LineRecord) -> Sku {
        let sku = &self.item(line.sku).sku;
        let counter = sku.counter().zip(record.customer());
        counter.and_then(|((limit, _), customer)| Sku::of_counter(&limit, customer)).unwrap_or_else(|| sku.clone())
    }
}

impl ReservationRecord {
    /// Whether it lies on several shards with lines of items.
    pub(crate) fn spans_shards(&self) -> bool {
        self.part().is_some() || self.remote_lines().any(|line| !line.sku.is_counter())
    }

    /// The units of each line of the whole, where this shard knows the whole.
    fn units_by_number(&self, lines: usize) -> Vec<LineCounts> {
        let mut units = vec![LineCounts::default(); lines];
        for (at, line) in self.lines.iter().enumerate() {
            let number = self.whole().map_or(at, |whole| usize::from(whole.own[at]));
            units[number] = line.units;
        }
        for line in self.remote_lines() {
            units[usize::from(line.number)] = line.units;
        }
        units
    }

    /// What each of the counters' lines is to have, by its number: together what the lines have that it counts.
    pub(crate) fn counters(&self) -> Vec<(usize, LineCounts)> {
        let Some(plan) = self.plan().filter(|plan| !plan.counters.is_empty() && self.part().is_none()) else {
            return Vec::new();
        };
        let units = self.units_by_number(plan.of.len());
        let sum = |lines: &[u16]| {
            lines.iter().fold(LineCounts::default(), |sum, number| sum.counted_with(&units[usize::from(*number)]))
        };
        (plan.item_lines()..).zip(plan.counters.iter().map(|counter| sum(&counter.lines))).collect()
    }

    /// Whether the line of that number is a counter, where this shard knows all lines: a part has the plan of its own lines alone.
    pub(crate) fn is_counter(&self, number: usize) -> bool {
        self.part().is_none() && self.plan().is_some_and(|plan| number >= plan.item_lines())
    }

    /// Whether any line of an item has such units, those on other shards included. A counter counts what is sold without stock as what
    /// is there.
    pub(crate) fn items_have(&self, of: impl Fn(&LineCounts) -> u64) -> bool {
        let number = |at: usize| self.whole().map_or(at, |whole| usize::from(whole.own[at]));
        let mut own = self.lines.iter().enumerate().filter(|(at, _)| !self.is_counter(number(*at)));
        own.any(|(_, line)| of(&line.units) > 0)
            || self.remote_lines().any(|line| !line.sku.is_counter() && of(&line.units) > 0)
    }

    /// The counters of this shard, by their places, and what they count, where all lines of items are of this shard: a line's number is
    /// its place then.
    pub(crate) fn own_counters(&self) -> Vec<(usize, Vec<u16>)> {
        let Some(plan) = self.plan().filter(|plan| !plan.counters.is_empty() && !self.spans_shards()) else {
            return Vec::new();
        };
        let place = |number: usize| match self.whole() {
            Some(whole) => whole.own.iter().position(|own| usize::from(*own) == number),
            None => Some(number),
        };
        let counters = (plan.item_lines()..).zip(&plan.counters);
        counters.filter_map(|(number, counter)| Some((place(number)?, counter.lines.clone()))).collect()
    }

    /// Brings the counters' lines to what they count.
    pub(super) fn count_counters(&mut self) {
        for (number, units) in self.counters() {
            if let Some(line) = self.remote_lines_mut().find(|line| usize::from(line.number) == number) {
                line.units = units;
                continue;
            }
            let at =
                self.whole().map_or(Some(number), |whole| whole.own.iter().position(|own| usize::from(*own) == number));
            if let Some(line) = at.and_then(|at| self.lines.get_mut(at)) {
                line.units = units;
            }
        }
    }
}

impl LineCounts {
    /// The sum, as limits count: whether units are there makes no difference.
    fn counted_with(&self, other: &Self) -> Self {
        let sum = |of: fn(&Self) -> u64| of(self).saturating_add(of(other));
        Self {
            held: sum(Self::unsold),
            committed: sum(Self::sold),
            fulfilled: sum(|units| units.fulfilled),
            cancelled: sum(|units| units.cancelled),
            released: sum(|units| units.released),
            expired: sum(|units| units.expired),
            returned: sum(|units| units.returned),
            ..Self::default()
        }
    }
}
