//! A place in the histories of several shards at once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The most shards that a cursor names.
const MAX_SHARDS: usize = 4_096;

/// The last event seen of each shard; `0=17,1=204` as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) BTreeMap<u32, u64>);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (shard, seq)) in self.0.iter().enumerate() {
            write!(f, "{}{shard}={seq}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut seen = BTreeMap::new();
        for place in text.split(',') {
            let (shard, seq) = place.split_once('=').ok_or(())?;
            let place = (shard.parse().map_err(|_| ())?, seq.parse().map_err(|_| ())?);
            if seen.len() == MAX_SHARDS || seen.insert(place.0, place.1).is_some() {
                return Err(());
            }
        }
        Ok(Self(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let cursor = Cursor([(0, 17), (3, 204)].into());
        assert_eq!(cursor.to_string(), "0=17,3=204");
        assert_eq!("0=17,3=204".parse(), Ok(cursor));
        for text in ["", "0", "0=", "=1", "0=1,", "0=1,0=2", "0=-1", "0=1;1=2", "4294967296=1"] {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text:?}");
        }
    }
}
