//! [H-ATP] What may be promised at a location is `max(0, free − unbound holds − safety_stock)`.
//!
//! Lots without dates and no allocations exist yet, so the minimum over dates has one term, and nothing is ring-fenced.

use crate::Inventory;

pub(super) fn check(inventory: &Inventory) -> Vec<String> {
    let mut findings = Vec::new();
    for item in inventory.items(None, usize::MAX).into_iter().filter(|item| item.spec.tracked) {
        for level in inventory.stock(&item.sku).unwrap_or_default() {
            let (counts, location) = (level.counts, &level.location);
            let bound = [counts.reserved, counts.committed, counts.damaged, counts.quality_control, level.safety_stock];
            let is_active = inventory.location(location).is_some_and(|location| location.spec.active);
            let expected = bound.iter().fold(counts.on_hand, |left, part| left.saturating_sub(*part));
            let expected = if is_active { expected } else { 0 };
            if level.atp != expected {
                findings.push(format!("{} at {location}: atp is {}, not {expected}", item.sku, level.atp));
            }
        }
    }
    findings
}
