//! The metrics of a node: their table, the few handles that the hot path keeps, and what is looked at when somebody asks.

mod hot;
mod observe;
mod requests;
mod survey;
mod table;

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_inventory::{EndpointId, EventBody, EventKind, StepState, Subject};
use metrics::{Counter, Histogram};

pub(crate) use observe::{observe, result_window_ms, stage_times};
pub(crate) use requests::Requests;
pub(crate) use survey::{Surveys, survey_shards};
pub use table::*;

/// Describes every metric of the table to the recorder, and begins those at 0 that have no labels of this node's own: a counter that
/// first appears with a value has no increase.
pub(crate) fn describe() {
    for &Metric { name, kind, unit, labels, help } in METRICS {
        let unit = match unit {
            Unit::None => metrics::Unit::Count,
            Unit::Seconds => metrics::Unit::Seconds,
            Unit::Bytes => metrics::Unit::Bytes,
        };
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
        if kind == Kind::Counter && labels.is_empty() {
            metrics::counter!(name).increment(0);
        }
    }
    for done in ["yes", "no"] {
        metrics::counter!(PEER_SNAPSHOTS, "done" => done).increment(0);
    }
    metrics::gauge!(PEER_SESSIONS).increment(0.0);
}

/// One reader more took nothing, and was let go.
pub fn count_slow_reader() {
    metrics::counter!(SLOW_READERS).increment(1);
}

/// Events that alerts watch: they begin at 0.
const WATCHED_EVENTS: [EventKind; 8] = [
    EventKind::ReconciliationDrift,
    EventKind::ReconciliationRepaired,
    EventKind::OrderStuck,
    EventKind::StockShortfall,
    EventKind::LimitHit,
    EventKind::AvailabilityLow,
    EventKind::AvailabilityOut,
    EventKind::ShardHalted,
];

/// The ways in which a step ends otherwise than done.
const STEP_FAILURES: [(StepState, &str); 3] = [
    (StepState::Failed, "failed"),
    (StepState::Unknown, "unknown"),
    (StepState::CompensationFailed, "compensation_failed"),
];

/// The handles of one shard.
#[derive(Debug)]
pub(crate) struct ShardMetrics {
    entries: Counter,
    commands: Counter,
    entry_bytes: Counter,
    applied: Histogram,
}

impl ShardMetrics {
    pub(crate) fn new(shard: u32) -> Self {
        let shard = shard.to_string();
        Self {
            entries: metrics::counter!(ENTRIES, "shard" => shard.clone()),
            commands: metrics::counter!(COMMANDS, "shard" => shard.clone()),
            entry_bytes: metrics::counter!(ENTRY_BYTES, "shard" => shard.clone()),
            applied: metrics::histogram!(APPLIED, "shard" => shard),
        }
    }

    pub(crate) fn entry(&self, bytes: usize, commands: usize) {
        self.entries.increment(1);
        self.commands.increment(commands as u64);
        self.entry_bytes.increment(bytes as u64);
    }

    pub(crate) fn applied(&self, after: Duration) {
        self.applied.record(after.as_secs_f64());
    }
}

/// What a shard counts begins at 0.
pub(crate) fn begin_shard(shard: u32) {
    let name = shard.to_string();
    for counter in [ACTOR_RESTARTS, SOLD_OUT_UNRECORDED, AUDITS, AUDIT_BREACHES, DRIFT_UNITS] {
        metrics::counter!(counter, "shard" => name.clone()).increment(0);
    }
    metrics::gauge!(OVERSOLD, "shard" => name.clone()).set(0.0);
    for kind in WATCHED_EVENTS {
        metrics::counter!(EVENTS, "shard" => name.clone(), "kind" => kind.name()).increment(0);
    }
    for (_, state) in STEP_FAILURES {
        metrics::counter!(STEPS_FAILED, "shard" => name.clone(), "state" => state).increment(0);
    }
    for rule in crate::alerts::RULES {
        metrics::counter!(ALERTS, "shard" => name.clone(), "rule" => rule).increment(0);
    }
}

pub(crate) fn actor_restarted(shard: u32) {
    metrics::counter!(ACTOR_RESTARTS, "shard" => shard.to_string()).increment(1);
}

pub(crate) fn sold_out_unrecorded(shard: u32) {
    metrics::counter!(SOLD_OUT_UNRECORDED, "shard" => shard.to_string()).increment(1);
}

pub(crate) fn audited(shard: u32, took: Duration, breaches: u64, oversold_units: u64) {
    let shard = shard.to_string();
    metrics::counter!(AUDITS, "shard" => shard.clone()).increment(1);
    metrics::counter!(AUDIT_BREACHES, "shard" => shard.clone()).increment(breaches);
    metrics::gauge!(OVERSOLD, "shard" => shard.clone()).set(oversold_units as f64);
    metrics::histogram!(AUDIT_TOOK, "shard" => shard).record(took.as_secs_f64());
}

pub(crate) fn alerted(shard: u32, rule: &'static str) {
    metrics::counter!(ALERTS, "shard" => shard.to_string(), "rule" => rule).increment(1);
}

/// What happened to a shard, counted from its change log: a handle a kind, since a busy shard has many events.
#[derive(Debug)]
pub(crate) struct EventMetrics {
    shard: String,
    by_kind: BTreeMap<EventKind, Counter>,
}

impl EventMetrics {
    pub(crate) fn new(shard: u32) -> Self {
        Self { shard: shard.to_string(), by_kind: BTreeMap::new() }
    }

    /// An event, read once.
    pub(crate) fn happened(&mut self, event: &EventBody) {
        let (shard, kind) = (&self.shard, event.kind);
        let counter = self.by_kind.entry(kind);
        counter
            .or_insert_with(|| metrics::counter!(EVENTS, "shard" => shard.clone(), "kind" => kind.name()))
            .increment(1);
        match &event.subject {
            Some(Subject::Reconciliation { delta, .. }) => {
                metrics::counter!(DRIFT_UNITS, "shard" => shard.clone()).increment(delta.unsigned_abs());
            }
            Some(Subject::Order { step: Some((_, state)), .. }) if kind == EventKind::OrderStepEnded => {
                if let Some((_, name)) = STEP_FAILURES.iter().find(|(failure, _)| failure == state) {
                    metrics::counter!(STEPS_FAILED, "shard" => shard.clone(), "state" => *name).increment(1);
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn called(endpoint: &EndpointId, outcome: &'static str) {
    metrics::counter!(CALLS, "endpoint" => endpoint.as_str().to_owned(), "outcome" => outcome).increment(1);
}

pub(crate) fn breaker_is_open(endpoint: &EndpointId, is_open: bool) {
    metrics::gauge!(BREAKER_OPEN, "endpoint" => endpoint.as_str().to_owned()).set(f64::from(u8::from(is_open)));
}

pub(crate) fn clock_offset(offset_ms: i64) {
    metrics::gauge!(CLOCK_OFFSET).set(offset_ms as f64 / 1_000.0);
}
