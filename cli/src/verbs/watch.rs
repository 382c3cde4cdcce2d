//! `holdfast watch`.

use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use holdfast_client::{AvailabilityWatch, EventWatch};
use holdfast_proto::v1::{self, AvailabilityLevel};
use serde::Serialize;

use crate::connect::{ClusterFlags, failure_of};
use crate::event_rows::EventRow;
use crate::failure::Failure;
use crate::ids::ReservationText;
use crate::output::{self, Format};

/// See what happens, as it happens: a line each, until interrupted.
#[derive(Debug, Subcommand)]
pub enum Watch {
    Events(Events),
    Availability(Availability),
}

/// Show events as they happen. Each comes at least once, in order within its shard.
#[derive(Debug, Args)]
pub struct Events {
    /// Only what happens to this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// Only what happens to this reservation.
    #[arg(long, value_name = "ID")]
    reservation: Option<ReservationText>,
    /// Only events of this kind (stock.received) or family (stock.); may be repeated.
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    #[command(flatten)]
    from: From,
}

/// Show what may be promised of SKUs, now and as it changes; of one that changes often the latest only.
#[derive(Debug, Args)]
pub struct Availability {
    /// The SKUs, at most 1 000; none: all.
    skus: Vec<String>,
    /// Show changes of this much time together.
    #[arg(long, value_name = "MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    coalesce: u64,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, Args)]
struct From {
    /// Where to go on: a cursor, which is told on stderr at the end; SHARD=SEQ,… is one.
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    cursor: String,
    /// End after so many lines.
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct AvailabilityRow {
    sku: String,
    location: String,
    atp: u64,
    level: &'static str,
    back: bool,
}

impl Watch {
    /// Watches.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Events(verb) => verb.run(format).await,
            Self::Availability(verb) => verb.run(format).await,
        }
    }
}

impl Events {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let client = self.from.cluster.connect().await?;
        let filter = v1::EventFilter {
            sku: self.sku.unwrap_or_default(),
            reservation_id: self.reservation.map(|reservation| reservation.id()),
            kinds: self.kinds,
            ..v1::EventFilter::default()
        };
        let shards = if filter.sku.is_empty() { Vec::new() } else { vec![client.shard_of(&filter.sku)] };
        let mut watch = client.watch_events(EventWatch { cursor: self.from.cursor, shards, filter });
        let mut left = self.from.count.unwrap_or(u64::MAX);
        while left > 0 {
            let answer = tokio::select! {
                answer = watch.next() => answer.map_err(failure_of)?,
                _ = tokio::signal::ctrl_c() => break,
            };
            say_missing(answer.gap.as_ref());
            for event in answer.events {
                if left == 0 {
                    // Not all of the answer was shown: the cursor is behind it.
                    return Ok(());
                }
                left -= 1;
                let row = EventRow::from(event);
                print(format, &row, || row.table().iter().filter(|cell| !cell.is_empty()).cloned().collect());
            }
        }
        output::say(&format!("go on with --cursor {}", watch.cursor()));
        Ok(())
    }
}

impl Availability {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let client = self.from.cluster.connect().await?;
        let coalesce = Duration::from_millis(self.coalesce);
        let (skus, cursor) = (self.skus, self.from.cursor);
        let mut watch =
            client.watch_availability(AvailabilityWatch { skus, cursor, coalesce, ..AvailabilityWatch::default() });
        let mut left = self.from.count.unwrap_or(u64::MAX);
        while left > 0 {
            let answer = tokio::select! {
                answer = watch.next() => answer.map_err(failure_of)?,
                _ = tokio::signal::ctrl_c() => break,
            };
            say_missing(&answer.gaps);
            for change in answer.changes {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                let row = AvailabilityRow::from(change);
                let back = if row.back { "back" } else { "" };
                let cells =
                    [row.sku.clone(), row.location.clone(), row.atp.to_string(), row.level.to_owned(), back.to_owned()];
                print(format, &row, || cells.into_iter().filter(|cell| !cell.is_empty()).collect());
            }
        }
        output::say(&format!("go on with --cursor {}", watch.cursor()));
        Ok(())
    }
}

impl std::convert::From<v1::AvailabilityChange> for AvailabilityRow {
    fn from(change: v1::AvailabilityChange) -> Self {
        let level = match change.level() {
            AvailabilityLevel::Unspecified => "",
            AvailabilityLevel::InStock => "in_stock",
            AvailabilityLevel::Low => "low",
            AvailabilityLevel::Out => "out",
        };
        Self { sku: change.sku, location: change.location_id, atp: change.atp, level, back: change.back }
    }
}

/// Says which events nobody will see.
fn say_missing<'a>(gaps: impl IntoIterator<Item = &'a v1::EventGap>) {
    for v1::EventGap { shard, from_seq, to_seq } in gaps {
        output::say(&format!("shard {shard}: events {from_seq} to {to_seq} are not kept any more"));
    }
}

/// One line: JSON, or cells apart by two spaces. A reader that went away (`| head`) ends the process by the next write.
fn print(format: Format, row: &impl Serialize, cells: impl FnOnce() -> Vec<String>) {
    let line = match format {
        Format::Json => serde_json::to_string(row).unwrap_or_default(),
        Format::Table => cells().join("  "),
    };
    if writeln!(io::stdout().lock(), "{line}").is_err() {
        std::process::exit(0);
    }
}
