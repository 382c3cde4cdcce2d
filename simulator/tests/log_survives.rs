//! The node's log and control file on the simulated disk: what was reported as durable is there after any crash.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use holdfast_raft::control::Control;
use holdfast_raft::log::{GroupId, Log, LogOptions, LogRecord, Vote};
use holdfast_simulator::world::Death;
use holdfast_simulator::{Crash, Dice, HostId, Simulation, Trace};
use holdfast_world::{EndReason, World};

const HOST: HostId = HostId(1);
const DIR: &str = "data";
const GROUPS: u64 = 3;
const LIVES: u64 = 12;
const LIMIT: Duration = Duration::from_secs(60);

/// What was reported as durable, over all lives of the node.
#[derive(Debug, Default)]
struct Promised {
    last: BTreeMap<u64, u64>,
    votes: BTreeMap<u64, u64>,
    reports: u64,
}

type Promises = Arc<Mutex<Promised>>;

fn payload(group: u64, index: u64) -> Bytes {
    let mut bytes = vec![0; Dice::of(group, "size", index).below(3_000) as usize];
    Dice::of(group, "payload", index).fill(&mut bytes);
    bytes.into()
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: 128 * 1_024, cache_bytes: 64 * 1_024, ..LogOptions::default() }
}

async fn open(world: &World) -> (Control, Log) {
    let dir = Path::new(DIR);
    world.disk.create_dir_all(dir).await.unwrap();
    world.disk.sync_dir(Path::new("")).await.unwrap();
    let control = match Control::exists(world, dir).await.unwrap() {
        true => Control::open(world, dir).await.unwrap(),
        false => Control::create(world, dir, 1, 1).await.unwrap(),
    };
    control.begin_incarnation().await.unwrap();
    let (log, recovered) = Log::open(world, &dir.join("log"), options(), &control).await.unwrap();
    assert!(recovered.damaged.is_empty() && recovered.node_damage.is_none(), "{recovered:?}");
    (control, log)
}

/// Checks that every promise of the lives before was kept.
async fn check(log: &Log, promises: &Promises) {
    for group in 0..GROUPS {
        let (promised, vote) = {
            let promised = promises.lock().unwrap();
            (promised.last.get(&group).copied(), promised.votes.get(&group).copied())
        };
        let state = log.log_state(GroupId(group));
        let last = state.last.map(|id| id.index);
        assert!(last >= promised, "group {group}: {last:?} found, {promised:?} promised");
        assert!(state.vote.map(|vote| vote.term) >= vote, "group {group}: {:?} found, {vote:?} promised", state.vote);
        let Some(last) = last else { continue };
        let entries = log.entries(GroupId(group), 0..last + 1, usize::MAX).await.unwrap();
        assert_eq!(entries.len() as u64, last + 1);
        for (index, entry) in (0..).zip(entries) {
            assert_eq!((entry.index, &entry.payload), (index, &payload(group, index)));
        }
    }
}

/// One life: checks, then writes without end.
async fn live(world: World, promises: Promises) {
    let (_control, log) = open(&world).await;
    check(&log, &promises).await;
    let mut next: Vec<u64> =
        (0..GROUPS).map(|group| log.log_state(GroupId(group)).last.map_or(0, |id| id.index + 1)).collect();
    loop {
        let group = world.entropy.next_u64() % GROUPS;
        let index = next[group as usize];
        next[group as usize] += 1;
        if world.entropy.next_u64().is_multiple_of(8) {
            let vote = Vote { term: index, node: 1, committed: false };
            log.save_vote(GroupId(group), vote).await.unwrap();
            let mut promised = promises.lock().unwrap();
            promised.votes.insert(group, index);
            promised.reports += 1;
        }
        let record = LogRecord { index, term: 1, leader_node: 1, kind: 0, payload: payload(group, index) };
        let promises = promises.clone();
        let done = move |result: std::io::Result<()>| {
            result.unwrap();
            let mut promised = promises.lock().unwrap();
            promised.last.insert(group, index);
            promised.reports += 1;
        };
        log.append(GroupId(group), vec![record], Box::new(done)).await.unwrap();
        // Several appends share a sync, as several groups' do.
        if world.entropy.next_u64().is_multiple_of(4) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn simulation(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, Trace::new().into());
    simulation.add_host(HOST, "n1");
    simulation
}

fn start(simulation: &mut Simulation, promises: &Promises) {
    let promises = promises.clone();
    simulation.start(HOST, |world| live(world, promises));
}

#[test]
fn what_was_reported_durable_is_there_after_every_crash() {
    for seed in 0..20 {
        let mut simulation = simulation(seed);
        let mut dice = Dice::of(seed, "crashes", 0);
        let promises = Promises::default();
        for _ in 0..LIVES {
            start(&mut simulation, &promises);
            simulation.run_for(Duration::from_millis(dice.between(0, 150)));
            assert!(simulation.is_running(HOST), "seed {seed}: {:?}", simulation.last_death(HOST));
            let crash = [Crash::Kill, Crash::PowerLoss, Crash::PartialLoss][dice.below(3) as usize];
            simulation.crash(HOST, crash);
        }
        let kept = promises.clone();
        let checked = simulation.run(HOST, LIMIT, |world| async move {
            let (_control, log) = open(&world).await;
            check(&log, &kept).await;
        });
        assert!(checked.is_some(), "seed {seed}: the last check does not end");
        assert!(promises.lock().unwrap().reports > 50, "seed {seed}: too little was written to mean anything");
    }
}

#[test]
fn a_sync_that_fails_ends_the_node_and_nothing_it_covered_was_reported() {
    for nth in 1..=100 {
        let mut simulation = simulation(nth);
        let promises = Promises::default();
        start(&mut simulation, &promises);
        simulation.run_for(Duration::from_millis(100));
        simulation.drive(HOST).fail_sync(nth);
        let ended = simulation.run_until(LIMIT, |simulation| !simulation.is_running(HOST));
        assert!(ended, "sync {nth}: the node goes on");
        let reason = simulation.last_death(HOST);
        assert!(matches!(reason, Some(Death::Ended(EndReason::DiskFailed { .. }))), "sync {nth}: {reason:?}");
        let reports = promises.lock().unwrap().reports;

        simulation.crash(HOST, Crash::PowerLoss);
        start(&mut simulation, &promises);
        simulation.run_until(LIMIT, |_| promises.lock().unwrap().reports > reports);
        assert!(simulation.is_running(HOST), "sync {nth}: {:?}", simulation.last_death(HOST));
    }
}
