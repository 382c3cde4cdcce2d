//! What the model says of a command, done or refused, and whether that is what was told.

use super::model::{Act, Hold, Model, State, Stock};
use super::shared_holds::SharedHolds;
use crate::history::{Done, Phase, Refused};

/// Why the model refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownSku,
    Exists,
    InsufficientStock { line: usize, available: u64 },
    RevisionMismatch { actual: u64 },
    ReservationNotFound,
    Gone(Phase, Option<u64>),
    ExceedsHeld,
    UnknownLot,
    HoldShort { units: u64 },
    TransferNotFound,
    ReceiptNotFound,
    AlreadyEnded,
    ExceedsInTransit { available: u64 },
    CustomerRequired,
    CustomerLimitExceeded { line: usize, remaining: u64 },
    CountNotFound,
    CountInProgress,
    BackorderCapExceeded { line: usize, available: u64 },
    NotReleased,
    WindowOver,
}

/// What the model says of a command that it does.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// `None`: it is not for the model to say.
    pub(super) revision: Option<u64>,
    /// `None`: the first SKU is not in the model.
    pub(super) atp_after: Option<u64>,
    pub(super) expires: Expires,
    pub(super) phase: Option<Phase>,
    pub(super) hold: Option<usize>,
    /// Of a reserve: units that are promised without stock.
    pub(super) backordered: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expires {
    #[default]
    Never,
    At(u64),
    /// Not before this.
    Unknown(u64),
}

impl Model {
    /// Whether a refusal is for a SKU that is not in the model.
    pub(super) fn is_about_others(&self, act: &Act, refused: &Refused) -> bool {
        let Act::Reserve { lines, .. } = act else { return false };
        let Some(number) = line_of(refused) else { return false };
        refused.reason == "INSUFFICIENT_STOCK" && !self.lines[*lines].lines.iter().any(|line| line.number == number)
    }

    pub(super) fn refusal_fits(&self, act: &Act, refusal: &Refusal, refused: &Refused) -> bool {
        if self.is_about_others(act, refused) {
            // An earlier line would have been refused in its place.
            let first = line_of(refused);
            return match refusal {
                Refusal::InsufficientStock { line, .. } => first.is_some_and(|number| number < *line),
                _ => false,
            };
        }
        let number = |name: &str| refused.details.get(name).and_then(|text| text.parse::<u64>().ok());
        match refusal {
            Refusal::UnknownSku => refused.reason == "UNKNOWN_SKU",
            Refusal::Exists => refused.reason == "EXISTS",
            Refusal::InsufficientStock { line, available } => {
                let line_fits = !matches!(act, Act::Reserve { .. }) || line_of(refused) == Some(*line);
                refused.reason == "INSUFFICIENT_STOCK" && line_fits && number("available") == Some(*available)
            }
            Refusal::CustomerRequired => refused.reason == "CUSTOMER_REQUIRED",
            Refusal::CustomerLimitExceeded { line, remaining } => {
                let is_it = refused.reason == "CUSTOMER_LIMIT_EXCEEDED" && line_of(refused) == Some(*line);
                is_it && number("remaining") == Some(*remaining)
            }
            Refusal::BackorderCapExceeded { line, available } => {
                let is_it = refused.reason == "BACKORDER_CAP_EXCEEDED";
                is_it && line_of(refused) == Some(*line) && number("available") == Some(*available)
            }
            Refusal::NotReleased => refused.reason == "NOT_RELEASED",
            Refusal::WindowOver => refused.reason == "INVALID_ARGUMENT",
            Refusal::RevisionMismatch { actual } => {
                refused.reason == "REVISION_MISMATCH" && number("actual") == Some(*actual)
            }
            Refusal::ReservationNotFound => refused.reason == "RESERVATION_NOT_FOUND",
            Refusal::ExceedsHeld => refused.reason == "EXCEEDS_HELD_QUANTITY",
            Refusal::UnknownLot => refused.reason == "UNKNOWN_LOT",
            Refusal::TransferNotFound => refused.reason == "TRANSFER_NOT_FOUND",
            Refusal::ReceiptNotFound => refused.reason == "RECEIPT_NOT_FOUND",
            Refusal::AlreadyEnded => refused.reason == "ALREADY_ENDED",
            Refusal::ExceedsInTransit { available } => {
                refused.reason == "EXCEEDS_IN_TRANSIT" && number("available") == Some(*available)
            }
            Refusal::CountNotFound => refused.reason == "COUNT_NOT_FOUND",
            Refusal::CountInProgress => refused.reason == "COUNT_IN_PROGRESS",
            Refusal::HoldShort { units } => refused.reason == "HOLD_SHORT" && number("units") == Some(*units),
            Refusal::Gone(phase, at) => {
                let reason = match phase {
                    Phase::Held => return false,
                    Phase::Committed => "ALREADY_COMMITTED",
                    Phase::Fulfilled => "ALREADY_FULFILLED",
                    Phase::Cancelled | Phase::Released => "ALREADY_RELEASED",
                    Phase::Expired => "RESERVATION_EXPIRED",
                };
                let expired_at = number("expired_at_ms");
                refused.reason == reason && (*phase != Phase::Expired || at.is_none() || *at == expired_at)
            }
        }
    }
}

impl Told {
    pub(super) fn of_stock(stock: &Stock) -> Self {
        Self { revision: Some(stock.revision), atp_after: Some(stock.atp()), ..Self::default() }
    }
}

pub(super) fn told_fits(state: &mut State, told: &Told, done: &Done) -> bool {
    let fits = told.revision.is_none_or(|revision| revision == done.revision)
        && told.atp_after.is_none_or(|atp| atp == done.atp_after)
        && told.phase == done.phase
        && told.backordered == done.backordered;
    fits && match told.expires {
        Expires::Never => done.expires_at_ms == 0,
        Expires::At(at) => done.expires_at_ms == at,
        Expires::Unknown(_) => told.hold.is_some_and(|at| learn_expiry(&mut state.holds, at, done.expires_at_ms)),
    }
}

/// Takes in when a hold expires, where it may be so.
pub(super) fn learn_expiry(holds: &mut SharedHolds, at: usize, expires_at: u64) -> bool {
    match holds.get(at) {
        None => false,
        Some(Hold { latest: Some(latest), .. }) => *latest == expires_at,
        Some(Hold { earliest, .. }) if expires_at < *earliest => false,
        Some(_) => {
            if let Some(hold) = holds.get_mut(at) {
                (hold.earliest, hold.latest) = (expires_at, Some(expires_at));
            }
            true
        }
    }
}

/// The line that a refusal names.
fn line_of(refused: &Refused) -> Option<usize> {
    refused.field.strip_prefix("lines[")?.split(']').next()?.parse().ok()
}
