//! What must hold after every entry, whatever happened: a file an invariant, by the ids of docs/ARCHITECTURE.md.
//!
//! Tests and the simulator check after every command, an auditor now and then: a check walks the whole state. Checkers
//! recompute from the records and believe no index and no cached sum.

mod allocations;
mod atp;
mod caps;
mod conserve;
mod counters;
mod holds;
mod late;
mod ledger;
mod once;
mod orders;
mod quantities;
mod rooms;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Inventory;
use crate::state::State;

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invariant {
    /// [H-QTY] The parts of a cell sum to what lies there.
    Quantities,
    /// [H-ATP] What may be promised is what is free, less what is kept back.
    Atp,
    /// [H-HOLDS] Reservations and stock agree on what is held and sold.
    Holds,
    /// [H-LATE] Every hold that is bound to no lot yet can be.
    Late,
    /// [H-LEDGER] What lies there is the sum of what came and went.
    Ledger,
    /// [H-CONSERVE] No unit of an item appears or vanishes.
    Conserve,
    /// [H-ONCE] A command id is decided once.
    Once,
    /// [H-CAPS] What is on its way is what transfers and receipts say; what customers have under limits is what their lines say.
    Caps,
    /// [H-RECORDS] The records fit each other: whatever one names is there.
    Records,
    /// [H-ORDER] What orders with external steps say of their reservations is so.
    Orders,
}

impl Invariant {
    /// Its id in code, tests, documents and reports.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Quantities => "H-QTY",
            Self::Atp => "H-ATP",
            Self::Holds => "H-HOLDS",
            Self::Late => "H-LATE",
            Self::Ledger => "H-LEDGER",
            Self::Conserve => "H-CONSERVE",
            Self::Once => "H-ONCE",
            Self::Caps => "H-CAPS",
            Self::Records => "H-RECORDS",
            Self::Orders => "H-ORDER",
        }
    }

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Quantities,
        Self::Atp,
        Self::Holds,
        Self::Late,
        Self::Ledger,
        Self::Conserve,
        Self::Once,
        Self::Caps,
        Self::Records,
        Self::Orders,
    ];

    /// The one of that id.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|invariant| invariant.id() == id)
    }
}

/// An invariant that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// Where, and what was found.
    pub finding: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.invariant.id(), self.finding)
    }
}

/// Checks the quantities alone, which takes no index.
pub(crate) fn check_quantities(state: &State) -> Vec<Breach> {
    let breach = |finding| Breach { invariant: Invariant::Quantities, finding };
    quantities::check(state).into_iter().map(breach).collect()
}

/// Checks every invariant that concerns a state which could be loaded. Empty: all hold.
#[must_use]
pub fn check(inventory: &Inventory) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let state = &inventory.state;
    let mut collect = |invariant, findings: Vec<String>| {
        breaches.extend(findings.into_iter().map(|finding| Breach { invariant, finding }));
    };
    collect(Invariant::Quantities, quantities::check(state));
    collect(Invariant::Atp, atp::check(inventory));
    collect(Invariant::Holds, holds::check(state));
    collect(Invariant::Late, late::check(state));
    collect(Invariant::Ledger, ledger::check(state));
    collect(Invariant::Conserve, conserve::check(inventory));
    collect(Invariant::Once, once::check(state));
    collect(Invariant::Caps, caps::check(state));
    collect(Invariant::Caps, counters::check(state));
    collect(Invariant::Orders, orders::check(state));
    collect(Invariant::Caps, allocations::check(state));
    collect(Invariant::Caps, rooms::check(state));
    breaches
}
