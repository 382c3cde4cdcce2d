//! A version that is rolled out node by node: every node begins as this build, which understands the log's present schema, and
//! is started anew as the next version, which understands one schema more.
//!
//! Nodes fall back too, as operators do whom the new version does not please: while another node has stayed as it was, so that
//! no entry of the later schema can have been written, and they go forward again before that one does.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_raft::encode::{NEXT_SCHEMA, SCHEMA};

use crate::{Dice, HostId};

/// Which node is of which version, told by the schema that it understands.
#[derive(Debug, Default)]
pub(super) struct Rollout {
    has_begun: bool,
    /// What a node is from its next start on.
    wanted: BTreeMap<HostId, u32>,
    /// What it was last started as.
    started: BTreeMap<HostId, u32>,
    /// Those that were of the next version, and are not now.
    fallen_back: BTreeSet<HostId>,
}

impl Rollout {
    /// The schema that a node understands which starts now. A fresh one is of the latest version that the others shall be of;
    /// not while one has fallen back, since it might take the place of the last one that holds the later schema back.
    pub(super) fn start(&mut self, host: HostId) -> u32 {
        let fresh = if self.has_begun && self.fallen_back.is_empty() { NEXT_SCHEMA } else { SCHEMA };
        let version = *self.wanted.entry(host).or_insert(fresh);
        self.started.insert(host, version);
        version
    }

    /// Chooses the node of `nodes` that changes its version now; it does once it is started anew. `None`: the one before has not
    /// yet, or there is none. None falls back unless it `may_fall_back`.
    pub(super) fn step(
        &mut self,
        nodes: &[HostId],
        is_running: impl Fn(HostId) -> bool,
        may_fall_back: bool,
        dice: &mut Dice,
    ) -> Option<HostId> {
        if nodes.iter().any(|host| is_running(*host) && self.is_outdated(*host)) {
            return None;
        }
        let upgraded = self.of_version(nodes, NEXT_SCHEMA);
        let (back, untouched): (Vec<HostId>, Vec<HostId>) =
            self.of_version(nodes, SCHEMA).into_iter().partition(|host| self.fallen_back.contains(host));
        let falls_back = dice.below(4) == 0 && may_fall_back && !upgraded.is_empty() && !untouched.is_empty();
        let among = match (falls_back, back.is_empty()) {
            (true, _) => upgraded,
            (false, false) => back,
            (false, true) => untouched,
        };
        let host = *among.get(dice.below(among.len().max(1) as u64) as usize)?;
        self.has_begun = true;
        self.wanted.insert(host, if falls_back { SCHEMA } else { NEXT_SCHEMA });
        if falls_back {
            self.fallen_back.insert(host)
        } else {
            self.fallen_back.remove(&host)
        };
        Some(host)
    }

    fn of_version(&self, nodes: &[HostId], version: u32) -> Vec<HostId> {
        nodes.iter().copied().filter(|host| self.wanted.get(host) == Some(&version)).collect()
    }

    /// Whether a node runs as another version than it shall.
    pub(super) fn is_outdated(&self, host: HostId) -> bool {
        self.started.get(&host) != self.wanted.get(&host)
    }

    /// Every node shall be of the next version, if one ever was to be. False: none was.
    pub(super) fn finish(&mut self) -> bool {
        if self.has_begun {
            self.fallen_back.clear();
            self.wanted.values_mut().for_each(|version| *version = NEXT_SCHEMA);
        }
        self.has_begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [HostId; 3] = [HostId(1), HostId(2), HostId(3)];

    #[test]
    fn nodes_fall_back_only_while_one_has_stayed_as_it_was_and_all_get_there() {
        let mut fell_back = false;
        for seed in 0..50 {
            let (mut rollout, mut dice) = (Rollout::default(), Dice::of(seed, "rollout", 0));
            assert!(!rollout.finish());
            NODES.iter().for_each(|host| assert_eq!(rollout.start(*host), SCHEMA));
            let mut was_written = false;
            for _ in 0..100 {
                let Some(host) = rollout.step(&NODES, |_| true, true, &mut dice) else { break };
                // The next one waits for it.
                assert_eq!(rollout.step(&NODES, |_| true, true, &mut dice), None);
                rollout.start(host);
                fell_back |= !rollout.fallen_back.is_empty();
                was_written |= rollout.started.values().all(|version| *version == NEXT_SCHEMA);
                assert!(!was_written || rollout.fallen_back.is_empty());
            }
            assert!(was_written, "seed {seed}");
        }
        assert!(fell_back);
    }

    #[test]
    fn what_is_not_done_in_the_storm_is_done_after_it_fresh_nodes_too() {
        let (mut rollout, mut dice) = (Rollout::default(), Dice::of(1, "rollout", 0));
        NODES.iter().for_each(|host| assert_eq!(rollout.start(*host), SCHEMA));
        let first = rollout.step(&NODES, |_| true, true, &mut dice).unwrap();
        assert_eq!(rollout.start(first), NEXT_SCHEMA);
        assert!(rollout.finish());
        for host in NODES {
            assert_eq!(rollout.is_outdated(host), host != first);
            assert_eq!(rollout.start(host), NEXT_SCHEMA);
        }
        assert_eq!(rollout.start(HostId(4)), NEXT_SCHEMA);
    }
}
