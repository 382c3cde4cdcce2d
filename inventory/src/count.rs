//! Counts as they are shown.

use serde::{Deserialize, Serialize};

use crate::state::{CountLineRecord, CountRecord, DocumentBody, DocumentRecord};
use crate::{
    Condition, CountId, DocumentCursor, DocumentFilter, Inventory, LocationId, LogTime, LotId, OrderRef, ReservationId,
    Revision, Sku,
};

/// Most lots and conditions of one count: every lot that may lie at a place, in each condition.
pub const MAX_COUNT_LINES: usize = 3 * crate::commands::MAX_LOTS_AT_PLACE;
/// Longest reference of a count, in bytes.
pub const MAX_COUNT_REFERENCE_BYTES: usize = 64;
/// Most reservations that one event or one count names as short.
pub const MAX_SHORT_NAMED: usize = 64;

/// What became of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CountState {
    /// Units are counted.
    Open,
    /// The books have what was counted.
    Applied,
    /// It was given up, and changed nothing.
    Cancelled,
}

impl CountState {
    /// Nothing more happens to it.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// A count of one item at one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its id.
    pub id: CountId,
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// The caller's word for all counts that belong together; empty where there is none.
    pub reference: String,
    /// What became of it.
    pub state: CountState,
    /// Each lot and condition once.
    pub lines: Vec<CountLine>,
    /// The reservations of which units became short when it was applied, the newest first; the first [`MAX_SHORT_NAMED`].
    pub short: Vec<ShortReservation>,
    /// How many there were.
    pub short_reservations: u64,
    /// When it was opened.
    pub created_at: LogTime,
    /// When it was applied or cancelled.
    pub ended_at: Option<LogTime>,
    /// How often it was changed.
    pub revision: Revision,
}

/// Units of one lot in one condition in a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountLine {
    /// The lot, of an item tracked by lot.
    pub lot: Option<LotId>,
    /// The condition.
    pub condition: Condition,
    /// What the books had when the count was opened.
    pub at_opening: u64,
    /// What was counted, and what the books had when that was recorded; `None`: nobody has counted it.
    pub counted: Option<(u64, u64)>,
    /// Units that applying it has found.
    pub found: u64,
    /// Units that applying it has written off.
    pub written_off: u64,
    /// Units that the count had missed and that left before it was applied: they were there after all.
    pub contradicted: u64,
}

/// A reservation of which units became short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortReservation {
    /// Which.
    pub reservation: ReservationId,
    /// The order it is of, where that is known.
    pub order_ref: Option<OrderRef>,
    /// Held units more that lack their stock.
    pub held: u64,
    /// Sold units more that do.
    pub sold: u64,
}

impl Inventory {
    /// The count, as long as it is in memory.
    #[must_use]
    pub fn count(&self, id: CountId) -> Option<Count> {
        let record = self.state.document(self.state.find_document(id.0)?);
        match &record.body {
            DocumentBody::Count(count) => Some(self.show_count(record, count)),
            DocumentBody::Transfer(_) | DocumentBody::Receipt(_) => None,
        }
    }

    /// Up to `limit` counts from the cursor on, as [`Inventory::transfers`] does it.
    #[must_use]
    pub fn stock_counts(
        &self,
        from: DocumentCursor,
        filter: &DocumentFilter,
        limit: usize,
    ) -> (Vec<Count>, Option<DocumentCursor>) {
        self.list(from, filter, limit, |record| match &record.body {
            DocumentBody::Count(count) => Some(self.show_count(record, count)),
            DocumentBody::Transfer(_) | DocumentBody::Receipt(_) => None,
        })
    }

    fn show_count(&self, record: &DocumentRecord, count: &CountRecord) -> Count {
        let is_applied = count.state == CountState::Applied;
        let line = |line: &CountLineRecord| {
            let less = line.counted.map_or(0, |counted| counted.less());
            CountLine {
                lot: line.lot.map(|lot| self.state.lot(lot).id.clone()),
                condition: line.condition,
                at_opening: line.at_opening,
                counted: line.counted.map(|counted| (counted.units, counted.on_hand)),
                found: line.found,
                written_off: line.written_off,
                contradicted: if is_applied { less.saturating_sub(line.written_off) } else { 0 },
            }
        };
        Count {
            id: CountId(record.id),
            sku: self.state.item(record.sku).sku.clone(),
            location: self.state.location(count.location).id.clone(),
            reference: count.reference.clone(),
            state: count.state,
            lines: count.lines.iter().map(line).collect(),
            short: count.short.clone(),
            short_reservations: count.short_reservations,
            created_at: record.created_at,
            ended_at: record.ended_at,
            revision: record.revision,
        }
    }
}
