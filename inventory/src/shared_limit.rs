//! Limits per customer over several items: their bounds, and how the counter of one customer under one limit is named.
//!
//! The items of such a limit lie on several shards, so the counter stands on a shard of its own: that of the slot of its name. In a
//! reservation it is a line like any other, after those of the items: its shard prepares it, follows the deciding shard, and gives it back,
//! as the shard of an item does. See "Limits over several items" in docs/ARCHITECTURE.md.

use serde::{Deserialize, Serialize};

use crate::{CustomerHash, Field, InvalidArgument, LimitId, LimitSpec, MAX_LIMITS_OF_ITEM, Revision, Sku};

/// Fewest items of a limit over several.
pub const MIN_SKUS_OF_LIMIT: usize = 2;
/// Most items of one limit.
pub const MAX_SKUS_OF_LIMIT: usize = 64;
/// Most limits over several items in a cluster.
pub const MAX_SHARED_LIMITS: usize = 1_024;
/// Most limits over several items that one item is under.
pub const MAX_SHARED_LIMITS_OF_ITEM: usize = MAX_LIMITS_OF_ITEM;
/// The longest name of a limit over several items, in bytes: that of a counter has the customer too.
pub const MAX_SHARED_LIMIT_ID_BYTES: usize = 30;

/// What the name of a counter begins with.
const MARK: char = '\u{a4}';
/// Hexadecimal digits of the customer in it.
const DIGITS: usize = 32;

/// What is said of a limit over several items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedLimitSpec {
    /// The items, each once, in ascending order: [`MIN_SKUS_OF_LIMIT`] to [`MAX_SKUS_OF_LIMIT`].
    pub skus: Vec<Sku>,
    /// What is said of any limit.
    pub rule: LimitSpec,
}

impl SharedLimitSpec {
    /// Checks the items and the rule.
    ///
    /// # Errors
    ///
    /// The field that cannot be.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        let fits = (MIN_SKUS_OF_LIMIT..=MAX_SKUS_OF_LIMIT).contains(&self.skus.len())
            && self.skus.is_sorted_by(|a, b| a < b)
            && !self.skus.iter().any(Sku::is_counter);
        if !fits {
            return Err(InvalidArgument::of(Field::LimitSkus));
        }
        self.rule.validate()
    }
}

/// A limit over several items as a shard knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedLimit {
    /// Its name.
    pub id: LimitId,
    /// Its items and its rule.
    pub spec: SharedLimitSpec,
    /// In the cluster's own records.
    pub revision: Revision,
}

impl Sku {
    /// The name of what a customer has under a limit; `None` where the limit's name is longer than [`MAX_SHARED_LIMIT_ID_BYTES`].
    #[must_use]
    pub fn of_counter(limit: &LimitId, customer: CustomerHash) -> Option<Self> {
        Self::new(&format!("{MARK}{:0DIGITS$x}{limit}", customer.0)).ok()
    }

    /// Whose counter it is the name of, under which limit; `None` where it is that of an item.
    #[must_use]
    pub fn counter(&self) -> Option<(LimitId, CustomerHash)> {
        let (digits, limit) = self.as_str().strip_prefix(MARK)?.split_at_checked(DIGITS)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !digits.bytes().all(is_digit) {
            return None;
        }
        Some((LimitId::new(limit).ok()?, CustomerHash(u128::from_str_radix(digits, 16).ok()?)))
    }

    /// Whether it is the name of a counter: no item has it.
    #[must_use]
    pub fn is_counter(&self) -> bool {
        self.as_str().starts_with(MARK) && self.counter().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_named_by_its_limit_and_its_customer_and_read_back() {
        let longest = "x".repeat(MAX_SHARED_LIMIT_ID_BYTES);
        for (limit, customer) in [("two-each", 7), (longest.as_str(), u128::MAX), ("0", 0)] {
            let (limit, customer) = (limit.parse().unwrap(), CustomerHash(customer));
            let name = Sku::of_counter(&limit, customer).unwrap();
            assert_eq!(name.counter(), Some((limit, customer)), "{name}");
        }
        assert_eq!(Sku::of_counter(&"x".repeat(MAX_SHARED_LIMIT_ID_BYTES + 1).parse().unwrap(), CustomerHash(1)), None);
    }

    #[test]
    fn what_only_looks_like_a_counter_is_an_item() {
        let zeros = "0".repeat(DIGITS);
        for text in ["\u{a4}", "\u{a4}rouge", "rouge", &format!("\u{a4}{zeros}"), &format!("\u{a4}G{zeros}x")] {
            assert!(!text.parse::<Sku>().unwrap().is_counter(), "{text}");
        }
    }
}
