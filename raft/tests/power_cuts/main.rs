//! Power cuts and kills on the real path of checkpoints: sled, the files around it, the control file that names the checkpoint,
//! and the logs.
//!
//! A node writes a load in a process of its own, in which the system calls that change files are recorded (record.c). The
//! record is then done again to a drive with a cache (drive.rs), the power is cut at many moments, and what that leaves is
//! opened by the code that ships (judge.rs): it must give every group's last checkpoint that was reported, or a later one that
//! is whole, and every entry that was durable.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod dice;
mod drive;
mod judge;
mod load;
mod node;
mod promises;
mod record;
mod shop;

use std::sync::{Arc, LazyLock};

use dice::Dice;
use drive::{Arrives, Fate};
use judge::{PowerCut, Verdict, counted, judge_all};
use load::Recorded;
use record::Event;

/// Moments that are drawn unless `HOLDFAST_MOMENTS` says another number; with as many as the record has events it is every one,
/// which takes hours.
const MOMENTS: u64 = 20;

/// Chances in a hundred that something pending arrives.
const CHANCES: [u64; 6] = [3, 20, 50, 80, 97, 99];

static RECORDED: LazyLock<Arc<Recorded>> =
    LazyLock::new(|| Arc::new(Recorded::new("a_load_of_checkpoints_finds_all_it_was_promised_at_each_start")));

/// The load itself: the other tests start it again and again in a process that is recorded.
#[test]
#[ignore = "it is started by the other tests"]
fn a_load_of_checkpoints_finds_all_it_was_promised_at_each_start() {
    load::live();
}

/// The power cuts at one moment.
fn cuts_at(events: usize, seed: u64) -> Vec<PowerCut> {
    let mut dice = Dice::of(seed, events as u64);
    let mut chance = || Arrives::Some(CHANCES[dice.below(CHANCES.len() as u64) as usize]);
    let fates = [
        Fate::KILLED,
        Fate::ONLY_SYNCED,
        Fate { contents: Arrives::Nothing, names: Arrives::All },
        Fate { contents: chance(), names: Arrives::All },
        Fate { contents: Arrives::All, names: chance() },
        Fate { contents: chance(), names: chance() },
    ];
    fates.map(|fate| PowerCut { events, fate, seed }).to_vec()
}

fn assert_kept(cuts: Vec<PowerCut>) {
    let record = &RECORDED.record;
    let count = |is_it: fn(&Event) -> bool| record.events.iter().filter(|event| is_it(event)).count();
    println!(
        "{} events: {} writes, {} syncs, {} flushes of ranges that promise nothing, {} bytes; {} checkpoints reported",
        record.events.len(),
        count(|event| matches!(event, Event::Written { .. })),
        count(|event| matches!(event, Event::SyncEnded { .. })),
        count(|event| matches!(event, Event::RangeFlushed { .. })),
        record.bytes.len(),
        RECORDED.told.checkpoints().len(),
    );
    let verdicts = judge_all(&RECORDED, cuts, |_| false);
    println!("{}", counted(&verdicts));
    let broken: Vec<_> = verdicts.iter().filter(|(cut, verdict)| cut.breaks(verdict)).collect();
    assert!(broken.is_empty(), "{} of {}: {broken:#?}", broken.len(), verdicts.len());
}

#[test]
fn a_power_cut_costs_no_checkpoint_that_was_reported() {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("HOLDFAST_SEED={seed}");
    let moments = std::env::var("HOLDFAST_MOMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MOMENTS);
    let (mut dice, events) = (Dice::of(seed, 0), RECORDED.record.events.len() as u64);
    let drawn = (0..moments).map(|number| (number * events / moments + dice.below(1 + events / moments)) as usize);
    let drawn = drawn.map(|moment| moment.min(events as usize));
    assert_kept(drawn.flat_map(|events| cuts_at(events, seed)).collect());
}

#[test]
fn a_lost_sync_of_the_store_is_found_as_a_lost_checkpoint() {
    let record = &RECORDED.record;
    let mut stores = Vec::new();
    let mut syncs = Vec::new();
    for (number, event) in record.events.iter().enumerate() {
        match event {
            Event::Opened { handle, path, .. } if path == "node/state/db" => stores.push(*handle),
            Event::SyncEnded { handle, .. } if stores.contains(handle) => syncs.push(number),
            _ => {}
        }
    }
    let reported = RECORDED.told.checkpoints();
    for (number, (events, group)) in reported.iter().enumerate().skip(3).step_by(reported.len() / 3) {
        let before = reported[..number].iter().rev().find(|(_, other)| other == group);
        let since = before.map_or(0, |(events, _)| *events);
        let cut = PowerCut { events: *events, fate: Fate::ONLY_SYNCED, seed: 0 };
        let verdict_with = |lost: &[usize]| judge_all(&RECORDED, vec![cut], |sync| lost.contains(&sync)).remove(0).1;
        assert_eq!(verdict_with(&[]), Verdict::Whole, "{cut:?}");
        let lost: Vec<usize> = syncs.iter().copied().filter(|sync| (since..*events).contains(sync)).collect();
        let verdict = verdict_with(&lost);
        assert!(matches!(verdict, Verdict::Refused { loses: true, .. }), "{cut:?} without {lost:?}: {verdict:?}");
    }
}
