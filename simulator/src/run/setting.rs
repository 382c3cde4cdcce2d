//! What a run is before anything goes wrong in it, drawn from its seed: how many nodes, how far apart, how they are configured.

use std::time::Duration;

use holdfast_node::config::RaftConfig;

use crate::Dice;
use crate::checkers::healed::Promise;
use crate::world::DelayRange;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) nodes: u64,
    /// How long at most a customer thinks between two orders.
    pub(crate) pace: Duration,
    /// How long faults may begin.
    pub(crate) storm: Duration,
    /// How many bytes of its log a node keeps in memory: with none of them peers that lag are answered from the disk.
    pub(crate) log_cache_bytes: usize,
    /// How long a frame is under way between any two machines.
    pub(crate) delay: DelayRange,
    /// How long a turn of a process is that has nothing to do: no longer than a frame is under way, where that is far.
    pub(crate) idle_turn: Duration,
    /// Digests of replicas are compared at each so manyth position of their logs.
    pub(crate) digest_every: u64,
    pub(crate) raft: RaftConfig,
}

/// What customers think between two orders at most, and how long the storm is over such a shop at least and at most, in ms. Where
/// much is asked for at once other things happen than where mostly nothing is, and an order costs as much as seconds without one:
/// a quiet shop goes through more faults for the same work. Longer storms over busy shops would take the time of many quiet ones.
const SHOPS_MS: [(u64, (u64, u64)); 8] = [
    (200, (10_000, 15_000)),
    (1_500, (15_000, 45_000)),
    (4_000, (30_000, 80_000)),
    (4_000, (30_000, 80_000)),
    (20_000, (150_000, 300_000)),
    (20_000, (150_000, 300_000)),
    (20_000, (150_000, 300_000)),
    (20_000, (150_000, 300_000)),
];

/// Three are the usual cluster and cost least; what needs more voters to happen shows in the others.
const NODES: [u64; 9] = [3, 3, 3, 3, 3, 3, 5, 5, 7];

/// A state that once differs goes on to, so most runs look now and then, which takes a seventh less of their time; the others see
/// also what differs for one entry and is then replaced by a peer's copy.
const DIGESTS_EVERY: [u64; 3] = [1, 4, 4];

/// Short beside everything that nodes and clients wait for.
const IDLE_TURN_LEAST: Duration = Duration::from_millis(5);

impl Setting {
    /// The setting of a seed. Each part has dice of its own.
    pub(crate) fn of(seed: u64) -> Self {
        let nodes = NODES[Dice::of(seed, "nodes", 0).below(NODES.len() as u64) as usize];
        let mut dice = Dice::of(seed, "pace", 0);
        let (pace_ms, (least, most)) = SHOPS_MS[dice.below(SHOPS_MS.len() as u64) as usize];
        let storm = Duration::from_millis(dice.between(least, most));
        // A rack, machines of one building, and towns.
        let (least, most) = [(1, 3), (1, 3), (2, 12), (8, 30)][Dice::of(seed, "distance", 0).below(4) as usize];
        let delay = DelayRange { least: Duration::from_millis(least), most: Duration::from_millis(most) };
        let idle_turn = (delay.most * 2 / 3).max(IDLE_TURN_LEAST);
        let slowness = [1, 2, 2, 4][Dice::of(seed, "heartbeats", 0).below(4) as usize];
        let usual = RaftConfig::default();
        let raft = RaftConfig {
            heartbeat_ms: slowness * usual.heartbeat_ms,
            election_min_ms: slowness * usual.election_min_ms,
            election_max_ms: slowness * usual.election_max_ms,
            ..usual
        };
        let log_cache_bytes = [0, 16 << 10, 128 << 20][Dice::of(seed, "log cache", 0).below(3) as usize];
        let digest_every = DIGESTS_EVERY[Dice::of(seed, "digests", 0).below(DIGESTS_EVERY.len() as u64) as usize];
        Self {
            nodes,
            pace: Duration::from_millis(pace_ms),
            storm,
            log_cache_bytes,
            delay,
            idle_turn,
            digest_every,
            raft,
        }
    }

    /// What is promised after the last fault: leaders are found within eight elections, then operations are answered.
    pub(super) fn promise(&self) -> Promise {
        Promise { grace: Duration::from_millis(8 * self.raft.election_max_ms), answer: Duration::from_secs(4) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn seeds_have_few_nodes_and_many_near_and_far_and_quick_and_slow() {
        let settings: Vec<Setting> = (0..600).map(Setting::of).collect();
        let nodes: BTreeSet<u64> = settings.iter().map(|setting| setting.nodes).collect();
        assert_eq!(nodes, BTreeSet::from([3, 5, 7]));
        assert!(settings.iter().any(|setting| setting.digest_every == 1));
        let kinds: BTreeSet<_> =
            settings.iter().map(|it| (it.log_cache_bytes, it.delay.most, it.raft.heartbeat_ms)).collect();
        assert_eq!(kinds.len(), 3 * 3 * 3);
        for setting in settings {
            // A vote and its answer must be there long before the next election.
            assert!(4 * setting.delay.most < Duration::from_millis(setting.raft.election_min_ms));
        }
    }
}
