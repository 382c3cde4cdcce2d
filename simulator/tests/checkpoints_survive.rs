//! Checkpoints, the change log and replay on the simulated disk and state store: after any crash a shard's state is that of
//! its last checkpoint and of every entry after it, and no checkpoint that was reported is lost.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use holdfast_inventory::commands::{Line, PutItem, PutLocation, Receive, Reserve};
use holdfast_inventory::{
    Applied, BodyHash, Command, CommandId, ItemSpec, Limits, LocationId, LocationSpec, LogTime, Operation,
    ReservationId, Sku, Units, slot_of,
};
use holdfast_raft::change_log::{ChangeLog, ChangeLogOptions};
use holdfast_raft::checkpoint::{Checkpoints, Cut};
use holdfast_raft::control::Control;
use holdfast_raft::encode::{EntryBuilder, SCHEMA, encode_command};
use holdfast_raft::log::{GroupId, Log, LogId, LogOptions, LogRecord};
use holdfast_raft::machine::{Machine, MachineKind};
use holdfast_raft::store::Changes;
use holdfast_raft::types::Payload;
use holdfast_simulator::{Crash, Dice, HostId, Simulation, Trace};
use holdfast_world::World;

const HOST: HostId = HostId(1);
const GROUP: GroupId = GroupId(1);
const LIVES: u64 = 10;
const SKUS: u64 = 40;
const LIMIT: Duration = Duration::from_secs(60);

fn kind() -> MachineKind {
    MachineKind::Shard(Limits::default())
}

fn sku(number: u64) -> Sku {
    Sku::new(&format!("SKU-{number:03}")).unwrap()
}

fn location() -> LocationId {
    LocationId::new("main").unwrap()
}

fn operation(index: u64, dice: &mut Dice) -> Operation {
    if index == 0 {
        let (location, spec) = (location(), LocationSpec::default());
        return Operation::PutLocation(Box::new(PutLocation { location, spec, if_revision: None }));
    }
    if index <= SKUS {
        let (sku, spec) = (sku(index - 1), ItemSpec::default());
        return Operation::PutItem(Box::new(PutItem { sku, spec, if_revision: None, if_absent: false }));
    }
    let (sku, location, units) = (sku(dice.below(SKUS)), location(), Units(dice.between(1, 9) as u32));
    if dice.below(3) == 0 {
        return Operation::Receive(Receive { sku, location, lot: None, lot_spec: None, units, receipt: None });
    }
    Operation::Reserve(Reserve {
        reservation: ReservationId::mint(index, slot_of(&sku), index),
        lines: vec![Line { sku, location, units, lot: None, optional: false, no_backorder: false, min_units: None }],
        ttl_s: dice.between(1, 20) as u32,
        partial_ok: false,
        order_ref: None,
        customer: None,
        channel: None,
        campaign: None,
        plan: None,
        pass: None,
    })
}

/// The entry at an index: always the same for a seed.
fn entry(seed: u64, index: u64) -> Bytes {
    let mut dice = Dice::of(seed, "entry", index);
    let time = LogTime(1_767_225_600_000 + index * 100);
    let mut entry = EntryBuilder::new(time, SCHEMA);
    let mut command = Command {
        id: CommandId(u128::from(index) + 1),
        minted_at: time,
        keyed: false,
        body: BodyHash(0),
        linked: false,
        cause: None,
        operation: operation(index, &mut dice),
    };
    entry.push(&encode_command(&mut command));
    entry.finish()
}

/// What every life is held to: a machine that never crashes, and what the lives before have promised.
struct Witness {
    seed: u64,
    machine: Machine,
    room: Applied,
    /// Of the state after each entry.
    digests: Vec<[u8; 32]>,
    durable: Option<u64>,
    checkpoint: Option<u64>,
    checkpoints: u64,
}

type Witnesses = Arc<Mutex<Witness>>;

impl Witness {
    fn new(seed: u64) -> Self {
        let machine = Machine::fresh(&kind());
        let room = Applied::default();
        Self { seed, machine, room, digests: Vec::new(), durable: None, checkpoint: None, checkpoints: 0 }
    }

    fn digest_after(&mut self, index: u64) -> [u8; 32] {
        while self.digests.len() as u64 <= index {
            let next = self.digests.len() as u64;
            let payload = Payload::of(entry(self.seed, next));
            self.machine.apply(next, &payload, SCHEMA, &mut self.room).unwrap();
            self.digests.push(self.machine.digest());
        }
        self.digests[index as usize]
    }
}

/// What one life has open.
struct Shard {
    log: Log,
    checkpoints: Arc<Checkpoints>,
    changes: Changes,
    machine: Machine,
    room: Applied,
    /// The next index to apply.
    next: u64,
}

impl Shard {
    async fn open(world: &World) -> Self {
        let dir = PathBuf::from("data");
        world.disk.create_dir_all(&dir).await.unwrap();
        world.disk.sync_dir(Path::new("")).await.unwrap();
        let control = match Control::exists(world, &dir).await.unwrap() {
            true => Control::open(world, &dir).await.unwrap(),
            false => Control::create(world, &dir, 1, 1).await.unwrap(),
        };
        control.begin_incarnation().await.unwrap();
        let options = LogOptions { segment_bytes: 128 * 1_024, ..LogOptions::default() };
        let (log, recovered) = Log::open(world, &dir.join("log"), options, &control).await.unwrap();
        assert!(recovered.damaged.is_empty() && recovered.node_damage.is_none(), "{recovered:?}");
        let store = world.states.open(&dir.join("state")).await.unwrap();
        world.disk.sync_dir(&dir).await.unwrap();
        let checkpoints = Arc::new(Checkpoints::new(world, GROUP, store, &control, &log));
        let machine = checkpoints.load(&kind()).await.unwrap();
        let record = checkpoints.record();
        let options = ChangeLogOptions::default();
        let changes = Changes::open(world, dir.join("changes"), GROUP, 1, options, machine.history()).await.unwrap();
        let next = record.and_then(|record| record.applied).map_or(0, |applied| applied.index + 1);
        Self { log, checkpoints, changes, machine, room: Applied::default(), next }
    }

    async fn apply(&mut self, bytes: Bytes) {
        self.machine.apply(self.next, &Payload::of(bytes), SCHEMA, &mut self.room).unwrap();
        let changes: ChangeLog = self.changes.present();
        for event in &self.room.events {
            changes.append(event.body.seq, event.encoded()).await.unwrap();
        }
        self.next += 1;
    }

    /// Loads, replays, and compares every step with what it must be.
    async fn check_and_replay(&mut self, witness: &Witnesses) {
        let (promised, checkpoint) = {
            let witness = witness.lock().unwrap();
            (witness.durable, witness.checkpoint)
        };
        let applied = self.next.checked_sub(1);
        assert!(applied >= checkpoint, "checkpoint at {applied:?} found, one at {checkpoint:?} was reported");
        if let Some(applied) = applied {
            assert_eq!(self.machine.digest(), witness.lock().unwrap().digest_after(applied));
        }
        let last = self.log.log_state(GROUP).last.map(|id| id.index);
        assert!(last >= promised, "{last:?} found, {promised:?} promised");
        let end = last.map_or(0, |last| last + 1).max(self.next);
        for record in self.log.entries(GROUP, self.next..end, usize::MAX).await.unwrap() {
            self.apply(record.payload).await;
            assert_eq!(self.machine.digest(), witness.lock().unwrap().digest_after(record.index));
        }
        assert_eq!(self.next, end);
    }

    async fn checkpoint(&mut self) -> Option<u64> {
        let applied = LogId { term: 1, leader_node: 1, index: self.next.checked_sub(1)? };
        let last_event = self.machine.last_event();
        let membership = openraft::StoredMembership::default();
        let cut = Cut { machine: self.machine.cut(), applied: Some(applied), membership, last_event };
        self.checkpoints.write(&cut, Some(&self.changes.present())).await.unwrap();
        Some(applied.index)
    }
}

async fn live(world: World, seed: u64, witness: Witnesses) {
    let mut shard = Shard::open(&world).await;
    shard.check_and_replay(&witness).await;
    loop {
        let index = shard.next;
        let bytes = entry(seed, index);
        let promise = witness.clone();
        let done = move |result: std::io::Result<()>| {
            result.unwrap();
            promise.lock().unwrap().durable = Some(index);
        };
        let record = LogRecord { index, term: 1, leader_node: 1, kind: 0, payload: bytes.clone() };
        shard.log.append(GROUP, vec![record], Box::new(done)).await.unwrap();
        shard.apply(bytes).await;
        if world.entropy.next_u64().is_multiple_of(20)
            && let Some(applied) = shard.checkpoint().await
        {
            {
                let mut witness = witness.lock().unwrap();
                witness.checkpoint = Some(applied);
                witness.checkpoints += 1;
            }
            let upto = LogId { term: 1, leader_node: 1, index: applied.saturating_sub(5) };
            shard.log.purge(GROUP, upto).await.unwrap();
        }
        if world.entropy.next_u64().is_multiple_of(4) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[test]
fn after_every_crash_the_state_is_that_of_the_last_checkpoint_and_the_log_after_it() {
    for seed in 0..5 {
        let mut simulation = Simulation::new(seed, Trace::new().into());
        simulation.add_host(HOST, "n1");
        let mut dice = Dice::of(seed, "crashes", 0);
        let witness = Arc::new(Mutex::new(Witness::new(seed)));
        for _ in 0..LIVES {
            let held_to = witness.clone();
            simulation.start(HOST, move |world| live(world, seed, held_to));
            simulation.run_for(Duration::from_millis(dice.between(0, 300)));
            assert!(simulation.is_running(HOST), "seed {seed}: {:?}", simulation.last_death(HOST));
            simulation.crash(HOST, [Crash::Kill, Crash::PowerLoss, Crash::PartialLoss][dice.below(3) as usize]);
        }
        let held_to = witness.clone();
        let checked = simulation.run(HOST, LIMIT, |world| async move {
            Shard::open(&world).await.check_and_replay(&held_to).await;
        });
        assert!(checked.is_some(), "seed {seed}: the last check does not end");
        assert!(witness.lock().unwrap().checkpoints > 5, "seed {seed}: too few checkpoints to mean anything");
    }
}
