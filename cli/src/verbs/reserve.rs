//! `holdfast reserve`.

use clap::{Args, ValueEnum};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::{
    SkuLot, SkuRevision, SkuUnits, check_kit_revisions, check_lots, check_min_units, kit_revision_of, min_units_of,
};
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Hold units for a while: all lines or none. Prints the reservation's id.
#[derive(Debug, Args)]
pub struct Reserve {
    /// What to hold, items and kits: SKU, or SKU=UNITS; up to 100.
    #[arg(required = true, value_name = "SKU[=UNITS]")]
    lines: Vec<SkuUnits>,
    /// What to hold if it is there: its lack does not fail the rest. Repeatable.
    #[arg(long = "optional", value_name = "SKU[=UNITS]")]
    optional: Vec<SkuUnits>,
    /// Where fewer than all of a SKU can be had, hold as many as there are, but no fewer than these: SKU=UNITS; repeatable.
    #[arg(long = "at-least", value_name = "SKU=UNITS")]
    at_least: Vec<SkuUnits>,
    /// Only if a kit's recipe is of that revision: SKU=REVISION; repeatable.
    #[arg(long = "kit-revision", value_name = "SKU=REVISION")]
    kit_revisions: Vec<SkuRevision>,
    /// Where from; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with_all = ["strategy", "nearest"])]
    location: String,
    /// Bind a SKU to a lot by name, rather than to those that leave sale first: SKU=LOT; repeatable.
    #[arg(long = "lot", value_name = "SKU=LOT")]
    lots: Vec<SkuLot>,
    /// For how long, in seconds; 600 if not given, at most 14 400.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    ttl: Option<u32>,
    /// Who it is for: opaque, hashed by the node, never stored as given.
    #[arg(long, default_value = "", hide_default_value = true)]
    customer: String,
    /// The shop's own reference of the order, up to 64 bytes.
    #[arg(long, default_value = "", hide_default_value = true)]
    order_ref: String,
    /// The sales channel. With --strategy or --nearest it chooses the locations; else it is a word that is kept.
    #[arg(long, default_value = "", hide_default_value = true)]
    channel: String,
    /// In that campaign: of what it was given, and within its window.
    #[arg(long, default_value = "", hide_default_value = true)]
    campaign: String,
    /// What lets the customer into the campaign, as `holdfast queue token` shows it.
    #[arg(long, default_value = "", hide_default_value = true, requires_all = ["campaign", "customer"])]
    token: String,
    /// How the channel chooses among its locations.
    #[arg(long, value_enum, requires = "channel")]
    strategy: Option<Strategy>,
    /// The channel chooses among these of its locations, the first one first.
    #[arg(long, value_delimiter = ',', value_name = "LOCATION,…", requires = "channel")]
    nearest: Vec<String>,
    /// A line may be held at several of the channel's locations.
    #[arg(long)]
    allow_split: bool,
    /// Leave out lines that cannot be held, instead of refusing all: whole lines, unless --at-least says that fewer units will do.
    #[arg(long)]
    partial_ok: bool,
    /// Hold only what is there, whatever the items allow to be promised without stock.
    #[arg(long)]
    no_backorder: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Strategy {
    /// Its own order.
    Priority,
    /// The order of --nearest.
    Nearest,
    /// Where most of it is first.
    MostStock,
    /// As few locations for all lines as can be.
    FewestSplits,
}

impl Reserve {
    /// How the channel is to choose, if it is.
    fn sourcing(&self) -> Result<Option<v1::Sourcing>, Failure> {
        let strategy = match (self.strategy, self.nearest.is_empty()) {
            (None, true) if self.allow_split => {
                return Err(Failure::usage("--allow-split is for a channel that chooses: add --strategy or --nearest"));
            }
            (None, true) => return Ok(None),
            (None | Some(Strategy::Nearest), false) => v1::SourcingStrategy::Nearest,
            (Some(Strategy::Nearest), true) => {
                return Err(Failure::usage("--strategy nearest needs --nearest LOCATION,…"));
            }
            (Some(_), false) => return Err(Failure::usage("--nearest is for --strategy nearest")),
            (Some(Strategy::Priority), true) => v1::SourcingStrategy::Priority,
            (Some(Strategy::MostStock), true) => v1::SourcingStrategy::MostStock,
            (Some(Strategy::FewestSplits), true) => v1::SourcingStrategy::FewestSplits,
        };
        let nearest = self.nearest.clone();
        Ok(Some(v1::Sourcing { strategy: strategy.into(), allow_split: self.allow_split, nearest }))
    }

    /// Asks for the hold.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let sourcing = self.sourcing()?;
        let of_all: Vec<SkuUnits> = self.lines.iter().chain(&self.optional).cloned().collect();
        check_lots(&self.lots, &of_all)?;
        check_kit_revisions(&self.kit_revisions, &of_all)?;
        check_min_units(&self.at_least, &of_all)?;
        let line = |at: usize, line: &SkuUnits| v1::Line {
            optional: at >= self.lines.len(),
            kit_revision: kit_revision_of(&self.kit_revisions, &line.sku),
            min_units: min_units_of(&self.at_least, &line.sku),
            ..line.line(&self.location, &self.lots, self.no_backorder)
        };
        let reserve = v1::Reserve {
            lines: of_all.iter().enumerate().map(|(at, it)| line(at, it)).collect(),
            // 0 on the wire is the cluster's default.
            ttl_s: self.ttl.unwrap_or(0),
            customer: self.customer,
            order_ref: self.order_ref,
            channel: self.channel,
            campaign_id: self.campaign,
            admission_token: self.token,
            partial_ok: self.partial_ok,
            sourcing,
            ..v1::Reserve::default()
        };
        self.asking.ask(Operation::Reserve(reserve), format).await
    }
}
