//! Recording: each client notes its calls and what they were told into one history.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use holdfast_world::Clock;

use super::{Asked, History, Outcome, Record};

/// The history of a run while it is written.
#[derive(Clone, Debug, Default)]
pub struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    /// Looks at it, or takes it.
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().expect("no panic happens while the history is locked")
    }
}

/// One client's hand in the history.
#[derive(Debug)]
pub struct Recorder {
    history: SharedHistory,
    client: u64,
    clock: Arc<dyn Clock>,
    /// The simulated time at which the client's process was started, by which its monotonic clock is behind.
    started: Duration,
    last_us: Mutex<u64>,
}

/// A call that is under way.
#[derive(Debug)]
#[must_use = "a call that is not ended stays unknown"]
pub struct Ticket(Option<usize>);

impl Recorder {
    /// For one client, whose calls follow one another.
    #[must_use]
    pub fn new(history: SharedHistory, client: u64, clock: Arc<dyn Clock>, started: Duration) -> Self {
        Self { history, client, clock, started, last_us: Mutex::new(0) }
    }

    /// Simulated time in microseconds, later than at any call before, so that the order within a client shows. What one
    /// client does in a tick reaches nobody within it, so that an order made up between clients within a tick does no harm.
    fn now_us(&self) -> u64 {
        let now = self.started + self.clock.monotonic();
        let mut last_us = self.last_us.lock().expect("no panic happens while an instant is locked");
        *last_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX).max(*last_us + 1);
        *last_us
    }

    /// Notes a call. Until it is ended its outcome is unknown.
    pub fn call(&self, asked: Asked) -> Ticket {
        let call_us = self.now_us();
        let mut history = self.history.lock();
        if history.is_full() {
            history.dropped += 1;
            return Ticket(None);
        }
        let outcome = Outcome::Unknown("no answer yet".to_owned());
        history.records.push(Record { client: self.client, call_us, return_us: None, asked, outcome });
        Ticket(Some(history.records.len() - 1))
    }

    /// Notes what a call was told.
    pub fn end(&self, ticket: Ticket, outcome: Outcome) {
        let return_us = self.now_us();
        let Some(at) = ticket.0 else { return };
        if let Some(record) = self.history.lock().records.get_mut(at) {
            record.return_us = Some(return_us);
            record.outcome = outcome;
        }
    }

    /// Whether there is room for more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.history.lock().is_full()
    }
}
