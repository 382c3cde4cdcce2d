//! [H-QTY] Per cell `on_hand = free + reserved + committed + damaged + quality_control`, none below 0.

use crate::state::State;

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            for cell in &place.cells {
                if cell.counts.free().is_none() {
                    let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                    findings.push(format!("{item} at {location}, lot {:?}: {:?}", cell.lot, cell.counts));
                }
            }
        }
    }
    findings
}
