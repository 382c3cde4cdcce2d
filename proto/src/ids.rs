//! How ids are laid out, in one place for the client, the node and their tests: which slot a SKU has, what a command's
//! and a reservation's, transfer's, expected receipt's or count's id are made of, and how an id is printed and read.
//!
//! All are 128 bits and valid UUIDs (RFC 9562). From the top:
//!
//! | bits | command, version 7 | reservation, transfer, expected receipt and count, version 8 |
//! | --- | --- | --- |
//! | 48 | time of minting, in ms since the Unix epoch | the same |
//! | 4 | 7 | 8 |
//! | 12 | random | random |
//! | 2 | binary 10 | binary 10 |
//! | 14 | random | the slot of the SKU, of a reservation that of its first line |
//! | 48 | random | random |
//!
//! Leaves to others where the time and the randomness come from.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::v1::Id;

/// How many slots the SKUs of a cluster are spread over, for ever.
pub const SLOTS: u16 = 16_384;

const TIME_SHIFT: u32 = 80;
const VERSION_SHIFT: u32 = 76;
const VARIANT_SHIFT: u32 = 62;
const SLOT_SHIFT: u32 = 48;

const TIME_MASK: u128 = 0xffff_ffff_ffff;
/// Every bit but time, version and variant.
const RANDOM_MASK: u128 = (0xfff << 64) | 0x3fff_ffff_ffff_ffff;
const SLOT_MASK: u128 = 0x3fff << SLOT_SHIFT;

/// The slot of a SKU: `xxh3_64` of its bytes, modulo [`SLOTS`].
#[must_use]
pub fn slot_of(sku: &str) -> u16 {
    (xxh3_64(sku.as_bytes()) % u64::from(SLOTS)) as u16
}

/// A text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdParseError;

impl fmt::Display for IdParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: 32 hexadecimal digits are expected, with or without hyphens")
    }
}

impl std::error::Error for IdParseError {}

const fn laid_out(version: u128, time_ms: u64, random: u128) -> u128 {
    ((time_ms as u128 & TIME_MASK) << TIME_SHIFT)
        | (version << VERSION_SHIFT)
        | (2 << VARIANT_SHIFT)
        | (random & RANDOM_MASK)
}

const fn has_version(id: u128, version: u128) -> bool {
    (id >> VERSION_SHIFT) & 0xf == version && (id >> VARIANT_SHIFT) & 3 == 2
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let id = self.0;
                write!(
                    f,
                    "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
                    id >> 96,
                    (id >> 80) as u16,
                    (id >> 64) as u16,
                    (id >> 48) as u16,
                    id & 0xffff_ffff_ffff
                )
            }
        }

        impl FromStr for $name {
            type Err = IdParseError;

            fn from_str(text: &str) -> Result<Self, IdParseError> {
                parse(text).map(Self)
            }
        }

        impl From<$name> for Id {
            fn from(id: $name) -> Self {
                Self { high: (id.0 >> 64) as u64, low: id.0 as u64 }
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self((u128::from(id.high) << 64) | u128::from(id.low))
            }
        }
    };
}

id_type! {
    /// The id that decides a command once.
    CommandId
}

id_type! {
    /// The id of a reservation, which says where it is decided.
    ReservationId
}

id_type! {
    /// The id of a transfer, which says where it is decided.
    TransferId
}

id_type! {
    /// The id of an expected receipt, which says where it is decided.
    ReceiptId
}

id_type! {
    /// The id of a count, which says where it is decided.
    CountId
}

impl CommandId {
    /// A new id of that time. Of `random`, 74 bits are used.
    #[must_use]
    pub const fn mint(time_ms: u64, random: u128) -> Self {
        Self(laid_out(7, time_ms, random))
    }

    /// An id made of a caller's own key of any length: the same key, the same id. It has no time in it, and is sent as an
    /// own key.
    #[must_use]
    pub fn of_key(key: &str) -> Self {
        // Version 8: what it is made of is ours to say.
        let hash = xxh3_128(key.as_bytes());
        Self(laid_out(8, (hash >> TIME_SHIFT) as u64, hash))
    }

    /// When it was minted, in milliseconds since the Unix epoch; `None` where the id has no time in it.
    #[must_use]
    pub const fn time_ms(self) -> Option<u64> {
        if has_version(self.0, 7) { Some((self.0 >> TIME_SHIFT) as u64) } else { None }
    }
}

macro_rules! slotted {
    ($name:ident) => {
        impl $name {
            /// A new id of that time, whose SKU, of a reservation that of its first line, has `slot`. Of `random`, 60 bits are used.
            #[must_use]
            pub const fn mint(time_ms: u64, slot: u16, random: u128) -> Self {
                let slot = ((slot as u128) << SLOT_SHIFT) & SLOT_MASK;
                Self(laid_out(8, time_ms, (random & !SLOT_MASK) | slot))
            }

            /// The slot of the shard that decides it. Any 128 bits have one.
            #[must_use]
            pub const fn slot(self) -> u16 {
                ((self.0 & SLOT_MASK) >> SLOT_SHIFT) as u16
            }

            /// When it was minted, in milliseconds since the Unix epoch.
            #[must_use]
            pub const fn time_ms(self) -> u64 {
                (self.0 >> TIME_SHIFT) as u64
            }

            /// True for the version and variant that [`Self::mint`] writes.
            #[must_use]
            pub const fn is_well_formed(self) -> bool {
                has_version(self.0, 8)
            }
        }
    };
}

slotted!(ReservationId);
slotted!(TransferId);
slotted!(ReceiptId);
slotted!(CountId);

fn parse(text: &str) -> Result<u128, IdParseError> {
    let mut id = 0_u128;
    let mut digits = 0;
    for byte in text.bytes() {
        let digit = match byte {
            b'-' if digits > 0 => continue,
            _ => char::from(byte).to_digit(16).ok_or(IdParseError)?,
        };
        digits += 1;
        if digits > 32 {
            return Err(IdParseError);
        }
        id = (id << 4) | u128::from(digit);
    }
    if digits == 32 { Ok(id) } else { Err(IdParseError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_id_carries_its_time_and_slot() {
        for (time_ms, slot, random) in [(1_790_000_000_123, 16_383, u128::MAX), (0, 0, 0), (1, 77, 0x1234_5678)] {
            let id = ReservationId::mint(time_ms, slot, random);
            assert_eq!((id.time_ms(), id.slot(), id.is_well_formed()), (time_ms, slot, true));
        }
    }

    #[test]
    fn a_command_id_carries_its_time_and_an_own_key_has_none() {
        assert_eq!(CommandId::mint(1_790_000_000_123, u128::MAX).time_ms(), Some(1_790_000_000_123));
        assert_eq!(CommandId::of_key("order-1001/reserve").time_ms(), None);
        assert_eq!(CommandId::of_key("a"), CommandId::of_key("a"));
        assert_ne!(CommandId::of_key("a"), CommandId::of_key("b"));
    }

    #[test]
    fn the_bits_lie_where_the_table_says() {
        let id = ReservationId::mint(0x0123_4567_89ab, 0x2aaa, 0);
        assert_eq!(id.to_string(), "01234567-89ab-8000-aaaa-000000000000");
        let id = CommandId::mint(0x0123_4567_89ab, u128::MAX);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
    }

    #[test]
    fn ids_read_back_what_they_print_and_what_the_wire_carries() {
        let id = ReservationId::mint(1_790_000_000_123, 77, 0x1234_5678_9abc_def0);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().replace('-', "").parse(), Ok(id));
        assert_eq!(ReservationId::from(Id::from(id)), id);
        for bad in ["", "-", "00000000-0000-0000-0000-00000000000", "zz", &"0".repeat(33)] {
            assert_eq!(bad.parse::<CommandId>(), Err(IdParseError));
        }
    }

    #[test]
    fn every_sku_has_a_slot_and_keeps_it() {
        assert_eq!(slot_of("LIP-ROUGE-01"), slot_of("LIP-ROUGE-01"));
        assert!(["", "A", "Crème", "LIP-ROUGE-01"].iter().all(|sku| slot_of(sku) < SLOTS));
    }
}
