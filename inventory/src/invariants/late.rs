//! [H-LATE] Binding to lots late stays possible: for every instant the units held and not bound that must be sellable then are
//! at most the units that are. Where a lot has just left sale this holds once that has been told, which the entries of the log
//! do a bounded number at a time and every command does for the items it decides. Nothing is sold of a lot that is blocked, or of one
//! whose expiry was told: it could not be shipped.

use std::collections::BTreeSet;

use crate::state::{LotNo, LotTold, SkuNo, State, StockPlace};
use crate::{LogTime, LotStatus};

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = check_schedule(state);
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            findings.extend(check_sold(state, sku, place));
            if !place.unbound.is_empty() && !is_behind(state, place) {
                findings.extend(check_place(state, sku, place));
            }
        }
    }
    findings
}

fn is_behind(state: &State, place: &StockPlace) -> bool {
    place.cells.iter().filter_map(|cell| cell.lot).any(|lot| {
        let lot = state.lot(lot);
        lot.removal_at < state.header.now && lot.told < LotTold::RemovalDue
    })
}

fn check_sold(state: &State, sku: SkuNo, place: &StockPlace) -> Option<String> {
    let can_never_ship = |lot: LotNo| {
        let lot = state.lot(lot);
        lot.status != LotStatus::Approved || lot.told == LotTold::Expired
    };
    let found = place.cells.iter().find(|cell| cell.counts.committed > 0 && cell.lot.is_some_and(can_never_ship))?;
    let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
    let lot = &state.lot(found.lot?).id;
    Some(format!("{item} at {location}: {} units are sold of {lot}, which may not be shipped", found.counts.committed))
}

fn check_place(state: &State, sku: SkuNo, place: &StockPlace) -> Vec<String> {
    let needs: BTreeSet<LogTime> = place.unbound.iter().map(|(need, _)| *need).collect();
    let finding = |need: LogTime| {
        let needed: u64 = place.unbound.iter().filter(|(other, _)| *other >= need).map(|(_, units)| units).sum();
        let sellable = place.cells.iter().filter(|cell| {
            cell.lot.is_some_and(|lot| {
                let lot = state.lot(lot);
                lot.status == LotStatus::Approved && lot.removal_at >= need.max(state.header.now)
            })
        });
        let sellable: u64 = sellable.map(|cell| cell.counts.free().unwrap_or(0)).sum();
        (needed > sellable).then(|| {
            let (item, location) = (&state.item(sku).sku, &state.location(place.location).id);
            format!("{item} at {location}: {needed} held units must be sellable at {need}, {sellable} are")
        })
    };
    needs.into_iter().filter_map(finding).collect()
}

fn check_schedule(state: &State) -> Vec<String> {
    let lots = state.skus().flat_map(|sku| state.lots_of(sku).map(|(_, lot)| lot));
    let due: BTreeSet<_> = lots.filter_map(|lot| Some((state.lot(lot).next_to_tell()?.0, lot))).collect();
    let is_same = due == state.indexes.lots_due;
    if is_same { Vec::new() } else { vec!["what is to be told of lots is not what the lots say".to_owned()] }
}
