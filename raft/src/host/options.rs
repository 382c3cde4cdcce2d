//! What a host is told when it is opened, and what openraft is told from it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_mutation::{Mutation, is_on};
use openraft::{Config, SnapshotPolicy};

use crate::change_log::ChangeLogOptions;
use crate::log::LogOptions;
use crate::types::NodeId;

/// How a node keeps and replicates its groups.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Who this node is; never given to another node again.
    pub node_id: NodeId,
    /// Which cluster it belongs to.
    pub cluster_id: String,
    /// The folder that is its own.
    pub dir: PathBuf,
    /// The peer addresses of the nodes that the configuration names: where help is asked for before a group knows its members.
    pub peers: BTreeMap<NodeId, String>,
    /// The latest schema of log entries that this node understands: [`SCHEMA`](crate::encode::SCHEMA), but where a test or a
    /// simulation plays another version of Holdfast.
    pub schema: u32,
    /// How often a leader tells its followers that it lives, in ms.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for `election_max_ms`, for so long it grants nobody else a vote, and then for a time drawn
    /// anew between this and `election_max_ms` stands for election. In ms.
    pub election_min_ms: u64,
    /// See `election_min_ms`.
    pub election_max_ms: u64,
    /// A group is checkpointed when its log holds this many bytes more than its last checkpoint.
    pub checkpoint_bytes: u64,
    /// A group is checkpointed when its log holds this many entries more than its last checkpoint.
    pub checkpoint_entries: u64,
    /// A group that has something which its last checkpoint lacks is checkpointed after this time at most.
    pub checkpoint_age: Duration,
    /// So many entries stay in the log behind a checkpoint, for followers that lag a little.
    pub kept_entries: u64,
    /// The scrubber reads so many bytes a second at most.
    pub scrub_bytes_per_s: u64,
    /// How long the scrubber rests between two passes over everything, and before the first one.
    pub scrub_pause: Duration,
    /// How long a group that starts waits for copies of its rotten entries before it is given up for now.
    pub mend_patience: Duration,
    /// The node's log.
    pub log: LogOptions,
    /// The shards' change logs.
    pub changes: ChangeLogOptions,
}

impl HostOptions {
    /// The options of a node with the usual limits.
    #[must_use]
    pub fn new(node_id: NodeId, cluster_id: impl Into<String>, dir: impl Into<PathBuf>) -> Self {
        Self {
            node_id,
            cluster_id: cluster_id.into(),
            dir: dir.into(),
            peers: BTreeMap::new(),
            schema: crate::encode::SCHEMA,
            heartbeat_ms: 200,
            election_min_ms: 500,
            election_max_ms: 1_000,
            checkpoint_bytes: 64 << 20,
            checkpoint_entries: 50_000,
            checkpoint_age: Duration::from_secs(600),
            kept_entries: 2_000,
            scrub_bytes_per_s: 4 << 20,
            scrub_pause: Duration::from_secs(3_600),
            mend_patience: Duration::from_secs(5),
            log: LogOptions::default(),
            changes: ChangeLogOptions::default(),
        }
    }

    /// What openraft is told; where it differs from openraft's defaults, docs/known-issues.md says why.
    pub(super) fn raft_config(&self) -> Result<Arc<Config>, openraft::ConfigError> {
        let config = Config {
            cluster_name: self.cluster_id.clone(),
            // All groups beat together: see the transport's pulse, which keeps the interval between two heartbeats.
            enable_heartbeat: false,
            // What is left of it: openraft looks at its elections 64 times in 13 of these, for each group, and each look costs
            // an idle node as much as a heartbeat. And a session may take so long to open.
            heartbeat_interval: self.heartbeat_ms.max(self.election_min_ms * 4 / 5),
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            // Checkpoints and purges are ours: see the policy beside this file.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.kept_entries,
            replication_lag_threshold: self.kept_entries.max(1),
            purge_batch_size: 256,
            max_payload_entries: 300,
            install_snapshot_timeout: 600_000,
            enable_pre_vote: Some(true),
            quorum_loss_probe_interval: Some(2 * self.election_max_ms),
            enable_leader_restore: Some(is_on(Mutation::LeadsWithoutVote)),
            allow_log_reversion: Some(false),
            ..Config::default()
        };
        config.validate().map(Arc::new)
    }
}
