//! What is sold through channels that choose the locations: each line lies whole at the channel's locations, at one of them where it
//! may not be split; no shelf is ever seen with fewer free units than each channel that sells from it keeps back; and nobody is refused
//! for good because of a race that another plan could have won.
//!
//! Judges SKUs that are sold through channels alone. That the units are there, and in which phase, is for the others to say.

use std::collections::BTreeMap;

use super::{Finding, Inventory};
use crate::history::{
    Answer, Asked, History, Id, Line, Operation, Request, ReservationSeen, Seen, Standing, StockSeen, Subject, Through,
    item_of, operations,
};

const NAME: &str = "sources";
/// A plan is made four times before it is refused for good, and each time another hold came first. What a node read that does not know
/// yet that it was deposed is old without any: one of the four is allowed that.
const RACES_LOST: usize = 3;

struct Sale<'a> {
    lines: &'a [Line],
    through: &'a Through,
}

/// Checks what was seen of each such reservation and shelf, at any time and in the end, and what was refused.
#[must_use]
pub fn check(history: &History, inventory: Option<&Inventory>) -> Vec<Finding> {
    let operations = operations(history);
    let sales = sales(&operations);
    let kept_back = kept_back(&sales);
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(NAME, what));
    let look = |id: &Id, seen: &ReservationSeen| {
        let what = breach(sales.get(id)?, seen)?;
        Some(format!("reservation {id}: {what}: {seen:?}"))
    };
    let shelf = |sku: &str, seen: &StockSeen| {
        let least = *kept_back.get(sku)?;
        let is_there = seen.received > 0 && seen.free < u64::from(least);
        is_there.then(|| format!("{} units of {sku} are free, and {least} are kept back: {seen:?}", seen.free))
    };
    for operation in &operations {
        match (operation.asked, &operation.standing) {
            (Asked::Read(Subject::Reservation(id), _), Standing::Seen { seen: Seen::Reservation(Some(seen)), .. }) => {
                look(id, seen).into_iter().for_each(&mut find);
            }
            (Asked::Read(Subject::Stock(sku), _), Standing::Seen { seen: Seen::Stock(Some(seen)), .. }) => {
                shelf(sku, seen).into_iter().for_each(&mut find);
            }
            (Asked::Commands(_), Standing::Decided(answers)) => {
                lost_race(&operations, operation, answers).into_iter().for_each(&mut find);
            }
            _ => {}
        }
    }
    let ends = inventory.into_iter();
    ends.clone().flat_map(|end| &end.reservations).filter_map(|(id, seen)| look(id, seen)).for_each(&mut find);
    ends.flat_map(|end| &end.stocks).filter_map(|(sku, seen)| shelf(sku, seen)).for_each(&mut find);
    findings
}

fn sales<'a>(operations: &[Operation<'a>]) -> BTreeMap<Id, Sale<'a>> {
    let mut sales = BTreeMap::new();
    for operation in operations {
        let Asked::Commands(commands) = operation.asked else { continue };
        for command in commands {
            if let Request::ReserveThrough { reservation, lines, through, .. } = &command.request {
                sales.insert(*reservation, Sale { lines, through });
            }
        }
    }
    sales
}

/// What each shelf keeps back from all channels that sell from it.
fn kept_back(sales: &BTreeMap<Id, Sale<'_>>) -> BTreeMap<String, u32> {
    let mut least: BTreeMap<String, u32> = BTreeMap::new();
    for Sale { lines, through } in sales.values() {
        for line in *lines {
            let away = format!("{}@{}", line.sku, crate::history::AWAY);
            let here = through.everywhere.then(|| line.sku.clone());
            for shelf in here.into_iter().chain([away]) {
                let buffer = least.entry(shelf).or_insert(through.buffer);
                *buffer = through.buffer.min(*buffer);
            }
        }
    }
    least
}

fn breach(sale: &Sale<'_>, seen: &ReservationSeen) -> Option<String> {
    for line in sale.lines {
        let parts: Vec<_> = seen.lines.iter().filter(|part| item_of(&part.sku) == line.sku).collect();
        let units: u64 = parts.iter().map(|part| part.all()).sum();
        if units != u64::from(line.units) {
            return Some(format!("{units} of {} units of {} are there", line.units, line.sku));
        }
        if !sale.through.allow_split && parts.len() != 1 {
            return Some(format!("{} lies at {} locations, and may not be split", line.sku, parts.len()));
        }
        if !sale.through.everywhere && parts.iter().any(|part| part.sku == line.sku) {
            return Some(format!("{} comes from where channel {} does not sell", line.sku, sale.through.channel));
        }
    }
    let is_asked = |sku: &str| sale.lines.iter().any(|line| line.sku == item_of(sku));
    seen.lines.iter().find(|part| !is_asked(&part.sku)).map(|part| format!("nobody asked for {}", part.sku))
}

/// A refusal for good of something that could be had, where too few others can have come before.
fn lost_race(operations: &[Operation<'_>], operation: &Operation<'_>, answers: &[Answer]) -> Option<String> {
    let Asked::Commands(commands) = operation.asked else { return None };
    let (Some(Request::ReserveThrough { lines, .. }), Some(Answer::Refused(refused))) =
        (commands.first().map(|command| &command.request), answers.first())
    else {
        return None;
    };
    let number = refused.field.strip_prefix("lines[").and_then(|rest| rest.split(']').next()?.parse::<usize>().ok())?;
    let line = lines.get(number)?;
    let available: u64 = refused.details.get("available")?.parse().ok()?;
    if refused.reason != "INSUFFICIENT_STOCK" || !refused.is_final || available < u64::from(line.units) {
        return None;
    }
    let came_before: usize = operations.iter().map(|other| may_have_taken(other, operation, &line.sku)).sum();
    (came_before < RACES_LOST).then(|| {
        let record = operation.records.last().map(|record| format!("\n    {record}")).unwrap_or_default();
        let sku = &line.sku;
        format!("{} of {available} units of {sku} are refused for good, {came_before} others asked{record}", line.units)
    })
}

/// How often it may have taken units of that item while the other one was under way: once, or with each of its plans where its lines may
/// lie on several shards, which hold them for a moment each time.
fn may_have_taken(other: &Operation<'_>, meanwhile: &Operation<'_>, sku: &str) -> usize {
    let Asked::Commands(commands) = other.asked else { return 0 };
    let times = |command: &crate::history::Command| match &command.request {
        Request::ReserveThrough { lines, .. } if lines.iter().any(|line| line.sku == sku) => {
            if lines.len() > 1 {
                RACES_LOST + 1
            } else {
                1
            }
        }
        _ => 0,
    };
    let times: usize = commands.iter().map(times).sum();
    let overlaps = other.call_us <= meanwhile.return_us.unwrap_or(u64::MAX)
        && (other.return_us.is_none_or(|at| at >= meanwhile.call_us) || other.standing == Standing::Unknown);
    // One that is refused, or not decided at all, may have held units for a moment.
    if overlaps && !std::ptr::eq(other, meanwhile) { times } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, refused};
    use crate::history::{LineSeen, Phase};

    fn reserve(number: u128, everywhere: bool, allow_split: bool) -> Request {
        let lines = vec![Line { sku: "A".to_owned(), units: 3 }];
        let through = Through { channel: "both".to_owned(), everywhere, buffer: 2, strategy: 1, allow_split };
        Request::ReserveThrough { reservation: Id(number), lines, ttl_s: 600, through }
    }

    fn ends(request: Request, lines: &[(&str, u64)]) -> usize {
        let line = |(sku, held): &(&str, u64)| LineSeen { sku: (*sku).to_owned(), held: *held, ..LineSeen::default() };
        let lines = lines.iter().map(line).collect();
        let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines };
        let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
        check(&Story::default().command(1, 10, 12, request, done(1, 1)).0, Some(&inventory)).len()
    }

    #[test]
    fn a_line_lies_whole_where_its_channel_sells() {
        assert_eq!(ends(reserve(7, true, true), &[("A", 1), ("A@away", 2)]), 0);
        assert_eq!(ends(reserve(7, false, false), &[("A@away", 3)]), 0);
        assert_eq!(ends(reserve(7, true, false), &[("A", 1), ("A@away", 2)]), 1);
        assert_eq!(ends(reserve(7, true, true), &[("A", 1), ("A@away", 1)]), 1);
        assert_eq!(ends(reserve(7, false, true), &[("A", 3)]), 1);
        assert_eq!(ends(reserve(7, true, true), &[("A", 3), ("B", 1)]), 1);
    }

    #[test]
    fn a_shelf_with_less_than_is_kept_back_is_found() {
        let story = Story::default().command(1, 10, 12, reserve(7, true, true), done(1, 1)).0;
        let shelf = |sku: &str, free| {
            let seen = StockSeen { received: 5, free, ..StockSeen::default() };
            let stocks = BTreeMap::from([(sku.to_owned(), seen)]);
            check(&story, Some(&Inventory { stocks, ..Inventory::default() })).len()
        };
        assert_eq!((shelf("A", 2), shelf("A", 1), shelf("A@away", 1), shelf("B", 0)), (0, 1, 1, 0));
    }

    #[test]
    fn a_refusal_of_what_could_be_had_needs_others_who_came_first() {
        let lost = |available| refused("INSUFFICIENT_STOCK", &[("available", available)]);
        let alone = Story::default().command(1, 10, 20, reserve(7, true, true), lost(3));
        assert_eq!(check(&alone.0, None).len(), 1);
        let too_few = Story::default().command(1, 10, 20, reserve(7, true, true), lost(2));
        assert_eq!(check(&too_few.0, None), []);
        let beaten = alone
            .command(2, 11, 12, reserve(8, true, true), done(1, 1))
            .command(3, 13, 14, reserve(9, true, true), done(1, 1))
            .command(4, 15, 16, reserve(10, true, true), done(1, 1));
        assert_eq!(check(&beaten.0, None), []);
    }
}
