//! From the wire's types to those of JSON, and the words that both sides share.
//!
//! Fields are named as in the protos; an id is the text that the command line prints; a value of an enum is its name in the proto,
//! without the enum's own, in lower case. A field that comes to a proto does not compile here until it is shown or left out by name.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use holdfast_client::ids::{CommandId, ReservationId};
use holdfast_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;

/// Made from what the wire has.
pub(crate) trait FromWire<W> {
    fn from_wire(wire: W) -> Self;
}

impl<T: FromWire<W>, W> FromWire<Vec<W>> for Vec<T> {
    fn from_wire(wire: Vec<W>) -> Self {
        wire.into_iter().map(T::from_wire).collect()
    }
}

impl<T: FromWire<W>, W> FromWire<Option<W>> for Option<T> {
    fn from_wire(wire: Option<W>) -> Self {
        wire.map(T::from_wire)
    }
}

macro_rules! as_they_are {
    ($($ty:ty),+) => {
        $(impl FromWire<$ty> for $ty {
            fn from_wire(wire: $ty) -> Self {
                wire
            }
        })+
    };
}

as_they_are!(String, bool, u32, u64, i64);

/// Makes a type of JSON from the wire's of the same name, field by field.
macro_rules! from_wire {
    ($name:ident { $($field:ident),* $(,)? } $(leaving { $($left:ident),* })?) => {
        impl crate::wire::FromWire<holdfast_proto::v1::$name> for $name {
            fn from_wire(wire: holdfast_proto::v1::$name) -> Self {
                let holdfast_proto::v1::$name { $($field,)* $($($left: _,)*)? } = wire;
                Self { $($field: crate::wire::FromWire::from_wire($field)),* }
            }
        }
    };
}
pub(crate) use from_wire;

/// An enum of JSON with the words of the wire's of the same name; and what is meant where the wire says nothing.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident),* $(,)? } else $unsaid:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name {
            $($(#[$each])* $variant),*
        }

        impl crate::wire::FromWire<i32> for $name {
            fn from_wire(wire: i32) -> Self {
                match holdfast_proto::v1::$name::try_from(wire).unwrap_or_default() {
                    holdfast_proto::v1::$name::Unspecified => Self::$unsaid,
                    $(holdfast_proto::v1::$name::$variant => Self::$variant),*
                }
            }
        }

        impl $name {
            /// As the wire has it.
            #[allow(dead_code, reason = "some are only shown")]
            pub(crate) fn wire(self) -> i32 {
                match self {
                    $(Self::$variant => holdfast_proto::v1::$name::$variant.into()),*
                }
            }
        }
    };
}
pub(crate) use words;

/// A 128-bit id: a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = "uuid", example = "0190f3c4-5b1e-8a2b-9c3d-0000000000a1")]
pub(crate) struct IdText(pub(crate) String);

impl FromWire<v1::Id> for IdText {
    fn from_wire(wire: v1::Id) -> Self {
        // All ids print alike.
        Self(CommandId::from(wire).to_string())
    }
}

impl FromWire<Option<v1::Id>> for IdText {
    fn from_wire(wire: Option<v1::Id>) -> Self {
        Self::from_wire(wire.unwrap_or_default())
    }
}

impl IdText {
    /// A reservation's; the field is named where it is none.
    pub(crate) fn reservation(&self, field: &str) -> Result<ReservationId, Problem> {
        reservation_id(&self.0, field)
    }
}

/// Reads a reservation's id; the field is named where it is none.
pub(crate) fn reservation_id(text: &str, field: &str) -> Result<ReservationId, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, format!("`{}` is {error}", shortened(text))))
}

/// Reads an id; the field is named where it is none.
pub(crate) fn id_of_text<T: FromStr<Err: Display>>(text: &str, field: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, format!("`{}` is {error}", shortened(text))))
}

/// Bytes that are a text; what is none in them is shown as such (`\u{fffd}`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String)]
pub(crate) struct Text(pub(crate) String);

impl FromWire<Vec<u8>> for Text {
    fn from_wire(wire: Vec<u8>) -> Self {
        Self(String::from_utf8_lossy(&wire).into_owned())
    }
}

/// Bytes, as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]*$")]
pub(crate) struct Hex(pub(crate) String);

impl FromWire<Vec<u8>> for Hex {
    fn from_wire(wire: Vec<u8>) -> Self {
        Self(hex(&wire))
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that [`hex`] wrote; `None` for any other text.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// A text of a caller's, short enough for a message.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Who did it and why; kept in the change log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CauseSaid {
    /// At most 255 bytes.
    actor: String,
    /// At most 255 bytes.
    reason: String,
    /// A URI of a document, at most 255 bytes.
    reference: String,
}

impl CauseSaid {
    pub(crate) fn wire(self) -> v1::Cause {
        let Self { actor, reason, reference } = self;
        v1::Cause { actor, reason, reference }
    }
}

words! {
    /// The condition of units.
    Condition { Resellable, Damaged, QualityControl } else Resellable
}

/// An enum that was not said is as the wire's default.
pub(crate) fn said<T>(word: Option<T>, wire: impl Fn(T) -> i32) -> i32 {
    word.map_or(0, wire)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_text_that_the_command_line_prints() {
        let id = ReservationId::mint(1_790_000_000_123, 77, 5);
        let text = IdText::from_wire(v1::Id::from(id));
        assert_eq!(text.0, id.to_string());
        assert_eq!(text.reservation("reservation_id"), Ok(id));
        let bad = reservation_id("not an id", "reservation_id").unwrap_err();
        assert_eq!((bad.status, bad.field.as_str()), (400, "reservation_id"));
    }

    #[test]
    fn words_are_those_of_the_protos_in_lower_case() {
        assert_eq!(serde_json::to_string(&Condition::QualityControl).unwrap(), "\"quality_control\"");
        assert_eq!(serde_json::from_str::<Condition>("\"damaged\"").unwrap(), Condition::Damaged);
        assert!(serde_json::from_str::<Condition>("\"DAMAGED\"").is_err());
    }

    #[test]
    fn bytes_are_read_as_they_were_written_and_nothing_else_is() {
        assert_eq!(bytes_of(&hex(&[0, 9, 0xab, 0xff])), Some(vec![0, 9, 0xab, 0xff]));
        assert_eq!((bytes_of("abc"), bytes_of("zz"), bytes_of("é")), (None, None, None));
    }
}
