//! Backorders of an item tracked by lot, under whatever happens to its lots: nobody waits for units that could be had, nothing is
//! promised twice, and every entry fills no more than it may.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without ends it")]

mod dice;

use holdfast_inventory::commands::{
    BlockLot, Cancel, Commit, Fulfil, IfExpired, Line, PutItem, PutLocation, Receive, Release, Reserve, SetSafetyStock,
};
use holdfast_inventory::{
    Applied, Backorder, BodyHash, Command, CommandId, Entry, EventKind, Inventory, ItemSpec, Limits, LocationSpec,
    LogTime, LotDates, LotId, LotSpec, LotStatus, Operation, Refusal, ReservationId, Sku, Success, Units, invariants,
    slot_of,
};

use dice::Dice;

const OPENING: u64 = 1_000_000;
const DAY_MS: u64 = 86_400_000;
/// Reservations that one entry fills at a place.
const SWEEP: u32 = 2;

struct World {
    dice: Dice,
    inventory: Inventory,
    applied: Applied,
    now: u64,
    commands: u128,
    reservations: u64,
    fills: usize,
}

fn sku() -> Sku {
    Sku::new("CREAM").unwrap()
}

fn id(number: u64) -> ReservationId {
    ReservationId::mint(OPENING, slot_of(&sku()), number)
}

impl World {
    fn new(seed: u64) -> Self {
        let inventory = Inventory::new(Limits { sweep: SWEEP, ..Limits::default() });
        let (dice, applied) = (Dice(seed), Applied::default());
        let mut world = Self { dice, inventory, applied, now: OPENING, commands: 0, reservations: 0, fills: 0 };
        let put = PutLocation { location: "main".parse().unwrap(), spec: LocationSpec::default(), if_revision: None };
        world.ask(Operation::PutLocation(Box::new(put))).unwrap();
        world.put_item();
        world
    }

    fn put_item(&mut self) {
        let cap = self.dice.below(12);
        let backorder = if cap == 0 { Backorder::None } else { Backorder::UpTo { cap } };
        let min_remaining_days = [0, 0, 2, 5][self.dice.below(4) as usize];
        let spec = ItemSpec { lot_tracked: true, min_remaining_days, backorder, ..ItemSpec::default() };
        let put = PutItem { sku: sku(), spec, if_revision: None, if_absent: false };
        self.ask(Operation::PutItem(Box::new(put))).unwrap();
    }

    fn ask(&mut self, operation: Operation) -> Result<Success, Refusal> {
        self.commands += 1;
        let (command_id, body) = (CommandId(self.commands), BodyHash(self.commands));
        let minted_at = LogTime(OPENING);
        let command = Command { id: command_id, minted_at, keyed: true, body, linked: false, cause: None, operation };
        self.apply(vec![command]);
        self.applied.answers[0].outcome.clone()
    }

    fn apply(&mut self, commands: Vec<Command>) {
        self.inventory.apply(&Entry { time: LogTime(self.now), commands }, &mut self.applied);
        assert_eq!(invariants::check(&self.inventory), Vec::new());
        let is_fill = |event: &&holdfast_inventory::Event| event.body.kind == EventKind::BackorderFilled;
        self.fills += self.applied.events.iter().filter(is_fill).count();
        if self.dice.below(40) == 0 {
            self.inventory.mark_all_changed();
            let cut = self.inventory.cut();
            let loaded = Inventory::load(&cut.header(), cut.encode()).unwrap();
            assert_eq!(
                (loaded.digest(), loaded.next_due()),
                (self.inventory.recompute_digest(), self.inventory.next_due())
            );
            self.inventory = loaded;
        }
    }

    fn lot(&mut self) -> LotId {
        LotId::new(&format!("L{}", self.dice.below(6))).unwrap()
    }

    fn reserve(&mut self) -> Operation {
        self.reservations += 1;
        let lot = if self.dice.below(5) == 0 { Some(self.lot()) } else { None };
        let (sku, location, no_backorder) = (sku(), "main".parse().unwrap(), self.dice.below(6) == 0);
        let units = Units(1 + self.dice.below(4) as u32);
        let line = Line { sku, location, units, lot, optional: false, no_backorder, min_units: None };
        Operation::Reserve(Reserve {
            reservation: id(self.reservations),
            lines: vec![line],
            ttl_s: if self.dice.below(3) == 0 { 60 } else { 14_400 },
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        })
    }

    fn step(&mut self) {
        let reservation = id(1 + self.dice.below(self.reservations + 1));
        let (sku, location) = (sku(), "main".parse().unwrap());
        let operation = match self.dice.below(14) {
            0..4 => self.reserve(),
            4 | 5 => {
                let if_expired = if self.dice.below(2) == 0 { IfExpired::Retake } else { IfExpired::Fail };
                let last = self.dice.below(4) == 0;
                Operation::Commit(Commit { reservation, parts: vec![], last, if_expired, cancel_at: None })
            }
            6 => Operation::Release(Release { reservation }),
            7 => Operation::Cancel(Cancel { reservation }),
            8 => Operation::Fulfil(Fulfil { reservation, parts: vec![] }),
            9 => {
                let status = if self.dice.below(2) == 0 { LotStatus::OnHold } else { LotStatus::Approved };
                Operation::BlockLot(BlockLot { sku, lot: self.lot(), status })
            }
            10 => {
                let units = self.dice.below(3);
                Operation::SetSafetyStock(SetSafetyStock { sku, location, units, if_revision: None })
            }
            11 => {
                self.now += [60_000, DAY_MS][self.dice.below(2) as usize];
                return self.apply(Vec::new());
            }
            12 if self.dice.below(3) == 0 => return self.put_item(),
            _ => {
                let lot = self.lot();
                let best_before = Some(LogTime(self.now + self.dice.below(10) * DAY_MS));
                let spec = LotSpec { dates: LotDates { best_before, ..LotDates::default() }, ..LotSpec::default() };
                let is_known = self.inventory.lot(&sku, &lot).is_some();
                let lot_spec = (!is_known).then(|| Box::new(spec));
                let units = Units(1 + self.dice.below(5) as u32);
                Operation::Receive(Receive { sku, location, lot: Some(lot), lot_spec, units, receipt: None })
            }
        };
        self.ask(operation).ok();
    }
}

#[test]
fn nobody_waits_for_units_that_could_be_had_whatever_becomes_of_the_lots() {
    let seeds: Vec<u64> = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=40).collect(),
    };
    let mut fills = 0;
    for seed in seeds {
        println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test backorders_by_lot");
        let mut world = World::new(seed);
        (0..400).for_each(|_| world.step());
        fills += world.fills;
        // What an entry has not filled the next ones do, at once.
        for _ in 0..200 {
            world.apply(Vec::new());
        }
        assert!(world.inventory.next_due().is_none_or(|due| due > LogTime(world.now)));
    }
    assert!(fills > 200, "only {fills} fills");
}
