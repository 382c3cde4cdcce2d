//! What cannot work, said before anything is started.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::{AlertsConfig, AuditConfig, ConfigError, HttpConfig, NodeConfig, NodeLimits, RaftConfig, TelemetryConfig};

/// The most shards a cluster may be founded with.
const MAX_SHARDS: u32 = 256;
/// The most nodes that may be listed.
const MAX_NODES: usize = 9;
/// The longest cluster id, in bytes.
const MAX_CLUSTER_ID_BYTES: usize = 64;

/// So many corrections are told apart of each SKU and actor.
const MOST_CORRECTIONS: u64 = 1_000;
/// What is audited less often is not looked after.
const MOST_AUDIT_INTERVAL_S: u64 = DAY_S;

const DAY_S: u64 = 86_400;
const HOUR_MS: u64 = 3_600_000;
const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;
const GIB: u64 = 1_024 * MIB;
const TIB: u64 = 1_024 * GIB;

fn invalid(key: impl Into<String>, problem: impl Into<String>, hint: impl Into<String>) -> ConfigError {
    ConfigError::Invalid { key: key.into(), problem: problem.into(), hint: hint.into() }
}

/// A number within its bounds. Each has an upper one: times are added to others, and rooms are made of counts.
fn within(key: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(invalid(key, format!("is {value}"), format!("choose {} to {}", range.start(), range.end())))
}

impl NodeConfig {
    /// Says what cannot work.
    ///
    /// # Errors
    ///
    /// The first setting at fault, with the way out.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_cluster()?;
        self.check_nodes()?;
        self.raft.check()?;
        self.limits.check()?;
        self.audit.check()?;
        self.alerts.check()?;
        self.http.check()?;
        self.telemetry.check()?;
        super::shard_limits::check(&self.shard_limits)
    }

    fn check_cluster(&self) -> Result<(), ConfigError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.cluster_id.is_empty()
            || self.cluster_id.len() > MAX_CLUSTER_ID_BYTES
            || !self.cluster_id.chars().all(is_name)
        {
            return Err(invalid(
                "cluster_id",
                format!("is `{}`", self.cluster_id),
                "choose 1 to 64 letters, digits, `-`, `_` or `.`, and never change it",
            ));
        }
        if self.shards == 0 || self.shards > MAX_SHARDS {
            return Err(invalid("shards", format!("is {}", self.shards), "choose 1 to 256; 8 serves most shops"));
        }
        if self.data_dir.as_os_str().is_empty() {
            return Err(invalid("data_dir", "is empty", "name a folder; `{id}` stands for the node's id"));
        }
        Ok(())
    }

    fn check_nodes(&self) -> Result<(), ConfigError> {
        if self.nodes.is_empty() || self.nodes.len() > MAX_NODES {
            return Err(invalid("nodes", format!("lists {} nodes", self.nodes.len()), "list 1 to 9; 3 or 5 are usual"));
        }
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.id == 0 || !ids.insert(node.id) {
                let problem = if node.id == 0 { "is 0".to_owned() } else { format!("is {} again", node.id) };
                return Err(invalid(format!("nodes[{at}].id"), problem, "give each node an id of its own, from 1"));
            }
            let http = node.http.iter().map(|http| ("http", http));
            for (name, address) in [("client", &node.client), ("peer", &node.peer)].into_iter().chain(http) {
                let key = format!("nodes[{at}].{name}");
                check_address(&key, address)?;
                if !taken.insert(address.clone()) {
                    return Err(invalid(
                        key,
                        format!("is {address}, which is taken"),
                        "give each listener a port of its own",
                    ));
                }
            }
        }
        if !ids.contains(&self.node_id) {
            let listed: Vec<String> = ids.iter().map(u64::to_string).collect();
            return Err(invalid(
                "node_id",
                format!("is {}, which `nodes` does not list", self.node_id),
                format!("choose one of {}, or add the node to `nodes`", listed.join(", ")),
            ));
        }
        Ok(())
    }
}

/// Whether it reads `host:port`; the host is not looked for.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    matches!(port, Some(Ok(1..)))
}

fn check_address(key: &str, address: &str) -> Result<(), ConfigError> {
    if is_address(address) {
        return Ok(());
    }
    Err(invalid(key, format!("is `{address}`"), "write host:port, such as 10.0.0.7:7400"))
}

impl RaftConfig {
    fn check(&self) -> Result<(), ConfigError> {
        within("raft.heartbeat_ms", self.heartbeat_ms, 10..=60_000)?;
        within("raft.election_max_ms", self.election_max_ms, 1..=600_000)?;
        within("raft.max_clock_offset_ms", self.max_clock_offset_ms, 1..=24 * HOUR_MS)?;
        if self.election_min_ms < 2 * self.heartbeat_ms {
            return Err(invalid(
                "raft.election_min_ms",
                format!("is {}", self.election_min_ms),
                format!("choose at least twice heartbeat_ms, which is {}", self.heartbeat_ms),
            ));
        }
        if self.election_max_ms <= self.election_min_ms {
            return Err(invalid(
                "raft.election_max_ms",
                format!("is {}", self.election_max_ms),
                format!("choose more than election_min_ms, which is {}", self.election_min_ms),
            ));
        }
        Ok(())
    }
}

impl AuditConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if self.interval_s <= MOST_AUDIT_INTERVAL_S {
            return Ok(());
        }
        let hint = format!("choose at most {MOST_AUDIT_INTERVAL_S}, a day; or 0 for none");
        Err(invalid("audit.interval_s", format!("is {}", self.interval_s), hint))
    }
}

impl AlertsConfig {
    fn check(&self) -> Result<(), ConfigError> {
        within("alerts.percent", self.percent.into(), 0..=1_000_000)?;
        within("alerts.corrections", self.corrections.into(), 0..=MOST_CORRECTIONS)?;
        // A day: a node that starts looks no further back.
        within("alerts.window_min", self.window_min.into(), 1..=1_440)
    }
}

impl HttpConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let shown = self.availability_shown.as_str();
        let is_cap = shown.strip_prefix("capped:").is_some_and(|most| matches!(most.parse::<u64>(), Ok(1..)));
        if !is_cap && !matches!(shown, "exact" | "status") {
            let hint = "choose exact, capped:N (such as capped:10) or status";
            return Err(invalid("http.availability_shown", format!("is `{shown}`"), hint));
        }
        within("http.max_connections", self.max_connections as u64, 1..=1_000_000)
    }
}

impl TelemetryConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if !self.otlp_endpoint.is_empty() && self.collector().is_none() {
            let hint = "write http://host:port of a collector's OTLP gRPC port, such as http://127.0.0.1:4317; for TLS, run one beside the node";
            return Err(invalid("telemetry.otlp_endpoint", format!("is `{}`", self.otlp_endpoint), hint));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let problem = format!("is {}", self.sample_ratio);
            return Err(invalid("telemetry.sample_ratio", problem, "choose 0.0 (none) to 1.0 (all)"));
        }
        Ok(())
    }
}

impl NodeLimits {
    fn check(&self) -> Result<(), ConfigError> {
        let within = |key: &str, value: u64, range| within(&format!("limits.{key}"), value, range);
        within("max_connections", self.max_connections as u64, 1..=1_000_000)?;
        within("max_streams", self.max_streams.into(), 1..=1_000_000)?;
        // A whole request must fit, or it could never be admitted.
        within("waiting_commands", self.waiting_commands as u64, super::MAX_BATCH_COMMANDS as u64..=100_000_000)?;
        within("waiting_bytes", self.waiting_bytes as u64, 2 * super::MAX_REQUEST_BYTES as u64..=TIB)?;
        within("entry_commands", self.entry_commands as u64, 1..=1_000_000)?;
        // Peers read frames of 4 MiB.
        within("entry_bytes", self.entry_bytes as u64, 4 * KIB..=MIB)?;
        within("entries_in_flight", self.entries_in_flight as u64, 1..=4_096)?;
        within("session_in_flight", self.session_in_flight as u64, 1..=65_536)?;
        within("request_timeout_ms", self.request_timeout_ms, 100..=HOUR_MS)?;
        within("drain_ms", self.drain_ms, 0..=HOUR_MS)?;
        within("segment_bytes", self.segment_bytes, MIB..=GIB)?;
        within("log_cache_bytes", self.log_cache_bytes as u64, 0..=TIB)?;
        within("checkpoint_bytes", self.checkpoint_bytes, MIB..=TIB)?;
        within("checkpoint_age_s", self.checkpoint_age_s, 1..=7 * DAY_S)?;
        // The scrubber is never off, and no faster than what is done beside it: slower than this a pass over a disk takes days.
        within("scrub_bytes_per_s", self.scrub_bytes_per_s, 256 * KIB..=GIB)?;
        within("scrub_pause_s", self.scrub_pause_s, 1..=7 * DAY_S)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NodeAddresses, Overrides};
    use super::*;

    fn three() -> NodeConfig {
        let flags = Overrides { node_id: Some(2), ..Overrides::default() };
        NodeConfig::from_text(include_str!("../../../cluster.toml"), &flags).unwrap()
    }

    fn refused(change: impl FnOnce(&mut NodeConfig)) -> String {
        let mut config = three();
        change(&mut config);
        let error = config.check().unwrap_err();
        format!("{error}; {}", error.hint())
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_key_and_the_way_out() {
        let lines = [
            refused(|config| config.cluster_id = "a shop".into()),
            refused(|config| config.shards = 0),
            refused(|config| config.node_id = 4),
            refused(|config| config.nodes[2].id = 1),
            refused(|config| config.nodes[1].client = "localhost".into()),
            refused(|config| config.nodes[1].peer = config.nodes[0].peer.clone()),
            refused(|config| config.nodes.clear()),
            refused(|config| config.raft.election_min_ms = 300),
            refused(|config| config.raft.election_max_ms = 500),
            refused(|config| config.limits.waiting_commands = 10),
            refused(|config| config.limits.scrub_bytes_per_s = 0),
            refused(|config| config.limits.scrub_pause_s = 10_000_000),
            refused(|config| config.alerts.corrections = 1_001),
            refused(|config| config.alerts.window_min = 0),
            refused(|config| config.http.availability_shown = "capped:0".into()),
            refused(|config| config.http.max_connections = 0),
            refused(|config| config.telemetry.otlp_endpoint = "https://collector:4317".into()),
            refused(|config| config.telemetry.sample_ratio = f64::NAN),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_number_beyond_all_bounds_is_refused_by_its_name_and_never_a_panic() {
        let text = "node_id = 1\ncluster_id = \"shop\"\nnodes = [{ id = 1, client = \"h:1\", peer = \"h:2\" }]";
        for key in [
            "raft.heartbeat_ms",
            "raft.election_max_ms",
            "raft.max_clock_offset_ms",
            "limits.request_timeout_ms",
            "limits.max_connections",
            "http.max_connections",
        ] {
            let settings = vec![(key.to_owned(), u64::MAX.to_string())];
            let error = NodeConfig::from_text(text, &Overrides { settings, ..Overrides::default() }).unwrap_err();
            assert_eq!(error.key(), Some(key));
        }
    }

    #[test]
    fn a_node_may_go_without_http() {
        let mut config = three();
        for NodeAddresses { http, .. } in &mut config.nodes {
            *http = None;
        }
        config.check().unwrap();
    }
}
