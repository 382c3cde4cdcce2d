//! What a client may be told: where the cluster is, how long to wait, how much to have under way.

use std::time::Duration;

use holdfast_proto::v1;
use holdfast_world::World;

use crate::command::CommandKey;
use crate::reads::Consistency;

/// How commands reach a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// One stream a node; what has gathered travels together. The default. What is asked within a trace that is sampled goes by a call of
    /// its own all the same.
    #[default]
    Session,
    /// A call of its own for each command, or for each batch.
    Unary,
}

/// A client's settings. [`ClientOptions::new`] gives sound ones.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Client addresses (`host:port`) of some of the nodes; the rest are learned.
    pub addresses: Vec<String>,
    /// Clock, randomness and network.
    pub world: World,
    /// How commands reach a node.
    pub transport: Transport,
    /// Bounds one attempt to connect.
    pub connect_timeout: Duration,
    /// Bounds one attempt of a command or a read; then it is asked again with the same id.
    pub attempt_timeout: Duration,
    /// Bounds a command or a read with all its attempts, unless the call says otherwise.
    pub deadline: Duration,
    /// The first pause before a retry; it doubles with each.
    pub backoff_base: Duration,
    /// The longest pause before a retry.
    pub backoff_max: Duration,
    /// Retries that may be made at once.
    pub retry_burst: u32,
    /// Retries a second that are always allowed, on the long run.
    pub retries_per_second: u32,
    /// How often the routes are asked for when all is well.
    pub refresh_interval: Duration,
    /// The least time between two askings for the routes.
    pub refresh_min_interval: Duration,
    /// Commands under way in this client, waiting ones included. More wait, and are not admitted at their deadline.
    pub max_commands: usize,
    /// Encoded bytes of the commands under way.
    pub max_bytes: usize,
    /// Commands in one request of a session. A batch's request may have more.
    pub session_commands: usize,
    /// Requests in flight on a session before commands are gathered.
    pub session_requests: usize,
    /// How fresh a read is that says nothing else.
    pub consistency: Consistency,
}

impl ClientOptions {
    /// Sound settings for the cluster at `addresses`, in the real world.
    #[must_use]
    pub fn new<A: Into<String>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self::in_world(addresses, World::real())
    }

    /// The same in another world.
    #[must_use]
    pub fn in_world<A: Into<String>>(addresses: impl IntoIterator<Item = A>, world: World) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            world,
            transport: Transport::Session,
            connect_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(2),
            deadline: Duration::from_secs(10),
            backoff_base: Duration::from_millis(10),
            backoff_max: Duration::from_millis(500),
            retry_burst: 2_000,
            retries_per_second: 2_000,
            refresh_interval: Duration::from_secs(30),
            refresh_min_interval: Duration::from_millis(100),
            max_commands: 16_384,
            max_bytes: 64 * 1_024 * 1_024,
            session_commands: 512,
            session_requests: 4,
            consistency: Consistency::Linearizable,
        }
    }
}

/// What one call of [`Client::execute_with`](crate::Client::execute_with) may be told.
#[derive(Clone, Debug, Default)]
pub struct ExecuteOptions {
    /// What decides the command once.
    pub key: CommandKey,
    /// Bounds the command with all its attempts; the client's own unless told.
    pub deadline: Option<Duration>,
    /// Who did it and why, for the change log.
    pub cause: Option<v1::Cause>,
}
