//! A shard alone on a node: order, bounds, entries and restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use holdfast_inventory::commands::{PutItem, Receive};
use holdfast_inventory::{BodyHash, Command, CommandId, ItemSpec, Limits, LogTime, Operation, Sku, Units};
use holdfast_raft::encode::encode_command;
use holdfast_raft::host::{Host, HostOptions};
use holdfast_raft::machine::MachineKind;
use holdfast_raft::stages::{Stage, Stages};
use holdfast_raft::types::GroupId;
use holdfast_world::World;
use tokio::sync::watch;

use super::submission::Part;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn command(id: u128, minted_at: u64, linked: bool, operation: Operation) -> EncodedCommand {
    let mut command = Command {
        id: CommandId(id),
        minted_at: LogTime(minted_at),
        keyed: false,
        body: BodyHash::default(),
        linked,
        cause: None,
        operation,
    };
    let bytes = encode_command(&mut command);
    EncodedCommand { command, bytes }
}

fn put(id: u128, minted_at: u64) -> EncodedCommand {
    let sku = Sku::new("A").unwrap();
    let put = PutItem { sku, spec: ItemSpec::default(), if_revision: None, if_absent: false };
    command(id, minted_at, false, Operation::PutItem(Box::new(put)))
}

fn receive(id: u128, minted_at: u64, linked: bool) -> EncodedCommand {
    let (sku, location) = (Sku::new("A").unwrap(), LocationId::new("main").unwrap());
    command(
        id,
        minted_at,
        linked,
        Operation::Receive(Receive { sku, location, lot: None, lot_spec: None, units: Units(1), receipt: None }),
    )
}

fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// A shard alone on one node.
struct Alone {
    handle: ShardHandle,
    world: World,
    host: Host,
    stopping: watch::Sender<bool>,
    _dir: tempfile::TempDir,
    _records: watch::Sender<Arc<ShardRecords>>,
}

impl Alone {
    async fn start(limits: NodeLimits) -> Self {
        Self::start_with(limits, None).await
    }

    async fn start_with(limits: NodeLimits, shard_limits: Option<Limits>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = World::real();
        let mut options = HostOptions::new(1, "test", dir.path().join("node"));
        options.log.segment_bytes = 4 * 1_024 * 1_024;
        let host = Host::open(world.clone(), options).await.unwrap();
        let group = host.start_group(GroupId::of_shard(0), MachineKind::Shard(Limits::default())).await.unwrap();
        group.initialize(BTreeMap::from([(1, "127.0.0.1:1".to_owned())])).await.unwrap();
        let main = (LocationId::new("main").unwrap(), LocationSpec::default());
        let records = watch::Sender::new(Arc::new(ShardRecords {
            limits: shard_limits,
            locations: vec![main],
            ..ShardRecords::default()
        }));
        let stopping = watch::Sender::new(false);
        let handle = start_shard(0, group.clone(), &world, &limits, &records.subscribe(), stopping.subscribe());
        let deadline = soon();
        while group.read_shard(|shard| shard.counts().locations) != Some(1) {
            assert!(Instant::now() < deadline, "the shard's leader tells it of its location");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { handle, world, host, stopping, _dir: dir, _records: records }
    }

    fn now(&self) -> u64 {
        self.world.clock.wall_ms()
    }

    async fn stop(self) {
        self.stopping.send_replace(true);
        self.handle.stop().await;
        self.host.stop().await;
    }
}

#[tokio::test]
async fn commands_of_one_submission_are_decided_in_order() {
    let shard = Alone::start(NodeLimits::default()).await;
    let now = shard.now();
    let submitted = shard.handle.submit(vec![put(1, now), receive(2, now, false)], soon()).unwrap();
    let outcomes = submitted.outcomes().await;
    let [(2, Ok(decided))] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    let ids: Vec<u128> = decided.answers.iter().map(|answer| answer.id.0).collect();
    assert_eq!(ids, [1, 2]);
    assert_eq!(decided.answers[1].outcome.as_ref().unwrap().atp_after, 1);
    shard.stop().await;
}

#[tokio::test]
async fn a_shard_gets_the_limits_of_the_cluster_before_any_command_of_a_caller() {
    let limits = Limits { max_hold_s: 60, ..Limits::default() };
    let shard = Alone::start_with(NodeLimits::default(), Some(limits.clone())).await;
    // They come before the location that was waited for, and are decided once.
    assert_eq!(shard.handle.group().read_shard(|shard| shard.limits().clone()), Some(limits));
    let now = shard.now();
    shard.handle.submit(vec![put(1, now)], soon()).unwrap().outcomes().await;
    assert_eq!(shard.handle.group().read_shard(|shard| shard.counts().decided), Some(3));
    shard.stop().await;
}

#[tokio::test]
async fn what_no_caller_asked_for_is_not_proposed_again_at_once_where_the_group_refuses_it() {
    let shard = Alone::start(NodeLimits::default()).await;
    let group = shard.handle.group();
    // To a node that is not there: from now on openraft refuses everything, and the metrics say still that this node leads.
    group.raft().trigger().transfer_leader(2).await.unwrap();
    let commits = || group.stages().totals()[Stage::Commit as usize].1.count;
    let (before, begun) = (commits(), Instant::now());
    let other = (LocationId::new("other").unwrap(), LocationSpec::default());
    shard.handle.tell_records(Arc::new(ShardRecords { locations: vec![other], ..ShardRecords::default() }));
    while commits() < before + 3 {
        assert!(begun.elapsed() < PATIENCE, "what is due is proposed again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(group.is_leader());
    // At least: how long the second and the third had to wait.
    assert!(begun.elapsed() >= 2 * actor::IDLE_LOOK, "three proposals within {:?}", begun.elapsed());
    shard.stop().await;
}

#[tokio::test]
async fn a_shard_whose_actor_panicked_is_served_by_a_new_one() {
    let shard = Alone::start(NodeLimits::default()).await;
    let now = shard.now();
    shard.handle.panic_actor().await;
    let deadline = soon();
    loop {
        let outcome = match shard.handle.submit(vec![put(1, now)], soon()) {
            Ok(submitted) => submitted.outcomes().await.remove(0).1,
            Err(why) => Err(why),
        };
        match outcome {
            Ok(decided) => break assert!(decided.answers[0].outcome.is_ok()),
            Err(NotDecided::Unavailable { .. }) => assert!(Instant::now() < deadline, "a new actor serves"),
            Err(other) => panic!("a command that was never proposed is refused by name, not {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(shard.handle.waiting().0, 0);
    shard.stop().await;
}

#[tokio::test]
async fn a_full_shard_refuses_at_once_and_says_when_to_come_again() {
    let shard = Alone::start(NodeLimits { waiting_commands: 3, ..NodeLimits::default() }).await;
    let now = shard.now();
    let many = (1..=4).map(|id| receive(id, now, false)).collect();
    let refused = shard.handle.submit(many, soon()).unwrap_err();
    assert!(matches!(refused, NotDecided::Overloaded { retry_after_ms: 1.. }));
    assert_eq!(shard.handle.waiting(), (0, 3));
    shard.stop().await;
}

#[tokio::test]
async fn what_is_larger_than_an_entry_is_decided_in_several_with_its_answers_in_order() {
    let shard = Alone::start(NodeLimits { entry_commands: 3, ..NodeLimits::default() }).await;
    let now = shard.now();
    let mut commands = vec![put(1, now)];
    commands.extend((2..=10).map(|id| receive(id, now, false)));
    let outcomes = shard.handle.submit(commands, soon()).unwrap().outcomes().await;
    let sizes: Vec<usize> = outcomes.iter().map(|(commands, _)| *commands).collect();
    assert_eq!(sizes, [3, 3, 3, 1]);
    let ids: Vec<u128> =
        outcomes.iter().flat_map(|(_, outcome)| outcome.as_ref().unwrap().answers.iter().map(|it| it.id.0)).collect();
    assert_eq!(ids, (1..=10).collect::<Vec<u128>>());
    shard.stop().await;
}

#[test]
fn a_chain_is_never_split() {
    let limits = NodeLimits { entry_commands: 3, ..NodeLimits::default() };
    let gate = Gate::new(100, 100_000);
    let chain = |from: u128, length: u128| (from..from + length).map(move |id| receive(id, 1, id + 1 < from + length));
    let commands = chain(1, 2).chain(chain(10, 2)).chain(chain(20, 5)).chain(chain(30, 1)).collect();
    let (parts, _) = batch::split(commands, soon(), &limits, &gate).unwrap();
    let sizes: Vec<usize> = parts.iter().map(|part| part.commands.len()).collect();
    assert_eq!(sizes, [2, 2, 5, 1]);
    assert_eq!(gate.waiting_commands(), 10);
    drop(parts);
    assert_eq!(gate.waiting_commands(), 0);
}

#[tokio::test]
async fn a_caller_dropped_before_its_command_was_proposed_is_refused_and_after_it_is_unknown() {
    let gate = Gate::new(10, 1_000);
    let part = || Part::new(vec![receive(1, 1, false)], 10, soon(), gate.admit(1, 10).unwrap());
    let (waiting, (_, refused)) = part();
    drop(waiting);
    assert!(matches!(refused.await.unwrap(), Err(NotDecided::Unavailable { .. })));
    let (waiting, (_, unknown)) = part();
    let mut batch = batch::Batch::default();
    batch.push(waiting);
    let (payload, callers) = batch.close(LogTime(1), holdfast_raft::encode::SCHEMA, &Stages::default());
    assert_ne!(payload.bytes, Bytes::new());
    drop(callers);
    assert!(matches!(unknown.await.unwrap(), Err(NotDecided::OutcomeUnknown { .. })));
}
