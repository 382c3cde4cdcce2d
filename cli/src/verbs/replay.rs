//! `holdfast replay`.

use std::path::PathBuf;

use clap::Args;

use crate::connect::ClusterFlags;
use crate::consistency::Freshness;
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{Answer, Format};
use crate::replay::{Plan, Stocking, open, replay};

/// Play a shop's event trace against the cluster, then check every replica; exit 1 if anything was sold twice or does not
/// add up.
///
/// The trace is a CSV file in REES46's format. A view reads the availability, a cart holds one unit, remove_from_cart gives
/// it back, a purchase commits and ships it, with a hold first where there is none. Rows that cannot be used are counted
/// by kind, shown with their line, and stop nothing.
#[derive(Debug, Args)]
pub struct Replay {
    /// The trace, packed by gzip or not.
    file: PathBuf,
    /// So many times as fast as it was recorded; as fast as it goes if not given.
    #[arg(long, value_name = "TIMES", value_parser = positive)]
    speed: Option<f64>,
    /// Make the trace's products items and receive so many units of each first.
    #[arg(long, value_name = "UNITS", conflicts_with = "stock_of_demand")]
    stock: Option<u32>,
    /// The same, with units in proportion to each product's purchase rows: rounded up, at least 1.
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    stock_of_demand: Option<f64>,
    /// How fresh each view must be: linearizable, stale or at-least:SHARD:INDEX.
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Freshness,
    #[command(flatten)]
    cluster: ClusterFlags,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is expected".to_owned()),
    }
}

impl Replay {
    /// Plays the trace.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let stocking = match (self.stock, self.stock_of_demand) {
            (Some(units), _) => Stocking::Units(units),
            (None, Some(factor)) => Stocking::OfDemand(factor),
            (None, None) => Stocking::AsItIs,
        };
        let plan = Plan { stocking, speed: self.speed, freshness: self.consistency };
        // A file that cannot be played is told of before anything is asked of the cluster.
        open(&self.file)?;
        let members = Members::find(&self.cluster.addresses()).await?;
        let client = self.cluster.connect().await?;
        let report = replay(&self.file, plan, &client, &members).await?;
        Answer::record(&report).print(format);
        if report.is_sound() { Ok(()) } else { Err(Failure::check("the ledger does not add up")) }
    }
}
