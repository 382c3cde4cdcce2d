//! Random commands on stock by lot: every invariant holds after each, promises are made exactly where a matching of holds to
//! lots exists that nobody computes from sums, the events alone give the stock again, and a machine that was written to disk and
//! loaded decides as one that was not.
//!
//! A failure prints the shrunk steps, the seed and the line that replays it. `PROPTEST_CASES=5000 cargo test -p
//! holdfast-inventory --test lots` looks longer.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

use std::collections::BTreeMap;

use holdfast_inventory::commands::{
    Adjust, Amend, BlockLot, Cancel, Commit, Fulfil, IfExpired, Line, Picked, PutItem, PutLocation, PutLot, Receive,
    Release, Reserve, Return,
};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, Condition, Entry, Event, EventHash, Inventory, ItemSpec, Limits, LineUnits,
    LocationId, LocationSpec, LogTime, LotDates, LotId, LotSpec, LotStatus, Operation, Refusal, ReservationCursor,
    ReservationId, Sku, Slot, StockCounts, Units, invariants,
};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const OPENING: u64 = 10_000 * HOUR_MS;

fn sku() -> Sku {
    "cream".parse().unwrap()
}

fn location(number: u8) -> LocationId {
    ["PAR", "LYO"][usize::from(number) % 2].parse().unwrap()
}

fn lot(number: u8) -> LotId {
    ["A", "B", "C", "D"][usize::from(number) % 4].parse().unwrap()
}

fn id(number: u8) -> ReservationId {
    ReservationId::mint(1, Slot::new(5).unwrap(), u64::from(number))
}

fn spec(min_remaining_days: u32) -> ItemSpec {
    ItemSpec { lot_tracked: true, removal_days: 1, alert_days: 1, min_remaining_days, ..ItemSpec::default() }
}

/// The dates of a lot: it leaves sale so many hours after the opening, or never.
fn dates(hours: Option<u64>) -> LotDates {
    LotDates { best_before: hours.map(|hours| LogTime(OPENING + DAY_MS + hours * HOUR_MS)), ..LotDates::default() }
}

/// What is asked. Lots and reservations are few, so that they meet often.
#[derive(Clone, Debug)]
enum Wish {
    Receive { lot: u8, location: u8, units: u32 },
    Adjust { lot: u8, location: u8, delta: i64, condition: Condition },
    Reserve { lines: Vec<(u8, Option<u8>, u32)>, ttl_s: u32 },
    Amend { reservation: u8, location: u8, units: u32 },
    Commit { reservation: u8, units: Option<u32>, last: bool, retake: bool },
    Release(u8),
    Fulfil { reservation: u8, picked: Option<(u32, Option<u8>)> },
    Cancel(u8),
    Return { reservation: u8, units: u32, lot: Option<u8>, condition: Condition },
    Block { lot: u8, status: LotStatus },
    PutLot { lot: u8, hours: Option<u64> },
    PutItem { min_remaining_days: u32 },
    Wait { minutes: u64 },
}

fn wish() -> impl Strategy<Value = Wish> {
    let (lot, location, number) = (0..4_u8, 0..2_u8, 0..12_u8);
    let condition = prop_oneof![
        3 => Just(Condition::Resellable),
        1 => Just(Condition::Damaged),
        1 => Just(Condition::QualityControl),
    ];
    let line = (location.clone(), prop::option::weighted(0.25, lot.clone()), 1..5_u32);
    let status = prop_oneof![
        4 => Just(LotStatus::Approved),
        2 => Just(LotStatus::OnHold),
        2 => Just(LotStatus::Quarantined),
        1 => Just(LotStatus::Recalled),
    ];
    prop_oneof![
        8 => (lot.clone(), location.clone(), 1..8_u32)
            .prop_map(|(lot, location, units)| Wish::Receive { lot, location, units }),
        2 => (lot.clone(), location.clone(), prop_oneof![-4..0_i64, 1..4_i64], condition.clone())
            .prop_map(|(lot, location, delta, condition)| Wish::Adjust { lot, location, delta, condition }),
        12 => (prop::collection::vec(line, 1..3), 60..9_000_u32)
            .prop_map(|(lines, ttl_s)| Wish::Reserve { lines, ttl_s }),
        3 => (number.clone(), location, 0..6_u32)
            .prop_map(|(reservation, location, units)| Wish::Amend { reservation, location, units }),
        10 => (number.clone(), prop::option::weighted(0.3, 1..4_u32), any::<bool>(), any::<bool>())
            .prop_map(|(reservation, units, last, retake)| Wish::Commit { reservation, units, last, retake }),
        2 => number.clone().prop_map(Wish::Release),
        6 => (number.clone(), prop::option::of((1..4_u32, prop::option::of(lot.clone()))))
            .prop_map(|(reservation, picked)| Wish::Fulfil { reservation, picked }),
        2 => number.clone().prop_map(Wish::Cancel),
        4 => (number, 1..4_u32, prop::option::of(lot.clone()), condition)
            .prop_map(|(reservation, units, lot, condition)| Wish::Return { reservation, units, lot, condition }),
        6 => (lot.clone(), status).prop_map(|(lot, status)| Wish::Block { lot, status }),
        2 => (lot, prop::option::weighted(0.9, 0..90_u64)).prop_map(|(lot, hours)| Wish::PutLot { lot, hours }),
        1 => (0..3_u32).prop_map(|min_remaining_days| Wish::PutItem { min_remaining_days }),
        4 => (1..400_u64).prop_map(|minutes| Wish::Wait { minutes }),
    ]
}

fn operation(wish: &Wish, reservations: &mut u8) -> Option<Operation> {
    let (location_of, optional_lot) = (location, |number: Option<u8>| number.map(lot));
    Some(match wish {
        Wish::Receive { lot: number, location, units } => Operation::Receive(Receive {
            sku: sku(),
            location: location_of(*location),
            lot: Some(lot(*number)),
            lot_spec: None,
            units: Units(*units),
            receipt: None,
        }),
        Wish::Adjust { lot: number, location, delta, condition } => Operation::Adjust(Adjust {
            sku: sku(),
            location: location_of(*location),
            lot: Some(lot(*number)),
            delta: *delta,
            condition: *condition,
        }),
        Wish::Reserve { lines, ttl_s } => {
            *reservations += 1;
            let line = |(location, lot, units): &(u8, Option<u8>, u32)| Line {
                sku: sku(),
                location: location_of(*location),
                units: Units(*units),
                lot: optional_lot(*lot),
                optional: false,
                no_backorder: false,
                min_units: None,
            };
            Operation::Reserve(Reserve {
                reservation: id(*reservations),
                lines: lines.iter().map(line).collect(),
                ttl_s: *ttl_s,
                partial_ok: false,
                order_ref: None,
                customer: None,
                channel: None,
                campaign: None,
                plan: None,
                pass: None,
            })
        }
        Wish::Amend { reservation, location, units } => {
            let (location, units) = (location_of(*location), Units(*units));
            let lines = vec![Line {
                sku: sku(),
                location,
                units,
                lot: None,
                optional: false,
                no_backorder: false,
                min_units: None,
            }];
            Operation::Amend(Amend { reservation: recent(*reservation, *reservations), lines })
        }
        Wish::Commit { reservation, units, last, retake } => Operation::Commit(Commit {
            reservation: recent(*reservation, *reservations),
            parts: units.iter().map(|units| LineUnits { line: 0, units: Units(*units) }).collect(),
            last: *last && units.is_some(),
            if_expired: if *retake { IfExpired::Retake } else { IfExpired::Fail },
            cancel_at: None,
        }),
        Wish::Release(number) => Operation::Release(Release { reservation: recent(*number, *reservations) }),
        Wish::Fulfil { reservation, picked } => {
            let pick =
                |(units, lot): &(u32, Option<u8>)| Picked { line: 0, units: Units(*units), lot: optional_lot(*lot) };
            let parts = picked.iter().map(pick).collect();
            Operation::Fulfil(Fulfil { reservation: recent(*reservation, *reservations), parts })
        }
        Wish::Cancel(number) => Operation::Cancel(Cancel { reservation: recent(*number, *reservations) }),
        Wish::Return { reservation, units, lot, condition } => Operation::Return(Return {
            reservation: recent(*reservation, *reservations),
            parts: vec![Picked { line: 0, units: Units(*units), lot: optional_lot(*lot) }],
            location: None,
            condition: *condition,
        }),
        Wish::Block { lot: number, status } => {
            Operation::BlockLot(BlockLot { sku: sku(), lot: lot(*number), status: *status })
        }
        Wish::PutLot { lot: number, hours } => Operation::PutLot(Box::new(PutLot {
            sku: sku(),
            lot: lot(*number),
            spec: LotSpec { dates: dates(*hours), ..LotSpec::default() },
            if_revision: None,
        })),
        Wish::PutItem { min_remaining_days } => Operation::PutItem(Box::new(PutItem {
            sku: sku(),
            spec: spec(*min_remaining_days),
            if_revision: None,
            if_absent: false,
        })),
        Wish::Wait { .. } => return None,
    })
}

fn recent(back: u8, newest: u8) -> ReservationId {
    id(newest.saturating_sub(back))
}

/// The holds of one place as anybody can know them: free units by lot, and by what each hold needs, one unit at a time.
#[derive(Default)]
struct Place {
    /// When each free sellable unit leaves sale.
    units: Vec<LogTime>,
    /// Until when each held unit that is bound to no lot must be sellable.
    needs: Vec<LogTime>,
}

impl Place {
    /// Whether every hold finds a unit: those that need the longest life choose first, and take what leaves sale first of what
    /// does.
    fn can_keep_its_promises(&self) -> bool {
        let (mut units, mut needs) = (self.units.clone(), self.needs.clone());
        units.sort();
        needs.sort();
        needs.into_iter().rev().all(|need| {
            let found = units.iter().position(|leaves| *leaves >= need);
            found.map(|at| units.remove(at)).is_some()
        })
    }
}

/// What the world knows beside the machine: what each hold needs.
#[derive(Default)]
struct Known {
    /// By reservation and line.
    needs: BTreeMap<(ReservationId, usize), LogTime>,
}

impl Known {
    fn place(&self, inventory: &Inventory, location: &LocationId) -> Place {
        let mut place = Place::default();
        for lot in inventory.lots(&sku()).unwrap() {
            let leaves = lot.removal_at.unwrap_or(LogTime(u64::MAX));
            let is_sellable = lot.status == LotStatus::Approved && leaves >= inventory.now();
            for (_, counts) in lot.places.iter().filter(|(at, _)| is_sellable && at == location) {
                place.units.extend((0..counts.free().unwrap()).map(|_| leaves));
            }
        }
        for reservation in inventory.reservations(ReservationCursor::default(), None, usize::MAX).0 {
            for (number, line) in reservation.lines.iter().enumerate() {
                if line.location == *location && line.lot.is_none() && line.units.held > 0 {
                    let need = self.needs.get(&(reservation.id, number)).copied().unwrap_or_default();
                    place.needs.extend((0..line.units.held).map(|_| need));
                }
            }
        }
        place
    }

    /// Whether a reserve can be kept, by trying every unit.
    fn can_be_kept(&self, inventory: &Inventory, reserve: &Reserve, min_remaining_days: u32) -> bool {
        let need = need_at(inventory.now(), min_remaining_days);
        let mut places: BTreeMap<LocationId, Place> = BTreeMap::new();
        for line in &reserve.lines {
            places.entry(line.location.clone()).or_insert_with(|| self.place(inventory, &line.location));
        }
        reserve.lines.iter().all(|line| {
            let place = places.get_mut(&line.location).unwrap();
            match &line.lot {
                None => place.needs.extend((0..line.units.0).map(|_| need)),
                Some(lot) => {
                    let lot = inventory.lot(&sku(), lot).unwrap();
                    let leaves = lot.removal_at.unwrap_or(LogTime(u64::MAX));
                    if lot.status != LotStatus::Approved || leaves < inventory.now().max(need) {
                        return false;
                    }
                    let free: u64 = lot
                        .places
                        .iter()
                        .filter(|(at, _)| *at == line.location)
                        .map(|(_, counts)| counts.free().unwrap())
                        .sum();
                    let taken_before: u32 = reserve
                        .lines
                        .iter()
                        .take_while(|other| !std::ptr::eq(*other, line))
                        .filter(|other| (&other.location, &other.lot) == (&line.location, &line.lot))
                        .map(|other| other.units.0)
                        .sum();
                    if free < u64::from(taken_before + line.units.0) {
                        return false;
                    }
                    for _ in 0..line.units.0 {
                        let at = place.units.iter().position(|unit| *unit == leaves).unwrap();
                        place.units.remove(at);
                    }
                }
            }
            place.can_keep_its_promises()
        })
    }
}

fn need_at(now: LogTime, min_remaining_days: u32) -> LogTime {
    let until = now.0 + u64::from(min_remaining_days) * DAY_MS;
    if min_remaining_days == 0 { LogTime(0) } else { LogTime(until.div_ceil(HOUR_MS) * HOUR_MS) }
}

/// The stock that follows from the events alone.
#[derive(Default)]
struct Ledger {
    seq: u64,
    hash: EventHash,
    cells: BTreeMap<(LocationId, Option<LotId>), StockCounts>,
}

impl Ledger {
    fn read(&mut self, events: &[Event]) -> Result<(), TestCaseError> {
        prop_assert_eq!(Event::verify_chain(self.seq, self.hash, events), Ok(()));
        for event in events {
            (self.seq, self.hash) = (event.body.seq, event.hash);
            prop_assert_eq!(&Event::decode(event.encoded()).unwrap(), event);
            for change in &event.body.changes {
                let counts = self.cells.entry((change.location.clone(), change.lot.clone())).or_default();
                for (count, delta) in [
                    (&mut counts.on_hand, change.delta.on_hand),
                    (&mut counts.reserved, change.delta.reserved),
                    (&mut counts.committed, change.delta.committed),
                    (&mut counts.damaged, change.delta.damaged),
                    (&mut counts.quality_control, change.delta.quality_control),
                ] {
                    *count = count.checked_add_signed(delta).unwrap();
                }
                prop_assert_eq!(*counts, change.after);
            }
        }
        Ok(())
    }

    fn check(&self, inventory: &Inventory) -> Result<(), TestCaseError> {
        for lot in inventory.lots(&sku()).unwrap() {
            for (location, counts) in &lot.places {
                let told = self.cells.get(&(location.clone(), Some(lot.id.clone()))).copied();
                prop_assert_eq!(told, Some(*counts), "{} {}", lot.id, location);
            }
        }
        Ok(())
    }
}

fn command(operation: Operation, now: u64, number: &mut u128) -> Command {
    *number += 1;
    Command {
        id: CommandId(*number),
        minted_at: LogTime(now),
        keyed: false,
        body: BodyHash(*number),
        linked: false,
        cause: None,
        operation,
    }
}

/// Two locations, one item, and four lots of which the first location has three units each.
fn opening(number: &mut u128, reservations: &mut u8) -> Vec<Command> {
    let mut opening: Vec<Command> = Vec::new();
    for place in 0..2 {
        let put = PutLocation { location: location(place), spec: LocationSpec::default(), if_revision: None };
        opening.push(command(Operation::PutLocation(Box::new(put)), OPENING, number));
    }
    let mut wishes = vec![Wish::PutItem { min_remaining_days: 0 }];
    for (lot, hours) in (0..4).zip([Some(6), Some(40), Some(70), None]) {
        wishes.push(Wish::PutLot { lot, hours });
        wishes.push(Wish::Receive { lot, location: 0, units: 3 });
    }
    opening.extend(wishes.iter().map(|wish| command(operation(wish, reservations).unwrap(), OPENING, number)));
    opening
}

fn run(steps: &[(Wish, bool)]) -> Result<(), TestCaseError> {
    let limits = Limits { sweep: 2, ended_reservations: 30, ..Limits::default() };
    let (mut inventory, mut twin) = (Inventory::new(limits.clone()), Inventory::new(limits));
    let (mut applied, mut of_twin) = (Applied::default(), Applied::default());
    let (mut known, mut ledger) = (Known::default(), Ledger::default());
    let (mut now, mut number, mut reservations, mut min_remaining_days) = (OPENING, 0_u128, 0_u8, 0);
    let opening = opening(&mut number, &mut reservations);
    let entry = Entry { time: LogTime(now), commands: opening };
    inventory.apply(&entry, &mut applied);
    twin.apply(&entry, &mut of_twin);
    ledger.read(&applied.events)?;
    prop_assert!(applied.answers.iter().all(|answer| answer.outcome.is_ok()), "{:?}", applied.answers);

    for (wish, reload) in steps {
        if let Wish::Wait { minutes } = wish {
            now += minutes * 60_000;
        }
        // What is due is swept by entries of its own first, so that the world before the command is the one it meets.
        for _ in 0..40 {
            let tick = Entry { time: LogTime(now), commands: Vec::new() };
            inventory.apply(&tick, &mut applied);
            twin.apply(&tick, &mut of_twin);
            ledger.read(&applied.events)?;
            if inventory.next_due().is_none_or(|due| due > LogTime(now)) {
                break;
            }
        }
        let Some(operation) = operation(wish, &mut reservations) else { continue };
        let expected = match &operation {
            Operation::Reserve(reserve) => Some(known.can_be_kept(&inventory, reserve, min_remaining_days)),
            _ => None,
        };
        let asked = command(operation.clone(), now, &mut number);
        let entry = Entry { time: LogTime(now), commands: vec![asked] };
        inventory.apply(&entry, &mut applied);
        twin.apply(&entry, &mut of_twin);
        prop_assert_eq!(&applied, &of_twin);
        let outcome = &applied.answers[0].outcome;
        match (&operation, outcome) {
            (Operation::Reserve(reserve), Ok(_)) => {
                prop_assert_eq!(expected, Some(true), "{:?} {:?}", wish, outcome);
                for line in 0..reserve.lines.len() {
                    known.needs.insert((reserve.reservation, line), need_at(inventory.now(), min_remaining_days));
                }
            }
            (Operation::Reserve(_), Err(Refusal::InsufficientStock { .. })) => {
                prop_assert_eq!(expected, Some(false), "{:?} {:?}", wish, outcome);
            }
            (Operation::Amend(amend), Ok(_)) => {
                let lines = inventory.reservation(amend.reservation).unwrap().lines.len();
                for line in 0..lines {
                    let need = need_at(inventory.now(), min_remaining_days);
                    known.needs.entry((amend.reservation, line)).or_insert(need);
                }
            }
            (Operation::Commit(commit), Ok(_)) if commit.if_expired == IfExpired::Retake => {
                // What was retaken is sold, and needs nothing more.
            }
            (Operation::PutItem(put), Ok(_)) => min_remaining_days = put.spec.min_remaining_days,
            _ => {}
        }
        ledger.read(&applied.events)?;
        ledger.check(&inventory)?;
        prop_assert_eq!(invariants::check(&inventory), Vec::new(), "after {:?}", wish);
        for number in 0..2 {
            let place = known.place(&inventory, &location(number));
            prop_assert!(place.can_keep_its_promises(), "after {:?}", wish);
        }
        prop_assert_eq!(inventory.digest(), inventory.recompute_digest());
        if *reload {
            let cut = inventory.cut();
            // A cut has what changed since the last one, so it is taken of everything.
            inventory.mark_all_changed();
            drop(cut);
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
fn stock_by_lot_is_promised_exactly_where_it_can_be_delivered() {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| TestRunner::default().rng().next_u64());
    println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test lots");
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
