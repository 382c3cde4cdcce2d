//! What the lines of one command ask for together: lines of the same item and location are summed before they are checked.

use holdfast_mutation::{Mutation, is_on};

use crate::Refusal;
use crate::shelf::Shelf;
use crate::sources::Through;
use crate::state::{LineRecord, LocationNo, SkuNo, State};
use crate::turn::Turn;

/// What is asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    places: Vec<PlaceDemand>,
    /// The channel that the lines are sourced from.
    through: Option<Through>,
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
    /// Of lines that a channel sources, or of any.
    pub(crate) fn through(through: Option<Through>) -> Self {
        Self { places: Vec::new(), through }
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
        if !line.counted {
            return Ok(());
        }
        let left = self.left_at(turn.state, line);
        let at = self.place_at(turn.state, line);
        let place = &mut self.places[at];
        if units > left + u64::from(is_on(Mutation::AtpOffByOne)) {
            let available = left + place.asked;
            return Err(Refusal::InsufficientStock { available, line: number as u32, recorded: true });
        }
        place.asked += units;
        place.left.take(line, units);
        Ok(())
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
            let left = Left::of(state, line);
            self.places.push(PlaceDemand { sku: line.sku, location: line.location, asked: 0, left });
            self.places.len() - 1
        })
    }
}

impl Left {
    fn of(state: &State, line: &LineRecord) -> Self {
        let place = state.stock(line.sku).place(line.location);
        match (place, &line.by_lot) {
            (None, _) => Self::Units(0),
            (Some(place), None) => Self::Units(state.atp(line.sku, place)),
            (Some(place), Some(_)) => Self::ByLot { shelf: Shelf::of(state, place), safety_stock: place.safety_stock },
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
