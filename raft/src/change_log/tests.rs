//! Tests of the change log on the real disk.

use std::path::Path;

use holdfast_inventory::Frontier;
use holdfast_world::World;

use super::format::hash_of;
use super::{ChangeLog, ChangeLogError, ChangeLogOptions};
use crate::log::GroupId;
use crate::segments::memory_disk::{Cut, Dice, MemoryDisk, memory_world};

const GROUP: GroupId = GroupId(4);

fn options() -> ChangeLogOptions {
    ChangeLogOptions { file_bytes: 4_096, retention_bytes: 20_000 }
}

async fn open(dir: &Path, checkpoint: u64) -> Result<ChangeLog, ChangeLogError> {
    ChangeLog::open(&World::real(), dir, GROUP, 9, options(), tree(checkpoint)).await
}

fn event(seq: u64) -> Vec<u8> {
    format!("event {seq} {}", "x".repeat(usize::try_from(seq % 90).unwrap())).into_bytes()
}

/// The tree of the events up to `seq`.
fn tree(seq: u64) -> Frontier {
    (1..=seq).fold(Frontier::default(), |mut tree, seq| {
        tree.push(hash_of(&event(seq)));
        tree
    })
}

async fn append(log: &ChangeLog, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        log.append(seq, &event(seq)).await.unwrap();
        if seq % 20 == 0 {
            log.sync_through(seq).await;
        }
    }
}

async fn assert_holds(log: &ChangeLog, from: u64, to: u64) {
    let changes = log.read(from, usize::MAX).await.unwrap();
    assert_eq!(changes.first().map(|change| change.seq), Some(from));
    assert_eq!(changes.last().map(|change| change.seq), Some(to));
    assert!(changes.iter().all(|change| change.bytes == event(change.seq)));
}

#[tokio::test]
async fn a_start_cuts_back_to_the_checkpoint_and_replay_writes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 0).await.unwrap();
    append(&log, 1..=130).await;
    assert_holds(&log, 1, 130).await;
    drop(log);
    let log = open(dir.path(), 117).await.unwrap();
    assert_eq!((log.last_seq(), log.floor()), (117, 1));
    append(&log, 118..=140).await;
    assert_holds(&log, 60, 140).await;
    log.verify().await.unwrap();
    assert!(matches!(log.append(142, b"").await, Err(ChangeLogError::NotConsecutive { last: 140, .. })));
}

#[tokio::test]
async fn retention_drops_whole_old_files_and_tells_the_floor() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 0).await.unwrap();
    append(&log, 1..=2_000).await;
    let floor = log.floor();
    assert!(floor > 1);
    assert_holds(&log, floor, 2_000).await;
    assert!(matches!(log.read(floor - 1, 1).await, Err(ChangeLogError::BelowFloor { .. })));
    drop(log);
    let log = open(dir.path(), 2_000).await.unwrap();
    assert_holds(&log, floor, 2_000).await;
}

#[tokio::test]
async fn a_log_that_ends_before_its_checkpoint_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 0).await.unwrap();
    append(&log, 1..=10).await;
    log.sync_through(10).await;
    drop(log);
    let error = open(dir.path(), 11).await.unwrap_err();
    assert!(matches!(error, ChangeLogError::EndsEarly { found: 10, wanted: 11, .. }), "{error}");
    let log = ChangeLog::begin(&World::real(), dir.path(), GROUP, 9, options(), tree(11)).await.unwrap();
    append(&log, 12..=30).await;
    assert_holds(&log, 12, 30).await;
}

#[tokio::test]
async fn a_flipped_bit_in_any_byte_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 0).await.unwrap();
    append(&log, 1..=5).await;
    log.sync_through(5).await;
    drop(log);
    let path = dir.path().join(format!("{:020}.changes", 1));
    let whole = std::fs::read(&path).unwrap();
    for byte in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(open(dir.path(), 5).await, Err(ChangeLogError::EndsEarly { .. })), "byte {byte}");
    }
}

#[test]
fn what_was_synced_survives_power_cuts() {
    for seed in 0..120 {
        let run = tokio::runtime::Builder::new_current_thread().build().unwrap();
        run.block_on(async {
            let mut dice = Dice(seed);
            let disk = MemoryDisk::default();
            let (world, _) = memory_world(&disk);
            let dir = Path::new("/changes");
            let log = ChangeLog::open(&world, dir, GROUP, 9, options(), tree(0)).await.unwrap();
            disk.stop_at(Some(disk.operations() + 1 + dice.below(60)));
            let work = async {
                for seq in 1.. {
                    log.append(seq, &event(seq)).await.unwrap();
                    if dice.below(15) == 0 {
                        log.sync_through(seq).await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = disk.died() => {}
                () = work => {}
            }
            let synced = log.synced();
            let disk = disk.after_power_cut(Cut::Tears, &mut Dice(seed));
            let (world, _) = memory_world(&disk);
            let again = ChangeLog::open(&world, dir, GROUP, 9, options(), tree(synced)).await.unwrap();
            assert_eq!(again.last_seq(), synced, "seed {seed}");
            if synced > 0 {
                assert_holds(&again, again.floor(), synced).await;
            }
            append(&again, synced + 1..=synced + 50).await;
            assert_holds(&again, again.floor(), synced + 50).await;
        });
    }
}
