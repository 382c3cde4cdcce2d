//! The model's limits per customer: what each has of a SKU, and how much more they may have.

use std::collections::BTreeMap;

use super::told::Refusal;

/// The limit of one SKU, for ever, and what each customer has under it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CustomerLimit {
    units: u64,
    had: BTreeMap<u8, u64>,
    revision: u64,
}

impl CustomerLimit {
    /// Sets the limit; its revision.
    pub(super) fn put(&mut self, units: u64) -> u64 {
        if self.units != units {
            (self.units, self.revision) = (units, self.revision + 1);
        }
        self.revision
    }

    /// Whether a customer may have so many more; 0: nobody is named.
    pub(super) fn check(&self, customer: u8, units: u64, line: usize) -> Result<(), Refusal> {
        if customer == 0 {
            return Err(Refusal::CustomerRequired);
        }
        let remaining = self.units.saturating_sub(self.had.get(&customer).copied().unwrap_or(0));
        if units > remaining { Err(Refusal::CustomerLimitExceeded { line, remaining }) } else { Ok(()) }
    }

    pub(super) fn take(&mut self, customer: u8, units: u64) {
        *self.had.entry(customer).or_default() += units;
    }

    pub(super) fn give_back(&mut self, customer: u8, units: u64) {
        if let Some(had) = self.had.get_mut(&customer) {
            *had -= units;
            if *had == 0 {
                self.had.remove(&customer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CustomerLimit;
    use crate::checkers::told::Refusal;

    #[test]
    fn a_customer_has_no_more_than_the_limit_and_gets_back_what_was_given_back() {
        let mut limit = CustomerLimit::default();
        assert_eq!((limit.put(2), limit.put(2), limit.put(3)), (1, 1, 2));
        assert_eq!(limit.check(0, 1, 0), Err(Refusal::CustomerRequired));
        limit.take(1, 2);
        assert_eq!(limit.check(1, 2, 0), Err(Refusal::CustomerLimitExceeded { line: 0, remaining: 1 }));
        assert_eq!(limit.check(2, 3, 0), Ok(()));
        limit.give_back(1, 2);
        assert_eq!(limit.check(1, 3, 0), Ok(()));
    }
}
