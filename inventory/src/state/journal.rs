//! The journal of a linked chain: every record as it was before, so that a chain that fails leaves nothing behind.

use super::campaigns::{CampaignNo, CampaignRecord};
use super::customer_limits::{CounterNo, CounterRecord, LimitNo, LimitRecord};
use super::documents::{DocumentNo, DocumentRecord};
use super::records::{
    ChannelNo, ChannelRecord, ItemRecord, LocationNo, LocationRecord, LotNo, LotRecord, ReservationNo,
    ReservationRecord, SkuNo, StockPlace, StockRecord,
};
use super::rooms::{RoomNo, RoomRecord};
use super::{Header, State};

/// How to take one change back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    LocationAdded(LocationNo),
    Location(LocationNo, LocationRecord),
    ItemAdded(SkuNo),
    Item(SkuNo, ItemRecord),
    Stock(SkuNo, StockRecord),
    LotAdded(LotNo),
    Lot(LotNo, LotRecord),
    ReservationAdded(ReservationNo),
    Reservation(ReservationNo, ReservationRecord),
    DocumentAdded(DocumentNo),
    Document(DocumentNo, DocumentRecord),
    LimitAdded(LimitNo),
    Limit(LimitNo, LimitRecord),
    CounterAdded(CounterNo),
    Counter(CounterNo, CounterRecord),
    ChannelAdded(ChannelNo),
    Channel(ChannelNo, ChannelRecord),
    CampaignAdded(CampaignNo),
    Campaign(CampaignNo, CampaignRecord),
    RoomAdded(RoomNo),
    Room(RoomNo, RoomRecord),
}

/// The changes of an open chain, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    header: Header,
    changes: Vec<Undo>,
}

impl Journal {
    pub(super) fn note(&mut self, change: Undo) {
        self.changes.push(change);
    }
}

impl State {
    pub(super) fn note(&mut self, change: impl FnOnce() -> Undo) {
        if let Some(journal) = &mut self.journal {
            journal.note(change());
        }
    }

    /// From here on every change can be taken back.
    pub(crate) fn begin_chain(&mut self) {
        assert!(self.journal.is_none(), "chains do not nest");
        self.journal = Some(Journal { header: self.header.clone(), changes: Vec::new() });
    }

    /// Whether a chain is being decided.
    pub(crate) fn is_chain_open(&self) -> bool {
        self.journal.is_some()
    }

    /// The chain's changes stand.
    pub(crate) fn keep_chain(&mut self) {
        assert!(self.journal.take().is_some(), "a chain is open");
    }

    /// Takes every change since [`State::begin_chain`] back, newest first: the state is what it was.
    pub(crate) fn roll_back_chain(&mut self) {
        let journal = self.journal.take().expect("a chain is open");
        for change in journal.changes.into_iter().rev() {
            self.take_back(change);
        }
        self.header = journal.header;
    }

    fn take_back(&mut self, change: Undo) {
        const BELIEF: &str = "what a chain touched is there until the chain ends";
        match change {
            Undo::LocationAdded(no) => {
                let record = self.locations.undo_push(u64::from(no.0)).expect(BELIEF);
                self.indexes.locations.remove(&record.id);
            }
            Undo::Location(no, old) => *self.locations.get_mut(u64::from(no.0)).expect(BELIEF) = old,
            Undo::ItemAdded(no) => {
                let record = self.items.undo_push(u64::from(no.0)).expect(BELIEF);
                self.stock.undo_push(u64::from(no.0)).expect(BELIEF);
                self.indexes.remove_last_sku(&record.sku, no);
            }
            Undo::Item(no, old) => *self.items.get_mut(u64::from(no.0)).expect(BELIEF) = old,
            Undo::Stock(no, old) => {
                let record = self.stock.get_mut(u64::from(no.0)).expect(BELIEF);
                record.places.iter().for_each(|place| self.indexes.note_filling(no, place.location, false));
                let gone = std::mem::replace(record, old);
                record.places.iter().for_each(|place| self.indexes.note_filling(no, place.location, place.is_filling));
                let campaigns = |place: &StockPlace| place.allocations.iter().map(|of| of.campaign).collect::<Vec<_>>();
                gone.places.iter().for_each(|place| {
                    self.indexes.note_allocations(no, place.location, &campaigns(place), &[]);
                });
                record.places.iter().for_each(|place| {
                    self.indexes.note_allocations(no, place.location, &[], &campaigns(place));
                });
            }
            Undo::LotAdded(no) => {
                let record = self.lots.undo_push(u64::from(no.0)).expect(BELIEF);
                self.indexes.remove_lot(no, &record);
            }
            Undo::Lot(no, old) => {
                let record = self.lots.get_mut(u64::from(no.0)).expect(BELIEF);
                self.indexes.unschedule_lot(no, record);
                *record = old;
                self.indexes.schedule_lot(no, record);
            }
            Undo::ReservationAdded(no) => {
                let record = self.reservations.undo_push(no.0).expect(BELIEF);
                self.indexes.unschedule(no, &record);
                self.indexes.unname_reservation(no, &record);
            }
            Undo::Reservation(no, old) => {
                let record = self.reservations.get_mut(no.0).expect(BELIEF);
                self.indexes.unschedule(no, record);
                *record = old;
                self.indexes.schedule(no, record);
            }
            Undo::DocumentAdded(no) => self.take_back_document_added(no),
            Undo::Document(no, old) => self.take_back_document(no, old),
            Undo::LimitAdded(no) => self.take_back_limit_added(no),
            Undo::Limit(no, old) => self.take_back_limit(no, old),
            Undo::CounterAdded(no) => self.take_back_counter_added(no),
            Undo::Counter(no, old) => self.take_back_counter(no, old),
            Undo::ChannelAdded(no) => {
                let record = self.channels.undo_push(u64::from(no.0)).expect(BELIEF);
                self.indexes.channels.remove(&record.id);
            }
            Undo::Channel(no, old) => *self.channels.get_mut(u64::from(no.0)).expect(BELIEF) = old,
            Undo::CampaignAdded(no) => self.take_back_campaign_added(no),
            Undo::Campaign(no, old) => self.take_back_campaign(no, old),
            Undo::RoomAdded(no) => self.take_back_room_added(no),
            Undo::Room(no, old) => self.take_back_room(no, old),
        }
    }
}
