//! Parts of a reservation: units of some of its lines.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_PLANNED_LINES;
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

/// Checks that there are at most [`MAX_PLANNED_LINES`] parts, each line at most once, no line beyond the last, units in range.
pub(crate) fn validate_parts(parts: &[LineUnits]) -> Result<(), InvalidArgument> {
    if parts.len() > MAX_PLANNED_LINES {
        return Err(InvalidArgument::of(Field::Lines));
    }
    let mut seen = [false; MAX_PLANNED_LINES];
    for part in parts {
        match seen.get_mut(part.line as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(InvalidArgument::in_line(Field::LineNumber, part.line as usize)),
        }
        if !part.units.is_askable() {
            return Err(InvalidArgument::in_line(Field::Units, part.line as usize));
        }
    }
    Ok(())
}

/// Units of the lines of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnitsOfLines {
    /// Of each line of this shard.
    pub(crate) own: Vec<u64>,
    /// Of each line of another, in the order of [`ReservationRecord::remote_lines`].
    pub(crate) remote: Vec<u64>,
}

/// Units for each line of the reservation: those of the parts, or without parts all that the line has.
///
/// `of` tells what a line has to take from, `exceeds` how to refuse a part that asks for more. Counters are left out: they follow what they
/// count.
pub(crate) fn units_of_lines(
    record: &ReservationRecord,
    parts: &[LineUnits],
    of: impl Fn(&LineCounts) -> u64,
    exceeds: impl Fn(u32, u64) -> Refusal,
) -> Result<UnitsOfLines, Refusal> {
    if parts.is_empty() {
        return Ok(UnitsOfLines {
            own: record.lines.iter().map(|line| of(&line.units)).collect(),
            remote: record.remote_lines().map(|line| of(&line.units)).collect(),
        });
    }
    let mut units = UnitsOfLines { own: vec![0; record.lines.len()], remote: vec![0; record.remote_lines().count()] };
    for part in parts {
        let number = part.line as usize;
        let own = record.place_of(number);
        let remote = || record.remote_lines().position(|line| usize::from(line.number) == number);
        let (counts, taken) = match (own, own.map_or_else(remote, |_| None)) {
            _ if record.is_counter(number) => (None, None),
            (Some(at), _) => (record.lines.get(at).map(|line| line.units), units.own.get_mut(at)),
            (None, Some(at)) => (record.remote_lines().nth(at).map(|line| line.units), units.remote.get_mut(at)),
            (None, None) => (None, None),
        };
        let (Some(counts), Some(taken)) = (counts, taken) else {
            return Err(InvalidArgument::in_line(Field::LineNumber, number).into());
        };
        let available = of(&counts);
        if part.units.count() > available {
            return Err(exceeds(part.line, available));
        }
        *taken = part.units.count();
    }
    count_with(record, &mut units);
    Ok(units)
}

/// What the lines are counted by goes with them.
fn count_with(record: &ReservationRecord, units: &mut UnitsOfLines) {
    for (at, counter) in record.own_counters() {
        units.own[at] = counter.iter().map(|number| units.own[usize::from(*number)]).sum();
    }
}

/// As many of the units as are of whole kits; those of lines that are of no kit stay.
pub(crate) fn whole_kits_of(record: &ReservationRecord, units: UnitsOfLines) -> UnitsOfLines {
    let Some(plan) = record.plan() else { return units };
    let of_own = record.lines.iter().enumerate().map(|(at, line)| (record.number_of(at), line.units));
    let of_remote = record.remote_lines().map(|line| (usize::from(line.number), line.units));
    // The kit that a line is of, and how many units of the line are one kit; `None`: it is of none, or was left out.
    let kit_of = |(number, counts): (usize, LineCounts)| {
        let asked = usize::from(*plan.of.get(number).filter(|_| plan.is_of_kit(number))?);
        let of_one = counts.all().unwrap_or(0) / plan.asked[asked].units.count().max(1);
        (of_one > 0).then_some((asked, of_one))
    };
    let lines: Vec<_> = of_own.chain(of_remote).map(kit_of).collect();
    let mut kits = vec![u64::MAX; plan.asked.len()];
    for (of, units) in lines.iter().zip(units.own.iter().chain(&units.remote)) {
        if let Some((asked, of_one)) = *of {
            kits[asked] = kits[asked].min(units / of_one);
        }
    }
    let mut whole = units.clone();
    for (of, units) in lines.iter().zip(whole.own.iter_mut().chain(&mut whole.remote)) {
        if let Some((asked, of_one)) = *of {
            *units = kits[asked] * of_one;
        }
    }
    if whole != units {
        count_with(record, &mut whole);
    }
    whole
}

/// Refuses to sell or ship units of a kit's lines where they are not those of whole kits. A return may be of one component.
pub(crate) fn check_whole_kits(record: &ReservationRecord, units: &UnitsOfLines) -> Result<(), Refusal> {
    let Some(plan) = record.plan() else { return Ok(()) };
    let own = record.lines.iter().zip(&units.own).enumerate();
    let own = own.map(|(at, (line, units))| (record.number_of(at), line.units, *units));
    let remote = record.remote_lines().zip(&units.remote);
    let remote = remote.map(|(line, units)| (usize::from(line.number), line.units, *units));
    let mut kits_of = vec![None; plan.asked.len()];
    for (number, counts, units) in own.chain(remote).filter(|(number, ..)| plan.is_of_kit(*number)) {
        let asked = usize::from(plan.of[number]);
        let of_one = counts.all().unwrap_or(0) / plan.asked[asked].units.count().max(1);
        // Of each line the units of so many kits, which is the same number for all of them.
        let kits = units.checked_div(of_one).unwrap_or(0);
        if kits * of_one != units || kits_of[asked].is_some_and(|others| others != kits) {
            return Err(Refusal::LinesMoveTogether);
        }
        kits_of[asked] = Some(kits);
    }
    Ok(())
}
