//! Makes what fails as small as it can be and still fail: the run (`smallest`, over a question that is asked of it again and
//! again) and its history (`history`).
//!
//! A smaller run is another run: leaving a fault out changes what the nodes do. So nothing is concluded from a run that was
//! not tried, and what is given back is always one that was tried and failed, or the whole.

pub mod history;
mod smallest;

use std::collections::BTreeMap;

use crate::run::Case;
pub use smallest::{shorter, smallest};

/// To what a storm's length is made shorter.
const STORM_STEP_MS: u64 = 250;

/// Asks whether a run with only this in it still fails.
pub trait StillFails {
    /// Whether it does, in the same way as the whole.
    fn still_fails(&mut self, case: &Case) -> bool;
}

/// What shrinking came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left.
    pub case: Case,
    /// How often something was tried.
    pub tries: usize,
    /// Whether every smaller case next to it was tried and does not fail; false where the tries were used up.
    pub is_smallest: bool,
}

/// Leaves out of a failing case what it does not need to fail: time, kinds of faults, workloads; in turn, until a round has
/// changed nothing or so many cases have been tried.
pub fn shrink(whole: &Case, most_tries: usize, test: &mut impl StillFails) -> Shrunk {
    let mut known: BTreeMap<Case, bool> = BTreeMap::new();
    let mut ask = |case: &Case| -> Option<bool> {
        if let Some(fails) = known.get(case) {
            return Some(*fails);
        }
        if known.len() >= most_tries {
            return None;
        }
        let fails = test.still_fails(case);
        known.insert(case.clone(), fails);
        Some(fails)
    };
    let mut case = whole.clone();
    let mut is_smallest = true;
    loop {
        let before = case.clone();
        let mut settled = |answer: Option<bool>| {
            is_smallest &= answer.is_some();
            answer
        };
        // Time first: what is tried after that takes less of it.
        let of_time = case.clone();
        let with = |storm_ms| Case { storm_ms, ..of_time.clone() };
        case.storm_ms = shorter(case.storm_ms, STORM_STEP_MS, |storm_ms| settled(ask(&with(storm_ms))));
        let of_faults = case.clone();
        let with = |faults: &[_]| Case { faults: faults.to_vec(), ..of_faults.clone() };
        case.faults = smallest(&case.faults, 0, |faults| settled(ask(&with(faults))));
        let of_workloads = case.clone();
        let with = |workloads: &[_]| Case { workloads: workloads.to_vec(), ..of_workloads.clone() };
        case.workloads = smallest(&case.workloads, 1, |workloads| settled(ask(&with(workloads))));
        if case == before || !is_smallest {
            break;
        }
    }
    Shrunk { case, tries: known.len(), is_smallest }
}

/// What a finding is of: its checker's name, with which it begins, told apart where the checker could not decide; what no
/// checker says is the run's own.
#[must_use]
pub fn kind_of(finding: &str) -> String {
    let is_name =
        |name: &&str| !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    match finding.split_once(':').filter(|(name, _)| is_name(name)) {
        None => "run".to_owned(),
        Some((name, what)) if what.starts_with(" undecided:") => format!("{name}-undecided"),
        Some((name, _)) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if everything that is needed is there.
    struct Needs {
        needed: Case,
        tried: usize,
    }

    impl StillFails for Needs {
        fn still_fails(&mut self, case: &Case) -> bool {
            self.tried += 1;
            let Case { faults, workloads, storm_ms, .. } = &self.needed;
            faults.iter().all(|kind| case.faults.contains(kind))
                && workloads.iter().all(|workload| case.workloads.contains(workload))
                && case.storm_ms >= *storm_ms
        }
    }

    /// The case of a seed with many kinds of faults.
    fn whole() -> Case {
        (0..50).map(Case::of_seed).max_by_key(|case| case.faults.len()).unwrap()
    }

    fn needs(whole: &Case, faults: &[usize], workloads: &[usize], storm_ms: u64) -> Needs {
        let faults = faults.iter().map(|at| whole.faults[*at]).collect();
        let workloads = workloads.iter().map(|at| whole.workloads[*at]).collect();
        Needs { needed: Case { faults, workloads, storm_ms, is_chosen: false }, tried: 0 }
    }

    #[test]
    fn what_is_needed_to_fail_is_left_and_nothing_else() {
        let whole = whole();
        let last = whole.faults.len() - 1;
        for (faults, workloads) in [(vec![], vec![0]), (vec![last], vec![2]), (vec![0, 7, last], vec![0, 2])] {
            let mut test = needs(&whole, &faults, &workloads, 3_210);
            let shrunk = shrink(&whole, 1_000, &mut test);
            assert!(shrunk.is_smallest);
            assert_eq!(shrunk.case.faults, test.needed.faults);
            assert_eq!(shrunk.case.workloads, test.needed.workloads);
            assert!((3_210..=3_210 + STORM_STEP_MS).contains(&shrunk.case.storm_ms), "{}", shrunk.case.storm_ms);
            assert_eq!(shrunk.tries, test.tried, "nothing is tried twice");
            assert!(shrunk.tries < 100, "{} tries", shrunk.tries);
        }
    }

    #[test]
    fn what_cannot_be_made_smaller_stays_whole() {
        let whole = whole();
        let mut test = Needs { needed: whole.clone(), tried: 0 };
        let shrunk = shrink(&whole, 1_000, &mut test);
        assert_eq!((shrunk.case, shrunk.is_smallest), (whole, true));
    }

    #[test]
    fn the_tries_are_bounded_and_what_is_given_back_then_fails() {
        let whole = whole();
        for most in 0..40 {
            let mut test = needs(&whole, &[1, 5], &[1], 0);
            let shrunk = shrink(&whole, most, &mut test);
            assert!(shrunk.tries <= most && shrunk.tries == test.tried);
            assert!(test.still_fails(&shrunk.case), "after {most} tries");
            assert!(most > 10 || !shrunk.is_smallest);
        }
    }

    #[test]
    fn a_finding_is_of_the_checker_that_it_begins_with() {
        assert_eq!(kind_of("exactly_once: command 1 was"), "exactly_once");
        assert_eq!(kind_of("linearizable: undecided: the history of A"), "linearizable-undecided");
        assert_eq!(kind_of("node 3 is not ready in time: it does not run"), "run");
        assert_eq!(kind_of("the cluster does not open in time"), "run");
    }
}
