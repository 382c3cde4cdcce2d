//! `holdfast backorder`.

use clap::{Args, Subcommand};
use holdfast_client::Backorders;
use holdfast_client::ids::ReservationId;
use holdfast_proto::v1;
use serde::Serialize;

use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Units that are promised without stock.
#[derive(Debug, Subcommand)]
pub enum Backorder {
    /// Show what is promised without stock, in the order in which it is filled.
    List(List),
}

/// Show what is promised without stock, in the order in which it is filled.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this SKU.
    #[arg(long)]
    sku: Option<String>,
    /// Only those at this location.
    #[arg(long)]
    location: Option<String>,
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct BackorderRow {
    sku: String,
    location: String,
    reservation: String,
    units: u64,
    sold: bool,
    created_at: String,
    expires_at: String,
    order_ref: String,
}

const HEADER: [&str; 8] = ["sku", "location", "reservation", "units", "sold", "created", "expires", "order ref"];

impl Backorder {
    /// Shows it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self::List(List { sku, location, shard, limit, reading }) = self;
        let which = Backorders { sku, location_id: location };
        let found = reading.backorders(which, shard, limit).await?;
        let rows: Vec<BackorderRow> = found.into_iter().map(BackorderRow::from).collect();
        let shown: Vec<_> = rows.iter().map(BackorderRow::table).collect();
        Answer::rows(&rows, HEADER, shown).print(format);
        Ok(())
    }
}

impl BackorderRow {
    fn table(&self) -> [String; 8] {
        [
            self.sku.clone(),
            self.location.clone(),
            self.reservation.clone(),
            self.units.to_string(),
            if self.sold { "yes" } else { "no" }.to_owned(),
            self.created_at.clone(),
            self.expires_at.clone(),
            self.order_ref.clone(),
        ]
    }
}

impl From<v1::Backorder> for BackorderRow {
    fn from(entry: v1::Backorder) -> Self {
        Self {
            sku: entry.sku,
            location: entry.location_id,
            reservation: entry.reservation_id.map(|id| ReservationId::from(id).to_string()).unwrap_or_default(),
            units: entry.units,
            sold: entry.sold,
            created_at: dates::instant_text(entry.created_at_ms),
            expires_at: dates::instant_text(entry.expires_at_ms),
            order_ref: entry.order_ref,
        }
    }
}
