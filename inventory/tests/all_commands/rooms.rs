//! What the model has of waiting rooms: a list of those who came, who of them is let in, and which tokens were spent where.

use holdfast_inventory::commands::{Admit, CommitDraw, Draw, JoinQueue, Reserve};
use holdfast_inventory::{
    CampaignAdmission, CampaignId, CampaignPhase, Commitment, CustomerHash, LogTime, Seed, Sku, Slot, TicketState,
    slot_of,
};

use crate::campaigns::{Campaign, Sale};
use crate::model::{Model, Said, why};

#[derive(Clone, Debug, Default)]
pub struct Room {
    pub commitment: Option<Commitment>,
    pub seed: Option<Seed>,
    /// In the order in which they came: a ticket's number is its place, from 1.
    pub tickets: Vec<(CustomerHash, TicketState)>,
}

/// Where the waiting room of a campaign lies.
pub fn slot_of_room(campaign: &CampaignId) -> Slot {
    slot_of(&Sku::new(campaign.as_str()).unwrap())
}

impl Room {
    /// Who waits, in the order in which they are let in.
    pub fn queue(&self) -> Vec<u32> {
        let waits = |(_, it): &(usize, &(CustomerHash, TicketState))| it.1 == TicketState::Waiting;
        let mut waiting: Vec<_> = self.tickets.iter().enumerate().filter(waits).collect();
        if let Some(seed) = self.seed {
            waiting.sort_by_key(|(_, (customer, _))| seed.place_of(*customer));
        }
        waiting.into_iter().map(|(at, _)| at as u32 + 1).collect()
    }

    /// Those who are let in at that instant, as far as the room knows.
    pub fn admitted_at(&self, now: u64) -> usize {
        let is_in = |state: TicketState| matches!(state, TicketState::Admitted { until } if until.0 > now);
        self.tickets.iter().filter(|(_, state)| is_in(*state)).count()
    }

    fn spent(&self) -> usize {
        self.tickets.iter().filter(|(_, state)| *state == TicketState::Spent).count()
    }
}

impl Model {
    /// The campaign, which has a waiting room and is not over.
    fn live_room(&mut self, id: &CampaignId) -> Said<&mut Campaign> {
        let now = self.now;
        let Some(campaign) = self.campaigns.get_mut(id) else { return why("UnknownCampaign") };
        if campaign.phase(now) == CampaignPhase::Closed {
            return why("SaleEnded");
        }
        if campaign.spec.admission == CampaignAdmission::None { why("QueueClosed") } else { Ok(campaign) }
    }

    pub fn join_queue(&mut self, join: &JoinQueue) -> Said<()> {
        let campaign = self.live_room(&join.campaign)?;
        if campaign.room.tickets.iter().any(|(customer, _)| *customer == join.customer) {
            return Ok(());
        }
        if campaign.spec.admission == CampaignAdmission::Lottery {
            if campaign.room.seed.is_some() {
                return why("QueueClosed");
            }
            if campaign.room.commitment.is_none() {
                return why("DrawNotCommitted");
            }
        }
        campaign.room.tickets.push((join.customer, TicketState::Waiting));
        Ok(())
    }

    pub fn commit_draw(&mut self, commit: &CommitDraw) -> Said<()> {
        let now = self.now;
        let campaign = self.live_room(&commit.campaign)?;
        match campaign.room.commitment {
            Some(known) if known == commit.commitment => return Ok(()),
            Some(_) => return why("DrawSeedMismatch"),
            None => {}
        }
        if campaign.spec.admission != CampaignAdmission::Lottery || campaign.phase(now) != CampaignPhase::Announced {
            return why("QueueClosed");
        }
        campaign.room.commitment = Some(commit.commitment);
        Ok(())
    }

    pub fn draw(&mut self, draw: &Draw) -> Said<()> {
        let campaign = self.live_room(&draw.campaign)?;
        match campaign.room.commitment {
            None => why("DrawNotCommitted"),
            Some(commitment) if commitment != draw.seed.commitment() => why("DrawSeedMismatch"),
            Some(_) => {
                campaign.room.seed = Some(draw.seed);
                Ok(())
            }
        }
    }

    /// As many of the next are let in as there are units left for, which those who may still come have too.
    pub fn admit(&mut self, admit: &Admit) -> Said<()> {
        let now = self.now;
        let campaign = self.live_room(&admit.campaign)?;
        if campaign.phase(now) == CampaignPhase::Announced {
            return why("SaleNotStarted");
        }
        let room = &mut campaign.room;
        if campaign.spec.admission == CampaignAdmission::Lottery && room.seed.is_none() {
            return why("QueueClosed");
        }
        for ticket in &admit.newly_spent {
            // Nobody spends a token without having been let in.
            if let Some((_, state @ TicketState::Admitted { .. })) = room.tickets.get_mut(*ticket as usize - 1) {
                *state = TicketState::Spent;
            }
        }
        let heard_of_since = room.spent().saturating_sub(admit.spent as usize) as u64;
        let may_come = room.admitted_at(admit.as_of.0.min(now)) as u64;
        let served = admit.left.saturating_sub(heard_of_since).saturating_sub(may_come);
        let until = LogTime(now + u64::from(admit.valid_s) * 1_000);
        for ticket in room.queue().into_iter().take(served.min(u64::from(admit.tickets)) as usize) {
            room.tickets[ticket as usize - 1].1 = TicketState::Admitted { until };
        }
        Ok(())
    }

    /// Who is let in shows a token, once on the shard that decides, and before its time is over.
    pub fn spend_token(&mut self, reserve: &Reserve, sale: Option<&Sale>, shard: u32) -> Said<()> {
        let Some((id, made)) = sale else { return Ok(()) };
        if self.campaigns[id].spec.admission == CampaignAdmission::None {
            return Ok(());
        }
        match reserve.pass {
            Some(pass) if pass.expires_at.0 > self.now && self.spent.insert((shard, *made, pass.ticket)) => Ok(()),
            _ => why("AdmissionTokenInvalid"),
        }
    }

    /// The tickets whose tokens were spent, on that shard or on any.
    pub fn spent_tickets(&self, made: usize, on: Option<u32>) -> std::collections::BTreeSet<u32> {
        let of = self.spent.iter().filter(|(shard, of, _)| *of == made && on.is_none_or(|on| on == *shard));
        of.map(|(_, _, ticket)| *ticket).collect()
    }
}
