//! [H-HOLDS] The live lines of a (SKU, location) sum to its unbound holds and its cells' `reserved`, its committed lines to
//! `committed`, its backordered and short units to those counters. And no hold is left behind: each that ends by time is
//! among what falls due, by reservation and by item, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use crate::state::{LocationNo, ReservationNo, SkuNo, State};

#[derive(Debug, Default, PartialEq, Eq)]
struct Bound {
    held: u64,
    committed: u64,
    backordered: u64,
    short: u64,
}

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = check_sums(state);
    findings.extend(check_schedule(state));
    findings
}

fn check_sums(state: &State) -> Vec<String> {
    let mut of_lines: BTreeMap<(SkuNo, LocationNo), Bound> = BTreeMap::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        for line in record.lines.iter().filter(|line| line.counted) {
            let bound = of_lines.entry((line.sku, line.location)).or_default();
            bound.held += line.units.held;
            bound.committed += line.units.committed;
            bound.backordered += line.units.backordered;
            bound.short += line.units.short;
        }
    }
    let mut findings = Vec::new();
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            let lines = of_lines.remove(&(sku, place.location)).unwrap_or_default();
            let counts = place.counts();
            let stock = Bound {
                held: counts.reserved,
                committed: counts.committed,
                backordered: place.backordered,
                short: place.short,
            };
            if lines != stock {
                let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
                findings.push(format!("{item} at {location}: the lines have {lines:?}, the stock has {stock:?}"));
            }
        }
    }
    let nowhere = of_lines.into_iter().filter(|(_, bound)| *bound != Bound::default());
    findings.extend(nowhere.map(|((sku, _), bound)| format!("{}: {bound:?} where no stock is", state.item(sku).sku)));
    findings
}

fn check_schedule(state: &State) -> Vec<String> {
    let mut due = BTreeSet::new();
    let mut due_by_sku = vec![BTreeSet::new(); state.indexes.due_by_sku.len()];
    let mut ended = BTreeSet::new();
    let mut findings = Vec::new();
    for (no, record) in state.reservations_from(ReservationNo(0)) {
        if let Some(due_at) = record.due_at() {
            due.insert((due_at, no));
            for line in &record.lines {
                due_by_sku[line.sku.0 as usize].insert((due_at, no));
            }
        }
        if record.state().is_ended() != record.ended_at.is_some() {
            findings.push(format!("reservation {}: {:?}, ended at {:?}", record.id, record.state(), record.ended_at));
        }
        ended.extend(record.ended_at.map(|ended_at| (ended_at, no)));
        if state.find_reservation(record.id) != Some(no) {
            findings.push(format!("reservation {} is not the one that its id finds", record.id));
        }
    }
    if due != state.indexes.due || due_by_sku != state.indexes.due_by_sku {
        findings.push("what falls due is not what the reservations say".to_owned());
    }
    if ended != state.indexes.ended {
        findings.push("what has ended is not what the reservations say".to_owned());
    }
    findings
}
