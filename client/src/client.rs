//! The client as its callers see it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1::{self, ConsistencyToken};
use tokio::sync::watch;

use crate::answer::{Error, Success};
use crate::command::{
    Adjust, Amend, Cancel, Command, Commit, Extend, Fulfil, PutItem, PutKit, Receive, Release, Reserve, Return, Set,
};
use crate::core::Core;
use crate::ids::{ReservationId, slot_of};
use crate::options::{ClientOptions, ExecuteOptions};
use crate::reads::{Consistency, Read, Reader, Stock};
use crate::{batch, execute};

/// A connection to a cluster. Cheap to clone; all clones share routes, sessions and limits. Its tasks end when the last
/// clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    core: Arc<Core>,
    _life: Arc<watch::Sender<()>>,
}

impl Client {
    /// Learns the routes from any of the addresses. Must be called within a tokio runtime with timers. `NotAdmitted` where
    /// no node answers within the deadline of the options.
    pub async fn connect(options: ClientOptions) -> Result<Self, Error> {
        let (life, living) = watch::channel(());
        let core = Arc::new(Core::new(options, living)?);
        let mut pacer = core.pacer(core.deadline(None));
        while let Err(error) = core.fetch_routes().await {
            if !pacer.pause(false, None).await {
                return Err(error);
            }
        }
        tokio::spawn(core.clone().keep_fresh());
        Ok(Self { core, _life: Arc::new(life) })
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Executes one command, with as many attempts as the deadline allows, all of the same id and body.
    pub async fn execute(&self, command: impl Into<Command>) -> Result<Success, Error> {
        execute::execute(&self.core, command.into(), self.core.deadline(None)).await
    }

    /// The same with a key, a deadline or a cause of its own.
    pub async fn execute_with(&self, command: impl Into<Command>, options: ExecuteOptions) -> Result<Success, Error> {
        let mut command = command.into().with_key(options.key);
        command.cause = options.cause.or(command.cause);
        execute::execute(&self.core, command, self.core.deadline(options.deadline)).await
    }

    /// Executes many commands, each with its own answer, in the order given. They are split by shard leader; commands of
    /// one shard are decided in order; those chained by [`Command::linked`] are done all or none.
    pub async fn execute_batch(&self, commands: Vec<Command>) -> Vec<Result<Success, Error>> {
        batch::execute(&self.core, commands, self.core.deadline(None)).await
    }

    /// The same with a deadline of its own.
    pub async fn execute_batch_within(
        &self,
        commands: Vec<Command>,
        deadline: Duration,
    ) -> Vec<Result<Success, Error>> {
        batch::execute(&self.core, commands, self.core.deadline(Some(deadline))).await
    }

    /// Takes a hold. [`Success::reservation_id`] says under which id.
    pub async fn reserve(&self, reserve: Reserve) -> Result<Success, Error> {
        self.execute(reserve).await
    }

    /// Changes a hold.
    pub async fn amend(&self, amend: Amend) -> Result<Success, Error> {
        self.execute(amend).await
    }

    /// Prolongs a hold.
    pub async fn extend(&self, id: ReservationId, ttl: Duration) -> Result<Success, Error> {
        self.execute(Extend::of(id, ttl)).await
    }

    /// Turns all that a reservation holds into a sale. For a part of it execute a [`Commit`] with lines.
    pub async fn commit(&self, id: ReservationId) -> Result<Success, Error> {
        self.execute(Commit::of(id)).await
    }

    /// Gives back what a reservation holds.
    pub async fn release(&self, id: ReservationId) -> Result<Success, Error> {
        self.execute(Release::of(id)).await
    }

    /// Ships committed units.
    pub async fn fulfil(&self, fulfil: Fulfil) -> Result<Success, Error> {
        self.execute(fulfil).await
    }

    /// Gives back what is committed and not shipped.
    pub async fn cancel(&self, id: ReservationId) -> Result<Success, Error> {
        self.execute(Cancel::of(id)).await
    }

    /// Takes shipped units back.
    pub async fn return_units(&self, units: Return) -> Result<Success, Error> {
        self.execute(units).await
    }

    /// Adds units that arrived.
    pub async fn receive(&self, receive: Receive) -> Result<Success, Error> {
        self.execute(receive).await
    }

    /// Corrects a quantity by a difference.
    pub async fn adjust(&self, adjust: Adjust) -> Result<Success, Error> {
        self.execute(adjust).await
    }

    /// Corrects a quantity by a count.
    pub async fn set(&self, set: Set) -> Result<Success, Error> {
        self.execute(set).await
    }

    /// Creates an item, or replaces its attributes.
    pub async fn put_item(&self, put: PutItem) -> Result<Success, Error> {
        self.execute(put).await
    }

    /// Creates a kit, or replaces its recipe.
    pub async fn put_kit(&self, put: PutKit) -> Result<Success, Error> {
        self.execute(put).await
    }

    /// Reads of that consistency.
    #[must_use]
    pub fn reader(&self, consistency: Consistency) -> Reader<'_> {
        Reader { core: &self.core, consistency }
    }

    /// Reads of the client's own consistency.
    fn usual(&self) -> Reader<'_> {
        self.reader(self.core.options.consistency)
    }

    /// One item.
    pub async fn item(&self, sku: &str) -> Result<Read<v1::Item>, Error> {
        self.usual().item(sku).await
    }

    /// The quantities of a SKU, at one location or at every one.
    pub async fn stock(&self, sku: &str, location_id: Option<&str>) -> Result<Read<Stock>, Error> {
        self.usual().stock(sku, location_id).await
    }

    /// One reservation.
    pub async fn reservation(&self, id: ReservationId) -> Result<Read<v1::Reservation>, Error> {
        self.usual().reservation(id).await
    }

    /// The shard that decides a SKU.
    #[must_use]
    pub fn shard_of(&self, sku: &str) -> u32 {
        self.core.shard_of(slot_of(sku))
    }

    /// The shard that decides what has that slot: a reservation, a transfer, an expected receipt, a count.
    #[must_use]
    pub fn shard_of_slot(&self, slot: u16) -> u32 {
        self.core.shard_of(slot)
    }

    /// By this position a shard has applied everything that this client was answered; `None`: nothing yet.
    #[must_use]
    pub fn token(&self, shard: u32) -> Option<ConsistencyToken> {
        self.core.learned.token(shard)
    }

    /// Cluster time as this client knows it, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn cluster_time_ms(&self) -> u64 {
        self.core.learned.time.now_ms()
    }
}
