//! What the lines of one command ask for together: lines of the same item and location are summed before they are checked.

use holdfast_mutation::{Mutation, is_on};

use crate::Refusal;
use crate::state::{LineRecord, LocationNo, SkuNo};
use crate::turn::Turn;

/// What is asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Demand {
    places: Vec<PlaceDemand>,
}

#[derive(Debug)]
struct PlaceDemand {
    sku: SkuNo,
    location: LocationNo,
    atp: u64,
    asked: u64,
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
            let atp = turn.state.stock(line.sku).place(line.location).map_or(0, |place| place.atp());
            self.places.push(PlaceDemand { sku: line.sku, location: line.location, atp, asked: 0 });
            self.places.len() - 1
        });
        let place = &mut self.places[at];
        let left = (place.atp + u64::from(is_on(Mutation::AtpOffByOne))).saturating_sub(place.asked);
        if units > left {
            return Err(Refusal::InsufficientStock { available: place.atp, line: number as u32, recorded: true });
        }
        place.asked += units;
        Ok(())
    }
}
