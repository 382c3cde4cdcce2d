//! Ids and states as people write them.

use std::fmt;
use std::str::FromStr;

use holdfast_client::CommandKey;
use holdfast_client::ids::{CommandId, CountId, ReceiptId, ReservationId, TransferId, slot_of};
use holdfast_proto::v1::{Id, ReservationState};

/// A reservation's id on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationText(ReservationId);

impl ReservationText {
    /// The id as the wire has it.
    pub fn id(&self) -> Id {
        self.0.into()
    }

    /// The id.
    pub const fn reservation(&self) -> ReservationId {
        self.0
    }
}

impl FromStr for ReservationText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "a reservation's id is the UUID that `holdfast reserve` printed".to_owned())
    }
}

/// A transfer's id on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferText(TransferId);

impl TransferText {
    /// The id as the wire has it.
    pub fn id(&self) -> Id {
        self.0.into()
    }

    /// The id.
    pub const fn transfer(&self) -> TransferId {
        self.0
    }
}

impl FromStr for TransferText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |_| "a transfer's id is the UUID that `holdfast transfer create` printed".to_owned();
        text.parse().map(Self).map_err(refused)
    }
}

/// An expected receipt's id on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptText(ReceiptId);

impl ReceiptText {
    /// The id as the wire has it.
    pub fn id(&self) -> Id {
        self.0.into()
    }

    /// The id.
    pub const fn receipt(&self) -> ReceiptId {
        self.0
    }
}

impl FromStr for ReceiptText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |_| "a receipt's id is the UUID that `holdfast receipt expect` printed".to_owned();
        text.parse().map(Self).map_err(refused)
    }
}

/// A count's id on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountText(CountId);

impl CountText {
    /// The id as the wire has it.
    pub fn id(&self) -> Id {
        self.0.into()
    }

    /// The id.
    pub const fn count(&self) -> CountId {
        self.0
    }
}

impl fmt::Display for CountText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CountText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |_| "a count's id is the UUID that `holdfast count open` printed".to_owned();
        text.parse().map(Self).map_err(refused)
    }
}

/// A command's id on the command line: a UUID, or any text as the caller's own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyText(CommandKey);

impl KeyText {
    /// What decides the command once.
    pub const fn key(self) -> CommandKey {
        self.0
    }

    /// The command's id.
    pub fn id(self) -> Id {
        let (CommandKey::Id(id) | CommandKey::Own(id)) = self.0 else { return Id::default() };
        id.into()
    }

    /// The same for one of several things that are asked for under it.
    #[must_use]
    pub fn of_part(self, name: &str) -> Self {
        let (CommandKey::Id(id) | CommandKey::Own(id)) = self.0 else { return self };
        Self(CommandKey::Own(CommandId::of_key(&format!("{name} under {id}"))))
    }

    /// The reservation that a `reserve` under this key makes for that SKU: the same at every attempt.
    pub fn reservation_for(self, sku: &str) -> Option<ReservationId> {
        let (CommandKey::Id(id) | CommandKey::Own(id)) = self.0 else { return None };
        let random = CommandId::of_key(&format!("reservation of {id}")).0;
        Some(ReservationId::mint(id.time_ms().unwrap_or(0), slot_of(sku), random))
    }
}

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MAX_BYTES: usize = 255;
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(format!("an id is a UUID, or a text of 1 to {MAX_BYTES} bytes"));
        }
        Ok(Self(text.parse().map_or_else(|_| CommandKey::Own(CommandId::of_key(text)), CommandKey::Id)))
    }
}

/// A state as it is printed.
pub const fn state_name(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Unspecified => "",
        ReservationState::Preparing => "preparing",
        ReservationState::Held => "held",
        ReservationState::Committed => "committed",
        ReservationState::PartiallyFulfilled => "partially_fulfilled",
        ReservationState::Fulfilled => "fulfilled",
        ReservationState::Cancelled => "cancelled",
        ReservationState::Released => "released",
        ReservationState::Expired => "expired",
        ReservationState::Aborted => "aborted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_an_id_and_anything_else_the_callers_own_key() {
        let uuid: KeyText = "0190f3c4-5b1e-7a2b-9c3d-000000000001".parse().expect("a UUID");
        assert!(matches!(uuid.key(), CommandKey::Id(_)));
        let own: KeyText = "order 17".parse().expect("a key");
        assert!(matches!(own.key(), CommandKey::Own(_)));
        assert!("".parse::<KeyText>().is_err());
    }

    #[test]
    fn a_repeated_reserve_means_the_same_reservation() {
        let key: KeyText = "order 17".parse().expect("a key");
        let first = key.reservation_for("LIP-01").expect("a key of one's own");
        assert_eq!(key.reservation_for("LIP-01"), Some(first));
        assert!(first.is_well_formed() && first.slot() == slot_of("LIP-01"));
    }
}
