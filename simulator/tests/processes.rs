//! The life of simulated processes: their clocks, their end, and what one of them can know of another.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_simulator::{Crash, HostId, Simulation, Trace};

const ONE: HostId = HostId(1);
const OTHER: HostId = HostId(2);

fn simulation(seed: u64) -> Simulation {
    let mut simulation = Simulation::new(seed, Trace::new().into());
    simulation.add_host(ONE, "n1");
    simulation.add_host(OTHER, "n2");
    simulation
}

#[test]
fn how_old_something_is_in_a_process_is_told_by_its_own_clock_also_to_who_looks_from_outside() {
    let mut simulation = simulation(1);
    let heard = Arc::new(Mutex::new(None));
    let note = heard.clone();
    simulation.start(ONE, |_world| async move {
        *note.lock().unwrap() = Some(tokio::time::Instant::now());
        std::future::pending::<()>().await;
    });
    simulation.run_for(Duration::from_secs(100));
    let age = || heard.lock().unwrap().map(|at| at.elapsed());
    assert_eq!(simulation.within(ONE, age).flatten(), Some(Duration::from_secs(100)));
    assert_eq!(simulation.within(OTHER, age), None, "it has no process");
}

#[test]
fn a_crash_ends_also_what_a_library_has_spawned() {
    struct Mark(Arc<AtomicBool>);
    impl Drop for Mark {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let mut simulation = simulation(1);
    let (dropped, beats) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (mark, beat) = (Mark(dropped.clone()), beats.clone());
    simulation.start(ONE, |_world| async move {
        tokio::spawn(async move {
            let _mark = mark;
            loop {
                beat.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    });
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(beats.load(Ordering::Relaxed), 100);
    assert!(simulation.is_running(ONE), "a process goes on when its main has returned");
    simulation.crash(ONE, Crash::Kill);
    assert!(dropped.load(Ordering::Relaxed));
    simulation.run_for(Duration::from_secs(1));
    assert_eq!(beats.load(Ordering::Relaxed), 100);
}

#[test]
fn simulated_time_goes_on_over_a_restart_and_monotonic_time_begins_anew() {
    let mut simulation = simulation(1);
    let limit = Duration::from_secs(1);
    let clocks = |world: holdfast_world::World| async move {
        let first = (world.clock.wall_ms(), world.clock.monotonic());
        tokio::time::sleep(Duration::from_millis(250)).await;
        (first, (world.clock.wall_ms(), world.clock.monotonic()))
    };
    let before = simulation.now();
    let (start, end) = simulation.run(ONE, limit, clocks).unwrap();
    assert_eq!(start.1, Duration::ZERO);
    assert_eq!((end.0 - start.0, end.1), (250, Duration::from_millis(250)));

    simulation.run_for(Duration::from_millis(1_000));
    simulation.set_wall_offset_ms(ONE, -40);
    let passed = simulation.now() - before;
    let (again, _) = simulation.run(ONE, limit, clocks).unwrap();
    assert_eq!(again.1, Duration::ZERO);
    assert_eq!(again.0, start.0 + u64::try_from(passed.as_millis()).unwrap() - 40);
}

#[test]
fn each_process_draws_its_own_randomness_and_a_seed_draws_it_again() {
    let drawn = |seed| {
        let mut simulation = simulation(seed);
        let numbers = Arc::new(Mutex::new(Vec::new()));
        for host in [ONE, OTHER, ONE] {
            let numbers = numbers.clone();
            simulation.start(host, |world| async move { numbers.lock().unwrap().push(world.entropy.next_u64()) });
            simulation.run_for(Duration::from_millis(1));
            simulation.crash(host, Crash::Kill);
        }
        Arc::try_unwrap(numbers).unwrap().into_inner().unwrap()
    };
    let numbers = drawn(1);
    assert_eq!(numbers, drawn(1));
    assert!(numbers[0] != numbers[1] && numbers[0] != numbers[2] && numbers[1] != numbers[2]);
    assert_ne!(numbers, drawn(2));
}

#[test]
#[should_panic(expected = "as the test wants it")]
fn a_panic_of_a_process_is_a_panic_of_the_simulation() {
    let mut simulation = simulation(1);
    simulation.start(ONE, |_world| async { panic!("as the test wants it") });
    simulation.run_for(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "has started a thread")]
fn a_thread_started_by_a_process_is_a_panic_of_the_simulation() {
    let mut simulation = simulation(1);
    simulation.start(ONE, |_world| async {
        let _ = tokio::task::spawn_blocking(|| ()).await;
    });
    simulation.run_for(Duration::from_secs(1));
}

#[test]
fn a_clock_at_half_or_twice_the_rate_moves_all_waiting_with_it_and_the_wall_clock_stays_right() {
    for (permille, aged_ms) in [(500, 500), (2_000, 2_000), (1_000, 1_000)] {
        let mut simulation = simulation(1);
        let beats = Arc::new(AtomicU64::new(0));
        let (beat, wall) = (beats.clone(), Arc::new(AtomicU64::new(0)));
        let seen = wall.clone();
        simulation.start(ONE, |world| async move {
            let begun = world.clock.wall_ms();
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                beat.fetch_add(1, Ordering::Relaxed);
                seen.store(world.clock.wall_ms() - begun, Ordering::Relaxed);
            }
        });
        simulation.run_for(Duration::from_secs(1));
        simulation.set_clock_rate(ONE, permille);
        let (before, wall_before) = (beats.load(Ordering::Relaxed), wall.load(Ordering::Relaxed));
        simulation.run_for(Duration::from_secs(1));
        let aged = beats.load(Ordering::Relaxed) - before;
        assert!(aged.abs_diff(aged_ms) <= 1, "{permille}: {aged}");
        let passed = wall.load(Ordering::Relaxed) - wall_before;
        assert!(passed.abs_diff(1_000) <= 2, "{permille}: {passed} ms by the wall clock");
    }
}

#[test]
fn a_paused_process_does_nothing_and_then_finds_that_the_time_has_passed() {
    let mut simulation = simulation(1);
    let beats = Arc::new(Mutex::new(Vec::new()));
    let beat = beats.clone();
    simulation.start(ONE, |world| async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            beat.lock().unwrap().push(world.clock.monotonic().as_millis());
        }
    });
    simulation.run_for(Duration::from_millis(250));
    simulation.pause(ONE, Duration::from_secs(5));
    simulation.run_for(Duration::from_millis(4_999));
    assert_eq!(*beats.lock().unwrap(), [100, 200]);
    simulation.run_for(Duration::from_millis(102));
    assert_eq!(*beats.lock().unwrap(), [100, 200, 5_250, 5_350]);
}

#[test]
fn a_process_crashes_in_the_very_poll() {
    for nth in 0..5 {
        let mut simulation = simulation(1);
        let polls = Arc::new(AtomicU64::new(0));
        let poll = polls.clone();
        simulation.start(ONE, |world| async move {
            loop {
                // Nothing that leaves the process is done any more in the poll that it does not survive.
                world.disk.exists(std::path::Path::new("file")).await.unwrap();
                poll.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        simulation.crash_in_poll(ONE, nth, Crash::PowerLoss);
        simulation.run_for(Duration::from_secs(1));
        assert!(!simulation.is_running(ONE));
        assert_eq!(polls.load(Ordering::Relaxed), nth);
    }
}
