//! What the lines of one command ask for together: lines of the same item and location are summed before they are checked.

use holdfast_mutation::{Mutation, is_on};

use crate::commands::FULL_RETRY_MS;
use crate::shelf::Shelf;
use crate::state::{LimitNo, LineRecord, LocationNo, SkuNo};
use crate::turn::Turn;
use crate::{CustomerHash, Refusal};

/// What is asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    customer: Option<CustomerHash>,
    places: Vec<PlaceDemand>,
    /// What limits leave the customer.
    limits: Vec<(LimitNo, u64)>,
}

#[derive(Clone, Debug)]
struct PlaceDemand {
    sku: SkuNo,
    location: LocationNo,
    asked: u64,
    left: Left,
}

/// What may still be promised at a place.
#[derive(Clone, Debug)]
enum Left {
    /// So many units.
    Units(u64),
    /// By lot, of what is above the safety stock.
    ByLot { shelf: Shelf, safety_stock: u64 },
}

impl Demand {
    /// Of that customer.
    pub(crate) fn of(customer: Option<CustomerHash>) -> Self {
        Self { customer, ..Self::default() }
    }

    /// Asks for that many units more, for a line of that number.
    ///
    /// # Errors
    ///
    /// `InsufficientStock` where all that is asked for is more than may be promised; then nothing was asked.
    pub(crate) fn require(
        &mut self,
        turn: &Turn<'_>,
        line: &LineRecord,
        number: usize,
        units: u64,
    ) -> Result<(), Refusal> {
        self.require_of_limits(turn, line.sku, number, units)?;
        if line.counted {
            self.require_of_stock(turn, line, number, units)?;
        }
        for (no, _) in turn.state.active_limits_of(line.sku) {
            let left = self.limits.iter_mut().filter(|(limit, _)| *limit == no);
            left.for_each(|(_, left)| *left = left.saturating_sub(units));
        }
        Ok(())
    }

    /// Whether every limit of the item leaves the customer so many.
    fn require_of_limits(&mut self, turn: &Turn<'_>, sku: SkuNo, number: usize, units: u64) -> Result<(), Refusal> {
        for (no, limit) in turn.state.active_limits_of(sku) {
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

    fn require_of_stock(
        &mut self,
        turn: &Turn<'_>,
        line: &LineRecord,
        number: usize,
        units: u64,
    ) -> Result<(), Refusal> {
        let is_it = |place: &PlaceDemand| (place.sku, place.location) == (line.sku, line.location);
        let at = self.places.iter().position(is_it).unwrap_or_else(|| {
            let left = Left::of(turn, line);
            self.places.push(PlaceDemand { sku: line.sku, location: line.location, asked: 0, left });
            self.places.len() - 1
        });
        let place = &mut self.places[at];
        let left = place.left.for_line(line);
        if units > left + u64::from(is_on(Mutation::AtpOffByOne)) {
            let available = left + place.asked;
            return Err(Refusal::InsufficientStock { available, line: number as u32, recorded: true });
        }
        place.asked += units;
        place.left.take(line, units);
        Ok(())
    }
}

impl Left {
    fn of(turn: &Turn<'_>, line: &LineRecord) -> Self {
        let place = turn.state.stock(line.sku).place(line.location);
        match (place, &line.by_lot) {
            (None, _) => Self::Units(0),
            (Some(place), None) => Self::Units(turn.state.atp(line.sku, place)),
            (Some(place), Some(_)) => {
                Self::ByLot { shelf: Shelf::of(turn.state, place), safety_stock: place.safety_stock }
            }
        }
    }

    fn for_line(&self, line: &LineRecord) -> u64 {
        match self {
            Self::Units(left) => *left,
            Self::ByLot { shelf, safety_stock } => {
                let left = line.named_lot().map_or_else(|| shelf.left_for(line.need()), |lot| shelf.left_of(lot));
                left.min(shelf.left_for(crate::LogTime(0)).saturating_sub(*safety_stock))
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
