//! What the lines of one command ask for together: lines of the same item and location are summed before they are checked.

use holdfast_mutation::{Mutation, is_on};

use crate::Refusal;
use crate::shelf::Shelf;
use crate::state::{LineRecord, LocationNo, SkuNo};
use crate::turn::Turn;

/// What is asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    places: Vec<PlaceDemand>,
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
