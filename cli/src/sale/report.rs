//! After a sale: what it sold, and when, from the shards' change logs.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Consistency, Reservations};
use holdfast_proto::v1;
use serde::Serialize;

use super::open::OpenedRow;
use super::{allocations, campaign, limit_of};
use crate::connect::failure_of;
use crate::dates;
use crate::failure::Failure;

/// Steps of the curve, at most; each is as long as needed.
const MAX_STEPS: u64 = 120;
const KINDS: [&str; 5] =
    ["reservation.committed", "reservation.cancelled", "campaign.exhausted", "reservation.expired", "limit.hit"];

/// What came of a sale.
#[derive(Debug, Serialize)]
pub struct SaleReport {
    pub sale: String,
    pub starts_at: String,
    pub ends_at: String,
    pub closed: bool,
    pub granted: u64,
    pub held: u64,
    pub sold: u64,
    /// Neither held nor sold; on sale again where the sale is over.
    pub unsold: u64,
    /// Of a hundred that it was given.
    pub sold_percent: f64,
    pub reservations: u64,
    /// Holds whose time was over.
    pub expired: u64,
    pub lines: Vec<ReportRow>,
    /// Units sold by time, from the change logs.
    pub curve: Vec<Step>,
    /// How often a customer was refused by one of its limits. Other refusals are in no log.
    pub limit_hits: u64,
}

/// One SKU at one location.
#[derive(Debug, Serialize)]
pub struct ReportRow {
    #[serde(flatten)]
    pub has: OpenedRow,
    /// When nothing of it was left, the first time.
    pub exhausted_at: Option<String>,
}

/// A piece of time.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub from: String,
    pub seconds: u64,
    /// Units sold in it, and given back after they were sold.
    pub sold: u64,
    pub cancelled: u64,
    /// Sold until its end.
    pub sold_in_all: u64,
}

/// Gathers it.
pub async fn report(client: &Client, id: &str) -> Result<SaleReport, Failure> {
    let campaign = campaign(client, id).await?;
    let found = allocations(client, id).await?;
    let reservations = reservations_of(client, id).await?;
    let ids: BTreeSet<ReservationId> =
        reservations.iter().filter_map(|of| of.reservation_id).map(ReservationId::from).collect();
    let shards: BTreeSet<u32> = found.iter().map(|of| client.shard_of(&of.sku)).collect();
    let mut events = Vec::new();
    for shard in shards {
        events.extend(events_of(client, shard, campaign.starts_at_ms).await?);
    }
    let of_sale = |event: &&v1::Event| {
        let id = event.reservation.as_ref().and_then(|of| of.reservation_id).map(ReservationId::from);
        id.is_some_and(|id| ids.contains(&id))
    };
    let expired: BTreeSet<ReservationId> = events
        .iter()
        .filter(|event| event.kind == "reservation.expired")
        .filter(of_sale)
        .filter_map(|event| event.reservation.as_ref()?.reservation_id.map(ReservationId::from))
        .collect();
    let until = client.cluster_time_ms().min(campaign.ends_at_ms).max(campaign.starts_at_ms + 1);
    let curve = curve_of(events.iter().filter(of_sale), campaign.starts_at_ms, until);
    let exhausted = exhausted_of(&events, id);
    let limits: BTreeSet<String> = found.iter().map(|of| limit_of(id, &of.sku)).collect();
    let limit_hits = hits_of(&events, &limits);
    let row = |of: &v1::Allocation| {
        let at = exhausted.get(&(of.sku.clone(), of.location_id.clone())).map(|ms| dates::instant_text(*ms));
        ReportRow { has: OpenedRow::of(of), exhausted_at: at }
    };
    let sum = |of: fn(&v1::Allocation) -> u64| found.iter().map(of).sum::<u64>();
    let (granted, held, sold) = (sum(|of| of.granted), sum(|of| of.held), sum(|of| of.sold));
    #[allow(clippy::cast_precision_loss)] // a percentage
    let sold_percent = if granted == 0 { 0.0 } else { (sold as f64 / granted as f64 * 1_000.0).round() / 10.0 };
    Ok(SaleReport {
        sale: id.to_owned(),
        starts_at: dates::instant_text(campaign.starts_at_ms),
        ends_at: dates::instant_text(campaign.ends_at_ms),
        closed: campaign.closed,
        granted,
        held,
        sold,
        unsold: granted.saturating_sub(held).saturating_sub(sold),
        sold_percent,
        reservations: ids.len() as u64,
        expired: expired.len() as u64,
        lines: found.iter().map(row).collect(),
        curve,
        limit_hits,
    })
}

/// Every reservation of a sale that is remembered.
pub(super) async fn reservations_of(client: &Client, id: &str) -> Result<Vec<v1::Reservation>, Failure> {
    let all = client.reader(Consistency::Linearizable).reservations(Reservations::default());
    let all = all.take(usize::MAX).await.map_err(failure_of)?;
    Ok(all.into_iter().filter(|reservation| reservation.campaign_id == id).collect())
}

async fn events_of(client: &Client, shard: u32, from_ms: u64) -> Result<Vec<v1::Event>, Failure> {
    let filter = v1::EventFilter { kinds: KINDS.map(str::to_owned).to_vec(), from_ms, ..v1::EventFilter::default() };
    let reader = client.reader(Consistency::Linearizable);
    let (mut events, mut next) = (Vec::new(), Some(0));
    while let Some(from_seq) = next {
        let page = reader.events(shard, from_seq, &filter).await.map_err(failure_of)?.value;
        events.extend(page.events);
        next = page.next_seq;
    }
    Ok(events)
}

/// How often somebody was refused by one of the limits.
pub(super) fn hits_of(events: &[v1::Event], limits: &BTreeSet<String>) -> u64 {
    let of_one = |event: &&v1::Event| match &event.subject {
        Some(v1::event::Subject::LimitHit(hit)) => limits.contains(&hit.limit_id),
        _ => false,
    };
    events.iter().filter(of_one).count() as u64
}

/// When each place had nothing left for the first time.
fn exhausted_of(events: &[v1::Event], id: &str) -> BTreeMap<(String, String), u64> {
    let mut exhausted = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind == "campaign.exhausted") {
        if let Some(v1::event::Subject::Allocation(of)) = &event.subject
            && of.campaign_id == id
        {
            exhausted.entry((of.sku.clone(), of.location_id.clone())).or_insert(event.time_ms);
        }
    }
    exhausted
}

/// Units sold in pieces of the time between.
fn curve_of<'a>(events: impl Iterator<Item = &'a v1::Event>, from_ms: u64, until_ms: u64) -> Vec<Step> {
    let seconds = (until_ms.saturating_sub(from_ms)).div_ceil(1_000 * MAX_STEPS).max(1);
    let mut steps: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for event in events {
        let step = steps.entry(event.time_ms.saturating_sub(from_ms) / (seconds * 1_000)).or_default();
        for change in &event.changes {
            let delta = change.delta.as_ref().map_or(0, |delta| delta.committed);
            match event.kind.as_str() {
                "reservation.committed" => step.0 += u64::try_from(delta).unwrap_or(0),
                "reservation.cancelled" => step.1 += u64::try_from(-delta).unwrap_or(0),
                _ => {}
            }
        }
    }
    let mut sold_in_all = 0;
    let told = steps.into_iter().filter(|(_, (sold, cancelled))| sold + cancelled > 0);
    told.map(|(number, (sold, cancelled))| {
        sold_in_all += sold;
        Step { from: dates::instant_text(from_ms + number * seconds * 1_000), seconds, sold, cancelled, sold_in_all }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_adds_up_what_was_sold_in_each_piece_of_time() {
        let event = |kind: &str, time_ms, committed| {
            let delta = Some(v1::StockDelta { committed, ..v1::StockDelta::default() });
            let changes = vec![v1::StockChange { delta, ..v1::StockChange::default() }];
            v1::Event { kind: kind.to_owned(), time_ms, changes, ..v1::Event::default() }
        };
        let events = [
            event("reservation.committed", 10_000, 3),
            event("reservation.committed", 10_999, 1),
            event("reservation.cancelled", 12_000, -2),
            event("reservation.committed", 12_500, 4),
        ];
        let told: Vec<(u64, u64, u64)> = curve_of(events.iter(), 10_000, 70_000)
            .iter()
            .map(|step| (step.sold, step.cancelled, step.sold_in_all))
            .collect();
        assert_eq!(told, [(4, 0, 4), (4, 2, 8)]);
        let long = curve_of(events.iter(), 0, 7_200_000);
        assert_eq!(long[0].seconds, 60);
    }
}
