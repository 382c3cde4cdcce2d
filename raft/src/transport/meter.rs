//! What the transport counts, and under which names.

use metrics::{counter, gauge};

/// A frame has left for a peer.
pub(super) fn sent(frames: u64, bytes: usize) {
    counter!("holdfast_peer_frames_sent_total").increment(frames);
    counter!("holdfast_peer_bytes_sent_total").increment(bytes as u64);
}

/// A frame of a peer has come.
pub(super) fn received() {
    counter!("holdfast_peer_frames_received_total").increment(1);
}

/// A frame of a session that is over has come and was dropped.
pub(super) fn late() {
    counter!("holdfast_peer_frames_late_total").increment(1);
}

/// Heartbeats of groups that went in one frame.
pub(super) fn heartbeats(groups: usize) {
    counter!("holdfast_peer_heartbeats_total").increment(groups as u64);
}

/// A session to a peer was opened.
pub(super) fn session_opened() {
    gauge!("holdfast_peer_sessions").increment(1.0);
}

/// A session to a peer is over.
pub(super) fn session_closed() {
    gauge!("holdfast_peer_sessions").decrement(1.0);
}

/// A stream to a peer was made.
pub(super) fn connected() {
    counter!("holdfast_peer_connections_total").increment(1);
}

/// A stream to a peer has broken.
pub(super) fn broken() {
    counter!("holdfast_peer_connections_broken_total").increment(1);
}

/// A snapshot was sent to a peer, or not.
pub(super) fn snapshot_sent(done: bool) {
    counter!("holdfast_peer_snapshots_sent_total", "done" => if done { "yes" } else { "no" }).increment(1);
}
