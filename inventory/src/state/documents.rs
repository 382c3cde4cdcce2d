//! The records of transfers, expected receipts and counts, and every change of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chunk::{ChunkKind, Record};
use super::counts::CountRecord;
use super::journal::Undo;
use super::load::LoadError;
use super::records::{LocationNo, LotNo, SkuNo};
use super::{State, hash_id};
use crate::{Limits, LogTime, MAX_DOCUMENT_LINES, ReceiptLine, Revision, TransferState, TransferUnits};

/// The ordinal of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct DocumentNo(pub(crate) u64);

/// A transfer, a receipt that is expected, or a count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DocumentRecord {
    pub(crate) id: u128,
    pub(crate) sku: SkuNo,
    pub(crate) created_at: LogTime,
    pub(crate) ended_at: Option<LogTime>,
    pub(crate) revision: Revision,
    pub(crate) body: DocumentBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DocumentBody {
    Transfer(TransferRecord),
    Receipt(ReceiptRecord),
    Count(CountRecord),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransferRecord {
    pub(crate) from: LocationNo,
    pub(crate) to: LocationNo,
    pub(crate) lines: Vec<TransferLineRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TransferLineRecord {
    pub(crate) lot: Option<LotNo>,
    pub(crate) units: TransferUnits,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiptRecord {
    pub(crate) location: LocationNo,
    pub(crate) expected_at: Option<LogTime>,
    /// By the lots' names, for a lot may be expected before it is known.
    pub(crate) lines: Vec<ReceiptLine>,
    pub(crate) unexpected: u64,
    pub(crate) closed: bool,
}

impl Record for DocumentRecord {
    const KIND: ChunkKind = ChunkKind::Documents;
    const PER_CHUNK: usize = 64;
}

impl TransferRecord {
    /// What is on its way.
    pub(crate) fn in_transit(&self) -> u64 {
        self.lines.iter().map(TransferLineRecord::in_transit).fold(0, u64::saturating_add)
    }

    /// The summary of its lines.
    pub(crate) fn state(&self) -> TransferState {
        let has = |of: fn(&TransferUnits) -> u64| self.lines.iter().any(|line| of(&line.units) > 0);
        let is_touched = has(|units| units.received + units.lost);
        match (self.in_transit() > 0, is_touched) {
            (true, false) => TransferState::InTransit,
            (true, true) => TransferState::PartiallyReceived,
            (false, _) if has(|units| units.returned) => TransferState::Cancelled,
            (false, _) if has(|units| units.received) => TransferState::Received,
            (false, _) => TransferState::Lost,
        }
    }
}

impl TransferLineRecord {
    pub(crate) fn in_transit(&self) -> u64 {
        self.units.in_transit().expect("[H-CAPS] no more arrives, is lost or goes back than was sent")
    }
}

impl ReceiptRecord {
    /// What is still expected.
    pub(crate) fn expected(&self) -> u64 {
        if self.closed {
            return 0;
        }
        self.lines.iter().map(|line| line.units - line.arrived).fold(0, u64::saturating_add)
    }
}

impl DocumentRecord {
    fn is_ended(&self) -> bool {
        match &self.body {
            DocumentBody::Transfer(transfer) => transfer.in_transit() == 0,
            DocumentBody::Receipt(receipt) => receipt.closed,
            DocumentBody::Count(count) => count.state.is_ended(),
        }
    }

    /// The place of which it is the open count, where it is one.
    fn counts_at(&self) -> Option<(SkuNo, LocationNo)> {
        match &self.body {
            DocumentBody::Count(count) if !count.state.is_ended() => Some((self.sku, count.location)),
            _ => None,
        }
    }

    /// Where its units are on their way to, and how many; how many are expected.
    pub(crate) fn on_the_way(&self) -> (LocationNo, u64, u64) {
        match &self.body {
            DocumentBody::Transfer(transfer) => (transfer.to, transfer.in_transit(), 0),
            DocumentBody::Receipt(receipt) => (receipt.location, 0, receipt.expected()),
            DocumentBody::Count(count) => (count.location, 0, 0),
        }
    }
}

impl Limits {
    /// Transfers, expected receipts and counts in memory that have not ended, at most: one for 40 reservations.
    #[must_use]
    pub fn open_documents(&self) -> u64 {
        (self.live_reservations / 40).max(1)
    }

    /// Those that have ended, at most: one for 40 reservations.
    #[must_use]
    pub fn ended_documents(&self) -> u64 {
        (self.ended_reservations / 40).max(1)
    }
}

impl State {
    pub(crate) fn find_document(&self, id: u128) -> Option<DocumentNo> {
        let is_it = |ordinal| self.documents.get(ordinal).is_some_and(|record| record.id == id);
        self.indexes.documents.find(hash_id(id), is_it).map(DocumentNo)
    }

    pub(crate) fn document(&self, no: DocumentNo) -> &DocumentRecord {
        self.documents.get(no.0).expect("a document's number is only kept as long as it")
    }

    pub(crate) fn documents_from(&self, from: DocumentNo) -> impl Iterator<Item = (DocumentNo, &DocumentRecord)> {
        self.documents.iter_from(from.0).map(|(ordinal, record)| (DocumentNo(ordinal), record))
    }

    /// Documents that have not ended.
    pub(crate) fn open_documents(&self) -> u64 {
        self.documents.live() - self.indexes.ended_documents.len() as u64
    }

    pub(crate) fn add_document(&mut self, record: DocumentRecord) -> DocumentNo {
        let no = DocumentNo(self.documents.next_ordinal());
        self.index_document(no, &record);
        self.documents.push(record);
        self.note(|| Undo::DocumentAdded(no));
        no
    }

    /// Changes a document, and counts the change.
    pub(crate) fn change_document(&mut self, no: DocumentNo, change: impl FnOnce(&mut DocumentBody)) {
        const BELIEF: &str = "a document's number is only kept as long as it";
        let now = self.header.now;
        let record = self.documents.get_mut(no.0).expect(BELIEF);
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Document(no, record.clone()));
        }
        let counted_at = record.counts_at();
        change(&mut record.body);
        record.revision = record.revision.next();
        if record.is_ended() && record.ended_at.is_none() {
            record.ended_at = Some(now);
            self.indexes.ended_documents.insert((now, no));
            if let Some(place) = counted_at {
                self.indexes.open_counts.remove(&place);
            }
        }
    }

    /// Adds to what a document says of its last change.
    pub(crate) fn amend_document(&mut self, no: DocumentNo, amend: impl FnOnce(&mut DocumentBody)) {
        let record = self.documents.get_mut(no.0).expect("a document's number is only kept as long as it");
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Document(no, record.clone()));
        }
        amend(&mut record.body);
    }

    fn index_document(&mut self, no: DocumentNo, record: &DocumentRecord) {
        self.indexes.documents.insert(hash_id(record.id), no.0);
        self.indexes.ended_documents.extend(record.ended_at.map(|ended_at| (ended_at, no)));
        self.indexes.open_counts.extend(record.counts_at().map(|place| (place, no)));
    }

    fn unindex_document(&mut self, no: DocumentNo, record: &DocumentRecord) {
        self.indexes.documents.remove(hash_id(record.id), no.0);
        if let Some(ended_at) = record.ended_at {
            self.indexes.ended_documents.remove(&(ended_at, no));
        }
        if let Some(place) = record.counts_at() {
            self.indexes.open_counts.remove(&place);
        }
    }

    pub(super) fn take_back_document_added(&mut self, no: DocumentNo) {
        let record = self.documents.undo_push(no.0).expect("what a chain touched is there until the chain ends");
        self.unindex_document(no, &record);
    }

    pub(super) fn take_back_document(&mut self, no: DocumentNo, old: DocumentRecord) {
        const BELIEF: &str = "what a chain touched is there until the chain ends";
        let record = std::mem::replace(self.documents.get_mut(no.0).expect(BELIEF), old.clone());
        self.unindex_document(no, &record);
        self.index_document(no, &old);
    }

    /// Forgets documents that ended long ago, or of which there are too many, oldest first, at most `most`. Never within a chain.
    pub(crate) fn forget_ended_documents(&mut self, most: usize) {
        debug_assert!(self.journal.is_none(), "nothing is forgotten within a chain");
        for _ in 0..most {
            let Some(&(ended_at, no)) = self.indexes.ended_documents.first() else { break };
            let is_old = ended_at.plus_ms(self.header.limits.keep_ended_ms) <= self.header.now;
            if !is_old && self.indexes.ended_documents.len() as u64 <= self.header.limits.ended_documents() {
                break;
            }
            let record = self.documents.remove(no.0).expect("an index has what is there");
            self.unindex_document(no, &record);
        }
    }

    /// Takes the documents that were loaded into the indexes, once the rest of the state is there, which they must fit.
    pub(super) fn index_documents(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::Documents };
        let mut on_the_way: BTreeMap<(SkuNo, LocationNo), (u64, u64)> = BTreeMap::new();
        let mut found = Vec::new();
        for (ordinal, record) in self.documents.iter() {
            if !self.document_fits(record) || record.is_ended() != record.ended_at.is_some() {
                return Err(refused);
            }
            let (location, in_transit, expected) = record.on_the_way();
            let sums = on_the_way.entry((record.sku, location)).or_default();
            let more = sums.0.checked_add(in_transit).zip(sums.1.checked_add(expected));
            *sums = more.ok_or(refused)?;
            found.push((DocumentNo(ordinal), record.id, record.ended_at, record.counts_at()));
        }
        for (no, id, ended_at, counts_at) in found {
            if self.find_document(id).is_some() {
                return Err(refused);
            }
            if let Some(place) = counts_at
                && self.indexes.open_counts.insert(place, no).is_some()
            {
                return Err(refused);
            }
            self.indexes.documents.insert(hash_id(id), no.0);
            self.indexes.ended_documents.extend(ended_at.map(|ended_at| (ended_at, no)));
        }
        for sku in self.skus() {
            for place in &self.stock(sku).places {
                let sums = on_the_way.remove(&(sku, place.location)).unwrap_or_default();
                if sums != (place.in_transit, place.incoming) {
                    return Err(refused);
                }
            }
        }
        let is_nowhere = on_the_way.into_values().any(|sums| sums != (0, 0));
        if is_nowhere { Err(refused) } else { Ok(()) }
    }

    fn document_fits(&self, record: &DocumentRecord) -> bool {
        let is_location = |location: LocationNo| u64::from(location.0) < self.locations.live();
        u64::from(record.sku.0) < self.items.live()
            && match &record.body {
                DocumentBody::Transfer(transfer) => {
                    let line_fits = |line: &TransferLineRecord| {
                        line.lot.is_none_or(|lot| self.is_lot_of(record.sku, lot)) && line.units.in_transit().is_some()
                    };
                    let lines = &transfer.lines;
                    is_location(transfer.from)
                        && is_location(transfer.to)
                        && lines.len() <= MAX_DOCUMENT_LINES
                        && lines.iter().all(line_fits)
                        && lines.iter().try_fold(0_u64, |sum, line| sum.checked_add(line.units.sent)).is_some()
                }
                DocumentBody::Receipt(receipt) => {
                    let lines = &receipt.lines;
                    is_location(receipt.location)
                        && lines.len() <= MAX_DOCUMENT_LINES
                        && lines.iter().all(|line| line.arrived <= line.units)
                        && lines.iter().try_fold(0_u64, |sum, line| sum.checked_add(line.units)).is_some()
                }
                DocumentBody::Count(count) => {
                    is_location(count.location)
                        && count.fits()
                        && count.lots().all(|lot| self.is_lot_of(record.sku, lot))
                }
            }
    }
}
