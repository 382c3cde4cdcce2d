//! `holdfast receipt`.

use clap::{Args, Subcommand};
use holdfast_client::ids::ReceiptId;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use super::documents::{Filter, LotUnits};
use crate::ask::Asking;
use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::ids::ReceiptText;
use crate::output::{Answer, Format};

/// Units that a supplier will send.
#[derive(Debug, Subcommand)]
pub enum Receipt {
    /// Make known what will arrive; `stock receive --receipt` says that it has.
    Expect(Expect),
    /// Expect nothing more of a receipt.
    Close(Close),
    /// Show an expected receipt.
    Get(Get),
    /// Show the expected receipts, oldest first within each shard.
    List(List),
}

/// Make known what will arrive; `stock receive --receipt` says that it has.
#[derive(Debug, Args)]
pub struct Expect {
    sku: String,
    /// Where; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// How many, and of which lot where that is known; repeatable.
    #[arg(long = "line", required = true, value_name = "UNITS[:LOT]")]
    lines: Vec<LotUnits>,
    /// The day on which it is expected, such as 2027-05-31, in UTC.
    #[arg(long, value_name = "DAY", value_parser = dates::end_of_day)]
    expected_on: Option<u64>,
    #[command(flatten)]
    asking: Asking,
}

/// Expect nothing more of a receipt.
#[derive(Debug, Args)]
pub struct Close {
    /// The receipt, by the id that `receipt expect` printed.
    #[arg(value_name = "ID")]
    receipt: ReceiptText,
    #[command(flatten)]
    asking: Asking,
}

/// Show an expected receipt.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "ID")]
    receipt: ReceiptText,
    #[command(flatten)]
    reading: Reading,
}

/// Show the expected receipts, oldest first within each shard.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct LineRow {
    lot: String,
    units: u64,
    arrived: u64,
}

#[derive(Serialize)]
struct ReceiptRow {
    receipt: String,
    sku: String,
    location: String,
    expected_at: String,
    lines: Vec<LineRow>,
    /// Units that arrived beyond what was expected.
    unexpected: u64,
    created_at: String,
    closed_at: String,
    revision: u64,
}

impl Receipt {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Expect(Expect { sku, location, lines, expected_on, asking }) => {
                let expect = v1::ExpectReceipt {
                    receipt_id: None,
                    sku,
                    location_id: location,
                    lines: lines.into_iter().map(|line| line.0).collect(),
                    expected_at_ms: expected_on.unwrap_or(0),
                };
                asking.ask(Operation::ExpectReceipt(expect), format).await
            }
            Self::Close(Close { receipt, asking }) => {
                let close = v1::CloseReceipt { receipt_id: Some(receipt.id()) };
                asking.ask(Operation::CloseReceipt(close), format).await
            }
            Self::Get(Get { receipt, reading }) => {
                let row = ReceiptRow::from(reading.receipt(receipt.receipt()).await?);
                Answer::rows(&row, HEADER, row.table()).print(format);
                Ok(())
            }
            Self::List(List { filter, reading }) => {
                let (which, shard, limit) = filter.parts();
                let found = reading.receipts(which, shard, limit).await?;
                let rows: Vec<ReceiptRow> = found.into_iter().map(ReceiptRow::from).collect();
                let shown: Vec<_> = rows.iter().flat_map(ReceiptRow::table).collect();
                Answer::rows(&rows, HEADER, shown).print(format);
                Ok(())
            }
        }
    }
}

const HEADER: [&str; 8] = ["receipt", "sku", "location", "expected", "lot", "units", "arrived", "closed"];

impl ReceiptRow {
    /// A row for each line.
    fn table(&self) -> Vec<[String; 8]> {
        let rows = self.lines.iter().map(|line| {
            [
                self.receipt.clone(),
                self.sku.clone(),
                self.location.clone(),
                self.expected_at.clone(),
                line.lot.clone(),
                line.units.to_string(),
                line.arrived.to_string(),
                self.closed_at.clone(),
            ]
        });
        rows.collect()
    }
}

impl From<v1::Receipt> for ReceiptRow {
    fn from(receipt: v1::Receipt) -> Self {
        let line = |line: v1::ReceiptLine| LineRow { lot: line.lot_id, units: line.units, arrived: line.arrived };
        Self {
            receipt: receipt.receipt_id.map(|id| ReceiptId::from(id).to_string()).unwrap_or_default(),
            sku: receipt.sku,
            location: receipt.location_id,
            expected_at: dates::instant_text(receipt.expected_at_ms),
            lines: receipt.lines.into_iter().map(line).collect(),
            unexpected: receipt.unexpected,
            created_at: dates::instant_text(receipt.created_at_ms),
            closed_at: dates::instant_text(receipt.closed_at_ms),
            revision: receipt.revision,
        }
    }
}
