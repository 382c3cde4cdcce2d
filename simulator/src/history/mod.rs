//! What the clients of a run saw: every attempt of every operation with its instants of call and return and what it was
//! told, in the manner of Jepsen's histories.
//!
//! Promises bounded memory: what comes when it is full is counted, and a history that is not whole says so. Leaves to
//! `checkers` what must hold of it.

mod operations;
mod recorder;
mod request;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

pub use operations::{Operation, Standing, operations};
pub use recorder::{Recorder, SharedHistory, Ticket};
pub use request::{
    AWAY, Change, END_OF_LOT_0_MS, KitLine, LAST_DAY_OF_LOT_0, Line, LotLine, Request, Sale, Showing, StepAsked,
    Through, Undo, item_of, name_at, seed_of,
};
pub use text::{HistoryError, read, write};

/// The attempts that one history keeps at most.
pub const MAX_RECORDS: usize = 100_000;

/// A 128-bit id of a command or a reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u128);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A command under its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Command {
    pub id: Id,
    pub request: Request,
}

/// A position of a shard's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct Position {
    pub shard: u32,
    pub index: u64,
}

/// What a read is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Subject {
    Stock(String),
    Reservation(Id),
    Count {
        count: Id,
        sku: String,
    },
    /// A campaign's waiting room.
    Room(String),
    /// Who has or had units of a lot.
    Trace {
        sku: String,
        lot: u8,
    },
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freshness {
    /// Everything acknowledged before it began is seen.
    Linearizable,
    /// Any replica, at once.
    Stale,
    /// Any replica that has applied this.
    AtLeast(Position),
}

/// What one call asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// One command, or a chain of linked ones.
    Commands(Vec<Command>),
    /// A read.
    Read(Subject, Freshness),
}

/// Where a reservation stands, as far as the simulator's commands take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Phase {
    Held,
    Committed,
    Fulfilled,
    Cancelled,
    Released,
    Expired,
}

/// What a command that was done was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Of the item, the stock or the reservation it was about.
    pub revision: u64,
    /// What may be promised of the first SKU after it.
    pub atp_after: u64,
    /// When the hold ends, in log time; 0: there is none.
    pub expires_at_ms: u64,
    /// Of the reservation.
    pub phase: Option<Phase>,
    /// By this position it is applied.
    pub position: Option<Position>,
    /// It was decided by an earlier attempt.
    pub replayed: bool,
    /// Of a reserve: units that are promised without stock.
    #[serde(default)]
    pub backordered: u64,
    /// Of who joins a waiting room: the number of the ticket.
    #[serde(default)]
    pub ticket: u32,
    /// How many were let in.
    #[serde(default)]
    pub admitted: u32,
}

/// Why a command was not done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// By the table of errors.
    pub reason: String,
    /// The field at fault; empty: none.
    pub field: String,
    /// `available`, `actual`, …
    pub details: BTreeMap<String, String>,
    /// Decided, and final under this id; false where this attempt decided nothing.
    pub is_final: bool,
}

/// What one command was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Answer {
    Done(Done),
    Refused(Refused),
}

/// An order with external steps as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSeen {
    /// Its state, as the table of the wire calls it: `CONFIRMED`.
    pub state: String,
    /// Its steps' states, by name: `DONE`.
    pub steps: Vec<(String, String)>,
    /// Somebody decided what becomes of it: confirmed or not.
    pub resolved: Option<bool>,
}

/// The stock of one SKU as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the protocol's")]
pub struct StockSeen {
    pub on_hand: u64,
    pub reserved: u64,
    pub committed: u64,
    pub free: u64,
    pub atp: u64,
    pub received: u64,
    pub adjusted: i64,
    pub fulfilled: u64,
    pub revision: u64,
    #[serde(default)]
    pub short: u64,
    #[serde(default)]
    pub in_transit: u64,
    #[serde(default)]
    pub incoming: u64,
    #[serde(default)]
    pub sent: u64,
    #[serde(default)]
    pub arrived: u64,
    #[serde(default)]
    pub backordered: u64,
    #[serde(default)]
    pub returned: u64,
}

/// Units of one line of a reservation as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the protocol's")]
pub struct LineSeen {
    pub sku: String,
    pub held: u64,
    pub committed: u64,
    pub fulfilled: u64,
    /// Cancelled, released or expired.
    pub given_back: u64,
    /// Held or sold, and the stock went away.
    #[serde(default)]
    pub short: u64,
    /// Sold and not shipped, by lot, in the order in which they were bound.
    #[serde(default)]
    pub lots: Vec<(u8, u64)>,
    /// Promised without stock by choice, sold or not.
    #[serde(default)]
    pub backordered: u64,
    /// Of what was shipped, what has come back.
    #[serde(default)]
    pub returned: u64,
    /// The line that was asked for that it comes from, where some are kits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AskedSeen>,
    /// Shipped, by lot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shipped: Vec<(u8, u64)>,
}

impl LineSeen {
    /// All units that it was made with.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.held + self.committed + self.fulfilled + self.given_back + self.short
    }
}

/// A line as it was asked for, in a reservation as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are the protocol's")]
pub struct AskedSeen {
    pub number: u32,
    pub sku: String,
    pub units: u32,
    /// 0: no kit.
    pub kit_revision: u64,
}

/// A reservation as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct ReservationSeen {
    pub phase: Phase,
    pub expires_at_ms: u64,
    pub revision: u64,
    pub lines: Vec<LineSeen>,
}

/// Where a count stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum CountPhase {
    Open,
    Applied,
    Cancelled,
}

/// A count as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct CountSeen {
    pub phase: CountPhase,
    pub revision: u64,
    /// Whom it has left short, the newest first: units held, and sold.
    pub short: Vec<(Id, u64, u64)>,
}

/// A waiting room as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSeen {
    /// What its lottery is held to; empty: nothing.
    pub commitment: Vec<u8>,
    /// What it was drawn with; empty: it was not.
    pub seed: Vec<u8>,
    /// In the order of their numbers.
    pub tickets: Vec<TicketSeen>,
}

/// A ticket as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says")]
pub struct TicketSeen {
    pub number: u32,
    /// The hash by which the cluster knows the customer.
    pub customer: Id,
    pub turn: Turn,
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Turn {
    Waiting,
    Admitted { until_ms: u64 },
    Spent,
}

/// The list of those who have or had units of a lot, and then what of it lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSeen {
    /// Units of the lot.
    pub on_hand: u64,
    /// In the order of the list.
    pub named: Vec<NamedSeen>,
}

/// A reservation that such a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is what its name says, of the lot")]
pub struct NamedSeen {
    pub reservation: Id,
    pub committed: u64,
    pub fulfilled: u64,
}

/// What was read; the inner `None`: there is no such thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Seen {
    Stock(Option<StockSeen>),
    Reservation(Option<ReservationSeen>),
    Count(Option<CountSeen>),
    Room(Option<RoomSeen>),
    Trace(Option<TraceSeen>),
}

/// What a call was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Decided: an answer for each command.
    Answered(Vec<Answer>),
    /// Read, with the replica's position and the log time of what it had applied last, where it told them.
    Seen {
        /// What was there.
        seen: Seen,
        /// What the replica had applied.
        position: Option<Position>,
        /// The log time of the last entry it had applied.
        log_time_ms: Option<u64>,
    },
    /// This attempt did nothing.
    NotAdmitted(String),
    /// It may have happened, or happen still.
    Unknown(String),
}

/// One attempt as its client saw it. Instants are microseconds of simulated time, never equal for one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Calls of one client follow one another.
    pub client: u64,
    /// When it was asked.
    pub call_us: u64,
    /// When the answer came; `None`: never.
    pub return_us: Option<u64>,
    /// What was asked.
    pub asked: Asked,
    /// What it was told. Without a return: unknown.
    pub outcome: Outcome,
}

/// The record of a run, in the order of the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The attempts.
    pub records: Vec<Record>,
    /// Attempts for which there was no room.
    pub dropped: u64,
}

impl History {
    /// How many attempts there are of which one may still say something.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.records.len() >= MAX_RECORDS
    }
}

impl Record {
    /// The answers, where what was asked is sold out and nothing was written: its id was not used.
    #[must_use]
    pub fn unrecorded_lack(&self) -> Option<&[Answer]> {
        let Outcome::Answered(answers) = &self.outcome else { return None };
        let is_it = |answer: &Answer| matches!(answer, Answer::Refused(it) if !it.is_final && it.reason == "INSUFFICIENT_STOCK");
        answers.iter().any(is_it).then_some(answers)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let returned = self.return_us.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let as_json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        let (asked, outcome) = (serde_json::to_string(&self.asked), serde_json::to_string(&self.outcome));
        write!(f, "c{} {}..{returned} {} -> {}", self.client, self.call_us, as_json(asked), as_json(outcome))
    }
}
