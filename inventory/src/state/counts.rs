//! The records of counts: what of each cell was counted, and what the books said then.

use serde::{Deserialize, Serialize};

use super::records::{LocationNo, LotNo, SkuNo};
use super::{DocumentNo, State};
use crate::{Condition, CountState, MAX_COUNT_LINES, MAX_SHORT_NAMED, MAX_UNITS, ShortReservation};

/// A count of one item at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountRecord {
    pub(crate) location: LocationNo,
    /// The caller's word for all counts that belong together; empty where there is none.
    pub(crate) reference: String,
    pub(crate) state: CountState,
    /// Each lot and condition once: what lay there when it was opened, then what was recorded beside it.
    pub(crate) lines: Vec<CountLineRecord>,
    /// The reservations of which units became short when it was applied, the newest first; the first [`MAX_SHORT_NAMED`].
    pub(crate) short: Vec<ShortReservation>,
    /// How many there were.
    pub(crate) short_reservations: u64,
}

/// Units of one lot in one condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountLineRecord {
    pub(crate) lot: Option<LotNo>,
    pub(crate) condition: Condition,
    /// What the books had when the count was opened.
    pub(crate) at_opening: u64,
    pub(crate) counted: Option<Counted>,
    /// What applying it has found, and written off.
    pub(crate) found: u64,
    pub(crate) written_off: u64,
}

/// What was counted, and what the books had at that position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) units: u64,
    pub(crate) on_hand: u64,
}

impl Counted {
    /// What was counted beyond what the books had.
    pub(crate) const fn more(&self) -> u64 {
        self.units.saturating_sub(self.on_hand)
    }

    /// What the books had beyond what was counted.
    pub(crate) const fn less(&self) -> u64 {
        self.on_hand.saturating_sub(self.units)
    }
}

impl CountLineRecord {
    pub(crate) const fn new(lot: Option<LotNo>, condition: Condition, at_opening: u64) -> Self {
        Self { lot, condition, at_opening, counted: None, found: 0, written_off: 0 }
    }
}

impl CountRecord {
    pub(super) fn lots(&self) -> impl Iterator<Item = LotNo> {
        self.lines.iter().filter_map(|line| line.lot)
    }

    /// Whether it is one that commands could have made.
    pub(crate) fn fits(&self) -> bool {
        let line_fits = |line: &CountLineRecord| {
            let counted = line.counted.unwrap_or(Counted { units: 0, on_hand: 0 });
            let is_applied = self.state == CountState::Applied;
            let (found, written_off) = if is_applied { (counted.more(), counted.less()) } else { (0, 0) };
            line.found == found && line.written_off <= written_off && counted.units <= u64::from(MAX_UNITS)
        };
        let is_twice = |(at, line): (usize, &CountLineRecord)| {
            self.lines[..at].iter().any(|other| (other.lot, other.condition) == (line.lot, line.condition))
        };
        self.lines.len() <= MAX_COUNT_LINES
            && self.lines.iter().all(line_fits)
            && !self.lines.iter().enumerate().any(is_twice)
            && self.short.len() <= MAX_SHORT_NAMED
            && self.short.len() as u64 <= self.short_reservations
    }
}

impl State {
    /// The count that is open of an item at a location.
    pub(crate) fn open_count(&self, sku: SkuNo, location: LocationNo) -> Option<DocumentNo> {
        self.indexes.open_counts.get(&(sku, location)).copied()
    }

    /// Whether the item is being counted anywhere.
    pub(crate) fn is_counted(&self, sku: SkuNo) -> bool {
        self.indexes.open_counts.range((sku, LocationNo(0))..=(sku, LocationNo(u32::MAX))).next().is_some()
    }
}
