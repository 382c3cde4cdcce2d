//! [H-CAPS] Of each transfer `sent = in transit + received + lost + returned`; what is on its way to a place, and expected there, is
//! what the transfers and receipts say; what a count wrote off is no more than it missed, and a place has one open count at most;
//! and those that have ended are known as such. At each place `backordered ≤ cap`, the cap under which the latest of them was
//! promised: a lower one counts for new ones only. What campaigns have is checked in `allocations.rs`. What limits count is checked in `counters.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{DocumentBody, DocumentNo, DocumentRecord, LocationNo, SkuNo, State};

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let mut on_the_way: BTreeMap<(SkuNo, LocationNo), (u64, u64)> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let mut open_counts = BTreeMap::new();
    for (no, record) in state.documents_from(DocumentNo(0)) {
        if !adds_up(record) {
            findings.push(format!("document {:032x}: {:?}", record.id, record.body));
            continue;
        }
        let (location, in_transit, expected) = record.on_the_way();
        let sums = on_the_way.entry((record.sku, location)).or_default();
        (sums.0, sums.1) = (sums.0 + in_transit, sums.1 + expected);
        ended.extend(record.ended_at.map(|ended_at| (ended_at, no)));
        let is_open = match &record.body {
            DocumentBody::Transfer(_) => in_transit > 0,
            DocumentBody::Receipt(receipt) => !receipt.closed,
            DocumentBody::Count(count) => !count.state.is_ended(),
        };
        if let DocumentBody::Count(count) = &record.body
            && is_open
            && open_counts.insert((record.sku, count.location), no).is_some()
        {
            findings.push(format!("count {:032x} is not the only one of its place", record.id));
        }
        if is_open != record.ended_at.is_none() || state.find_document(record.id) != Some(no) {
            findings.push(format!("document {:032x} has ended or has not, or is not found", record.id));
        }
    }
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            if place.backordered > place.backorder_cap {
                let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                let (units, cap) = (place.backordered, place.backorder_cap);
                findings.push(format!("{item} at {location}: {units} backordered, the cap was {cap}"));
            }
            let said = on_the_way.remove(&(sku, place.location)).unwrap_or_default();
            if said != (place.in_transit, place.incoming) {
                let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                let counted = (place.in_transit, place.incoming);
                findings.push(format!("{item} at {location}: {counted:?} on the way, the documents say {said:?}"));
            }
        }
    }
    let nowhere = on_the_way.into_iter().filter(|(_, sums)| *sums != (0, 0));
    findings.extend(nowhere.map(|((sku, _), sums)| format!("{}: {sums:?} to where no stock is", state.item(sku).sku)));
    if open_counts != state.indexes.open_counts {
        findings.push("what is counted is not what the counts say".to_owned());
    }
    if ended != state.indexes.ended_documents {
        findings.push("which documents have ended is not what they say".to_owned());
    }
    findings
}

fn adds_up(record: &DocumentRecord) -> bool {
    match &record.body {
        DocumentBody::Transfer(transfer) => transfer.lines.iter().all(|line| line.units.in_transit().is_some()),
        DocumentBody::Receipt(receipt) => receipt.lines.iter().all(|line| line.arrived <= line.units),
        DocumentBody::Count(count) => count.fits(),
    }
}
