//! Rows that cannot be used: their kinds, and how often each was met.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DirtKind {
    /// Its bytes are not UTF-8.
    NotUtf8,
    /// A quote is not closed, or stands where none may stand.
    BadQuotes,
    /// Longer than any sensible row.
    TooLong,
    /// Fewer fields than the header has.
    MissingColumns,
    /// More fields than the header has.
    ExtraColumns,
    /// No product.
    NoSku,
    /// A product that cannot be a SKU: too long, or with characters that are not printable.
    BadSku,
    /// A product that an earlier row has described already.
    RepeatedSku,
    /// A name, brand or category that is too long or not printable.
    BadText,
    /// More attributes than an item may carry.
    TooManyAttributes,
    /// A price that is no number, or below 0.
    BadPrice,
    /// A quantity that is no number of units.
    BadQuantity,
    /// A time that is none.
    BadTime,
    /// An event that the format does not know.
    UnknownEvent,
    /// Neither a session nor a user.
    NoSession,
    /// The cluster refused it as bad input.
    Refused,
}

impl DirtKind {
    /// The name it is counted by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::BadQuotes => "bad_quotes",
            Self::TooLong => "too_long",
            Self::MissingColumns => "missing_columns",
            Self::ExtraColumns => "extra_columns",
            Self::NoSku => "no_sku",
            Self::BadSku => "bad_sku",
            Self::RepeatedSku => "repeated_sku",
            Self::BadText => "bad_text",
            Self::TooManyAttributes => "too_many_attributes",
            Self::BadPrice => "bad_price",
            Self::BadQuantity => "bad_quantity",
            Self::BadTime => "bad_time",
            Self::UnknownEvent => "unknown_event",
            Self::NoSession => "no_session",
            Self::Refused => "refused",
        }
    }
}

/// One row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyRow {
    /// Its (first) line in the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: DirtKind,
    /// The value at fault, or the beginning of the row.
    pub detail: String,
}

/// What a row holds, or what is wrong with it.
pub type Usable<T> = Result<T, DirtyRow>;

impl DirtyRow {
    /// A dirty row; of `detail` the first 60 characters are kept.
    pub fn new(line: u64, kind: DirtKind, detail: impl AsRef<str>) -> Self {
        let detail = detail.as_ref().chars().take(60).flat_map(char::escape_debug).collect();
        Self { line, kind, detail }
    }
}

/// How many rows of each kind were met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtTally(BTreeMap<DirtKind, u64>);

impl DirtTally {
    /// Counts the row and shows it on stderr with its line.
    pub fn note(&mut self, file: &str, row: &DirtyRow) {
        self.count(row.kind);
        crate::output::say(&format!("{file}:{}: {}: {}", row.line, row.kind.name(), row.detail));
    }

    /// Counts a row of that kind.
    pub fn count(&mut self, kind: DirtKind) {
        *self.0.entry(kind).or_default() += 1;
    }
}

impl Serialize for DirtTally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, count)| (kind.name(), count)))
    }
}
