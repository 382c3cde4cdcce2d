//! Backorders against a model of their own that knows units one by one: what is promised without stock stays within the cap, and
//! what becomes free goes to who has paid, then to who has not, oldest first, and only then on sale.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod dice;

use std::collections::BTreeMap;

use holdfast_inventory::commands::{
    Adjust, Amend, Cancel, Commit, Fulfil, IfExpired, Line, Picked, PutItem, PutLocation, Receive, Release, Reserve,
    Return, SetSafetyStock,
};
use holdfast_inventory::{
    Applied, Backorder, BodyHash, Command, CommandId, Condition, Entry, EventKind, Inventory, ItemSpec, Limits,
    LineUnits, LocationSpec, LogTime, Operation, Refusal, ReservationId, Sku, Success, Units, invariants, slot_of,
};

use dice::Dice;

const OPENING: u64 = 1_000_000;
const TTL_S: u32 = 60;

/// Where one unit of a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Held,
    Waits,
    Sold,
    SoldAndWaits,
    Shipped,
    Returned,
    GivenBack,
    Expired,
    Cancelled,
}

use Unit::{Cancelled, Expired, GivenBack, Held, Returned, Shipped, Sold, SoldAndWaits, Waits};

/// An item at a location, both by number.
type Place = (u64, u64);

#[derive(Clone, Debug)]
struct Hold {
    id: u64,
    expires_at: u64,
    lines: Vec<Row>,
}

/// A line of a hold.
#[derive(Clone, Debug)]
struct Row {
    place: Place,
    stock_only: bool,
    units: Vec<Unit>,
}

impl Row {
    fn count(&self, kinds: &[Unit]) -> u64 {
        self.units.iter().filter(|unit| kinds.contains(unit)).count() as u64
    }

    /// The first so many of the units that stand there move on.
    fn turn(&mut self, most: u64, from: Unit, to: Unit) -> u64 {
        let found = self.units.iter_mut().filter(|unit| **unit == from).take(most as usize);
        found.map(|unit| *unit = to).count() as u64
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Shelf {
    on_hand: u64,
    safety: u64,
}

/// What should be there, said as plainly as can be.
#[derive(Clone, Default)]
struct Model {
    now: u64,
    caps: BTreeMap<u64, u64>,
    shelves: BTreeMap<Place, Shelf>,
    holds: Vec<Hold>,
}

impl Model {
    fn count(&self, place: Place, kinds: &[Unit]) -> u64 {
        let rows = self.holds.iter().flat_map(|hold| &hold.lines).filter(|row| row.place == place);
        rows.map(|row| row.count(kinds)).sum()
    }

    fn shelf(&mut self, place: Place) -> &mut Shelf {
        self.shelves.entry(place).or_default()
    }

    fn free(&self, place: Place) -> u64 {
        let on_hand = self.shelves.get(&place).map_or(0, |shelf| shelf.on_hand);
        on_hand - self.count(place, &[Held, Sold])
    }

    fn atp(&self, place: Place) -> u64 {
        self.free(place).saturating_sub(self.shelves.get(&place).map_or(0, |shelf| shelf.safety))
    }

    /// Every unit that is on sale and that somebody waits for goes to the first who does.
    fn fill(&mut self) {
        for place in self.shelves.keys().copied().collect::<Vec<_>>() {
            for (waits, gets) in [(SoldAndWaits, Sold), (Waits, Held)] {
                while self.atp(place) > 0 {
                    let mut rows =
                        self.holds.iter_mut().flat_map(|hold| &mut hold.lines).filter(|row| row.place == place);
                    if !rows.any(|row| row.turn(1, waits, gets) == 1) {
                        break;
                    }
                }
            }
        }
    }

    fn pass_time(&mut self) {
        let mut over: Vec<(u64, usize)> = (0..self.holds.len()).map(|at| (self.holds[at].expires_at, at)).collect();
        over.sort_unstable();
        for (expires_at, at) in over {
            if expires_at <= self.now {
                self.turn(at, &[Held, Waits], Expired);
                self.fill();
            }
        }
    }

    fn turn(&mut self, at: usize, from: &[Unit], to: Unit) {
        for row in &mut self.holds[at].lines {
            for from in from {
                row.turn(u64::MAX >> 1, *from, to);
            }
        }
    }

    /// What a new line gets: units that are there, then units that are not.
    fn promise(&self, place: Place, asked: u64, stock_only: bool) -> Option<(u64, u64)> {
        let held = asked.min(self.atp(place));
        let waits = asked - held;
        let cap = self.caps[&place.0];
        let may_wait = waits == 0 || (!stock_only && self.count(place, &[Waits, SoldAndWaits]) + waits <= cap);
        may_wait.then_some((held, waits))
    }

    fn find(&self, id: u64) -> Option<usize> {
        self.holds.iter().position(|hold| hold.id == id)
    }
}

fn sku(number: u64) -> Sku {
    Sku::new(&format!("SKU-{number}")).unwrap()
}

fn id(number: u64) -> ReservationId {
    ReservationId::mint(OPENING, slot_of(&sku(0)), number)
}

fn location(number: u64) -> holdfast_inventory::LocationId {
    ["north", "south"][number as usize].parse().unwrap()
}

fn line(place: Place, units: u64, no_backorder: bool) -> Line {
    let units = Units(units as u32);
    Line {
        sku: sku(place.0),
        location: location(place.1),
        units,
        lot: None,
        optional: false,
        no_backorder,
        min_units: None,
    }
}

struct World {
    dice: Dice,
    inventory: Inventory,
    applied: Applied,
    commands: u128,
    model: Model,
    fills: usize,
}

impl World {
    fn new(seed: u64, limits: Limits) -> Self {
        let mut world = Self {
            dice: Dice(seed),
            inventory: Inventory::new(limits),
            applied: Applied::default(),
            commands: 0,
            model: Model { now: OPENING, ..Model::default() },
            fills: 0,
        };
        for number in 0..2 {
            let put = PutLocation { location: location(number), spec: LocationSpec::default(), if_revision: None };
            world.ask(Operation::PutLocation(Box::new(put))).unwrap();
        }
        for number in 0..2 {
            world.allow(number, 3);
        }
        world
    }

    fn allow(&mut self, number: u64, cap: u64) {
        let backorder = if cap == 0 { Backorder::None } else { Backorder::UpTo { cap } };
        let spec = ItemSpec { backorder, ..ItemSpec::default() };
        let put = PutItem { sku: sku(number), spec, if_revision: None, if_absent: false };
        self.ask(Operation::PutItem(Box::new(put))).unwrap();
        self.model.caps.insert(number, cap);
    }

    fn ask(&mut self, operation: Operation) -> Result<Success, Refusal> {
        self.commands += 1;
        let command = Command {
            id: CommandId(self.commands),
            minted_at: LogTime(OPENING),
            keyed: false,
            body: BodyHash(self.commands),
            linked: false,
            cause: None,
            operation,
        };
        self.inventory.apply(&Entry { time: LogTime(self.model.now), commands: vec![command] }, &mut self.applied);
        assert_eq!(invariants::check(&self.inventory), Vec::new());
        let is_fill = |event: &&holdfast_inventory::Event| event.body.kind == EventKind::BackorderFilled;
        self.fills += self.applied.events.iter().filter(is_fill).count();
        if self.dice.one_in(50) {
            self.inventory.mark_all_changed();
            let cut = self.inventory.cut();
            let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
            assert_eq!(loaded.digest(), self.inventory.recompute_digest());
            self.inventory = loaded;
        }
        self.applied.answers[0].outcome.clone()
    }

    fn place(&mut self) -> Place {
        (self.dice.below(2), self.dice.below(2))
    }

    fn reserve(&mut self) {
        let number = self.model.holds.len() as u64 + 1;
        let asked: Vec<(Place, u64, bool)> =
            (0..1 + self.dice.below(3)).map(|_| (self.place(), 1 + self.dice.below(3), self.dice.one_in(5))).collect();
        let reserve = Reserve {
            reservation: id(number),
            lines: asked.iter().map(|(place, units, no_backorder)| line(*place, *units, *no_backorder)).collect(),
            ttl_s: TTL_S,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        };
        let outcome = self.ask(Operation::Reserve(reserve));
        let mut model = self.model.clone();
        let expires_at = model.now + u64::from(TTL_S) * 1_000;
        model.holds.push(Hold { id: number, expires_at, lines: Vec::new() });
        let (mut held, mut waits) = (Vec::new(), Vec::new());
        for (place, units, stock_only) in asked {
            let Some((there, not_there)) = model.promise(place, units, stock_only) else {
                let expected =
                    matches!(outcome, Err(Refusal::InsufficientStock { .. } | Refusal::BackorderCapExceeded { .. }));
                assert!(expected, "{outcome:?}");
                // Its id is used all the same: the next one is another.
                self.model.holds.push(Hold { id: 0, expires_at: u64::MAX, lines: Vec::new() });
                return;
            };
            let units = [vec![Held; there as usize], vec![Waits; not_there as usize]].concat();
            model.holds.last_mut().unwrap().lines.push(Row { place, stock_only, units });
            held.push(there as u32);
            waits.push(not_there as u32);
        }
        let success = outcome.unwrap();
        let waits = waits.iter().any(|units| *units > 0).then_some(waits);
        assert_eq!(success.backordered.as_deref(), waits.as_deref());
        assert_eq!(success.held.as_deref(), waits.is_some().then_some(held.as_slice()));
        self.model = model;
    }

    /// One of the holds, by its place in the model.
    fn some_hold(&mut self) -> Option<usize> {
        let number = 1 + self.dice.below(self.model.holds.len() as u64 + 1);
        self.model.find(number)
    }

    fn has(&self, at: usize, kinds: &[Unit]) -> bool {
        self.model.holds[at].lines.iter().any(|row| row.count(kinds) > 0)
    }

    fn commit(&mut self, at: usize) {
        let reservation = id(self.model.holds[at].id);
        let if_expired = if self.dice.one_in(3) { IfExpired::Retake } else { IfExpired::Fail };
        let last = self.dice.one_in(4);
        let mut parts = Vec::new();
        let lines = self.model.holds[at].lines.clone();
        for (number, row) in lines.iter().enumerate() {
            let live = row.count(&[Held, Waits]);
            if live > 0 && self.dice.one_in(4) {
                parts.push(LineUnits { line: number as u32, units: Units(1 + self.dice.below(live) as u32) });
            }
        }
        let commit = Commit { reservation, parts: parts.clone(), last, if_expired, cancel_at: None };
        let outcome = self.ask(Operation::Commit(commit));
        if self.has(at, &[Held, Waits]) {
            outcome.unwrap();
            for (number, row) in self.model.holds[at].lines.iter_mut().enumerate() {
                let part = parts.iter().find(|part| part.line as usize == number).map(|part| part.units.count());
                let most = if parts.is_empty() { 1 << 20 } else { part.unwrap_or(0) };
                let sold = row.turn(most, Held, Sold);
                row.turn(most - sold, Waits, SoldAndWaits);
            }
            if last {
                self.model.turn(at, &[Held, Waits], GivenBack);
            }
        } else if if_expired == IfExpired::Retake && self.has(at, &[Expired]) {
            let mut model = self.model.clone();
            for (number, row) in lines.iter().enumerate() {
                let Some((held, waits)) = model.promise(row.place, row.count(&[Expired]), row.stock_only) else {
                    assert!(outcome.is_err());
                    return;
                };
                model.holds[at].lines[number].turn(held, Expired, Sold);
                model.holds[at].lines[number].turn(waits, Expired, SoldAndWaits);
            }
            outcome.unwrap();
            self.model = model;
        } else {
            assert!(outcome.is_err());
        }
    }

    fn give_back(&mut self, at: usize) {
        let reservation = id(self.model.holds[at].id);
        if self.dice.one_in(2) {
            let outcome = self.ask(Operation::Release(Release { reservation }));
            assert_eq!(outcome.is_ok(), self.has(at, &[Held, Waits]));
        } else {
            let outcome = self.ask(Operation::Cancel(Cancel { reservation }));
            assert_eq!(outcome.is_ok(), self.has(at, &[Held, Waits, Sold, SoldAndWaits]));
            self.model.turn(at, &[Sold, SoldAndWaits], Cancelled);
        }
        self.model.turn(at, &[Held, Waits], GivenBack);
    }

    /// All that is sold and there leaves; now and then one unit comes back.
    fn ship(&mut self, at: usize) {
        let reservation = id(self.model.holds[at].id);
        let outcome = self.ask(Operation::Fulfil(Fulfil { reservation, parts: Vec::new() }));
        assert_eq!(outcome.is_ok(), self.has(at, &[Sold]));
        for number in 0..self.model.holds[at].lines.len() {
            let place = self.model.holds[at].lines[number].place;
            let shipped = self.model.holds[at].lines[number].turn(1 << 20, Sold, Shipped);
            self.model.shelf(place).on_hand -= shipped;
            if self.dice.one_in(3) && self.model.holds[at].lines[number].turn(1, Shipped, Returned) == 1 {
                self.model.fill();
                let parts = vec![Picked { line: number as u32, units: Units(1), lot: None }];
                let condition = Condition::Resellable;
                self.ask(Operation::Return(Return { reservation, parts, location: None, condition })).unwrap();
                self.model.shelf(place).on_hand += 1;
            }
        }
    }

    fn amend(&mut self, at: usize) {
        let (place, units) = (self.place(), self.dice.below(5));
        let stock_only = self.dice.one_in(5);
        let reservation = id(self.model.holds[at].id);
        let outcome = self.ask(Operation::Amend(Amend { reservation, lines: vec![line(place, units, stock_only)] }));
        let is_hold = self.has(at, &[Held, Waits]) && !self.has(at, &[Sold, SoldAndWaits, Shipped, Returned]);
        if !is_hold {
            assert!(outcome.is_err());
            return;
        }
        let of_place = |row: &&Row| row.place == place;
        let rows = || self.model.holds[at].lines.iter().filter(of_place);
        let before: u64 = rows().map(|row| row.count(&[Held, Waits])).sum();
        if units > before {
            let Some((held, waits)) = self.model.promise(place, units - before, stock_only) else {
                assert!(outcome.is_err());
                return;
            };
            outcome.unwrap();
            let more = [vec![Held; held as usize], vec![Waits; waits as usize]].concat();
            let lines = &mut self.model.holds[at].lines;
            match lines.iter_mut().find(|row| row.place == place) {
                Some(row) => {
                    row.stock_only = stock_only;
                    row.units.extend(more);
                }
                None => lines.push(Row { place, stock_only, units: more }),
            }
        } else {
            outcome.unwrap();
            let mut less = before - units;
            for row in self.model.holds[at].lines.iter_mut().rev().filter(|row| row.place == place) {
                less -= row.turn(less, Waits, GivenBack);
                less -= row.turn(less, Held, GivenBack);
            }
            // A line of which nothing is asked for is made all the same where there was none, and is not seen.
        }
    }

    fn change_stock(&mut self) {
        let place = self.place();
        let (sku, location) = (sku(place.0), location(place.1));
        match self.dice.below(6) {
            0 => {
                let units = self.dice.below(3);
                self.ask(Operation::SetSafetyStock(SetSafetyStock { sku, location, units, if_revision: None }))
                    .unwrap();
                self.model.shelf(place).safety = units;
            }
            1 => {
                let lost = 1 + self.dice.below(2);
                let may_go = self.model.free(place) >= lost;
                let (delta, condition) = (-(lost as i64), Condition::Resellable);
                let outcome = self.ask(Operation::Adjust(Adjust { sku, location, lot: None, delta, condition }));
                assert_eq!(outcome.is_ok(), may_go);
                self.model.shelf(place).on_hand -= if may_go { lost } else { 0 };
            }
            2 => {
                let cap = [0, 1, 3, 6][self.dice.below(4) as usize];
                self.allow(place.0, cap);
            }
            _ => {
                let units = 1 + self.dice.below(3);
                let arrived = Units(units as u32);
                let receive = Receive { sku, location, lot: None, lot_spec: None, units: arrived, receipt: None };
                self.ask(Operation::Receive(receive)).unwrap();
                self.model.shelf(place).on_hand += units;
            }
        }
    }

    fn step(&mut self) {
        match (self.dice.below(12), self.some_hold()) {
            (0..=3, _) | (4..=9, None) => self.reserve(),
            (4 | 5, Some(at)) => self.commit(at),
            (6, Some(at)) => self.give_back(at),
            (7, Some(at)) => self.ship(at),
            (8 | 9, Some(at)) => self.amend(at),
            (10, _) => {
                self.model.now += [1_000, 20_000, 70_000][self.dice.below(3) as usize];
                self.model.pass_time();
            }
            _ => self.change_stock(),
        }
        self.model.fill();
        self.inventory.apply(&Entry { time: LogTime(self.model.now), commands: Vec::new() }, &mut self.applied);
        assert_eq!(invariants::check(&self.inventory), Vec::new());
        self.compare();
    }

    fn compare(&self) {
        for number in 0..2 {
            for level in self.inventory.stock(&sku(number)).unwrap() {
                let place = (number, u64::from(level.location == location(1)));
                let counts = (level.counts.on_hand, level.counts.reserved, level.counts.committed);
                let on_hand = self.model.shelves.get(&place).map_or(0, |shelf| shelf.on_hand);
                let expected = (on_hand, self.model.count(place, &[Held]), self.model.count(place, &[Sold]));
                assert_eq!(counts, expected, "{place:?}");
                let waits = self.model.count(place, &[Waits, SoldAndWaits]);
                assert_eq!((level.backordered, level.atp), (waits, self.model.atp(place)), "{place:?}");
            }
        }
        for hold in self.model.holds.iter().filter(|hold| hold.id > 0) {
            let shown = self.inventory.reservation(id(hold.id)).unwrap();
            for (row, line) in hold.lines.iter().zip(&shown.lines) {
                let units = line.units;
                let counts = [units.held, units.backordered, units.committed, units.backordered_sold];
                let expected = [Held, Waits, Sold, SoldAndWaits].map(|kind| row.count(&[kind]));
                assert_eq!(counts, expected, "{hold:?}");
                let ended = [units.fulfilled, units.released, units.expired, units.cancelled];
                let expected =
                    [&[Shipped, Returned][..], &[GivenBack], &[Expired], &[Cancelled]].map(|kinds| row.count(kinds));
                assert_eq!(ended, expected, "{hold:?}");
            }
        }
    }
}

#[test]
fn what_waits_is_filled_in_order_within_its_cap_whatever_happens() {
    let seeds: Vec<u64> = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=25).collect(),
    };
    let mut fills = 0;
    for seed in seeds {
        println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test backorders");
        let mut world = World::new(seed, Limits::default());
        (0..400).for_each(|_| world.step());
        fills += world.fills;
    }
    assert!(fills > 200, "only {fills} fills");
}
