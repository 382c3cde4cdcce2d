//! Parts of a reservation: units of some of its lines.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_LINES;
use crate::state::ReservationRecord;
use crate::{Field, InvalidArgument, LineCounts, Refusal, Units};

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

/// Units for each line of the reservation: those of the parts, or without parts all that the line has.
///
/// `of` tells what a line has to take from, `exceeds` how to refuse a part that asks for more.
pub(crate) fn units_of_lines(
    record: &ReservationRecord,
    parts: &[LineUnits],
    of: impl Fn(&LineCounts) -> u64,
    exceeds: impl Fn(u32, u64) -> Refusal,
) -> Result<Vec<u64>, Refusal> {
    if parts.is_empty() {
        return Ok(record.lines.iter().map(|line| of(&line.units)).collect());
    }
    let mut units = vec![0; record.lines.len()];
    for part in parts {
        let line = record.lines.get(part.line as usize);
        let line = line.ok_or(InvalidArgument::in_line(Field::LineNumber, part.line as usize))?;
        let available = of(&line.units);
        if part.units.count() > available {
            return Err(exceeds(part.line, available));
        }
        units[part.line as usize] = part.units.count();
    }
    Ok(units)
}
