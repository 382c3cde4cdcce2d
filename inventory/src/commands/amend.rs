//! `amend`: a hold's quantities change, all or none.

use serde::{Deserialize, Serialize};

use crate::commands::{Line, MAX_LINES};
use crate::{Field, InvalidArgument, MAX_UNITS, ReservationId};

/// New quantities for lines of a hold, found by item, location and lot: more is a new hold, less a release, 0 gives the
/// line back, another item, location or lot is a new line. Lines that are not named stay. Refused whole, the old hold
/// stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amend {
    /// The reservation.
    pub reservation: ReservationId,
    /// The new quantities, each item, location and lot once.
    pub lines: Vec<Line>,
}

impl Amend {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.lines.is_empty() || self.lines.len() > MAX_LINES {
            return Err(InvalidArgument::of(Field::Lines));
        }
        for (at, line) in self.lines.iter().enumerate() {
            if line.units.0 > MAX_UNITS {
                return Err(InvalidArgument::in_line(Field::Units, at));
            }
            let key = (&line.sku, &line.location, &line.lot);
            if self.lines[..at].iter().any(|other| (&other.sku, &other.location, &other.lot) == key) {
                return Err(InvalidArgument::in_line(Field::Sku, at));
            }
        }
        Ok(())
    }
}
