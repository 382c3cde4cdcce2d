//! [H-LEDGER] At each location `on_hand` is the sum of everything that came and went since the first event.

use crate::state::State;

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            let flow = &place.flow;
            let came = i128::from(flow.received) + i128::from(flow.found) + i128::from(flow.returned);
            let came = came + i128::from(flow.arrived);
            let went = i128::from(flow.written_off) + i128::from(flow.shipped) + i128::from(flow.sent);
            let on_hand = place.cells.iter().map(|cell| i128::from(cell.counts.on_hand)).sum::<i128>();
            if came - went != on_hand {
                let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                findings.push(format!("{item} at {location}: {on_hand} on hand, {came} came and {went} went"));
            }
        }
    }
    findings
}
