//! Campaigns as time goes by: they begin, they end, and what they have is used up.

use holdfast_mutation::{Mutation, is_on};

use super::{Touched, Turn};
use crate::state::{CampaignNo, CampaignRecord, ReservationNo, RoomEntry, RoomNo, SaleNo};
use crate::{
    CampaignAdmission, CampaignId, CampaignPhase, Commitment, EventKind, QueueFault, Refusal, Subject, TicketState,
};

impl Turn<'_> {
    /// The campaign of that name.
    pub(crate) fn campaign(&self, id: &CampaignId) -> Result<(CampaignNo, &CampaignRecord), Refusal> {
        let unknown = || Refusal::UnknownCampaign { campaign: id.clone() };
        let no = self.state.find_campaign(id).ok_or_else(unknown)?;
        Ok((no, self.state.campaign(no)))
    }

    /// The campaign in which units are to be held now, where one is named.
    pub(crate) fn sale(&self, campaign: Option<&CampaignId>) -> Result<Option<SaleNo>, Refusal> {
        let Some(id) = campaign else { return Ok(None) };
        let (no, record) = self.campaign(id)?;
        let sale = SaleNo { campaign: no, generation: record.generation };
        if is_on(Mutation::CampaignWindowIgnored) {
            return Ok(Some(sale));
        }
        if record.spec.closed || record.spec.ends_at <= self.now() {
            return Err(Refusal::SaleEnded { campaign: id.clone() });
        }
        if self.now() < record.spec.starts_at {
            return Err(Refusal::SaleNotStarted { campaign: id.clone(), starts_at: record.spec.starts_at });
        }
        Ok(Some(sale))
    }

    /// The same for more units of a reservation: none where another campaign has the name since.
    pub(crate) fn sale_of(&self, no: ReservationNo) -> Result<Option<SaleNo>, Refusal> {
        let record = self.state.reservation(no);
        match (self.sale(record.campaign())?, record.campaign()) {
            (sale, Some(campaign)) if sale != record.sale() => Err(Refusal::SaleEnded { campaign: campaign.clone() }),
            (sale, _) => Ok(sale),
        }
    }

    /// Begins and ends a campaign where it is time: what it has and has not sold goes back to sale.
    pub(crate) fn pass_campaign(&mut self, no: CampaignNo) {
        loop {
            let (now, record) = (self.now(), self.state.campaign(no));
            let is_over = record.spec.closed || record.spec.ends_at <= now;
            let (phase, kind) = match record.phase {
                CampaignPhase::Announced if is_over => (CampaignPhase::Closed, EventKind::CampaignClosed),
                CampaignPhase::Announced if record.spec.starts_at <= now => {
                    (CampaignPhase::Open, EventKind::CampaignOpened)
                }
                CampaignPhase::Open if is_over => (CampaignPhase::Closed, EventKind::CampaignClosed),
                _ => return,
            };
            self.state.change_campaign(no, |record| record.phase = phase);
            let places = self.state.places_of(no);
            if phase == CampaignPhase::Closed && !is_on(Mutation::UnsoldStaysFenced) {
                for &(sku, location) in &places {
                    self.touch(sku, location);
                    self.state.change_allocations(sku, location, |allocations| {
                        allocations.iter_mut().filter(|of| of.campaign == no).for_each(|of| of.open = false);
                    });
                }
            }
            if !places.is_empty() {
                self.record_changes(kind, None, Some(self.campaign_subject(no)));
            }
            self.finish();
        }
    }

    /// Tells of campaigns that have nothing left at a place, and had before.
    pub(super) fn record_exhausted(&mut self, place: &Touched) {
        if place.left_before.is_empty() {
            return;
        }
        for &(no, left) in &place.left_before {
            let of_place = self.state.stock(place.sku).place(place.location);
            let Some(of) = of_place.and_then(|of_place| of_place.allocation(no)).copied() else { continue };
            if of.open && of.left() == 0 && left > 0 && of.granted > 0 {
                let subject = Subject::Allocation {
                    campaign: self.state.campaign(no).id.clone(),
                    sku: self.state.item(place.sku).sku.clone(),
                    location: self.state.location(place.location).id.clone(),
                    granted: of.granted,
                    held: of.held,
                    sold: of.sold,
                };
                self.append(EventKind::CampaignExhausted, None, Vec::new(), Some(subject));
            }
        }
    }

    /// The campaign, which has a waiting room and is not over.
    pub(crate) fn live_room(&self, id: &CampaignId) -> Result<(CampaignNo, CampaignAdmission), Refusal> {
        let (no, record) = self.campaign(id)?;
        if record.phase == CampaignPhase::Closed {
            return Err(Refusal::SaleEnded { campaign: id.clone() });
        }
        match record.spec.admission {
            CampaignAdmission::None => Err(Refusal::QueueClosed { campaign: id.clone(), why: QueueFault::NoRoom }),
            admission => Ok((no, admission)),
        }
    }

    /// Tells of a ticket as it is now.
    pub(crate) fn tell_of_ticket(&mut self, kind: EventKind, campaign: CampaignNo, no: RoomNo) {
        let record = *self.state.room_record(no);
        let (customer, state) = match record.what {
            RoomEntry::Ticket { customer, state } => (Some(customer), state),
            RoomEntry::SpentHere => (None, TicketState::Spent),
        };
        let campaign = self.state.campaign(campaign).id.clone();
        let subject = Subject::Ticket { campaign, ticket: record.ticket, customer, state };
        self.append(kind, None, Vec::new(), Some(subject));
    }

    /// Tells of a lottery as it is now.
    pub(crate) fn tell_of_draw(&mut self, kind: EventKind, no: CampaignNo) {
        let record = self.state.campaign(no);
        let subject = Subject::Draw {
            campaign: record.id.clone(),
            commitment: record.commitment.unwrap_or(Commitment([0; 32])),
            seed: record.seed,
            tickets: self.state.room(record.sale(no)).map_or(0, |room| room.by_ticket.len() as u32),
        };
        self.append(kind, None, Vec::new(), Some(subject));
    }

    /// A campaign as an event names it.
    pub(crate) fn campaign_subject(&self, no: CampaignNo) -> Subject {
        let record = self.state.campaign(no);
        Subject::Campaign { campaign: record.id.clone(), phase: record.phase, revision: record.revision }
    }
}
