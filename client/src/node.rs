//! One node as the client reaches it: its channel, and the session that is opened on it at the first command.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use holdfast_proto::v1::{self, CommandError, ConsistencyToken, ErrorReason};
use holdfast_world::GrpcChannel;
use holdfast_world::traces::{self, TraceContext};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Request, Status};

use crate::answer::Error;
use crate::learned::Learned;
use crate::options::{ClientOptions, Transport};
use crate::session::{self, Session};
use crate::wire;

/// Commands that travel and are answered together.
pub(crate) type Commands = Vec<bytes::Bytes>;

/// What one attempt of some commands was answered: a result for each, in order.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    pub(crate) results: Vec<v1::CommandResult>,
    pub(crate) tokens: Arc<[ConsistencyToken]>,
}

/// How long a node that has not answered in time is passed over. It may be cut off or paused, and those who can still be asked may
/// not know yet that it leads no more; it may also be slow only, and the leader still.
const PASSED_OVER: Duration = Duration::from_millis(500);

/// A node, its connection and its session.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) node_id: u64,
    pub(crate) address: String,
    pub(crate) channel: GrpcChannel,
    learned: Arc<Learned>,
    session: OnceLock<Session>,
    /// When it last left an attempt without an answer; `None`: it has answered since.
    silent_at: Mutex<Option<Instant>>,
}

impl Node {
    pub(crate) fn new(node_id: u64, address: String, channel: GrpcChannel, learned: Arc<Learned>) -> Self {
        Self { node_id, address, channel, learned, session: OnceLock::new(), silent_at: Mutex::default() }
    }

    /// Whether another node is better asked, if there is one.
    pub(crate) fn is_silent(&self) -> bool {
        let silent_at = *self.silent_at.lock().expect("nothing panics while it holds an instant");
        silent_at.is_some_and(|at| at.elapsed() < PASSED_OVER)
    }

    /// It has left a question without an answer.
    pub(crate) fn note_silence(&self) {
        self.note(Some(Instant::now()));
    }

    fn note(&self, silent_at: Option<Instant>) {
        *self.silent_at.lock().expect("nothing panics while it holds an instant") = silent_at;
    }

    /// One attempt of one command or of several.
    pub(crate) async fn attempt(
        &self,
        commands: Commands,
        epoch: u64,
        ends: Instant,
        options: &ClientOptions,
        life: &watch::Receiver<()>,
    ) -> Result<Answered, Error> {
        let count = commands.len();
        let answered = async {
            match options.transport {
                // A session's requests have commands of several callers: what is in a trace goes by itself.
                Transport::Session if is_traced() => self.batch(commands, epoch, ends).await,
                Transport::Session => self.session(options, life).ask(commands, epoch).await,
                Transport::Unary => self.unary(commands, epoch, ends).await,
            }
        };
        let answered = match tokio::time::timeout_at(ends, answered).await {
            Ok(answered) => answered?,
            Err(_) => {
                self.note(Some(Instant::now()));
                return Err(no_answer(&self.address));
            }
        };
        self.note(None);
        if answered.results.len() == count {
            return Ok(answered);
        }
        let message = format!("{} gave {} results for {count} commands", self.address, answered.results.len());
        Err(Error::from(CommandError::of(ErrorReason::OutcomeUnknown, message)))
    }

    fn session(&self, options: &ClientOptions, life: &watch::Receiver<()>) -> &Session {
        self.session.get_or_init(|| {
            session::open(&self.address, self.channel.clone(), self.learned.clone(), options, life.clone())
        })
    }

    async fn unary(&self, mut commands: Commands, route_epoch: u64, ends: Instant) -> Result<Answered, Error> {
        if commands.len() != 1 {
            return self.batch(commands, route_epoch, ends).await;
        }
        let command = commands.pop().unwrap_or_default();
        let request = within(wire::ExecuteRequest { command, route_epoch }, ends);
        let reply = wire::execute(self.channel.clone(), request).await;
        let reply = reply.map_err(|status| error_of(&status))?.into_inner();
        Ok(self.learn(reply.result.into_iter().collect(), reply.token.into_iter().collect(), reply.log_time_ms))
    }

    /// Each command's answer stands in the reply, as in a session's.
    async fn batch(&self, commands: Commands, route_epoch: u64, ends: Instant) -> Result<Answered, Error> {
        let request = within(wire::ExecuteBatchRequest { commands, route_epoch }, ends);
        let reply = wire::execute_batch(self.channel.clone(), request).await;
        let v1::ExecuteBatchResponse { results, tokens, log_time_ms } =
            reply.map_err(|status| error_of(&status))?.into_inner();
        Ok(self.learn(results, tokens, log_time_ms))
    }

    fn learn(&self, results: Vec<v1::CommandResult>, tokens: Vec<ConsistencyToken>, log_time_ms: u64) -> Answered {
        self.learned.learn(&tokens, log_time_ms);
        Answered { results, tokens: tokens.into() }
    }
}

/// Whether somebody keeps the trace in which this is asked.
fn is_traced() -> bool {
    traces::current().is_some_and(TraceContext::is_sampled)
}

/// A request that tells the node how long the caller will wait.
pub(crate) fn within<T>(message: T, ends: Instant) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ends.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    request
}

/// An attempt that was not answered in time.
pub(crate) fn no_answer(address: &str) -> Error {
    CommandError::of(ErrorReason::OutcomeUnknown, format!("no answer from {address} in time")).into()
}

/// What a status says. Where no connection came about, nothing was asked.
pub(crate) fn error_of(status: &Status) -> Error {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::ConnectError>() {
            return Error::not_admitted(ErrorReason::Unavailable, format!("cannot connect: {}", status.message()));
        }
        source = error.source();
    }
    CommandError::from(status).into()
}
