//! Clients of whom nobody is a customer: they ask without ever reading an answer, or for far more at once than a node takes.
//! Nothing of what they ask for can be done, so that it is in no history.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::Stream;
use holdfast_client::ids::CommandId;
use holdfast_client::{Client, ClientOptions, Command, PutItem, Transport, v1};
use holdfast_proto::v1::inventory_service_client::InventoryServiceClient;
use holdfast_world::{Clock, Lane, World};
use tokio::time::MissedTickBehavior;

use crate::Dice;

/// The requests of a flood that are under way at once.
const REQUESTS: usize = 6;
/// The commands of each: nearly as many bytes as a request may have, and half of what may wait at a shard.
const COMMANDS: usize = 60;
/// A command's padding: nearly as many bytes as an item's attributes may have.
const PADDING: usize = 16_000;
/// How long a flood waits for its answers.
const PATIENCE: Duration = Duration::from_secs(2);
/// The commands of each request of somebody who does not read.
const UNREAD_COMMANDS: usize = 20;
/// The time between two such requests: more would only take work from what else a run could do.
const UNREAD_PAUSE: Duration = Duration::from_millis(20);
const UNREAD_PADDING: usize = 500;
const CONNECT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(100);

/// What strangers were told that nobody may be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Complaints(Arc<Mutex<Vec<String>>>);

impl Complaints {
    fn add(&self, complaint: String) {
        self.0.lock().expect("no panic happens while complaints are locked").push(complaint);
    }

    /// Takes them.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic happens while complaints are locked"))
    }
}

/// An item that does not exist, to be changed if it has a certain revision: refused for good, however often it is asked for.
fn impossible(padding: usize) -> v1::PutItem {
    let attributes_json = format!("{{\"padding\":\"{}\"}}", "x".repeat(padding));
    let item = v1::Item { sku: "flood".to_owned(), name: "flood".to_owned(), attributes_json, ..v1::Item::default() };
    v1::PutItem { item: Some(item), if_revision: u64::from(u32::MAX), if_absent: false }
}

/// Asks one shard for much more at once than may wait there. Every answer must say what became of the command.
pub(crate) async fn flood(world: World, addresses: Vec<String>, complaints: Complaints) {
    let options = ClientOptions { transport: Transport::Unary, ..ClientOptions::in_world(addresses, world) };
    let client = loop {
        match Client::connect(options.clone()).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    let v1::PutItem { item, if_revision, .. } = impossible(PADDING);
    let command: Command = PutItem::new(item.unwrap_or_default()).if_revision(if_revision).into();
    let asked = (0..REQUESTS).map(|_| client.execute_batch_within(vec![command.clone(); COMMANDS], PATIENCE));
    let (mut reasons, mut attempts) = (BTreeMap::<&str, usize>::new(), 0);
    for told in join_all(asked).await.into_iter().flatten() {
        let reason = match &told {
            Ok(_) => "done",
            Err(error) => error.reason().name(),
        };
        if !is_allowed(&told) {
            complaints.add(format!("an impossible command of a flood was told {told:?}"));
        }
        *reasons.entry(reason).or_default() += 1;
        attempts = attempts.max(told.as_ref().err().map_or(0, |error| error.failure().attempts));
    }
    tracing::info!(?reasons, attempts, "the flood was answered");
}

/// Refused for good, or not taken, or unknown, by name.
fn is_allowed(told: &Result<holdfast_client::Success, holdfast_client::Error>) -> bool {
    use v1::ErrorReason as Reason;
    told.as_ref().is_err_and(|error| match error.reason() {
        Reason::UnknownSku
        | Reason::OutcomeUnknown
        | Reason::Overloaded
        | Reason::Unavailable
        | Reason::NotLeader
        | Reason::StaleRoute
        | Reason::StorageFull
        // The clock of the node that took it in was off.
        | Reason::IdTooOld
        | Reason::IdFromFuture => true,
        _ => false,
    })
}

/// Requests without end, one after each pause. A type of its own: of a stream with a closure in it the compiler cannot show that
/// the call is `Send`.
struct Questions {
    number: u64,
    dice: Dice,
    clock: Arc<dyn Clock>,
    pauses: tokio::time::Interval,
}

impl Questions {
    fn command(&mut self) -> v1::Command {
        let random = u128::from(self.dice.next_u64()) << 64 | u128::from(self.dice.next_u64());
        let minted_at_ms = self.clock.wall_ms();
        let id = CommandId::mint(minted_at_ms, random).0;
        let command_id = Some(v1::Id { high: (id >> 64) as u64, low: id as u64 });
        let operation = Some(v1::command::Operation::PutItem(impossible(UNREAD_PADDING)));
        v1::Command { command_id, minted_at_ms, operation, ..v1::Command::default() }
    }
}

impl Stream for Questions {
    type Item = v1::SessionRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<v1::SessionRequest>> {
        std::task::ready!(self.pauses.poll_tick(cx));
        self.number += 1;
        let commands = (0..UNREAD_COMMANDS).map(|_| self.command()).collect();
        Poll::Ready(Some(v1::SessionRequest { number: self.number, commands, ..v1::SessionRequest::default() }))
    }
}

/// Opens a session with a node, sends as much as is taken, and reads nothing of what comes back, for ever.
pub(crate) async fn ask_and_not_read(world: World, address: String) {
    let (dice, clock) = (Dice::new(world.entropy.next_u64()), world.clock.clone());
    let Ok(channel) = world.network.channel(&address, Lane::Client, CONNECT) else { return };
    let mut pauses = tokio::time::interval(UNREAD_PAUSE);
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let asked = InventoryServiceClient::new(channel).session(Questions { number: 0, dice, clock, pauses }).await;
    if asked.is_ok() {
        tracing::info!(address, "nobody reads the answers");
        std::future::pending::<()>().await;
    }
    drop(asked);
}
