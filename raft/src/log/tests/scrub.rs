//! The scrubber's walk: what rots while a node runs is found before it is read, and mended where it can be.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::node::{Node, append, flip, id, record, run, start};
use crate::log::{GroupId, LogRecord, Mended, Rot, RotCounts, Scrub, Vote};
use crate::segments::memory_disk::{Cut, Dice, MemoryDisk};
use crate::segments::{BLOCK, SECTOR};

const SEGMENT: &str = "/node/log/00000001.segment";
const ONE: GroupId = GroupId(1);

fn clean(disk: &MemoryDisk) -> MemoryDisk {
    disk.after_power_cut(Cut::KeepsAll, &mut Dice(0))
}

fn segment(number: u64) -> String {
    format!("/node/log/{number:08}.segment")
}

/// Waits until a segment is out of use.
async fn until_gone(node: &Node, generation: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while node.log.has_segment(generation) {
        assert!(Instant::now() < deadline, "segment {generation} is in use still");
        tokio::task::yield_now().await;
    }
}

/// A whole pass.
async fn scrub(node: &Node) -> Vec<Rot> {
    let (mut walk, mut found, mut bytes) = (Scrub::default(), Vec::new(), 0);
    while let Some(step) = node.log.scrub(&mut walk).await.unwrap() {
        bytes += step.bytes;
        assert!(step.bytes <= (256 << 10) + 3 * BLOCK, "a step reads a piece");
        found.extend(step.found);
    }
    assert!(bytes > 0);
    found
}

#[test]
fn an_entry_that_rots_while_it_is_in_memory_is_written_anew_and_its_group_goes_on() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, ONE, vec![record(0, 1, vec![9; 1_000]), record(1, 1, vec![8; 1_000])]).await;
        assert_eq!(scrub(&node).await, []);
        flip(&disk, SEGMENT, [9; 50]);
        assert_eq!(scrub(&node).await, [Rot::Mended { group: ONE, id: id(1, 0) }]);
        assert!(!node.log.is_damaged(ONE));
        assert_eq!(node.log.rot_counts(), RotCounts { found: 1, mended: 1 });
        // What is rotten still is needed by nobody.
        assert_eq!(scrub(&node).await, []);
        node.log.close().await;
        let again = start(&clean(&disk)).await.unwrap();
        assert!(again.recovered.damaged.is_empty());
        assert_eq!(again.log.entries(ONE, 0..1, 1).await.unwrap(), [record(0, 1, vec![9; 1_000])]);
    });
}

#[test]
fn a_group_that_runs_is_written_to_while_it_waits_for_a_copy() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        node.log.attend(ONE);
        append(&node.log, ONE, vec![record(0, 1, vec![9; 3_000])]).await;
        // Pushes it out of memory.
        append(&node.log, ONE, vec![record(1, 1, vec![8; 4_000])]).await;
        flip(&disk, SEGMENT, [9; 50]);
        assert_eq!(scrub(&node).await, [Rot::Entry { group: ONE, id: id(1, 0) }]);
        assert!(node.log.is_damaged(ONE));
        assert_eq!(node.log.to_be_mended(), [ONE]);
        append(&node.log, ONE, vec![record(2, 1, vec![7; 10])]).await;
        node.log.save_vote(ONE, Vote { term: 2, node: 1, committed: false }).await.unwrap();
        let waiting = node.log.clone();
        let mended = tokio::spawn(async move { waiting.is_mended(ONE).await });
        tokio::task::yield_now().await;
        assert!(!mended.is_finished());
        let copy = record(0, 1, vec![9; 3_000]);
        let expected = Mended { mended: vec![id(1, 0)], ..Mended::default() };
        assert_eq!(node.log.repair(ONE, vec![copy.clone()]).await.unwrap(), expected);
        assert!(mended.await.unwrap());
        assert_eq!(node.log.entries(ONE, 0..1, 1).await.unwrap(), [copy]);
        // Nobody mends it any more: who waits is told.
        append(&node.log, ONE, vec![record(3, 1, vec![6; 4_000])]).await;
        flip(&disk, SEGMENT, [8; 50]);
        assert_eq!(scrub(&node).await, [Rot::Entry { group: ONE, id: id(1, 1) }]);
        let waiting = node.log.clone();
        let mended = tokio::spawn(async move { waiting.is_mended(ONE).await });
        tokio::task::yield_now().await;
        node.log.attend_none();
        assert!(!mended.await.unwrap());
        assert!(node.log.append(ONE, vec![record(4, 1, vec![5])], Box::new(|_| ())).await.is_err());
    });
}

/// Several segments, with one entry a batch.
async fn long_log() -> (MemoryDisk, Node) {
    let disk = MemoryDisk::default();
    let node = start(&disk).await.unwrap();
    for index in 0..60 {
        append(&node.log, ONE, vec![record(index, 1, vec![7; 3_000])]).await;
    }
    (disk, node)
}

#[test]
fn a_segment_with_a_rotten_head_is_left_behind_so_that_no_start_reads_it() {
    run(async {
        // The prologue, its table, and the first one of a segment.
        for at in [3 * BLOCK + 20, 3 * BLOCK + 120, 20] {
            let (disk, node) = long_log().await;
            let generations: Vec<u64> =
                node.control.read(|control| control.segments.iter().map(|s| s.generation).collect());
            let second = generations[1];
            disk.tamper(Path::new(&segment(2)), |bytes| bytes[at] ^= 1);
            assert!(start(&clean(&disk)).await.unwrap().log.is_damaged(ONE), "a start would not know what was lost");
            assert_eq!(scrub(&node).await, [Rot::Batch { generation: second }]);
            assert!(!node.log.is_damaged(ONE));
            assert_eq!(node.log.leave_behind(second).await.unwrap(), [ONE]);
            // A checkpoint holds the outcome of all of them.
            node.log.purge(ONE, id(1, 59)).await.unwrap();
            until_gone(&node, second).await;
            append(&node.log, ONE, vec![record(60, 1, vec![6; 100])]).await;
            assert_eq!(scrub(&node).await, []);
            node.log.close().await;
            let again = start(&clean(&disk)).await.unwrap();
            assert!(
                again.recovered.damaged.is_empty() && again.recovered.node_damage.is_none(),
                "{:?}",
                again.recovered
            );
            assert_eq!(again.log.log_state(ONE).last, Some(id(1, 60)));
        }
    });
}

#[test]
fn the_segment_in_use_is_left_behind_too() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, ONE, vec![record(0, 1, vec![1; 10])]).await;
        append(&node.log, ONE, vec![record(1, 1, vec![1; 10])]).await;
        disk.tamper(Path::new(SEGMENT), |bytes| bytes[20] ^= 1);
        let generation = node.control.read(|control| control.segments[0].generation);
        assert_eq!(scrub(&node).await, [Rot::Batch { generation }]);
        node.log.leave_behind(generation).await.unwrap();
        node.log.purge(ONE, id(1, 1)).await.unwrap();
        until_gone(&node, generation).await;
        node.log.close().await;
        assert!(start(&clean(&disk)).await.unwrap().recovered.damaged.is_empty());
    });
}

#[test]
fn what_a_start_would_name_the_scrubber_finds() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, ONE, vec![record(0, 1, vec![1; 300]), record(1, 1, vec![2; 400])]).await;
        node.log.save_vote(GroupId(2), Vote { term: 3, node: 1, committed: true }).await.unwrap();
        append(&node.log, GroupId(2), vec![record(0, 3, vec![3; 50])]).await;
        append(&node.log, GroupId(3), vec![record(0, 1, vec![4; 700])]).await;
        node.log.close().await;
        let disk = clean(&disk);
        let (mut both, mut neither) = (0, 0);
        for bit in (0..4 * BLOCK * 8).step_by(101) {
            // The unused rest of the blocks is nothing.
            if bit / 8 % BLOCK > 4 * SECTOR {
                continue;
            }
            let rotten = clean(&disk);
            let node = start(&rotten).await.unwrap();
            rotten.tamper(Path::new(SEGMENT), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let found = scrub(&node).await;
            node.log.close().await;
            let again = start(&clean(&rotten)).await.unwrap().recovered;
            let is_named = !again.damaged.is_empty() || again.strangers_damage.is_some() || again.node_damage.is_some();
            assert_eq!(!found.is_empty(), is_named, "bit {bit}: {found:?}, {again:?}");
            if is_named { both += 1 } else { neither += 1 }
        }
        assert!(both > 100 && neither > 100, "both {both}, neither {neither}");
    });
}

#[test]
fn a_walk_goes_on_while_segments_come_and_go() {
    run(async {
        let (disk, node) = long_log().await;
        let mut walk = Scrub::default();
        let mut seen = BTreeSet::new();
        let mut index = 60;
        while let Some(step) = node.log.scrub(&mut walk).await.unwrap() {
            assert_eq!(step.found, []);
            seen.insert(step.bytes);
            if index < 90 {
                append(&node.log, ONE, vec![record(index, 1, vec![7; 3_000])]).await;
                node.log.purge(ONE, id(1, index - 20)).await.unwrap();
                index += 1;
            }
        }
        assert_eq!(index, 90);
        drop(disk);
        // What is kept of the log is what it was.
        let kept: Vec<LogRecord> = node.log.entries(ONE, 70..90, usize::MAX).await.unwrap();
        assert!(kept.iter().all(|record| record.payload == [7; 3_000][..]));
    });
}
