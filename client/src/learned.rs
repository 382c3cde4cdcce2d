//! What every reply teaches: cluster time, and how far each shard's log has come.

use std::collections::BTreeMap;
use std::sync::Mutex;

use holdfast_proto::v1::ConsistencyToken;

use crate::cluster_time::ClusterTime;

/// Shared by all connections of a client.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) time: ClusterTime,
    /// The greatest applied index seen, by shard.
    applied: Mutex<BTreeMap<u32, u64>>,
}

impl Learned {
    pub(crate) fn new(time: ClusterTime) -> Self {
        Self { time, applied: Mutex::default() }
    }

    pub(crate) fn learn(&self, tokens: &[ConsistencyToken], log_time_ms: u64) {
        self.time.learn(log_time_ms);
        let mut applied = self.applied.lock().expect("nothing panics while it holds the tokens");
        for token in tokens {
            let seen = applied.entry(token.shard).or_default();
            *seen = token.applied_index.max(*seen);
        }
    }

    /// By this position the shard has applied everything that this client was answered.
    pub(crate) fn token(&self, shard: u32) -> Option<ConsistencyToken> {
        let applied = self.applied.lock().expect("nothing panics while it holds the tokens");
        applied.get(&shard).map(|&applied_index| ConsistencyToken { shard, applied_index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_reply_does_not_take_a_token_back() {
        let learned = Learned::new(ClusterTime::new(holdfast_world::World::real().clock));
        let token = |applied_index| ConsistencyToken { shard: 3, applied_index };
        learned.learn(&[token(9)], 0);
        learned.learn(&[token(7)], 0);
        assert_eq!((learned.token(3), learned.token(4)), (Some(token(9)), None));
    }
}
