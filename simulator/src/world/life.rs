//! The life of one process: its simulated time, and whether it still lives.
//!
//! Every simulated part of a process holds its life, and does nothing once it has ended: what a dead process had under
//! way is never completed.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use holdfast_world::EndReason;
use tokio::time::{Instant, Sleep};

use crate::HostId;

/// How a process came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// The simulation ended it.
    Crashed,
    /// It ended itself.
    Ended(EndReason),
}

/// One process of a host, from its start to its death.
#[derive(Debug)]
pub struct Life {
    host: HostId,
    /// The instant of its runtime's clock at its start.
    origin: OnceLock<Instant>,
    pace: Mutex<Pace>,
    death: OnceLock<Death>,
    /// Wakes the simulation when it has died.
    died: AtomicWaker,
    /// How many polls its tasks have had.
    polls: AtomicU64,
    /// The poll that it does not survive, counted as those; [`NO_POLL`]: none.
    last_poll: AtomicU64,
}

/// No process comes to so many polls.
const NO_POLL: u64 = u64::MAX;

/// How the process's own clock runs beside simulated time: at a moment of both, and from there on.
#[derive(Clone, Copy, Debug)]
struct Pace {
    simulated: Duration,
    age: Duration,
    /// By how much the own clock advances in a thousand of simulated time.
    rate_permille: u32,
}

impl Pace {
    fn age_at(&self, simulated: Duration) -> Duration {
        self.age + simulated.saturating_sub(self.simulated) * self.rate_permille / 1_000
    }

    fn simulated_at(&self, age: Duration) -> Duration {
        self.simulated + age.saturating_sub(self.age) * 1_000 / self.rate_permille
    }
}

impl Life {
    /// A life that begins at a simulated time. [`Life::begin`] ties it to its runtime's clock.
    #[must_use]
    pub fn new(host: HostId, started: Duration) -> Self {
        let pace = Pace { simulated: started, age: Duration::ZERO, rate_permille: 1_000 };
        Self {
            host,
            origin: OnceLock::new(),
            pace: Mutex::new(pace),
            death: OnceLock::new(),
            died: AtomicWaker::new(),
            polls: AtomicU64::new(0),
            last_poll: AtomicU64::new(NO_POLL),
        }
    }

    fn pace(&self) -> Pace {
        *self.pace.lock().expect("no panic happens while a pace is locked")
    }

    /// From a simulated time on its clock runs at another rate.
    pub(crate) fn set_rate(&self, simulated: Duration, rate_permille: u32) {
        let mut pace = self.pace.lock().expect("no panic happens while a pace is locked");
        *pace = Pace { simulated, age: pace.age_at(simulated), rate_permille: rate_permille.max(1) };
    }

    /// The age that it reaches at a simulated time; its runtime counts whole milliseconds.
    pub(crate) fn whole_age_at(&self, simulated: Duration) -> Duration {
        Duration::from_millis(u64::try_from(self.pace().age_at(simulated).as_millis()).unwrap_or(u64::MAX))
    }

    /// The instant of its runtime's clock at which it has an age.
    pub(crate) fn instant_of(&self, age: Duration) -> Instant {
        *self.origin.get().expect("a process begins before it runs") + age
    }

    /// Ready when it has died, or `wake_up` is over.
    pub(crate) async fn until(&self, mut wake_up: Pin<&mut Sleep>) {
        poll_fn(|context| {
            if !self.is_alive() {
                return Poll::Ready(());
            }
            self.died.register(context.waker());
            wake_up.as_mut().poll(context)
        })
        .await;
    }

    /// Lets it die in the poll of a task after so many more; `None`: in none.
    pub(crate) fn set_polls_left(&self, polls: Option<u64>) {
        let last = polls.map_or(NO_POLL, |polls| self.polls().saturating_add(polls));
        self.last_poll.store(last, Ordering::Relaxed);
    }

    /// Counts a poll: true once, in the one that it does not survive.
    pub(crate) fn is_last_poll(&self) -> bool {
        self.polls.fetch_add(1, Ordering::Relaxed) == self.last_poll.load(Ordering::Relaxed)
    }

    /// How many polls its tasks have had: nothing has changed in it while this stays the same.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Takes the present instant of the runtime that is entered as the beginning.
    pub fn begin(&self) {
        self.origin.get_or_init(Instant::now);
    }

    /// The host on which it lives.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.host
    }

    /// How long it has lived, by its own clock. Only within its own runtime.
    #[must_use]
    pub fn age(&self) -> Duration {
        let origin = self.origin.get().expect("a process begins before it runs");
        // What is dropped with the runtime may ask outside of it, where tokio would answer with the real time.
        if tokio::runtime::Handle::try_current().is_err() { Duration::ZERO } else { origin.elapsed() }
    }

    /// The simulated time. Only within its own runtime.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.pace().simulated_at(self.age())
    }

    /// Waits until a simulated time.
    pub async fn sleep_until(&self, at: Duration) {
        loop {
            let age = self.pace().age_at(at);
            tokio::time::sleep_until(self.instant_of(age)).await;
            // The rate may have changed meanwhile.
            if self.pace().age_at(at) <= self.age() {
                return;
            }
        }
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.death.get().is_none()
    }

    /// How it ended; `None` while it lives.
    #[must_use]
    pub fn death(&self) -> Option<Death> {
        self.death.get().cloned()
    }

    /// Ends it. The first death counts.
    pub fn die(&self, death: Death) {
        self.death.get_or_init(|| death);
        self.died.wake();
    }

    /// Returns at once while it lives, never after its death.
    pub async fn goes_on(&self) {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }
}
