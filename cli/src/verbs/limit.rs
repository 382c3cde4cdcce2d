//! `holdfast limit`.

use clap::{Args, Subcommand};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::{ClusterFlags, Reading};
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// How many units of a SKU, or of several together, one customer may hold and buy.
#[derive(Debug, Subcommand)]
pub enum Limit {
    /// Make a limit, or change it. Only new holds feel it.
    Put(Put),
    /// Show the limits of a SKU, and what a customer has under them.
    Get(Get),
    /// Show the limits over several SKUs.
    List(List),
}

/// Make a limit, or change it. Only new holds feel it.
#[derive(Debug, Args)]
pub struct Put {
    /// Its name. Of a limit over several SKUs at most 30 bytes.
    limit: String,
    /// The SKU; `--sku` for several.
    #[arg(required_unless_present = "skus", conflicts_with = "skus")]
    sku: Option<String>,
    /// Units that one customer may hold and buy.
    #[arg(required_unless_present = "skus", conflicts_with = "skus")]
    units: Option<u32>,
    /// One of the SKUs of a limit over several, of which one customer may have `--units` together; again for each.
    #[arg(long = "sku", value_name = "SKU", requires = "units_of_all")]
    skus: Vec<String>,
    /// Units of the SKUs together that one customer may hold and buy.
    #[arg(long = "units", value_name = "UNITS", requires = "skus")]
    units_of_all: Option<u32>,
    /// Count only reservations made in the last so many seconds; all there ever were if not given. It does not change.
    #[arg(long, alias = "window", value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    window_s: u32,
    /// Check and count only reservations made in this campaign; others are not under it. It does not change.
    #[arg(long, value_name = "CAMPAIGN", conflicts_with_all = ["window_s", "skus"], default_value = "", hide_default_value = true)]
    campaign: String,
    /// What comes back may be bought again.
    #[arg(long)]
    returns_restore: bool,
    /// Neither check nor count new holds.
    #[arg(long)]
    inactive: bool,
    /// Only at the revision that `limit get` showed.
    #[arg(long, conflicts_with = "skus", value_name = "REVISION", default_value_t = 0, hide_default_value = true)]
    if_revision: u64,
    /// Only if there is no such limit yet.
    #[arg(long, conflicts_with = "skus")]
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

/// Show the limits over several SKUs.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct SharedRow {
    limit: String,
    skus: Vec<String>,
    units: u32,
    /// 0: for ever.
    window_s: u32,
    returns_restore: bool,
    active: bool,
    revision: u64,
}

const SHARED_HEADER: [&str; 6] = ["limit", "skus", "units", "window_s", "active", "revision"];

#[derive(Serialize)]
struct LimitRow {
    limit: String,
    sku: String,
    units: u32,
    /// 0: for ever.
    window_s: u32,
    /// The campaign of which it is, if it is of one.
    #[serde(skip_serializing_if = "String::is_empty")]
    campaign: String,
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

const HEADER: [&str; 9] = ["limit", "sku", "units", "window_s", "campaign", "active", "held", "bought", "remaining"];

impl Limit {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Put(put) => put.run(format).await,
            Self::List(List { cluster }) => {
                let rows: Vec<SharedRow> = cluster.shared_limits().await?.into_iter().map(SharedRow::from).collect();
                let shown: Vec<_> = rows.iter().map(SharedRow::table).collect();
                Answer::rows(&rows, SHARED_HEADER, shown).print(format);
                Ok(())
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

impl Put {
    async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { limit, sku, units, skus, units_of_all, window_s, returns_restore, inactive, asking, .. } = self;
        let limit_id = limit;
        if let Some(units) = units_of_all {
            let limit = v1::SharedLimit { limit_id, skus, units, window_s, returns_restore, inactive, revision: 0 };
            let stored = asking.cluster().put_shared_limit(limit).await?;
            Answer::record(&SharedRow::from(stored)).print(format);
            return Ok(());
        }
        let (sku, units) = (sku.unwrap_or_default(), units.unwrap_or_default());
        let (if_revision, if_absent) = (self.if_revision, self.if_absent);
        let put = v1::PutLimit {
            limit_id,
            sku,
            units,
            window_s,
            returns_restore,
            inactive,
            if_revision,
            if_absent,
            campaign_id: self.campaign,
        };
        asking.ask(Operation::PutLimit(put), format).await
    }
}

impl SharedRow {
    fn table(&self) -> [String; 6] {
        [
            self.limit.clone(),
            self.skus.join(", "),
            self.units.to_string(),
            self.window_s.to_string(),
            self.active.to_string(),
            self.revision.to_string(),
        ]
    }
}

impl From<v1::SharedLimit> for SharedRow {
    fn from(limit: v1::SharedLimit) -> Self {
        Self {
            limit: limit.limit_id,
            skus: limit.skus,
            units: limit.units,
            window_s: limit.window_s,
            returns_restore: limit.returns_restore,
            active: !limit.inactive,
            revision: limit.revision,
        }
    }
}

impl LimitRow {
    fn table(&self) -> [String; 9] {
        let count =
            |of: fn(&CountRow) -> u64| self.customer.as_ref().map(of).map_or_else(String::new, |n| n.to_string());
        [
            self.limit.clone(),
            self.sku.clone(),
            self.units.to_string(),
            self.window_s.to_string(),
            self.campaign.clone(),
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
            campaign: limit.campaign_id,
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
