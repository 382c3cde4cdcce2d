//! Alerts: each node watches the change logs of its replicas for corrections of the books that are abnormal by size or by rate.
//!
//! Responsible for reading what happened since it last looked, and for a bounded list of what was abnormal. Promises that it follows from
//! the shards' logs alone, so that all replicas of a shard tell the same, and a node that was started anew tells again what is
//! recent. Leaves what is abnormal to [`rules`]. It changes nothing and holds nobody up: it reads what is applied.

mod rules;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use holdfast_inventory::LogTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use rules::Watcher;
pub(crate) use rules::{Alert, RULES};

use crate::core::Core;
use crate::metrics::{self, EventMetrics};
use crate::shard::ShardHandle;

/// How often it is looked whether something has happened.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events that are read at once.
const AT_ONCE: usize = 1_000;
/// Events of a shard that are read in one turn; then it is another shard's.
const A_TURN: u64 = 20_000;
/// How long is waited for what is applied to be written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How far back a node that starts reads, in log time and in events.
const LOOKS_BACK_MS: u64 = 24 * 3_600_000;
const LOOKS_BACK_EVENTS: u64 = 100_000;
/// Alerts that a node keeps; the oldest is forgotten.
const KEPT: usize = 1_000;

/// What this node found abnormal, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Alerts(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    alerts: VecDeque<(u32, Alert)>,
    forgotten: u64,
}

impl Alerts {
    fn keep(&self, shard: u32, alert: Alert) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.alerts.len() == KEPT {
            kept.alerts.pop_front();
            kept.forgotten += 1;
        }
        kept.alerts.push_back((shard, alert));
    }

    /// Those of that shard or of all, and how many there were before them of any.
    pub(crate) fn list(&self, of: Option<u32>) -> (Vec<(u32, Alert)>, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |(shard, _): &&(u32, Alert)| of.is_none_or(|of| of == *shard);
        (kept.alerts.iter().filter(wanted).cloned().collect(), kept.forgotten)
    }
}

/// How far one shard was read.
struct Reader {
    watcher: Watcher,
    counted: EventMetrics,
    next: u64,
}

/// Until the node stops: watches the shards' events.
pub(crate) async fn watch_movements(core: Arc<Core>, mut stopping: watch::Receiver<bool>) {
    // What happened is counted for the metrics too.
    if core.config.alerts.is_off() && core.config.me().http.is_none() {
        return;
    }
    let started_at = LogTime(core.world.clock.wall_ms());
    let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(LOOK_EVERY) => {}
        }
        for shard in core.shards().iter() {
            if *stopping.borrow() {
                return;
            }
            if let Err(why) = read_on(&core, shard, &mut readers, started_at).await {
                tracing::warn!(shard = shard.shard(), why, "the change log was not read for alerts; it is tried again");
            }
        }
    }
}

/// Reads what happened since it last looked. What happened before the node started is listed, and no news.
async fn read_on(
    core: &Core,
    shard: &ShardHandle,
    readers: &mut BTreeMap<u32, Reader>,
    started_at: LogTime,
) -> Result<(), String> {
    let (number, group) = (shard.shard(), shard.group());
    let Some((through, now)) = group.read_shard(|shard| (shard.last_event().0, shard.now())) else {
        return Ok(());
    };
    let deadline = Instant::now() + WRITTEN_WITHIN;
    let reader = match readers.entry(number) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(place) => {
            let recent = LogTime(now.0.saturating_sub(LOOKS_BACK_MS));
            let from = group.first_event_at(recent).await.map_err(|fault| fault.to_string())?;
            let next = from.max((through + 1).saturating_sub(LOOKS_BACK_EVENTS));
            let watcher = Watcher::new(core.config.alerts.clone());
            place.insert(Reader { watcher, counted: EventMetrics::new(number), next })
        }
    };
    // A replica that was filled from another keeps fewer events: what it does not have is passed over.
    reader.next = reader.next.max(group.first_kept_event());
    let until = through.min(reader.next.saturating_add(A_TURN));
    while reader.next <= until {
        let read = group.events(reader.next, until, AT_ONCE, deadline).await.map_err(|fault| fault.to_string())?;
        let Some(last) = read.last() else { break };
        reader.next = last.body.seq + 1;
        for event in &read {
            if event.body.time >= started_at {
                reader.counted.happened(&event.body);
            }
            for alert in reader.watcher.take_in(&event.body) {
                if event.body.time >= started_at {
                    tell(number, &alert);
                }
                core.alerts.keep(number, alert);
            }
        }
    }
    Ok(())
}

fn tell(shard: u32, alert: &Alert) {
    metrics::alerted(shard, alert.rule.name());
    let (rule, seq, sentence) = (alert.rule.name(), alert.seq, alert.sentence.as_str());
    tracing::warn!(shard, rule, seq, sentence, "the books were corrected in an abnormal way");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_says_how_many_it_has_forgotten() {
        let alerts = Alerts::default();
        for seq in 0..KEPT as u64 + 3 {
            let alert = Alert {
                rule: rules::Rule::SkuRate,
                seq,
                time: LogTime(seq),
                sku: String::new(),
                location: String::new(),
                actors: Vec::new(),
                units: 0,
                on_hand: 0,
                corrections: 1,
                sentence: String::new(),
            };
            alerts.keep(u32::try_from(seq % 2).unwrap(), alert);
        }
        let (all, forgotten) = alerts.list(None);
        assert_eq!((all.len(), all[0].1.seq, forgotten), (KEPT, 3, 3));
        assert_eq!(alerts.list(Some(1)).0.len(), KEPT / 2);
    }
}
