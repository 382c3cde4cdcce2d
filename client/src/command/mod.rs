//! Commands as a caller writes them, and as they are sent: with an id, the time of minting and, for a new reservation,
//! its id, all fixed once for every attempt.
//!
//! Leaves to others where a command goes (`routes`) and what became of it (`answer`).

mod campaigns;
mod counts;
mod holds;
mod kits;
mod orders;
mod places;
mod rooms;
mod seal;
mod shipments;
mod stock;

use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

pub use campaigns::{Grant, Revoke};
pub use counts::{ApplyCount, CancelCount, OpenCount, Reconcile, RecordCount};
pub use holds::{Amend, Commit, Extend, Release, Reserve};
pub use kits::PutKit;
pub use orders::{OrderStep, ReportStep, ResolveOrder, StartOrder};
pub use places::{
    CancelTransfer, CloseReceipt, CreateTransfer, ExpectReceipt, LoseTransfer, MoveUnits, ReceiveTransfer,
    SetSafetyStock,
};
pub use rooms::{Admit, CommitDraw, Draw, JoinQueue};
pub(crate) use seal::{About, Minter, Sealed, seal};
pub use shipments::{Cancel, Fulfil, Return};
pub use stock::{Adjust, BlockLot, PutItem, PutLimit, PutLot, Recall, Receive, Set, UnblockLot};

use crate::ids::CommandId;

/// What decides a command once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommandKey {
    /// The client mints an id for this call. The default.
    #[default]
    Minted,
    /// An id from an earlier call or another client: a repetition of that command, or its first attempt. The time of
    /// minting is read from the id; one without a time in it is sent as an own key. See [`Command::first_attempt`].
    Id(CommandId),
    /// The caller's own key ([`CommandId::of_key`]): kept for at least ten minutes from receipt.
    Own(CommandId),
}

/// One command, ready to be executed. Made from a builder: `Command::from(Release::of(id))`.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub(crate) operation: Operation,
    pub(crate) key: CommandKey,
    pub(crate) linked: bool,
    pub(crate) cause: Option<v1::Cause>,
    /// Nobody has asked it before, or will at the same time, though its key is the caller's.
    pub(crate) is_first: bool,
}

impl Command {
    /// The same, decided once under that key.
    #[must_use]
    pub fn with_key(mut self, key: CommandKey) -> Self {
        self.key = key;
        self
    }

    /// The same, of which the caller knows that nobody has asked it under its key before, or will at the same time. Without this a
    /// command with a key of the caller's is taken for another attempt: it is always decided by the log, while one that is the
    /// first may be told that a reserve is sold out without that, and is `Refused` with `recorded: false` then.
    #[must_use]
    pub fn first_attempt(mut self) -> Self {
        self.is_first = true;
        self
    }

    /// The same, chained to the next command of the batch: both are done, or neither. A chain is at most 256 commands,
    /// all of one shard.
    #[must_use]
    pub fn linked(mut self) -> Self {
        self.linked = true;
        self
    }

    /// The same, with who did it and why, for the change log.
    #[must_use]
    pub fn because(mut self, cause: v1::Cause) -> Self {
        self.cause = Some(cause);
        self
    }

    /// What it does, in one word: `reserve`.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        self.operation.name()
    }
}

impl From<Operation> for Command {
    fn from(operation: Operation) -> Self {
        Self { operation, key: CommandKey::Minted, linked: false, cause: None, is_first: false }
    }
}

/// Makes a builder a [`Command`].
macro_rules! into_command {
    ($($name:ident),+) => {
        $(impl From<$name> for crate::command::Command {
            fn from(builder: $name) -> Self {
                holdfast_proto::v1::command::Operation::$name(builder.0).into()
            }
        })+
    };
}
use into_command;

/// Seconds of a duration, rounded up, so that a hold is never shorter than asked.
fn whole_seconds(duration: std::time::Duration) -> u32 {
    let round_up = u64::from(duration.subsec_nanos() > 0);
    u32::try_from(duration.as_secs().saturating_add(round_up)).unwrap_or(u32::MAX)
}
