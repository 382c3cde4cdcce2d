//! The life of one process: its simulated time, and whether it still lives.
//!
//! Every simulated part of a process holds its life, and does nothing once it has ended: what a dead process had under
//! way is never completed.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use holdfast_world::EndReason;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::HostId;

/// How a process came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// The simulation ended it.
    Crashed,
    /// It ended itself.
    Ended(EndReason),
}

/// One process of a host, from its start to its death.
#[derive(Debug)]
pub struct Life {
    host: HostId,
    /// The simulated time at which it was started.
    started: Duration,
    /// The instant of its runtime's clock at its start.
    origin: OnceLock<Instant>,
    death: Mutex<Option<Death>>,
    died: Notify,
}

impl Life {
    /// A life that begins at a simulated time. [`Life::begin`] ties it to its runtime's clock.
    #[must_use]
    pub fn new(host: HostId, started: Duration) -> Self {
        Self { host, started, origin: OnceLock::new(), death: Mutex::new(None), died: Notify::new() }
    }

    /// Takes the present instant of the runtime that is entered as the beginning.
    pub fn begin(&self) {
        self.origin.get_or_init(Instant::now);
    }

    /// The host on which it lives.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// How long it has lived, in simulated time. Only within its own runtime.
    #[must_use]
    pub fn age(&self) -> Duration {
        let origin = self.origin.get().expect("a process begins before it runs");
        // What is dropped with the runtime may ask outside of it, where tokio would answer with the real time.
        if tokio::runtime::Handle::try_current().is_err() { Duration::ZERO } else { origin.elapsed() }
    }

    /// The simulated time. Only within its own runtime.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started + self.age()
    }

    /// Waits until a simulated time.
    pub async fn sleep_until(&self, at: Duration) {
        let origin = *self.origin.get().expect("a process begins before it runs");
        tokio::time::sleep_until(origin + at.saturating_sub(self.started)).await;
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.death.lock().expect("no panic happens while a death is locked").is_none()
    }

    /// How it ended; `None` while it lives.
    #[must_use]
    pub fn death(&self) -> Option<Death> {
        self.death.lock().expect("no panic happens while a death is locked").clone()
    }

    /// Ends it. The first death counts.
    pub fn die(&self, death: Death) {
        self.death.lock().expect("no panic happens while a death is locked").get_or_insert(death);
        self.died.notify_one();
    }

    /// Waits for its end; one waiter, the simulation.
    pub async fn ended(&self) {
        while self.is_alive() {
            self.died.notified().await;
        }
    }

    /// Returns at once while it lives, never after its death.
    pub async fn goes_on(&self) {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}
