//! Documents about stock on its way: transfers between locations, and receipts that are expected. What of them is shown.

use serde::{Deserialize, Serialize};

use crate::state::{DocumentBody, DocumentNo, DocumentRecord, ReceiptRecord, TransferRecord};
use crate::{Inventory, LocationId, LogTime, LotId, ReceiptId, Revision, Sku, TransferId};

/// Most lines of one transfer or expected receipt.
pub const MAX_DOCUMENT_LINES: usize = 32;
/// How many records a page of a list looks at for each one that it may have.
const LOOKS: usize = 64;

/// Where a line's units are. `sent = in transit + received + lost + returned` [H-CAPS].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferUnits {
    /// Taken at the source.
    pub sent: u64,
    /// Arrived.
    pub received: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Gone back to the source.
    pub returned: u64,
}

impl TransferUnits {
    /// What is on its way. `None` where the counts break [H-CAPS].
    #[must_use]
    pub const fn in_transit(&self) -> Option<u64> {
        let Some(left) = self.sent.checked_sub(self.received) else { return None };
        let Some(left) = left.checked_sub(self.lost) else { return None };
        left.checked_sub(self.returned)
    }
}

/// What became of a transfer: the summary of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransferState {
    /// Everything is on its way.
    InTransit,
    /// Part of it is, and part has arrived or is lost.
    PartiallyReceived,
    /// Nothing is on its way any more, and something arrived.
    Received,
    /// Nothing is on its way any more: what did not arrive went back to its source.
    Cancelled,
    /// All of it was lost.
    Lost,
}

impl TransferState {
    /// Nothing more happens to it.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Received | Self::Cancelled | Self::Lost)
    }
}

/// A transfer as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// The item.
    pub sku: Sku,
    /// Where its units come from.
    pub from: LocationId,
    /// Where they go.
    pub to: LocationId,
    /// What became of it.
    pub state: TransferState,
    /// Its units, each lot once.
    pub lines: Vec<TransferLine>,
    /// When its units left.
    pub created_at: LogTime,
    /// Since when nothing of it is on its way.
    pub ended_at: Option<LogTime>,
    /// How often it was changed.
    pub revision: Revision,
}

/// Units of one lot in a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferLine {
    /// The lot, of an item tracked by lot.
    pub lot: Option<LotId>,
    /// Where they are.
    pub units: TransferUnits,
}

/// An expected receipt as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its id.
    pub id: ReceiptId,
    /// The item.
    pub sku: Sku,
    /// Where it is expected.
    pub location: LocationId,
    /// When, where that is known.
    pub expected_at: Option<LogTime>,
    /// What is expected, each lot once.
    pub lines: Vec<ReceiptLine>,
    /// Units that arrived with it beyond what was expected.
    pub unexpected: u64,
    /// When it was made known.
    pub created_at: LogTime,
    /// When it was closed: since then nothing more is expected.
    pub closed_at: Option<LogTime>,
    /// How often it was changed.
    pub revision: Revision,
}

/// Units of one lot, or of whichever, in an expected receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptLine {
    /// The lot; `None`: whichever.
    pub lot: Option<LotId>,
    /// How many were expected.
    pub units: u64,
    /// How many of them arrived; never more than expected.
    pub arrived: u64,
}

/// Where a list of transfers, receipts or counts goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentCursor(pub u64);

/// Which transfers, receipts or counts a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentFilter {
    /// Only those of this item.
    pub sku: Option<Sku>,
    /// Only those from, to or at this location.
    pub location: Option<LocationId>,
    /// Only those that have not ended.
    pub open_only: bool,
}

impl Inventory {
    /// The transfer, as long as it is in memory.
    #[must_use]
    pub fn transfer(&self, id: TransferId) -> Option<Transfer> {
        let record = self.state.document(self.state.find_document(id.0)?);
        match &record.body {
            DocumentBody::Transfer(transfer) => Some(self.show_transfer(record, transfer)),
            DocumentBody::Receipt(_) | DocumentBody::Count(_) => None,
        }
    }

    /// The expected receipt, as long as it is in memory.
    #[must_use]
    pub fn receipt(&self, id: ReceiptId) -> Option<Receipt> {
        let record = self.state.document(self.state.find_document(id.0)?);
        match &record.body {
            DocumentBody::Receipt(receipt) => Some(self.show_receipt(record, receipt)),
            DocumentBody::Transfer(_) | DocumentBody::Count(_) => None,
        }
    }

    /// Up to `limit` transfers from the cursor on, oldest first; and where to go on, if there may be more. Looks at no more than
    /// 64 documents for each one asked for, so a page may be short of what it could have.
    #[must_use]
    pub fn transfers(
        &self,
        from: DocumentCursor,
        filter: &DocumentFilter,
        limit: usize,
    ) -> (Vec<Transfer>, Option<DocumentCursor>) {
        self.list(from, filter, limit, |record| match &record.body {
            DocumentBody::Transfer(transfer) => Some(self.show_transfer(record, transfer)),
            DocumentBody::Receipt(_) | DocumentBody::Count(_) => None,
        })
    }

    /// The same of expected receipts.
    #[must_use]
    pub fn receipts(
        &self,
        from: DocumentCursor,
        filter: &DocumentFilter,
        limit: usize,
    ) -> (Vec<Receipt>, Option<DocumentCursor>) {
        self.list(from, filter, limit, |record| match &record.body {
            DocumentBody::Receipt(receipt) => Some(self.show_receipt(record, receipt)),
            DocumentBody::Transfer(_) | DocumentBody::Count(_) => None,
        })
    }

    pub(crate) fn list<T>(
        &self,
        from: DocumentCursor,
        filter: &DocumentFilter,
        limit: usize,
        show: impl Fn(&DocumentRecord) -> Option<T>,
    ) -> (Vec<T>, Option<DocumentCursor>) {
        let mut page = Vec::new();
        for (looked, (no, record)) in self.state.documents_from(DocumentNo(from.0)).enumerate() {
            if page.len() == limit || looked == limit.saturating_mul(LOOKS) {
                return (page, Some(DocumentCursor(no.0)));
            }
            if self.has(filter, record) {
                page.extend(show(record));
            }
        }
        (page, None)
    }

    fn has(&self, filter: &DocumentFilter, record: &DocumentRecord) -> bool {
        let is_sku = filter.sku.as_ref().is_none_or(|sku| *sku == self.state.item(record.sku).sku);
        let is_there = filter.location.as_ref().is_none_or(|id| {
            let is_it = |location| self.state.location(location).id == *id;
            match &record.body {
                DocumentBody::Transfer(transfer) => is_it(transfer.from) || is_it(transfer.to),
                DocumentBody::Receipt(receipt) => is_it(receipt.location),
                DocumentBody::Count(count) => is_it(count.location),
            }
        });
        is_sku && is_there && (!filter.open_only || record.ended_at.is_none())
    }

    fn show_transfer(&self, record: &DocumentRecord, transfer: &TransferRecord) -> Transfer {
        let line = |line: &crate::state::TransferLineRecord| TransferLine {
            lot: line.lot.map(|lot| self.state.lot(lot).id.clone()),
            units: line.units,
        };
        Transfer {
            id: TransferId(record.id),
            sku: self.state.item(record.sku).sku.clone(),
            from: self.state.location(transfer.from).id.clone(),
            to: self.state.location(transfer.to).id.clone(),
            state: transfer.state(),
            lines: transfer.lines.iter().map(line).collect(),
            created_at: record.created_at,
            ended_at: record.ended_at,
            revision: record.revision,
        }
    }

    fn show_receipt(&self, record: &DocumentRecord, receipt: &ReceiptRecord) -> Receipt {
        Receipt {
            id: ReceiptId(record.id),
            sku: self.state.item(record.sku).sku.clone(),
            location: self.state.location(receipt.location).id.clone(),
            expected_at: receipt.expected_at,
            lines: receipt.lines.clone(),
            unexpected: receipt.unexpected,
            created_at: record.created_at,
            closed_at: record.ended_at,
            revision: record.revision,
        }
    }
}
