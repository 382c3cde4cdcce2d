//! What should be there, said as plainly as can be: one map of everything, no shards, no indexes, no sums that are kept.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_inventory::commands::Plan;
use holdfast_inventory::{
    Backorder, CampaignId, ChannelId, ChannelSpec, Component, Condition, CountId, CustomerHash, Field, ItemSpec,
    LimitId, LineCounts, LocationId, LotDates, LotId, LotSpec, LotStatus, LotUnits, ReceiptId, Refusal, ReservationId,
    ReservationState, Sku, TransferId, slot_of,
};

use crate::campaigns::{Allocation, Campaign, Sale};
use crate::limits::Limit;
use crate::orders::Order;

pub const DAY_MS: u64 = 24 * 3_600_000;
const HOUR_MS: u64 = 3_600_000;
pub const NEVER: u64 = u64::MAX;

/// An item at a location.
pub type Place = (Sku, LocationId);

/// Why not: the name of the refusal, the field of bad input, and the line at fault.
#[derive(Clone, Debug)]
pub struct Why {
    pub name: &'static str,
    pub field: Option<Field>,
    pub line: usize,
    /// Nothing is decided: other lines may do.
    pub decides_nothing: bool,
}

pub type Said<T> = Result<T, Why>;

pub fn why<T>(name: &'static str) -> Said<T> {
    Err(Why::of(name))
}

pub fn invalid<T>(field: Field) -> Said<T> {
    Err(Why { field: Some(field), ..Why::of("InvalidArgument") })
}

/// The name of a refusal, as the domain has it.
pub fn name_of(refusal: &Refusal) -> String {
    let shown = format!("{refusal:?}");
    shown.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

impl Why {
    pub fn of(name: &'static str) -> Self {
        Self { name, field: None, line: 0, decides_nothing: false }
    }

    pub fn is(&self, refusal: &Refusal) -> bool {
        let is_field = |field| matches!(refusal, Refusal::InvalidArgument(invalid) if invalid.field == field);
        name_of(refusal) == self.name && self.field.is_none_or(is_field)
    }
}

/// What lies of a lot at a place, whoever it is promised to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub resellable: u64,
    pub damaged: u64,
    pub quality: u64,
}

impl Cell {
    pub fn of(&mut self, condition: Condition) -> &mut u64 {
        match condition {
            Condition::Resellable => &mut self.resellable,
            Condition::Damaged => &mut self.damaged,
            Condition::QualityControl => &mut self.quality,
        }
    }

    pub fn on_hand(&self) -> u64 {
        self.resellable + self.damaged + self.quality
    }
}

#[derive(Clone, Debug)]
pub struct Lot {
    /// Which of all lots it was, in the order in which they became known.
    pub made: usize,
    pub spec: LotSpec,
    pub expires_at: Option<u64>,
    pub removal_at: u64,
    pub received_at: u64,
    pub status: LotStatus,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub sku: Sku,
    pub location: LocationId,
    pub by_lot: bool,
    pub named: Option<LotId>,
    /// Until when its units must be sellable.
    pub need: u64,
    pub counted: bool,
    pub stock_only: bool,
    /// It lies on another shard than the one that decides.
    pub remote: bool,
    pub units: LineCounts,
    pub bound: Vec<LotUnits>,
    /// The limits that count it, and whether what comes back may be bought again.
    pub limits: Vec<(LimitId, bool)>,
}

pub fn unsold(units: &LineCounts) -> u64 {
    units.held + units.backordered + units.short
}

pub fn sold(units: &LineCounts) -> u64 {
    units.committed + units.backordered_sold + units.short_sold
}

pub fn all(units: &LineCounts) -> u64 {
    unsold(units) + sold(units) + units.fulfilled + units.cancelled + units.released + units.expired
}

impl Line {
    pub fn is_at(&self, place: &Place) -> bool {
        (&self.sku, &self.location) == (&place.0, &place.1)
    }

    pub fn place(&self) -> Place {
        (self.sku.clone(), self.location.clone())
    }

    pub fn bound_of(&self, lot: &LotId) -> u64 {
        self.bound.iter().find(|bound| bound.lot == *lot).map_or(0, |bound| bound.committed)
    }

    pub fn bound_mut(&mut self, lot: &LotId) -> &mut LotUnits {
        let at = self.bound.iter().position(|bound| bound.lot == *lot).unwrap_or_else(|| {
            self.bound.push(LotUnits { lot: lot.clone(), committed: 0, fulfilled: 0, returned: 0 });
            self.bound.len() - 1
        });
        &mut self.bound[at]
    }

    /// The line as the deciding shard sees it: that units of another shard are short it does not know.
    pub fn known(&self) -> LineCounts {
        let mut units = self.units;
        if self.remote {
            units.held += std::mem::take(&mut units.short);
            units.committed += std::mem::take(&mut units.short_sold);
        }
        units
    }
}

#[derive(Clone, Debug)]
pub struct Hold {
    pub id: ReservationId,
    pub created_at: u64,
    pub expires_at: u64,
    pub max_expires_at: u64,
    pub cancel_at: Option<u64>,
    pub customer: Option<CustomerHash>,
    pub channel: Option<ChannelId>,
    /// The campaign that it was made in.
    pub sale: Option<Sale>,
    pub plan: Option<Plan>,
    /// Before this instant nothing of it is shipped, since lines on other shards say so.
    pub release_at: u64,
    pub lines: Vec<Line>,
    /// Lines of items lie on other shards than the one that decides; there, or their counters.
    pub is_spread: bool,
    pub has_parts: bool,
    pub order: Option<Order>,
}

impl Hold {
    /// The shard that a line lies on where it is another than the one that decides; `None` for one that there is not, too.
    pub fn shard_of_line(&self, line: u32) -> Option<u32> {
        let line = self.lines.get(line as usize).filter(|line| line.remote)?;
        Some(crate::shard_of(slot_of(&line.sku)))
    }

    /// Nothing that other shards have of it is short or waited for, of which the deciding one knows nothing, or late.
    pub fn is_known_whole(&self) -> bool {
        let waits = |units: &LineCounts| units.short + units.short_sold + units.backordered + units.backordered_sold;
        self.lines.iter().all(|line| !line.remote || waits(&line.units) == 0)
    }

    pub fn has(&self, of: impl Fn(&LineCounts) -> u64) -> bool {
        self.lines.iter().any(|line| of(&line.known()) > 0)
    }

    pub fn is_holding(&self) -> bool {
        self.has(unsold)
    }

    pub fn state(&self) -> ReservationState {
        let (is_sold, is_held) = (self.has(sold), self.is_holding());
        if self.has(|units| units.fulfilled) {
            let is_over = !is_sold && !is_held;
            if is_over { ReservationState::Fulfilled } else { ReservationState::PartiallyFulfilled }
        } else if is_sold {
            ReservationState::Committed
        } else if is_held {
            ReservationState::Held
        } else if self.has(|units| units.cancelled) {
            ReservationState::Cancelled
        } else if self.has(|units| units.expired) {
            ReservationState::Expired
        } else {
            ReservationState::Released
        }
    }

    /// Why nothing can be done where nothing is held.
    pub fn why_not<T>(&self) -> Said<T> {
        why(match self.state() {
            ReservationState::Fulfilled => "AlreadyFulfilled",
            ReservationState::Expired => "ReservationExpired",
            ReservationState::Cancelled | ReservationState::Released | ReservationState::Aborted => "AlreadyReleased",
            _ if self.has(|units| units.expired) => "ReservationExpired",
            _ => "AlreadyCommitted",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub sku: Sku,
    pub from: LocationId,
    pub to: LocationId,
    /// By lot, how many are on their way still.
    pub lines: Vec<(Option<LotId>, u64)>,
}

#[derive(Clone, Debug)]
pub struct Receipt {
    pub sku: Sku,
    pub location: LocationId,
    /// By lot, how many are expected still.
    pub lines: Vec<(Option<LotId>, u64)>,
    pub is_closed: bool,
}

#[derive(Clone, Debug)]
pub struct Count {
    pub sku: Sku,
    pub location: LocationId,
    pub is_open: bool,
    /// By lot and condition: what was counted less what the books had, where it was.
    pub lines: Vec<(Option<LotId>, Condition, Option<i64>)>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: u64,
    pub items: BTreeMap<Sku, ItemSpec>,
    pub kits: BTreeMap<Sku, (String, Vec<Component>)>,
    pub locations: BTreeMap<LocationId, bool>,
    pub channels: BTreeMap<ChannelId, ChannelSpec>,
    pub limits: BTreeMap<LimitId, Limit>,
    pub campaigns: BTreeMap<CampaignId, Campaign>,
    pub campaigns_made: usize,
    /// Units that campaigns were given, by which one it was and where they are.
    pub allocations: BTreeMap<(usize, Place), Allocation>,
    /// Tokens that were spent: on which shard, in which campaign, of which ticket.
    pub spent: BTreeSet<(u32, usize, u32)>,
    pub lots: BTreeMap<(Sku, LotId), Lot>,
    pub cells: BTreeMap<(Sku, LocationId, Option<LotId>), Cell>,
    pub safety: BTreeMap<Place, u64>,
    /// In the order in which they were made.
    pub holds: Vec<Hold>,
    pub transfers: BTreeMap<TransferId, Transfer>,
    pub receipts: BTreeMap<ReceiptId, Receipt>,
    pub counts: BTreeMap<CountId, Count>,
    /// What reservations that are forgotten have bought under limits, and when they were made.
    pub bought: Vec<(LimitId, CustomerHash, u64, u64)>,
    /// The longest hold of each shard, in seconds.
    pub max_hold_s: Vec<u32>,
}

impl Model {
    pub fn lot(&self, sku: &Sku, lot: &LotId) -> Said<&Lot> {
        match self.lots.get(&(sku.clone(), lot.clone())) {
            Some(lot) => Ok(lot),
            None => why("UnknownLot"),
        }
    }

    pub fn cell(&self, place: &Place, lot: Option<&LotId>) -> Cell {
        self.cells.get(&(place.0.clone(), place.1.clone(), lot.cloned())).copied().unwrap_or_default()
    }

    pub fn cell_mut(&mut self, place: &Place, lot: Option<&LotId>) -> &mut Cell {
        self.cells.entry((place.0.clone(), place.1.clone(), lot.cloned())).or_default()
    }

    pub fn lines_at<'a>(&'a self, place: &'a Place) -> impl Iterator<Item = &'a Line> {
        self.holds.iter().flat_map(|hold| &hold.lines).filter(move |line| line.counted && line.is_at(place))
    }

    pub fn sum_at(&self, place: &Place, of: impl Fn(&LineCounts) -> u64) -> u64 {
        self.lines_at(place).map(|line| of(&line.units)).sum()
    }

    pub fn safety_of(&self, place: &Place) -> u64 {
        self.safety.get(place).copied().unwrap_or(0)
    }

    pub fn is_sellable(&self, lot: &Lot) -> bool {
        lot.status == LotStatus::Approved && lot.removal_at >= self.now
    }

    /// Resellable units of a lot that are neither held by its name nor sold.
    pub fn free(&self, place: &Place, lot: Option<&LotId>) -> u64 {
        let bound = |line: &Line| match lot {
            None if !line.by_lot => line.units.held + line.units.committed,
            Some(lot) if line.by_lot => {
                line.bound_of(lot) + if line.named.as_ref() == Some(lot) { line.units.held } else { 0 }
            }
            _ => 0,
        };
        self.cell(place, lot).resellable - self.lines_at(place).map(bound).sum::<u64>()
    }

    /// The sellable lots at a place in the order in which they are sold, with when each leaves sale and what is free of it.
    pub fn shelf(&self, place: &Place) -> Vec<(LotId, u64, u64)> {
        let from = (place.0.clone(), place.1.clone(), None);
        let here = self.cells.range(from..).take_while(|((sku, at, _), _)| (sku, at) == (&place.0, &place.1));
        let mut lots: Vec<(&LotId, &Lot)> = here
            .filter_map(|((sku, _, lot), _)| Some((lot.as_ref()?, &self.lots[&(sku.clone(), lot.clone()?)])))
            .filter(|(_, lot)| self.is_sellable(lot))
            .collect();
        lots.sort_by_key(|(id, lot)| (lot.removal_at, lot.received_at, *id));
        lots.into_iter().map(|(id, lot)| (id.clone(), lot.removal_at, self.free(place, Some(id)))).collect()
    }

    /// What holds need that are bound to no lot yet: until when, how many.
    fn needs(&self, place: &Place) -> Vec<(u64, u64)> {
        let late = self.lines_at(place).filter(|line| line.by_lot && line.named.is_none() && line.units.held > 0);
        late.map(|line| (line.need, line.units.held)).collect()
    }

    /// For each instant up to that one, units that live then less units that must.
    fn spare(&self, place: &Place, need: u64) -> Vec<i64> {
        let (shelf, needs) = (self.shelf(place), self.needs(place));
        let instants = needs.iter().map(|(at, _)| *at).filter(|at| *at < need).chain([need]);
        let spare = |at: u64| {
            let living: u64 = shelf.iter().filter(|lot| lot.1 >= at).map(|lot| lot.2).sum();
            let needed: u64 = needs.iter().filter(|other| other.0 >= at).map(|other| other.1).sum();
            living as i64 - needed as i64
        };
        instants.map(spare).collect()
    }

    /// Units that may be held more which must be sellable at that instant; of an item without lots what is free [H-ATP].
    pub fn left_for(&self, place: &Place, need: u64) -> u64 {
        if !self.items[&place.0].lot_tracked {
            return self.free(place, None);
        }
        self.spare(place, need).into_iter().min().unwrap_or(0).max(0) as u64
    }

    /// Units held too many of those that must be sellable at that instant or before [H-LATE].
    pub fn lack_of(&self, place: &Place, need: u64) -> u64 {
        self.spare(place, need).into_iter().min().unwrap_or(0).min(0).unsigned_abs()
    }

    /// Units of that lot that may be bound by name: free, and needed by no hold that is bound to none yet.
    pub fn left_of(&self, place: &Place, lot: &LotId) -> u64 {
        let found = self.shelf(place).into_iter().find(|(id, _, free)| id == lot && *free > 0);
        found.map_or(0, |(_, removal_at, free)| free.min(self.left_for(place, removal_at)))
    }

    /// What may be taken away of a cell: bound by nothing, and needed by no hold.
    pub fn units_to_take(&self, place: &Place, lot: Option<&LotId>, condition: Condition) -> u64 {
        match (condition, lot) {
            (Condition::Resellable, Some(id)) if self.is_sellable(&self.lots[&(place.0.clone(), id.clone())]) => {
                self.left_of(place, id)
            }
            (Condition::Resellable, _) => self.free(place, lot),
            _ => *self.cell(place, lot).of(condition),
        }
    }

    /// Until when units of the item must be sellable that are promised now.
    pub fn need_of(&self, sku: &Sku) -> u64 {
        let spec = &self.items[sku];
        let remaining = u64::from(spec.min_remaining_days) * DAY_MS;
        match spec.backorder {
            // It is shipped no earlier than it is out.
            Backorder::Preorder { release_at, .. } if release_at.0 > self.now => release_at.0 + remaining,
            _ if remaining == 0 => 0,
            _ => (self.now + remaining).next_multiple_of(HOUR_MS),
        }
    }

    pub fn atp(&self, place: &Place) -> u64 {
        self.left_for(place, self.need_of(&place.0)).saturating_sub(self.kept_back(place))
    }

    /// When a lot with those dates expires, and when it leaves sale.
    pub fn expiry(&self, sku: &Sku, dates: &LotDates) -> (Option<u64>, u64) {
        let spec = &self.items[sku];
        let made = dates.manufactured_at.filter(|_| spec.shelf_life_days > 0);
        let by_shelf_life = made.map(|made| made.0 + u64::from(spec.shelf_life_days) * DAY_MS);
        let expires_at = dates.expires_at.or(dates.best_before).map(|at| at.0).or(by_shelf_life);
        let removal_at = expires_at.map_or(NEVER, |at| at.saturating_sub(u64::from(spec.removal_days) * DAY_MS));
        (expires_at, removal_at)
    }

    pub fn find(&self, id: ReservationId) -> Said<usize> {
        match self.holds.iter().position(|hold| hold.id == id) {
            Some(at) => Ok(at),
            None => why("ReservationNotFound"),
        }
    }

    /// The shard has forgotten a reservation that had ended.
    pub fn forget(&mut self, at: usize) {
        let hold = self.holds.remove(at);
        assert!(hold.state().is_ended(), "a live reservation is forgotten: {hold:?}");
        if let Some(sale) = &hold.sale {
            self.keep_bought(sale, &hold.lines);
        }
        for (line, (limit, _)) in hold.lines.iter().flat_map(|line| line.limits.iter().map(move |limit| (line, limit)))
        {
            if let Some(customer) = hold.customer {
                self.bought.push((limit.clone(), customer, hold.created_at, line.under(limit)));
            }
        }
    }
}

impl Line {
    /// Units that count under a limit.
    pub fn under(&self, limit: &LimitId) -> u64 {
        let Some((_, returns_restore)) = self.limits.iter().find(|(id, _)| id == limit) else { return 0 };
        let returned = if *returns_restore { self.units.returned } else { 0 };
        unsold(&self.units) + sold(&self.units) + self.units.fulfilled - returned
    }
}
