//! What of a place lies in no cell: its safety stock, and what is on its way to it. And the documents that say so.

use holdfast_mutation::{Mutation, is_on};

use super::Turn;
use super::quantities::MAX_COUNT;
use crate::shelf::Shelf;
use crate::state::{
    CountRecord, DocumentBody, DocumentNo, DocumentRecord, LocationNo, LotNo, ReceiptRecord, SkuNo, StockPlace,
    TransferRecord,
};
use crate::{Condition, CountId, LogTime, ReceiptId, Refusal, Revision, StockFlow, Subject, Success, TransferId};

impl Turn<'_> {
    /// Changes what of a place lies in no cell, and counts the change once a turn.
    pub(crate) fn change_place(&mut self, sku: SkuNo, location: LocationNo, change: impl FnOnce(&mut StockPlace)) {
        self.touch(sku, location);
        let is_counted = self.changes.iter().any(|change| (change.sku, change.location) == (sku, location));
        let place = self.state.stock_mut(sku).place_mut(location);
        change(place);
        if !is_counted {
            place.revision = place.revision.next();
        }
    }

    /// Refuses what comes and goes where the place's sums would leave their range.
    pub(crate) fn check_flow(&self, sku: SkuNo, location: LocationNo, flow: &StockFlow) -> Result<(), Refusal> {
        let before = self.state.stock(sku).place(location).map(|place| place.flow).unwrap_or_default();
        before.plus(flow).map(|_| ()).ok_or(Refusal::QuantityOverflow)
    }

    /// Refuses more units on their way to a place, or expected there, than its counters can have.
    pub(crate) fn check_on_the_way(&self, sku: SkuNo, location: LocationNo, units: u64) -> Result<(), Refusal> {
        let place = self.state.stock(sku).place(location);
        let (in_transit, incoming) = place.map_or((0, 0), |place| (place.in_transit, place.incoming));
        let fits = |before: u64| before.checked_add(units).is_some_and(|after| after <= MAX_COUNT);
        if fits(in_transit) && fits(incoming) { Ok(()) } else { Err(Refusal::QuantityOverflow) }
    }

    /// Units of that condition that may be taken away: bound by nothing, and needed by no hold.
    pub(crate) fn units_to_take(
        &self,
        sku: SkuNo,
        location: LocationNo,
        lot: Option<LotNo>,
        condition: Condition,
    ) -> u64 {
        let Some(place) = self.state.stock(sku).place(location) else { return 0 };
        let counts = place.counts_of(lot);
        match (condition, lot) {
            (Condition::Damaged, _) => counts.damaged,
            (Condition::QualityControl, _) => counts.quality_control,
            // What of a lot on sale is held by nobody by name may be what holds need that are bound to no lot yet.
            (Condition::Resellable, Some(lot)) if self.state.lot(lot).is_sellable(self.now()) => {
                Shelf::of(self.state, place).left_of(lot)
            }
            (Condition::Resellable, _) => counts.free().expect("[H-QTY] no part is below 0"),
        }
    }

    /// Resellable units at a place, of whatever lot on sale, that may go elsewhere: what a campaign has is revoked first.
    pub(crate) fn units_to_spare(&self, sku: SkuNo, location: LocationNo) -> u64 {
        let Some(place) = self.state.stock(sku).place(location) else { return 0 };
        let is_by_lot = self.state.item(sku).spec.lot_tracked;
        let free = if is_by_lot { Shelf::of(self.state, place).left_for(LogTime(0)) } else { place.free() };
        free.saturating_sub(place.fence())
    }

    // Documents.

    /// The transfer.
    pub(crate) fn transfer(&self, id: TransferId) -> Result<(DocumentNo, &DocumentRecord, &TransferRecord), Refusal> {
        let no = self.state.find_document(id.0).ok_or(Refusal::TransferNotFound)?;
        let record = self.state.document(no);
        match &record.body {
            DocumentBody::Transfer(transfer) => Ok((no, record, transfer)),
            DocumentBody::Receipt(_) | DocumentBody::Count(_) => Err(Refusal::TransferNotFound),
        }
    }

    /// The expected receipt, which must be open.
    pub(crate) fn open_receipt(&self, id: ReceiptId) -> Result<(DocumentNo, &DocumentRecord, &ReceiptRecord), Refusal> {
        let no = self.state.find_document(id.0).ok_or(Refusal::ReceiptNotFound)?;
        let record = self.state.document(no);
        match &record.body {
            DocumentBody::Receipt(receipt) if receipt.closed => Err(Refusal::AlreadyEnded),
            DocumentBody::Receipt(receipt) => Ok((no, record, receipt)),
            DocumentBody::Transfer(_) | DocumentBody::Count(_) => Err(Refusal::ReceiptNotFound),
        }
    }

    /// The count, which must be open.
    pub(crate) fn open_count(&self, id: CountId) -> Result<(DocumentNo, &DocumentRecord, &CountRecord), Refusal> {
        let no = self.state.find_document(id.0).ok_or(Refusal::CountNotFound)?;
        let record = self.state.document(no);
        match &record.body {
            DocumentBody::Count(count) if count.state.is_ended() && !is_on(Mutation::CountAppliedTwice) => {
                Err(Refusal::AlreadyEnded)
            }
            DocumentBody::Count(count) => Ok((no, record, count)),
            DocumentBody::Transfer(_) | DocumentBody::Receipt(_) => Err(Refusal::CountNotFound),
        }
    }

    /// Refuses one document more than may be open, and an id that is taken.
    pub(crate) fn check_new_document(&self, id: u128, retry_after_ms: u64) -> Result<(), Refusal> {
        if self.state.find_document(id).is_some() {
            return Err(Refusal::Exists);
        }
        if self.state.open_documents() >= self.state.header.limits.open_documents() {
            return Err(Refusal::Overloaded { retry_after_ms });
        }
        Ok(())
    }

    /// Makes a document known.
    pub(crate) fn add_document(&mut self, id: u128, sku: SkuNo, body: DocumentBody) -> DocumentNo {
        let (created_at, revision) = (self.now(), Revision::default().next());
        self.state.add_document(DocumentRecord { id, sku, created_at, ended_at: None, revision, body })
    }

    /// Takes units off what is on its way to a transfer's destination, and counts what came and went there without lying there.
    pub(crate) fn take_off_transit(&mut self, sku: SkuNo, to: LocationNo, units: u64, flow: &StockFlow) {
        self.change_place(sku, to, |place| {
            place.flow = place.flow.plus(flow).expect("the range of the flow was checked before");
            place.in_transit = place.in_transit.checked_sub(units).expect("[H-CAPS] no more arrives than was sent");
        });
    }

    /// A document as an event names it.
    pub(crate) fn document_subject(&self, no: DocumentNo) -> Subject {
        let record = self.state.document(no);
        match &record.body {
            DocumentBody::Transfer(transfer) => Subject::Transfer {
                transfer: TransferId(record.id),
                from: self.state.location(transfer.from).id.clone(),
                to: self.state.location(transfer.to).id.clone(),
                state: transfer.state(),
                in_transit: transfer.in_transit(),
                revision: record.revision,
            },
            DocumentBody::Receipt(receipt) => Subject::Receipt {
                receipt: ReceiptId(record.id),
                location: self.state.location(receipt.location).id.clone(),
                expected: receipt.expected(),
                revision: record.revision,
            },
            DocumentBody::Count(count) => Subject::Count {
                count: CountId(record.id),
                location: self.state.location(count.location).id.clone(),
                state: count.state,
                revision: record.revision,
            },
        }
    }

    pub(crate) fn document_success(&self, no: DocumentNo, location: LocationNo) -> Success {
        let record = self.state.document(no);
        Success { revision: record.revision, atp_after: self.atp(record.sku, location), ..Success::default() }
    }
}
