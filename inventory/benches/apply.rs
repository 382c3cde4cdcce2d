//! Commands a second of the state machine alone: reserve, commit and fulfil over Zipf-like SKUs, in entries of 128.
//!
//! `cargo bench -p holdfast-inventory` prints one line a phase. Wall time of one core; commands are made beforehand.

use std::hint::black_box;
use std::time::Instant;

use holdfast_inventory::commands::{Commit, Fulfil, IfExpired, Line, PutItem, PutLocation, Receive, Reserve};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, Entry, Inventory, ItemSpec, Limits, LocationId, LocationSpec, LogTime,
    Operation, ReservationId, Sku, Units, slot_of,
};

const SKUS: usize = 10_000;
const RESERVATIONS: usize = 300_000;
const ENTRY: usize = 128;
const START_MS: u64 = 1_790_000_000_000;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for a load.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A rank whose logarithm is uniform: Zipf's law with exponent 1.
    fn rank(&mut self) -> usize {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        ((SKUS as f64).powf(unit) as usize - 1).min(SKUS - 1)
    }
}

fn command(random: &mut Random, at: usize, operation: Operation) -> Command {
    let minted_at = LogTime(START_MS + (at / ENTRY) as u64);
    let id = CommandId(u128::from(minted_at.0) << 80 | u128::from(random.next()));
    let body = BodyHash(u128::from(random.next()));
    Command { id, minted_at, keyed: false, body, linked: false, cause: None, operation }
}

fn entries(commands: Vec<Command>) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut commands = commands.into_iter().peekable();
    while let Some(first) = commands.peek() {
        let time = first.minted_at;
        entries.push(Entry { time, commands: commands.by_ref().take(ENTRY).collect() });
    }
    entries
}

fn run(inventory: &mut Inventory, phase: &str, commands: Vec<Command>) {
    let (count, entries) = (commands.len(), entries(commands));
    let mut applied = Applied::default();
    let (mut refused, mut events) = (0, 0);
    let start = Instant::now();
    for entry in &entries {
        inventory.apply(entry, &mut applied);
        refused += applied.answers.iter().filter(|answer| answer.outcome.is_err()).count();
        events += applied.events.len();
        black_box(&applied);
    }
    let elapsed = start.elapsed();
    let per_second = count as f64 / elapsed.as_secs_f64();
    println!("{phase:<10} {count:>7} commands {per_second:>10.0}/s {refused:>6} refused {events:>7} events");
}

fn main() {
    let mut random = Random(42);
    let random = &mut random;
    let mut inventory = Inventory::new(Limits::default());
    let skus: Vec<Sku> = (0..SKUS).map(|at| format!("SKU-{at:08}").parse().expect("a name")).collect();
    let location: LocationId = "main".parse().expect("a name");
    let spec = LocationSpec::default();
    let put = Operation::PutLocation(Box::new(PutLocation { location: location.clone(), spec, if_revision: None }));
    let mut setup = vec![command(random, 0, put)];
    for sku in &skus {
        let put = PutItem { sku: sku.clone(), spec: ItemSpec::default(), if_revision: None, if_absent: true };
        setup.push(command(random, 0, Operation::PutItem(Box::new(put))));
        let units = Units(1_000_000);
        let receive =
            Receive { sku: sku.clone(), location: location.clone(), lot: None, lot_spec: None, units, receipt: None };
        setup.push(command(random, 0, Operation::Receive(receive)));
    }
    run(&mut inventory, "setup", setup);

    let mut ids = Vec::new();
    let mut reserves = Vec::new();
    for at in 0..RESERVATIONS {
        let sku = &skus[random.rank()];
        let id = ReservationId::mint(START_MS, slot_of(sku), random.next());
        ids.push(id);
        let line = Line {
            sku: sku.clone(),
            location: location.clone(),
            units: Units(1),
            lot: None,
            optional: false,
            no_backorder: false,
            min_units: None,
        };
        let reserve = Reserve {
            reservation: id,
            lines: vec![line],
            ttl_s: 600,
            partial_ok: false,
            order_ref: None,
            customer: None,
            channel: None,
            campaign: None,
            plan: None,
            pass: None,
        };
        reserves.push(command(random, at, Operation::Reserve(reserve)));
    }
    let again = reserves.clone();
    run(&mut inventory, "reserve", reserves);
    run(&mut inventory, "replay", again);
    let commit =
        |id| Commit { reservation: id, parts: vec![], last: false, if_expired: IfExpired::Fail, cancel_at: None };
    let commits = ids.iter().enumerate().map(|(at, id)| command(random, at, Operation::Commit(commit(*id)))).collect();
    run(&mut inventory, "commit", commits);
    let fulfil = |id| Fulfil { reservation: id, parts: vec![] };
    let fulfils = ids.iter().enumerate().map(|(at, id)| command(random, at, Operation::Fulfil(fulfil(*id)))).collect();
    run(&mut inventory, "fulfil", fulfils);

    let start = Instant::now();
    let cut = inventory.cut();
    println!("cut        {:?} for {} chunks", start.elapsed(), cut.changed().len());
    let start = Instant::now();
    let bytes: usize = cut.encode().map(|(_, bytes)| bytes.len()).sum();
    println!("encode     {:?} for {bytes} bytes", start.elapsed());
    let start = Instant::now();
    println!("digest     {} in {:?}", cut.digest(), start.elapsed());
    let start = Instant::now();
    let loaded = Inventory::load(&cut.header(), cut.encode()).expect("what was cut loads");
    println!("load       {:?}, {}", start.elapsed(), loaded.digest());
}
