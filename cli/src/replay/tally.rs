//! What the replay's customers did, by their own count.

use std::collections::BTreeMap;

/// Counts; those of several customers are added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) views: u64,
    pub(super) held: u64,
    pub(super) released: u64,
    /// Units committed, by SKU.
    pub(super) sold: BTreeMap<String, u64>,
    pub(super) refused: u64,
    pub(super) unknown_skus: u64,
    pub(super) unmatched_removals: u64,
}

impl Tally {
    /// Adds another's counts.
    pub(super) fn add(&mut self, other: Self) {
        let Self { views, held, released, sold, refused, unknown_skus, unmatched_removals } = other;
        self.views += views;
        self.held += held;
        self.released += released;
        self.refused += refused;
        self.unknown_skus += unknown_skus;
        self.unmatched_removals += unmatched_removals;
        for (sku, units) in sold {
            *self.sold.entry(sku).or_default() += units;
        }
    }
}
