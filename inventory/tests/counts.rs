//! Random counts among sales, against a model that only knows what lies where, who was promised what in which order, and what was
//! counted when: after every command every invariant holds, each answer is the one that the model expects, who is short is whom
//! the model has short, and a machine that was written to disk and loaded decides as one that was not.
//!
//! Of the item with lots the model knows what lies where; that holds give way before orders and the newest first, it knows of the
//! item without, and of both that a count names everybody whom it has left short.
//!
//! A failure prints the shrunk steps, the seed and the line that replays it. `PROPTEST_CASES=5000 cargo test -p
//! holdfast-inventory --test counts` looks longer.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::BTreeMap;

use holdfast_inventory::commands::{
    ApplyCount, Cancel, CancelCount, Commit, CountedUnits, Discrepancy, Fulfil, IfExpired, Line, MoveUnits, OpenCount,
    PutItem, PutLocation, Receive, Reconcile, RecordCount, Release, Reserve,
};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, Condition, CountId, Entry, Inventory, ItemSpec, Limits, LineCounts,
    LocationId, LocationSpec, LogTime, LotId, Operation, ReservationCursor, ReservationId, ShortReservation, Sku, Slot,
    Units, invariants,
};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

const OPENING: u64 = 1_000_000;

fn slot() -> Slot {
    Slot::new(5).unwrap()
}

fn sku(by_lot: bool) -> Sku {
    if by_lot { "cream" } else { "rouge" }.parse().unwrap()
}

fn location() -> LocationId {
    "PAR".parse().unwrap()
}

fn lot(by_lot: bool, number: u8) -> Option<LotId> {
    by_lot.then(|| ["A", "B"][usize::from(number) % 2].parse().unwrap())
}

/// What is asked. `back` is how many reservations or counts ago.
#[derive(Clone, Debug)]
enum Wish {
    Receive { by_lot: bool, lot: u8, units: u32 },
    Damage { by_lot: bool, lot: u8, units: u32 },
    Reserve { by_lot: bool, units: u32 },
    Commit { back: u8 },
    Release { back: u8 },
    Fulfil { back: u8 },
    Cancel { back: u8 },
    Open { by_lot: bool },
    Record { back: u8, lot: u8, condition: Condition, units: u64 },
    Apply { back: u8 },
    GiveUp { back: u8 },
    Reconcile { by_lot: bool, lot: u8, delta: i64, repair: bool },
}

fn wish() -> impl Strategy<Value = Wish> {
    let (by_lot, lot, back) = (any::<bool>(), 0..2_u8, 0..3_u8);
    let condition = prop_oneof![4 => Just(Condition::Resellable), 1 => Just(Condition::Damaged)];
    prop_oneof![
        3 => (by_lot, lot.clone(), 1..5_u32).prop_map(|(by_lot, lot, units)| Wish::Receive { by_lot, lot, units }),
        1 => (by_lot, lot.clone(), 1..3_u32).prop_map(|(by_lot, lot, units)| Wish::Damage { by_lot, lot, units }),
        8 => (by_lot, 1..4_u32).prop_map(|(by_lot, units)| Wish::Reserve { by_lot, units }),
        5 => back.clone().prop_map(|back| Wish::Commit { back }),
        1 => back.clone().prop_map(|back| Wish::Release { back }),
        3 => back.clone().prop_map(|back| Wish::Fulfil { back }),
        1 => back.clone().prop_map(|back| Wish::Cancel { back }),
        4 => by_lot.prop_map(|by_lot| Wish::Open { by_lot }),
        6 => (back.clone(), lot.clone(), condition, 0..8_u64)
            .prop_map(|(back, lot, condition, units)| Wish::Record { back, lot, condition, units }),
        4 => back.clone().prop_map(|back| Wish::Apply { back }),
        1 => back.prop_map(|back| Wish::GiveUp { back }),
        1 => (by_lot, lot, -3..4_i64, any::<bool>())
            .prop_map(|(by_lot, lot, delta, repair)| Wish::Reconcile { by_lot, lot, delta, repair }),
    ]
}

/// What lies of a lot.
#[derive(Clone, Copy, Default, Debug)]
struct Lying {
    resellable: u64,
    damaged: u64,
}

impl Lying {
    fn of(&mut self, condition: Condition) -> &mut u64 {
        match condition {
            Condition::Damaged => &mut self.damaged,
            _ => &mut self.resellable,
        }
    }
}

/// A count: per lot and condition what was counted less what lay there then.
struct Counting {
    by_lot: bool,
    is_open: bool,
    recorded: BTreeMap<(Option<LotId>, bool), i64>,
}

#[derive(Default)]
struct Model {
    cells: BTreeMap<(bool, Option<LotId>), Lying>,
    /// Every reservation that was made, the oldest first; and whether it is of the item with lots.
    promised: Vec<(bool, LineCounts)>,
    counts: Vec<Counting>,
}

fn back_in<T>(of: &[T], back: u8) -> usize {
    of.len().wrapping_sub(1 + usize::from(back))
}

impl Model {
    fn cell(&mut self, by_lot: bool, lot: Option<&LotId>) -> &mut Lying {
        self.cells.entry((by_lot, lot.cloned())).or_default()
    }

    /// Resellable units that nobody was promised. After everything was settled somebody is short only where there are none.
    fn free(&self, by_lot: bool) -> u64 {
        let here = self.cells.iter().filter(|(key, _)| key.0 == by_lot).map(|(_, lying)| lying.resellable);
        let promised = self.promised.iter().filter(|it| it.0 == by_lot).map(|it| it.1.held + it.1.committed);
        here.sum::<u64>() - promised.sum::<u64>()
    }

    /// Gives what is free to who lacks it: orders first, then holds, the oldest first.
    fn fill(&mut self) {
        let mut free = self.free(false);
        for is_order in [true, false] {
            for (_, units) in self.promised.iter_mut().filter(|it| !it.0) {
                let (lacks, has) = if is_order {
                    (&mut units.short_sold, &mut units.committed)
                } else {
                    (&mut units.short, &mut units.held)
                };
                let part = free.min(*lacks);
                (*lacks, *has, free) = (*lacks - part, *has + part, free - part);
            }
        }
    }

    /// Units of the item without lots are gone: first what nobody was promised, then of the newest holds, then of the newest
    /// orders.
    fn lose(&mut self, gone: u64) {
        let mut left = gone.saturating_sub(self.free(false));
        for is_order in [false, true] {
            for (_, units) in self.promised.iter_mut().rev().filter(|it| !it.0) {
                let (lacks, has) = if is_order {
                    (&mut units.short_sold, &mut units.committed)
                } else {
                    (&mut units.short, &mut units.held)
                };
                let part = left.min(*has);
                (*lacks, *has, left) = (*lacks + part, *has - part, left - part);
            }
        }
        self.cell(false, None).resellable -= gone;
    }

    /// More or fewer units of a cell lie there than the books say.
    fn correct(&mut self, by_lot: bool, lot: Option<&LotId>, condition: Condition, delta: i64) {
        let lying = self.cell(by_lot, lot).of(condition);
        if delta >= 0 {
            *lying += delta.unsigned_abs();
            return;
        }
        let gone = delta.unsigned_abs().min(*lying);
        if by_lot || condition == Condition::Damaged {
            *lying -= gone;
        } else {
            self.lose(gone);
        }
    }

    /// What the wish asks; and whether it is to be done, where the model says so.
    fn ask(&mut self, inventory: &Inventory, wish: &Wish) -> (Operation, Option<bool>) {
        match wish.clone() {
            Wish::Receive { by_lot, lot: number, units } => {
                let (sku, location, lot) = (sku(by_lot), location(), lot(by_lot, number));
                self.cell(by_lot, lot.as_ref()).resellable += u64::from(units);
                let receive = Receive { sku, location, lot, lot_spec: None, units: Units(units), receipt: None };
                (Operation::Receive(receive), Some(true))
            }
            Wish::Damage { by_lot, lot: number, units } => {
                let lot = lot(by_lot, number);
                let fits = !by_lot && self.free(false) >= u64::from(units);
                if fits {
                    let lying = self.cell(false, None);
                    (lying.resellable, lying.damaged) =
                        (lying.resellable - u64::from(units), lying.damaged + u64::from(units));
                }
                // Of lots the model takes what it finds: which units of a lot are needed is for tests/places.rs.
                let (from, to) = (Condition::Resellable, Condition::Damaged);
                let move_units =
                    MoveUnits { sku: sku(by_lot), location: location(), lot, units: Units(units), from, to };
                (Operation::MoveUnits(move_units), (!by_lot).then_some(fits))
            }
            Wish::Reserve { by_lot, units } => {
                let fits = self.free(by_lot) >= u64::from(units);
                let number = self.promised.len() as u64;
                let held = if fits { u64::from(units) } else { 0 };
                self.promised.push((by_lot, LineCounts { held, ..LineCounts::default() }));
                let lines = vec![Line {
                    sku: sku(by_lot),
                    location: location(),
                    units: Units(units),
                    lot: None,
                    optional: false,
                    no_backorder: false,
                    min_units: None,
                }];
                let reserve = Reserve {
                    reservation: reservation_id(number),
                    lines,
                    ttl_s: 600,
                    partial_ok: false,
                    order_ref: format!("order {number}").parse().ok(),
                    customer: None,
                    channel: None,
                    campaign: None,
                    plan: None,
                    pass: None,
                };
                (Operation::Reserve(reserve), Some(fits))
            }
            Wish::Commit { back } => {
                let at = back_in(&self.promised, back);
                let reservation = reservation_id(at as u64);
                let is_done = self.promised.get_mut(at).is_some_and(|(_, units)| {
                    let is_whole = units.held > 0 && units.short == 0;
                    if is_whole {
                        (units.committed, units.held) = (units.committed + units.held, 0);
                    }
                    is_whole
                });
                let if_expired = IfExpired::Fail;
                let commit = Commit { reservation, parts: vec![], last: false, if_expired, cancel_at: None };
                (Operation::Commit(commit), Some(is_done))
            }
            Wish::Release { back } => {
                let at = back_in(&self.promised, back);
                let is_done = self.promised.get_mut(at).is_some_and(|(_, units)| {
                    let is_held = units.held + units.short > 0;
                    (units.held, units.short) = (0, 0);
                    is_held
                });
                (Operation::Release(Release { reservation: reservation_id(at as u64) }), Some(is_done))
            }
            Wish::Cancel { back } => {
                let at = back_in(&self.promised, back);
                let is_done = self.promised.get_mut(at).is_some_and(|(_, units)| {
                    let is_live = units.held + units.short + units.committed + units.short_sold > 0;
                    (units.held, units.short, units.committed, units.short_sold) = (0, 0, 0, 0);
                    is_live
                });
                (Operation::Cancel(Cancel { reservation: reservation_id(at as u64) }), Some(is_done))
            }
            Wish::Fulfil { back } => {
                let at = back_in(&self.promised, back);
                let reservation = reservation_id(at as u64);
                if let Some((by_lot, units)) = self.promised.get_mut(at) {
                    let (by_lot, sold) = (*by_lot, std::mem::take(&mut units.committed));
                    let shown = inventory.reservation(reservation);
                    let lots = shown.into_iter().flat_map(|shown| shown.lines).flat_map(|line| line.lots);
                    let mut of: Vec<(Option<LotId>, u64)> =
                        lots.map(|of| (Some(of.lot.clone()), of.committed)).collect();
                    if !by_lot {
                        of = vec![(None, sold)];
                    }
                    of.iter().for_each(|(lot, units)| self.cell(by_lot, lot.as_ref()).resellable -= units);
                }
                (Operation::Fulfil(Fulfil { reservation, parts: vec![] }), None)
            }
            other => self.ask_counting(&other),
        }
    }

    /// The same of counts and what other systems say.
    fn ask_counting(&mut self, wish: &Wish) -> (Operation, Option<bool>) {
        match wish.clone() {
            Wish::Open { by_lot } => {
                let is_free = !self.counts.iter().any(|count| count.is_open && count.by_lot == by_lot);
                let count = count_id(self.counts.len() as u64);
                self.counts.extend(is_free.then(|| Counting { by_lot, is_open: true, recorded: BTreeMap::new() }));
                let (sku, location, reference) = (sku(by_lot), location(), "spring".to_owned());
                (Operation::OpenCount(OpenCount { count, sku, location, reference }), Some(is_free))
            }
            Wish::Record { back, lot: number, condition, units } => {
                let at = back_in(&self.counts, back);
                let by_lot = self.counts.get(at).is_some_and(|count| count.by_lot);
                let lot = lot(by_lot, number);
                let lying = *self.cell(by_lot, lot.as_ref()).of(condition);
                let is_open = self.counts.get_mut(at).is_some_and(|count| {
                    let delta = units as i64 - lying as i64;
                    if count.is_open {
                        count.recorded.insert((lot.clone(), condition == Condition::Damaged), delta);
                    }
                    count.is_open
                });
                let lines = vec![CountedUnits { lot, condition, units }];
                (Operation::RecordCount(RecordCount { count: count_id(at as u64), lines }), Some(is_open))
            }
            Wish::Apply { back } => {
                let at = back_in(&self.counts, back);
                let is_open = self.counts.get(at).is_some_and(|count| count.is_open);
                if is_open {
                    let (by_lot, recorded) = (self.counts[at].by_lot, std::mem::take(&mut self.counts[at].recorded));
                    self.counts[at].is_open = false;
                    for ((lot, is_damaged), delta) in recorded {
                        let condition = if is_damaged { Condition::Damaged } else { Condition::Resellable };
                        self.correct(by_lot, lot.as_ref(), condition, delta);
                    }
                }
                (Operation::ApplyCount(ApplyCount { count: count_id(at as u64) }), Some(is_open))
            }
            Wish::GiveUp { back } => {
                let at = back_in(&self.counts, back);
                let is_open = self.counts.get_mut(at).is_some_and(|count| std::mem::replace(&mut count.is_open, false));
                (Operation::CancelCount(CancelCount { count: count_id(at as u64) }), Some(is_open))
            }
            Wish::Reconcile { by_lot, lot: number, delta, repair } => {
                let lot = lot(by_lot, number);
                let lying = self.cell(by_lot, lot.as_ref()).resellable as i64;
                let is_done = delta != 0 && (!repair || lying + delta >= 0);
                if is_done && repair {
                    self.correct(by_lot, lot.as_ref(), Condition::Resellable, delta);
                }
                let (sku, location, discrepancy) = (sku(by_lot), location(), Discrepancy::MissingSale);
                let reconcile = Reconcile { sku, location, lot, discrepancy, delta, repair };
                (Operation::Reconcile(reconcile), Some(is_done))
            }
            other => unreachable!("{other:?} is no count"),
        }
    }

    /// What the model leaves to others is taken as it is shown; the rest must be as the model has it.
    fn check(&mut self, inventory: &Inventory, wish: &Wish) -> Result<(), TestCaseError> {
        self.fill();
        for at in 0..self.promised.len() {
            let Some(shown) = inventory.reservation(reservation_id(at as u64)) else { continue };
            let (units, (by_lot, expected)) = (shown.lines[0].units, &mut self.promised[at]);
            if *by_lot {
                *expected = units;
                continue;
            }
            let of = |units: &LineCounts| (units.held, units.short, units.committed, units.short_sold);
            prop_assert_eq!(of(&units), of(expected), "reservation {} after {:?}", at, wish);
        }
        for lot in inventory.lots(&sku(true)).unwrap() {
            let here = lot.places.first().map(|(_, counts)| *counts).unwrap_or_default();
            let lying = self.cell(true, Some(&lot.id));
            if matches!(wish, Wish::Damage { by_lot: true, .. }) {
                (lying.damaged, lying.resellable) = (here.damaged, here.on_hand - here.damaged);
            }
            prop_assert_eq!((here.on_hand, here.damaged), (lying.resellable + lying.damaged, lying.damaged));
        }
        let level = inventory.stock(&sku(false)).unwrap().remove(0);
        let lying = *self.cell(false, None);
        prop_assert_eq!(
            (level.counts.on_hand, level.counts.damaged),
            (lying.resellable + lying.damaged, lying.damaged)
        );
        prop_assert_eq!(level.atp, self.free(false));
        Ok(())
    }
}

/// Who lacks what of an item, the oldest first.
fn short(inventory: &Inventory, by_lot: bool) -> BTreeMap<usize, (u64, u64)> {
    let all = inventory.reservations(ReservationCursor::default(), None, usize::MAX).0;
    let of_item = all.iter().enumerate().filter(|(_, it)| it.lines[0].sku == sku(by_lot));
    of_item.map(|(at, it)| (at, (it.lines[0].units.short, it.lines[0].units.short_sold))).collect()
}

/// A count names everybody who lacks more than before it, the newest first; and holds give way the newest first.
fn check_shortfall(
    inventory: &Inventory,
    by_lot: bool,
    before: &BTreeMap<usize, (u64, u64)>,
    named: &[ShortReservation],
) -> Result<(), TestCaseError> {
    let all = inventory.reservations(ReservationCursor::default(), None, usize::MAX).0;
    let mut expected = Vec::new();
    for (at, (held, sold)) in short(inventory, by_lot).into_iter().rev() {
        let (held_before, sold_before) = before[&at];
        let (held, sold) = (held.saturating_sub(held_before), sold.saturating_sub(sold_before));
        if held + sold > 0 {
            let order_ref = all[at].order_ref.clone();
            prop_assert!(order_ref.is_some());
            expected.push(ShortReservation { reservation: all[at].id, order_ref, held, sold });
        }
        if held > 0 {
            let newer = all[at + 1..].iter().filter(|it| it.lines[0].sku == sku(by_lot));
            prop_assert_eq!(newer.map(|it| it.lines[0].units.held).sum::<u64>(), 0, "a newer hold stands");
        }
    }
    prop_assert_eq!(named, &expected);
    Ok(())
}

fn reservation_id(number: u64) -> ReservationId {
    ReservationId::mint(3, slot(), number)
}

fn count_id(number: u64) -> CountId {
    CountId::mint(4, slot(), number)
}

fn command(operation: Operation, number: &mut u128) -> Command {
    *number += 1;
    Command {
        id: CommandId(*number),
        minted_at: LogTime(OPENING),
        keyed: false,
        body: BodyHash(*number),
        linked: false,
        cause: None,
        operation,
    }
}

fn opening(model: &mut Model, inventory: &Inventory, number: &mut u128) -> Vec<Command> {
    let put = PutLocation { location: location(), spec: LocationSpec::default(), if_revision: None };
    let mut operations = vec![Operation::PutLocation(Box::new(put))];
    for by_lot in [false, true] {
        let spec = ItemSpec { lot_tracked: by_lot, ..ItemSpec::default() };
        let put = PutItem { sku: sku(by_lot), spec, if_revision: None, if_absent: false };
        operations.push(Operation::PutItem(Box::new(put)));
    }
    for (by_lot, lot) in [(false, 0), (true, 0), (true, 1)] {
        operations.push(model.ask(inventory, &Wish::Receive { by_lot, lot, units: 6 }).0);
    }
    operations.into_iter().map(|operation| command(operation, number)).collect()
}

fn run(steps: &[(Wish, bool)]) -> Result<(), TestCaseError> {
    let (mut inventory, mut twin) = (Inventory::new(Limits::default()), Inventory::new(Limits::default()));
    let (mut applied, mut of_twin) = (Applied::default(), Applied::default());
    let (mut model, mut number) = (Model::default(), 0_u128);
    let entry = Entry { time: LogTime(OPENING), commands: opening(&mut model, &inventory, &mut number) };
    inventory.apply(&entry, &mut applied);
    twin.apply(&entry, &mut of_twin);
    prop_assert!(applied.answers.iter().all(|answer| answer.outcome.is_ok()), "{:?}", applied.answers);
    for (wish, reload) in steps {
        let short_before = [false, true].map(|by_lot| short(&inventory, by_lot));
        let (operation, expected) = model.ask(&inventory, wish);
        let applies = if let Operation::ApplyCount(apply) = &operation { Some(apply.count) } else { None };
        let entry = Entry { time: LogTime(OPENING), commands: vec![command(operation, &mut number)] };
        inventory.apply(&entry, &mut applied);
        twin.apply(&entry, &mut of_twin);
        prop_assert_eq!(&applied, &of_twin);
        let outcome = &applied.answers[0].outcome;
        prop_assert!(
            expected.is_none_or(|expected| expected == outcome.is_ok()),
            "{:?}: {:?} is expected, and {:?}",
            wish,
            expected,
            outcome
        );
        prop_assert_eq!(invariants::check(&inventory), Vec::new(), "after {:?}", wish);
        model.check(&inventory, wish)?;
        if let Some(count) = applies.filter(|_| outcome.is_ok()) {
            let count = inventory.count(count).unwrap();
            let by_lot = count.sku == sku(true);
            check_shortfall(&inventory, by_lot, &short_before[usize::from(by_lot)], &count.short)?;
        }
        prop_assert_eq!(inventory.digest(), inventory.recompute_digest());
        if *reload {
            inventory.mark_all_changed();
            let whole = inventory.cut();
            let loaded = Inventory::load(&whole.header(), whole.encode()).unwrap();
            prop_assert_eq!(loaded.digest(), twin.digest());
            prop_assert_eq!(invariants::check(&loaded), Vec::new());
            inventory = loaded;
        }
    }
    Ok(())
}

#[test]
fn what_was_counted_is_in_the_books_and_whoever_lacks_it_is_named() {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| TestRunner::default().rng().next_u64());
    println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test counts");
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(300);
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = prop::collection::vec((wish(), prop::bool::weighted(0.05)), 1..80);
    if let Err(failure) = TestRunner::new(config).run(&steps, |steps| run(&steps)) {
        panic!("{failure}");
    }
}
