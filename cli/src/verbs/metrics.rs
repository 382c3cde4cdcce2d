//! `holdfast metrics`.

use clap::Subcommand;
use holdfast_node::metrics::{Metric, every_metric};
use serde::Serialize;

use crate::output::{Answer, Format};

/// What the nodes measure of themselves; needs no cluster.
#[derive(Debug, Subcommand)]
pub enum Metrics {
    /// Show every metric that a node serves: at which path, its kind, unit, labels, and what it tells.
    List,
}

#[derive(Serialize)]
struct MetricRow {
    name: &'static str,
    path: &'static str,
    kind: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

impl Metrics {
    /// Shows them.
    pub fn run(&self, format: Format) {
        let Self::List = self;
        let row = |(path, &Metric { name, kind, unit, labels, help })| MetricRow {
            name,
            path,
            kind: kind.name(),
            unit: unit.name(),
            labels,
            help,
        };
        let rows: Vec<MetricRow> = every_metric().map(row).collect();
        let table = rows
            .iter()
            .map(|row| [row.name, row.path, row.kind, row.unit, &row.labels.join(","), row.help].map(str::to_owned));
        Answer::rows(&rows, ["metric", "path", "kind", "unit", "labels", "tells"], table).print(format);
    }
}
