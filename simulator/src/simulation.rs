//! The hosts of one run, stepped in turn on one thread.
//!
//! Each process has a current-thread runtime of its own with a paused clock, so that a crash drops everything it had
//! spawned, by whatever library. A step lets every process, in the order of the hosts, live through one [`TICK`] of
//! simulated time. Nothing that one process sends reaches another within the same tick (the network's least delay is a
//! tick), so that the order within a tick carries no meaning.
//!
//! A process that has nothing to do may be given several ticks in one turn ([`Simulation::set_idle_turn`]): its clock is then
//! ahead of simulated time, and what reaches it meanwhile it finds at the turn's end, as if it had been longer under way. By
//! the processes' own clocks nothing ever arrives before it was sent, so that it is still a run that could have been.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_raft::runtime::Runtime as RaftRuntime;
use holdfast_world::World;
use tokio::runtime::{Builder, RngSeed, Runtime};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::messages::set_turn;
use crate::world::{Death, DelayRange, Life, Net, SimDrive, Surroundings};
use crate::{Dice, Trace};

/// How far each process is run before the next one's turn.
pub const TICK: Duration = Duration::from_millis(1);

/// One machine of the simulation: a node's or a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u64);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

/// What a crash takes from the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed: the operating system still writes all that it was given.
    Kill,
    /// The machine loses its power: what was not synced is gone.
    PowerLoss,
    /// The machine loses its power while its system writes by itself: of what was not synced any part is there, down to a
    /// sector of 512 bytes.
    PartialLoss,
}

/// All hosts of one run.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    now: Duration,
    hosts: BTreeMap<HostId, Host>,
    net: Arc<Net>,
    trace: Arc<Trace>,
    /// How long a turn is of a process that has nothing to do.
    idle_turn: Duration,
    greatest_wall_offset_ms: u64,
    /// What clocks of a wrong rate have gained or lost in spans that are over, all hosts together.
    drift: Duration,
}

#[derive(Debug)]
struct Host {
    surroundings: Surroundings,
    process: Option<Process>,
    last_death: Option<Death>,
    /// By how much its processes' clocks advance in a thousand of simulated time.
    rate_permille: u32,
    /// Since when.
    rate_since: Duration,
    /// Its process gets no turn before this simulated time.
    paused_until: Option<Duration>,
    /// Up to when its process has lived already.
    ahead_until: Duration,
    /// What the crash in a poll takes, if one is set.
    crash_in_poll: Option<Crash>,
    /// How many processes have been started on it: each has dice of its own.
    processes: u64,
}

#[derive(Debug)]
struct Process {
    runtime: Runtime,
    life: Arc<Life>,
    /// Its main task, until it has returned.
    main: Option<JoinHandle<()>>,
    /// What openraft's next generator in this process follows from.
    raft_seed: u64,
    /// Ends its turns.
    turn_end: Pin<Box<Sleep>>,
    /// Its tasks did nothing in its last turn.
    was_idle: bool,
}

impl Simulation {
    /// A simulation without hosts, at time zero.
    #[must_use]
    pub fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let net = Arc::new(Net::new(Dice::of(seed, "network", 0), DelayRange::default(), trace.clone()));
        let (now, hosts, drift) = (Duration::ZERO, BTreeMap::new(), Duration::ZERO);
        Self { seed, now, hosts, net, trace, idle_turn: TICK, greatest_wall_offset_ms: 0, drift }
    }

    /// Lets a process that had nothing to do in its last turn live up to the next multiple of `time` in the next one: a run
    /// in which often nothing happens is sooner done. At first a turn is a [`TICK`].
    pub fn set_idle_turn(&mut self, time: Duration) {
        self.idle_turn = time.max(TICK);
    }

    /// Adds a host without a process. `name` is the host part of its addresses.
    pub fn add_host(&mut self, id: HostId, name: &str) {
        let surroundings = Surroundings {
            drive: Arc::new(SimDrive::new(Dice::of(self.seed, "drive", id.0))),
            wall_offset_ms: Arc::new(AtomicI64::new(0)),
            net: self.net.clone(),
            trace: self.trace.clone(),
        };
        self.net.name(name, id);
        let host = Host {
            surroundings,
            process: None,
            last_death: None,
            rate_permille: 1_000,
            rate_since: self.now,
            paused_until: None,
            ahead_until: Duration::ZERO,
            crash_in_poll: None,
            processes: 0,
        };
        self.hosts.insert(id, host);
    }

    /// Starts a process on a host: `main` gets its world. What it spawns goes on when `main` has returned.
    ///
    /// # Panics
    /// When the host is unknown or has a process already.
    pub fn start<F, M>(&mut self, id: HostId, main: M)
    where
        M: FnOnce(World) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let host = self.hosts.get_mut(&id).expect("a process is started on a host that was added");
        assert!(host.process.is_none(), "{id} runs a process already");
        host.processes += 1;
        let mut dice = Dice::of(self.seed, "process", id.0 << 32 | host.processes);
        let raft_seed = dice.next_u64();
        let life = Arc::new(Life::new(id, self.now));
        life.set_rate(self.now, host.rate_permille);
        let counted = life.clone();
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&dice.next_u64().to_le_bytes()))
            .on_before_task_poll(move |_| {
                if counted.is_last_poll() {
                    counted.die(Death::Crashed);
                }
            })
            .build()
            .expect("a runtime without sockets needs nothing of the system");
        self.trace.record(self.now, id, format_args!("starts"));
        let (main, turn_end) = {
            let _entered = runtime.enter();
            life.begin();
            let world = host.surroundings.world(&life, dice);
            (runtime.spawn(main(world)), Box::pin(tokio::time::sleep(Duration::ZERO)))
        };
        host.process = Some(Process { runtime, life, main: Some(main), raft_seed, turn_end, was_idle: false });
        host.ahead_until = self.now;
        host.last_death = None;
        host.paused_until = None;
        host.crash_in_poll = None;
    }

    /// Ends a host's process at once; nothing happens when it has none.
    pub fn crash(&mut self, id: HostId, crash: Crash) {
        self.trace.record(self.now, id, format_args!("crashes: {crash:?}"));
        if let Some(host) = self.hosts.get_mut(&id) {
            host.bury(Death::Crashed);
            host.surroundings.drive.crash(crash);
        }
    }

    /// Lets every process live through one tick.
    ///
    /// # Panics
    /// When the `main` of a process has panicked: so does this. When a process has started a thread: what a thread does is not determined by the seed.
    pub fn step(&mut self) {
        let until = self.now + TICK;
        let idle_until = next_multiple(self.now, self.idle_turn);
        self.net.step(self.now);
        for (id, host) in &mut self.hosts {
            if host.paused_until.is_some_and(|paused_until| self.now < paused_until) {
                continue;
            }
            if self.now < host.ahead_until {
                continue;
            }
            let was_paused = host.paused_until.take().is_some();
            let until = if host.is_idle() { idle_until } else { until };
            host.take_turn(*id, self.now, until, was_paused);
        }
        self.now = until;
    }

    /// Steps until a condition holds; `false` when it did not within `limit` of simulated time.
    pub fn run_until(&mut self, limit: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.now + limit;
        loop {
            if condition(self) {
                return true;
            }
            if self.now >= deadline {
                return false;
            }
            self.step();
        }
    }

    /// Steps for some time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs a process on a host that has none, until `main` returns; then the process is killed. `None` when it did not
    /// return within `limit` of simulated time.
    pub fn run<T, F, M>(&mut self, id: HostId, limit: Duration, main: M) -> Option<T>
    where
        M: FnOnce(World) -> F,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        self.start(id, |world| {
            let main = main(world);
            async move {
                let value = main.await;
                *slot.lock().expect("no panic happens while the result is locked") = Some(value);
            }
        });
        let done = || result.lock().expect("no panic happens while the result is locked").is_some();
        self.run_until(limit, |simulation| done() || !simulation.is_running(id));
        self.crash(id, Crash::Kill);
        result.lock().expect("no panic happens while the result is locked").take()
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Whether a host has a process that lives.
    #[must_use]
    pub fn is_running(&self, id: HostId) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.process.as_ref().is_some_and(|process| process.life.is_alive()))
    }

    /// Looks at what a host's process knows, by the process's own clock: outside of its runtime tokio would answer with the real time, and
    /// what is asked how old it is would depend on how fast this machine is. `None`: the host has no process.
    pub fn within<T>(&self, id: HostId, look: impl FnOnce() -> T) -> Option<T> {
        let process = self.hosts.get(&id)?.process.as_ref()?;
        let _entered = process.runtime.enter();
        Some(look())
    }

    /// How many polls the tasks of a host's process have had: while it stays the same nothing has changed in the process.
    /// `None`: it has none.
    #[must_use]
    pub fn polls(&self, id: HostId) -> Option<u64> {
        self.hosts.get(&id)?.process.as_ref().map(|process| process.life.polls())
    }

    /// How the last process of a host ended, if it has and no other was started.
    #[must_use]
    pub fn last_death(&self, id: HostId) -> Option<Death> {
        self.hosts.get(&id).and_then(|host| host.last_death.clone())
    }

    /// The network, to cut and heal its links.
    #[must_use]
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// A host's drive, to make it fail.
    ///
    /// # Panics
    /// When the host is unknown.
    #[must_use]
    pub fn drive(&self, id: HostId) -> &SimDrive {
        &self.hosts.get(&id).expect("a drive is asked of a host that was added").surroundings.drive
    }

    /// Lets a host's process crash in the `nth` poll of one of its tasks from now (0: the next), at whatever await it
    /// stands; nothing happens when it has none.
    pub fn crash_in_poll(&mut self, id: HostId, nth: u64, crash: Crash) {
        if let Some(host) = self.hosts.get_mut(&id)
            && let Some(process) = &host.process
        {
            process.life.set_polls_left(Some(nth));
            host.crash_in_poll = Some(crash);
        }
    }

    /// Takes back a crash that was set, and ends a pause.
    pub fn spare(&mut self, id: HostId) {
        if let Some(host) = self.hosts.get_mut(&id) {
            host.crash_in_poll = None;
            host.paused_until = host.paused_until.map(|until| until.min(self.now));
            if let Some(process) = &host.process {
                process.life.set_polls_left(None);
            }
        }
    }

    /// Gives a host's process no turn for a while, as one that was stopped or swapped out. Then it finds that the time has
    /// passed.
    pub fn pause(&mut self, id: HostId, time: Duration) {
        self.trace.record(self.now, id, format_args!("is paused for {} ms", time.as_millis()));
        if let Some(host) = self.hosts.get_mut(&id) {
            host.paused_until = Some(self.now + time);
        }
    }

    /// Whether a host's process gets no turn at present.
    #[must_use]
    pub fn is_paused(&self, id: HostId) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.paused_until.is_some_and(|until| self.now < until))
    }

    /// Lets the clocks of a host's processes, and with them everything that waits for a time, run at another rate: 500 is
    /// half as fast, 2 000 twice. The wall clock keeps to simulated time.
    pub fn set_clock_rate(&mut self, id: HostId, permille: u32) {
        self.trace.record(self.now, id, format_args!("has a clock at {permille} permille"));
        if let Some(host) = self.hosts.get_mut(&id) {
            self.drift += host.drift(self.now);
            host.rate_permille = permille.max(1);
            host.rate_since = self.now;
            if let Some(process) = &host.process {
                process.life.set_rate(self.now, host.rate_permille);
            }
        }
    }

    /// Sets by how many milliseconds a host's wall clock is ahead of simulated time.
    pub fn set_wall_offset_ms(&mut self, id: HostId, offset_ms: i64) {
        if let Some(host) = self.hosts.get(&id) {
            host.surroundings.wall_offset_ms.store(offset_ms, Ordering::Relaxed);
            self.greatest_wall_offset_ms = self.greatest_wall_offset_ms.max(offset_ms.unsigned_abs());
        }
    }

    /// How far any wall clock was ever off, either way.
    #[must_use]
    pub fn greatest_wall_offset_ms(&self) -> u64 {
        self.greatest_wall_offset_ms
    }

    /// How far log time may be off by the clocks of hosts: by a wall clock, which a leader reads once when it begins, and by
    /// the rates of the clocks that it counts on with. What one leader gains the next one keeps, so rates add up.
    #[must_use]
    pub fn greatest_log_time_offset_ms(&self) -> u64 {
        let drift = self.hosts.values().fold(self.drift, |drift, host| drift + host.drift(self.now));
        self.greatest_wall_offset_ms.saturating_add(u64::try_from(drift.as_millis()).unwrap_or(u64::MAX))
    }

    /// The record of the run.
    #[must_use]
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }
}

/// The first multiple of `step` after a time.
fn next_multiple(time: Duration, step: Duration) -> Duration {
    let passed = time.as_micros() / step.as_micros().max(1);
    step * u32::try_from(passed + 1).unwrap_or(u32::MAX)
}

impl Host {
    /// What its clock has gained or lost since it has the rate that it has.
    fn drift(&self, now: Duration) -> Duration {
        (now.saturating_sub(self.rate_since) * self.rate_permille.abs_diff(1_000)) / 1_000
    }

    /// Whether its process did nothing in its last turn, and nothing has reached it since.
    fn is_idle(&self) -> bool {
        self.process.as_ref().is_some_and(|it| it.was_idle && it.runtime.metrics().global_queue_depth() == 0)
    }

    /// Lets the process live until a simulated time.
    fn take_turn(&mut self, id: HostId, now: Duration, until: Duration, was_paused: bool) {
        let Some(Process { runtime, life, main, raft_seed, turn_end, was_idle }) = &mut self.process else { return };
        if main.is_none() && runtime.metrics().num_alive_tasks() == 0 {
            // Nothing is left in it that could ever do anything.
            return;
        }
        self.ahead_until = until;
        let polls = life.polls();
        let (from, to) = (life.whole_age_at(now), life.whole_age_at(until));
        if from == to {
            // A slow clock has not come to its next millisecond.
            return;
        }
        RaftRuntime::seed_thread(*raft_seed);
        set_turn(Some(life.clone()));
        turn_end.as_mut().reset(life.instant_of(to));
        runtime.block_on(async {
            if was_paused {
                // Time has passed at once: everything that was due is due now, in no order.
                tokio::time::advance(from.saturating_sub(life.age())).await;
            }
            life.until(turn_end.as_mut()).await;
        });
        set_turn(None);
        *was_idle = life.polls() == polls;
        *raft_seed = RaftRuntime::thread_seed().unwrap_or(*raft_seed);
        if let Some(main) = main.take_if(|main| main.is_finished())
            && let Err(error) = runtime.block_on(main)
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        let threads = runtime.metrics().num_blocking_threads();
        assert_eq!(threads, 0, "{id} has started a thread: nothing simulated may use spawn_blocking");
        if let Some(death) = life.death() {
            let crash = self.surroundings.drive.take_crash().or(self.crash_in_poll.take());
            self.bury(death.clone());
            if death == Death::Crashed {
                let crash = crash.unwrap_or(Crash::Kill);
                self.surroundings.trace.record(until, id, format_args!("has crashed: {crash:?}"));
                self.surroundings.drive.crash(crash);
            }
        }
    }

    /// Fences the process's world first, then drops all its tasks.
    fn bury(&mut self, death: Death) {
        if let Some(Process { runtime, life, turn_end, .. }) = self.process.take() {
            life.die(death);
            drop(turn_end);
            self.last_death = life.death();
            self.surroundings.net.forget_listeners(life.host());
            drop(runtime);
            self.surroundings.drive.release_locks();
        }
    }
}
