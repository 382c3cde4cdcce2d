//! A reservation over several shards is held, sold, shipped and given back whole, as anybody can see through it: its lines are
//! those that were asked for, all in one state.
//!
//! That its units are the stock's on every shard in the end is `conservation`'s to judge. In which order carts over several
//! shards were decided is judged by nobody: a cart that is refused may have held units of some shards for a moment, so that
//! another is refused that would have found them; that is no order of the carts alone.

use std::collections::BTreeMap;

use super::{Finding, Inventory};
use crate::history::{Asked, History, Id, Line, Phase, Request, ReservationSeen, Seen, Standing, operations};

const NAME: &str = "whole";

/// Checks what was seen of each such reservation, at any time and in the end.
#[must_use]
pub fn check(history: &History, inventory: Option<&Inventory>) -> Vec<Finding> {
    let operations = operations(history);
    let mut asked: BTreeMap<Id, &[Line]> = BTreeMap::new();
    for operation in &operations {
        let Asked::Commands(commands) = operation.asked else { continue };
        for command in commands {
            if let Request::Reserve { reservation, lines, over_shards: true, .. } = &command.request {
                asked.insert(*reservation, lines);
            }
        }
    }
    let mut findings = Vec::new();
    let mut look = |id: &Id, seen: &ReservationSeen| {
        if let Some(what) = asked.get(id).and_then(|lines| breach(lines, seen)) {
            findings.push(Finding::new(NAME, format!("reservation {id}: {what}: {seen:?}")));
        }
    };
    for operation in &operations {
        if let (Asked::Read(crate::history::Subject::Reservation(id), _), Standing::Seen { seen, .. }) =
            (operation.asked, &operation.standing)
            && let Seen::Reservation(Some(seen)) = seen
        {
            look(id, seen);
        }
    }
    inventory.into_iter().flat_map(|inventory| &inventory.reservations).for_each(|(id, seen)| look(id, seen));
    findings
}

fn breach(asked: &[Line], seen: &ReservationSeen) -> Option<String> {
    if seen.lines.len() != asked.len() {
        return Some(format!("{} lines were asked for", asked.len()));
    }
    for (line, is) in asked.iter().zip(&seen.lines) {
        let all = u64::from(line.units);
        let expected = match seen.phase {
            Phase::Held => (all, 0, 0),
            Phase::Committed => (0, all, 0),
            Phase::Fulfilled => (0, 0, all),
            Phase::Released | Phase::Cancelled | Phase::Expired => (0, 0, 0),
        };
        if is.sku != line.sku || (is.held, is.committed, is.fulfilled) != expected {
            return Some(format!("a line of {all} units of {} is not {:?} like the whole", line.sku, seen.phase));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done};
    use crate::history::LineSeen;

    fn story() -> History {
        let lines = ["A", "B"].map(|sku| Line { sku: sku.to_owned(), units: 2 }).to_vec();
        let reserve =
            Request::Reserve { reservation: Id(7), lines, ttl_s: 600, over_shards: true, customer: 0, together: 0 };
        Story::default().command(1, 10, 12, reserve, done(1, 1)).0
    }

    fn ends(phase: Phase, units: [u64; 2]) -> usize {
        let line = |(sku, committed): (&str, u64)| LineSeen { sku: sku.to_owned(), committed, ..LineSeen::default() };
        let lines = ["A", "B"].into_iter().zip(units).map(line).collect();
        let seen = ReservationSeen { phase, expires_at_ms: 0, revision: 1, lines };
        let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
        check(&story(), Some(&inventory)).len()
    }

    #[test]
    fn what_is_sold_whole_is_good_and_what_is_sold_in_part_is_found() {
        assert_eq!(ends(Phase::Committed, [2, 2]), 0);
        assert_eq!(ends(Phase::Committed, [2, 0]), 1);
        assert_eq!(ends(Phase::Released, [0, 2]), 1);
    }
}
