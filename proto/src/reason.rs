//! The one table of errors: what each reason is on each face, and how an error travels in a gRPC status and back.
//!
//! Promises that a reason has the same gRPC code, HTTP status, exit code, retry and effect wherever it is met, on the
//! server and in the client. Leaves to others when a reason is given, and what its metadata say.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::v1::{CommandError, Effect, ErrorReason, Retry};

/// The domain of every `google.rpc.ErrorInfo` of ours.
pub const DOMAIN: &str = "holdfast.dev";

/// Keys of an `ErrorInfo`'s metadata that stand for fields of [`CommandError`].
const FIELD: &str = "field";
const RETRY: &str = "retry";
const EFFECT: &str = "effect";

/// What a reason is on each face.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faces {
    /// Of a unary gRPC call.
    pub code: Code,
    /// Of the HTTP interface.
    pub http: u16,
    /// Of the command line.
    pub exit: u8,
    /// May the same thing be asked again?
    pub retry: Retry,
    /// May the command have had an effect?
    pub effect: Effect,
}

const fn faces(code: Code, http: u16, exit: u8, retry: Retry, effect: Effect) -> Faces {
    Faces { code, http, exit, retry, effect }
}

/// Input that no state could make right.
const fn bad_input() -> Faces {
    faces(Code::InvalidArgument, 400, 2, Retry::Never, Effect::None)
}

/// There is no such thing.
const fn absent(retry: Retry) -> Faces {
    faces(Code::NotFound, 404, 3, retry, Effect::None)
}

/// Decided against, by what is in stock.
const fn stock() -> Faces {
    faces(Code::FailedPrecondition, 409, 5, Retry::NewKey, Effect::None)
}

/// Decided against, by what else is known.
const fn state(retry: Retry) -> Faces {
    faces(Code::FailedPrecondition, 409, 4, retry, Effect::None)
}

/// Not admitted; another node, or a later time, may do it.
const fn elsewhere_or_later() -> Faces {
    faces(Code::Unavailable, 503, 6, Retry::SameKey, Effect::None)
}

impl ErrorReason {
    /// What the reason is on each face.
    #[must_use]
    pub const fn faces(self) -> Faces {
        match self {
            // What this program does not know, it can promise nothing of.
            Self::Unspecified => faces(Code::Unknown, 500, 7, Retry::SameKey, Effect::Unknown),

            Self::InvalidArgument
            | Self::ChainSpansShards
            | Self::LinesSpanShards
            | Self::LinesMoveTogether
            | Self::LinesElsewhere => bad_input(),
            Self::BatchTooLarge => faces(Code::InvalidArgument, 413, 2, Retry::Never, Effect::None),

            Self::InsufficientStock
            | Self::BackorderCapExceeded
            | Self::ComponentUnavailable
            | Self::QuantityOverflow
            | Self::ItemNotSellable
            | Self::HoldShort
            | Self::NotReleased => stock(),

            Self::LotBlocked | Self::ShelfLifeTooShort => state(Retry::NewKey),
            Self::LotRequired | Self::LotExpired => state(Retry::Never),
            Self::TooManyLots => state(Retry::NewKey),

            Self::SaleNotStarted
            | Self::AllocationExhausted
            | Self::AllocationExceedsAvailable
            | Self::CustomerLimitExceeded => state(Retry::NewKey),
            Self::SaleEnded | Self::CustomerRequired | Self::OrderLimitExceeded | Self::AdmissionTokenInvalid => {
                state(Retry::Never)
            }

            Self::RevisionMismatch | Self::KitRevisionMismatch => {
                faces(Code::Aborted, 412, 4, Retry::NewKey, Effect::None)
            }
            Self::Exists => faces(Code::AlreadyExists, 409, 4, Retry::Never, Effect::None),
            Self::ExistsWithDifferent => faces(Code::AlreadyExists, 422, 4, Retry::Never, Effect::None),
            Self::KitCycle => state(Retry::Never),
            // This attempt did nothing, an earlier one with the id may have.
            Self::IdTooOld => faces(Code::Aborted, 409, 7, Retry::Never, Effect::Unknown),
            Self::IdFromFuture => faces(Code::InvalidArgument, 400, 2, Retry::NewKey, Effect::None),

            Self::ReservationNotFound => absent(Retry::Never),
            Self::ReservationExpired
            | Self::AlreadyCommitted
            | Self::AlreadyReleased
            | Self::AlreadyFulfilled
            | Self::ExceedsHeldQuantity
            | Self::ExceedsFulfilled
            | Self::ExtendLimitReached => state(Retry::Never),

            Self::LinkedCommandFailed => state(Retry::NewKey),

            Self::TransferNotFound | Self::ReceiptNotFound => absent(Retry::Never),
            Self::AlreadyEnded | Self::ExceedsInTransit => state(Retry::Never),

            Self::CountNotFound => absent(Retry::Never),
            // The other count ends; what was refused stays refused under its id.
            Self::CountInProgress => state(Retry::NewKey),
            Self::SkuIsKit | Self::KitTooLarge => state(Retry::Never),
            Self::OrderNotFound => absent(Retry::Never),
            Self::OrderOpen | Self::OrderEnded | Self::StepNotRunning => state(Retry::Never),
            Self::UnknownEndpoint => absent(Retry::NewKey),

            // What is missing may come; what was refused stays refused under its id.
            Self::QueueClosed | Self::DrawNotCommitted => state(Retry::NewKey),
            Self::QueueFull | Self::DrawSeedMismatch => state(Retry::Never),

            // They may be made, and what was refused stays refused under its id.
            Self::UnknownSku
            | Self::UnknownLocation
            | Self::UnknownLot
            | Self::UnknownCampaign
            | Self::UnknownChannel => absent(Retry::NewKey),

            Self::NotLeader
            | Self::StaleRoute
            | Self::Unavailable
            | Self::StorageFull
            | Self::OrderUndecided
            | Self::WrongCluster
            | Self::LimitNotAsked => elsewhere_or_later(),
            // Until somebody has looked: nothing is gained by asking again at once.
            Self::ShardHalted => faces(Code::FailedPrecondition, 503, 6, Retry::SameKey, Effect::None),
            Self::Overloaded => faces(Code::ResourceExhausted, 503, 6, Retry::SameKey, Effect::None),
            Self::OutcomeUnknown => faces(Code::DeadlineExceeded, 504, 7, Retry::SameKey, Effect::Unknown),
        }
    }

    /// The name it travels by in an `ErrorInfo` and is printed by: `INSUFFICIENT_STOCK`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let name = self.as_str_name();
        name.strip_prefix("ERROR_REASON_").unwrap_or(name)
    }

    /// The reason of that name; `Unspecified` for a name this program does not know.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Self::from_str_name(&format!("ERROR_REASON_{name}")).unwrap_or(Self::Unspecified)
    }
}

impl Retry {
    /// The name it travels and is printed by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Never => "never",
            Self::SameKey => "same_key",
            Self::NewKey => "new_key",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Never, Self::SameKey, Self::NewKey].into_iter().find(|retry| retry.name() == name)
    }
}

impl Effect {
    /// The name it travels and is printed by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Unknown].into_iter().find(|effect| effect.name() == name)
    }
}

impl CommandError {
    /// An error with the retry and effect of its reason.
    #[must_use]
    pub fn of(reason: ErrorReason, message: impl Into<String>) -> Self {
        let faces = reason.faces();
        Self {
            reason: reason.into(),
            message: message.into(),
            field: String::new(),
            retry: faces.retry.into(),
            effect: faces.effect.into(),
            metadata: BTreeMap::new(),
            retry_after_ms: 0,
        }
    }

    /// The same, naming the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = field.into();
        self
    }

    /// The same with one more thing that the caller needs to act.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// The same, to be asked again after so many milliseconds.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: u32) -> Self {
        self.retry_after_ms = retry_after_ms;
        self
    }
}

impl From<CommandError> for Status {
    fn from(error: CommandError) -> Self {
        let mut metadata: HashMap<String, String> = error.metadata.clone().into_iter().collect();
        let reason = error.reason();
        if !error.field.is_empty() {
            metadata.insert(FIELD.to_owned(), error.field.clone());
        }
        metadata.insert(RETRY.to_owned(), error.retry().name().to_owned());
        metadata.insert(EFFECT.to_owned(), error.effect().name().to_owned());
        let mut details = ErrorDetails::with_error_info(reason.name(), DOMAIN, metadata);
        if error.retry_after_ms > 0 {
            details.set_retry_info(Some(Duration::from_millis(error.retry_after_ms.into())));
        }
        Self::with_error_details(reason.faces().code, error.message, details)
    }
}

impl From<&Status> for CommandError {
    /// What a client makes of a status. One without a reason of ours comes from the transport or a proxy.
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == DOMAIN) else {
            return Self::of(reason_of_bare(status.code()), status.message());
        };
        let mut error = Self::of(ErrorReason::from_name(&info.reason), status.message());
        for (key, value) in &info.metadata {
            match key.as_str() {
                FIELD => error.field.clone_from(value),
                RETRY => error.retry = Retry::from_name(value).map_or(error.retry, i32::from),
                EFFECT => error.effect = Effect::from_name(value).map_or(error.effect, i32::from),
                _ => {
                    error.metadata.insert(key.clone(), value.clone());
                }
            }
        }
        if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
            error.retry_after_ms = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        }
        error
    }
}

/// The reason of a status that carries none. A request whose connection broke may have been received, so that whatever
/// does not surely mean the contrary is an unknown outcome.
const fn reason_of_bare(code: Code) -> ErrorReason {
    match code {
        Code::InvalidArgument | Code::FailedPrecondition => ErrorReason::InvalidArgument,
        // tonic answers so where a message is longer than the receiver reads.
        Code::OutOfRange => ErrorReason::BatchTooLarge,
        Code::ResourceExhausted => ErrorReason::Overloaded,
        Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied | Code::NotFound => {
            ErrorReason::Unavailable
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::AlreadyExists
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => ErrorReason::OutcomeUnknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_reason() -> impl Iterator<Item = ErrorReason> {
        (0..=1_000).filter_map(|number| ErrorReason::try_from(number).ok())
    }

    #[test]
    fn an_error_comes_back_from_its_status_as_it_was() {
        for reason in every_reason() {
            let error = CommandError::of(reason, "what happened")
                .at("lines[2].units")
                .with("available", 7)
                .with("leader", "127.0.0.1:7400")
                .after_ms(250);
            let status = Status::from(error.clone());
            assert_eq!(status.code(), reason.faces().code);
            assert_eq!(CommandError::from(&status), error, "{}", reason.name());
        }
    }

    #[test]
    fn a_retry_that_differs_from_the_table_travels() {
        let mut error = CommandError::of(ErrorReason::InsufficientStock, "sold out");
        error.set_retry(Retry::SameKey);
        assert_eq!(CommandError::from(&Status::from(error.clone())), error);
    }

    #[test]
    fn a_broken_connection_is_an_unknown_outcome() {
        for code in [Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded, Code::Internal, Code::Unknown] {
            let error = CommandError::from(&Status::new(code, "broken pipe"));
            assert_eq!((error.reason(), error.effect()), (ErrorReason::OutcomeUnknown, Effect::Unknown));
        }
    }

    #[test]
    fn names_are_read_back() {
        for reason in every_reason() {
            assert_eq!(ErrorReason::from_name(reason.name()), reason);
        }
        assert_eq!(ErrorReason::from_name("OF_A_LATER_VERSION"), ErrorReason::Unspecified);
    }

    #[test]
    fn the_table_of_errors_stands_as_it_is_documented() {
        let rows: String = every_reason()
            .map(|reason| {
                let Faces { code, http, exit, retry, effect } = reason.faces();
                format!("{} {code:?} {http} {exit} {} {}\n", reason.name(), retry.name(), effect.name())
            })
            .collect();
        insta::assert_snapshot!(rows);
    }
}
