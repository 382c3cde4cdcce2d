//! Orders with external steps, by a second specification: nothing is sold of which a step was not done; what was done of an order that
//! came to nothing is taken back; and what was sold is not.
//!
//! Judged in the end, by what stands and by the books of who was called. A report that nobody knows the outcome of may have been taken.

use std::collections::BTreeMap;

use super::{Finding, Inventory};
use crate::history::{Answer, Asked, History, Id, OrderSeen, Phase, Request, Standing, StepAsked, Undo, operations};
use crate::workloads::Books;

const NAME: &str = "sagas";

/// What was asked of one order.
#[derive(Debug, Default)]
struct Told<'a> {
    steps: &'a [StepAsked],
    /// It was started for sure.
    is_started: bool,
    /// Of which steps somebody may have reported that they are done.
    reported: Vec<&'a str>,
    /// Of which somebody may have reported that they are taken back.
    reported_back: Vec<&'a str>,
    /// Somebody may have decided that it stands.
    may_be_confirmed: bool,
}

/// Checks what stands in the end of every order that was asked for.
#[must_use]
pub fn check(history: &History, inventory: &Inventory, books: &Books) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, told) in told(history) {
        let mut breaches = Vec::new();
        let phase = inventory.reservations.get(&id).map(|seen| seen.phase);
        let is_sold = matches!(phase, Some(Phase::Committed | Phase::Fulfilled));
        if is_sold && told.is_started && !told.may_be_confirmed {
            let undone = told.steps.iter().filter(|step| !told.may_be_done(id, step, books));
            breaches.extend(undone.map(|step| format!("it is sold, and nobody has done the step {}", step.name)));
        }
        if let Some(order) = inventory.orders.get(&id) {
            breaches.extend(told.breaches(id, order, books));
            if (order.state == "CONFIRMED") != is_sold && phase.is_some() {
                breaches.push(format!("the order is {}, its reservation {phase:?}", order.state));
            }
        }
        findings.extend(breaches.into_iter().map(|what| Finding::new(NAME, format!("order {id}: {what}"))));
    }
    findings
}

fn told(history: &History) -> BTreeMap<Id, Told<'_>> {
    let mut orders: BTreeMap<Id, Told<'_>> = BTreeMap::new();
    for operation in operations(history) {
        let Asked::Commands(commands) = operation.asked else { continue };
        let answers = match &operation.standing {
            Standing::Decided(answers) => Some(answers),
            Standing::Unknown => None,
            Standing::Nothing | Standing::Seen { .. } => continue,
        };
        for (at, command) in commands.iter().enumerate() {
            let answer = answers.and_then(|answers| answers.get(at));
            if matches!(answer, Some(Answer::Refused(_))) {
                continue;
            }
            match &command.request {
                Request::StartOrder { reservation, steps } => {
                    let told = orders.entry(*reservation).or_default();
                    (told.steps, told.is_started) = (steps, answer.is_some());
                }
                Request::ReportStep { reservation, step, undo, done: true } => {
                    let told = orders.entry(*reservation).or_default();
                    if *undo { &mut told.reported_back } else { &mut told.reported }.push(step);
                }
                Request::ResolveOrder { reservation, confirm: true } => {
                    orders.entry(*reservation).or_default().may_be_confirmed = true;
                }
                _ => {}
            }
        }
    }
    orders
}

impl Told<'_> {
    fn may_be_done(&self, id: Id, step: &StepAsked, books: &Books) -> bool {
        if step.is_called { books.have(id, &step.name, false) } else { self.reported.contains(&step.name.as_str()) }
    }

    fn breaches(&self, id: Id, order: &OrderSeen, books: &Books) -> Vec<String> {
        let mut breaches = Vec::new();
        for (step, (_, state)) in self.steps.iter().zip(&order.steps) {
            let name = &step.name;
            let came_to_nothing = matches!(order.state.as_str(), "STUCK" | "ABORTED");
            let is_open = matches!(state.as_str(), "DONE" | "UNKNOWN" | "RUNNING" | "COMPENSATING");
            if came_to_nothing && step.undo != Undo::None && is_open {
                breaches.push(format!("it is {}, and its step {name} stays {state}", order.state));
            }
            if state == "COMPENSATED" {
                let is_undone = match step.undo {
                    Undo::Called => books.have(id, name, true),
                    Undo::Reported => self.reported_back.contains(&name.as_str()),
                    Undo::None => false,
                };
                if !is_undone {
                    breaches.push(format!("its step {name} is said to be taken back, and nobody has done that"));
                }
            }
            let is_paid_still = books.have(id, name, false) && !books.have(id, name, true);
            if order.state == "ABORTED" && order.resolved.is_none() && step.undo == Undo::Called && is_paid_still {
                breaches.push(format!("it came to nothing, and its step {name} was done and never taken back"));
            }
            if order.state == "CONFIRMED" && order.resolved.is_none() && books.have(id, name, true) {
                breaches.push(format!("it is sold, and its step {name} was taken back"));
            }
        }
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::stories::{Story, done};
    use crate::history::ReservationSeen;

    const ORDER: Id = Id(7);

    fn story() -> Story {
        let step = |name: &str, is_called| StepAsked {
            name: name.to_owned(),
            is_called,
            undo: Undo::Called,
            within_ms: 1_000,
        };
        let start = Request::StartOrder { reservation: ORDER, steps: vec![step("pay", true), step("sign", false)] };
        Story::default().command(1, 10, 12, start, done(1, 1))
    }

    fn report() -> Request {
        Request::ReportStep { reservation: ORDER, step: "sign".to_owned(), undo: false, done: true }
    }

    fn findings(story: &Story, phase: Phase, state: &str, steps: [&str; 2], books: &Books) -> usize {
        let seen = ReservationSeen { phase, expires_at_ms: 0, revision: 1, lines: Vec::new() };
        let steps = ["pay", "sign"].into_iter().zip(steps).map(|(name, state)| (name.to_owned(), state.to_owned()));
        let order = OrderSeen { state: state.to_owned(), steps: steps.collect(), resolved: None };
        let inventory = Inventory {
            reservations: BTreeMap::from([(ORDER, seen)]),
            orders: BTreeMap::from([(ORDER, order)]),
            ..Inventory::default()
        };
        check(&story.0, &inventory, books).len()
    }

    #[test]
    fn what_is_sold_was_paid_and_signed() {
        let (unsigned, signed) = (story(), story().command(2, 20, 22, report(), done(2, 2)));
        let (nothing, paid) = (Books::default(), Books::default());
        paid.note(ORDER, "pay", false);
        let judge = |story: &Story, books: &Books| findings(story, Phase::Committed, "CONFIRMED", ["DONE"; 2], books);
        assert_eq!((judge(&signed, &paid), judge(&unsigned, &paid), judge(&signed, &nothing)), (0, 1, 1));
        paid.note(ORDER, "pay", true);
        assert_eq!(judge(&signed, &paid), 1, "and nobody has the money back");
    }

    #[test]
    fn what_came_to_nothing_is_taken_back() {
        let (story, books) = (story(), Books::default());
        books.note(ORDER, "pay", false);
        let judge = |steps| findings(&story, Phase::Released, "ABORTED", steps, &books);
        assert_eq!((judge(["DONE", "FAILED"]), judge(["COMPENSATED", "FAILED"])), (2, 2));
        assert_eq!(judge(["FAILED", "WAITING"]), 1, "whatever is said of the step, the money was taken");
        books.note(ORDER, "pay", true);
        assert_eq!(judge(["COMPENSATED", "FAILED"]), 0);
    }

    #[test]
    fn an_order_and_its_reservation_say_the_same() {
        let (story, books) = (story(), Books::default());
        assert_eq!(findings(&story, Phase::Committed, "ABORTED", ["FAILED", "WAITING"], &books), 3);
        assert_eq!(findings(&story, Phase::Held, "RUNNING", ["RUNNING", "WAITING"], &books), 0);
    }
}
