//! How fresh a read must be, as the command line writes it.

use std::str::FromStr;

use holdfast_client::Consistency;
use holdfast_proto::v1::ConsistencyToken;

/// `linearizable`, `stale` or `at-least:SHARD:INDEX`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Everything acknowledged before is seen.
    #[default]
    Linearizable,
    /// Any replica, at once.
    Stale,
    /// Any replica that has applied at least this.
    AtLeast(ConsistencyToken),
}

impl FromStr for Freshness {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "linearizable" => return Ok(Self::Linearizable),
            "stale" => return Ok(Self::Stale),
            _ => {}
        }
        let token = text.strip_prefix("at-least:").and_then(|token| {
            let (shard, index) = token.split_once(':')?;
            Some(ConsistencyToken { shard: shard.parse().ok()?, applied_index: index.parse().ok()? })
        });
        token.map(Self::AtLeast).ok_or_else(|| "write linearizable, stale or at-least:SHARD:INDEX".to_owned())
    }
}

impl From<Freshness> for Consistency {
    fn from(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Linearizable => Self::Linearizable,
            Freshness::Stale => Self::Stale,
            Freshness::AtLeast(token) => Self::AtLeast(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_are_read_and_nothing_else() {
        assert_eq!("linearizable".parse(), Ok(Freshness::Linearizable));
        assert_eq!("stale".parse(), Ok(Freshness::Stale));
        let token = ConsistencyToken { shard: 3, applied_index: 120 };
        assert_eq!("at-least:3:120".parse(), Ok(Freshness::AtLeast(token)));
        for wrong in ["", "fresh", "at-least:", "at-least:3", "at-least:x:1", "at-least:3:-1"] {
            assert!(wrong.parse::<Freshness>().is_err(), "{wrong}");
        }
    }
}
