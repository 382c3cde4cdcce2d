//! Names that callers choose: 1 to 64 bytes of printable UTF-8, cheap to clone.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest name, in bytes.
const MAX_BYTES: usize = 64;
/// Names up to this many bytes lie within the value itself, without an allocation.
const INLINE_BYTES: usize = 22;

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no character.
    #[error("a name has at least one character")]
    Empty,
    /// It has more than 64 bytes.
    #[error("a name has at most 64 bytes of UTF-8")]
    TooLong,
    /// It has a control character.
    #[error("a name has only printable characters")]
    NotPrintable,
}

#[derive(Clone)]
enum Text {
    Inline { length: u8, bytes: [u8; INLINE_BYTES] },
    Shared(Arc<str>),
}

impl Text {
    fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(NameError::NotPrintable);
        }
        if text.len() > INLINE_BYTES {
            return Ok(Self::Shared(Arc::from(text)));
        }
        let mut bytes = [0; INLINE_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self::Inline { length: text.len() as u8, bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { length, bytes } => &bytes[..usize::from(*length)],
            Self::Shared(text) => text.as_bytes(),
        }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("a name is made from a str and never changed")
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(Text);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            ///
            /// [`NameError`] where it is empty, longer than 64 bytes or not printable.
            pub fn new(text: &str) -> Result<Self, NameError> {
                Text::new(text).map(Self)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// The bytes of the name, which also give its order.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.as_bytes() == other.as_bytes()
            }
        }

        impl Eq for $name {}

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                self.as_bytes().cmp(other.as_bytes())
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.as_bytes().hash(state);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <&'de str>::deserialize(deserializer)?;
                Self::new(text).map_err(D::Error::custom)
            }
        }
    };
}

name_type! {
    /// A stock keeping unit.
    Sku
}
name_type! {
    /// A batch of one SKU that shares its dates.
    LotId
}
name_type! {
    /// A place that holds stock.
    LocationId
}
name_type! {
    /// The caller's own word for an order: shown and found by, never an id.
    OrderRef
}
name_type! {
    /// A sales channel.
    ChannelId
}
name_type! {
    /// A flash sale.
    CampaignId
}
name_type! {
    /// A limit of what one customer may have.
    LimitId
}
name_type! {
    /// An endpoint of the cluster's settings.
    EndpointId
}
name_type! {
    /// A step of an order.
    StepName
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_64_printable_bytes() {
        assert_eq!(Sku::new(""), Err(NameError::Empty));
        assert_eq!(Sku::new(&"x".repeat(65)), Err(NameError::TooLong));
        assert_eq!(Sku::new("a\nb"), Err(NameError::NotPrintable));
        assert_eq!(Sku::new("a\u{7f}"), Err(NameError::NotPrintable));
        for good in ["x", "Crème 50 ml", &"x".repeat(22), &"x".repeat(23), &"x".repeat(64)] {
            assert_eq!(Sku::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn names_are_ordered_by_their_bytes_wherever_they_lie() {
        let mut names: Vec<Sku> =
            ["b", &"a".repeat(30), "a", &"b".repeat(30)].into_iter().map(|text| Sku::new(text).unwrap()).collect();
        names.sort();
        let sorted: Vec<&str> = names.iter().map(Sku::as_str).collect();
        assert_eq!(sorted, ["a", &"a".repeat(30), "b", &"b".repeat(30)]);
    }

    #[test]
    fn a_name_reads_back_what_it_wrote_and_refuses_what_is_none() {
        for text in ["x", &"y".repeat(64)] {
            let sku = Sku::new(text).unwrap();
            let bytes = postcard::to_stdvec(&sku).unwrap();
            assert_eq!(postcard::from_bytes::<Sku>(&bytes).unwrap(), sku);
        }
        assert!(postcard::from_bytes::<Sku>(&[0]).is_err());
        assert!(postcard::from_bytes::<Sku>(&[1, 10]).is_err());
    }
}
