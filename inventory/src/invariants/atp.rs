//! [H-ATP] What may be promised at a location is what is free, less what is kept back. Of an item tracked by lot it is, for a
//! need of life beyond d, the least over all d' ≤ d of the sellable units with life beyond d' less the unbound holds that need
//! it. Sale comes after what was promised without stock: units that such a promise could get are given to it in the same entry, or, where
//! one entry may not fill all of them, kept from sale until they are. What campaigns that are not over have, and neither hold nor have sold, is kept back too.

use crate::Inventory;
use crate::state::{CampaignNo, SkuNo, State, StockPlace};
use crate::{LogTime, LotStatus};

pub(super) fn check(inventory: &Inventory) -> Vec<String> {
    let (mut findings, state) = (Vec::new(), &inventory.state);
    for sku in state.skus().filter(|sku| state.item(*sku).spec.tracked) {
        let item = state.item(sku);
        for level in inventory.stock(&item.sku).unwrap_or_default() {
            let location = state.find_location(&level.location).expect("it was shown a moment ago");
            let place = state.stock(sku).place(location).expect("it was shown a moment ago");
            let need = item.spec.need_at(state.header.now);
            let left = if item.spec.lot_tracked { least_by_lot(state, place, need) } else { free_of_all(place) };
            let is_active = state.location(location).spec.active;
            let waited_for = if place.is_filling { place.backordered } else { 0 };
            let left = left.saturating_sub(kept_back(state, place));
            let expected = if is_active { left.saturating_sub(waited_for) } else { 0 };
            let left = if item.spec.lot_tracked { left_for_who_waits(state, sku, place) } else { left };
            if left > 0 && place.backordered > 0 && !place.is_filling {
                let units = place.backordered;
                findings.push(format!("{} at {}: {left} for {units} backordered", item.sku, level.location));
            }
            if level.atp != expected {
                findings.push(format!("{} at {}: atp is {}, not {expected}", item.sku, level.location, level.atp));
            }
        }
    }
    findings
}

/// The safety stock, and what campaigns have that are not over by their own window.
fn kept_back(state: &State, place: &StockPlace) -> u64 {
    let is_over = |campaign: CampaignNo| {
        let spec = &state.campaign(campaign).spec;
        spec.closed || spec.ends_at <= state.header.now
    };
    let open = place.allocations.iter().filter(|of| !is_over(of.campaign));
    let fence = open.map(|of| of.granted.saturating_sub(of.held + of.sold)).fold(0, u64::saturating_add);
    place.safety_stock.saturating_add(fence)
}

fn free_of_all(place: &StockPlace) -> u64 {
    let counts = place.counts();
    let bound = [counts.reserved, counts.committed, counts.damaged, counts.quality_control];
    bound.iter().fold(counts.on_hand, |left, part| left.saturating_sub(*part))
}

/// The least over every instant at which it could be: at each need, and just after each removal.
fn least_by_lot(state: &State, place: &StockPlace, need: LogTime) -> u64 {
    let now = state.header.now;
    let lots: Vec<(LogTime, u64)> = place
        .cells
        .iter()
        .filter_map(|cell| Some((state.lot(cell.lot?), cell.counts.free()?)))
        .filter(|(lot, _)| lot.status == LotStatus::Approved && lot.removal_at >= now)
        .map(|(lot, free)| (lot.removal_at, free))
        .collect();
    let left_at = |at: LogTime| {
        let living: u64 = lots.iter().filter(|(removal, _)| *removal >= at).map(|(_, free)| free).sum();
        let needed: u64 = place.unbound.iter().filter(|(need, _)| *need >= at).map(|(_, units)| units).sum();
        living.saturating_sub(needed)
    };
    let instants =
        lots.iter().map(|(removal, _)| removal.plus_ms(1)).chain(place.unbound.iter().map(|(need, _)| *need));
    instants.filter(|at| *at <= need).chain([need]).map(left_at).min().unwrap_or(0)
}

/// The most that anybody could get at a place who waits there.
fn left_for_who_waits(state: &State, sku: SkuNo, place: &StockPlace) -> u64 {
    let waiting = state.backorders_at(sku, place.location).map(|(_, no)| state.reservation(no));
    let lines = waiting
        .flat_map(|record| &record.lines)
        .filter(|line| (line.sku, line.location) == (sku, place.location) && line.units.all_backordered() > 0);
    let above = least_by_lot(state, place, LogTime(0)).saturating_sub(kept_back(state, place));
    lines.map(|line| least_by_lot(state, place, line.need()).min(above)).max().unwrap_or(0)
}
