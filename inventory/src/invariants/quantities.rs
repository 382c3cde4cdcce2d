//! [H-QTY] Per cell `on_hand = free + reserved + committed + damaged + quality_control`, none below 0; and each cell is of a lot
//! where the item is tracked by lot, and of none where it is not. Of a kit nothing lies anywhere.

use crate::StockCounts;
use crate::state::State;

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    for sku in state.skus() {
        let by_lot = state.item(sku).spec.lot_tracked;
        if state.item(sku).kit.is_some() && !state.stock(sku).places.is_empty() {
            findings.push(format!("{} is a kit, and stocked", state.item(sku).sku));
        }
        for place in &state.stock(sku).places {
            let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
            if !by_lot && !place.unbound.is_empty() {
                findings.push(format!("{item} at {location} has no lots, and holds that wait for one"));
            }
            for cell in &place.cells {
                let is_misplaced = cell.lot.is_some() != by_lot && cell.counts != StockCounts::default();
                if cell.counts.free().is_none() || is_misplaced {
                    findings.push(format!("{item} at {location}, lot {:?}: {:?}", cell.lot, cell.counts));
                }
            }
        }
    }
    findings
}
