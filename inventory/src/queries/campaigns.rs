//! What is read of campaigns: what they have of the stock, and their waiting rooms.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use crate::state::{CampaignNo, CampaignRecord, LocationNo, RoomEntry, RoomNo, SkuNo};
use crate::{Allocation, Campaign, CampaignId, CustomerHash, Inventory, Room, Sku, Ticket};

/// Where a list of a campaign's allocations goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocationCursor {
    sku: u32,
    location: u32,
}

impl fmt::Display for AllocationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sku, self.location)
    }
}

/// What is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a list of allocations")]
pub struct NoAllocationCursor;

impl FromStr for AllocationCursor {
    type Err = NoAllocationCursor;

    fn from_str(text: &str) -> Result<Self, NoAllocationCursor> {
        let (sku, location) = text.split_once('.').ok_or(NoAllocationCursor)?;
        let number = |text: &str| text.parse().map_err(|_| NoAllocationCursor);
        Ok(Self { sku: number(sku)?, location: number(location)? })
    }
}

impl Inventory {
    /// A campaign, as this shard knows it.
    #[must_use]
    pub fn campaign(&self, id: &CampaignId) -> Option<Campaign> {
        self.state.find_campaign(id).map(|no| show_campaign(self.state.campaign(no)))
    }

    /// Every campaign that this shard knows, by name.
    pub fn campaigns(&self) -> impl Iterator<Item = Campaign> {
        self.state.campaigns().map(|(_, record)| show_campaign(record))
    }

    /// The waiting room of a campaign. `None` for an unknown campaign; an empty one where another shard keeps it.
    #[must_use]
    pub fn room(&self, id: &CampaignId) -> Option<Room> {
        let no = self.state.find_campaign(id)?;
        let record = self.state.campaign(no);
        let room = Room { commitment: record.commitment, seed: record.seed, ..Room::default() };
        let Some(of) = self.state.room(record.sale(no)) else { return Some(room) };
        Some(Room {
            tickets: of.by_ticket.len() as u32,
            waiting: of.waiting.len() as u32,
            admitted: of.admitted_at(self.state.header.now) as u32,
            spent: of.spent.len() as u32,
            ..room
        })
    }

    /// Up to `limit` tickets of a campaign's waiting room after that number, in the order of their numbers. `None` for an unknown
    /// campaign.
    #[must_use]
    pub fn tickets(&self, id: &CampaignId, after: u32, limit: usize) -> Option<Vec<Ticket>> {
        let no = self.state.find_campaign(id)?;
        let Some(room) = self.state.room(self.state.campaign(no).sale(no)) else { return Some(Vec::new()) };
        let after = (Bound::Excluded(after), Bound::Unbounded);
        Some(room.by_ticket.range(after).take(limit).filter_map(|(_, no)| self.show_ticket(*no)).collect())
    }

    /// The ticket of a customer.
    #[must_use]
    pub fn ticket_of(&self, id: &CampaignId, customer: CustomerHash) -> Option<Ticket> {
        let no = self.state.find_campaign(id)?;
        let room = self.state.room(self.state.campaign(no).sale(no))?;
        room.by_customer.get(&customer).and_then(|no| self.show_ticket(*no))
    }

    /// Who waits, in the order in which they are let in. `None` for an unknown campaign.
    #[must_use]
    pub fn queue(&self, id: &CampaignId) -> Option<Vec<Ticket>> {
        let no = self.state.find_campaign(id)?;
        let Some(room) = self.state.room(self.state.campaign(no).sale(no)) else { return Some(Vec::new()) };
        let tickets = room.waiting.iter().filter_map(|(_, ticket)| room.by_ticket.get(ticket));
        Some(tickets.filter_map(|no| self.show_ticket(*no)).collect())
    }

    /// The tickets of a campaign whose tokens were spent in this shard, in the order of their numbers. `None` for an unknown campaign.
    #[must_use]
    pub fn spent_tickets(&self, id: &CampaignId) -> Option<Vec<u32>> {
        let no = self.state.find_campaign(id)?;
        let room = self.state.room(self.state.campaign(no).sale(no));
        Some(room.map(|room| room.spent_here.keys().copied().collect()).unwrap_or_default())
    }

    fn show_ticket(&self, no: RoomNo) -> Option<Ticket> {
        let record = self.state.room_record(no);
        match record.what {
            RoomEntry::Ticket { customer, state } => Some(Ticket { number: record.ticket, customer, state }),
            RoomEntry::SpentHere => None,
        }
    }

    /// What a campaign has of this shard's stock, or has had. `None` for an unknown campaign.
    #[must_use]
    pub fn allocations_of_campaign(&self, id: &CampaignId) -> Option<Vec<Allocation>> {
        let no = self.state.find_campaign(id)?;
        let places = self.state.places_of(no).into_iter();
        Some(places.filter_map(|(sku, location)| self.show_allocation(sku, location, no)).collect())
    }

    /// Up to `limit` of the same from the cursor on, as the places became known; and where to go on, if there are more.
    #[must_use]
    pub fn some_allocations_of_campaign(
        &self,
        id: &CampaignId,
        from: AllocationCursor,
        limit: usize,
    ) -> Option<(Vec<Allocation>, Option<AllocationCursor>)> {
        let no = self.state.find_campaign(id)?;
        let mut places = self.state.places_from(no, (SkuNo(from.sku), LocationNo(from.location)));
        let page = places.by_ref().take(limit);
        let page = page.filter_map(|(sku, location)| self.show_allocation(sku, location, no)).collect();
        Some((page, places.next().map(|(sku, location)| AllocationCursor { sku: sku.0, location: location.0 })))
    }

    /// What campaigns have of an item, or have had. `None` for an unknown item.
    #[must_use]
    pub fn allocations_of(&self, sku: &Sku) -> Option<Vec<Allocation>> {
        let no = self.state.find_sku(sku)?;
        let places = self.state.stock(no).places.iter();
        let allocations = places.flat_map(|place| place.allocations.iter().map(|of| (place.location, of.campaign)));
        Some(allocations.filter_map(|(location, campaign)| self.show_allocation(no, location, campaign)).collect())
    }

    fn show_allocation(&self, sku: SkuNo, location: LocationNo, campaign: CampaignNo) -> Option<Allocation> {
        let of = self.state.stock(sku).place(location)?.allocation(campaign)?;
        Some(Allocation {
            campaign: self.state.campaign(campaign).id.clone(),
            sku: self.state.item(sku).sku.clone(),
            location: self.state.location(location).id.clone(),
            granted: of.granted,
            held: of.held,
            sold: of.sold,
            open: of.open,
        })
    }
}

fn show_campaign(record: &CampaignRecord) -> Campaign {
    let &CampaignRecord { ref id, spec, phase, revision, .. } = record;
    Campaign { id: id.clone(), spec, phase, revision }
}
