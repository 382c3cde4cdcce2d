//! Whoever recalls a lot is told of everybody who has or had units of it, and from then on nobody gets any.
//!
//! Known of a lot are the reservations that were acknowledged under its name, the units that were acknowledged as picked of it, and
//! what was read of reservations before the list was asked for: the list must name them, with at least so many shipped. Besides, what
//! came of the lot and is not there any more was shipped, and the list must account for all of it, whoever it was shipped to. Once the
//! recall was acknowledged no list differs from another, nothing is held by its name, picked of it or bound to it; and what is short in
//! the end is so because nothing else is free.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Inventory};
use crate::history::{
    Answer, Asked, Command, History, Id, Line, LineSeen, LotLine, Operation, Request, ReservationSeen, Seen, Standing,
    Subject, TraceSeen, operations,
};

const NAME: &str = "recalls";

/// Something that was known of a reservation from an instant on.
#[derive(Clone, Copy, Debug)]
struct Known {
    reservation: Id,
    from_us: u64,
    /// Units of the lot that were shipped by then.
    shipped: u64,
    /// What is only held by the lot's name may be given back, and forgotten by a shard that had a part of it.
    is_held_only: bool,
}

/// Units that arrived.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    call_us: u64,
    /// `None`: nobody knows whether they did.
    return_us: Option<u64>,
    units: u64,
}

/// A list of those who have units of a lot.
#[derive(Debug)]
struct List<'a> {
    call_us: u64,
    return_us: u64,
    seen: &'a TraceSeen,
}

/// What is known of one lot of a SKU.
#[derive(Debug, Default)]
struct Batch<'a> {
    recalled_us: Option<u64>,
    arrivals: Vec<Arrival>,
    known: Vec<Known>,
    /// What was acknowledged that takes units of it: when it was first asked for.
    takes: Vec<(u64, &'a Command)>,
    lists: Vec<List<'a>>,
}

/// What was asked of reservations of lots.
#[derive(Debug, Default)]
struct Told<'a> {
    batches: BTreeMap<(&'a str, u8), Batch<'a>>,
    kits: BTreeMap<&'a str, &'a [Line]>,
    carts: BTreeMap<Id, &'a [LotLine]>,
    /// It was asked that they be given back.
    given_back: BTreeSet<Id>,
}

/// Checks the lists, what was seen of reservations at any time, and what stands in the end.
#[must_use]
pub fn check(history: &History, inventory: Option<&Inventory>) -> Vec<Finding> {
    let operations = operations(history);
    let mut told = Told::default();
    operations.iter().for_each(|operation| told.take_commands(operation));
    operations.iter().for_each(|operation| told.take_read(operation));
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(NAME, what));
    for ((sku, lot), batch) in &told.batches {
        told.judge(batch, &format!("lot {lot} of {sku}"), &mut find);
    }
    for operation in &operations {
        if let (Asked::Read(Subject::Reservation(id), _), Standing::Seen { seen: Seen::Reservation(Some(seen)), .. }) =
            (operation.asked, &operation.standing)
        {
            told.look(*id, seen, operation.call_us, &mut find);
        }
    }
    if let Some(inventory) = inventory {
        told.judge_end(inventory, &mut find);
    }
    findings
}

impl<'a> Told<'a> {
    fn take_commands(&mut self, operation: &Operation<'a>) {
        let Asked::Commands(commands) = operation.asked else { return };
        let answers = match &operation.standing {
            Standing::Decided(answers) => Some(answers),
            Standing::Unknown => None,
            Standing::Nothing | Standing::Seen { .. } => return,
        };
        for (at, command) in commands.iter().enumerate() {
            let is_done = match answers.map(|answers| answers.get(at)) {
                Some(Some(Answer::Done(_))) => true,
                Some(_) => continue,
                None => false,
            };
            self.take(command, operation.call_us, operation.return_us.filter(|_| is_done));
        }
    }

    /// `return_us`: when it was acknowledged, if it was.
    fn take(&mut self, command: &'a Command, call_us: u64, return_us: Option<u64>) {
        match &command.request {
            Request::ReceiveLot { sku, lot, units } => {
                let arrival = Arrival { call_us, return_us, units: u64::from(*units) };
                self.batch(sku, *lot).arrivals.push(arrival);
            }
            Request::PutKit { sku, components } => drop(self.kits.insert(sku, components)),
            Request::Recall { sku, lot } => {
                let recalled = &mut self.batch(sku, *lot).recalled_us;
                *recalled = [*recalled, return_us].into_iter().flatten().min();
            }
            Request::ReserveOfLots { reservation, lines } => {
                self.carts.insert(*reservation, lines);
                let named = lines.iter().filter_map(|line| Some((line.sku.as_str(), line.lot?)));
                for (sku, lot) in named.filter(|_| return_us.is_some()) {
                    let from_us = return_us.unwrap_or_default();
                    let known = Known { reservation: *reservation, from_us, shipped: 0, is_held_only: true };
                    let batch = self.batch(sku, lot);
                    batch.known.push(known);
                    batch.takes.push((call_us, command));
                }
            }
            Request::Pick { reservation, line, lot, units } => {
                let Some(cart) = self.carts.get(reservation) else { return };
                // The lines of a cart of kits are the components', which only its reads tell.
                let line = cart.get(*line as usize).filter(|line| !self.kits.contains_key(line.sku.as_str()));
                if let (Some(line), Some(from_us)) = (line, return_us) {
                    let shipped = u64::from(*units);
                    let known = Known { reservation: *reservation, from_us, shipped, is_held_only: false };
                    let batch = self.batch(&line.sku, *lot);
                    batch.known.push(known);
                    batch.takes.push((call_us, command));
                }
            }
            Request::Release { reservation } | Request::Cancel { reservation } => {
                self.given_back.insert(*reservation);
            }
            _ => {}
        }
    }

    fn take_read(&mut self, operation: &'a Operation<'a>) {
        let (Asked::Read(subject, _), Standing::Seen { seen, .. }) = (operation.asked, &operation.standing) else {
            return;
        };
        let return_us = operation.return_us.unwrap_or(u64::MAX);
        match (subject, seen) {
            (Subject::Trace { sku, lot }, Seen::Trace(Some(seen))) => {
                self.batch(sku, *lot).lists.push(List { call_us: operation.call_us, return_us, seen });
            }
            (Subject::Reservation(id), Seen::Reservation(Some(seen))) if self.carts.contains_key(id) => {
                for line in &seen.lines {
                    let lots: BTreeSet<u8> = line.lots.iter().chain(&line.shipped).map(|(lot, _)| *lot).collect();
                    for lot in lots {
                        let shipped = units_of(&line.shipped, lot);
                        let known = Known { reservation: *id, from_us: return_us, shipped, is_held_only: false };
                        self.batch(&line.sku, lot).known.push(known);
                    }
                }
            }
            _ => {}
        }
    }

    fn batch(&mut self, sku: &'a str, lot: u8) -> &mut Batch<'a> {
        self.batches.entry((sku, lot)).or_default()
    }

    /// What is wrong with a lot since it was recalled.
    fn judge(&self, batch: &Batch<'_>, name: &str, find: &mut impl FnMut(String)) {
        let Some(recalled_us) = batch.recalled_us else { return };
        for (_, command) in batch.takes.iter().filter(|(call_us, _)| *call_us > recalled_us) {
            find(format!("{name} was recalled, and command {} took units of it: {:?}", command.id, command.request));
        }
        let mut lists = batch.lists.iter().filter(|list| list.call_us > recalled_us);
        let first = lists.clone().next();
        for list in lists.by_ref() {
            let listed = list.seen.shipped();
            for known in batch.known.iter().filter(|known| known.from_us < list.call_us) {
                let may_be_gone = known.is_held_only && self.given_back.contains(&known.reservation);
                match listed.get(&known.reservation) {
                    None if may_be_gone => {}
                    None => find(format!("{name} was recalled, and its list does not name {}", known.reservation)),
                    Some(units) if *units < known.shipped => find(format!(
                        "{} has {} shipped units of {name}, which was recalled, and its list says {units}",
                        known.reservation, known.shipped
                    )),
                    Some(_) => {}
                }
            }
            if let Some(what) = batch.breach(list) {
                find(format!("{name} was recalled, and {what}"));
            }
            if first.is_some_and(|first| shipped_only(first.seen) != shipped_only(list.seen)) {
                find(format!("{name} was recalled, and two of its lists differ in what was shipped"));
            }
        }
    }

    /// What is wrong with a reservation as it was seen: it has what was asked for, and nothing of what was recalled before.
    fn look(&self, id: Id, seen: &ReservationSeen, call_us: u64, find: &mut impl FnMut(String)) {
        let Some(cart) = self.carts.get(&id) else { return };
        let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
        for line in *cart {
            match self.kits.get(line.sku.as_str()) {
                None => *asked.entry(&line.sku).or_default() += u64::from(line.units),
                Some(components) => components.iter().for_each(|of| {
                    *asked.entry(&of.sku).or_default() += u64::from(of.units) * u64::from(line.units);
                }),
            }
        }
        let mut has: BTreeMap<&str, u64> = BTreeMap::new();
        seen.lines.iter().for_each(|line| *has.entry(&line.sku).or_default() += line.all());
        if asked != has {
            find(format!("reservation {id} was asked for with {asked:?}, and has {has:?}"));
        }
        for line in &seen.lines {
            for (lot, _) in &line.lots {
                let batch = self.batches.get(&(line.sku.as_str(), *lot));
                if batch.and_then(|batch| batch.recalled_us).is_some_and(|recalled_us| recalled_us < call_us) {
                    find(format!("lot {lot} of {} was recalled, and reservation {id} is bound to it still", line.sku));
                }
            }
        }
    }

    fn judge_end(&self, inventory: &Inventory, find: &mut impl FnMut(String)) {
        let mut skus: BTreeSet<&str> = BTreeSet::new();
        for (id, seen) in inventory.reservations.iter().filter(|(id, _)| self.carts.contains_key(id)) {
            self.look(*id, seen, u64::MAX, find);
            for line in &seen.lines {
                skus.insert(&line.sku);
                self.was_listed(*id, line, find);
            }
        }
        for sku in skus {
            let Some(stock) = inventory.stocks.get(sku) else { continue };
            if stock.short > 0 && stock.atp > 0 {
                find(format!("{} units of {sku} are short, and {} are free", stock.short, stock.atp));
            }
        }
    }

    /// What a reservation has in the end of a lot that was recalled, its lists have told.
    fn was_listed(&self, id: Id, line: &LineSeen, find: &mut impl FnMut(String)) {
        for (lot, units) in &line.shipped {
            let Some(batch) = self.batches.get(&(line.sku.as_str(), *lot)) else { continue };
            let Some(recalled_us) = batch.recalled_us else { continue };
            for list in batch.lists.iter().filter(|list| list.call_us > recalled_us) {
                let listed = list.seen.shipped().get(&id).copied().unwrap_or_default();
                if listed < *units {
                    find(format!(
                        "{units} units of lot {lot} of {} are shipped to {id} in the end, and {listed} were by a list after its recall",
                        line.sku
                    ));
                }
            }
        }
    }
}

impl Batch<'_> {
    /// What a list of a lot that was recalled before it was asked for says wrongly.
    fn breach(&self, list: &List<'_>) -> Option<String> {
        let bound: u64 = list.seen.named.iter().map(|named| named.committed).sum();
        if bound > 0 {
            return Some(format!("{bound} units of it are sold still"));
        }
        let sum = |is_counted: &dyn Fn(&Arrival) -> bool| -> u64 {
            self.arrivals.iter().filter(|arrival| is_counted(arrival)).map(|arrival| arrival.units).sum()
        };
        let least = sum(&|arrival| arrival.return_us.is_some_and(|return_us| return_us < list.call_us));
        let most = sum(&|arrival| arrival.call_us < list.return_us);
        let shipped: u64 = list.seen.named.iter().map(|named| named.fulfilled).sum();
        let accounted = list.seen.on_hand + shipped;
        (!(least..=most).contains(&accounted)).then(|| {
            let there = list.seen.on_hand;
            format!(
                "{least} to {most} units of it came, {there} are there, and its list says that {shipped} were shipped"
            )
        })
    }
}

impl TraceSeen {
    /// Whom it names, with what was shipped to them.
    fn shipped(&self) -> BTreeMap<Id, u64> {
        let mut shipped = BTreeMap::new();
        self.named.iter().for_each(|named| *shipped.entry(named.reservation).or_default() += named.fulfilled);
        shipped
    }
}

fn shipped_only(seen: &TraceSeen) -> BTreeMap<Id, u64> {
    seen.shipped().into_iter().filter(|(_, units)| *units > 0).collect()
}

fn units_of(lots: &[(u8, u64)], lot: u8) -> u64 {
    lots.iter().filter(|(of, _)| *of == lot).map(|(_, units)| units).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done};
    use crate::history::{Freshness, NamedSeen, Outcome, Phase, StockSeen};

    const SKU: &str = "BATCH";

    fn cart(id: u128, lot: Option<u8>) -> Request {
        let lines = vec![LotLine { sku: SKU.to_owned(), units: 2, lot }];
        Request::ReserveOfLots { reservation: Id(id), lines }
    }

    fn recall() -> Request {
        Request::Recall { sku: SKU.to_owned(), lot: 1 }
    }

    fn pick(lot: u8) -> Request {
        Request::Pick { reservation: Id(2), line: 0, lot, units: 2 }
    }

    /// Five units of a lot, of which one reservation holds two by name and another has got two.
    fn story() -> Story {
        Story::default()
            .command(1, 1, 2, Request::ReceiveLot { sku: SKU.to_owned(), lot: 1, units: 5 }, done(1, 5))
            .command(2, 10, 11, cart(2, None), done(1, 3))
            .command(3, 20, 21, cart(3, Some(1)), done(1, 1))
            .command(4, 30, 31, pick(1), done(2, 1))
            .command(5, 40, 41, recall(), done(2, 0))
    }

    fn line(committed: u64, fulfilled: u64) -> LineSeen {
        let of_lot = |units: u64| if units > 0 { vec![(1, units)] } else { Vec::new() };
        let held = 2 - committed - fulfilled;
        let (lots, shipped) = (of_lot(committed), of_lot(fulfilled));
        LineSeen { sku: SKU.to_owned(), held, committed, fulfilled, lots, shipped, ..LineSeen::default() }
    }

    fn seen(line: LineSeen) -> ReservationSeen {
        ReservationSeen { phase: Phase::Committed, expires_at_ms: 0, revision: 1, lines: vec![line] }
    }

    fn listed(story: Story, call: u64, on_hand: u64, named: &[(u128, u64)]) -> Story {
        let named = named.iter().map(|(id, units)| NamedSeen { reservation: Id(*id), committed: 0, fulfilled: *units });
        let seen = Seen::Trace(Some(TraceSeen { on_hand, named: named.collect() }));
        let asked = Asked::Read(Subject::Trace { sku: SKU.to_owned(), lot: 1 }, Freshness::Linearizable);
        story.tell(call, call + 1, asked, Outcome::Seen { seen, position: None, log_time_ms: None })
    }

    fn found(story: &Story) -> usize {
        check(&story.0, None).len()
    }

    fn found_in_the_end(story: &Story, id: u128, line: LineSeen, free: u64) -> usize {
        let stock = StockSeen { short: line.short, atp: free, ..StockSeen::default() };
        let inventory = Inventory {
            stocks: BTreeMap::from([(SKU.to_owned(), stock)]),
            reservations: BTreeMap::from([(Id(id), seen(line))]),
            ..Inventory::default()
        };
        check(&story.0, Some(&inventory)).len()
    }

    #[test]
    fn a_list_names_whoever_holds_or_was_shipped_units() {
        assert_eq!(found(&listed(story(), 50, 3, &[(2, 2), (3, 0)])), 0);
        assert_eq!(found(&listed(story(), 50, 3, &[(2, 2)])), 1, "who holds by name is missing");
        assert_eq!(
            found(&listed(story(), 50, 3, &[(3, 0)])),
            2,
            "who was shipped units is missing, and so are the units"
        );
        assert_eq!(found(&listed(story(), 50, 4, &[(2, 1), (3, 0)])), 1, "fewer units than were picked");
        let released = story().command(6, 45, 46, Request::Release { reservation: Id(3) }, done(2, 1));
        assert_eq!(found(&listed(released, 50, 3, &[(2, 2)])), 0);
    }

    #[test]
    fn a_list_accounts_for_all_that_came_whoever_it_was_shipped_to() {
        assert_eq!(found(&listed(story(), 50, 1, &[(2, 2), (3, 0)])), 1);
        assert_eq!(found(&listed(story(), 50, 1, &[(2, 2), (3, 0), (9, 2)])), 0);
        let before = listed(Story::default(), 3, 1, &[]);
        assert_eq!(found(&before), 0, "of a lot that was not recalled nothing is said");
    }

    #[test]
    fn nothing_of_a_recalled_lot_is_taken_bound_or_shipped() {
        assert_eq!(found(&story().command(6, 50, 51, pick(1), done(3, 1))), 1);
        assert_eq!(found(&story().command(6, 50, 51, cart(6, Some(1)), done(1, 1))), 1);
        assert_eq!(found(&story().command(6, 39, 51, pick(1), done(3, 1))), 0, "it may have been before");
        assert_eq!(found(&story().command(6, 50, 51, pick(2), done(3, 1))), 0, "of another lot");
        let two = listed(listed(story(), 50, 3, &[(2, 2), (3, 0)]), 60, 1, &[(2, 2), (3, 2)]);
        assert_eq!(found(&two), 1);
        let read = |call, line| {
            let asked = Asked::Read(Subject::Reservation(Id(3)), Freshness::Linearizable);
            let seen = Seen::Reservation(Some(seen(line)));
            story().tell(call, call + 1, asked, Outcome::Seen { seen, position: None, log_time_ms: None })
        };
        assert_eq!((found(&read(35, line(2, 0))), found(&read(50, line(2, 0)))), (0, 1));
    }

    #[test]
    fn what_stands_in_the_end_was_in_the_list_and_is_short_only_where_nothing_is_free() {
        let story = listed(story(), 50, 3, &[(2, 2), (3, 0)]);
        assert_eq!(found_in_the_end(&story, 2, line(0, 2), 1), 0);
        assert_eq!(found_in_the_end(&story, 3, line(0, 2), 1), 1);
        let short = || LineSeen { held: 0, short: 2, ..line(0, 0) };
        assert_eq!((found_in_the_end(&story, 3, short(), 0), found_in_the_end(&story, 3, short(), 1)), (0, 1));
        let lost = LineSeen { held: 1, ..line(0, 0) };
        assert_eq!(found_in_the_end(&story, 3, lost, 0), 1);
    }
}
