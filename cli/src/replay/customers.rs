//! The trace's customers, played by a fixed number of tasks. All events of one session about one product go to the same
//! task, which plays them one after the other; the tasks run beside each other.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use holdfast_client::ids::{ReservationId, slot_of};
use holdfast_client::{Client, Command, CommandKey, Commit, Fulfil, Release, Reserve};
use holdfast_proto::v1::ErrorReason;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

use super::tally::Tally;
use crate::certain::{Outcome, ask_until_certain};
use crate::connect::failure_of;
use crate::consistency::Freshness;
use crate::failure::Failure;
use crate::input::{Event, EventKind};
use crate::random::Random;

const TASKS: usize = 256;
/// Events that wait for a task; the reader waits when there are more.
const WAITING: usize = 32;
/// Carts that a task remembers; beyond, one is forgotten, and its hold ends by itself.
const MAX_CARTS: usize = 16_384;
const WITHIN: Duration = Duration::from_secs(60);

/// The tasks, and where their events are put.
pub(super) struct Customers {
    queues: Vec<Sender<Event>>,
    tasks: JoinSet<Result<Tally, Failure>>,
}

impl Customers {
    /// Starts the tasks.
    pub(super) fn start(client: &Client, freshness: Freshness) -> Self {
        let mut tasks = JoinSet::new();
        let seed = Random::fresh_seed();
        let queues = (0..TASKS as u64)
            .map(|number| {
                let (queue, events) = channel(WAITING);
                let random = Random::stream(seed, number);
                let customer = Customer {
                    client: client.clone(),
                    freshness,
                    random,
                    carts: BTreeMap::new(),
                    tally: Tally::default(),
                };
                tasks.spawn(customer.play(events));
                queue
            })
            .collect();
        Self { queues, tasks }
    }

    /// Gives the event to its task. An error: the task has ended with a failure, which `finish` tells.
    pub(super) async fn send(&self, event: Event) -> Result<(), ()> {
        let mut hasher = DefaultHasher::new();
        (&event.session, &event.sku).hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % TASKS as u64).expect("below the number of tasks");
        self.queues[at].send(event).await.map_err(|_| ())
    }

    /// Waits until all events are played.
    pub(super) async fn finish(mut self) -> Result<Tally, Failure> {
        drop(self.queues);
        let mut sum = Tally::default();
        while let Some(ended) = self.tasks.join_next().await {
            let tally = ended.map_err(|error| Failure::check(format!("a task of the replay has ended: {error}")))?;
            sum.add(tally?);
        }
        Ok(sum)
    }
}

struct Customer {
    client: Client,
    freshness: Freshness,
    random: Random,
    /// The holds of each session on each product, the newest last.
    carts: BTreeMap<(String, String), Vec<ReservationId>>,
    tally: Tally,
}

impl Customer {
    async fn play(mut self, mut events: Receiver<Event>) -> Result<Tally, Failure> {
        while let Some(event) = events.recv().await {
            match event.kind {
                EventKind::View => self.view(&event.sku).await?,
                EventKind::Cart => {
                    if let Some(hold) = self.hold(&event.sku).await? {
                        self.put_in_cart(event, hold);
                    }
                }
                EventKind::RemoveFromCart => self.remove(event).await?,
                EventKind::Purchase => self.purchase(event).await?,
            }
        }
        Ok(self.tally)
    }

    async fn view(&mut self, sku: &str) -> Result<(), Failure> {
        match self.client.reader(self.freshness.into()).stock(sku, None).await {
            Ok(_) => self.tally.views += 1,
            Err(error) if error.reason() == ErrorReason::UnknownSku => self.tally.unknown_skus += 1,
            Err(error) => return Err(failure_of(error).about(sku)),
        }
        Ok(())
    }

    /// A hold on one unit; `None` where it was refused.
    async fn hold(&mut self, sku: &str) -> Result<Option<ReservationId>, Failure> {
        let id = crate::connect::mint_reservation(slot_of(sku), &mut self.random);
        let reserve = Command::from(Reserve::new().id(id).line(sku, 1));
        match self.ask(reserve).await? {
            Outcome::Done => {
                self.tally.held += 1;
                Ok(Some(id))
            }
            Outcome::Refused(told) => {
                match told.reason {
                    ErrorReason::InsufficientStock => self.tally.refused += 1,
                    ErrorReason::UnknownSku => self.tally.unknown_skus += 1,
                    _ => return Err(Failure::from_client(&told).about(sku)),
                }
                Ok(None)
            }
        }
    }

    fn put_in_cart(&mut self, event: Event, hold: ReservationId) {
        if self.carts.len() >= MAX_CARTS {
            self.carts.pop_first();
        }
        self.carts.entry((event.session, event.sku)).or_default().push(hold);
    }

    fn take_from_cart(&mut self, event: &Event) -> Option<ReservationId> {
        let key = (event.session.clone(), event.sku.clone());
        let holds = self.carts.get_mut(&key)?;
        let hold = holds.pop();
        if holds.is_empty() {
            self.carts.remove(&key);
        }
        hold
    }

    async fn remove(&mut self, event: Event) -> Result<(), Failure> {
        let Some(hold) = self.take_from_cart(&event) else {
            self.tally.unmatched_removals += 1;
            return Ok(());
        };
        match self.ask(Command::from(Release::of(hold))).await? {
            Outcome::Done => self.tally.released += 1,
            // It has ended by itself before.
            Outcome::Refused(told) if told.reason == ErrorReason::ReservationExpired => {}
            Outcome::Refused(told) => return Err(Failure::from_client(&told).about(&event.sku)),
        }
        Ok(())
    }

    async fn purchase(&mut self, event: Event) -> Result<(), Failure> {
        let hold = match self.take_from_cart(&event) {
            Some(hold) => Some(hold),
            None => self.hold(&event.sku).await?,
        };
        let Some(hold) = hold else { return Ok(()) };
        // At recorded pace a cart may have expired before it is paid for.
        match self.ask(Command::from(Commit::of(hold).retake_if_expired())).await? {
            Outcome::Done => *self.tally.sold.entry(event.sku.clone()).or_default() += 1,
            Outcome::Refused(told)
                if matches!(told.reason, ErrorReason::InsufficientStock | ErrorReason::ReservationExpired) =>
            {
                self.tally.refused += 1;
                return Ok(());
            }
            Outcome::Refused(told) => return Err(Failure::from_client(&told).about(&event.sku)),
        }
        match self.ask(Command::from(Fulfil::of(hold))).await? {
            Outcome::Done => Ok(()),
            Outcome::Refused(told) => Err(Failure::from_client(&told).about(&event.sku)),
        }
    }

    async fn ask(&self, command: Command) -> Result<Outcome, Failure> {
        ask_until_certain(&self.client, command, CommandKey::Minted, WITHIN).await
    }
}
