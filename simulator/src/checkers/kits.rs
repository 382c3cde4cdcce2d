//! A reservation of kits has of each kit what its recipe says, so many times as it was asked for, or as will do, all in one state; or,
//! where it is optional, nothing of it. The recipe is one that was put, of the revision that was asked for, and none that was known to be
//! replaced before the reserve was asked.
//!
//! That the components' units are the stock's in the end is `conservation`'s to judge.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Inventory};
use crate::history::{
    Answer, Asked, History, Id, KitLine, Line, LineSeen, Phase, Request, ReservationSeen, Seen, Standing, Subject,
    operations,
};

const NAME: &str = "kits";

/// What was asked of kits.
#[derive(Debug, Default)]
struct Told<'a> {
    puts: BTreeMap<&'a str, Vec<Put<'a>>>,
    carts: BTreeMap<Id, Cart<'a>>,
    commits: BTreeSet<Id>,
    cancels: BTreeSet<Id>,
}

#[derive(Debug)]
struct Put<'a> {
    components: &'a [Line],
    /// `None`: nobody knows whether it was done.
    revision: Option<u64>,
    return_us: u64,
}

#[derive(Debug)]
struct Cart<'a> {
    lines: &'a [KitLine],
    call_us: u64,
}

/// Checks what was seen of each reservation of kits, at any time and in the end.
#[must_use]
pub fn check(history: &History, inventory: Option<&Inventory>) -> Vec<Finding> {
    let operations = operations(history);
    let mut told = Told::default();
    let mut findings = Vec::new();
    for operation in &operations {
        let Asked::Commands(commands) = operation.asked else { continue };
        for (at, command) in commands.iter().enumerate() {
            let answer = match &operation.standing {
                Standing::Decided(answers) => answers.get(at),
                Standing::Unknown => None,
                Standing::Nothing | Standing::Seen { .. } => continue,
            };
            let return_us = operation.return_us.unwrap_or(u64::MAX);
            told.take(&command.request, answer, operation.call_us, return_us);
            if let Some(what) = refused_wrongly(&command.request, answer) {
                findings.push(Finding::new(NAME, format!("command {}: {what}", command.id)));
            }
        }
    }
    let mut look = |id: &Id, seen: &ReservationSeen| {
        if let Some(what) = told.carts.get(id).and_then(|cart| told.breach(cart, seen)) {
            findings.push(Finding::new(NAME, format!("reservation {id}: {what}: {seen:?}")));
        }
    };
    for operation in &operations {
        if let (Asked::Read(Subject::Reservation(id), _), Standing::Seen { seen, .. }) =
            (operation.asked, &operation.standing)
            && let Seen::Reservation(Some(seen)) = seen
        {
            look(id, seen);
        }
    }
    let Some(inventory) = inventory else { return findings };
    inventory.reservations.iter().for_each(|(id, seen)| look(id, seen));
    for id in told.commits.difference(&told.cancels).filter(|id| told.carts.contains_key(id)) {
        let phase = inventory.reservations.get(id).map(|seen| seen.phase);
        if !matches!(phase, Some(Phase::Committed | Phase::Fulfilled)) {
            findings.push(Finding::new(NAME, format!("reservation {id} was sold, and is {phase:?}")));
        }
    }
    findings
}

/// A revision that was named and is the present one is no mismatch.
fn refused_wrongly(request: &Request, answer: Option<&Answer>) -> Option<String> {
    let (Request::ReserveKits { lines, .. }, Some(Answer::Refused(refused))) = (request, answer) else { return None };
    if refused.reason != "KIT_REVISION_MISMATCH" {
        return None;
    }
    let named = |line: &KitLine| refused.details.get("sku") == Some(&line.sku) && line.kit_revision > 0;
    let actual = refused.details.get("actual").cloned().unwrap_or_default();
    let is_another = lines.iter().any(|line| named(line) && line.kit_revision.to_string() != actual);
    (!is_another).then(|| format!("{lines:?} is refused, and the revision is {actual}"))
}

impl<'a> Told<'a> {
    fn take(&mut self, request: &'a Request, answer: Option<&Answer>, call_us: u64, return_us: u64) {
        let revision = match answer {
            Some(Answer::Refused(_)) if !matches!(request, Request::Cancel { .. }) => return,
            Some(Answer::Done(done)) => Some(done.revision),
            _ => None,
        };
        match request {
            Request::PutKit { sku, components } => {
                self.puts.entry(sku).or_default().push(Put { components, revision, return_us });
            }
            Request::ReserveKits { reservation, lines, .. } => {
                self.carts.insert(*reservation, Cart { lines, call_us });
            }
            Request::Commit { reservation } if revision.is_some() => drop(self.commits.insert(*reservation)),
            Request::Cancel { reservation } => drop(self.cancels.insert(*reservation)),
            _ => {}
        }
    }

    /// What is wrong with a reservation as it was seen.
    fn breach(&self, cart: &Cart<'_>, seen: &ReservationSeen) -> Option<String> {
        let mut is_anything_held = false;
        for (number, asked) in cart.lines.iter().enumerate() {
            let lines: Vec<&LineSeen> = of_asked(seen, number);
            let units = |line: &&LineSeen| line.held + line.committed + line.fulfilled + line.given_back + line.short;
            if lines.is_empty() {
                return Some(format!("nothing is said of line {number}"));
            }
            if lines.iter().all(|line| units(line) == 0) {
                if !asked.optional {
                    return Some(format!("line {number} is not optional, and left out"));
                }
                continue;
            }
            is_anything_held = true;
            if let Some(wrong) = lines.iter().find(|line| !is_in_phase(line, units(line), seen.phase)) {
                return Some(format!("{} is not {:?} like the whole", wrong.sku, seen.phase));
            }
            let mut is: BTreeMap<&str, u64> = BTreeMap::new();
            lines.iter().for_each(|line| *is.entry(&line.sku).or_default() += units(line));
            if let Some(what) = self.breach_of_line(cart, asked, lines[0], &is) {
                return Some(format!("line {number}: {what}"));
            }
        }
        if is_anything_held { None } else { Some("it has nothing".to_owned()) }
    }

    fn breach_of_line(
        &self,
        cart: &Cart<'_>,
        asked: &KitLine,
        line: &LineSeen,
        is: &BTreeMap<&str, u64>,
    ) -> Option<String> {
        let Some(puts) = self.puts.get(asked.sku.as_str()) else {
            let units = is.get(asked.sku.as_str()).copied().unwrap_or(0);
            return (is.len() > 1 || !will_do(asked, units)).then(|| format!("{is:?}, and asked for was {asked:?}"));
        };
        let Some(of) = &line.asked else { return Some("it is not said which kit it was".to_owned()) };
        if of.sku != asked.sku || !will_do(asked, of.units.into()) {
            return Some(format!("asked for was {asked:?}"));
        }
        if asked.kit_revision > 0 && asked.kit_revision != of.kit_revision {
            return Some(format!("revision {} was asked for", asked.kit_revision));
        }
        let before = puts.iter().filter(|put| put.return_us < cart.call_us).filter_map(|put| put.revision).max();
        if before.is_some_and(|before| of.kit_revision < before) {
            return Some(format!("revision {before:?} had been put before it was asked for"));
        }
        let is_known = puts.iter().any(|put| put.revision == Some(of.kit_revision));
        let mut may_be = puts.iter().filter(|put| match put.revision {
            Some(revision) => revision == of.kit_revision,
            None => !is_known,
        });
        let is_it = may_be.any(|put| {
            let mut expected = BTreeMap::new();
            put.components.iter().for_each(|it| self.add(it, u64::from(of.units), &mut expected, 0));
            expected == *is
        });
        (!is_it).then(|| format!("{is:?} is no {} kits of revision {}", of.units, of.kit_revision))
    }

    /// Adds what so many of a component come to; the recipes of kits within kits never change.
    fn add<'b>(&'b self, component: &'b Line, times: u64, sums: &mut BTreeMap<&'b str, u64>, depth: u32) {
        let units = times * u64::from(component.units);
        match self.puts.get(component.sku.as_str()).and_then(|puts| puts.first()) {
            Some(put) if depth < 8 => put.components.iter().for_each(|it| self.add(it, units, sums, depth + 1)),
            _ => *sums.entry(&component.sku).or_default() += units,
        }
    }
}

/// Whether so many of a line are what was asked for.
fn will_do(asked: &KitLine, units: u64) -> bool {
    let least = if asked.least == 0 { asked.units } else { asked.least };
    (u64::from(least)..=u64::from(asked.units)).contains(&units)
}

/// The lines that come from that one.
fn of_asked(seen: &ReservationSeen, number: usize) -> Vec<&LineSeen> {
    let is_it = |(at, line): &(usize, &LineSeen)| match &line.asked {
        Some(of) => of.number as usize == number,
        None => *at == number,
    };
    seen.lines.iter().enumerate().filter(is_it).map(|(_, line)| line).collect()
}

fn is_in_phase(line: &LineSeen, units: u64, phase: Phase) -> bool {
    let in_phase = match phase {
        Phase::Held => line.held,
        Phase::Committed => line.committed,
        Phase::Fulfilled => line.fulfilled,
        Phase::Released | Phase::Cancelled | Phase::Expired => line.given_back,
    };
    in_phase == units
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, commit, done, phase, refused, unknown};
    use crate::history::{AskedSeen, Outcome};

    fn put(sku: &str, components: &[(&str, u32)]) -> Request {
        let line = |(sku, units): &(&str, u32)| Line { sku: (*sku).to_owned(), units: *units };
        Request::PutKit { sku: sku.to_owned(), components: components.iter().map(line).collect() }
    }

    fn cart(kit_revision: u64) -> Request {
        let gift = KitLine { sku: "GIFT".to_owned(), units: 2, optional: true, kit_revision, least: 0 };
        let part = KitLine { sku: "A".to_owned(), units: 1, optional: false, kit_revision: 0, least: 0 };
        Request::ReserveKits { reservation: Id(7), lines: vec![gift, part], ttl_s: 600 }
    }

    /// A kit of two inner kits, of one A and three B each, and one A; by its second recipe of one B.
    fn shop() -> Story {
        Story::default().command(1, 1, 2, put("INNER", &[("A", 1), ("B", 3)]), done(1, 0)).command(
            2,
            3,
            4,
            put("GIFT", &[("INNER", 2), ("A", 1)]),
            done(1, 0),
        )
    }

    fn found(story: Story, kit_revision: u64, lines: &[(&str, u64)]) -> usize {
        let of = |number| AskedSeen {
            number,
            sku: if number == 0 { "GIFT" } else { "A" }.to_owned(),
            units: 2 - number,
            kit_revision: if number == 0 { kit_revision } else { 0 },
        };
        let line = |(at, (sku, held)): (usize, &(&str, u64))| LineSeen {
            sku: (*sku).to_owned(),
            held: *held,
            asked: Some(of(u32::from(at + 1 == lines.len()))),
            ..LineSeen::default()
        };
        let lines = lines.iter().enumerate().map(line).collect();
        let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines };
        let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
        check(&story.0, Some(&inventory)).len()
    }

    const WHOLE: [(&str, u64); 3] = [("A", 6), ("B", 12), ("A", 1)];

    fn held() -> Story {
        shop().command(3, 10, 12, cart(0), phase(1, 1, Phase::Held))
    }

    #[test]
    fn what_the_recipe_says_is_good_and_a_gift_may_be_left_out() {
        assert_eq!(found(held(), 1, &WHOLE), 0);
        assert_eq!(found(held(), 1, &[("A", 0), ("B", 0), ("A", 1)]), 0);
    }

    #[test]
    fn a_component_that_is_taken_alone_or_in_another_number_is_found() {
        assert_eq!(found(held(), 1, &[("A", 6), ("B", 0), ("A", 1)]), 1);
        assert_eq!(found(held(), 1, &[("A", 4), ("B", 6), ("A", 1)]), 1, "the inner kit counts once");
        assert_eq!(found(held(), 1, &[("A", 6), ("B", 12), ("A", 0)]), 1, "what is not optional is not left out");
        assert_eq!(found(held(), 1, &[("A", 0), ("B", 0), ("A", 0)]), 1);
    }

    #[test]
    fn of_a_line_of_which_fewer_will_do_there_are_no_fewer_than_those_and_whole_kits() {
        let found = |least: u32, kits: u32, units: [u64; 3]| {
            let Request::ReserveKits { mut lines, reservation, ttl_s } = cart(0) else { unreachable!() };
            (lines[0].units, lines[0].least) = (4, least);
            let asked = Request::ReserveKits { lines, reservation, ttl_s };
            let story = shop().command(3, 10, 12, asked, phase(1, 1, Phase::Held));
            let of = |number: u32, sku: &str, units| AskedSeen {
                number,
                sku: sku.to_owned(),
                units,
                kit_revision: u64::from(number == 0),
            };
            let line = |sku: &str, held, asked| LineSeen {
                sku: sku.to_owned(),
                held,
                asked: Some(asked),
                ..LineSeen::default()
            };
            let lines = vec![
                line("A", units[0], of(0, "GIFT", kits)),
                line("B", units[1], of(0, "GIFT", kits)),
                line("A", units[2], of(1, "A", 1)),
            ];
            let seen = ReservationSeen { phase: Phase::Held, expires_at_ms: 0, revision: 1, lines };
            let inventory = Inventory { reservations: BTreeMap::from([(Id(7), seen)]), ..Inventory::default() };
            check(&story.0, Some(&inventory)).len()
        };
        assert_eq!(found(2, 2, [6, 12, 1]), 0);
        assert_eq!(found(3, 2, [6, 12, 1]), 1, "fewer than will do");
        assert_eq!(found(0, 2, [6, 12, 1]), 1, "all or nothing was asked for");
        assert_eq!(found(2, 2, [9, 12, 1]), 1, "one component is of three kits");
        assert_eq!(found(2, 5, [15, 30, 1]), 1, "more than was asked for");
    }

    #[test]
    fn a_recipe_is_one_that_was_put_and_none_that_was_replaced_before() {
        let changed = |back| {
            let put = put("GIFT", &[("B", 1)]);
            let outcome = if back == 0 { unknown() } else { done(2, 0) };
            shop().command(4, 5, back, put, outcome).command(3, 10, 12, cart(0), phase(1, 1, Phase::Held))
        };
        let second: [(&str, u64); 2] = [("B", 2), ("A", 1)];
        assert_eq!((found(changed(6), 2, &second), found(changed(6), 1, &WHOLE)), (0, 1));
        assert_eq!((found(changed(11), 2, &second), found(changed(11), 1, &WHOLE)), (0, 0));
        assert_eq!((found(changed(0), 2, &second), found(changed(0), 1, &WHOLE)), (0, 0));
        assert_eq!((found(changed(6), 1, &second), found(changed(6), 3, &second)), (1, 1));
    }

    #[test]
    fn a_revision_that_was_asked_for_is_the_one_that_is_sold_or_refused() {
        let asked = |outcome: Outcome| shop().command(3, 10, 12, cart(2), outcome);
        assert_eq!(found(asked(phase(1, 1, Phase::Held)), 1, &WHOLE), 1);
        let mismatch = |actual: u64| {
            let mut outcome = refused("KIT_REVISION_MISMATCH", &[("actual", actual)]);
            if let Outcome::Answered(answers) = &mut outcome
                && let Answer::Refused(refused) = &mut answers[0]
            {
                refused.details.insert("sku".to_owned(), "GIFT".to_owned());
            }
            outcome
        };
        assert_eq!(check(&asked(mismatch(1)).0, None).len(), 0);
        assert_eq!(check(&asked(mismatch(2)).0, None).len(), 1);
    }

    #[test]
    fn what_was_sold_and_is_held_still_is_found() {
        let sold = held().command(5, 20, 22, commit(7), phase(2, 1, Phase::Committed));
        assert_eq!(found(sold, 1, &WHOLE), 1);
    }
}
