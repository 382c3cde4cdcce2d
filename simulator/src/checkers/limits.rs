//! The model's limits per customer: what each has of a SKU, and how much more they may have.

use std::collections::{BTreeMap, BTreeSet};

use super::told::Refusal;

/// The limit of one SKU, and what each customer has under it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CustomerLimit {
    units: u64,
    /// How long a reservation counts from when it was made, in ms; `None`: for ever.
    window_ms: Option<u64>,
    /// Units by customer and by when their reservation was made, in log time; for ever: 0.
    had: BTreeMap<(u8, u64), u64>,
    /// Customers of whose reservations nobody was told when they were made: what counts of theirs is not known.
    uncertain: BTreeSet<u8>,
    revision: u64,
}

impl CustomerLimit {
    /// Sets the limit; its revision.
    pub(super) fn put(&mut self, units: u64, window_ms: Option<u64>) -> u64 {
        if self.units != units {
            (self.units, self.revision) = (units, self.revision + 1);
        }
        self.window_ms = window_ms;
        self.revision
    }

    /// Whether a customer may have so many more at that log time; 0: nobody is named.
    pub(super) fn check(&self, customer: u8, units: u64, line: usize, now: u64) -> Result<(), Refusal> {
        if customer == 0 {
            return Err(Refusal::CustomerRequired);
        }
        if self.is_uncertain(customer) {
            return Ok(());
        }
        let counts = |made_at: u64| self.window_ms.is_none_or(|window_ms| made_at + window_ms > now);
        let of_customer = self.had.range((customer, 0)..=(customer, u64::MAX));
        let had: u64 = of_customer.filter(|((_, made_at), _)| counts(*made_at)).map(|(_, units)| units).sum();
        let remaining = self.units.saturating_sub(had);
        if units > remaining { Err(Refusal::CustomerLimitExceeded { line, remaining }) } else { Ok(()) }
    }

    /// Whether a refusal of a customer may be right whatever is known of them.
    pub(super) fn is_uncertain(&self, customer: u8) -> bool {
        self.uncertain.contains(&customer)
    }

    /// The log times at which something counts no more.
    pub(super) fn ends(&self) -> impl Iterator<Item = u64> {
        let window_ms = self.window_ms;
        self.had.keys().filter_map(move |(_, made_at)| Some(made_at + window_ms?))
    }

    pub(super) fn take(&mut self, customer: u8, made_at: Option<u64>, units: u64) {
        let Some(at) = self.instant_of(made_at) else {
            self.uncertain.insert(customer);
            return;
        };
        if let Some(window_ms) = self.window_ms {
            self.had.retain(|(_, made_at), _| made_at + window_ms > at);
        }
        *self.had.entry((customer, at)).or_default() += units;
    }

    /// Under which instant a reservation counts that was made then.
    fn instant_of(&self, made_at: Option<u64>) -> Option<u64> {
        if self.window_ms.is_some() { made_at } else { Some(0) }
    }

    pub(super) fn give_back(&mut self, customer: u8, made_at: Option<u64>, units: u64) {
        let Some(at) = self.instant_of(made_at) else { return };
        if let Some(had) = self.had.get_mut(&(customer, at)) {
            *had -= units;
            if *had == 0 {
                self.had.remove(&(customer, at));
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
        let mut put = |units| limit.put(units, None);
        assert_eq!((put(2), put(2), put(3)), (1, 1, 2));
        assert_eq!(limit.check(0, 1, 0, 9), Err(Refusal::CustomerRequired));
        limit.take(1, Some(5), 2);
        assert_eq!(limit.check(1, 2, 0, 9), Err(Refusal::CustomerLimitExceeded { line: 0, remaining: 1 }));
        assert_eq!(limit.check(2, 3, 0, 9), Ok(()));
        limit.give_back(1, None, 2);
        assert_eq!(limit.check(1, 3, 0, 9), Ok(()));
    }

    #[test]
    fn a_reservation_counts_in_a_window_from_when_it_was_made_and_no_longer() {
        let mut limit = CustomerLimit::default();
        limit.put(3, Some(1_000));
        limit.take(1, Some(100), 1);
        limit.take(1, Some(600), 2);
        let remaining = |remaining| Err(Refusal::CustomerLimitExceeded { line: 0, remaining });
        assert_eq!((limit.check(1, 1, 0, 1_099), limit.check(1, 1, 0, 1_100)), (remaining(0), Ok(())));
        assert_eq!((limit.check(1, 2, 0, 1_599), limit.check(1, 3, 0, 1_600)), (remaining(1), Ok(())));
        assert_eq!(limit.ends().collect::<Vec<_>>(), [1_100, 1_600]);
        limit.give_back(1, Some(600), 2);
        assert_eq!(limit.check(1, 2, 0, 1_099), Ok(()));
        limit.take(2, None, 1);
        assert_eq!((limit.check(2, 9, 0, 1_099), limit.is_uncertain(2), limit.is_uncertain(1)), (Ok(()), true, false));
    }
}
