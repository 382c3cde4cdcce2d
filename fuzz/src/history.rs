//! The life of a shard: entry after entry of its log, out of memory and back.

use holdfast_inventory::{Applied, Entry, Inventory, Limits, LogTime, invariants};
use holdfast_raft::encode::{NEXT_SCHEMA, decode_entry};

/// More entries than this of one input are left out: the checks walk the whole state after each.
const MOST_ENTRIES: usize = 64;

/// An input: whether the shard's bounds are narrow, then the entries, each behind its length in two bytes.
///
/// # Panics
///
/// Where an entry is longer than two bytes can say.
#[must_use]
pub fn written(is_narrow: bool, entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![u8::from(is_narrow)];
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).expect("a short entry").to_le_bytes());
        bytes.extend(entry);
    }
    bytes
}

fn narrow() -> Limits {
    Limits {
        results: 8,
        result_window_ms: 60_000,
        keyed_minimum_ms: 1_000,
        live_reservations: 4,
        ended_reservations: 2,
        keep_ended_ms: 60_000,
        keep_trace_ms: 90_000,
        items: 3,
        sweep: 2,
        ..Limits::default()
    }
}

/// Applies what can be decoded. Every invariant holds after each entry, and what is loaded goes on as what was never unloaded.
///
/// # Panics
///
/// Where one of these does not hold.
pub fn read(bytes: &[u8]) {
    let Some((is_narrow, mut rest)) = bytes.split_first() else { return };
    let mut inventory = Inventory::new(if is_narrow % 2 == 1 { narrow() } else { Limits::default() });
    let mut applied = Applied::default();
    let mut last = LogTime(0);
    for _ in 0..MOST_ENTRIES {
        let Some((length, after)) = rest.split_first_chunk() else { break };
        let (entry, after) = after.split_at(usize::from(u16::from_le_bytes(*length)).min(after.len()));
        rest = after;
        let Ok(entry) = decode_entry(entry, NEXT_SCHEMA) else { continue };
        apply(&mut inventory, &entry, &mut applied);
        last = entry.time;
    }
    let cut = inventory.cut();
    assert_eq!(cut.digest(), inventory.digest());
    let mut loaded = Inventory::load(&cut.header(), cut.encode()).expect("what was written can be read");
    assert_eq!(loaded.digest(), inventory.digest());
    let later = Entry { time: last.plus_ms(3_600_000), commands: Vec::new() };
    apply(&mut inventory, &later, &mut applied);
    apply(&mut loaded, &later, &mut applied);
    assert_eq!(loaded.digest(), inventory.digest());
}

fn apply(inventory: &mut Inventory, entry: &Entry, applied: &mut Applied) {
    inventory.apply(entry, applied);
    assert_eq!(applied.answers.len(), entry.commands.len());
    assert_eq!(inventory.digest(), inventory.recompute_digest());
    assert_eq!(invariants::check(inventory), []);
}
