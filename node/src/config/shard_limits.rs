//! The shards' bounds in the file: what may be chosen, and what of it is not what the cluster was founded with.

use std::ops::RangeInclusive;

use holdfast_inventory::Limits as ShardLimits;
use holdfast_inventory::commands::MAX_TTL_S;

use super::{ConfigError, NodeConfig};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;
/// Far more of anything than the memory of a node holds.
const MANY: u64 = 100_000_000;

/// A bound: its key, what it is, and what may be chosen for it.
type Bound = (&'static str, u64, RangeInclusive<u64>);

/// Every bound of some limits with its range. They are taken apart by the same list, so that a new one does not compile until
/// it has its range.
macro_rules! bounds {
    ($limits:expr; $($bound:ident in $range:expr),* $(,)?) => {{
        let ShardLimits { $($bound),* } = *$limits;
        vec![$((stringify!($bound), $bound.into(), $range)),*]
    }};
}

fn bounds(limits: &ShardLimits) -> Vec<Bound> {
    bounds![limits;
        // What a request of the most commands was decided to must outlast the request: a quarter is for keyed ids.
        results in 65_536..=MANY,
        result_window_ms in 10 * MINUTE..=7 * DAY,
        keyed_minimum_ms in MINUTE..=DAY,
        mint_ahead_ms in SECOND..=60 * MINUTE,
        live_reservations in 1_000..=MANY,
        ended_reservations in 1_000..=MANY,
        keep_ended_ms in MINUTE..=366 * DAY,
        items in 1..=MANY,
        sweep in 1..=65_536,
        max_hold_s in 1..=u64::from(MAX_TTL_S),
        keep_trace_ms in MINUTE..=3_660 * DAY,
    ]
}

pub(super) fn check(limits: &ShardLimits) -> Result<(), ConfigError> {
    let invalid = |key: &str, value: u64, hint: String| {
        let key = format!("shard_limits.{key}");
        Err(ConfigError::Invalid { key, problem: format!("is {value}"), hint })
    };
    for (key, value, range) in bounds(limits) {
        if !range.contains(&value) {
            return invalid(key, value, format!("choose {} to {}", range.start(), range.end()));
        }
    }
    if limits.keyed_minimum_ms > limits.result_window_ms {
        let hint = format!("choose at most result_window_ms, which is {}", limits.result_window_ms);
        return invalid("keyed_minimum_ms", limits.keyed_minimum_ms, hint);
    }
    Ok(())
}

impl NodeConfig {
    /// What this file says otherwise than the cluster was founded with, a sentence each. The cluster's values hold.
    pub(crate) fn differences_from_founding(&self, shards: u32, limits: Option<&ShardLimits>) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |key: String, here: u64, founded: u64| {
            if here != founded {
                differences.push(format!("the setting `{key}` is {here} here and {founded} in the cluster"));
            }
        };
        compare("shards".to_owned(), self.shards.into(), shards.into());
        if let Some(founded) = limits {
            for ((key, here, _), (_, founded, _)) in bounds(&self.shard_limits).into_iter().zip(bounds(founded)) {
                compare(format!("shard_limits.{key}"), here, founded);
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::*;

    fn load(section: &str) -> Result<NodeConfig, ConfigError> {
        let nodes = r#"nodes = [{ id = 1, client = "127.0.0.1:7401", peer = "127.0.0.1:7501" }]"#;
        let text = format!("node_id = 1\ncluster_id = \"shop\"\n{nodes}\n[shard_limits]\n{section}");
        NodeConfig::from_text(&text, &Overrides::default())
    }

    #[test]
    fn what_the_file_does_not_say_is_the_default() {
        let limits = load("results = 100000\nmax_hold_s = 60").unwrap().shard_limits;
        assert_eq!(limits, ShardLimits { results: 100_000, max_hold_s: 60, ..ShardLimits::default() });
    }

    #[test]
    fn each_limit_is_taken_at_both_ends_of_its_range_and_refused_by_its_name_beyond() {
        for (key, _, range) in bounds(&ShardLimits::default()) {
            // The one that must lie within another is let through on its own.
            let other =
                if key == "keyed_minimum_ms" { "result_window_ms = 604800000" } else { "keyed_minimum_ms = 60000" };
            for (value, is_good) in
                [(*range.start(), true), (*range.end(), true), (range.start() - 1, false), (range.end() + 1, false)]
            {
                let outcome = load(&format!("{other}\n{key} = {value}"));
                if is_good {
                    assert!(outcome.is_ok(), "{key} = {value}: {outcome:?}");
                    continue;
                }
                let error = outcome.unwrap_err();
                assert_eq!(error.to_string(), format!("the setting `shard_limits.{key}` is {value}"));
                assert_eq!(error.hint(), format!("choose {} to {}", range.start(), range.end()));
            }
        }
    }

    #[test]
    fn a_keyed_result_is_not_kept_longer_than_any_other() {
        let error = load("result_window_ms = 600000\nkeyed_minimum_ms = 600001").unwrap_err();
        assert_eq!(error.key(), Some("shard_limits.keyed_minimum_ms"));
        assert_eq!(error.hint(), "choose at most result_window_ms, which is 600000");
    }

    #[test]
    fn an_unknown_limit_is_refused_with_the_one_that_was_meant() {
        let error = load("result = 4").unwrap_err();
        assert_eq!((error.key(), error.hint().as_str()), (Some("shard_limits.result"), "did you mean `results`?"));
        let error = load("max_hold_s = -1").unwrap_err();
        assert_eq!(error.key(), Some("shard_limits.max_hold_s"));
    }

    #[test]
    fn a_file_that_says_otherwise_than_the_founding_is_told_so_by_each_name() {
        let config = load("results = 100000\nmax_hold_s = 60").unwrap();
        assert_eq!(config.differences_from_founding(8, Some(&config.shard_limits)), Vec::<String>::new());
        let founded = ShardLimits { max_hold_s: 60, ..ShardLimits::default() };
        let expected = [
            "the setting `shards` is 8 here and 4 in the cluster",
            "the setting `shard_limits.results` is 100000 here and 2000000 in the cluster",
        ];
        assert_eq!(config.differences_from_founding(4, Some(&founded)), expected);
    }
}
