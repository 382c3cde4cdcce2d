//! The shop: a keeper who puts items on the shelves, customers who reserve, buy and give back, and what each of them was
//! told. A command whose outcome is unknown is asked again under its id; what stays unknown counts as possible either way.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use holdfast_client::{
    Client, ClientOptions, Command, CommandKey, Commit, Error, Fulfil, PutItem, Receive, Release, Reserve, Success,
};
use holdfast_proto::v1;
use holdfast_world::World;

use super::Report;
use super::cluster::Cluster;
use crate::{Dice, HostId, Simulation};

const KEEPER: HostId = HostId(100);
const CUSTOMERS: u64 = 3;
const SKUS: u64 = 6;
/// Few enough that some customers are refused.
const STOCK: u32 = 30;
const LEAST_ORDERS: u64 = 30;
/// How often a command of unknown outcome is asked again.
const ASKED_AGAIN: u32 = 10;
const PAUSE: Duration = Duration::from_millis(100);

/// What everybody was told, together.
#[derive(Debug, Default)]
struct Ledger {
    is_open: bool,
    is_closing: bool,
    customers_gone: u64,
    reserved: u64,
    held: Count,
    received: Count,
    sold: Count,
    shipped: Count,
    refused: u64,
    unknown: u64,
    troubles: Vec<String>,
}

/// Units that were moved for certain, and units that may have been.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    certain: u64,
    possible: u64,
}

impl Count {
    fn allows(self, units: u64) -> bool {
        (self.certain..=self.certain + self.possible).contains(&units)
    }
}

/// The shop as the stage sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shop {
    ledger: Arc<Mutex<Ledger>>,
}

impl Shop {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic happens while the ledger is locked")
    }

    /// Starts the keeper and the customers; these wait until the shelves are full.
    pub(super) fn open(&self, simulation: &mut Simulation) {
        simulation.add_host(KEEPER, "keeper");
        let shop = self.clone();
        simulation.start(KEEPER, |world| shop.keep(world));
        for number in 1..=CUSTOMERS {
            let host = HostId(KEEPER.0 + number);
            simulation.add_host(host, &format!("customer{number}"));
            let shop = self.clone();
            simulation.start(host, |world| shop.visit(world));
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.ledger().is_open
    }

    /// Customers leave once they have had enough orders.
    pub(super) fn close(&self) {
        self.ledger().is_closing = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.ledger().customers_gone == CUSTOMERS
    }

    async fn keep(self, world: World) {
        let client = connect(world).await;
        for number in 0..SKUS {
            let item = v1::Item { sku: sku(number), name: format!("Item {number}"), ..v1::Item::default() };
            if let Err(error) = self.ask(&client, PutItem::new(item)).await {
                self.ledger().troubles.push(format!("an item cannot be put: {error}"));
            }
            let outcome = self.ask(&client, Receive::of(sku(number), STOCK)).await;
            count(&mut self.ledger().received, &outcome, STOCK);
        }
        self.ledger().is_open = true;
    }

    async fn visit(self, world: World) {
        while !self.is_open() {
            tokio::time::sleep(PAUSE).await;
        }
        let mut dice = Dice::new(world.entropy.next_u64());
        let client = connect(world).await;
        let mut orders = 0;
        while orders < LEAST_ORDERS || !self.ledger().is_closing {
            self.order(&client, &mut dice).await;
            orders += 1;
            tokio::time::sleep(Duration::from_millis(dice.between(1, 300))).await;
        }
        self.ledger().customers_gone += 1;
    }

    async fn order(&self, client: &Client, dice: &mut Dice) {
        let units = dice.between(1, 3) as u32;
        let outcome = self.ask(client, Reserve::new().line(sku(dice.below(SKUS)), units)).await;
        count(&mut self.ledger().held, &outcome, units);
        let Ok(Success { reservation_id: Some(reservation), .. }) = outcome else { return };
        self.ledger().reserved += 1;
        match dice.below(10) {
            0..5 => {
                let outcome = self.ask(client, Commit::of(reservation)).await;
                count(&mut self.ledger().sold, &outcome, units);
                if outcome.is_ok() && dice.below(2) == 0 {
                    let outcome = self.ask(client, Fulfil::of(reservation)).await;
                    count(&mut self.ledger().shipped, &outcome, units);
                }
            }
            5..9 => drop(self.ask(client, Release::of(reservation)).await),
            _ => {}
        }
    }

    /// Asks until the outcome is known, or has stayed unknown too often.
    async fn ask(&self, client: &Client, command: impl Into<Command>) -> Result<Success, Error> {
        let mut command = command.into();
        let verb = command.verb();
        for _ in 0..ASKED_AGAIN {
            let outcome = client.execute(command.clone()).await;
            match &outcome {
                Ok(success) => {
                    tracing::info!(verb, id = %success.command_id, replayed = success.replayed, "acknowledged")
                }
                Err(error) => tracing::info!(verb, reason = ?error.reason(), "not done"),
            }
            match &outcome {
                Ok(_) => return outcome,
                Err(Error::Refused(_)) => {
                    self.ledger().refused += 1;
                    return outcome;
                }
                Err(error) => {
                    if let Some(id) = error.failure().command_id {
                        command = command.with_key(CommandKey::Id(id));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        self.ledger().unknown += 1;
        client.execute(command).await
    }

    /// Compares what the ledgers of all shards say with what customers were told.
    pub(super) fn compare(&self, totals: &v1::ShardTotals, findings: &mut Vec<String>) {
        let ledger = self.ledger();
        let told = [
            ("received", ledger.received, totals.received),
            ("sold", ledger.sold, totals.sold),
            ("shipped", ledger.shipped, totals.fulfilled),
        ];
        for (what, told, units) in told {
            if !told.allows(units) {
                findings.push(format!(
                    "{units} units are {what} by the shards, {} for certain and {} perhaps by what was answered",
                    told.certain, told.possible
                ));
            }
        }
        if totals.sold > totals.received {
            findings.push(format!("{} units are sold of {} received", totals.sold, totals.received));
        }
    }

    pub(super) fn tell(&self, report: &mut Report) {
        let ledger = self.ledger();
        report.reserved = ledger.reserved;
        report.units_held = ledger.held.certain;
        report.refused = ledger.refused;
        report.unknown = ledger.unknown;
        report.findings.extend(ledger.troubles.iter().cloned());
    }
}

/// A client of the cluster, as soon as any node answers.
pub(super) async fn connect(world: World) -> Client {
    loop {
        match Client::connect(ClientOptions::in_world(Cluster::client_addresses(), world.clone())).await {
            Ok(client) => return client,
            Err(error) => tracing::info!(reason = ?error.reason(), "no node answers"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn sku(number: u64) -> String {
    format!("SKU-{number}")
}

fn count(count: &mut Count, outcome: &Result<Success, Error>, units: u32) {
    match outcome {
        Ok(_) => count.certain += u64::from(units),
        Err(Error::Unknown(_)) => count.possible += u64::from(units),
        Err(Error::Refused(_) | Error::NotAdmitted(_)) => {}
    }
}
