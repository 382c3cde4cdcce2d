//! Nothing is applied that a majority of the voters does not have in its log: what Raft calls committed. Judged while the run goes
//! on, since a moment later the others may have it too. Whether it is durable there is not looked at.
//!
//! Leaves out what it cannot see: a node that does not run, or whose log it has not seen yet, counts as one that has everything;
//! and it compares how far logs reach, so that another entry at the same index counts as the same one (the checkers of replicas see
//! that one).

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;

const NAME: &str = "majority";

/// Findings kept: one is enough to know.
const KEPT: usize = 16;

/// How far the logs of the replicas reach, and how far each group was seen to be applied.
#[derive(Debug, Default)]
pub struct Majorities {
    /// By group and node, the last index in the log.
    last: BTreeMap<(u64, u64), u64>,
    applied: BTreeMap<u64, u64>,
    found: usize,
}

impl Majorities {
    /// The log of a node that runs was seen to reach so far.
    pub fn see_log(&mut self, group: u64, node: u64, last: u64) {
        self.last.insert((group, node), last);
    }

    /// A node does not run any more.
    pub fn forget(&mut self, node: u64) {
        self.last.retain(|(_, of), _| *of != node);
    }

    /// Whether a group was not seen to be applied so far before.
    #[must_use]
    pub fn is_news(&self, group: u64, applied: u64) -> bool {
        self.applied.get(&group).is_none_or(|before| *before < applied)
    }

    /// A node has applied so far, and these are the voters; all logs have been seen since.
    pub fn see_applied(&mut self, group: u64, node: u64, applied: u64, voters: &BTreeSet<u64>) -> Option<Finding> {
        if !self.is_news(group, applied) {
            return None;
        }
        self.applied.insert(group, applied);
        // At 0 nothing is told of the log yet.
        let lacks = |voter: &&u64| self.last.get(&(group, **voter)).is_some_and(|last| *last > 0 && *last < applied);
        let lacking: Vec<u64> = voters.iter().filter(lacks).copied().collect();
        if voters.len() - lacking.len() > voters.len() / 2 || self.found >= KEPT {
            return None;
        }
        self.found += 1;
        let what = format!(
            "group {group}: node {node} has applied {applied}, which {} of its {} voters do not have: nodes {lacking:?}",
            lacking.len(),
            voters.len()
        );
        Some(Finding::new(NAME, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_five(last: [u64; 5]) -> Majorities {
        let mut majorities = Majorities::default();
        for (node, last) in (1..).zip(last) {
            majorities.see_log(0, node, last);
        }
        majorities
    }

    fn voters() -> BTreeSet<u64> {
        (1..=5).collect()
    }

    #[test]
    fn what_three_of_five_have_is_committed_and_what_two_have_is_not() {
        assert_eq!(of_five([9, 9, 9, 7, 7]).see_applied(0, 1, 9, &voters()), None);
        let found = of_five([9, 9, 8, 7, 7]).see_applied(0, 1, 9, &voters()).unwrap();
        assert_eq!(
            found.to_string(),
            "majority: group 0: node 1 has applied 9, which 3 of its 5 voters do not have: nodes [3, 4, 5]"
        );
    }

    #[test]
    fn who_is_not_seen_counts_as_one_that_has_it() {
        let mut majorities = of_five([9, 9, 8, 7, 0]);
        majorities.forget(4);
        assert_eq!(majorities.see_applied(0, 1, 9, &voters()), None);
    }

    #[test]
    fn only_the_first_to_apply_is_judged() {
        let mut majorities = of_five([9, 9, 9, 7, 7]);
        assert_eq!(majorities.see_applied(0, 1, 9, &voters()), None);
        majorities.see_log(0, 3, 5);
        assert_eq!(majorities.see_applied(0, 2, 9, &voters()), None);
    }
}
