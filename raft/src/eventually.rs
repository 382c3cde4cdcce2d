//! Waiting in tests for what cannot be awaited.

use std::time::Duration;

use tokio::time::Instant;

/// How long a test waits for what must come, in the test's time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at: a pause between two looks, not a time that anything needs.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds.
///
/// # Panics
///
/// It does not in time; the message says what was waited for.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
