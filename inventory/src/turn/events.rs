//! What a turn did, told in events.

use std::sync::Arc;

use holdfast_mutation::{Mutation, is_on};

use super::{PendingChange, Touched, Turn};
use crate::state::{LotNo, ReservationNo, ReservationRecord};
use crate::{Event, EventBody, EventKind, ReservationRef, StockChange, StockCounts, Subject};

impl Turn<'_> {
    /// Writes what the turn changed into one event, settles the places it changed, and writes what follows from it into more.
    pub(crate) fn record(&mut self, kind: EventKind, reservation: Option<ReservationNo>, subject: Option<Subject>) {
        self.record_changes(kind, reservation, subject);
        self.finish();
    }

    /// Writes what the turn changed into one event.
    pub(crate) fn record_changes(
        &mut self,
        kind: EventKind,
        reservation: Option<ReservationNo>,
        subject: Option<Subject>,
    ) {
        let pending = std::mem::take(&mut self.changes);
        let changes = pending.iter().map(|change| self.stock_change(change)).collect();
        let reservation = reservation.map(|no| ReservationRef::of(self.state.reservation(no)));
        self.append(kind, reservation, changes, subject);
    }

    /// Gives what became free to those it was promised to, takes promises back that cannot be kept, and tells of what may be
    /// promised then.
    pub(crate) fn finish(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        for place in &touched {
            self.settle(place.sku, place.location, place.may_lack);
        }
        self.touched.clear();
        for place in &touched {
            self.record_exhausted(place);
            self.record_availability(place);
        }
    }

    fn stock_change(&self, change: &PendingChange) -> StockChange {
        let place = self.state.stock(change.sku).place(change.location).expect("what was changed is there");
        let item = self.state.item(change.sku);
        let after = if item.spec.lot_tracked && change.lot.is_none() {
            StockCounts { reserved: place.unbound_units(), ..StockCounts::default() }
        } else {
            place.counts_of(change.lot)
        };
        StockChange {
            sku: item.sku.clone(),
            location: self.state.location(change.location).id.clone(),
            lot: change.lot.map(|lot| self.state.lot(lot).id.clone()),
            delta: change.delta,
            after,
            atp_after: self.state.atp(change.sku, place),
            revision: place.revision,
        }
    }

    /// Tells when what may be promised came to nothing, came back, or came down to the item's threshold.
    fn record_availability(&mut self, place: &Touched) {
        let item = self.state.item(place.sku);
        let threshold = item.spec.low_stock_threshold;
        let (before, atp) = (place.atp_before, self.atp(place.sku, place.location));
        if !item.spec.tracked || before == atp {
            return;
        }
        let kind = match (before, atp) {
            (_, 0) => EventKind::AvailabilityOut,
            (0, _) => EventKind::AvailabilityBack,
            _ if before > threshold && atp <= threshold => EventKind::AvailabilityLow,
            _ => return,
        };
        let location = self.state.location(place.location).id.clone();
        let subject = Subject::Availability { sku: item.sku.clone(), location, atp };
        self.append(kind, None, Vec::new(), Some(subject));
    }

    /// A lot as an event names it.
    pub(crate) fn lot_subject(&self, lot: LotNo) -> Subject {
        let record = self.state.lot(lot);
        Subject::Lot {
            sku: self.state.item(record.sku).sku.clone(),
            lot: record.id.clone(),
            status: record.status,
            revision: record.revision,
        }
    }

    pub(super) fn append(
        &mut self,
        kind: EventKind,
        reservation: Option<ReservationRef>,
        changes: Vec<StockChange>,
        subject: Option<Subject>,
    ) {
        let header = &mut self.state.header;
        let body = EventBody {
            seq: header.seq + 1,
            time: header.now,
            kind,
            command: self.command,
            cause: self.cause.map(|cause| Arc::new(cause.clone())),
            reservation,
            changes,
            subject,
        };
        let before = if is_on(Mutation::EventsNotChained) { Default::default() } else { header.last_hash };
        let event = Event::seal(before, body);
        header.seq += 1;
        header.last_hash = event.hash;
        header.history.push(event.hash);
        self.events.push(event);
    }
}

impl ReservationRef {
    fn of(record: &ReservationRecord) -> Self {
        Self { id: record.id, state: record.state(), revision: record.revision, expires_at: record.expires_at }
    }
}
