//! The report that the demo ends with.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Scenario;
use super::balance::Agreement;
use super::judge::Verdict;
use super::sale::Counts;
use crate::latency::{Latency, Percentiles};
use crate::ledger::Findings;

/// What the sale was.
pub(super) struct Run {
    pub(super) scenario: Scenario,
    pub(super) nodes: usize,
    pub(super) shards: u32,
    pub(super) skus: usize,
    pub(super) customers: u32,
    pub(super) seed: u64,
    pub(super) resolved: usize,
    pub(super) kills: u32,
    pub(super) seconds: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    scenario: Scenario,
    nodes: usize,
    shards: u32,
    skus: usize,
    customers: u32,
    seed: u64,
    /// Decided commands of the customers.
    commands: u64,
    /// What was asked for by one name (an item or a kit), by the customers' records.
    held: u64,
    sold: u64,
    /// Holds refused for lack of stock.
    refused: u64,
    /// Outcomes that were unknown at first, and are known now.
    resolved: usize,
    /// Commands that were turned away before they reached the log.
    not_admitted: u64,
    #[serde(flatten)]
    agreement: Agreement,
    /// Reservations of which some lines are not as the others are.
    half_taken: u64,
    /// Reservations that are held still, by the ledger.
    holds_left: u64,
    kills: u32,
    seconds: f64,
    commands_per_s: u64,
    latency_us: Percentiles,
    /// Of a drop.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    figures: Option<DropFigures>,
}

/// What a drop has beside.
#[derive(Clone, Debug, Serialize)]
pub(super) struct DropFigures {
    /// Units that there were: all of them must be sold.
    pub(super) units: u64,
    /// Customers who have more than they may have.
    pub(super) customers_over_limit: usize,
    /// What was refused, by the table of errors.
    pub(super) refused_by_reason: BTreeMap<String, u64>,
    /// The order in which customers were let in is the one of the seed that was committed to.
    pub(super) lottery_verified: bool,
}

impl Report {
    pub(super) fn of(run: Run, counts: &Counts, latency: &Latency, verdict: &Verdict, findings: &Findings) -> Self {
        let commands = Counts::get(&counts.commands) + run.resolved as u64;
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a rate, rounded
        let commands_per_s = (commands as f64 / run.seconds.max(0.001)) as u64;
        Self {
            scenario: run.scenario,
            nodes: run.nodes,
            shards: run.shards,
            skus: run.skus,
            customers: run.customers,
            seed: run.seed,
            commands,
            held: verdict.held,
            sold: verdict.sold,
            refused: Counts::get(&counts.refused),
            resolved: run.resolved,
            not_admitted: Counts::get(&counts.not_admitted),
            agreement: Agreement::of(verdict.oversold, &verdict.balance, findings),
            half_taken: verdict.half_taken,
            holds_left: verdict.holds_left,
            kills: run.kills,
            seconds: (run.seconds * 1_000.0).round() / 1_000.0,
            commands_per_s,
            latency_us: Percentiles::of(&latency.times()),
            figures: None,
        }
    }

    /// The same of a drop.
    pub(super) fn with_drop(self, figures: DropFigures) -> Self {
        Self { figures: Some(figures), ..self }
    }

    fn is_sound_drop(&self) -> bool {
        let is_sound = |figures: &DropFigures| {
            self.sold == figures.units
                && figures.customers_over_limit == 0
                && figures.lottery_verified
                && self.holds_left == 0
        };
        self.figures.as_ref().is_none_or(is_sound)
    }

    /// Does everything add up?
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.agreement.is_whole()
            && self.half_taken == 0
            && (self.holds_left == 0 || !matches!(self.scenario, Scenario::GiftSets))
            && self.commands > 0
            && self.is_sound_drop()
    }
}
