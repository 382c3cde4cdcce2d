//! The judgement at the end of a run: every checker gets what it needs, and the report what they find.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::Report;
use super::audit::Audit;
use crate::checkers::healed::Promise;
use crate::checkers::images::{self, Image};
use crate::checkers::replicas::Positions;
use crate::checkers::{
    Finding, LogTimeBound, check_history, conservation, exactly_once, healed, kits, parts, recalls, replicas, sagas,
    shared_limits, sources, whole,
};
use crate::history::{Answer, Asked, History, Request, Standing, operations, write};
use crate::workloads::Shop;
use crate::world::WALL_AT_ZERO_MS;

/// Clocks are read in whole milliseconds, twice for a stamp.
const ROUNDING_MS: u64 = 2;

/// What is known of a run beside its history.
pub(super) struct Evidence<'a> {
    /// What stands in the end; `None`: it could not be asked in time.
    pub audit: Option<&'a Audit>,
    pub positions: &'a Positions,
    /// By shard, the states of the nodes.
    pub images: &'a BTreeMap<u32, BTreeMap<u64, Image>>,
    /// When the last fault was over.
    pub healed_at: Duration,
    /// When the customers had left.
    pub asked_at: Duration,
    /// How far clocks may have put log time off.
    pub greatest_offset_ms: u64,
    /// What was promised after the last fault.
    pub promise: Promise,
}

/// Judges a run.
pub(super) fn judge(shop: &Shop, evidence: &Evidence<'_>, report: &mut Report) {
    let history = shop.history().lock();
    report.workloads = shop.workloads().iter().map(|workload| workload.name().to_owned()).collect();
    report.findings.extend(shop.troubles());
    count(&history, report);
    let in_us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let mut findings: Vec<Finding> = evidence.positions.findings().to_vec();
    findings.extend(check_history(&history, &bound(evidence.greatest_offset_ms)));
    let (healed_us, asked_us) = (in_us(evidence.healed_at), in_us(evidence.asked_at));
    findings.extend(healed::check(&history, healed_us, asked_us, &evidence.promise));
    let calm_us = healed_us + in_us(evidence.promise.grace);
    findings.extend(shared_limits::check(&history, &bound(evidence.greatest_offset_ms), Some(calm_us)));
    findings.extend(evidence.images.iter().flat_map(|(shard, of_shard)| images::check(*shard, of_shard)));
    match evidence.audit {
        None => report.findings.push("the stock is not audited in time".to_owned()),
        Some(audit) => {
            report.findings.extend(audit.troubles.iter().cloned());
            for (shard, of_shard) in &audit.replicas {
                findings.extend(replicas::check(*shard, of_shard));
                let totals = of_shard.values().next().and_then(|replica| replica.totals.as_ref());
                report.units_sold += totals.map_or(0, |totals| totals.sold);
            }
            // What is not in a history that was full would be missed.
            if history.dropped == 0 {
                findings.extend(exactly_once::check_effects(&history, &audit.inventory));
                findings.extend(conservation::check(&history, &audit.inventory));
                findings.extend(whole::check(&history, Some(&audit.inventory)));
                findings.extend(sources::check(&history, Some(&audit.inventory)));
                findings.extend(kits::check(&history, Some(&audit.inventory)));
                findings.extend(parts::check(&history, Some(&audit.inventory)));
                findings.extend(recalls::check(&history, Some(&audit.inventory)));
                findings.extend(sagas::check(&history, &audit.inventory, shop.books()));
            }
        }
    }
    report.findings.extend(findings.iter().map(ToString::to_string));
}

fn bound(greatest_offset_ms: u64) -> LogTimeBound {
    let off_ms = greatest_offset_ms + ROUNDING_MS;
    LogTimeBound { zero_ms: WALL_AT_ZERO_MS, behind_ms: off_ms, ahead_ms: off_ms }
}

fn count(history: &History, report: &mut Report) {
    for operation in operations(history) {
        report.operations += 1;
        let Asked::Commands(commands) = operation.asked else { continue };
        match &operation.standing {
            Standing::Unknown => report.unknown += commands.len() as u64,
            // Sold out is told without a record too.
            Standing::Nothing => {
                let is_sold_out = operation.records.iter().any(|record| record.unrecorded_lack().is_some());
                report.refused += u64::from(is_sold_out);
            }
            Standing::Seen { .. } => {}
            Standing::Decided(answers) => {
                for (command, answer) in commands.iter().zip(answers) {
                    match (&command.request, answer) {
                        (Request::Reserve { lines, .. } | Request::ReserveThrough { lines, .. }, Answer::Done(_)) => {
                            report.reserved += 1;
                            report.units_held += lines.iter().map(|line| u64::from(line.units)).sum::<u64>();
                        }
                        (_, Answer::Done(_)) => {}
                        (_, Answer::Refused(_)) => report.refused += 1,
                    }
                }
            }
        }
    }
}

/// Writes what the clients of a shop saw.
pub(super) fn write_history(shop: &Shop, greatest_offset_ms: u64, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    write(&shop.history().lock(), &bound(greatest_offset_ms), &mut file)?;
    file.flush()
}
