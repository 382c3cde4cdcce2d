//! The clocks of a simulated process: both follow simulated time, the wall clock with the host's offset.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use holdfast_world::Clock;

use super::Life;

/// The wall clock at simulated time zero: half a minute before 2026-01-01T00:00:00Z, so that a day ends within a run.
pub const WALL_AT_ZERO_MS: u64 = 1_767_225_600_000 - 30_000;

#[derive(Debug)]
pub(super) struct SimClock {
    life: Arc<Life>,
    wall_offset_ms: Arc<AtomicI64>,
}

impl SimClock {
    pub(super) fn new(life: Arc<Life>, wall_offset_ms: Arc<AtomicI64>) -> Self {
        Self { life, wall_offset_ms }
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let simulated = u64::try_from(self.life.now().as_millis()).unwrap_or(u64::MAX);
        let offset = self.wall_offset_ms.load(Ordering::Relaxed);
        WALL_AT_ZERO_MS.saturating_add(simulated).saturating_add_signed(offset)
    }

    fn monotonic(&self) -> Duration {
        self.life.age()
    }
}
