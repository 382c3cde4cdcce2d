//! `set_limits`: gives the shard its bounds.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::turn::Turn;
use crate::{Field, InvalidArgument, Limits, Refusal, Success};

/// Gives the shard its bounds. They come from the cluster's own records, as locations do: no caller sends them.
///
/// A command rather than what a replica is started with, so that all replicas begin alike, whatever their files say, and
/// change at the same entry. What goes beyond a new bound is not taken away: reservations stand, and a budget of results that
/// is smaller than what is kept now is refused, since a result is not forgotten before its time [H-ONCE].
/// Not in a chain: the results of its other commands were admitted under the bounds before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLimits {
    /// The bounds.
    pub limits: Limits,
}

impl SetLimits {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        if turn.state.is_chain_open() {
            return Err(InvalidArgument::of(Field::Linked).into());
        }
        if !turn.state.would_keep_all_results(&self.limits) {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        turn.state.header.limits = self.limits.clone();
        Ok(Success::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::SetLimits;
    use crate::test_shop::{OPENING, Shop};
    use crate::*;

    fn set(limits: Limits) -> Operation {
        Operation::SetLimits(Box::new(SetLimits { limits }))
    }

    #[test]
    fn what_is_held_after_new_bounds_follows_them_and_what_was_held_before_stands() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.reserve(1, &[("rouge", 1)]).unwrap();
        shop.run(set(Limits { max_hold_s: 60, live_reservations: 2, ..Limits::default() })).unwrap();
        let held = shop.reserve(2, &[("rouge", 1)]).unwrap();
        assert_eq!(before.expires_at, Some(LogTime(OPENING + 600_000)));
        assert_eq!(held.expires_at, Some(LogTime(OPENING + 60_000)));
        assert!(matches!(shop.reserve(3, &[("rouge", 1)]), Err(Refusal::Overloaded { .. })));
        assert_eq!(shop.stock("rouge").counts.reserved, 2);
    }

    #[test]
    fn no_bounds_are_taken_from_a_chain() {
        let mut shop = Shop::with_rouge(5);
        let before = shop.inventory.limits().clone();
        let chain = shop.chain(vec![crate::test_shop::receive("rouge", "PAR", 1), set(Limits::default())]);
        let answers = shop.apply(chain);
        assert_eq!(answers[1].outcome, Err(InvalidArgument::of(Field::Linked).into()));
        assert_eq!((shop.inventory.limits(), shop.stock("rouge").counts.on_hand), (&before, 5));
    }

    #[test]
    fn a_budget_smaller_than_the_results_that_are_kept_is_refused() {
        let mut shop = Shop::with_rouge(5);
        (0..8).for_each(|_| drop(shop.receive("rouge", "PAR", 1).unwrap()));
        let before = shop.inventory.limits().clone();
        // A quarter of it is for keyed ids.
        let results = shop.inventory.result_window().results;
        assert!(matches!(shop.run(set(Limits { results, ..Limits::default() })), Err(Refusal::Overloaded { .. })));
        assert_eq!(*shop.inventory.limits(), before);
        shop.run(set(Limits { results: 2 * results, ..Limits::default() })).unwrap();
        assert_eq!(invariants::check(&shop.inventory), []);
    }
}
