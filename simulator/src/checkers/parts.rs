//! Of a reservation over several shards each line has as many units sold, shipped and returned as was answered, wherever it lies; and
//! together the units that were asked for.
//!
//! That the shelves of every shard have followed is `conservation`'s to judge, by the account of all reservations.

use std::collections::BTreeMap;

use super::{Finding, Inventory};
use crate::history::{
    Answer, Asked, Change, History, Id, Line, LineSeen, Request, ReservationSeen, Seen, Standing, Subject, operations,
};

const NAME: &str = "parts";

/// Units of a line that were moved for certain by then, and units that may have been.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    certain: u64,
    possible: u64,
}

impl Count {
    fn add(&mut self, units: u64, is_certain: bool) {
        *(if is_certain { &mut self.certain } else { &mut self.possible }) += units;
    }

    fn fits(self, units: u64) -> bool {
        (self.certain..=self.certain + self.possible).contains(&units)
    }
}

/// What was answered of one line.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    sold: Count,
    shipped: Count,
    returned: Count,
    /// To how many units it was amended, all amends together.
    amended: u64,
}

/// What was asked of one reservation.
#[derive(Debug)]
struct Cart<'a> {
    lines: &'a [Line],
    told: Vec<Told>,
    /// What is sold and not shipped may have been given back.
    may_be_cancelled: bool,
}

/// Checks what was seen of each such reservation, at any time and in the end.
#[must_use]
pub fn check(history: &History, inventory: Option<&Inventory>) -> Vec<Finding> {
    let operations = operations(history);
    let mut carts: BTreeMap<Id, Cart<'_>> = BTreeMap::new();
    for operation in &operations {
        let Asked::Commands(commands) = operation.asked else { continue };
        for (at, command) in commands.iter().enumerate() {
            let is_certain = match &operation.standing {
                Standing::Decided(answers) => match answers.get(at) {
                    Some(Answer::Done(_)) => true,
                    _ => continue,
                },
                Standing::Unknown => false,
                Standing::Nothing | Standing::Seen { .. } => continue,
            };
            take(&mut carts, &command.request, is_certain);
        }
    }
    let mut findings = Vec::new();
    let mut look = |id: &Id, seen: &ReservationSeen, is_end: bool| {
        if let Some(what) = carts.get(id).and_then(|cart| cart.breach(seen, is_end)) {
            findings.push(Finding::new(NAME, format!("reservation {id}: {what}: {seen:?}")));
        }
    };
    for operation in &operations {
        if let (Asked::Read(Subject::Reservation(id), _), Standing::Seen { seen, .. }) =
            (operation.asked, &operation.standing)
            && let Seen::Reservation(Some(seen)) = seen
        {
            look(id, seen, false);
        }
    }
    inventory.into_iter().flat_map(|inventory| &inventory.reservations).for_each(|(id, seen)| look(id, seen, true));
    findings
}

fn take<'a>(carts: &mut BTreeMap<Id, Cart<'a>>, request: &'a Request, is_certain: bool) {
    match request {
        Request::ReserveInParts { reservation, lines } => {
            let told = vec![Told::default(); lines.len()];
            carts.insert(*reservation, Cart { lines, told, may_be_cancelled: false });
        }
        Request::Cancel { reservation } => {
            if let Some(cart) = carts.get_mut(reservation) {
                cart.may_be_cancelled = true;
            }
        }
        Request::Change { reservation, line, units, change } => {
            let told = carts.get_mut(reservation).and_then(|cart| cart.told.get_mut(*line as usize));
            let Some(told) = told else { return };
            let units = u64::from(*units);
            match change {
                Change::Sell | Change::SellLast => told.sold.add(units, is_certain),
                Change::Ship => told.shipped.add(units, is_certain),
                Change::Return => told.returned.add(units, is_certain),
                Change::Amend { .. } => told.amended += units,
            }
        }
        _ => {}
    }
}

impl Cart<'_> {
    /// What is wrong with it as it was seen; while it is changed no more than was ever asked can be told of it.
    fn breach(&self, seen: &ReservationSeen, is_end: bool) -> Option<String> {
        if seen.lines.len() != self.lines.len() {
            return Some(format!("{} lines were asked for", self.lines.len()));
        }
        for ((asked, told), is) in self.lines.iter().zip(&self.told).zip(&seen.lines) {
            // What one amend gave back another may have asked for again: each adds as many units as it asks for at most.
            let least = u64::from(asked.units);
            if is.sku != asked.sku || !(least..=least + told.amended).contains(&is.all()) {
                let amended = told.amended;
                return Some(format!("{least} units of {} were asked for, {amended} by amends", asked.sku));
            }
            let what = if is_end { self.breach_in_the_end(told, is) } else { breach_at_any_time(told, is) };
            if what.is_some() {
                return what;
            }
        }
        None
    }

    fn breach_in_the_end(&self, told: &Told, is: &LineSeen) -> Option<String> {
        let sold = is.committed + is.fulfilled;
        let is_sold = if self.may_be_cancelled { true } else { told.sold.fits(sold) };
        if !is_sold || !told.shipped.fits(is.fulfilled) || !told.returned.fits(is.returned) {
            return Some(format!("{told:?} of {}", is.sku));
        }
        breach_at_any_time(told, is)
    }
}

fn breach_at_any_time(told: &Told, is: &LineSeen) -> Option<String> {
    let most = |count: Count| count.certain + count.possible;
    let is_beyond = is.committed + is.fulfilled > most(told.sold)
        || is.fulfilled > most(told.shipped)
        || is.returned > most(told.returned);
    is_beyond.then(|| format!("more of {} than was asked for: {told:?}", is.sku))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done, unknown};
    use crate::history::Phase;

    fn cart() -> Story {
        let lines = ["A", "B"].map(|sku| Line { sku: sku.to_owned(), units: 3 }).to_vec();
        Story::default().command(1, 10, 12, Request::ReserveInParts { reservation: Id(7), lines }, done(1, 1))
    }

    fn change(change: Change, units: u32) -> Request {
        Request::Change { reservation: Id(7), line: 1, units, change }
    }

    /// What is found where the second line stands so in the end: held, sold and not shipped, shipped, returned.
    fn found(story: Story, [held, committed, fulfilled, returned]: [u64; 4]) -> usize {
        let first = LineSeen { sku: "A".to_owned(), held: 3, ..LineSeen::default() };
        let second = LineSeen { sku: "B".to_owned(), held, committed, fulfilled, returned, ..LineSeen::default() };
        let second = LineSeen { given_back: 3 - held - committed - fulfilled, ..second };
        let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines: vec![first, second] };
        let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
        check(&story.0, Some(&inventory)).len()
    }

    #[test]
    fn what_an_amend_gave_back_another_may_ask_for_again_and_nothing_else_does() {
        let second = |held, given_back| LineSeen { sku: "B".to_owned(), held, given_back, ..LineSeen::default() };
        let found = |story: Story, second: LineSeen| {
            let first = LineSeen { sku: "A".to_owned(), held: 3, ..LineSeen::default() };
            let lines = vec![first, second];
            let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 3, lines };
            let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
            check(&story.0, Some(&inventory)).len()
        };
        let amend = |units| change(Change::Amend { sku: "B".to_owned() }, units);
        let amended = || cart().command(1, 20, 22, amend(1), done(2, 1)).command(1, 30, 32, amend(2), done(3, 1));
        assert_eq!((found(amended(), second(2, 2)), found(amended(), second(1, 2))), (0, 0));
        assert_eq!(found(amended(), second(2, 5)), 1, "more than all together asked for");
        assert_eq!(found(cart(), second(2, 2)), 1, "nobody amended it");
        assert_eq!(found(amended(), second(1, 1)), 1, "units are gone");
    }

    #[test]
    fn what_was_answered_of_a_line_is_there_and_no_more() {
        let sold = || cart().command(2, 20, 22, change(Change::Sell, 2), done(2, 1));
        assert_eq!((found(sold(), [1, 2, 0, 0]), found(sold(), [0, 3, 0, 0]), found(sold(), [3, 0, 0, 0])), (0, 1, 1));
        let shipped = || sold().command(3, 30, 32, change(Change::Ship, 1), done(3, 1));
        assert_eq!((found(shipped(), [1, 1, 1, 0]), found(shipped(), [1, 2, 0, 0])), (0, 1));
        let back = || shipped().command(4, 40, 42, change(Change::Return, 1), done(4, 1));
        assert_eq!((found(back(), [1, 1, 1, 1]), found(back(), [1, 1, 1, 0])), (0, 1));
    }

    #[test]
    fn what_nobody_knows_may_be_there_or_not() {
        let sold = || cart().command(2, 20, 0, change(Change::Sell, 2), unknown());
        assert_eq!((found(sold(), [1, 2, 0, 0]), found(sold(), [3, 0, 0, 0]), found(sold(), [2, 1, 0, 0])), (0, 0, 0));
        assert_eq!(found(sold(), [0, 3, 0, 0]), 1);
    }

    #[test]
    fn units_that_were_never_asked_for_are_found() {
        let line = |sku: &str, held| LineSeen { sku: sku.to_owned(), held, ..LineSeen::default() };
        let lines = vec![line("A", 3), line("B", 4)];
        let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines };
        let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
        assert_eq!(check(&cart().0, Some(&inventory)).len(), 1);
    }
}
