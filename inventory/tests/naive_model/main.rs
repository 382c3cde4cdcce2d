//! Random commands against the state machine and against a model that is too simple to be wrong: after every command the
//! answers, the stock and the reservations are the same and every invariant holds; after every entry a second instance
//! agrees bit by bit.
//!
//! A machine can be looked at only between entries. To look at it after each command, copies of it as it was before the
//! entry are given the entry's first command, its first two, and so on.
//!
//! A failure prints the shrunk steps, the seed and the line that replays it. `PROPTEST_CASES=5000 cargo test -p
//! holdfast-inventory --test naive_model` looks longer.

#![allow(clippy::unwrap_used, reason = "clippy takes only functions marked as tests for tests")]

mod generate;
mod holds;
mod memory;
mod model;

use std::cell::Cell;
use std::collections::BTreeMap;

use generate::{Script, Step, locations, skus, small_limits, steps, world};
use holdfast_inventory::{
    Applied, ChunkId, Entry, Event, EventHash, Inventory, LocationId, LotId, ReservationCursor, Sku, StockCounts,
    invariants,
};
use model::Model;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

/// What a node keeps on disk of one shard.
#[derive(Default)]
struct Store {
    header: Vec<u8>,
    chunks: BTreeMap<[u8; ChunkId::KEY_BYTES], Vec<u8>>,
}

impl Store {
    fn checkpoint(&mut self, inventory: &mut Inventory) -> Result<(), TestCaseError> {
        let expected = inventory.recompute_digest();
        let cut = inventory.cut();
        prop_assert_eq!(cut.digest(), expected);
        self.header = cut.header();
        for id in cut.removed() {
            self.chunks.remove(&id.key());
        }
        for (id, bytes) in cut.encode() {
            self.chunks.insert(id.key(), bytes);
        }
        prop_assert_eq!(inventory.digest(), expected);
        Ok(())
    }

    fn load(&self) -> Inventory {
        let chunks = self.chunks.iter().map(|(key, bytes)| (ChunkId::from_key(key).unwrap(), bytes));
        Inventory::load(&self.header, chunks).unwrap()
    }
}

/// The stock that follows from the events alone [H-LEDGER].
#[derive(Clone, Default)]
struct Ledger {
    seq: u64,
    hash: EventHash,
    cells: BTreeMap<(Sku, LocationId, Option<LotId>), StockCounts>,
}

impl Ledger {
    fn read(&mut self, events: &[Event]) -> Result<(), TestCaseError> {
        prop_assert_eq!(Event::verify_chain(self.seq, self.hash, events), Ok(()));
        for event in events {
            (self.seq, self.hash) = (event.body.seq, event.hash);
            prop_assert_eq!(&Event::decode(event.encoded()).unwrap(), event);
            for change in &event.body.changes {
                let key = (change.sku.clone(), change.location.clone(), change.lot.clone());
                let counts = self.cells.entry(key).or_default();
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
}

fn compare(inventory: &Inventory, model: &Model, ledger: &Ledger) -> Result<(), TestCaseError> {
    prop_assert_eq!(invariants::check(inventory), Vec::new());
    prop_assert_eq!(inventory.now(), model.now);
    prop_assert_eq!(inventory.limits(), &model.limits);
    prop_assert_eq!(inventory.last_event(), (ledger.seq, ledger.hash));
    let mut places = 0;
    for sku in skus() {
        let item = inventory.item(&sku).map(|item| ((*item.spec).clone(), item.revision.0));
        prop_assert_eq!(item.as_ref(), model.items.get(&sku));
        for level in inventory.stock(&sku).unwrap_or_default() {
            places += 1;
            let key = (sku.clone(), level.location.clone());
            let place = &model.places[&key];
            let (reserved, committed) = model.bound(&key);
            let (damaged, quality_control) = (place.damaged, place.quality_control);
            let counts = StockCounts { on_hand: place.on_hand, reserved, committed, damaged, quality_control };
            prop_assert_eq!(level.counts, counts, "{:?}", key);
            prop_assert_eq!(level.free, model.free(&key));
            prop_assert_eq!(level.flow, place.flow);
            prop_assert_eq!(level.revision.0, place.revision, "{:?}", key);
            let told = ledger.cells.get(&(key.0, key.1, None)).copied().unwrap_or_default();
            prop_assert_eq!(level.counts, told);
        }
    }
    prop_assert_eq!(places, model.places.len());
    for id in locations() {
        let location = inventory.location(&id).map(|location| (location.spec, location.revision.0));
        prop_assert_eq!(location.as_ref(), model.locations.get(&id));
    }
    let (shown, more) = inventory.reservations(ReservationCursor::default(), None, usize::MAX);
    prop_assert_eq!((&shown, more), (&model.reservations, None));
    for reservation in &shown {
        let found = inventory.reservation(reservation.id);
        prop_assert_eq!(found.as_ref(), Some(reservation));
    }
    let of_order: Vec<_> = shown.iter().filter(|reservation| reservation.order_ref.is_some()).cloned().collect();
    let order_ref = "order-1".parse().unwrap();
    let (mut found, mut next) = (Vec::new(), Some(ReservationCursor::default()));
    while let Some(from) = next {
        let (page, more) = inventory.reservations_of_order(&order_ref, from, None, 2);
        found.extend(page);
        next = more;
    }
    prop_assert_eq!(found, of_order);
    Ok(())
}

/// The entry's first commands. Where they end within a chain, the chain ends there too.
fn first_commands(entry: &Entry, count: usize) -> Entry {
    let mut commands = entry.commands[..count].to_vec();
    if let Some(last) = commands.last_mut() {
        last.linked = false;
    }
    Entry { time: entry.time, commands }
}

/// Stops after each command of the entry but the last, which copies of all three are led to: `before` is what they were
/// before the entry, `whole` what the machine made of all of it.
fn compare_within(entry: &Entry, before: (&Inventory, &Model, &Ledger), whole: &Applied) -> Result<(), TestCaseError> {
    for count in 1..entry.commands.len() {
        let (mut inventory, mut model, mut ledger) = (before.0.clone(), before.1.clone(), before.2.clone());
        let (part, mut applied) = (first_commands(entry, count), Applied::default());
        inventory.apply(&part, &mut applied);
        prop_assert_eq!(&applied.answers, &model.apply(&part), "after {} commands", count);
        ledger.read(&applied.events)?;
        compare(&inventory, &model, &ledger)?;
        prop_assert_eq!(inventory.digest(), inventory.recompute_digest());
        if !entry.commands[count - 1].linked {
            // What comes later in an entry changes nothing of what was decided before.
            prop_assert_eq!(&applied.answers[..], &whole.answers[..count]);
            prop_assert_eq!(&applied.events[..], &whole.events[..applied.events.len()]);
        }
    }
    Ok(())
}

/// Runs the steps, and counts the commands after each of which machine and model agreed.
fn run(steps: &[Step], agreed: &mut usize) -> Result<(), TestCaseError> {
    let (mut inventory, mut model) = (Inventory::new(small_limits()), Model::new(small_limits()));
    let mut twin = Inventory::new(small_limits());
    let (mut store, mut ledger, mut script) = (Store::default(), Ledger::default(), Script::default());
    let (mut applied, mut of_twin) = (Applied::default(), Applied::default());
    let idle = Step { later_ms: 0, wishes: Vec::new(), reload: false, cut: true };
    let mut entries = vec![(world(), &idle)];
    entries.extend(steps.iter().map(|step| (script.entry(step), step)));
    for (entry, step) in entries {
        twin.apply(&entry, &mut of_twin);
        compare_within(&entry, (&inventory, &model, &ledger), &of_twin)?;
        inventory.apply(&entry, &mut applied);
        prop_assert_eq!(&applied, &of_twin);
        prop_assert_eq!(&applied.answers, &model.apply(&entry));
        ledger.read(&applied.events)?;
        compare(&inventory, &model, &ledger)?;
        *agreed += entry.commands.len();
        if step.cut {
            store.checkpoint(&mut inventory)?;
        } else if step.reload {
            // A checkpoint that is given up, one that is not, and the machine comes back from the disk.
            let given_up = inventory.cut();
            inventory.uncut(&given_up);
            store.checkpoint(&mut inventory)?;
            let loaded = store.load();
            prop_assert_eq!(loaded.digest(), inventory.digest());
            inventory = loaded;
            compare(&inventory, &model, &ledger)?;
        }
        prop_assert_eq!(inventory.digest(), twin.digest());
        prop_assert_eq!(inventory.digest(), inventory.recompute_digest());
    }
    Ok(())
}

#[test]
fn the_machine_agrees_with_the_model_after_every_command() {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand_seed);
    println!("replay: HOLDFAST_SEED={seed} cargo test -p holdfast-inventory --test naive_model");
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (agreed, has_failed) = (Cell::new(0), Cell::new(false));
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let mut more = 0;
        let outcome = run(&steps, &mut more);
        // What comes after a failure is proptest's search for a shorter one.
        if !has_failed.get() {
            agreed.set(agreed.get() + more);
        }
        has_failed.set(has_failed.get() || outcome.is_err());
        outcome
    });
    println!("agreed after each of {} commands", agreed.get());
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

fn rand_seed() -> u64 {
    TestRunner::default().rng().next_u64()
}
