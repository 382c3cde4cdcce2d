//! What the lines of one command ask for together: lines of the same item and location are summed before they are checked.

use holdfast_mutation::{Mutation, is_on};

use crate::commands::FULL_RETRY_MS;
use crate::shelf::Shelf;
use crate::sources::Through;
use crate::state::{AllocationRecord, LimitNo, LineRecord, LocationNo, SaleNo, SkuNo, State};
use crate::turn::Turn;
use crate::{CampaignId, CustomerHash, LineCounts, Refusal};

/// What is asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    customer: Option<CustomerHash>,
    places: Vec<PlaceDemand>,
    /// What limits leave the customer.
    limits: Vec<(LimitNo, u64)>,
    /// The channel that the lines are sourced from.
    through: Option<Through>,
    /// The campaign of which the units are.
    sale: Option<SaleNo>,
    /// Its name: limits may be of it alone.
    campaign: Option<CampaignId>,
}

#[derive(Clone, Debug)]
struct PlaceDemand {
    sku: SkuNo,
    location: LocationNo,
    asked: u64,
    left: Left,
    /// Units that may be promised without stock, where any may.
    backorders_left: Option<u64>,
    /// What the campaign has left, where the units are of one.
    allocation_left: Option<u64>,
}

/// What a line gets of what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Units that are there.
    pub(crate) held: u64,
    /// Units that are not.
    pub(crate) backordered: u64,
}

impl Promise {
    /// Counts the units with those of a line that are not sold.
    pub(crate) fn count(self, units: &mut LineCounts) {
        units.held += self.held;
        units.backordered += self.backordered;
    }
}

/// What may still be promised at a place.
#[derive(Clone, Debug)]
enum Left {
    /// So many units.
    Units(u64),
    /// By lot, of what is above what is kept back, and what backorders are about to get.
    ByLot { shelf: Shelf, kept_back: u64, waited_for: u64 },
}

impl Demand {
    /// Of that customer; of lines that a channel sources, or of any; of what a campaign has, or of the rest.
    pub(crate) fn of(customer: Option<CustomerHash>, through: Option<Through>, sale: Option<SaleNo>) -> Self {
        Self { customer, through, sale, ..Self::default() }
    }

    /// The same under the limits of that campaign too.
    pub(crate) fn in_campaign(self, campaign: Option<&CampaignId>) -> Self {
        Self { campaign: campaign.cloned(), ..self }
    }

    /// Asks for that many units more, for a line of that number: what is there, and the rest without stock, where item and line
    /// allow it. A line that names a lot asks for those very units, so that all of them must be there.
    ///
    /// # Errors
    ///
    /// `InsufficientStock` or `BackorderCapExceeded` where all that is asked for is more than may be promised; then nothing was
    /// asked.
    pub(crate) fn promise(
        &mut self,
        turn: &Turn<'_>,
        line: &LineRecord,
        number: usize,
        units: u64,
    ) -> Result<Promise, Refusal> {
        self.require_of_limits(turn, line.sku, number, units)?;
        let promise = if line.counted {
            self.promise_of_stock(turn, line, number, units)?
        } else {
            Promise { held: units, backordered: 0 }
        };
        for (no, _) in turn.state.active_limits_of(line.sku, self.campaign.as_ref()) {
            let left = self.limits.iter_mut().filter(|(limit, _)| *limit == no);
            left.for_each(|(_, left)| *left = left.saturating_sub(units));
        }
        Ok(promise)
    }

    /// Whether every limit of the item leaves the customer so many.
    fn require_of_limits(&mut self, turn: &Turn<'_>, sku: SkuNo, number: usize, units: u64) -> Result<(), Refusal> {
        for (no, limit) in turn.state.active_limits_of(sku, self.campaign.as_ref()) {
            let Some(customer) = self.customer else {
                return Err(Refusal::CustomerRequired { sku: turn.state.item(sku).sku.clone() });
            };
            let at = self.limits.iter().position(|(known, _)| *known == no).unwrap_or_else(|| {
                self.limits.push((no, turn.state.count_of(no, customer).remaining));
                self.limits.len() - 1
            });
            let remaining = self.limits[at].1;
            if units > remaining && !is_on(Mutation::LimitIgnored) {
                let limit = limit.id.clone();
                return Err(Refusal::CustomerLimitExceeded { limit, remaining, line: number as u32 });
            }
            if turn.state.is_full_of_counters() && turn.state.find_counter(no, customer).is_none() {
                return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
            }
        }
        Ok(())
    }

    fn promise_of_stock(
        &mut self,
        turn: &Turn<'_>,
        line: &LineRecord,
        number: usize,
        units: u64,
    ) -> Result<Promise, Refusal> {
        let left = self.left_at(turn.state, line);
        let at = self.place_at(turn.state, line);
        let place = &mut self.places[at];
        if let Some(of_campaign) = place.allocation_left.filter(|of_campaign| units > *of_campaign) {
            let available = of_campaign.min(left) + place.asked;
            return Err(Refusal::AllocationExhausted { available, line: number as u32 });
        }
        let (mut held, mut backordered) = (units, 0);
        if units > left + u64::from(is_on(Mutation::AtpOffByOne)) {
            (held, backordered) = (left, units - left);
            let (may_wait, line) = (!line.stock_only && line.named_lot().is_none(), number as u32);
            match &mut place.backorders_left {
                Some(more) if may_wait && (backordered <= *more || is_on(Mutation::BackorderCapIgnored)) => {
                    *more = more.saturating_sub(backordered);
                }
                Some(more) if may_wait => {
                    let available = left + place.asked + *more;
                    return Err(Refusal::BackorderCapExceeded { available, line });
                }
                _ => {
                    return Err(Refusal::InsufficientStock { available: left + place.asked, line, recorded: true });
                }
            }
        }
        place.asked += units;
        place.allocation_left = place.allocation_left.map(|left| left.saturating_sub(units));
        place.left.take(line, held);
        Ok(Promise { held, backordered })
    }

    /// The most units that a line may be promised, on top of what is asked for already.
    pub(crate) fn left_of(&mut self, turn: &Turn<'_>, line: &LineRecord) -> u64 {
        let of_sku = turn.state.active_limits_of(line.sku, self.campaign.as_ref());
        let of_limit =
            |(no, _): (LimitNo, _)| self.limits.iter().find(|(limit, _)| *limit == no).map(|(_, left)| *left);
        let of_limits = of_sku.filter_map(of_limit).min().unwrap_or(u64::MAX);
        if !line.counted {
            return of_limits;
        }
        let stock = self.left_at(turn.state, line);
        let at = self.place_at(turn.state, line);
        let place = &self.places[at];
        let may_wait = !line.stock_only && line.named_lot().is_none();
        let backorders = place.backorders_left.filter(|_| may_wait).unwrap_or(0);
        let of_campaign = place.allocation_left.unwrap_or(u64::MAX);
        stock.saturating_add(backorders).min(of_campaign).min(of_limits)
    }

    /// What a line may still have where it lies.
    pub(crate) fn left_at(&mut self, state: &State, line: &LineRecord) -> u64 {
        let at = self.place_at(state, line);
        let left = self.places[at].left.for_line(line);
        self.through.as_ref().map_or(left, |through| through.left_of(left, line.location))
    }

    /// What it may still have anywhere through the channel: at all of its locations together, or at the one that has most.
    pub(crate) fn left_through(&mut self, state: &State, line: &LineRecord, split: bool) -> u64 {
        let Some(through) = self.through.clone() else { return self.left_at(state, line) };
        let left = through.active(state).map(|location| self.left_at(state, &LineRecord { location, ..line.clone() }));
        left.fold(0, |most, left| if split { most.saturating_add(left) } else { most.max(left) })
    }

    fn place_at(&mut self, state: &State, line: &LineRecord) -> usize {
        let is_it = |place: &PlaceDemand| (place.sku, place.location) == (line.sku, line.location);
        self.places.iter().position(is_it).unwrap_or_else(|| {
            let left = Left::of(state, line, self.sale.is_some());
            // What is sold in a campaign is there.
            let backorders_left = if self.sale.is_some() { None } else { backorders_left(state, line) };
            let allocation_left = self.sale.map(|sale| {
                let place = state.stock(line.sku).place(line.location);
                place.and_then(|place| place.allocation(sale.campaign)).map_or(0, AllocationRecord::left)
            });
            let (sku, location) = (line.sku, line.location);
            self.places.push(PlaceDemand { sku, location, asked: 0, left, backorders_left, allocation_left });
            self.places.len() - 1
        })
    }
}

/// Units more that may be promised at a line's place without stock; `None` where the item has no such promises.
fn backorders_left(state: &State, line: &LineRecord) -> Option<u64> {
    let cap = state.item(line.sku).spec.backorder.cap_at(state.header.now)?;
    let backordered = state.stock(line.sku).place(line.location).map_or(0, |place| place.backordered);
    Some(cap.saturating_sub(backordered))
}

impl Left {
    /// What is sold in a campaign is all that is free of it; what is not, what is left then.
    fn of(state: &State, line: &LineRecord, in_campaign: bool) -> Self {
        let place = state.stock(line.sku).place(line.location);
        match (place, &line.by_lot) {
            (Some(place), None) if in_campaign => Self::Units(place.free()),
            (Some(place), Some(_)) if in_campaign => {
                Self::ByLot { shelf: Shelf::of(state, place), kept_back: 0, waited_for: 0 }
            }
            (None, _) => Self::Units(0),
            (Some(place), None) => Self::Units(state.atp(line.sku, place)),
            (Some(place), Some(_)) => {
                let (kept_back, waited_for) = (place.kept_back(), place.waited_for());
                Self::ByLot { shelf: Shelf::of(state, place), kept_back, waited_for }
            }
        }
    }

    fn for_line(&self, line: &LineRecord) -> u64 {
        match self {
            Self::Units(left) => *left,
            Self::ByLot { shelf, kept_back, waited_for } => {
                let left = line.named_lot().map_or_else(|| shelf.left_for(line.need()), |lot| shelf.left_of(lot));
                left.min(shelf.left_for(crate::LogTime(0)).saturating_sub(*kept_back)).saturating_sub(*waited_for)
            }
        }
    }

    fn take(&mut self, line: &LineRecord, units: u64) {
        match self {
            Self::Units(left) => *left = left.saturating_sub(units),
            Self::ByLot { shelf, .. } => match line.named_lot() {
                Some(lot) => shelf.take(lot, units),
                None => shelf.hold(line.need(), units),
            },
        }
    }
}
