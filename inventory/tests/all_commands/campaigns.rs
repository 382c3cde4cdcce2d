//! What the model has of campaigns: when they sell, what they were given of the stock, and what of it is taken.

use holdfast_inventory::commands::{Grant, PutCampaign, Revoke};
use holdfast_inventory::{CampaignId, CampaignPhase, CampaignSpec, Field, LineCounts, Revision};

use crate::model::{Line, Model, Place, Said, invalid, sold, unsold, why};
use crate::rooms::Room;

/// A campaign: its name, and which of all that there ever were, since another one may get the name.
pub type Sale = (CampaignId, usize);

#[derive(Clone, Debug)]
pub struct Campaign {
    /// Which of all campaigns it is, in the order in which they became known.
    pub made: usize,
    pub spec: CampaignSpec,
    pub revision: Revision,
    pub room: Room,
}

/// Units that were given to a campaign and not taken back, and what of them reservations bought that are forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocation {
    pub granted: u64,
    bought_and_forgotten: u64,
}

/// Units of a line that its campaign has not any more.
fn taken(units: &LineCounts) -> u64 {
    unsold(units) + sold(units) + units.fulfilled
}

impl Campaign {
    pub fn phase(&self, now: u64) -> CampaignPhase {
        if self.spec.closed || self.spec.ends_at.0 <= now {
            CampaignPhase::Closed
        } else if self.spec.starts_at.0 <= now {
            CampaignPhase::Open
        } else {
            CampaignPhase::Announced
        }
    }
}

impl Model {
    /// What is said at a later revision is the end of the campaign; unless it is closed, another one has got the name.
    pub fn put_campaign(&mut self, put: &PutCampaign) {
        let known = self.campaigns.get_mut(&put.campaign);
        if known.as_ref().is_some_and(|known| known.revision >= put.revision) {
            return;
        }
        if let Some(known) = known {
            known.revision = put.revision;
            known.spec.closed = true;
            if put.spec.closed {
                return;
            }
            let made = known.made;
            self.allocations.retain(|(of, _), _| *of != made);
        }
        self.campaigns_made += 1;
        let campaign =
            Campaign { made: self.campaigns_made, spec: put.spec, revision: put.revision, room: Room::default() };
        self.campaigns.insert(put.campaign.clone(), campaign);
    }

    /// The campaign, which is not over.
    pub fn live_campaign(&self, id: &CampaignId) -> Said<&Campaign> {
        let Some(campaign) = self.campaigns.get(id) else { return why("UnknownCampaign") };
        if campaign.phase(self.now) == CampaignPhase::Closed { why("SaleEnded") } else { Ok(campaign) }
    }

    /// The campaign in which units are to be held, which sells now.
    pub fn selling(&self, id: Option<&CampaignId>) -> Said<Option<Sale>> {
        let Some(id) = id else { return Ok(None) };
        let campaign = self.live_campaign(id)?;
        if campaign.phase(self.now) == CampaignPhase::Announced {
            return why("SaleNotStarted");
        }
        Ok(Some((id.clone(), campaign.made)))
    }

    /// The same for more units of what was held in one: it must be that very campaign.
    pub fn still_selling(&self, sale: Option<&Sale>) -> Said<Option<Sale>> {
        let now = self.selling(sale.map(|sale| &sale.0))?;
        if now.as_ref() == sale { Ok(now) } else { why("SaleEnded") }
    }

    pub fn grant(&mut self, grant: &Grant) -> Said<()> {
        self.check_item(&grant.sku)?;
        self.check_active(&grant.location)?;
        if !self.items[&grant.sku].tracked {
            return invalid(Field::Sku);
        }
        let made = self.live_campaign(&grant.campaign)?.made;
        let place = (grant.sku.clone(), grant.location.clone());
        if grant.units.count() > self.atp(&place) {
            return why("AllocationExceedsAvailable");
        }
        self.allocations.entry((made, place)).or_default().granted += grant.units.count();
        Ok(())
    }

    pub fn revoke(&mut self, revoke: &Revoke) -> Said<()> {
        let place = self.place(&revoke.sku, &revoke.location)?;
        let made = self.live_campaign(&revoke.campaign)?.made;
        if revoke.units.count() > self.allocation_left(made, &place) {
            return why("AllocationExhausted");
        }
        let key = (made, place);
        self.allocations.entry(key.clone()).or_default().granted -= revoke.units.count();
        self.allocations.retain(|of, allocation| *of != key || allocation.granted > 0);
        Ok(())
    }

    fn lines_of<'a>(&'a self, made: usize, place: &'a Place) -> impl Iterator<Item = &'a Line> {
        let holds = self.holds.iter().filter(move |hold| hold.sale.as_ref().is_some_and(|sale| sale.1 == made));
        holds.flat_map(|hold| &hold.lines).filter(move |line| line.counted && line.is_at(place))
    }

    /// What of a place a campaign was given, holds and has sold.
    pub fn allocation(&self, made: usize, place: &Place) -> (u64, u64, u64) {
        let Some(of) = self.allocations.get(&(made, place.clone())) else { return (0, 0, 0) };
        let (mut is_held, mut is_taken) = (0, 0);
        for line in self.lines_of(made, place) {
            (is_held, is_taken) = (is_held + unsold(&line.units), is_taken + taken(&line.units));
        }
        (of.granted, is_held, is_taken - is_held + of.bought_and_forgotten)
    }

    /// Units that a campaign has neither held nor sold.
    pub fn allocation_left(&self, made: usize, place: &Place) -> u64 {
        let (granted, held, sold) = self.allocation(made, place);
        granted.checked_sub(held + sold).expect("[H-CAPS] a campaign takes no more than it was given")
    }

    /// Units that campaigns have which are not over: nobody outside gets them.
    pub fn fence(&self, place: &Place) -> u64 {
        let live = self.campaigns.values().filter(|campaign| campaign.phase(self.now) != CampaignPhase::Closed);
        live.map(|campaign| self.allocation_left(campaign.made, place)).sum()
    }

    /// Units that are promised to nobody outside of campaigns.
    pub fn kept_back(&self, place: &Place) -> u64 {
        self.safety_of(place) + self.fence(place)
    }

    /// Units that may go elsewhere: what a campaign has is revoked first.
    pub fn spare_units(&self, place: &Place) -> u64 {
        self.left_for(place, 0).saturating_sub(self.fence(place))
    }

    /// A reservation that was made in a campaign is forgotten: what it bought stays bought.
    pub fn keep_bought(&mut self, sale: &Sale, lines: &[Line]) {
        for line in lines.iter().filter(|line| line.counted) {
            if let Some(allocation) = self.allocations.get_mut(&(sale.1, line.place())) {
                allocation.bought_and_forgotten += taken(&line.units);
            }
        }
    }
}
