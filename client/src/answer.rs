//! What a command is answered: a success, or one of three kinds of failure that differ in what the caller may believe.
//!
//! Promises that an error says what it means for the command, whatever the number of attempts behind it: `Refused` is
//! final under that id, `NotAdmitted` says that no attempt reached the log, `Unknown` that one may have.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use holdfast_proto::v1::{self, CommandError, ConsistencyToken, Effect, ErrorReason, ReservationState, Retry};

use crate::command::About;
use crate::ids::{CommandId, CountId, ReceiptId, ReservationId, TransferId};

/// Done: on disk, synced, on a majority.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    /// The id it was decided under.
    pub command_id: CommandId,
    /// The reservation it was about; of a reserve, the new one.
    pub reservation_id: Option<ReservationId>,
    /// Revision of the item, stock or reservation that it was about.
    pub revision: u64,
    /// What may be promised of the first SKU after it.
    pub atp_after: u64,
    /// Of the reservation, in milliseconds since the Unix epoch, log time; 0: none.
    pub expires_at_ms: u64,
    /// Of the reservation.
    pub state: ReservationState,
    /// Units held for each line, in order, where lines might be left out or have units without stock. Empty: all as asked.
    pub held: Vec<u32>,
    /// It was decided earlier, by another attempt with this id.
    pub replayed: bool,
    /// A position of the shard's log by which it is applied.
    pub token: Option<ConsistencyToken>,
    /// The transfer it was about; of a create, the new one.
    pub transfer_id: Option<TransferId>,
    /// The expected receipt it was about; of an expect, the new one.
    pub receipt_id: Option<ReceiptId>,
    /// The count it was about; of an open, the new one.
    pub count_id: Option<CountId>,
    /// Of a reserve: units of each line that are promised without stock, in order. Empty: none.
    pub backordered: Vec<u32>,
    /// Of a customer who joined a queue: its number there; 0: none.
    pub ticket: u32,
    /// Of an admit: how many were let in.
    pub admitted: u32,
}

/// What is said of a command or a read that was not done.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// The reason, by the table of errors.
    pub reason: ErrorReason,
    /// What happened, to which thing.
    pub message: String,
    /// The field at fault; empty: none.
    pub field: String,
    /// May the same thing be asked again?
    pub retry: Retry,
    /// May the command have had an effect? Over all attempts.
    pub effect: Effect,
    /// What the caller needs to act: `available`, `actual`, `max_expires_at_ms`, …
    pub metadata: BTreeMap<String, String>,
    /// When it is worth asking again.
    pub retry_after: Option<Duration>,
    /// The id that another attempt must repeat.
    pub command_id: Option<CommandId>,
    /// The reservation it was about; of a reserve, the one that may exist if the outcome is unknown.
    pub reservation_id: Option<ReservationId>,
    /// How often it was asked.
    pub attempts: u32,
    /// The transfer it was about; of a create, the one that may exist if the outcome is unknown.
    pub transfer_id: Option<TransferId>,
    /// The same of an expected receipt.
    pub receipt_id: Option<ReceiptId>,
    /// The same of a count.
    pub count_id: Option<CountId>,
    /// It was decided against earlier, by another attempt with this id.
    pub replayed: bool,
}

/// A command or a read that was not done.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// Decided against, and final under that id. (One exception: `INSUFFICIENT_STOCK` with `recorded: false` in its
    /// metadata used nothing up; the same id may be tried again.)
    Refused(Box<Failure>),
    /// It never reached the log. The same id may be tried again, unless the input is at fault.
    NotAdmitted(Box<Failure>),
    /// It may have happened. Asking again with the same id, or reading the reservation, tells.
    Unknown(Box<Failure>),
}

impl Error {
    /// What is said of it.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Refused(failure) | Self::NotAdmitted(failure) | Self::Unknown(failure) => failure,
        }
    }

    pub(crate) fn failure_mut(&mut self) -> &mut Failure {
        match self {
            Self::Refused(failure) | Self::NotAdmitted(failure) | Self::Unknown(failure) => failure,
        }
    }

    /// The reason, by the table of errors.
    #[must_use]
    pub fn reason(&self) -> ErrorReason {
        self.failure().reason
    }

    /// True where it may have happened.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }

    /// True where it never reached the log.
    #[must_use]
    pub const fn is_not_admitted(&self) -> bool {
        matches!(self, Self::NotAdmitted(_))
    }

    /// True where it was decided against.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// What the library itself says, without having asked.
    pub(crate) fn not_admitted(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self::from(CommandError::of(reason, message))
    }
}

impl From<CommandError> for Error {
    /// The kind of one attempt's error.
    fn from(error: CommandError) -> Self {
        let reason = error.reason();
        let failure = Box::new(Failure {
            reason,
            retry: error.retry(),
            effect: error.effect(),
            message: error.message,
            field: error.field,
            metadata: error.metadata,
            retry_after: (error.retry_after_ms > 0).then(|| Duration::from_millis(error.retry_after_ms.into())),
            command_id: None,
            reservation_id: None,
            attempts: 1,
            transfer_id: None,
            receipt_id: None,
            count_id: None,
            replayed: false,
        });
        if failure.effect != Effect::None {
            Self::Unknown(failure)
        } else if never_reaches_the_log(reason) || is_to_be_worked_out_anew(&failure) {
            Self::NotAdmitted(failure)
        } else {
            Self::Refused(failure)
        }
    }
}

/// A reserve whose lines are to be worked out anew: nothing was decided.
fn is_to_be_worked_out_anew(failure: &Failure) -> bool {
    failure.reason == ErrorReason::SkuIsKit && failure.retry == Retry::SameKey
}

/// Reasons given before a command is proposed.
const fn never_reaches_the_log(reason: ErrorReason) -> bool {
    use ErrorReason as Reason;
    match reason {
        Reason::InvalidArgument
        | Reason::BatchTooLarge
        | Reason::ChainSpansShards
        | Reason::LinesMoveTogether
        | Reason::LinesElsewhere
        | Reason::IdFromFuture
        | Reason::NotLeader
        | Reason::StaleRoute
        | Reason::WrongCluster
        | Reason::Overloaded
        | Reason::Unavailable
        | Reason::StorageFull
        | Reason::OrderUndecided
        | Reason::LimitNotAsked => true,
        Reason::Unspecified
        | Reason::LinesSpanShards
        | Reason::InsufficientStock
        | Reason::BackorderCapExceeded
        | Reason::ComponentUnavailable
        | Reason::QuantityOverflow
        | Reason::ItemNotSellable
        | Reason::HoldShort
        | Reason::NotReleased
        | Reason::LotRequired
        | Reason::LotExpired
        | Reason::LotBlocked
        | Reason::ShelfLifeTooShort
        | Reason::TooManyLots
        | Reason::SaleNotStarted
        | Reason::SaleEnded
        | Reason::AllocationExhausted
        | Reason::AllocationExceedsAvailable
        | Reason::CustomerRequired
        | Reason::CustomerLimitExceeded
        | Reason::OrderLimitExceeded
        | Reason::AdmissionTokenInvalid
        | Reason::RevisionMismatch
        | Reason::KitRevisionMismatch
        | Reason::KitCycle
        | Reason::Exists
        | Reason::ExistsWithDifferent
        | Reason::IdTooOld
        | Reason::ReservationNotFound
        | Reason::ReservationExpired
        | Reason::AlreadyCommitted
        | Reason::AlreadyReleased
        | Reason::AlreadyFulfilled
        | Reason::ExceedsHeldQuantity
        | Reason::ExceedsFulfilled
        | Reason::ExtendLimitReached
        | Reason::LinkedCommandFailed
        | Reason::UnknownSku
        | Reason::UnknownLocation
        | Reason::UnknownLot
        | Reason::UnknownCampaign
        | Reason::UnknownChannel
        | Reason::TransferNotFound
        | Reason::ReceiptNotFound
        | Reason::AlreadyEnded
        | Reason::ExceedsInTransit
        | Reason::CountNotFound
        | Reason::CountInProgress
        | Reason::SkuIsKit
        | Reason::KitTooLarge
        | Reason::ShardHalted
        | Reason::QueueClosed
        | Reason::QueueFull
        | Reason::DrawNotCommitted
        | Reason::DrawSeedMismatch
        | Reason::OrderNotFound
        | Reason::OrderOpen
        | Reason::OrderEnded
        | Reason::StepNotRunning
        | Reason::UnknownEndpoint
        | Reason::OutcomeUnknown => false,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failure = self.failure();
        let kind = match self {
            Self::Refused(_) => "refused",
            Self::NotAdmitted(_) => "not admitted",
            Self::Unknown(_) => "outcome unknown",
        };
        write!(f, "{kind}: {}: {}", failure.reason.name(), failure.message)?;
        if failure.field.is_empty() { Ok(()) } else { write!(f, " (field {})", failure.field) }
    }
}

impl std::error::Error for Error {}

impl Success {
    pub(crate) fn from_wire(
        success: v1::CommandSuccess,
        replayed: bool,
        command_id: CommandId,
        about: About,
        token: Option<ConsistencyToken>,
    ) -> Self {
        Self {
            command_id,
            reservation_id: about.reservation_id,
            revision: success.revision,
            atp_after: success.atp_after,
            expires_at_ms: success.expires_at_ms,
            state: success.state(),
            held: success.held,
            replayed,
            token,
            transfer_id: about.transfer_id,
            receipt_id: about.receipt_id,
            count_id: about.count_id,
            backordered: success.backordered,
            ticket: success.ticket,
            admitted: success.admitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_kind_of_answer_it_is() {
        let kind = |reason| Error::from(CommandError::of(reason, "so"));
        assert!(kind(ErrorReason::InsufficientStock).is_refused());
        assert!(kind(ErrorReason::ReservationExpired).is_refused());
        assert!(kind(ErrorReason::LinkedCommandFailed).is_refused());
        assert!(kind(ErrorReason::Overloaded).is_not_admitted());
        assert!(kind(ErrorReason::NotLeader).is_not_admitted());
        assert!(kind(ErrorReason::InvalidArgument).is_not_admitted());
        assert!(kind(ErrorReason::OutcomeUnknown).is_unknown());
        assert!(kind(ErrorReason::IdTooOld).is_unknown());
        assert!(kind(ErrorReason::Unspecified).is_unknown());
    }

    #[test]
    fn a_reason_with_another_effect_than_the_tables_is_taken_at_its_word() {
        let mut error = CommandError::of(ErrorReason::Unavailable, "draining");
        error.set_effect(Effect::Unknown);
        assert!(Error::from(error).is_unknown());
    }
}
