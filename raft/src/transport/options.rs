//! Every limit of the transport, in one place.

use std::time::Duration;

use crate::types::NodeId;

/// Who the node is, and the limits of what it says to others. [`TransportOptions::new`] gives limits that fit.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// This node.
    pub node_id: NodeId,
    /// The cluster it belongs to; nodes of another are refused.
    pub cluster_id: String,
    /// Encoded bytes of one message at most; what is longer is refused by the receiver.
    pub frame_bytes: usize,
    /// Bytes that wait to be sent to one node at most; then appends wait.
    pub outbox_bytes: usize,
    /// Frames that wait to be sent to one node at most; then appends wait.
    pub outbox_frames: usize,
    /// Appends of one session without a reply yet, at most; then the session waits.
    pub session_frames: usize,
    /// Bytes of such appends at most; a single longer append goes alone.
    pub session_bytes: usize,
    /// Sessions at once between two nodes.
    pub max_sessions: usize,
    /// Heartbeats at once that wait for a reply of one node.
    pub max_heartbeats: usize,
    /// Replies that wait to be sent to one node at most; a node that reads fewer is cut off.
    pub reply_frames: usize,
    /// How long a connection may take to be made, each step of it.
    pub connect_timeout: Duration,
    /// How long a node that was sent something may be silent; then the stream to it is given up and made anew.
    pub link_timeout: Duration,
    /// How long a session waits for its next reply while the stream is alive.
    pub session_timeout: Duration,
    /// The first pause before a connection is tried again; it doubles.
    pub backoff_least: Duration,
    /// The longest pause.
    pub backoff_most: Duration,
    /// How long a heartbeat is under way at most; one that is lost must not hold up the next.
    pub heartbeat_timeout: Duration,
    /// How long a heartbeat waits at most for others to go with; a quarter of its deadline if that is less.
    pub heartbeat_hold: Duration,
    /// Bytes of state in one message of a snapshot.
    pub chunk_bytes: usize,
    /// How long one message of a snapshot may take.
    pub chunk_timeout: Duration,
    /// How long a receiver may take to install a snapshot it has received.
    pub install_timeout: Duration,
    /// Bytes of a snapshot at most; it is gathered in memory.
    pub snapshot_bytes: u64,
    /// Snapshots received at once.
    pub snapshots_at_once: usize,
    /// Requests for entries answered at once; more are refused, and the peer asks again later.
    pub entry_requests_at_once: usize,
}

impl TransportOptions {
    /// The limits a node runs with.
    #[must_use]
    pub fn new(node_id: NodeId, cluster_id: impl Into<String>) -> Self {
        Self {
            node_id,
            cluster_id: cluster_id.into(),
            frame_bytes: 4 << 20,
            outbox_bytes: 16 << 20,
            outbox_frames: 4_096,
            session_frames: 64,
            session_bytes: 8 << 20,
            max_sessions: 1_024,
            max_heartbeats: 4_096,
            reply_frames: 16_384,
            connect_timeout: Duration::from_secs(1),
            link_timeout: Duration::from_secs(1),
            session_timeout: Duration::from_secs(10),
            backoff_least: Duration::from_millis(50),
            backoff_most: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_millis(150),
            heartbeat_hold: Duration::from_millis(50),
            chunk_bytes: 512 << 10,
            chunk_timeout: Duration::from_secs(10),
            install_timeout: Duration::from_secs(120),
            snapshot_bytes: 2 << 30,
            snapshots_at_once: 2,
            entry_requests_at_once: 2,
        }
    }
}
