//! A place in the histories of all shards: the last event seen of each (`0=17,1=204`), as the watches' cursors are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::problem::Problem;

/// The most shards that a cursor names.
const MAX_SHARDS: usize = 4_096;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor(pub(crate) BTreeMap<u32, u64>);

impl Cursor {
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let refused = || {
            let detail =
                "is none of ours: send a next_cursor or the id of a message, SHARD=SEQ with commas between, or nothing";
            Problem::invalid("cursor", detail)
        };
        let mut seen = BTreeMap::new();
        for place in text.split(',') {
            let (shard, seq) = place.split_once('=').ok_or_else(refused)?;
            let place = (shard.parse().map_err(|_| refused())?, seq.parse().map_err(|_| refused())?);
            if seen.len() == MAX_SHARDS || seen.insert(place.0, place.1).is_some() {
                return Err(refused());
            }
        }
        Ok(Self(seen))
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (shard, seq) in &self.0 {
            let _infallible = write!(text, "{}{shard}={seq}", if text.is_empty() { "" } else { "," });
        }
        text
    }

    /// Whether everything that the other has seen was seen here.
    pub(crate) fn covers(&self, seen: &Self) -> bool {
        seen.0.iter().all(|(shard, seq)| self.0.get(shard).is_some_and(|here| here >= seq))
    }

    /// Refuses a shard that is none of those.
    pub(crate) fn only_of(&self, shards: &[u32]) -> Result<(), Problem> {
        match self.0.keys().find(|shard| !shards.contains(shard)) {
            None => Ok(()),
            Some(other) => {
                let detail = format!("names shard {other}, which is not read here: leave it out, or the cursor");
                Err(Problem::invalid("cursor", detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let cursor = Cursor([(0, 17), (3, 204)].into());
        assert_eq!(cursor.text(), "0=17,3=204");
        assert_eq!(Cursor::read("0=17,3=204"), Ok(cursor));
        for bad in ["", "3", "3=", "=1", "a=1", "0=1,0=2", "0=-1"] {
            assert_eq!(Cursor::read(bad).unwrap_err().field, "cursor", "{bad}");
        }
    }

    #[test]
    fn a_place_covers_another_that_is_ahead_of_it_in_no_shard() {
        let here = Cursor([(0, 17), (3, 204)].into());
        for (seen, is_covered) in [
            (Cursor::default(), true),
            (Cursor([(0, 17)].into()), true),
            (Cursor([(0, 3), (3, 204)].into()), true),
            (Cursor([(0, 3), (3, 205)].into()), false),
            (Cursor([(5, 1)].into()), false),
        ] {
            assert_eq!(here.covers(&seen), is_covered, "{seen:?}");
        }
    }

    #[test]
    fn a_shard_that_is_not_read_is_named() {
        let cursor = Cursor([(0, 17), (3, 204)].into());
        assert_eq!(cursor.only_of(&[0, 1, 3]), Ok(()));
        assert!(cursor.only_of(&[0, 1]).unwrap_err().detail.contains("shard 3"));
    }
}
