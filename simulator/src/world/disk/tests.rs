//! What the disk may do to its users, each as a claim.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_world::{EndReason, OpenMode, World};

use crate::world::{Death, ReadFailure};
use crate::{Crash, Dice, HostId, Simulation, Trace};

const HOST: HostId = HostId(1);
const LIMIT: Duration = Duration::from_secs(10);

fn simulation() -> Simulation {
    let mut simulation = Simulation::new(1, Trace::new().into());
    simulation.add_host(HOST, "n1");
    simulation
}

/// Runs `work` in a process, which is killed then.
fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    simulation: &mut Simulation,
    work: impl FnOnce(World) -> F,
) -> T {
    simulation.run(HOST, LIMIT, work).expect("the work ends in time")
}

/// A power loss after `work`, before the operating system has written anything by itself.
fn lose_power_after<F: Future<Output = ()> + Send + 'static>(
    simulation: &mut Simulation,
    work: impl FnOnce(World) -> F,
) {
    let done = Arc::new(AtomicBool::new(false));
    let mark = done.clone();
    simulation.start(HOST, |world| {
        let work = work(world);
        async move {
            work.await;
            mark.store(true, Ordering::Relaxed);
        }
    });
    assert!(simulation.run_until(LIMIT, |_| done.load(Ordering::Relaxed)), "the work ends in time");
    simulation.crash(HOST, Crash::PowerLoss);
}

async fn write(world: &World, path: &str, bytes: &[u8]) {
    let path = Path::new(path);
    let file = match world.disk.exists(path).await.unwrap() {
        true => world.disk.open(path, OpenMode::ReadWrite).await.unwrap(),
        false => world.disk.open(path, OpenMode::CreateNew).await.unwrap(),
    };
    file.write_all_at(bytes, 0).await.unwrap();
}

async fn sync(world: &World, path: &str) {
    world.disk.open(Path::new(path), OpenMode::ReadWrite).await.unwrap().sync_data().await.unwrap();
}

async fn sync_dir(world: &World, path: &str) {
    world.disk.sync_dir(Path::new(path)).await.unwrap();
}

async fn read(world: &World, path: &str) -> Option<Vec<u8>> {
    let file = world.disk.open(Path::new(path), OpenMode::Read).await.ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().await.unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).await.unwrap();
    Some(bytes)
}

/// What `path` holds after a restart.
fn found(simulation: &mut Simulation, path: &'static str) -> Option<Vec<u8>> {
    run(simulation, move |world| async move { read(&world, path).await })
}

#[test]
fn unsynced_writes_vanish_when_the_power_is_lost_and_synced_ones_stay() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        sync(&world, "log").await;
        sync_dir(&world, "").await;
        write(&world, "log", b"two and more").await;
    });
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
}

#[test]
fn unsynced_writes_survive_a_kill_of_the_process() {
    let mut simulation = simulation();
    run(&mut simulation, |world| async move { write(&world, "log", b"one").await });
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
}

#[test]
fn a_new_file_vanishes_without_a_sync_of_its_folder() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        sync(&world, "log").await;
    });
    assert_eq!(found(&mut simulation, "log"), None);
}

#[test]
fn a_file_vanishes_when_the_folder_above_its_own_was_not_synced() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        world.disk.create_dir_all(Path::new("data/log")).await.unwrap();
        write(&world, "data/log/1", b"one").await;
        sync(&world, "data/log/1").await;
        sync_dir(&world, "data/log").await;
        sync_dir(&world, "").await;
    });
    assert_eq!(found(&mut simulation, "data/log/1"), None);
}

#[test]
fn a_rename_without_a_sync_of_the_folder_is_undone() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "old", b"one").await;
        sync(&world, "old").await;
        sync_dir(&world, "").await;
        world.disk.rename(Path::new("old"), Path::new("new")).await.unwrap();
    });
    assert_eq!(found(&mut simulation, "new"), None);
    assert_eq!(found(&mut simulation, "old"), Some(b"one".to_vec()));
}

#[test]
fn a_rename_with_a_sync_of_the_folder_stays() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "old", b"one").await;
        sync(&world, "old").await;
        world.disk.rename(Path::new("old"), Path::new("new")).await.unwrap();
        sync_dir(&world, "").await;
    });
    assert_eq!(found(&mut simulation, "new"), Some(b"one".to_vec()));
    assert_eq!(found(&mut simulation, "old"), None);
}

#[test]
fn a_removed_file_comes_back_without_a_sync_of_the_folder() {
    let mut simulation = simulation();
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        sync(&world, "log").await;
        sync_dir(&world, "").await;
        world.disk.remove_file(Path::new("log")).await.unwrap();
    });
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
}

#[test]
fn the_chosen_sync_fails_and_the_next_one_saves_nothing_of_it() {
    let mut simulation = simulation();
    simulation.drive(HOST).fail_sync(3);
    lose_power_after(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        sync(&world, "log").await;
        sync_dir(&world, "").await;
        write(&world, "log", b"two").await;
        let file = world.disk.open(Path::new("log"), OpenMode::ReadWrite).await.unwrap();
        let error = file.sync_data().await.expect_err("the third sync fails");
        assert_eq!(error.raw_os_error(), Some(5));
        file.sync_data().await.unwrap();
        assert_eq!(read(&world, "log").await.unwrap(), b"two");
    });
    assert_eq!(simulation.drive(HOST).syncs_ended(), 4);
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
}

#[test]
fn what_a_process_had_under_way_when_it_ended_itself_is_never_done() {
    let mut simulation = simulation();
    simulation.start(HOST, |world| async move {
        write(&world, "log", b"one").await;
        let file = world.disk.open(Path::new("log"), OpenMode::ReadWrite).await.unwrap();
        let reason = EndReason::BrokenInvariant { belief: "as the test wants it".to_owned() };
        world.end.end(reason);
        file.write_all_at(b"two", 0).await.unwrap();
        unreachable!("a dead process goes on");
    });
    assert!(simulation.run_until(LIMIT, |simulation| !simulation.is_running(HOST)));
    assert!(matches!(simulation.last_death(HOST), Some(Death::Ended(EndReason::BrokenInvariant { .. }))));
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
}

#[test]
fn a_folder_is_locked_once_until_its_owner_lets_go_or_dies() {
    let mut simulation = simulation();
    for _ in 0..2 {
        run(&mut simulation, |world| async move {
            world.disk.create_dir_all(Path::new("data")).await.unwrap();
            let first = world.disk.lock_dir(Path::new("data")).await.unwrap();
            let second = world.disk.lock_dir(Path::new("data")).await.expect_err("it is locked");
            assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
            drop(first);
            let third = world.disk.lock_dir(Path::new("data")).await.unwrap();
            // Kept by a task of its own, the lock ends with the process only.
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(third);
            });
        });
    }
}

#[test]
fn a_folder_is_listed_sorted_and_a_missing_one_is_an_error() {
    let mut simulation = simulation();
    run(&mut simulation, |world| async move {
        world.disk.create_dir_all(Path::new("data")).await.unwrap();
        write(&world, "data/b", b"").await;
        write(&world, "data/a", b"").await;
        let listed = world.disk.list(Path::new("data")).await.unwrap();
        assert_eq!(listed, [PathBuf::from("data/a"), PathBuf::from("data/b")]);
        assert!(world.disk.list(Path::new("none")).await.is_err());
    });
}

#[test]
fn a_state_store_keeps_what_was_synced_and_moves_with_its_folder() {
    let mut simulation = simulation();
    let put = |value: &'static [u8]| vec![(b"key".to_vec(), Some(Bytes::from_static(value)))];
    lose_power_after(&mut simulation, move |world| async move {
        let store = world.states.open(Path::new("state")).await.unwrap();
        sync_dir(&world, "").await;
        store.write("shard", put(b"one")).await.unwrap();
        store.sync().await.unwrap();
        store.write("shard", put(b"two")).await.unwrap();
    });
    run(&mut simulation, |world| async move {
        let store = world.states.open(Path::new("state")).await.unwrap();
        assert_eq!(store.get("shard", b"key").await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.keys("shard", b"k").await.unwrap(), [b"key".to_vec()]);
        store.close().await.unwrap();
        world.disk.rename(Path::new("state"), Path::new("aside")).await.unwrap();
        let fresh = world.states.open(Path::new("state")).await.unwrap();
        assert_eq!(fresh.get("shard", b"key").await.unwrap(), None);
        let aside = world.states.open(Path::new("aside")).await.unwrap();
        assert_eq!(aside.get("shard", b"key").await.unwrap().as_deref(), Some(&b"one"[..]));
    });
}

#[test]
fn a_partial_loss_keeps_the_first_changes_of_a_folder_and_a_rename_whole() {
    let mut counts = [0; 4];
    for seed in 0..100 {
        let mut simulation = Simulation::new(seed, Trace::new().into());
        simulation.add_host(HOST, "n1");
        lose_power_after(&mut simulation, |world| async move {
            write(&world, "one", b"1").await;
            sync(&world, "one").await;
            sync_dir(&world, "").await;
        });
        simulation.start(HOST, |world| async move {
            write(&world, "two", b"2").await;
            world.disk.rename(Path::new("one"), Path::new("three")).await.unwrap();
            world.disk.remove_file(Path::new("two")).await.unwrap();
        });
        simulation.run_for(Duration::from_millis(1));
        simulation.crash(HOST, Crash::PartialLoss);
        let files: Vec<String> =
            simulation.drive(HOST).files().iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let states = [&["one"][..], &["one", "two"], &["three", "two"], &["three"]];
        let state = states.iter().position(|state| files == *state);
        counts[state.unwrap_or_else(|| panic!("seed {seed}: {files:?}"))] += 1;
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}

#[test]
fn a_full_drive_takes_nothing_that_needs_room_until_there_is_room_again() {
    let mut simulation = simulation();
    run(&mut simulation, |world| async move { write(&world, "log", b"one").await });
    simulation.drive(HOST).set_full(true);
    run(&mut simulation, |world| async move {
        let file = world.disk.open(Path::new("log"), OpenMode::ReadWrite).await.unwrap();
        file.write_all_at(b"two", 0).await.unwrap();
        for error in [
            file.write_all_at(b"four", 0).await.unwrap_err(),
            file.set_len(9).await.unwrap_err(),
            world.disk.open(Path::new("new"), OpenMode::CreateNew).await.map(drop).unwrap_err(),
            world.disk.create_dir_all(Path::new("folder")).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        }
    });
    simulation.drive(HOST).set_full(false);
    run(&mut simulation, |world| async move { write(&world, "new", b"one").await });
    assert_eq!(found(&mut simulation, "log"), Some(b"two".to_vec()));
}

#[test]
fn a_read_fails_once_or_ends_early_once() {
    for (failure, kind) in [(ReadFailure::Error, None), (ReadFailure::Short, Some(std::io::ErrorKind::UnexpectedEof))] {
        let mut simulation = simulation();
        run(&mut simulation, |world| async move { write(&world, "log", b"one").await });
        simulation.drive(HOST).fail_read(2, failure);
        run(&mut simulation, move |world| async move {
            let file = world.disk.open(Path::new("log"), OpenMode::Read).await.unwrap();
            let mut bytes = [0; 3];
            file.read_exact_at(&mut bytes, 0).await.unwrap();
            let error = file.read_exact_at(&mut bytes, 0).await.unwrap_err();
            assert_eq!(error.raw_os_error().is_none().then_some(error.kind()), kind);
            file.read_exact_at(&mut bytes, 0).await.unwrap();
        });
    }
}

#[test]
fn a_slow_drive_takes_its_time_to_sync() {
    let mut simulation = simulation();
    simulation.drive(HOST).set_sync_ms(3_000, 4_000);
    let took = run(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        sync(&world, "log").await;
        world.clock.monotonic()
    });
    assert!(took >= Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_sync_that_is_asked_for_again_after_it_failed_is_counted() {
    let mut simulation = simulation();
    simulation.drive(HOST).fail_sync(1);
    run(&mut simulation, |world| async move {
        write(&world, "log", b"one").await;
        let file = world.disk.open(Path::new("log"), OpenMode::ReadWrite).await.unwrap();
        file.sync_data().await.unwrap_err();
        sync_dir(&world, "").await;
    });
    let counts =
        |simulation: &Simulation| (simulation.drive(HOST).syncs_failed(), simulation.drive(HOST).syncs_retried());
    assert_eq!(counts(&simulation), (1, 0));
    simulation.drive(HOST).fail_sync(1);
    run(&mut simulation, |world| async move {
        let file = world.disk.open(Path::new("log"), OpenMode::ReadWrite).await.unwrap();
        file.sync_data().await.unwrap_err();
        file.sync_data().await.unwrap();
    });
    assert_eq!(counts(&simulation), (2, 1));
}

#[test]
fn a_machine_goes_down_in_the_very_operation() {
    for nth in 1..=4 {
        let mut simulation = simulation();
        simulation.drive(HOST).crash_in(nth, Crash::Kill);
        simulation.start(HOST, |world| async move {
            let file = world.disk.open(Path::new("log"), OpenMode::CreateNew).await.unwrap();
            for at in 0..10 {
                file.write_all_at(b"x", at).await.unwrap();
            }
        });
        simulation.run_for(Duration::from_millis(2));
        assert_eq!(simulation.last_death(HOST), Some(Death::Crashed));
        let written = found(&mut simulation, "log").map_or(0, |bytes| 1 + bytes.len() as u64);
        assert_eq!(written, nth - 1);
    }
}

#[test]
fn a_drive_can_be_wiped_lose_a_file_rot_and_be_an_older_copy_of_itself() {
    let mut simulation = simulation();
    let keep = |world: World, bytes: &'static [u8]| async move {
        write(&world, "log", bytes).await;
        sync(&world, "log").await;
        sync_dir(&world, "").await;
        let store = world.states.open(Path::new("state")).await.unwrap();
        store.write("shard", vec![(b"key".to_vec(), Some(Bytes::from_static(bytes)))]).await.unwrap();
        store.sync().await.unwrap();
    };
    let stored = |simulation: &mut Simulation| {
        run(simulation, |world| async move {
            let store = world.states.open(Path::new("state")).await.unwrap();
            store.get("shard", b"key").await.unwrap().map(|bytes| bytes.to_vec())
        })
    };
    run(&mut simulation, |world| keep(world, b"one"));
    let path = Path::new("log");
    let (file, drive) = (simulation.drive(HOST).copy_file(path).unwrap(), simulation.drive(HOST).copy());
    run(&mut simulation, |world| keep(world, b"two"));

    simulation.drive(HOST).put_file_back(file);
    assert_eq!(found(&mut simulation, "log"), Some(b"one".to_vec()));
    assert_eq!(stored(&mut simulation), Some(b"two".to_vec()));
    simulation.drive(HOST).put_back(drive);
    assert_eq!(stored(&mut simulation), Some(b"one".to_vec()));

    assert_eq!(simulation.drive(HOST).used_sectors(path), [0]);
    simulation.drive(HOST).flip(path, 2, 0);
    assert_eq!(found(&mut simulation, "log"), Some(b"ond".to_vec()));
    assert_eq!(simulation.drive(HOST).flip_in_stores(&mut Dice::new(1)).as_deref(), Some("shard"));
    assert_ne!(stored(&mut simulation), Some(b"one".to_vec()));

    simulation.drive(HOST).remove(path);
    assert_eq!(found(&mut simulation, "log"), None);
    assert_ne!(stored(&mut simulation), None);
    simulation.drive(HOST).wipe();
    assert_eq!(stored(&mut simulation), None);
}

#[test]
fn what_was_written_last_is_what_is_durable_and_its_bytes_in_use_are_those_that_are_not_zero() {
    let mut simulation = simulation();
    let (log, other) = (Path::new("1.segment"), Path::new("other"));
    run(&mut simulation, |world| async move {
        for path in [log, other] {
            let file = world.disk.open(path, OpenMode::CreateNew).await.unwrap();
            file.write_all_at(&[0; 64], 0).await.unwrap();
            file.write_all_at(&[0, 7, 0, 9], 16).await.unwrap();
            file.sync_data().await.unwrap();
        }
        let file = world.disk.open(log, OpenMode::ReadWrite).await.unwrap();
        file.write_all_at(&[5; 8], 32).await.unwrap();
    });
    let drive = simulation.drive(HOST);
    assert_eq!(drive.newest_write(|path| path == other), Some((other.to_owned(), 16, 4)));
    assert_eq!(drive.used_bytes(other, 0..64), [17, 19]);
    assert_eq!(drive.used_bytes(other, 18..1_000), [19], "the file ends before that");
    assert!(drive.used_bytes(other, 2_000..3_000).is_empty() && drive.used_bytes(Path::new("none"), 0..9).is_empty());
    // The run was killed: then the system writes what it was given.
    assert_eq!(drive.newest_write(|path| path == log), Some((log.to_owned(), 32, 8)));
}
