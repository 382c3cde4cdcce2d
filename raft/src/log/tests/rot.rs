//! Rot: whatever changes on the disk after it was acknowledged is harmless or named, never silently missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::node::{Node, StartError, append, flip, id, options, record, run, start};
use crate::control::ControlError;
use crate::log::recover::recover;
use crate::log::{DamageCause, GroupId, GroupLogState, LogRecord, Mended, ReadError, RotCounts, Vote};
use crate::segments::memory_disk::{Cut, Dice, MemoryDisk, memory_world};
use crate::segments::{BLOCK, ROOM, SECTOR};

const SEGMENT: &str = "/node/log/00000001.segment";
const CONTROL: &str = "/node/control";

fn clean(disk: &MemoryDisk) -> MemoryDisk {
    disk.after_power_cut(Cut::KeepsAll, &mut Dice(0))
}

/// Three batches of three groups.
async fn small_log() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let node = start(&disk).await.unwrap();
    append(&node.log, GroupId(1), vec![record(0, 1, vec![1; 300]), record(1, 1, vec![2; 400])]).await;
    node.log.save_vote(GroupId(2), Vote { term: 3, node: 1, committed: true }).await.unwrap();
    append(&node.log, GroupId(2), vec![record(0, 3, vec![3; 50])]).await;
    append(&node.log, GroupId(3), vec![record(0, 1, vec![4; 700])]).await;
    node.log.close().await;
    clean(&disk)
}

async fn states(disk: &MemoryDisk) -> BTreeMap<GroupId, GroupLogState> {
    start(disk).await.unwrap().recovered.groups
}

#[test]
fn every_flipped_bit_is_harmless_or_named() {
    run(async {
        let disk = small_log().await;
        let intact = states(&clean(&disk)).await;
        assert_eq!(intact.len(), 3);
        let node = start(&clean(&disk)).await.unwrap();
        let (mut named, mut harmless) = (0, 0);
        // The batches' first sectors and every stamp, in each bit; the unused rest of the blocks in some.
        for bit in 0..4 * BLOCK * 8 {
            let (sector, within) = (bit / 8 % BLOCK / SECTOR, bit / 8 % SECTOR);
            if sector > 3 && within < ROOM && bit % 101 != 0 {
                continue;
            }
            let rotten = clean(&disk);
            rotten.tamper(Path::new(SEGMENT), |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
            let (world, _) = memory_world(&rotten);
            let found = recover(&world, Path::new("/node/log"), &options(), &node.control).await.unwrap();
            let summary = found.summary();
            for (group, state) in &intact {
                let found = summary.groups.get(group);
                let is_stranger = found.is_none() && summary.strangers_damage.is_some();
                let is_named = summary.damaged.contains_key(group) || summary.node_damage.is_some() || is_stranger;
                let is_whole = found == Some(state);
                assert!(is_named || is_whole, "bit {bit}, group {group}: {summary:?}");
                if is_named { named += 1 } else { harmless += 1 }
            }
        }
        assert!(named > 10_000 && harmless > 10_000, "named {named}, harmless {harmless}");
    });
}

#[test]
fn a_rotten_entry_is_named_exactly_and_mended_by_a_copy() {
    run(async {
        let disk = small_log().await;
        // The body of the first entry of group 1 lies in the first batch.
        flip(&disk, SEGMENT, [1; 50]);
        let node = start(&disk).await.unwrap();
        assert_eq!(node.recovered.damaged.keys().collect::<Vec<_>>(), [&GroupId(1)]);
        let damage = node.log.damage(GroupId(1)).unwrap();
        assert!(damage.is_repairable());
        assert_eq!(damage.lost.into_iter().collect::<Vec<_>>(), [id(1, 0)]);
        // The group takes no writes, the others do.
        assert!(node.log.save_vote(GroupId(1), Vote { term: 9, node: 1, committed: false }).await.is_err());
        append(&node.log, GroupId(2), vec![record(1, 3, vec![5])]).await;
        // What is whole can be served to others.
        assert_eq!(node.log.entries(GroupId(1), 1..2, 10).await.unwrap(), [record(1, 1, vec![2; 400])]);
        assert!(matches!(node.log.entries(GroupId(1), 0..2, 10).await, Err(ReadError::Damaged { .. })));
        // A copy of another entry mends nothing, nor one that only says that it is the same.
        let repair = |copies| node.log.repair(GroupId(1), copies);
        assert_eq!(repair(vec![record(0, 2, vec![1; 300])]).await.unwrap(), Mended::default());
        let lies = [
            record(0, 1, vec![9; 300]),
            record(0, 1, vec![1; 299]),
            LogRecord { kind: 3, ..record(0, 1, vec![1; 300]) },
        ];
        for lie in lies {
            let refused = Mended { refused: vec![id(1, 0)], ..Mended::default() };
            assert_eq!(repair(vec![lie]).await.unwrap(), refused);
        }
        assert!(node.log.is_damaged(GroupId(1)));
        let mended = Mended { mended: vec![id(1, 0)], ..Mended::default() };
        assert_eq!(repair(vec![record(0, 1, vec![1; 300]), record(1, 1, vec![2; 400])]).await.unwrap(), mended);
        assert_eq!(node.log.rot_counts(), RotCounts { found: 1, mended: 1 });
        assert!(!node.log.is_damaged(GroupId(1)));
        append(&node.log, GroupId(1), vec![record(2, 3, vec![6])]).await;
        node.log.close().await;
        let again = start(&clean(&disk)).await.unwrap();
        assert!(again.recovered.damaged.is_empty(), "{:?}", again.recovered);
        let entries = again.log.entries(GroupId(1), 0..3, usize::MAX).await.unwrap();
        assert_eq!(entries, [record(0, 1, vec![1; 300]), record(1, 1, vec![2; 400]), record(2, 3, vec![6])]);
        // Nothing is kept as evidence any more: once nobody needs them, the segments go.
        for index in 3..300 {
            append(&again.log, GroupId(1), vec![record(index, 3, vec![0; 1_000])]).await;
        }
        let others = [(GroupId(1), id(3, 298)), (GroupId(2), id(3, 1)), (GroupId(3), id(1, 0))];
        for (group, upto) in others {
            again.log.purge(group, upto).await.unwrap();
        }
        while again.log.usage().segments > 2 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn rotten_entries_go_with_all_the_others_when_a_checkpoint_holds_their_outcome_and_not_before() {
    run(async {
        let disk = small_log().await;
        for body in [[1; 50], [2; 50]] {
            flip(&disk, SEGMENT, body);
        }
        let node = start(&disk).await.unwrap();
        assert_eq!(node.log.damage(GroupId(1)).unwrap().lost.len(), 2);
        assert!(node.log.purge(GroupId(1), id(1, 0)).await.is_err(), "one would stay");
        assert!(node.log.truncate_after(GroupId(1), None).await.is_err(), "rot is not cut off");
        node.log.purge(GroupId(1), id(1, 1)).await.unwrap();
        assert!(!node.log.is_damaged(GroupId(1)));
        append(&node.log, GroupId(1), vec![record(2, 3, vec![6])]).await;
        node.log.close().await;
        assert!(start(&clean(&disk)).await.unwrap().recovered.damaged.is_empty());
    });
}

#[test]
fn a_rotten_header_damages_the_groups_that_cannot_prove_otherwise() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, GroupId(1), vec![record(0, 1, vec![1; 10])]).await;
        append(&node.log, GroupId(2), vec![record(0, 1, vec![1; 10])]).await;
        append(&node.log, GroupId(3), vec![record(0, 1, vec![1; 10])]).await;
        append(&node.log, GroupId(3), vec![record(1, 1, vec![1; 10])]).await;
        append(&node.log, GroupId(1), vec![record(1, 1, vec![1; 10])]).await;
        node.log.close().await;
        let disk = clean(&disk);
        // The fourth batch held the second entry of group 3; groups 1 and 2 were not in it, but only 1 can show that.
        disk.tamper(Path::new(SEGMENT), |bytes| bytes[3 * BLOCK + 20] ^= 1);
        let node = start(&disk).await.unwrap();
        assert_eq!(node.recovered.damaged.keys().collect::<Vec<_>>(), [&GroupId(2), &GroupId(3)]);
        let damage = node.log.damage(GroupId(3)).unwrap();
        assert_eq!(damage.causes, [DamageCause::LostBatches { first: 4, last: 4 }]);
        assert!(!damage.is_repairable());
        // A group nobody knows of may have been in it too.
        assert!(node.log.is_damaged(GroupId(77)));
        append(&node.log, GroupId(1), vec![record(2, 1, vec![2])]).await;
    });
}

/// A log of several segments, and their files by age.
async fn long_log() -> (MemoryDisk, Vec<PathBuf>) {
    let disk = MemoryDisk::default();
    let node = start(&disk).await.unwrap();
    for index in 0..60 {
        append(&node.log, GroupId(1 + index % 2), vec![record(index / 2, 1, vec![7; 2_000])]).await;
    }
    while node.control.read(|control| control.segments.len()) < 5 {
        tokio::task::yield_now().await;
    }
    let segments = node.control.read(|control| control.segments.clone());
    node.log.close().await;
    let path = |file: u32| PathBuf::from(format!("/node/log/{file:08}.segment"));
    (clean(&disk), segments.iter().map(|segment| path(segment.file)).collect())
}

#[test]
fn a_deleted_segment_is_named_and_nothing_is_written() {
    run(async {
        let (disk, segments) = long_log().await;
        for path in &segments {
            let rotten = clean(&disk);
            rotten.delete(path);
            let node = start(&rotten).await.unwrap();
            let damage = node.recovered.node_damage.unwrap();
            assert!(matches!(damage.causes[0], DamageCause::MissingSegment { .. }), "{damage:?}");
            assert!(damage.hint().contains("cluster replace"));
            let refused = node.log.append(GroupId(9), vec![record(0, 1, vec![])], Box::new(|_| ())).await;
            assert!(refused.is_err());
        }
    });
}

#[test]
fn a_segment_of_zeroes_is_named() {
    run(async {
        let (disk, segments) = long_log().await;
        // All but the last, which was readied but never written.
        for path in &segments[..segments.len() - 1] {
            let rotten = clean(&disk);
            rotten.tamper(path, |bytes| bytes.fill(0));
            let node = start(&rotten).await.unwrap();
            assert!(node.log.is_damaged(GroupId(1)) && node.log.is_damaged(GroupId(2)), "{}", path.display());
        }
    });
}

#[test]
fn a_lost_control_slot_is_harmless_and_both_are_fatal() {
    run(async {
        let disk = small_log().await;
        let intact = states(&clean(&disk)).await;
        let slot = disk.contents(Path::new(CONTROL)).len() / 2;
        for lost in [0..slot, slot..2 * slot] {
            let rotten = clean(&disk);
            rotten.tamper(Path::new(CONTROL), |bytes| bytes[lost].fill(0));
            let node = start(&rotten).await.unwrap();
            assert!(node.recovered.damaged.is_empty());
            assert_eq!(node.recovered.groups, intact);
        }
        disk.tamper(Path::new(CONTROL), |bytes| bytes.fill(0));
        let error = match start(&disk).await {
            Err(StartError::Control(error)) => error,
            other => panic!("{:?}", other.map(|node| node.recovered)),
        };
        assert!(matches!(error, ControlError::Damaged));
        assert!(error.hint().contains("cluster replace"));
    });
}

#[test]
fn an_older_copy_of_the_control_file_is_named() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, GroupId(1), vec![record(0, 1, vec![1])]).await;
        let old = disk.contents(Path::new(CONTROL));
        node.control.update(|_| ()).await.unwrap();
        append(&node.log, GroupId(1), vec![record(1, 1, vec![1])]).await;
        node.log.close().await;
        let disk = clean(&disk);
        disk.tamper(Path::new(CONTROL), |bytes| *bytes = old);
        let node = start(&disk).await.unwrap();
        let damage = node.recovered.node_damage.unwrap();
        assert!(matches!(damage.causes[0], DamageCause::ControlRolledBack { .. }), "{damage:?}");
        // Starting again and again does not make it good.
        let mut disk = disk;
        for _ in 0..10 {
            disk = clean(&disk);
            assert!(start(&disk).await.unwrap().recovered.node_damage.is_some());
        }
    });
}

#[test]
fn an_older_copy_of_a_segment_is_named_once_the_control_file_knows_better() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        append(&node.log, GroupId(1), vec![record(0, 1, vec![1])]).await;
        let old = disk.contents(Path::new(SEGMENT));
        append(&node.log, GroupId(1), vec![record(1, 1, vec![1])]).await;
        node.control.update(|_| ()).await.unwrap();
        node.log.close().await;
        let disk = clean(&disk);
        disk.tamper(Path::new(SEGMENT), |bytes| *bytes = old);
        let node = start(&disk).await.unwrap();
        let damage = node.recovered.node_damage.unwrap();
        assert_eq!(damage.causes, [DamageCause::EndsEarly { found: 1, floor: 2 }]);
    });
}

#[test]
fn an_entry_that_rots_while_the_node_runs_is_named_when_read() {
    run(async {
        let disk = MemoryDisk::default();
        let node: Node = start(&disk).await.unwrap();
        let group = GroupId(1);
        append(&node.log, group, vec![record(0, 1, vec![9; 3_000])]).await;
        // Pushes it out of memory.
        append(&node.log, group, vec![record(1, 1, vec![8; 4_000])]).await;
        let read = |range| node.log.entries(group, range, usize::MAX);
        assert_eq!(read(0..1).await.unwrap(), [record(0, 1, vec![9; 3_000])] as [LogRecord; 1]);
        flip(&disk, SEGMENT, [9; 50]);
        assert!(matches!(read(0..1).await, Err(ReadError::Damaged { id: lost, .. }) if lost == id(1, 0)));
        assert_eq!(node.log.entry(group, id(1, 1)).await.unwrap(), Some(record(1, 1, vec![8; 4_000])));
        assert_eq!(node.log.entry(group, id(2, 1)).await.unwrap(), None);
        assert!(node.log.is_damaged(group));
    });
}

#[test]
fn the_higher_vote_of_log_and_control_file_counts() {
    run(async {
        let disk = MemoryDisk::default();
        let node = start(&disk).await.unwrap();
        let vote = |term| Vote { term, node: 1, committed: false };
        node.log.save_vote(GroupId(1), vote(4)).await.unwrap();
        node.control.update(move |control| control.group_mut(GroupId(2)).vote = Some(vote(6))).await.unwrap();
        node.log.close().await;
        let disk = clean(&disk);
        let node = start(&disk).await.unwrap();
        assert_eq!((node.log.vote(GroupId(1)), node.log.vote(GroupId(2))), (Some(vote(4)), Some(vote(6))));
        // A log that holds a lower vote than this node is known to have cast has been put back.
        node.control.update(move |control| control.group_mut(GroupId(1)).vote = Some(vote(5))).await.unwrap();
        node.log.close().await;
        let node = start(&clean(&disk)).await.unwrap();
        let damage = node.log.damage(GroupId(1)).unwrap();
        assert_eq!(damage.causes, [DamageCause::VoteRolledBack { log: vote(4), control: vote(5) }]);
    });
}
