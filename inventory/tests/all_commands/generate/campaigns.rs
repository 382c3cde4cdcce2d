//! Campaigns: they are announced, ended, followed by others of the same name, given units and deprived of them.

use holdfast_inventory::commands::*;
use holdfast_inventory::*;

use super::Wish;
use crate::campaigns::Campaign;
use crate::model::{Model, Place};
use crate::world::World;

const MINUTE_MS: u64 = 60_000;

pub fn campaign(number: u64) -> CampaignId {
    ["drop", "night"][number as usize % 2].parse().unwrap()
}

impl World {
    pub(super) fn campaigning(&mut self) -> Option<Wish> {
        match self.dice.below(12) {
            0..=2 => self.put_campaign(),
            3..=9 => self.grant(),
            _ => self.revoke(),
        }
    }

    fn phase_of(&self, id: &CampaignId) -> Option<CampaignPhase> {
        self.model.campaigns.get(id).map(|campaign| campaign.phase(self.now))
    }

    fn put_campaign(&mut self) -> Option<Wish> {
        let id = campaign(self.dice.below(2));
        let is_live = self.phase_of(&id).is_some_and(|phase| phase != CampaignPhase::Closed);
        let closed = if is_live { !self.dice.one_in(4) } else { self.dice.one_in(12) };
        if is_live && self.dice.one_in(2) {
            // One that goes on sells more.
            return None;
        }
        let admissions = [CampaignAdmission::None, CampaignAdmission::Queue, CampaignAdmission::Lottery];
        let admission = admissions[[0, 0, 0, 1, 2, 2][self.dice.below(6) as usize]];
        // A lottery is committed to before it begins.
        let (ahead, earlier) = if admission == CampaignAdmission::Lottery { (60, 0) } else { (10, self.dice.below(9)) };
        let starts_at = self.now + 1 + self.dice.below(ahead * MINUTE_MS) - earlier * MINUTE_MS;
        let minutes = [60, 600, 2_400, 6_000][self.dice.below(4) as usize];
        let ends_at = starts_at + (1 + self.dice.below(minutes)) * MINUTE_MS;
        let (starts_at, ends_at) = (LogTime(starts_at), LogTime(ends_at));
        let spec = CampaignSpec { starts_at, ends_at, admission, closed };
        self.campaign_revision += 1;
        // What comes late changes nothing.
        let late = if self.dice.one_in(10) { self.dice.below(8) } else { 0 };
        let revision = Revision(self.campaign_revision.saturating_sub(late).max(1));
        Some(Wish::from(Operation::PutCampaign(Box::new(PutCampaign { campaign: id, spec, revision }))))
    }

    /// A campaign that is not over, where there is one; now and then any, and one that nobody knows.
    pub(super) fn some_campaign(&mut self, wanted: impl Fn(&Campaign, u64) -> bool) -> Option<CampaignId> {
        if self.dice.one_in(40) {
            return Some("nothing".parse().unwrap());
        }
        let is_any = self.dice.one_in(12);
        let ids: Vec<CampaignId> = self.model.campaigns.keys().cloned().collect();
        let fitting: Vec<CampaignId> =
            ids.into_iter().filter(|id| is_any || wanted(&self.model.campaigns[id], self.now)).collect();
        (!fitting.is_empty()).then(|| fitting[self.dice.below(fitting.len() as u64) as usize].clone())
    }

    fn grant(&mut self) -> Option<Wish> {
        let is_live = |campaign: &Campaign, now| campaign.phase(now) != CampaignPhase::Closed;
        let Some(campaign) = self.some_campaign(is_live) else { return self.put_campaign() };
        let (mut sku, mut location, units) = (self.sku(), self.location(), self.units(5));
        let is_there = |place: &Place, model: &Model| model.atp(place) >= units.count();
        for _ in 0..3 {
            if self.model.items.contains_key(&sku) && !is_there(&(sku.clone(), location.clone()), &self.model) {
                (sku, location) = (self.sku(), self.location());
            }
        }
        if self.dice.one_in(20) {
            sku = self.skus[4].clone();
        }
        Some(Wish::from(Operation::Grant(Box::new(Grant { campaign, sku, location, units }))))
    }

    fn revoke(&mut self) -> Option<Wish> {
        let is_live = |campaign: &Campaign, now| campaign.phase(now) != CampaignPhase::Closed;
        let campaign = self.some_campaign(is_live)?;
        let (sku, location) = self.granted_place(&campaign).unwrap_or_else(|| (self.sku(), self.location()));
        let units = self.units(3);
        Some(Wish::from(Operation::Revoke(Box::new(Revoke { campaign, sku, location, units }))))
    }

    /// A place of which the campaign has something, mostly one of which something is left.
    fn granted_place(&mut self, id: &CampaignId) -> Option<Place> {
        let made = self.model.campaigns.get(id)?.made;
        let is_any = self.dice.one_in(12);
        let places = self.model.allocations.keys().filter(|(of, _)| *of == made).map(|(_, place)| place);
        let places: Vec<Place> =
            places.filter(|place| is_any || self.model.allocation_left(made, place) > 0).cloned().collect();
        (!places.is_empty()).then(|| places[self.dice.below(places.len() as u64) as usize].clone())
    }

    /// A campaign to reserve in, mostly one that sells, with lines that are mostly of what it has.
    pub(super) fn in_campaign(&mut self, lines: &mut [Line]) -> Option<CampaignId> {
        let sells = |campaign: &Campaign, now| campaign.phase(now) == CampaignPhase::Open;
        let id = self.some_campaign(sells)?;
        if self.granted_place(&id).is_none() && !self.dice.one_in(8) {
            return None;
        }
        for line in lines {
            if let Some((sku, location)) = self.granted_place(&id).filter(|_| !self.dice.one_in(12)) {
                let lot = line.lot.take().and_then(|_| self.lot_of(&sku)).filter(|_| self.is_by_lot(&sku));
                (line.sku, line.location, line.lot) = (sku, location, lot);
            }
        }
        Some(id)
    }
}
