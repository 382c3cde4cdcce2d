//! The configuration of a node: what it is made of, and what each part is when nobody says anything.
//!
//! Responsible for names, units and defaults; [`load`](NodeConfig::load) puts file, environment and flags together, and
//! [`check`](NodeConfig::check) says what cannot work before anything is started. Promises that a key nobody knows is
//! refused rather than ignored. Leaves to the meta group what must be the same on all nodes for ever.

mod check;
mod error;
mod load;
mod shard_limits;

use std::path::PathBuf;

use holdfast_inventory::Limits as ShardLimits;
use serde::{Deserialize, Serialize};

pub use check::is_address;
pub use error::ConfigError;
pub use load::Overrides;

/// Everything a node needs to know to start. The same file serves all nodes of a cluster; `node_id` says which one this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Which of `nodes` this is; from `--node` or `HOLDFAST_NODE_ID`.
    pub node_id: u64,
    /// The cluster's name: a node never speaks to one of another cluster.
    pub cluster_id: String,
    /// How many shards the cluster is founded with. Looked at once, when it is founded.
    #[serde(default = "default_shards")]
    pub shards: u32,
    /// The folder of this node's data; `{id}` stands for the node's id.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Every node of the cluster.
    pub nodes: Vec<NodeAddresses>,
    /// A fresh node that shall take the place of another one: it founds nothing, and waits until `holdfast cluster replace`
    /// names it.
    #[serde(default)]
    pub join: bool,
    /// Heartbeats and elections.
    #[serde(default)]
    pub raft: RaftConfig,
    /// Bounds of this node.
    #[serde(default)]
    pub limits: NodeLimits,
    /// Where log lines go, and in which form.
    #[serde(default)]
    pub log: LogConfig,
    /// Where traces of requests are sent.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// The bounds of each shard that the cluster is founded with. Part of the replicated state, and so the same on every
    /// node: looked at once, when the cluster is founded.
    #[serde(default)]
    pub shard_limits: ShardLimits,
    /// How a node looks after the replicas it does not lead.
    #[serde(default)]
    pub audit: AuditConfig,
    /// Which corrections of the books a node tells of.
    #[serde(default)]
    pub alerts: AlertsConfig,
    /// What the HTTP port shows, and by which names it is reached.
    #[serde(default)]
    pub http: HttpConfig,
    /// The latest schema of log entries that this node understands: no key of the file, but the build's own. Only simulations
    /// have another one, to run nodes of two versions.
    #[serde(skip, default = "schema_of_this_build")]
    pub schema: u32,
}

/// Where a node is reached, each as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeAddresses {
    /// The node's id, never given to another node again.
    pub id: u64,
    /// Where clients reach it, by gRPC.
    pub client: String,
    /// Where the other nodes reach it.
    pub peer: String,
    /// Where the REST API, the dashboard, health checks and metrics are; none: it serves no HTTP.
    #[serde(default)]
    pub http: Option<String>,
}

/// Heartbeats and elections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RaftConfig {
    /// How often a leader is heard from.
    pub heartbeat_ms: u64,
    /// A follower that has heard nothing for `election_max_ms` waits for a time more, which is drawn anew and is at least this, and stands for
    /// election.
    pub election_min_ms: u64,
    /// How long a follower that hears nothing grants nobody else a vote; and the most that it then waits before it stands for election.
    pub election_max_ms: u64,
    /// A node whose wall clock is further than this from the median of its peers does not lead.
    pub max_clock_offset_ms: u64,
}

impl Default for RaftConfig {
    fn default() -> Self {
        Self { heartbeat_ms: 200, election_min_ms: 500, election_max_ms: 1_000, max_clock_offset_ms: 500 }
    }
}

/// Bounds of one node. Each has a named error at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeLimits {
    /// Connections of clients at once.
    pub max_connections: usize,
    /// Requests at once on a connection.
    pub max_streams: u32,
    /// Commands that may wait at a shard; more are answered `OVERLOADED`.
    pub waiting_commands: usize,
    /// Bytes of commands that may wait at a shard.
    pub waiting_bytes: usize,
    /// Commands in one log entry; a linked chain is never split and may go beyond.
    pub entry_commands: usize,
    /// Bytes of one log entry; a linked chain may go beyond.
    pub entry_bytes: usize,
    /// Log entries of a shard that may be proposed and not yet applied.
    pub entries_in_flight: usize,
    /// Requests in flight on one session.
    pub session_in_flight: usize,
    /// The longest a request is waited for.
    pub request_timeout_ms: u64,
    /// How long a stopping node waits for what is under way.
    pub drain_ms: u64,
    /// Size of a segment of the log.
    pub segment_bytes: u64,
    /// Bytes of the log's entries that are kept in memory for peers that lag; 0: all are read from the disk.
    pub log_cache_bytes: usize,
    /// Bytes of log that a group may have beyond its checkpoint before the next one is taken.
    pub checkpoint_bytes: u64,
    /// How long anything in a group may be without a checkpoint, in seconds, while the node runs.
    pub checkpoint_age_s: u64,
    /// Bytes that must be free on the disk of `data_dir`; with fewer the node's shards answer `STORAGE_FULL`. 0: nobody looks.
    pub min_free_bytes: u64,
    /// Bytes a second that the scrubber reads back from the disk at most, to find what has rotted.
    pub scrub_bytes_per_s: u64,
    /// How long the scrubber rests between two passes over everything, in seconds.
    pub scrub_pause_s: u64,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            max_streams: 128,
            waiting_commands: 65_536,
            waiting_bytes: 16 * 1_024 * 1_024,
            entry_commands: 8_192,
            entry_bytes: 256 * 1_024,
            entries_in_flight: 32,
            session_in_flight: 64,
            request_timeout_ms: 10_000,
            drain_ms: 10_000,
            segment_bytes: 64 * 1_024 * 1_024,
            log_cache_bytes: 128 * 1_024 * 1_024,
            checkpoint_bytes: 256 * 1_024 * 1_024,
            checkpoint_age_s: 600,
            min_free_bytes: 256 * 1_024 * 1_024,
            scrub_bytes_per_s: 4 * 1_024 * 1_024,
            scrub_pause_s: 3_600,
        }
    }
}

/// How a node looks after the replicas it does not lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Seconds between two audits of a replica; 0: none is audited but where somebody asks.
    pub interval_s: u64,
    /// Whether a breach halts the shard's writes; else it is told only.
    pub halts_writes: bool,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { interval_s: 300, halts_writes: true }
    }
}

/// Which corrections of the books (adjustments, counts that are applied, repairs) a node tells of. Each is off where it is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// More units than this of one SKU at one location written off, or found, within the window; 0: no alerts by size.
    pub units: u64,
    /// And more than so many percent of what was there before; 0: the units decide alone.
    pub percent: u32,
    /// More corrections than this of one SKU, or by one actor, of one shard within the window; 0: no alerts by rate.
    pub corrections: u32,
    /// The window, in minutes of log time.
    pub window_min: u32,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self { units: 100, percent: 50, corrections: 100, window_min: 10 }
    }
}

impl AlertsConfig {
    /// True where nothing could be told.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.units == 0 && self.corrections == 0
    }

    /// Nothing is told.
    #[must_use]
    pub const fn off() -> Self {
        Self { units: 0, percent: 0, corrections: 0, window_min: 1 }
    }
}

/// What the HTTP port shows, and by which names it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// How much of a quantity the public is shown: `exact`, `capped:N` (it, up to N) or `status` (in stock, low, out).
    pub availability_shown: String,
    /// Connections at once; each reader of live updates has one, and those of availability have three quarters at most.
    pub max_connections: usize,
    /// Names by which browsers may reach the node, beside addresses and `localhost`: a request with another `Host` is refused.
    pub hosts: Vec<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { availability_shown: "status".to_owned(), max_connections: 16_384, hosts: Vec::new() }
    }
}

/// The most commands of one request.
pub const MAX_BATCH_COMMANDS: usize = 8_192;
/// The largest request, in bytes.
pub const MAX_REQUEST_BYTES: usize = 1_024 * 1_024;
/// The largest chain, in bytes as it lies in the log.
pub const MAX_CHAIN_BYTES: usize = 128 * 1_024;

/// Where log lines go, and in which form. They are written to the standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text`, for people, or `json`, for programs.
    pub format: LogFormat,
    /// What is logged, as `tracing` filters read it: `info`, `holdfast_raft=debug,info`. Empty: `info`, and of the Raft library warnings alone.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where traces of requests are sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The collector, by OTLP over gRPC: `http://127.0.0.1:4317`. Empty: none, and no span is made.
    pub otlp_endpoint: String,
    /// Of requests that bring no `traceparent`, the share that is traced all the same: 0.0 to 1.0. Whether one that brings it is traced,
    /// its caller has decided.
    pub sample_ratio: f64,
}

impl TelemetryConfig {
    /// Where the collector is reached, as `host:port`; `None`: there is none, or the endpoint cannot be used.
    #[must_use]
    pub fn collector(&self) -> Option<&str> {
        let address = self.otlp_endpoint.strip_prefix("http://")?;
        Some(address.strip_suffix('/').unwrap_or(address)).filter(|address| is_address(address))
    }
}

fn schema_of_this_build() -> u32 {
    holdfast_raft::encode::SCHEMA
}

fn default_shards() -> u32 {
    8
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("data/node-{id}")
}

impl NodeConfig {
    /// The addresses of this node.
    ///
    /// # Panics
    ///
    /// Where the configuration was not [checked](Self::check): a checked one lists this node.
    #[must_use]
    pub fn me(&self) -> &NodeAddresses {
        self.find(self.node_id).expect("a checked configuration lists the node itself")
    }

    /// The addresses of a node.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<&NodeAddresses> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The folder of this node's data.
    #[must_use]
    pub fn node_dir(&self) -> PathBuf {
        PathBuf::from(self.data_dir.to_string_lossy().replace("{id}", &self.node_id.to_string()))
    }
}
