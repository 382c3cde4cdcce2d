//! The waiting rooms of campaigns, and which tokens were spent in this shard.
//!
//! A room lies in one shard, that of its campaign's name; a token is spent in the shard that decides the reservation, which knows of
//! the room no more than the number of the ticket.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use super::campaigns::SaleNo;
use super::chunk::{ChunkKind, Record};
use super::journal::Undo;
use super::load::LoadError;
use crate::{CampaignPhase, CustomerHash, LogTime, MAX_TICKETS, MAX_TICKETS_OF_SHARD, Seed, TicketState};

const BELIEF: &str = "an index has what is there";

/// The ordinal of a record among those of the rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoomNo(pub(crate) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomRecord {
    pub(crate) sale: SaleNo,
    pub(crate) ticket: u32,
    pub(crate) what: RoomEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RoomEntry {
    /// A customer's place in the room.
    Ticket { customer: CustomerHash, state: TicketState },
    /// A token of that ticket was spent in this shard.
    SpentHere,
}

impl Record for RoomRecord {
    const KIND: ChunkKind = ChunkKind::Rooms;
    const PER_CHUNK: usize = 256;
}

/// What of a room is found by what. Follows from its records, and from the seed of its campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomIndex {
    pub(crate) by_customer: BTreeMap<CustomerHash, RoomNo>,
    pub(crate) by_ticket: BTreeMap<u32, RoomNo>,
    /// Who waits, in the order in which they are let in.
    pub(crate) waiting: BTreeSet<([u8; 32], u32)>,
    /// Who was let in and has not spent the token, by when that ends.
    pub(crate) admitted: BTreeSet<(LogTime, u32)>,
    pub(crate) spent: BTreeSet<u32>,
    pub(crate) spent_here: BTreeMap<u32, RoomNo>,
}

impl RoomIndex {
    fn add(&mut self, no: RoomNo, record: &RoomRecord, seed: Option<&Seed>) {
        let ticket = record.ticket;
        match record.what {
            RoomEntry::SpentHere => drop(self.spent_here.insert(ticket, no)),
            RoomEntry::Ticket { customer, state } => {
                self.by_customer.insert(customer, no);
                self.by_ticket.insert(ticket, no);
                match state {
                    TicketState::Waiting => drop(self.waiting.insert((place(seed, customer), ticket))),
                    TicketState::Admitted { until } => drop(self.admitted.insert((until, ticket))),
                    TicketState::Spent => drop(self.spent.insert(ticket)),
                }
            }
        }
    }

    fn remove(&mut self, record: &RoomRecord, seed: Option<&Seed>) {
        let ticket = record.ticket;
        match record.what {
            RoomEntry::SpentHere => drop(self.spent_here.remove(&ticket)),
            RoomEntry::Ticket { customer, state } => {
                self.by_customer.remove(&customer);
                self.by_ticket.remove(&ticket);
                match state {
                    TicketState::Waiting => drop(self.waiting.remove(&(place(seed, customer), ticket))),
                    TicketState::Admitted { until } => drop(self.admitted.remove(&(until, ticket))),
                    TicketState::Spent => drop(self.spent.remove(&ticket)),
                }
            }
        }
    }

    /// Those that are let in at that instant.
    pub(crate) fn admitted_at(&self, now: LogTime) -> usize {
        self.admitted.range((LogTime(now.0.saturating_add(1)), 0)..).count()
    }

    fn is_empty(&self) -> bool {
        self.by_ticket.is_empty() && self.spent_here.is_empty()
    }
}

/// Before a draw, and where there is none, those who came first are first.
fn place(seed: Option<&Seed>, customer: CustomerHash) -> [u8; 32] {
    seed.map_or([0; 32], |seed| seed.place_of(customer))
}

impl State {
    pub(crate) fn room(&self, sale: SaleNo) -> Option<&RoomIndex> {
        self.indexes.rooms.get(&sale)
    }

    pub(crate) fn room_records(&self) -> impl Iterator<Item = &RoomRecord> {
        self.rooms.iter().map(|(_, record)| record)
    }

    pub(crate) fn room_record(&self, no: RoomNo) -> &RoomRecord {
        self.rooms.get(no.0).expect(BELIEF)
    }

    /// Whether no more tickets may come to a room.
    pub(crate) fn is_full_of_tickets(&self, sale: SaleNo) -> bool {
        let of_room = self.room(sale).map_or(0, |room| room.by_ticket.len());
        of_room >= MAX_TICKETS || self.indexes.tickets >= MAX_TICKETS_OF_SHARD
    }

    /// Whether no more tokens may be spent in this shard.
    pub(crate) fn is_full_of_spent(&self) -> bool {
        (self.rooms.live() as usize).saturating_sub(self.indexes.tickets) >= MAX_TICKETS_OF_SHARD
    }

    pub(crate) fn is_spent_here(&self, sale: SaleNo, ticket: u32) -> bool {
        self.room(sale).is_some_and(|room| room.spent_here.contains_key(&ticket))
    }

    pub(crate) fn add_to_room(&mut self, record: RoomRecord) -> RoomNo {
        let no = RoomNo(self.rooms.next_ordinal());
        self.index_room_record(no, &record);
        self.rooms.push(record);
        self.note(|| Undo::RoomAdded(no));
        no
    }

    /// Gives a ticket another state.
    pub(crate) fn change_ticket(&mut self, no: RoomNo, to: TicketState) {
        let mut record = *self.room_record(no);
        if let Some(journal) = &mut self.journal {
            journal.note(Undo::Room(no, record));
        }
        self.unindex_room_record(&record);
        if let RoomEntry::Ticket { state, .. } = &mut record.what {
            *state = to;
        }
        self.index_room_record(no, &record);
        *self.rooms.get_mut(no.0).expect(BELIEF) = record;
    }

    /// Orders those who wait anew, after the seed of their campaign has changed.
    pub(super) fn reorder_room(&mut self, sale: SaleNo) {
        let seed = self.seed_of(sale);
        let Some(room) = self.indexes.rooms.get_mut(&sale) else { return };
        let waiting = std::mem::take(&mut room.waiting);
        for (_, ticket) in waiting {
            let customer = match self.rooms.get(room.by_ticket[&ticket].0).expect(BELIEF).what {
                RoomEntry::Ticket { customer, .. } => customer,
                RoomEntry::SpentHere => continue,
            };
            room.waiting.insert((place(seed.as_ref(), customer), ticket));
        }
    }

    fn seed_of(&self, sale: SaleNo) -> Option<Seed> {
        self.campaign_of(sale).and_then(|record| record.seed)
    }

    fn index_room_record(&mut self, no: RoomNo, record: &RoomRecord) {
        let seed = self.seed_of(record.sale);
        self.indexes.tickets += usize::from(matches!(record.what, RoomEntry::Ticket { .. }));
        self.indexes.rooms.entry(record.sale).or_default().add(no, record, seed.as_ref());
    }

    fn unindex_room_record(&mut self, record: &RoomRecord) {
        let seed = self.seed_of(record.sale);
        self.indexes.tickets -= usize::from(matches!(record.what, RoomEntry::Ticket { .. }));
        if let Some(room) = self.indexes.rooms.get_mut(&record.sale) {
            room.remove(record, seed.as_ref());
            if room.is_empty() {
                self.indexes.rooms.remove(&record.sale);
            }
        }
    }

    /// Forgets what is known of rooms whose campaign made room for another, or was over long ago. Never within a chain.
    pub(crate) fn forget_old_rooms(&mut self, most: usize) {
        debug_assert!(self.journal.is_none(), "nothing is forgotten within a chain");
        let (now, keep_ms) = (self.header.now, self.header.limits.keep_ended_ms);
        let is_old = |sale: &SaleNo| {
            let campaign = self.campaign_of(*sale);
            campaign.is_none_or(|of| of.phase == CampaignPhase::Closed && of.spec.ends_at.plus_ms(keep_ms) <= now)
        };
        let Some(sale) = self.indexes.rooms.keys().copied().find(|sale| is_old(sale)) else { return };
        let room = &self.indexes.rooms[&sale];
        let numbers: Vec<RoomNo> =
            room.by_ticket.values().chain(room.spent_here.values()).copied().take(most).collect();
        let is_all = numbers.len() == room.by_ticket.len() + room.spent_here.len();
        if is_all {
            // Whose seed is not known any more is found by nothing else.
            self.indexes.rooms.remove(&sale);
        }
        for no in numbers {
            let record = self.rooms.remove(no.0).expect(BELIEF);
            if is_all {
                self.indexes.tickets -= usize::from(matches!(record.what, RoomEntry::Ticket { .. }));
            } else {
                self.unindex_room_record(&record);
            }
        }
    }

    pub(super) fn take_back_room_added(&mut self, no: RoomNo) {
        let record = self.rooms.undo_push(no.0).expect("what a chain touched is there until the chain ends");
        self.unindex_room_record(&record);
    }

    pub(super) fn take_back_room(&mut self, no: RoomNo, old: RoomRecord) {
        let record = *self.room_record(no);
        self.unindex_room_record(&record);
        self.index_room_record(no, &old);
        *self.rooms.get_mut(no.0).expect(BELIEF) = old;
    }

    pub(super) fn index_rooms(&mut self) -> Result<(), LoadError> {
        let refused = LoadError::Inconsistent { kind: ChunkKind::Rooms };
        let records: Vec<(RoomNo, RoomRecord)> = self.rooms.iter().map(|(no, record)| (RoomNo(no), *record)).collect();
        for (no, record) in records {
            if u64::from(record.sale.campaign.0) >= self.campaigns.live() {
                return Err(refused);
            }
            self.index_room_record(no, &record);
        }
        // Each ticket once, each customer once, each token once.
        let known = self.indexes.rooms.values().map(|room| room.by_ticket.len() + room.spent_here.len()).sum::<usize>();
        let customers = self.indexes.rooms.values().map(|room| room.by_customer.len()).sum::<usize>();
        let is_whole = known as u64 == self.rooms.live() && customers == self.indexes.tickets;
        if is_whole { Ok(()) } else { Err(refused) }
    }
}
