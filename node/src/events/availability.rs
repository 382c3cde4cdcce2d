//! What may be promised, as it changes.
//!
//! A SKU that changes is remembered, not what it was: what is told is read when it is told, so that a SKU that changes a thousand times
//! between two answers is told once, and nothing grows but the set of SKUs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_inventory::{Event, EventKind, LocationId, Sku, Subject, slot_of};
use holdfast_proto::v1::{self, AvailabilityLevel};
use tokio::time::Instant;

use super::filter::skus_of;
use super::stream::{Gone, Sender};
use super::tail::{Batch, Tail};
use crate::routing::Routes;

/// The most changes of one answer.
const MAX_CHANGES: usize = 1_000;
/// So many SKUs that changed are told before their time.
const MAX_CHANGED: usize = 10_000;

/// What a reader wants.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Empty: every SKU.
    pub(crate) skus: BTreeSet<Sku>,
    pub(crate) coalesce: Duration,
    pub(crate) idle: Duration,
    /// Tell of each SKU what there is now, before anything happens to it.
    pub(crate) present: bool,
}

/// What has changed since the last answer.
#[derive(Debug, Default)]
struct Changed {
    /// Of each shard.
    skus: BTreeMap<u32, BTreeSet<Sku>>,
    /// What was out, and came back.
    back: BTreeSet<(Sku, LocationId)>,
    /// What happened and cannot be known any more: whatever is watched of that shard may have changed.
    gaps: Vec<v1::EventGap>,
}

impl Changed {
    fn note(&mut self, batch: Batch, wanted: &BTreeSet<Sku>, shard_of: impl Fn(&Sku) -> u32) {
        let Batch { shard, gap, events } = batch;
        if let Some(gap) = gap {
            let of_shard = wanted.iter().filter(|sku| shard_of(sku) == shard);
            self.skus.entry(shard).or_default().extend(of_shard.cloned());
            self.gaps.push(gap);
        }
        events.iter().for_each(|event| self.note_event(shard, wanted, event));
    }

    fn note_event(&mut self, shard: u32, wanted: &BTreeSet<Sku>, event: &Event) {
        for sku in skus_of(&event.body).filter(|sku| wanted.is_empty() || wanted.contains(*sku)) {
            self.skus.entry(shard).or_default().insert(sku.clone());
        }
        if let (EventKind::AvailabilityBack, Some(Subject::Availability { sku, location, .. })) =
            (event.body.kind, &event.body.subject)
            && (wanted.is_empty() || wanted.contains(sku))
        {
            self.back.insert((sku.clone(), location.clone()));
        }
    }

    fn len(&self) -> usize {
        self.skus.values().map(BTreeSet::len).sum::<usize>() + self.gaps.len()
    }
}

/// Tells what changes as long as there is somebody to read it; something at least every `idle`. Where events are missing, what is watched
/// of their shard is told as if it had changed, for it may have.
pub(crate) async fn watch(
    mut tail: Tail,
    wanted: Wanted,
    routes: Arc<Routes>,
    reader: Sender<v1::WatchAvailabilityResponse>,
) {
    let shard_of = |sku: &Sku| routes.shard_of(slot_of(sku));
    let mut changed = Changed::default();
    // Where a reader goes on that breaks off amid what is told now: nothing is to be left out. Empty: it begins anew.
    let mut told = if wanted.present { String::new() } else { tail.cursor().to_string() };
    if wanted.present {
        for sku in &wanted.skus {
            changed.skus.entry(shard_of(sku)).or_default().insert(sku.clone());
        }
        if wanted.skus.is_empty() {
            let shards: Vec<u32> = tail.cursor().0.keys().copied().collect();
            for shard in shards {
                if let Err(Gone) = tell_all_of(shard, &tail, &told, &reader).await {
                    return;
                }
            }
        }
    }
    let mut told_at = Instant::now();
    let mut due = Instant::now();
    loop {
        let next = tokio::select! {
            biased;
            () = reader.gone() => return,
            next = tail.next(due) => next,
        };
        match next {
            Ok(Some(batch)) => {
                let was_quiet = changed.len() == 0;
                changed.note(batch, &wanted.skus, shard_of);
                if was_quiet && changed.len() > 0 {
                    due = due.min(Instant::now().max(told_at + wanted.coalesce));
                }
                if Instant::now() < due && changed.len() < MAX_CHANGED {
                    continue;
                }
            }
            Ok(None) => {}
            Err(error) => return reader.end(error.with("cursor", tail.cursor())),
        }
        if wanted.skus.is_empty() {
            for gap in &changed.gaps {
                if let Err(Gone) = tell_all_of(gap.shard, &tail, &told, &reader).await {
                    return;
                }
            }
        }
        if let Err(Gone) = tell(&tail, std::mem::take(&mut changed), &told, &reader).await {
            return;
        }
        told = tail.cursor().to_string();
        told_at = Instant::now();
        due = told_at + wanted.idle;
    }
}

/// Tells what there is now of the SKUs that changed; at least one answer.
async fn tell(
    tail: &Tail,
    changed: Changed,
    told: &str,
    reader: &Sender<v1::WatchAvailabilityResponse>,
) -> Result<(), Gone> {
    let mut answer = Vec::new();
    for (shard, skus) in changed.skus {
        let Some(group) = tail.group(shard).cloned() else { continue };
        for sku in skus {
            let is_back = |location: &LocationId| changed.back.contains(&(sku.clone(), location.clone()));
            let look = |shard: &holdfast_inventory::Inventory| levels_of(shard, &sku, is_back);
            answer.extend(group.read_shard(look).unwrap_or_default());
            if answer.len() >= MAX_CHANGES {
                reader.send(page(std::mem::take(&mut answer), told), told).await?;
            }
        }
    }
    let cursor = tail.cursor().to_string();
    let last = v1::WatchAvailabilityResponse { gaps: changed.gaps, ..page(answer, &cursor) };
    reader.send(last, &cursor).await
}

/// Tells what there is now of every SKU of a shard. What happens while it is told is told after it.
async fn tell_all_of(
    shard: u32,
    tail: &Tail,
    told: &str,
    reader: &Sender<v1::WatchAvailabilityResponse>,
) -> Result<(), Gone> {
    let Some(group) = tail.group(shard).cloned() else { return Ok(()) };
    let mut after: Option<Sku> = None;
    loop {
        let look = |shard: &holdfast_inventory::Inventory| {
            let items = shard.items(after.as_ref(), MAX_CHANGES);
            let changes = items.iter().flat_map(|item| levels_of(shard, &item.sku, |_| false)).collect::<Vec<_>>();
            (changes, items.last().map(|item| item.sku.clone()))
        };
        let (changes, last) = group.read_shard(look).unwrap_or_default();
        let Some(last) = last else { return Ok(()) };
        after = Some(last);
        reader.send(page(changes, told), told).await?;
    }
}

fn page(changes: Vec<v1::AvailabilityChange>, cursor: &str) -> v1::WatchAvailabilityResponse {
    v1::WatchAvailabilityResponse { changes, cursor: cursor.to_owned(), gaps: Vec::new() }
}

fn levels_of(
    shard: &holdfast_inventory::Inventory,
    sku: &Sku,
    is_back: impl Fn(&LocationId) -> bool,
) -> Vec<v1::AvailabilityChange> {
    let threshold = shard.item(sku).map_or(0, |item| item.spec.low_stock_threshold);
    let levels = shard.stock(sku).unwrap_or_default().into_iter();
    let told = levels.map(|level| v1::AvailabilityChange {
        sku: sku.to_string(),
        back: level.atp > 0 && is_back(&level.location),
        location_id: level.location.to_string(),
        atp: level.atp,
        level: level_of(level.atp, threshold).into(),
        revision: level.revision.0,
    });
    told.collect()
}

const fn level_of(atp: u64, threshold: u64) -> AvailabilityLevel {
    match atp {
        0 => AvailabilityLevel::Out,
        atp if atp <= threshold => AvailabilityLevel::Low,
        _ => AvailabilityLevel::InStock,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_events_are_missing_whatever_is_watched_of_their_shard_is_told() {
        let skus: BTreeSet<Sku> = (0..20).map(|number| Sku::new(&format!("SKU-{number:02}")).unwrap()).collect();
        let is_odd = |sku: &Sku| u32::from(sku.as_str().ends_with(['1', '3', '5', '7', '9']));
        let gap = v1::EventGap { shard: 1, from_seq: 3, to_seq: 7 };
        let missing = || Batch { shard: 1, gap: Some(gap), events: Vec::new() };
        let mut changed = Changed::default();
        changed.note(missing(), &skus, is_odd);
        let odd: BTreeSet<Sku> = skus.iter().filter(|sku| is_odd(sku) == 1).cloned().collect();
        assert_eq!((changed.skus, changed.gaps), (BTreeMap::from([(1, odd)]), vec![gap]));
        let mut changed = Changed::default();
        changed.note(missing(), &BTreeSet::new(), is_odd);
        assert_eq!(changed.len(), 1, "it is told where every SKU is watched, too");
    }
}
