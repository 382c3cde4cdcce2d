//! Limits per customer against a second, naive model: what each customer has is counted anew from every reservation there ever was,
//! as it was last seen.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

use std::collections::BTreeMap;

use holdfast_inventory::commands::{
    Amend, Cancel, Commit, Fulfil, IfExpired, Line, Picked, PutItem, PutLimit, PutLocation, Receive, Release, Reserve,
    Return,
};
use holdfast_inventory::{
    Applied, Backorder, BodyHash, Command, CommandId, Condition, CustomerHash, Entry, Inventory, ItemSpec, LimitId,
    LimitSpec, LimitWindow, Limits, LineCounts, LocationSpec, LogTime, Operation, Refusal, ReservationId, Sku, Slot,
    Success, Units, invariants,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

const OPENING: u64 = 1_000_000;
const WINDOW_S: u32 = 100;
const TTL_S: u32 = 40;

/// What is asked; items, customers and limits are few, so that they meet often.
#[derive(Clone, Debug)]
enum Wish {
    Limit { limit: u8, units: u32, active: bool },
    Reserve { customer: Option<u8>, lines: Vec<(u8, u32, bool)>, linked: bool },
    Amend { back: u8, sku: u8, units: u32 },
    Commit { back: u8, units: Option<u32>, retake: bool },
    Release(u8),
    Fulfil(u8),
    Cancel(u8),
    Return { back: u8, units: u32 },
    Wait(u64),
}

fn wish() -> impl Strategy<Value = Wish> {
    let lines = prop::collection::vec((0..2_u8, 1..4_u32, prop::bool::weighted(0.2)), 1..4);
    prop_oneof![
        1 => (0..4_u8, 1..6_u32, prop::bool::weighted(0.8)).prop_map(|(limit, units, active)| Wish::Limit { limit, units, active }),
        8 => (prop::option::weighted(0.9, 0..3_u8), lines, prop::bool::weighted(0.2))
            .prop_map(|(customer, lines, linked)| Wish::Reserve { customer, lines, linked }),
        2 => (0..6_u8, 0..2_u8, 0..5_u32).prop_map(|(back, sku, units)| Wish::Amend { back, sku, units }),
        4 => (0..6_u8, prop::option::weighted(0.3, 1..3_u32), prop::bool::weighted(0.3))
            .prop_map(|(back, units, retake)| Wish::Commit { back, units, retake }),
        2 => (0..6_u8).prop_map(Wish::Release),
        3 => (0..6_u8).prop_map(Wish::Fulfil),
        1 => (0..6_u8).prop_map(Wish::Cancel),
        1 => (0..6_u8, 1..3_u32).prop_map(|(back, units)| Wish::Return { back, units }),
        3 => (1..50_u64).prop_map(Wish::Wait),
    ]
}

fn sku(number: u8) -> Sku {
    ["rouge", "mascara"][usize::from(number) % 2].parse().unwrap()
}

/// Two of each item: one counts for ever, of the other's customers what comes back counts no more.
fn limit_id(number: u8) -> LimitId {
    format!("limit-{number}").parse().unwrap()
}

fn window_of(limit: u8) -> LimitWindow {
    if limit < 2 { LimitWindow::ForEver } else { LimitWindow::RollingSeconds(WINDOW_S) }
}

fn returns_restore(limit: u8) -> bool {
    limit >= 2
}

fn reservation_id(number: u64) -> ReservationId {
    ReservationId::mint(OPENING, Slot::new(3).unwrap(), number)
}

/// A reservation as the model knows it.
struct Made {
    id: ReservationId,
    customer: Option<u8>,
    created_at: u64,
    /// Of each line its item and the limits that count it.
    lines: Vec<(u8, Vec<u8>)>,
    /// As it was last seen.
    units: Vec<LineCounts>,
}

#[derive(Default)]
struct Model {
    now: u64,
    /// Units and whether it is active.
    limits: BTreeMap<u8, (u32, bool)>,
    made: Vec<Made>,
}

impl Model {
    fn active_limits_of(&self, sku: u8) -> Vec<u8> {
        self.limits
            .iter()
            .filter(|(limit, (_, active))| *active && *limit % 2 == sku)
            .map(|(limit, _)| *limit)
            .collect()
    }

    /// Units that count of a customer under a limit.
    fn count(&self, limit: u8, customer: u8) -> u64 {
        let mut sum = 0;
        for made in self.made.iter().filter(|made| made.customer == Some(customer)) {
            let counts_now = match window_of(limit) {
                LimitWindow::ForEver => true,
                LimitWindow::RollingSeconds(seconds) => made.created_at + u64::from(seconds) * 1_000 > self.now,
            };
            for ((_, limits), units) in made.lines.iter().zip(&made.units) {
                if counts_now && limits.contains(&limit) {
                    let returned = if returns_restore(limit) { units.returned } else { 0 };
                    let waiting = units.backordered + units.backordered_sold + units.short + units.short_sold;
                    sum += units.held + units.committed + units.fulfilled + waiting - returned;
                }
            }
        }
        sum
    }

    /// Whether a customer may have so many more of each item.
    fn allows(&self, customer: Option<u8>, more: &[u64; 2]) -> bool {
        (0..2_u8).all(|sku| {
            let more = more[usize::from(sku)];
            more == 0
                || self.active_limits_of(sku).into_iter().all(|limit| {
                    let most = u64::from(self.limits[&limit].0);
                    customer.is_some_and(|customer| self.count(limit, customer) + more <= most)
                })
        })
    }

    /// Sees what became of every reservation.
    fn look(&mut self, inventory: &Inventory) {
        for made in &mut self.made {
            if let Some(reservation) = inventory.reservation(made.id) {
                made.units = reservation.lines.iter().map(|line| line.units).collect();
            }
        }
    }

    fn recent(&self, back: u8) -> Option<usize> {
        self.made.len().checked_sub(1 + usize::from(back))
    }
}

struct World {
    inventory: Inventory,
    applied: Applied,
    model: Model,
    commands: u128,
}

impl World {
    fn new() -> Self {
        // Little is remembered of what has ended.
        let inventory = Inventory::new(Limits { ended_reservations: 4, ..Limits::default() });
        let model = Model { now: OPENING, ..Model::default() };
        let mut world = Self { inventory, applied: Applied::default(), model, commands: 0 };
        let location =
            PutLocation { location: "PAR".parse().unwrap(), spec: LocationSpec::default(), if_revision: None };
        world.ask(Operation::PutLocation(Box::new(location))).unwrap();
        for number in 0..2 {
            // Of the second there is little, and the rest is promised without stock.
            let backorder = if number == 0 { Backorder::None } else { Backorder::UpTo { cap: 1_000_000 } };
            let spec = ItemSpec { backorder, ..ItemSpec::default() };
            let put = PutItem { sku: sku(number), spec, if_revision: None, if_absent: false };
            world.ask(Operation::PutItem(Box::new(put))).unwrap();
            let (location, units) = ("PAR".parse().unwrap(), Units(if number == 0 { 1_000_000 } else { 5 }));
            let receive = Receive { sku: sku(number), location, lot: None, lot_spec: None, units, receipt: None };
            world.ask(Operation::Receive(receive)).unwrap();
        }
        world
    }

    fn command(&mut self, operation: Operation, linked: bool) -> Command {
        self.commands += 1;
        let (id, body) = (CommandId(self.commands), BodyHash(self.commands));
        Command { id, minted_at: LogTime(OPENING), keyed: false, body, linked, cause: None, operation }
    }

    fn ask(&mut self, operation: Operation) -> Result<Success, Refusal> {
        let command = self.command(operation, false);
        self.apply(vec![command]).pop().unwrap()
    }

    fn apply(&mut self, commands: Vec<Command>) -> Vec<Result<Success, Refusal>> {
        self.inventory.apply(&Entry { time: LogTime(self.model.now), commands }, &mut self.applied);
        assert_eq!(invariants::check(&self.inventory), Vec::new());
        self.model.look(&self.inventory);
        self.applied.answers.iter().map(|answer| answer.outcome.clone()).collect()
    }

    fn step(&mut self, wish: &Wish) -> Result<(), TestCaseError> {
        // Time passes first, so that the model has seen what ended before anything is decided.
        self.apply(vec![]);
        match wish {
            Wish::Wait(seconds) => {
                self.model.now += seconds * 1_000;
                self.apply(vec![]);
            }
            Wish::Limit { limit, units, active } => {
                let spec = LimitSpec {
                    units: *units,
                    window: window_of(*limit),
                    returns_restore: returns_restore(*limit),
                    active: *active,
                };
                let put =
                    PutLimit { limit: limit_id(*limit), sku: sku(*limit), spec, if_revision: None, campaign: None };
                self.ask(Operation::PutLimit(put)).unwrap();
                self.model.limits.insert(*limit, (*units, *active));
            }
            Wish::Reserve { customer, lines, linked } => self.reserve(*customer, lines, *linked)?,
            Wish::Amend { back, sku: number, units } => self.amend(*back, *number, *units)?,
            Wish::Commit { back, units, retake } => self.commit(*back, *units, *retake)?,
            Wish::Release(back) => self.change(*back, |reservation| Operation::Release(Release { reservation })),
            Wish::Fulfil(back) => {
                self.change(*back, |reservation| Operation::Fulfil(Fulfil { reservation, parts: vec![] }));
            }
            Wish::Cancel(back) => self.change(*back, |reservation| Operation::Cancel(Cancel { reservation })),
            Wish::Return { back, units } => {
                let parts = vec![Picked { line: 0, units: Units(*units), lot: None }];
                self.change(*back, |reservation| {
                    let condition = Condition::Resellable;
                    Operation::Return(Return { reservation, parts: parts.clone(), location: None, condition })
                });
            }
        }
        self.check()
    }

    fn change(&mut self, back: u8, operation: impl Fn(ReservationId) -> Operation) {
        if let Some(at) = self.model.recent(back) {
            let id = self.model.made[at].id;
            let _ = self.ask(operation(id));
        }
    }

    fn reserve(&mut self, customer: Option<u8>, lines: &[(u8, u32, bool)], linked: bool) -> Result<(), TestCaseError> {
        let number = self.model.made.len() as u64;
        let id = reservation_id(number);
        let line = |(number, units, optional): &(u8, u32, bool)| Line {
            sku: sku(*number),
            location: "PAR".parse().unwrap(),
            units: Units(*units),
            lot: None,
            optional: *optional,
            no_backorder: false,
            min_units: None,
        };
        let reserve = Operation::Reserve(Reserve {
            reservation: id,
            lines: lines.iter().map(line).collect(),
            ttl_s: TTL_S,
            partial_ok: false,
            order_ref: None,
            customer: customer.map(|customer| CustomerHash(customer.into())),
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        });
        // What is required first, then one after the other what is optional.
        let mut more = [0_u64; 2];
        for (sku, units, _) in lines.iter().filter(|(.., optional)| !optional) {
            more[usize::from(*sku)] += u64::from(*units);
        }
        let mut is_done = self.model.allows(customer, &more);
        let mut is_held = vec![false; lines.len()];
        for (at, (sku, units, optional)) in lines.iter().enumerate().filter(|_| is_done) {
            if !optional {
                is_held[at] = true;
                continue;
            }
            let mut with_it = more;
            with_it[usize::from(*sku)] += u64::from(*units);
            is_held[at] = self.model.allows(customer, &with_it);
            more = if is_held[at] { with_it } else { more };
        }
        is_done &= is_held.contains(&true);
        if linked {
            // A chain that fails behind it: nothing of it may be counted.
            let command = self.command(reserve, true);
            let nothing = Operation::Release(Release { reservation: reservation_id(u64::from(u32::MAX)) });
            let last = self.command(nothing, false);
            prop_assert!(self.apply(vec![command, last]).iter().all(Result::is_err));
            return Ok(());
        }
        let outcome = self.ask(reserve);
        prop_assert_eq!(outcome.is_ok(), is_done, "{:?} for {:?}: {:?}", lines, customer, outcome);
        if is_done {
            let lines = lines.iter().map(|(sku, ..)| (*sku, self.model.active_limits_of(*sku))).collect();
            let created_at = self.model.now;
            self.model.made.push(Made { id, customer, created_at, lines, units: vec![] });
            self.model.look(&self.inventory);
            let held: Vec<bool> =
                self.model.made.last().unwrap().units.iter().map(|units| units.held + units.backordered > 0).collect();
            prop_assert_eq!(held, is_held);
        }
        Ok(())
    }

    /// One line of the item as it is to be: the first one that has it, or a new one.
    fn amend(&mut self, back: u8, number: u8, units: u32) -> Result<(), TestCaseError> {
        let Some(at) = self.model.recent(back) else { return Ok(()) };
        let made = &self.model.made[at];
        let is_held = made.units.iter().any(|units| units.held + units.backordered > 0);
        let sold = |units: &LineCounts| units.committed + units.fulfilled + units.backordered_sold > 0;
        if !is_held || made.units.iter().any(sold) || made.lines.iter().filter(|(sku, _)| *sku == number).count() > 1 {
            return Ok(());
        }
        let line = made.lines.iter().position(|(sku, _)| *sku == number);
        let before = line.map_or(0, |line| made.units[line].held + made.units[line].backordered);
        let mut more = [0; 2];
        more[usize::from(number)] = u64::from(units).saturating_sub(before);
        let is_done = self.model.allows(made.customer, &more) && !(units == 0 && line.is_none());
        let (id, customer) = (made.id, made.customer);
        let line_of = Line {
            sku: sku(number),
            location: "PAR".parse().unwrap(),
            units: Units(units),
            lot: None,
            optional: false,
            no_backorder: false,
            min_units: None,
        };
        let outcome = self.ask(Operation::Amend(Amend { reservation: id, lines: vec![line_of] }));
        if units > 0 || line.is_some() {
            prop_assert_eq!(outcome.is_ok(), is_done, "{:?}", outcome);
        }
        if outcome.is_ok() && customer.is_some() {
            let limits = self.model.active_limits_of(number);
            let made = &mut self.model.made[at];
            match line {
                None if made.units.len() > made.lines.len() => made.lines.push((number, limits)),
                None => {}
                Some(line) => {
                    let of_line = &mut made.lines[line].1;
                    of_line.extend(limits.into_iter().filter(|limit| !of_line.contains(limit)).collect::<Vec<_>>());
                }
            }
        } else if self.model.made[at].units.len() > self.model.made[at].lines.len() {
            self.model.made[at].lines.push((number, vec![]));
        }
        self.model.look(&self.inventory);
        Ok(())
    }

    fn commit(&mut self, back: u8, units: Option<u32>, retake: bool) -> Result<(), TestCaseError> {
        let Some(at) = self.model.recent(back) else { return Ok(()) };
        let made = &self.model.made[at];
        let is_held = made.units.iter().any(|units| units.held + units.backordered > 0);
        let expired: u64 = made.units.iter().map(|units| units.expired).sum();
        let mut more = [0_u64; 2];
        for ((sku, _), units) in made.lines.iter().zip(&made.units) {
            more[usize::from(*sku)] += units.expired;
        }
        let is_allowed = self.model.allows(made.customer, &more);
        let is_known = self.inventory.reservation(made.id).is_some();
        let parts = units.map(|units| holdfast_inventory::LineUnits { line: 0, units: Units(units) });
        let whole = parts.is_none();
        let commit = Commit {
            reservation: made.id,
            parts: parts.into_iter().collect(),
            last: false,
            if_expired: if retake { IfExpired::Retake } else { IfExpired::Fail },
            cancel_at: None,
        };
        let outcome = self.ask(Operation::Commit(commit));
        if retake && whole && !is_held && expired > 0 && is_known {
            prop_assert_eq!(outcome.is_ok(), is_allowed, "{:?}", outcome);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for customer in 0..3_u8 {
            for number in 0..2_u8 {
                let known = self.inventory.limits_of(&sku(number), Some(CustomerHash(customer.into()))).unwrap();
                for (limit, count) in known {
                    let number: u8 = limit.id.as_str().trim_start_matches("limit-").parse().unwrap();
                    let count = count.unwrap();
                    prop_assert_eq!(count.held + count.bought, self.model.count(number, customer), "{:?}", limit);
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_customer_has_what_the_reservations_say_and_never_more_than_a_limit_allows(
        wishes in prop::collection::vec(wish(), 1..80),
    ) {
        let mut world = World::new();
        for wish in &wishes {
            world.step(wish)?;
        }
        world.inventory.mark_all_changed();
        let cut = world.inventory.cut();
        let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
        prop_assert_eq!(loaded.digest(), world.inventory.digest());
        world.inventory = loaded;
        world.check()?;
    }
}
