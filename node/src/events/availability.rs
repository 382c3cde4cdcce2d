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
}

impl Changed {
    fn note(&mut self, shard: u32, wanted: &BTreeSet<Sku>, event: &Event) {
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
        self.skus.values().map(BTreeSet::len).sum()
    }
}

/// Tells what changes as long as there is somebody to read it; something at least every `idle`.
pub(crate) async fn watch(
    mut tail: Tail,
    wanted: Wanted,
    routes: Arc<Routes>,
    reader: Sender<v1::WatchAvailabilityResponse>,
) {
    let mut changed = Changed::default();
    if wanted.present {
        for sku in &wanted.skus {
            changed.skus.entry(routes.shard_of(slot_of(sku))).or_default().insert(sku.clone());
        }
        if wanted.skus.is_empty()
            && let Err(Gone) = tell_all(&mut tail, &reader).await
        {
            return;
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
            Ok(Some(Batch { shard, events, .. })) => {
                let was_quiet = changed.len() == 0;
                events.iter().for_each(|event| changed.note(shard, &wanted.skus, event));
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
        if let Err(Gone) = tell(&mut tail, std::mem::take(&mut changed), &reader).await {
            return;
        }
        told_at = Instant::now();
        due = told_at + wanted.idle;
    }
}

/// Tells what there is now of the SKUs that changed; at least one answer.
async fn tell(tail: &mut Tail, changed: Changed, reader: &Sender<v1::WatchAvailabilityResponse>) -> Result<(), Gone> {
    let before = tail.cursor().to_string();
    let mut answer = Vec::new();
    for (shard, skus) in changed.skus {
        let Some(group) = tail.group(shard).cloned() else { continue };
        for sku in skus {
            let is_back = |location: &LocationId| changed.back.contains(&(sku.clone(), location.clone()));
            let look = |shard: &holdfast_inventory::Inventory| levels_of(shard, &sku, is_back);
            answer.extend(group.read_shard(look).unwrap_or_default());
            if answer.len() >= MAX_CHANGES {
                // Not all that the cursor promises is told yet.
                let page =
                    v1::WatchAvailabilityResponse { changes: std::mem::take(&mut answer), cursor: before.clone() };
                reader.send(page, &before).await?;
            }
        }
    }
    let cursor = tail.cursor().to_string();
    reader.send(v1::WatchAvailabilityResponse { changes: answer, cursor: cursor.clone() }, &cursor).await
}

/// Tells what there is now of every SKU.
async fn tell_all(tail: &mut Tail, reader: &Sender<v1::WatchAvailabilityResponse>) -> Result<(), Gone> {
    let shards: Vec<u32> = tail.cursor().0.keys().copied().collect();
    // What happens while it is told is told after it: the cursor stays where it is.
    let cursor = tail.cursor().to_string();
    for shard in shards {
        let Some(group) = tail.group(shard).cloned() else { continue };
        let mut after: Option<Sku> = None;
        loop {
            let look = |shard: &holdfast_inventory::Inventory| {
                let items = shard.items(after.as_ref(), MAX_CHANGES);
                let changes = items.iter().flat_map(|item| levels_of(shard, &item.sku, |_| false)).collect::<Vec<_>>();
                (changes, items.last().map(|item| item.sku.clone()))
            };
            let (changes, last) = group.read_shard(look).unwrap_or_default();
            let Some(last) = last else { break };
            after = Some(last);
            reader.send(v1::WatchAvailabilityResponse { changes, cursor: cursor.clone() }, &cursor).await?;
        }
    }
    Ok(())
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
