//! Where the time of a run went: the nodes' own stage counters, before and after.

use std::collections::BTreeMap;

use holdfast_client::Client;
use serde::Serialize;

use crate::connect;
use crate::failure::Failure;

/// One stage during a run, over all nodes.
#[derive(Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// How often it was passed: by requests (check), submissions (wait), entries (commit, apply, record), appends, syncs.
    passages: u64,
    /// Of one passage.
    mean_us: f64,
    /// All passages on all nodes, divided by the commands of the run. For check, apply and record this is work of a core;
    /// the others wait.
    us_per_command: f64,
}

/// The counters of all nodes, added.
#[derive(Debug, Default)]
pub struct StageTotals {
    /// Passages and microseconds, by stage.
    totals: BTreeMap<String, (u64, u64)>,
}

impl StageTotals {
    /// Asks every member. One that does not answer is a failure: its share would be missing.
    pub async fn of_all_nodes(client: &Client) -> Result<Self, Failure> {
        let mut all = Self::default();
        for member in &client.routing().members {
            let status = client.status(member.node_id).await.map_err(connect::failure_of)?;
            for timing in status.stages {
                all.add(&timing.stage, timing.count, timing.total_us);
            }
        }
        Ok(all)
    }

    fn add(&mut self, stage: &str, count: u64, total_us: u64) {
        let total = self.totals.entry(stage.to_owned()).or_default();
        total.0 += count;
        total.1 += total_us;
    }

    /// What came since `before`, in which so many commands were done.
    #[allow(clippy::cast_precision_loss, reason = "told to a tenth")]
    pub fn since(self, before: &Self, commands: u64) -> BTreeMap<String, StageReport> {
        let report = |(stage, (count, total)): (String, (u64, u64))| {
            let (count_before, total_before) = before.totals.get(&stage).copied().unwrap_or_default();
            // A node that was started anew counts from nothing again.
            let (passages, us) = (count.saturating_sub(count_before), total.saturating_sub(total_before));
            let mean_us = tenths(us as f64 / passages.max(1) as f64);
            let us_per_command = tenths(us as f64 / commands.max(1) as f64);
            (stage, StageReport { passages, mean_us, us_per_command })
        };
        self.totals.into_iter().map(report).collect()
    }
}

fn tenths(us: f64) -> f64 {
    (us * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_of_a_run_are_what_all_nodes_counted_within_it() {
        let mut before = StageTotals::default();
        before.add("check", 10, 100);
        let mut after = StageTotals::default();
        for (stage, count, total) in [("check", 20, 150), ("sync", 4, 2_000), ("check", 10, 450)] {
            after.add(stage, count, total);
        }
        let told = after.since(&before, 50);
        let check = StageReport { passages: 20, mean_us: 25.0, us_per_command: 10.0 };
        let sync = StageReport { passages: 4, mean_us: 500.0, us_per_command: 40.0 };
        assert_eq!(told, BTreeMap::from([("check".to_owned(), check), ("sync".to_owned(), sync)]));
    }
}
