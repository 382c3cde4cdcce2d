//! The shop: a keeper who puts items on the shelves, and customers of each of the run's workloads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use holdfast_client::{Client, ClientOptions};
use holdfast_world::World;

use super::shopper::Board;
use super::{Books, Shopper, Workload, provider};
use crate::history::{Recorder, SharedHistory};
use crate::{Dice, HostId, Simulation};

const KEEPER: HostId = HostId(100);
/// Somebody outside, whom the steps of orders call.
const PROVIDER: HostId = HostId(110);
const CUSTOMERS: u64 = 3;
const LEAST_ORDERS: u64 = 15;
/// How long at most somebody who passes by thinks between two orders.
const PASSING_PACE_MS: u64 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// What everybody knows of the shop.
#[derive(Debug, Default)]
struct Sign {
    is_open: bool,
    is_calm: bool,
    is_closing: bool,
    customers_gone: u64,
    troubles: Vec<String>,
}

/// The shop as the stage sees it.
#[derive(Clone, Debug)]
pub struct Shop {
    addresses: Vec<String>,
    /// What the seed drew, and of that what is done.
    drawn: Vec<Workload>,
    /// Empty: the only one.
    season: String,
    workloads: Vec<Workload>,
    history: SharedHistory,
    boards: BTreeMap<Workload, Board>,
    /// What the provider has done.
    books: Books,
    /// How long at most a customer thinks between two orders.
    pace: Duration,
    sign: Arc<Mutex<Sign>>,
}

impl Shop {
    /// A shop whose customers do what the seed draws, and think for at most `pace` between two orders.
    #[must_use]
    pub fn new(seed: u64, pace: Duration, addresses: Vec<String>) -> Self {
        let drawn = Workload::of_seed(seed);
        let workloads = drawn.clone();
        let boards = workloads.iter().map(|workload| (*workload, Board::default())).collect();
        let (season, history, sign) = (String::new(), SharedHistory::default(), Arc::default());
        let books = Books::default();
        Self { addresses, season, drawn, workloads, history, boards, books, pace, sign }
    }

    /// The same, of what the seed draws only some, if these are given.
    #[must_use]
    pub fn only(mut self, only: Option<&[Workload]>) -> Self {
        self.workloads.retain(|workload| only.is_none_or(|only| only.contains(workload)));
        self
    }

    /// The same with SKUs of that season, so that one shop may follow another in one cluster.
    #[must_use]
    pub fn in_season(self, season: &str) -> Self {
        Self { season: season.to_owned(), ..self }
    }

    fn sign(&self) -> MutexGuard<'_, Sign> {
        self.sign.lock().expect("no panic happens while the sign is locked")
    }

    /// Starts the keeper and the customers; these wait until the shelves are full.
    pub fn open(&self, simulation: &mut Simulation) {
        if self.workloads.contains(&Workload::Sagas) {
            simulation.add_host(PROVIDER, provider::HOST);
            let books = self.books.clone();
            simulation.start(PROVIDER, |world| provider::serve(world, books));
        }
        simulation.add_host(KEEPER, "keeper");
        let (shop, started) = (self.clone(), simulation.now());
        simulation.start(KEEPER, |world| shop.keep(world, started));
        for number in 1..=CUSTOMERS {
            let host = HostId(KEEPER.0 + number);
            simulation.add_host(host, &format!("customer{number}"));
            let shop = self.clone();
            simulation.start(host, |world| shop.visit(world, host, started));
        }
    }

    /// Starts one more customer, of any of the workloads, for whom nobody waits at the end.
    pub(crate) fn let_in(&self, simulation: &mut Simulation, host: HostId) {
        let (shop, started) = (self.clone(), simulation.now());
        simulation.start(host, |world| async move { shop.pass_by(world, host, started).await });
    }

    /// Whether the shelves are full.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sign().is_open
    }

    /// The faults are over: customers no longer give up early.
    pub fn calm(&self) {
        self.sign().is_calm = true;
    }

    /// Customers leave once they have had enough orders.
    pub fn close(&self) {
        self.sign().is_closing = true;
    }

    /// Whether all customers have left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sign().customers_gone == CUSTOMERS
    }

    /// What is done in it.
    #[must_use]
    pub fn workloads(&self) -> &[Workload] {
        &self.workloads
    }

    /// What everybody saw.
    #[must_use]
    pub fn history(&self) -> &SharedHistory {
        &self.history
    }

    /// What the provider has done.
    #[must_use]
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What kept the shop from doing its work.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.sign().troubles.clone()
    }

    /// Everybody's work in a world that is not simulated: the keeper's, and that of each customer.
    pub fn staff(&self, world: &World) -> Vec<BoxFuture<'static, ()>> {
        let (shop, in_world) = (self.clone(), world.clone());
        let mut staff = vec![async move { shop.keep(in_world, Duration::ZERO).await }.boxed()];
        for number in 1..=CUSTOMERS {
            let (shop, in_world) = (self.clone(), world.clone());
            staff.push(async move { shop.visit(in_world, HostId(KEEPER.0 + number), Duration::ZERO).await }.boxed());
        }
        staff
    }

    async fn keep(self, world: World, started: Duration) {
        let client = connect(self.addresses.clone(), world.clone()).await;
        let recorder = Recorder::new(self.history.clone(), KEEPER.0 * 100, world.clock.clone(), started);
        let dice = Dice::new(world.entropy.next_u64());
        let mut keeper = Shopper::new(client.clone(), recorder, Board::default(), dice).in_season(&self.season);
        for workload in &self.workloads {
            if !workload.prepare(&client, &self.season).await {
                self.sign().troubles.push(format!("there is no place for {workload}"));
            }
            for request in workload.opening(&client, &self.season) {
                let sku = request.skus().next().unwrap_or_default().to_owned();
                if !keeper.ask_done(request).await {
                    self.sign().troubles.push(format!("{sku} cannot be put on the shelf"));
                }
            }
        }
        self.sign().is_open = true;
    }

    async fn visit(self, world: World, host: HostId, started: Duration) {
        while !self.is_open() {
            tokio::time::sleep(PAUSE).await;
        }
        let client = connect(self.addresses.clone(), world.clone()).await;
        let mut visits = Vec::new();
        for (number, workload) in (0_u64..).zip(&self.drawn) {
            // Drawn for one that is left out too: the others do what they would do beside it.
            let dice = Dice::new(world.entropy.next_u64());
            if !self.workloads.contains(workload) {
                continue;
            }
            let recorder = Recorder::new(self.history.clone(), host.0 * 100 + number, world.clock.clone(), started);
            let board = self.boards.get(workload).cloned().unwrap_or_default();
            let shopper = Shopper::new(client.clone(), recorder, board, dice).in_season(&self.season);
            visits.push(self.shop(*workload, shopper));
        }
        join_all(visits).await;
        self.sign().customers_gone += 1;
    }

    async fn pass_by(self, world: World, host: HostId, started: Duration) {
        let client = connect(self.addresses.clone(), world.clone()).await;
        let mut dice = Dice::new(world.entropy.next_u64());
        // Drawn for one that is left out too.
        let workload = self.drawn[dice.below(self.drawn.len() as u64) as usize];
        if !self.workloads.contains(&workload) {
            return;
        }
        let recorder = Recorder::new(self.history.clone(), host.0 * 100, world.clock.clone(), started);
        let board = self.boards.get(&workload).cloned().unwrap_or_default();
        let mut shopper = Shopper::new(client, recorder, board, dice).in_season(&self.season);
        shopper.is_hasty = true;
        while !shopper.is_done() {
            workload.order(&mut shopper).await;
            tokio::time::sleep(Duration::from_millis(shopper.dice.between(1, PASSING_PACE_MS))).await;
        }
    }

    async fn shop(&self, workload: Workload, mut shopper: Shopper) {
        let mut orders = 0;
        while (orders < LEAST_ORDERS || !self.sign().is_closing) && !shopper.is_done() {
            shopper.is_hasty = !self.sign().is_calm;
            workload.order(&mut shopper).await;
            orders += 1;
            let most_ms = u64::try_from(self.pace.as_millis()).unwrap_or(u64::MAX);
            tokio::time::sleep(Duration::from_millis(shopper.dice.between(1, most_ms))).await;
        }
    }
}

/// A client of the cluster, as soon as any node answers.
pub async fn connect(addresses: Vec<String>, world: World) -> Client {
    loop {
        match Client::connect(ClientOptions::in_world(addresses.clone(), world.clone())).await {
            Ok(client) => return client,
            Err(error) => tracing::info!(reason = ?error.reason(), "no node answers"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
