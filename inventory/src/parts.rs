//! Parts of a reservation: units of some of its lines.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_LINES;
use crate::{Field, InvalidArgument, Units};

/// Units of one line, by its number in the reservation, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineUnits {
    /// The line.
    pub line: u32,
    /// How many.
    pub units: Units,
}

/// Checks that there are at most [`MAX_LINES`] parts, each line at most once, no line beyond the last, units in range.
pub(crate) fn validate_parts(parts: &[LineUnits]) -> Result<(), InvalidArgument> {
    if parts.len() > MAX_LINES {
        return Err(InvalidArgument::of(Field::Lines));
    }
    let mut seen = 0_u128;
    for part in parts {
        let bit = 1_u128.checked_shl(part.line).filter(|_| (part.line as usize) < MAX_LINES).unwrap_or(0);
        if bit == 0 || seen & bit != 0 {
            return Err(InvalidArgument::in_line(Field::LineNumber, part.line as usize));
        }
        seen |= bit;
        if !part.units.is_askable() {
            return Err(InvalidArgument::in_line(Field::Units, part.line as usize));
        }
    }
    Ok(())
}
