//! Waiting rooms: who comes, the draw, who is let in by news that are fresh, old or wrong, and the tokens that are shown.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::{Wish, customer};
use crate::campaigns::Campaign;
use crate::world::{News, World};

fn seed(number: u64) -> Seed {
    Seed([number as u8; 32])
}

fn has_room(campaign: &Campaign) -> bool {
    campaign.spec.admission != CampaignAdmission::None
}

impl World {
    pub(super) fn queueing(&mut self) -> Option<Wish> {
        let with_room = |campaign: &Campaign, now| has_room(campaign) && campaign.phase(now) != CampaignPhase::Closed;
        let campaign = self.some_campaign(with_room)?;
        let known = self.model.campaigns.get(&campaign).cloned();
        let is_lottery = known.as_ref().is_some_and(|known| known.spec.admission == CampaignAdmission::Lottery);
        let room = known.as_ref().map(|known| known.room.clone()).unwrap_or_default();
        let phase = known.map(|known| known.phase(self.now));
        let drawn = self.dice.below(12);
        Some(Wish::from(match drawn {
            _ if is_lottery && room.commitment.is_none() && phase == Some(CampaignPhase::Announced) => {
                let commitment = seed(self.dice.below(2)).commitment();
                Operation::CommitDraw(Box::new(CommitDraw { campaign, commitment }))
            }
            0 => Operation::CommitDraw(Box::new(CommitDraw {
                campaign,
                commitment: seed(self.dice.below(2)).commitment(),
            })),
            1 => Operation::Draw(Box::new(Draw { campaign, seed: seed(self.dice.below(2)) })),
            2 | 3 if is_lottery && room.seed.is_none() && phase == Some(CampaignPhase::Open) => {
                Operation::Draw(Box::new(Draw { campaign, seed: seed(self.dice.below(2)) }))
            }
            2..=7 => {
                let customer = customer(self.dice.below(12));
                Operation::JoinQueue(Box::new(JoinQueue { campaign, customer }))
            }
            _ => self.admit(campaign),
        }))
    }

    fn admit(&mut self, campaign: CampaignId) -> Operation {
        let (mut left, mut spent, mut as_of) = self.news_of(&campaign);
        match self.dice.below(8) {
            // What somebody has read earlier lets in too few.
            0 | 1 => {
                if let Some(old) = self.old_news.get(&campaign) {
                    (left, spent, as_of) = old.clone();
                }
            }
            2 => left = self.dice.below(5),
            _ => drop(self.old_news.insert(campaign.clone(), (left, spent.clone(), as_of))),
        }
        let known = self.model.campaigns.get(&campaign).map(|known| known.room.tickets.as_slice()).unwrap_or_default();
        let is_new = |ticket: &u32| {
            let state = known.get(*ticket as usize - 1).map(|(_, state)| *state);
            matches!(state, Some(TicketState::Admitted { .. }))
        };
        let mut newly_spent: Vec<u32> = spent.iter().copied().filter(is_new).collect();
        if self.dice.one_in(12) {
            newly_spent.push(1 + self.dice.below(12) as u32);
        }
        let (tickets, valid_s) = (1 + self.dice.below(3) as u32, 1 + self.dice.below(1_500) as u32);
        let (spent, as_of) = (spent.len() as u32, LogTime(as_of));
        Operation::Admit(Box::new(Admit { campaign, tickets, valid_s, left, spent, newly_spent, as_of }))
    }

    /// What the campaign has left, whose tokens were spent, and when that was read.
    fn news_of(&mut self, id: &CampaignId) -> News {
        let as_of = self.now - self.dice.below(1_500);
        let Some(campaign) = self.model.campaigns.get(id) else { return (0, Default::default(), as_of) };
        let places = self.model.allocations.keys().filter(|(made, _)| *made == campaign.made);
        let left = places.map(|(made, place)| self.model.allocation_left(*made, place)).sum();
        (left, self.model.spent_tickets(campaign.made, None), as_of)
    }

    /// What a customer shows who reserves in a campaign: mostly the token of somebody who is let in. `None`: nobody is, and none is made up.
    pub(super) fn shown_pass(&mut self, id: &CampaignId) -> Option<Option<Pass>> {
        let Some(campaign) = self.model.campaigns.get(id).filter(|campaign| has_room(campaign)) else {
            return Some(None);
        };
        let spent = self.model.spent_tickets(campaign.made, None);
        let tickets = campaign.room.tickets.iter().zip(1..);
        let let_in: Vec<Pass> = tickets
            .filter_map(|((_, state), ticket)| match state {
                TicketState::Admitted { until } => Some(Pass { ticket, expires_at: *until }),
                _ => None,
            })
            .collect();
        let may_come = |pass: &&Pass| !spent.contains(&pass.ticket) && pass.expires_at.0 > self.now;
        let good: Vec<Pass> = let_in.iter().filter(may_come).copied().collect();
        let from = if good.is_empty() || self.dice.one_in(6) { let_in } else { good };
        if from.is_empty() || self.dice.one_in(15) {
            return self.dice.one_in(4).then_some(None);
        }
        Some(Some(from[self.dice.below(from.len() as u64) as usize]))
    }
}
