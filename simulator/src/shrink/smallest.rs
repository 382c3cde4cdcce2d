//! Leaving out: halves first, then one by one, in the manner of delta debugging (Zeller and Hildebrandt, "Simplifying and
//! isolating failure-inducing input", 2002).

/// A part of `all` that still fails, with at least `least` in it, from which no single one can be left out; less is left out
/// where `fails` has no answer any more. Its order stays. `all` itself must fail.
pub fn smallest<T: Clone>(all: &[T], least: usize, mut fails: impl FnMut(&[T]) -> Option<bool>) -> Vec<T> {
    let mut kept = all.to_vec();
    let mut size = kept.len();
    while size > 0 {
        let mut is_smaller = false;
        let mut at = 0;
        while at < kept.len() {
            let until = (at + size).min(kept.len());
            if kept.len() - (until - at) < least {
                break;
            }
            let without = [&kept[..at], &kept[until..]].concat();
            match fails(&without) {
                None => return kept,
                Some(true) => (kept, is_smaller) = (without, true),
                Some(false) => at = until,
            }
        }
        // What could not go alone may go now that another has gone.
        size = if size == 1 && is_smaller { 1 } else { size.min(kept.len()) / 2 };
    }
    kept
}

/// A number that still fails, below which it was tried at half the way again and again, until less than `step` is between it
/// and one that does not; 0 is taken for one that does not. `whole` must fail.
pub fn shorter(whole: u64, step: u64, mut fails: impl FnMut(u64) -> Option<bool>) -> u64 {
    let (mut too_short, mut kept) = (0, whole);
    while kept - too_short > step.max(1) {
        let half = too_short + (kept - too_short) / 2;
        match fails(half) {
            None => break,
            Some(true) => kept = half,
            Some(false) => too_short = half,
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_fails_and_nothing_of_it_can_be_left_out() {
        let all: Vec<u32> = (0..16).collect();
        for needed in [vec![], vec![0], vec![15], vec![3, 4], vec![0, 7, 15], all.clone()] {
            let mut tries = 0;
            let left = smallest(&all, 0, |part| {
                tries += 1;
                Some(needed.iter().all(|one| part.contains(one)))
            });
            assert_eq!(left, needed);
            assert!(tries <= 60, "{tries} tries for {needed:?}");
        }
    }

    #[test]
    fn one_that_can_go_only_after_another_goes_too() {
        // 0 is needed as long as 1 is there.
        let left = smallest(&[0, 1, 2], 0, |part| Some(part.contains(&2) && (part.contains(&0) || !part.contains(&1))));
        assert_eq!(left, [2]);
    }

    #[test]
    fn so_many_are_kept_as_must_be() {
        assert_eq!(smallest(&[1, 2, 3], 1, |_| Some(true)).len(), 1);
        assert_eq!(smallest(&[1, 2, 3], 3, |_| Some(true)).len(), 3);
    }

    #[test]
    fn a_number_comes_within_a_step_of_one_that_does_not_fail() {
        assert!((4_000..4_250).contains(&shorter(30_000, 250, |tried| Some(tried >= 4_000))));
        assert!(shorter(30_000, 250, |_| Some(true)) <= 250);
        assert_eq!(shorter(30_000, 250, |_| Some(false)), 30_000);
        assert_eq!(shorter(0, 250, |_| Some(true)), 0);
    }
}
