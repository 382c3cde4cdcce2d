//! Reading one's own writes: `Holdfast-Token` says up to where a reply has seen the shards' logs (`SHARD:INDEX`, several with commas);
//! sent back as `Holdfast-At-Least` a read sees at least that, from any replica.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderName};
use holdfast_client::Consistency;
use holdfast_proto::v1::ConsistencyToken;

use crate::problem::Problem;
use crate::revisions::only;

/// On each reply.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("holdfast-token");
/// Of a read.
pub(crate) const AT_LEAST: HeaderName = HeaderName::from_static("holdfast-at-least");

/// The most shards that a token names.
const MAX_SHARDS: usize = 4_096;

/// Positions of shards' logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tokens(BTreeMap<u32, u64>);

impl Tokens {
    /// What a read asks to see at least.
    pub(crate) fn asked(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(text) = only(headers, &AT_LEAST)? else { return Ok(Self::default()) };
        Self::read(text).ok_or_else(|| {
            let detail = "is none of our tokens: send the Holdfast-Token of a reply, SHARD:INDEX with commas between";
            Problem::invalid("Holdfast-At-Least", detail)
        })
    }

    /// Reads what [`Tokens::text`] wrote.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut seen = Self::default();
        for place in text.split(',') {
            let (shard, index) = place.trim().split_once(':')?;
            seen.add(ConsistencyToken { shard: shard.parse().ok()?, applied_index: index.parse().ok()? });
            if seen.0.len() > MAX_SHARDS {
                return None;
            }
        }
        Some(seen)
    }

    /// One more; of a shard the furthest counts.
    pub(crate) fn add(&mut self, token: ConsistencyToken) {
        let seen = self.0.entry(token.shard).or_default();
        *seen = token.applied_index.max(*seen);
    }

    /// How fresh a read of one shard must be; of `None`, of several shards: a token of all of them there cannot be. `seen` is what this
    /// node has seen: whatever lies beyond it is asked of the leader, who has it, rather than waited for; it may be made up.
    pub(crate) fn of_shard(&self, shard: Option<u32>, seen: &Self) -> Consistency {
        let index = shard.and_then(|shard| Some((shard, *self.0.get(&shard)?)));
        let is_seen = |(shard, index): &(u32, u64)| seen.0.get(shard).is_some_and(|seen| index <= seen);
        index.filter(is_seen).map_or(Consistency::Linearizable, |(shard, applied_index)| {
            Consistency::AtLeast(ConsistencyToken { shard, applied_index })
        })
    }

    /// As a reply says it; empty: nothing is known.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (shard, index) in &self.0 {
            let _infallible = write!(text, "{}{shard}:{index}", if text.is_empty() { "" } else { "," });
        }
        text
    }
}

impl IntoIterator for Tokens {
    type Item = ConsistencyToken;
    type IntoIter = std::vec::IntoIter<ConsistencyToken>;

    fn into_iter(self) -> Self::IntoIter {
        let token = |(shard, applied_index)| ConsistencyToken { shard, applied_index };
        self.0.into_iter().map(token).collect::<Vec<_>>().into_iter()
    }
}

impl FromIterator<ConsistencyToken> for Tokens {
    fn from_iter<I: IntoIterator<Item = ConsistencyToken>>(tokens: I) -> Self {
        tokens.into_iter().fold(Self::default(), |mut seen, token| {
            seen.add(token);
            seen
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asked(text: &str) -> Result<Tokens, Problem> {
        Tokens::asked(&[(AT_LEAST, HeaderValue::from_str(text).expect("a value"))].into_iter().collect())
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = |shard, applied_index| ConsistencyToken { shard, applied_index };
        let seen: Tokens = [token(3, 17), token(0, 5), token(3, 12)].into_iter().collect();
        assert_eq!(seen.text(), "0:5,3:17");
        assert_eq!(asked("0:5,3:17"), Ok(seen.clone()));
        assert_eq!(seen.of_shard(Some(3), &seen), Consistency::AtLeast(token(3, 17)));
        assert_eq!(seen.of_shard(Some(1), &seen), Consistency::Linearizable);
        assert_eq!(seen.of_shard(None, &seen), Consistency::Linearizable);
        let less: Tokens = [token(3, 16)].into_iter().collect();
        assert_eq!(seen.of_shard(Some(3), &less), Consistency::Linearizable, "what nobody has seen is not waited for");
        for bad in ["", "3", "3:", ":1", "3=17", "-1:2", "3:17,"] {
            assert_eq!(asked(bad).unwrap_err().field, "Holdfast-At-Least", "{bad}");
        }
    }
}
