//! Times, quantities and revisions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most units one line may ask for, and the most one adjustment may move.
pub const MAX_UNITS: u32 = 2_000_000_000;

/// Log time: milliseconds since the Unix epoch, as the leader stamped the entry. Never goes back within a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogTime(pub u64);

impl LogTime {
    /// The time `ms` milliseconds later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The time `seconds` later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u32) -> Self {
        self.plus_ms(seconds as u64 * 1_000)
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Units of one line: 1 to [`MAX_UNITS`] where a command asks for them. Counters are `u64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Units(pub u32);

impl Units {
    /// True where a command may ask for this many.
    #[must_use]
    pub const fn is_askable(self) -> bool {
        self.0 >= 1 && self.0 <= MAX_UNITS
    }

    /// As a counter.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a record was changed: 1 when made, 0 for a record that does not exist yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
