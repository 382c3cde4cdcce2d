//! The session with one node: commands of many callers on one stream, several requests in flight.
//!
//! Promises that an idle session sends a command at once, that a busy one gathers what comes meanwhile (no timer), and
//! that when the stream breaks every caller whose command was on it learns so. Leaves to the callers whether to ask again.

mod gather;
mod stream;

use std::sync::Arc;

use holdfast_proto::v1::{CommandError, ErrorReason};
use holdfast_world::GrpcChannel;
use tokio::sync::{mpsc, oneshot, watch};

use crate::answer::Error;
use crate::learned::Learned;
use crate::node::{Answered, Commands};
use crate::options::ClientOptions;

/// Commands of one caller on their way. They are not split.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) commands: Commands,
    /// How many; `commands` is emptied when they are sent.
    pub(crate) count: usize,
    pub(crate) epoch: u64,
    pub(crate) reply: oneshot::Sender<Result<Answered, Error>>,
}

/// A caller's end of a session.
#[derive(Debug)]
pub(crate) struct Session {
    address: String,
    queue: mpsc::Sender<Parcel>,
}

/// Begins a session; it connects with the first command, and again after it broke.
pub(crate) fn open(
    address: &str,
    channel: GrpcChannel,
    learned: Arc<Learned>,
    options: &ClientOptions,
    life: watch::Receiver<()>,
) -> Session {
    let (queue, parcels) = mpsc::channel(options.max_commands.max(1));
    tokio::spawn(stream::Sender::new(address.to_owned(), channel, learned, options, parcels).run(life));
    Session { address: address.to_owned(), queue }
}

impl Session {
    /// Sends commands and waits for what became of them. Dropped before it is sent, it is not sent.
    pub(crate) async fn ask(&self, commands: Commands, epoch: u64) -> Result<Answered, Error> {
        let (reply, answered) = oneshot::channel();
        let count = commands.len();
        match self.queue.try_send(Parcel { commands, count, epoch, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                let message = format!("too much waits for {}", self.address);
                return Err(Error::not_admitted(ErrorReason::Overloaded, message));
            }
            Err(mpsc::error::TrySendError::Closed(_)) => {
                return Err(Error::not_admitted(ErrorReason::Unavailable, "the client is closed"));
            }
        }
        answered.await.unwrap_or_else(|_| {
            let message = format!("the session with {} has ended", self.address);
            Err(CommandError::of(ErrorReason::OutcomeUnknown, message).into())
        })
    }
}
