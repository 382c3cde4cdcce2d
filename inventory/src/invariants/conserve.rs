//! [H-CONSERVE] Nothing is sold twice: for each item `received + found + returned = on hand + in transit + shipped + written off`,
//! what was sent is what arrived and what is in transit, and no more is sold and shipped than ever came.
//!
//! Over a whole cluster the same holds for the sums of [`crate::StockTotals`].

use crate::Inventory;

pub(super) fn check(inventory: &Inventory) -> Vec<String> {
    let mut findings = Vec::new();
    for item in inventory.items(None, usize::MAX) {
        let totals = inventory.totals(&item.sku).unwrap_or_default();
        let (counts, flow) = (totals.counts, totals.flow);
        let sum = |parts: &[u64]| parts.iter().map(|part| u128::from(*part)).sum::<u128>();
        let came = sum(&[flow.received, flow.found, flow.returned]);
        let accounted = sum(&[counts.on_hand, totals.in_transit, flow.shipped, flow.written_off]);
        let is_underway = u128::from(flow.sent) == sum(&[flow.arrived, totals.in_transit]);
        let promised = sum(&[counts.reserved, counts.committed, flow.shipped, flow.written_off]);
        if came != accounted || promised > came || !is_underway {
            findings.push(format!("{}: {came} came, {accounted} are accounted for: {totals:?}", item.sku));
        }
    }
    findings
}
