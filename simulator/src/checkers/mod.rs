//! What must hold of what clients saw, a file a property. Each checker takes a history, and what else it needs, and gives
//! what it finds; none knows a simulation, so that a history from anywhere can be judged.

mod backorders;
pub mod campaigns;
pub mod conservation;
pub mod exactly_once;
pub mod healed;
pub mod holds;
pub mod images;
pub mod kits;
mod limits;
pub mod linearizable;
mod lots;
pub mod majority;
mod model;
pub mod parts;
pub mod recalls;
pub mod replicas;
pub mod rooms;
pub mod sagas;
mod search;
mod shared_holds;
pub mod shared_limits;
pub mod sources;
mod stocktakes;
#[cfg(test)]
pub(crate) mod stories;
pub mod tokens;
mod told;
mod transfers;
pub mod whole;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::{History, Id, OrderSeen, ReservationSeen, StockSeen};

/// Something that is not as it must be, or that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Who says so.
    pub checker: &'static str,
    /// False where the checker could not decide: that is no verdict, neither good nor bad.
    pub decided: bool,
    /// What it is.
    pub what: String,
}

impl Finding {
    /// A breach.
    #[must_use]
    pub fn new(checker: &'static str, what: impl Into<String>) -> Self {
        Self { checker, decided: true, what: what.into() }
    }

    /// Something that could not be decided.
    #[must_use]
    pub fn undecided(checker: &'static str, what: impl Into<String>) -> Self {
        Self { checker, decided: false, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let undecided = if self.decided { "" } else { "undecided: " };
        write!(f, "{}: {undecided}{}", self.checker, self.what)
    }
}

/// How log time stands to simulated time: the log's stamp of a command asked at simulated time `t` is at least
/// `zero + t - behind`, and what was answered at `t` has a stamp of at most `zero + t + ahead`. All in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogTimeBound {
    /// The wall clock at simulated time zero.
    pub zero_ms: u64,
    /// How far log time may lag.
    pub behind_ms: u64,
    /// How far it may be ahead.
    pub ahead_ms: u64,
}

impl LogTimeBound {
    /// The least log time of what was asked at that instant.
    #[must_use]
    pub fn least(&self, at_us: u64) -> u64 {
        (self.zero_ms + at_us / 1_000).saturating_sub(self.behind_ms)
    }

    /// The greatest log time of what was answered at that instant.
    #[must_use]
    pub fn most(&self, at_us: u64) -> u64 {
        self.zero_ms.saturating_add(at_us / 1_000).saturating_add(self.ahead_ms)
    }
}

/// What stands in the end, read while nobody asked for anything, all at one position of each shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Every SKU.
    pub stocks: BTreeMap<String, StockSeen>,
    /// Every reservation.
    pub reservations: BTreeMap<Id, ReservationSeen>,
    /// Every order with external steps that is in memory.
    #[serde(default)]
    pub orders: BTreeMap<Id, OrderSeen>,
}

/// Judges a history by every checker that needs nothing but it.
#[must_use]
pub fn check_history(history: &History, bound: &LogTimeBound) -> Vec<Finding> {
    let mut findings = Vec::new();
    if history.dropped > 0 {
        let what = format!("{} attempts are not in the history, which was full", history.dropped);
        findings.push(Finding::undecided("history", what));
        return findings;
    }
    findings.extend(exactly_once::check(history));
    findings.extend(exactly_once::check_unrecorded(history));
    findings.extend(holds::check(history, bound));
    findings.extend(tokens::check(history));
    findings.extend(whole::check(history, None));
    findings.extend(sources::check(history, None));
    findings.extend(kits::check(history, None));
    findings.extend(recalls::check(history, None));
    findings.extend(campaigns::check(history, bound));
    findings.extend(rooms::check(history, bound));
    findings.extend(shared_limits::check(history, bound, None));
    findings.extend(linearizable::check(history, bound, &linearizable::Effort::default()));
    findings
}
