//! `holdfast stock`.

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::lines::Condition;
use super::lot::Dates;
use super::stock_file;
use crate::ask::Asking;
use crate::connect::Reading;
use crate::failure::Failure;
use crate::ids::ReceiptText;
use crate::ledger::token_text;
use crate::output::{Answer, Format};

/// How many units there are, and where.
#[derive(Debug, Subcommand)]
pub enum Stock {
    /// Show the quantities of a SKU.
    Get(Get),
    /// Take in units that have arrived.
    Receive(Receive),
    /// Add units that were found, or take off units that are lost.
    Adjust(Adjust),
    /// Set the units on hand to a counted number, if nothing has changed since the count.
    Set(Set),
    /// Keep units back from sale.
    Safety(Safety),
    /// Receive what a CSV file lists.
    Import(stock_file::Import),
    /// Write the stock to stdout as CSV, in the form that import reads.
    Export(stock_file::Export),
}

/// Show the quantities of a SKU.
#[derive(Debug, Args)]
pub struct Get {
    sku: String,
    /// Only there; every location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    #[command(flatten)]
    reading: Reading,
}

/// Of which SKU, where, and of which lot.
#[derive(Debug, Args)]
pub(super) struct Place {
    pub(super) sku: String,
    /// Where; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) location: String,
    /// The lot, of an item tracked by lot.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(super) lot: String,
}

/// Take in units that have arrived.
#[derive(Debug, Args)]
pub struct Receive {
    #[command(flatten)]
    place: Place,
    /// How many.
    #[arg(long)]
    units: u32,
    #[command(flatten)]
    dates: Dates,
    /// The expected receipt that they are of, by the id that `receipt expect` printed.
    #[arg(long, value_name = "ID")]
    receipt: Option<ReceiptText>,
    #[command(flatten)]
    asking: Asking,
}

/// Add units that were found, or take off units that are lost.
#[derive(Debug, Args)]
pub struct Adjust {
    #[command(flatten)]
    place: Place,
    /// How many more; below 0: fewer.
    #[arg(long, allow_negative_numbers = true, value_name = "UNITS")]
    by: i64,
    /// Which units; resellable ones if not given.
    #[arg(long, value_enum)]
    condition: Option<Condition>,
    #[command(flatten)]
    asking: Asking,
}

/// Set the units on hand to a counted number, if nothing has changed since the count.
#[derive(Debug, Args)]
pub struct Set {
    #[command(flatten)]
    place: Place,
    /// The number counted.
    #[arg(long, value_name = "UNITS")]
    on_hand: u64,
    /// The revision that `stock get` showed at the count.
    #[arg(long, value_name = "REVISION")]
    if_revision: u64,
    #[command(flatten)]
    asking: Asking,
}

/// Keep units back from sale.
#[derive(Debug, Args)]
pub struct Safety {
    sku: String,
    /// Where; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// How many; 0: none. Only new holds feel it.
    #[arg(long)]
    units: u64,
    /// Only at the revision that `stock get` showed.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    #[command(flatten)]
    asking: Asking,
}

/// The quantities at one location.
#[derive(Serialize)]
struct LevelRow {
    location: String,
    on_hand: u64,
    free: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
    atp: u64,
    short: u64,
    safety_stock: u64,
    in_transit: u64,
    incoming: u64,
    received: u64,
    adjusted: i64,
    fulfilled: u64,
    returned: u64,
    sent: u64,
    arrived: u64,
    backordered: u64,
    allocated: u64,
    revision: u64,
}

#[derive(Serialize)]
struct StockAnswer {
    sku: String,
    atp: u64,
    levels: Vec<LevelRow>,
    token: Option<String>,
    age_ms: u64,
    /// Not 0: it is a kit, of which nothing is stocked.
    kit_revision: u64,
}

impl Stock {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Get(get) => get.run(format).await,
            Self::Import(import) => import.run(format).await,
            Self::Export(export) => export.run().await,
            Self::Receive(Receive { place: Place { sku, location, lot }, units, dates, receipt, asking }) => {
                let receive = v1::Receive {
                    sku,
                    location_id: location,
                    units,
                    lot_id: lot,
                    lot: dates.wire_if_said(),
                    receipt_id: receipt.map(|receipt| receipt.id()),
                };
                asking.ask(Operation::Receive(receive), format).await
            }
            Self::Safety(Safety { sku, location, units, if_revision, asking }) => {
                let (location_id, safety_stock) = (location, units);
                let set = v1::SetSafetyStock { sku, location_id, safety_stock, if_revision };
                asking.ask(Operation::SetSafetyStock(set), format).await
            }
            Self::Adjust(Adjust { place, by, condition, asking }) => {
                let adjust = v1::Adjust {
                    sku: place.sku,
                    location_id: place.location,
                    delta: by,
                    condition: Condition::wire(condition),
                    lot_id: place.lot,
                };
                asking.ask(Operation::Adjust(adjust), format).await
            }
            Self::Set(Set { place, on_hand, if_revision, asking }) => {
                let Place { sku, location: location_id, lot: lot_id } = place;
                let set = v1::Set { sku, location_id, on_hand, if_revision, lot_id };
                asking.ask(Operation::Set(set), format).await
            }
        }
    }
}

impl Get {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let read = self.reading.stock(&self.sku, &self.location).await?;
        let (token, age_ms) = (read.freshness.token.as_ref().map(token_text), read.freshness.age_ms);
        let (atp, kit_revision) = (read.value.atp, read.value.kit_revision);
        if kit_revision > 0 {
            let sku = &self.sku;
            eprintln!(
                "{sku} is a kit, of which nothing is stocked: `holdfast kit get {sku}` shows how many could be held"
            );
        }
        let levels: Vec<LevelRow> = read.value.levels.into_iter().map(LevelRow::from).collect();
        let rows: Vec<_> = levels
            .iter()
            .map(|l| {
                let n = |units: u64| units.to_string();
                [
                    l.location.clone(),
                    n(l.on_hand),
                    n(l.free),
                    n(l.reserved),
                    n(l.committed),
                    n(l.damaged),
                    n(l.quality_control),
                    n(l.atp),
                    n(l.short),
                    n(l.backordered),
                    n(l.safety_stock),
                    n(l.allocated),
                    n(l.in_transit),
                    n(l.incoming),
                    n(l.received),
                    l.adjusted.to_string(),
                    n(l.fulfilled),
                    n(l.returned),
                    n(l.sent),
                    n(l.arrived),
                    n(l.revision),
                ]
            })
            .collect();
        let header = [
            "location",
            "on hand",
            "free",
            "reserved",
            "committed",
            "damaged",
            "qc",
            "atp",
            "short",
            "backordered",
            "safety",
            "allocated",
            "in transit",
            "incoming",
            "received",
            "adjusted",
            "fulfilled",
            "returned",
            "sent",
            "arrived",
            "revision",
        ];
        Answer::rows(&StockAnswer { sku: self.sku, atp, levels, token, age_ms, kit_revision }, header, rows)
            .print(format);
        Ok(())
    }
}

impl From<v1::StockLevel> for LevelRow {
    fn from(level: v1::StockLevel) -> Self {
        Self {
            location: level.location_id,
            on_hand: level.on_hand,
            free: level.free,
            reserved: level.reserved,
            committed: level.committed,
            damaged: level.damaged,
            quality_control: level.quality_control,
            atp: level.atp,
            short: level.short,
            safety_stock: level.safety_stock,
            in_transit: level.in_transit,
            incoming: level.incoming,
            received: level.received,
            adjusted: level.adjusted,
            fulfilled: level.fulfilled,
            returned: level.returned,
            sent: level.sent,
            arrived: level.arrived,
            backordered: level.backordered,
            allocated: level.allocated,
            revision: level.revision,
        }
    }
}
