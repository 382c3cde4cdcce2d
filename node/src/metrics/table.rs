//! The table of all metrics: what `/metrics` describes, what `holdfast metrics list` prints, and what docs/metrics.md shows.
//!
//! A name begins with `holdfast_`, says its unit in the base unit (seconds, bytes) at its end, and of a counter ends in `_total`. No
//! label has a SKU, a customer or anything else of which there is no end: those SKUs that are hot stand in `/metrics/detail` alone.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, until the node is started anew.
    Counter,
    /// What is so now.
    Gauge,
    /// How often how much, in buckets.
    Histogram,
}

impl Kind {
    /// Its name in Prometheus' exposition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// In what a metric is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things, or 1 for yes and 0 for no.
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name; empty: none.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In what it is told.
    pub unit: Unit,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($(#[doc = $doc:literal])+ $table:ident: $($constant:ident = $kind:ident $name:literal in $unit:ident by [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: &str = $name;
        )*
        $(#[doc = $doc])+
        pub const $table: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, unit: Unit::$unit, labels: &[$($label),*], help: $help },)*
        ];
    };
}

metrics_table! {
    /// Every metric of `/metrics`, in the order in which they are listed.
    METRICS:
    BUILD_INFO = Gauge "holdfast_build_info" in None by ["version", "node"] "1, with the version that runs and the node's id.";
    READY = Gauge "holdfast_ready" in None by [] "Whether this node is ready: 1 or 0.";
    WARNINGS = Gauge "holdfast_warnings" in None by [] "What this node warns of in `holdfast cluster status`.";
    UPTIME = Gauge "holdfast_uptime_seconds" in Seconds by [] "Since the node started.";
    CLOCK_OFFSET = Gauge "holdfast_clock_offset_seconds" in Seconds by [] "How far this node's wall clock is ahead of the median of the nodes'.";
    DISK_FREE = Gauge "holdfast_disk_free_bytes" in Bytes by [] "Free on the disk with the node's folder.";
    DISK_SIZE = Gauge "holdfast_disk_size_bytes" in Bytes by [] "The size of the disk with the node's folder.";
    RESIDENT = Gauge "holdfast_process_resident_bytes" in Bytes by [] "Memory of the node's process, as Linux counts it.";
    REQUESTS = Counter "holdfast_requests_total" in None by ["request", "outcome"] "Commands, by their kind, and reads that this node answered, and how: `done`, or the reason as in docs/errors.md.";
    REQUEST_TIME = Histogram "holdfast_request_duration_seconds" in Seconds by ["request"] "How long a request of `commands` or a `read` took at this node.";
    HAS_LEADER = Gauge "holdfast_group_has_leader" in None by ["group"] "Whether this node has heard lately of a leader of the group that a majority confirms (0: the cluster's records; n + 1: shard n): 1 or 0.";
    LEADS = Gauge "holdfast_group_leads" in None by ["group"] "Whether this node leads the group: 1 or 0.";
    CORE_ALIVE = Gauge "holdfast_group_core_alive" in None by ["group"] "Whether the group's Raft core runs on this node: 1 or 0.";
    LOG_INDEX = Gauge "holdfast_group_log_index" in None by ["group", "kind"] "Positions of the group's log here: last, committed, applied, checkpointed, purged.";
    APPLY_LAG = Gauge "holdfast_group_apply_lag_entries" in None by ["group"] "Entries that are known here to be committed and are not applied.";
    STALENESS = Gauge "holdfast_group_staleness_seconds" in Seconds by ["group"] "How old what is applied here is, at most.";
    ENTRIES = Counter "holdfast_shard_entries_total" in None by ["shard"] "Log entries proposed.";
    COMMANDS = Counter "holdfast_shard_commands_total" in None by ["shard"] "Commands proposed.";
    ENTRY_BYTES = Counter "holdfast_shard_entry_bytes_total" in Bytes by ["shard"] "Bytes of log entries proposed.";
    APPLIED = Histogram "holdfast_shard_applied_seconds" in Seconds by ["shard"] "From proposing an entry until its answers are there.";
    SOLD_OUT_UNRECORDED = Counter "holdfast_shard_sold_out_unrecorded_total" in None by ["shard"] "Reserves answered as sold out without a log entry.";
    ACTOR_RESTARTS = Counter "holdfast_shard_actor_restarts_total" in None by ["shard"] "Restarts of the shard's actor.";
    WAITING = Gauge "holdfast_shard_waiting_commands" in None by ["shard"] "Commands that wait at the shard.";
    WAITING_CAPACITY = Gauge "holdfast_shard_waiting_capacity" in None by ["shard"] "Commands that may wait at the shard before it answers OVERLOADED.";
    RECORDS = Gauge "holdfast_shard_records" in None by ["shard", "kind"] "Records of the shard: items, live_reservations, ended_reservations, results.";
    RESULT_WINDOW = Gauge "holdfast_shard_result_window_seconds" in Seconds by ["shard"] "How far back the shard remembers results, in log time.";
    HALTED = Gauge "holdfast_shard_halted" in None by ["shard"] "Whether an audit has halted the shard: 1 or 0.";
    SKUS = Gauge "holdfast_shard_skus" in None by ["shard", "availability"] "SKUs on sale by what may be promised of them: nothing (out), no more than their threshold (low), more (enough); looked at every few seconds.";
    NEAR_REMOVAL = Gauge "holdfast_shard_near_removal_units" in None by ["shard"] "Units of lots past their alert that leave sale soon, neither sold nor damaged.";
    OPEN_COUNTS = Gauge "holdfast_shard_open_counts" in None by ["shard"] "Counts that are open.";
    OLDEST_COUNT = Gauge "holdfast_shard_oldest_open_count_seconds" in Seconds by ["shard"] "How long the oldest open count has been open, in log time; 0: none is.";
    ORDERS = Gauge "holdfast_shard_orders" in None by ["shard", "state"] "Orders with external steps: open (those that are stuck too), stuck.";
    EVENTS = Counter "holdfast_events_total" in None by ["shard", "kind"] "Events of the shard's change log since the node started; each replica of a shard tells the same.";
    DRIFT_UNITS = Counter "holdfast_reconciliation_drift_units_total" in None by ["shard"] "Units by which reconciliations found the books to differ, more or fewer, noted or repaired.";
    STEPS_FAILED = Counter "holdfast_order_steps_failed_total" in None by ["shard", "state"] "Steps of orders that ended otherwise than done: failed, unknown, compensation_failed.";
    ALERTS = Counter "holdfast_alerts_total" in None by ["shard", "rule"] "Abnormal corrections of the books; each replica of a shard tells the same.";
    AUDITS = Counter "holdfast_audits_total" in None by ["shard"] "Audits of this node's replica.";
    AUDIT_BREACHES = Counter "holdfast_audit_breaches_total" in None by ["shard"] "What audits found broken.";
    AUDIT_TOOK = Histogram "holdfast_audit_seconds" in Seconds by ["shard"] "How long an audit took.";
    OVERSOLD = Gauge "holdfast_oversold_units" in None by ["shard"] "Units that are promised beyond what lies there, by the last audit here: 0, always.";
    SLOW_READERS = Counter "holdfast_slow_readers_total" in None by [] "Readers of events, of availability or of an answer over HTTP that took nothing, and were let go.";
    CALLS = Counter "holdfast_endpoint_calls_total" in None by ["endpoint", "outcome"] "Attempts to call endpoints for orders' steps: done, refused, nothing, fallback or withdrawn.";
    BREAKER_OPEN = Gauge "holdfast_endpoint_breaker_open" in None by ["endpoint"] "Whether this node leaves the endpoint alone: 1 or 0.";
    STAGE_PASSED = Counter "holdfast_stage_passed_total" in None by ["stage"] "Passages of a stage of the way of commands: check, wait, commit, append, sync, apply, record.";
    STAGE_TIME = Counter "holdfast_stage_duration_seconds_total" in Seconds by ["stage"] "Time that passages of the stage took in all.";
    ROTTEN = Counter "holdfast_scrub_rotten_total" in None by ["kind"] "What was found rotten on the disk: entries, segments, chunks.";
    MENDED = Counter "holdfast_scrub_mended_total" in None by ["kind"] "What of it was mended.";
    SCRUB_FAILED = Counter "holdfast_scrub_failed_reads_total" in None by [] "Reads of the scrubber for which the disk gave nothing.";
    PEER_FRAMES_SENT = Counter "holdfast_peer_frames_sent_total" in None by [] "Frames sent to other nodes.";
    PEER_BYTES_SENT = Counter "holdfast_peer_bytes_sent_total" in Bytes by [] "Bytes sent to other nodes.";
    PEER_FRAMES_RECEIVED = Counter "holdfast_peer_frames_received_total" in None by [] "Frames of other nodes.";
    PEER_FRAMES_LATE = Counter "holdfast_peer_frames_late_total" in None by [] "Frames of sessions that were over, dropped.";
    PEER_HEARTBEATS = Counter "holdfast_peer_heartbeats_total" in None by [] "Heartbeats of groups, several in a frame.";
    PEER_SESSIONS = Gauge "holdfast_peer_sessions" in None by [] "Open sessions to other nodes.";
    PEER_CONNECTIONS = Counter "holdfast_peer_connections_total" in None by [] "Streams made to other nodes.";
    PEER_BROKEN = Counter "holdfast_peer_connections_broken_total" in None by [] "Streams to other nodes that broke.";
    TRACE_SPANS = Counter "holdfast_trace_spans_total" in None by ["outcome"] "Spans of traces: `sent` to the collector, or dropped because as many waited as may (`queue_full`), or because it did not take them (`not_taken`).";
    PEER_SNAPSHOTS = Counter "holdfast_peer_snapshots_sent_total" in None by ["done"] "Snapshots sent to other nodes, and whether to the end: yes or no.";
}

metrics_table! {
    /// What `/metrics/detail` has: for eyes, or scraped apart. They alone have a label of SKUs, of at most fifty each.
    DETAIL:
    HOT_RESERVES = Gauge "holdfast_hot_sku_reserves" in None by ["sku"]
        "Reserves of the SKU at this node in the last ten to twenty minutes, of those SKUs that have most.";
    HOT_REFUSALS = Gauge "holdfast_hot_sku_refusals" in None by ["sku"]
        "Reserves of the SKU that were not done at this node in the last ten to twenty minutes, of those SKUs that have most.";
}

/// Every metric, with the path that serves it.
pub fn every_metric() -> impl Iterator<Item = (&'static str, &'static Metric)> {
    METRICS.iter().map(|metric| ("/metrics", metric)).chain(DETAIL.iter().map(|metric| ("/metrics/detail", metric)))
}

/// The table as docs/metrics.md has it.
#[must_use]
pub fn table_of_docs() -> String {
    let mut text = "| metric | kind | labels | what it tells |\n| --- | --- | --- | --- |\n".to_owned();
    for (path, Metric { name, kind, labels, help, .. }) in every_metric() {
        let help = if path == "/metrics" { (*help).to_owned() } else { format!("At `{path}` alone: {help}") };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        text += &format!("| `{name}` | {} | {} | {help} |\n", kind.name(), labels.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let mut names = BTreeSet::new();
        for (_, Metric { name, kind, unit, labels, help }) in every_metric() {
            assert!(names.insert(name), "{name} stands twice");
            assert!(name.starts_with("holdfast_"), "{name}");
            let is_plain = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
            assert!(is_plain(name) && labels.iter().all(|label| is_plain(label)), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}: counters, and they alone, end so");
            assert!(!["_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)), "{name}");
            let bare = name.strip_suffix("_total").unwrap_or(name);
            let says = |unit: Unit| bare.split('_').any(|word| word == unit.name());
            assert_eq!(*unit == Unit::Seconds, bare.ends_with("_seconds"), "{name}: its unit stands at its end");
            assert_eq!(*unit == Unit::Bytes, says(Unit::Bytes), "{name}");
            let scaled = ["ms", "us", "ns", "millis", "milliseconds", "minutes", "kib", "mib", "kilobytes", "percent"];
            assert!(!bare.split('_').any(|word| scaled.contains(&word)), "{name}: base units only");
            assert!(*kind != Kind::Histogram || *unit != Unit::None, "{name}: of what?");
            assert!(help.ends_with('.') && !help.contains(['\n', '|']), "{name}: one sentence, of one line of a table");
        }
    }

    #[test]
    fn no_label_of_the_metrics_has_values_without_end() {
        for metric in METRICS {
            for label in metric.labels {
                let endless = ["sku", "customer", "location", "lot", "reservation", "order", "campaign", "actor", "id"];
                assert!(!endless.contains(label), "{}: {label}", metric.name);
            }
        }
    }

    /// `HOLDFAST_WRITE_DOCS=1` writes the page's table anew.
    #[test]
    fn the_docs_show_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
        let page = std::fs::read_to_string(&path).expect("docs/metrics.md is there");
        let (begin, end) = ("<!-- the table of node/src/metrics/table.rs -->\n\n", "\n<!-- end of the table -->");
        let (before, rest) = page.split_once(begin).expect("the page has the table's beginning");
        let (table, after) = rest.split_once(end).expect("the page has the table's end");
        if std::env::var_os("HOLDFAST_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{begin}{}{end}{after}", table_of_docs())).expect("it is written");
            return;
        }
        assert_eq!(table, table_of_docs(), "run this test with HOLDFAST_WRITE_DOCS=1");
    }
}
