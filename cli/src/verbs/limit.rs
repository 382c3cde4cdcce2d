//! `holdfast limit`.

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::Reading;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// How many units of a SKU one customer may hold and buy.
#[derive(Debug, Subcommand)]
pub enum Limit {
    /// Make a limit, or change it. Only new holds feel it.
    Put(Put),
    /// Show the limits of a SKU, and what a customer has under them.
    Get(Get),
}

/// Make a limit, or change it. Only new holds feel it.
#[derive(Debug, Args)]
pub struct Put {
    /// Its name.
    limit: String,
    sku: String,
    /// Units that one customer may hold and buy.
    units: u32,
    /// Count only reservations made in the last so many seconds; all there ever were if not given. It does not change.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    window_s: u32,
    /// What comes back may be bought again.
    #[arg(long)]
    returns_restore: bool,
    /// Neither check nor count new holds.
    #[arg(long)]
    inactive: bool,
    /// Only at the revision that `limit get` showed.
    #[arg(long, value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    /// Only if there is no such limit yet.
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Show the limits of a SKU, and what a customer has under them.
#[derive(Debug, Args)]
pub struct Get {
    sku: String,
    /// The customer, as `reserve --customer` says it.
    #[arg(long, default_value = "", hide_default_value = true)]
    customer: String,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct LimitRow {
    limit: String,
    sku: String,
    units: u32,
    /// 0: for ever.
    window_s: u32,
    returns_restore: bool,
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CountRow>,
    revision: u64,
}

#[derive(Serialize)]
struct CountRow {
    held: u64,
    bought: u64,
    remaining: u64,
}

const HEADER: [&str; 8] = ["limit", "sku", "units", "window_s", "active", "held", "bought", "remaining"];

impl Limit {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Put(put) => {
                let Put { limit, sku, units, window_s, returns_restore, inactive, if_revision, if_absent, asking } =
                    put;
                let limit_id = limit;
                let put =
                    v1::PutLimit { limit_id, sku, units, window_s, returns_restore, inactive, if_revision, if_absent };
                asking.ask(Operation::PutLimit(put), format).await
            }
            Self::Get(Get { sku, customer, reading }) => {
                let rows: Vec<LimitRow> =
                    reading.limits(&sku, &customer).await?.into_iter().map(LimitRow::from).collect();
                let shown: Vec<_> = rows.iter().map(LimitRow::table).collect();
                Answer::rows(&rows, HEADER, shown).print(format);
                Ok(())
            }
        }
    }
}

impl LimitRow {
    fn table(&self) -> [String; 8] {
        let count =
            |of: fn(&CountRow) -> u64| self.customer.as_ref().map(of).map_or_else(String::new, |n| n.to_string());
        [
            self.limit.clone(),
            self.sku.clone(),
            self.units.to_string(),
            self.window_s.to_string(),
            self.active.to_string(),
            count(|row| row.held),
            count(|row| row.bought),
            count(|row| row.remaining),
        ]
    }
}

impl From<v1::CustomerLimit> for LimitRow {
    fn from(limit: v1::CustomerLimit) -> Self {
        Self {
            limit: limit.limit_id,
            sku: limit.sku,
            units: limit.units,
            window_s: limit.window_s,
            returns_restore: limit.returns_restore,
            active: !limit.inactive,
            customer: limit.count.map(|v1::CustomerCount { held, bought, remaining }| CountRow {
                held,
                bought,
                remaining,
            }),
            revision: limit.revision,
        }
    }
}
