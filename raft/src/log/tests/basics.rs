//! On the real disk: what was appended is there, before and after a restart.

use std::path::Path;

use bytes::Bytes;
use holdfast_world::World;

use crate::control::Control;
use crate::log::{GroupId, Log, LogId, LogOptions, LogRecord, Recovered, Vote};

fn record(index: u64, term: u64, payload: &str) -> LogRecord {
    LogRecord { index, term, leader_node: 1, kind: 2, payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

async fn open(dir: &Path) -> (Log, Recovered, Control) {
    let world = World::real();
    let control = if Control::exists(&world, dir).await.unwrap() {
        Control::open(&world, dir).await.unwrap()
    } else {
        Control::create(&world, dir, 7, 1).await.unwrap()
    };
    control.begin_incarnation().await.unwrap();
    let options = LogOptions { segment_bytes: 64 << 10, cache_bytes: 4_096, ..LogOptions::default() };
    let (log, recovered) = Log::open(&world, &dir.join("log"), options, &control).await.unwrap();
    (log, recovered, control)
}

async fn append(log: &Log, group: GroupId, records: Vec<LogRecord>) {
    let (sender, done) = tokio::sync::oneshot::channel();
    log.append(group, records, Box::new(move |result| sender.send(result).unwrap())).await.unwrap();
    done.await.unwrap().unwrap();
}

#[tokio::test]
async fn entries_votes_and_purges_are_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let group = GroupId(3);
    let payload = "x".repeat(1_000);
    let vote = Vote { term: 2, node: 1, committed: true };
    {
        let (log, recovered, _control) = open(dir.path()).await;
        assert!(recovered.damaged.is_empty() && recovered.node_damage.is_none());
        log.save_vote(group, vote).await.unwrap();
        for index in 0..200 {
            append(&log, group, vec![record(index, 2, &payload)]).await;
            log.save_committed(group, LogId { term: 2, leader_node: 1, index });
        }
        log.truncate_after(group, Some(149)).await.unwrap();
        append(&log, group, vec![record(150, 3, "fresh"), record(151, 3, "")]).await;
        log.purge(group, LogId { term: 2, leader_node: 1, index: 99 }).await.unwrap();
        let entries = log.entries(group, 100..152, usize::MAX).await.unwrap();
        assert_eq!(entries.len(), 52);
        assert_eq!(entries[50], record(150, 3, "fresh"));
        log.close().await;
    }
    let (log, recovered, _control) = open(dir.path()).await;
    assert!(recovered.damaged.is_empty() && recovered.node_damage.is_none(), "{recovered:?}");
    let state = log.log_state(group);
    assert_eq!(state.vote, Some(vote));
    assert_eq!(state.purged, Some(LogId { term: 2, leader_node: 1, index: 99 }));
    assert_eq!(state.last, Some(LogId { term: 3, leader_node: 1, index: 151 }));
    assert_eq!(state.committed, Some(LogId { term: 2, leader_node: 1, index: 199 }));
    let entries = log.entries(group, 100..152, usize::MAX).await.unwrap();
    assert_eq!(entries[..50], (100..150).map(|index| record(index, 2, &payload)).collect::<Vec<_>>());
    assert_eq!(entries[50..], [record(150, 3, "fresh"), record(151, 3, "")]);
    assert!(log.entries(group, 99..101, 1).await.is_err());
    append(&log, group, vec![record(152, 3, "more")]).await;
    log.close().await;
}
