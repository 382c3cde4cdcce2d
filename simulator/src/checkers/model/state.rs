//! What the model knows of a SKU and of a reservation, and everything at one moment.

use super::super::backorders::{HoldThatWaits, Terms};
use super::super::limits::CustomerLimit;
use super::super::lots::{HoldOfLots, Lots};
use super::super::shared_holds::SharedHolds;
use super::super::stocktakes::Counting;
use super::super::transfers::Underway;
use crate::history::Phase;

/// One SKU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stock {
    pub(super) exists: bool,
    pub(in crate::checkers) on_hand: u64,
    pub(in crate::checkers) reserved: u64,
    pub(in crate::checkers) committed: u64,
    pub(in crate::checkers) received: u64,
    pub(in crate::checkers) shipped: u64,
    pub(in crate::checkers) adjusted: i64,
    pub(in crate::checkers) revision: u64,
    /// Of an item that is tracked by lot; there `on_hand` and `committed` are the lots' sums.
    pub(in crate::checkers) lots: Option<Lots>,
    pub(in crate::checkers) in_transit: u64,
    pub(in crate::checkers) incoming: u64,
    pub(in crate::checkers) sent: u64,
    pub(in crate::checkers) arrived: u64,
    pub(in crate::checkers) limit: Option<CustomerLimit>,
    /// Of an item of which units may be promised without stock.
    pub(in crate::checkers) terms: Option<Terms>,
    pub(in crate::checkers) backordered: u64,
}

impl Stock {
    pub(super) fn free(&self) -> u64 {
        self.on_hand - self.reserved - self.committed
    }

    /// What may be promised.
    pub(in crate::checkers) fn atp(&self) -> u64 {
        self.lots.as_ref().map_or_else(|| self.free(), |lots| lots.free().saturating_sub(self.reserved))
    }

    /// Units that were sold leave.
    pub(in crate::checkers) fn ship(&mut self, units: u64) {
        self.on_hand -= units;
        self.committed -= units;
        self.shipped += units;
    }
}

/// One reservation. All commands are of the whole of it, so that its lines share one phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    pub(in crate::checkers) phase: Phase,
    pub(in crate::checkers) revision: u64,
    /// Which of the model's sets of lines it has.
    pub(in crate::checkers) lines: usize,
    /// The customer whose count it is in; 0: nobody's.
    pub(super) customer: u8,
    /// When it was made, in log time; `None`: nobody was told.
    pub(super) made_at: Option<u64>,
    /// When it expires at the earliest, in log time.
    pub(in crate::checkers) earliest: u64,
    /// When it expires at the latest; `None`: nobody was told.
    pub(in crate::checkers) latest: Option<u64>,
    /// Where its one line is of an item that is tracked by lot.
    pub(in crate::checkers) of_lots: Option<HoldOfLots>,
    /// Where its one line is of an item of which units may be promised without stock.
    pub(in crate::checkers) waits: Option<HoldThatWaits>,
    /// When it is cancelled, if it is sold and not shipped by then, in log time.
    pub(in crate::checkers) cancel_at: Option<u64>,
}

impl Hold {
    pub(in crate::checkers) fn is_held(&self) -> bool {
        self.phase == Phase::Held
    }

    /// When time ends it at the earliest; `None`: it does not.
    pub(in crate::checkers) fn ends_from(&self) -> Option<u64> {
        match self.phase {
            Phase::Held => Some(self.earliest),
            Phase::Committed => self.cancel_at,
            _ => None,
        }
    }

    /// When it does at the latest, where that is known.
    pub(super) fn ends_by(&self) -> Option<u64> {
        if self.is_held() { self.latest } else { self.cancel_at }
    }

    pub(super) fn ended_by_time(&self) -> Phase {
        if self.is_held() { Phase::Expired } else { Phase::Cancelled }
    }
}

#[cfg(test)]
impl Hold {
    /// One that is held.
    pub(in crate::checkers) fn held(earliest: u64) -> Self {
        Self {
            phase: Phase::Held,
            revision: 1,
            lines: 0,
            customer: 0,
            made_at: None,
            earliest,
            latest: None,
            of_lots: None,
            waits: None,
            cancel_at: None,
        }
    }
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Log time, as far as it is known.
    pub now: u64,
    pub(in crate::checkers) stocks: Vec<Stock>,
    pub(in crate::checkers) holds: SharedHolds,
    /// How many reservations were made of stock by lot, and of what may be promised without stock: the older have the lower numbers.
    pub(in crate::checkers) made: u64,
    pub(in crate::checkers) underway: Underway,
    pub(in crate::checkers) counting: Counting,
}
