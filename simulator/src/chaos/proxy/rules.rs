//! What holds between whom: which bytes are held back, and how long others take. Several faults may lay down rules at once;
//! each takes back its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Whoever asks as a client.
    Client,
    /// A node.
    Node(u64),
    /// One of the nodes, nobody knows which.
    SomeNode,
}

/// What is done to the bytes from one end to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// None arrives for as long as the rule holds.
    Hold,
    /// Each takes a time between these two.
    Delay(Duration, Duration),
}

/// One rule, for one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whose bytes.
    pub from: End,
    /// To whom.
    pub to: End,
    /// What is done to them.
    pub harm: Harm,
}

impl Rule {
    fn is_of(&self, from: End, to: End) -> bool {
        let is_same = |rule: End, end: End| match (rule, end) {
            (End::Client, end) => end == End::Client,
            (_, End::SomeNode) => true,
            (rule, end) => rule == end,
        };
        is_same(self.from, from) && is_same(self.to, to)
    }
}

/// Names the rules that were laid down together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(u64);

impl RuleId {
    /// The name of that number, for rules that are kept elsewhere.
    #[must_use]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// All rules that hold.
#[derive(Debug)]
pub struct Rules {
    laid_down: Mutex<BTreeMap<RuleId, Vec<Rule>>>,
    changes: watch::Sender<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { laid_down: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Rules {
    fn laid_down(&self) -> MutexGuard<'_, BTreeMap<RuleId, Vec<Rule>>> {
        self.laid_down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these hold too.
    pub fn lay_down(&self, rules: Vec<Rule>) -> RuleId {
        let mut laid_down = self.laid_down();
        let id = laid_down.last_key_value().map_or(RuleId(0), |(last, _)| RuleId(last.0 + 1));
        laid_down.insert(id, rules);
        drop(laid_down);
        self.changes.send_modify(|version| *version += 1);
        id
    }

    /// These hold no longer.
    pub fn take_back(&self, id: RuleId) {
        self.laid_down().remove(&id);
        self.changes.send_modify(|version| *version += 1);
    }

    fn harms(&self, from: End, to: End) -> Vec<Harm> {
        let laid_down = self.laid_down();
        laid_down.values().flatten().filter(|rule| rule.is_of(from, to)).map(|rule| rule.harm).collect()
    }

    /// The longest delay between two ends.
    pub fn delay(&self, from: End, to: End) -> Option<(Duration, Duration)> {
        let delays = self.harms(from, to).into_iter().filter_map(|harm| match harm {
            Harm::Delay(least, most) => Some((least, most)),
            Harm::Hold => None,
        });
        delays.max_by_key(|(_, most)| *most)
    }

    /// Returns once nothing holds back what goes from one end to the other.
    pub async fn passes(&self, from: End, to: End) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if !self.harms(from, to).contains(&Harm::Hold) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: End = End::Node(1);
    const TWO: End = End::Node(2);

    fn hold(from: End, to: End) -> Rule {
        Rule { from, to, harm: Harm::Hold }
    }

    async fn is_held(rules: &Rules, from: End, to: End) -> bool {
        tokio::time::timeout(Duration::from_millis(20), rules.passes(from, to)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_holds_in_its_direction_until_it_is_taken_back() {
        let rules = Rules::default();
        let first = rules.lay_down(vec![hold(ONE, TWO)]);
        let second = rules.lay_down(vec![hold(ONE, TWO)]);
        assert!(is_held(&rules, ONE, TWO).await);
        assert!(!is_held(&rules, TWO, ONE).await);
        assert!(!is_held(&rules, End::Client, TWO).await);
        rules.take_back(first);
        assert!(is_held(&rules, ONE, TWO).await);
        rules.take_back(second);
        assert!(!is_held(&rules, ONE, TWO).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_nobody_knows_is_held_with_any_other() {
        let rules = Rules::default();
        rules.lay_down(vec![hold(ONE, TWO)]);
        assert!(is_held(&rules, End::SomeNode, TWO).await);
        assert!(!is_held(&rules, End::SomeNode, End::Node(3)).await);
    }

    #[test]
    fn of_several_delays_the_longest_counts() {
        let rules = Rules::default();
        let delay = |ms| Rule { from: ONE, to: TWO, harm: Harm::Delay(Duration::ZERO, Duration::from_millis(ms)) };
        rules.lay_down(vec![delay(5), hold(ONE, TWO)]);
        rules.lay_down(vec![delay(9)]);
        assert_eq!(rules.delay(ONE, TWO), Some((Duration::ZERO, Duration::from_millis(9))));
        assert_eq!(rules.delay(TWO, ONE), None);
    }
}
