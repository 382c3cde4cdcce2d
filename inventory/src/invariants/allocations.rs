//! [H-CAPS] For an allocation `held + sold ≤ granted`, and what of it is held and sold is what the lines of its campaign say; one is
//! open as long as its campaign is not over.

use std::collections::BTreeMap;

use crate::CampaignPhase;
use crate::state::{CampaignNo, LocationNo, ReservationNo, SkuNo, State, held_and_sold};

pub(super) fn check(state: &State) -> Vec<String> {
    let mut findings = Vec::new();
    let mut said: BTreeMap<(CampaignNo, SkuNo, LocationNo), (u64, u64)> = BTreeMap::new();
    for (_, record) in state.reservations_from(ReservationNo(0)) {
        let Some(sale) = record.sale().filter(|sale| state.campaign_of(*sale).is_some()) else { continue };
        for line in record.lines.iter().filter(|line| line.counted) {
            let (held, sold) = held_and_sold(line);
            let sums = said.entry((sale.campaign, line.sku, line.location)).or_default();
            (sums.0, sums.1) = (sums.0 + held, sums.1 + sold);
        }
    }
    let mut known = std::collections::BTreeSet::new();
    for sku in state.skus() {
        for place in &state.stock(sku).places {
            for of in &place.allocations {
                let campaign = state.campaign(of.campaign);
                let (held, sold) = said.remove(&(of.campaign, sku, place.location)).unwrap_or_default();
                known.insert((of.campaign, sku, place.location));
                // What is forgotten was sold, and counts still.
                let fits = of.held == held && of.sold >= sold && of.held + of.sold <= of.granted;
                if !fits || of.open != (campaign.phase != CampaignPhase::Closed) {
                    let item = &state.item(sku).sku;
                    findings.push(format!("{} of {item}: {of:?}, its lines say {:?}", campaign.id, (held, sold)));
                }
            }
        }
    }
    let taken = said.into_iter().filter(|(_, sums)| *sums != (0, 0));
    findings.extend(taken.map(|((campaign, sku, _), sums)| {
        let (campaign, item) = (&state.campaign(campaign).id, &state.item(sku).sku);
        format!("{campaign} has nothing of {item}, its lines say {sums:?}")
    }));
    if known != state.indexes.allocations {
        findings.push("what campaigns have is not found where it is".to_owned());
    }
    findings
}
