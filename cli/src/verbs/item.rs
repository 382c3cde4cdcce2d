//! `holdfast item`.

use clap::{Args, Subcommand, ValueEnum};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// What there is to sell.
#[derive(Debug, Subcommand)]
pub enum Item {
    /// Show an item.
    Get(Get),
    /// Create an item, or replace its attributes.
    Put(Box<Put>),
    /// Show the items, in the order of their SKUs within each shard.
    List(List),
}

/// Show an item.
#[derive(Debug, Args)]
pub struct Get {
    sku: String,
    #[command(flatten)]
    reading: Reading,
}

/// Show the items, in the order of their SKUs within each shard.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

/// Create an item, or replace its attributes.
#[derive(Debug, Args)]
pub struct Put {
    sku: String,
    /// Its name.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Its brand.
    #[arg(long, default_value = "", hide_default_value = true)]
    brand: String,
    /// Its category.
    #[arg(long, default_value = "", hide_default_value = true)]
    category: String,
    /// Its GTIN.
    #[arg(long, default_value = "", hide_default_value = true)]
    gtin: String,
    /// Anything else, as a JSON object of up to 16 KiB.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "JSON")]
    attributes: String,
    /// May it be sold?
    #[arg(long, value_enum, default_value = "active")]
    status: Status,
    /// Never refuse it for lack of stock.
    #[arg(long)]
    untracked: bool,
    /// Its units belong to lots.
    #[arg(long)]
    lot_tracked: bool,
    /// From manufacture to expiry.
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    shelf_life_days: u32,
    /// Off sale so long before expiry.
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    removal_days: u32,
    /// Alert so long before removal.
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    alert_days: u32,
    /// Good so long after opening: shown, decides nothing.
    #[arg(long, value_name = "MONTHS", default_value_t = 0, hide_default_value = true)]
    pao_months: u32,
    /// The customer must have it so long before its removal.
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true)]
    min_remaining_days: u32,
    /// At most so many units in one reservation.
    #[arg(long, value_name = "UNITS", default_value_t = 0, hide_default_value = true)]
    max_per_order: u32,
    /// The longest hold; 14 400 if not given.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    max_hold_s: u32,
    /// Say so when stock falls below.
    #[arg(long, value_name = "UNITS", default_value_t = 0, hide_default_value = true)]
    low_stock_threshold: u64,
    /// Promise so many units without stock, at each location at one time.
    #[arg(long, value_name = "UNITS", conflicts_with = "preorder_at", value_parser = clap::value_parser!(u64).range(1..))]
    backorder: Option<u64>,
    /// A preorder: nothing is shipped before this time, such as 2027-05-31T09:00:00Z.
    #[arg(long, value_name = "TIME", requires = "cap", value_parser = dates::instant)]
    preorder_at: Option<u64>,
    /// Of a preorder: promise so many units without stock, at each location at one time; 0: none, only what is there.
    #[arg(long, value_name = "UNITS", requires = "preorder_at")]
    cap: Option<u64>,
    /// Only if its revision is still this.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    /// Only if there is none yet.
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    Active,
    Paused,
    Discontinued,
}

/// An item as it is printed.
#[derive(Serialize)]
struct ItemRow {
    sku: String,
    name: String,
    brand: String,
    category: String,
    gtin: String,
    attributes: serde_json::Value,
    status: &'static str,
    untracked: bool,
    lot_tracked: bool,
    shelf_life_days: u32,
    removal_days: u32,
    alert_days: u32,
    pao_months: u32,
    min_remaining_days: u32,
    max_per_order: u32,
    max_hold_s: u32,
    low_stock_threshold: u64,
    /// Units that may be promised without stock, at each location; none where it is not there.
    backorder_cap: Option<u64>,
    /// Before it nothing is shipped; empty: at once.
    release_at: String,
    revision: u64,
    kit: bool,
}

impl Item {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Get(Get { sku, reading }) => {
                Answer::record(&ItemRow::from(reading.item(&sku).await?)).print(format);
                Ok(())
            }
            Self::Put(put) => put.run(format).await,
            Self::List(List { shard, limit, reading }) => {
                let items: Vec<ItemRow> = reading.items(shard, limit).await?.into_iter().map(ItemRow::from).collect();
                let rows: Vec<_> = items.iter().map(ItemRow::short).collect();
                Answer::rows(&items, ["sku", "name", "brand", "category", "status", "revision"], rows).print(format);
                Ok(())
            }
        }
    }
}

impl Put {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let status = match self.status {
            Status::Active => v1::ItemStatus::Active,
            Status::Paused => v1::ItemStatus::Paused,
            Status::Discontinued => v1::ItemStatus::Discontinued,
        };
        let item = v1::Item {
            sku: self.sku,
            name: self.name,
            brand: self.brand,
            category: self.category,
            gtin: self.gtin,
            attributes_json: self.attributes,
            status: status.into(),
            untracked: self.untracked,
            lot_tracked: self.lot_tracked,
            shelf_life_days: self.shelf_life_days,
            removal_days: self.removal_days,
            alert_days: self.alert_days,
            pao_months: self.pao_months,
            min_remaining_days: self.min_remaining_days,
            max_per_order: self.max_per_order,
            max_hold_s: self.max_hold_s,
            low_stock_threshold: self.low_stock_threshold,
            revision: 0,
            backorder: backorder_terms(self.backorder, self.preorder_at, self.cap),
            kit: false,
        };
        let put = v1::PutItem { item: Some(item), if_revision: self.if_revision, if_absent: self.if_absent };
        self.asking.ask(Operation::PutItem(put), format).await
    }
}

fn backorder_terms(backorder: Option<u64>, preorder_at: Option<u64>, cap: Option<u64>) -> Option<v1::BackorderTerms> {
    let preorder = preorder_at.map(|release_at_ms| v1::BackorderTerms { cap: cap.unwrap_or(0), release_at_ms });
    preorder.or_else(|| backorder.map(|cap| v1::BackorderTerms { cap, release_at_ms: 0 }))
}

impl ItemRow {
    fn short(&self) -> [String; 6] {
        [
            self.sku.clone(),
            self.name.clone(),
            self.brand.clone(),
            self.category.clone(),
            if self.kit { "kit".to_owned() } else { self.status.to_owned() },
            self.revision.to_string(),
        ]
    }
}

impl From<v1::Item> for ItemRow {
    fn from(item: v1::Item) -> Self {
        let status = match item.status() {
            v1::ItemStatus::Unspecified | v1::ItemStatus::Active => "active",
            v1::ItemStatus::Paused => "paused",
            v1::ItemStatus::Discontinued => "discontinued",
        };
        Self {
            status,
            attributes: serde_json::from_str(&item.attributes_json).unwrap_or_default(),
            sku: item.sku,
            name: item.name,
            brand: item.brand,
            category: item.category,
            gtin: item.gtin,
            untracked: item.untracked,
            lot_tracked: item.lot_tracked,
            shelf_life_days: item.shelf_life_days,
            removal_days: item.removal_days,
            alert_days: item.alert_days,
            pao_months: item.pao_months,
            min_remaining_days: item.min_remaining_days,
            max_per_order: item.max_per_order,
            max_hold_s: item.max_hold_s,
            low_stock_threshold: item.low_stock_threshold,
            backorder_cap: item.backorder.map(|terms| terms.cap),
            release_at: dates::instant_text(item.backorder.map_or(0, |terms| terms.release_at_ms)),
            revision: item.revision,
            kit: item.kit,
        }
    }
}
