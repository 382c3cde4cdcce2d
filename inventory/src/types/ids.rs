//! 128-bit ids of commands, reservations, transfers and receipts, hashes of bodies and customers, and slots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{CampaignId, Sku};

/// How many slots the keys of a cluster are spread over, for ever.
pub const SLOTS: u16 = 16_384;

/// One of the cluster's [`SLOTS`] slots: the unit that shards own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(u16);

impl Slot {
    /// The slot of that number, if there is one.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// Its number, below [`SLOTS`].
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The slot that decides a SKU.
#[must_use]
pub fn slot_of(sku: &Sku) -> Slot {
    Slot((xxh3_64(sku.as_bytes()) % u64::from(SLOTS)) as u16)
}

/// The slot that keeps the waiting room of a campaign.
#[must_use]
pub fn slot_of_campaign(campaign: &CampaignId) -> Slot {
    Slot((xxh3_64(campaign.as_bytes()) % u64::from(SLOTS)) as u16)
}

/// A text that is not a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id: 32 hexadecimal digits are expected, with or without hyphens")]
pub struct IdParseError;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_uuid(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, IdParseError> {
                parse_uuid(text).map(Self)
            }
        }
    };
}

id_type! {
    /// The id that decides a command once. UUIDv7 by default; a caller's own key is accepted.
    CommandId
}

/// One try to make a reservation whose lines lie on several shards. Whoever tries draws it by chance: of one command no two attempts may
/// have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId(pub u64);

macro_rules! slotted_id_type {
    ($(#[$doc:meta])* $name:ident) => {
        id_type! {
            $(#[$doc])*
            ///
            /// A UUIDv8. From the top: 48 bits time in ms, 4 bits version (8), 12 random bits, 2 bits variant (binary 10), 14 bits
            /// slot, 48 random bits.
            $name
        }

        impl $name {
            const SLOT_SHIFT: u32 = 48;
            const VERSION_SHIFT: u32 = 76;
            const VARIANT_SHIFT: u32 = 62;

            /// A new id. Of `random`, 60 bits are used.
            #[must_use]
            pub const fn mint(time_ms: u64, slot: Slot, random: u64) -> Self {
                let time = (time_ms as u128 & 0xffff_ffff_ffff) << 80;
                let high = ((random >> 48) as u128 & 0xfff) << 64;
                let low = random as u128 & 0xffff_ffff_ffff;
                let fixed = (8_u128 << Self::VERSION_SHIFT) | (2_u128 << Self::VARIANT_SHIFT);
                Self(time | fixed | high | ((slot.number() as u128) << Self::SLOT_SHIFT) | low)
            }

            /// The slot of the shard that decides it. Any 128 bits have one.
            #[must_use]
            pub const fn slot(self) -> Slot {
                Slot(((self.0 >> Self::SLOT_SHIFT) & 0x3fff) as u16)
            }

            /// When it was minted, in milliseconds since the Unix epoch.
            #[must_use]
            pub const fn time_ms(self) -> u64 {
                (self.0 >> 80) as u64
            }

            /// True for the version and variant that [`Self::mint`] writes.
            #[must_use]
            pub const fn is_well_formed(self) -> bool {
                (self.0 >> Self::VERSION_SHIFT) & 0xf == 8 && (self.0 >> Self::VARIANT_SHIFT) & 3 == 2
            }
        }
    };
}

slotted_id_type! {
    /// The id of a reservation, with 48 bits of mint time and the slot of its deciding shard.
    ReservationId
}

slotted_id_type! {
    /// The id of a transfer, with the slot of its item.
    TransferId
}

slotted_id_type! {
    /// The id of an expected receipt, with the slot of its item.
    ReceiptId
}

slotted_id_type! {
    /// The id of a count, with the slot of its item.
    CountId
}

/// A hash of a command's whole body, mint time included. The same id with another hash is another command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BodyHash(pub u128);

/// A customer as a keyed hash made by the serving node: no personal data enters the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CustomerHash(pub u128);

fn fmt_uuid(id: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (a, b, c) = ((id >> 96) as u32, (id >> 80) as u16, (id >> 64) as u16);
    write!(f, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", (id >> 48) as u16, id & 0xffff_ffff_ffff)
}

fn parse_uuid(text: &str) -> Result<u128, IdParseError> {
    let mut id = 0_u128;
    let mut digits = 0;
    for character in text.bytes() {
        let digit = match character {
            b'-' if digits > 0 => continue,
            _ => (character as char).to_digit(16).ok_or(IdParseError)?,
        };
        digits += 1;
        id = (id << 4) | u128::from(digit);
        if digits > 32 {
            return Err(IdParseError);
        }
    }
    if digits == 32 { Ok(id) } else { Err(IdParseError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_id_carries_its_time_and_slot() {
        let slot = Slot::new(16_383).unwrap();
        let id = ReservationId::mint(1_790_000_000_123, slot, u64::MAX);
        assert_eq!((id.time_ms(), id.slot(), id.is_well_formed()), (1_790_000_000_123, slot, true));
        let id = ReservationId::mint(0, Slot::new(0).unwrap(), 0);
        assert_eq!((id.time_ms(), id.slot().number(), id.is_well_formed()), (0, 0, true));
    }

    #[test]
    fn ids_read_back_what_they_print() {
        let id = ReservationId::mint(1_790_000_000_123, Slot::new(77).unwrap(), 0x1234_5678_9abc_def0);
        let text = id.to_string();
        assert_eq!((text.len(), text.as_bytes()[14]), (36, b'8'));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.replace('-', "").parse(), Ok(id));
        for bad in ["", "-", "00000000-0000-0000-0000-00000000000", "zz", &"0".repeat(33)] {
            assert_eq!(bad.parse::<CommandId>(), Err(IdParseError));
        }
    }

    #[test]
    fn there_is_no_slot_beyond_the_last() {
        assert_eq!(Slot::new(SLOTS), None);
        assert!(slot_of(&Sku::new("A-1").unwrap()).number() < SLOTS);
    }
}
