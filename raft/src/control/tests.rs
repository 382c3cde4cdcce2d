//! Tests of the control file; what it is for the log is tested beside the log.

use std::path::Path;

use super::slots::SLOT_BYTES;
use super::{CONTROL_FILE, Control, ControlError, ControlState};
use crate::log::GroupId;
use crate::segments::memory_disk::{Cut, Dice, MemoryDisk, memory_world};

const DIR: &str = "/node";

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
}

async fn create(disk: &MemoryDisk) -> Control {
    let (world, _) = memory_world(disk);
    world.disk.create_dir_all(Path::new(DIR)).await.unwrap();
    Control::create(&world, Path::new(DIR), 7, 1).await.unwrap()
}

async fn open(disk: &MemoryDisk) -> Result<Control, ControlError> {
    Control::open(&memory_world(disk).0, Path::new(DIR)).await
}

fn note(number: u64) -> impl FnOnce(&mut ControlState) + Send + 'static {
    move |state| state.group_mut(GroupId(1)).purged = Some(crate::log::LogId { term: 1, leader_node: 1, index: number })
}

fn noted(control: &Control) -> u64 {
    control.read(|state| state.groups.get(&GroupId(1)).and_then(|group| group.purged).map_or(0, |id| id.index))
}

#[test]
fn a_read_that_the_drive_cuts_short_is_no_damage() {
    run(async {
        let disk = MemoryDisk::default();
        let control = create(&disk).await;
        control.update(note(1)).await.unwrap();
        drop(control);
        // The second slot's write was cut off by a loss of power.
        disk.tamper(&Path::new(DIR).join(CONTROL_FILE), |bytes| bytes[SLOT_BYTES..SLOT_BYTES + 512].fill(0));
        disk.cut_next_read();
        assert!(matches!(open(&disk).await, Err(ControlError::Io(_))));
        assert_eq!(noted(&open(&disk).await.unwrap()), 1);
    });
}

#[test]
fn an_update_survives_a_power_cut_at_any_operation() {
    let operations = run(async {
        let disk = MemoryDisk::default();
        let control = create(&disk).await;
        let before = disk.operations();
        control.update(note(1)).await.unwrap();
        disk.operations() - before
    });
    for stop in 1..=3 * operations {
        for seed in 0..8 {
            run(async {
                let disk = MemoryDisk::default();
                let control = create(&disk).await;
                disk.stop_at(Some(disk.operations() + stop));
                let mut acknowledged = 0;
                for number in 1..=4 {
                    tokio::select! {
                        biased;
                        result = control.update(note(number)) => { result.unwrap(); acknowledged = number; }
                        () = disk.died() => break,
                    }
                }
                let disk = disk.after_power_cut(Cut::Tears, &mut Dice(seed));
                let again = open(&disk).await.unwrap();
                let found = noted(&again);
                assert!(found == acknowledged || found == acknowledged + 1, "{found} for {acknowledged}");
                assert!(again.generation() >= acknowledged);
            });
        }
    }
}

#[test]
fn updates_are_applied_in_the_order_they_were_asked_for_and_share_writes() {
    run(async {
        let disk = MemoryDisk::default();
        let control = create(&disk).await;
        let updates: Vec<_> = (1..=100).map(|number| control.update(note(number))).collect();
        for update in updates {
            update.await.unwrap();
        }
        assert_eq!(noted(&control), 100);
        assert!(control.generation() < 10, "{}", control.generation());
    });
}

#[test]
fn a_state_that_outgrows_its_slot_is_refused_and_the_rest_is_kept() {
    run(async {
        let control = create(&MemoryDisk::default()).await;
        let too_much = control.update(|state| {
            let checkpoint = super::CheckpointRecord {
                generation: 1,
                applied: None,
                digest: [0; 32],
                changes_seq: 0,
                changes_hash: [0; 32],
                membership: vec![0; 2 << 20],
            };
            state.group_mut(GroupId(2)).checkpoint = Some(checkpoint);
        });
        let fine = control.update(note(5));
        assert!(matches!(too_much.await, Err(ControlError::TooLarge { .. })));
        fine.await.unwrap();
        assert_eq!(noted(&control), 5);
        assert!(control.read(|state| !state.groups.contains_key(&GroupId(2))));
    });
}

#[test]
fn a_flipped_bit_in_one_slot_is_harmless() {
    run(async {
        let disk = MemoryDisk::default();
        let control = create(&disk).await;
        control.update(note(3)).await.unwrap();
        let path = Path::new("/node/control");
        let slot = disk.contents(path).len() / 2;
        for start in [0, slot] {
            for bit in (0..200 * 8).step_by(7) {
                let rotten = disk.after_power_cut(Cut::KeepsAll, &mut Dice(0));
                rotten.tamper(path, |bytes| bytes[start + bit / 8] ^= 1 << (bit % 8));
                assert_eq!(noted(&open(&rotten).await.unwrap()), 3);
            }
        }
    });
}
