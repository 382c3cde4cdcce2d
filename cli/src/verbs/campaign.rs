//! `holdfast campaign`.

use clap::{Args, Subcommand, ValueEnum};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::{ClusterFlags, Reading};
use crate::dates;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Flash sales: when they sell, and what of the stock is kept for them.
#[derive(Debug, Subcommand)]
pub enum Campaign {
    /// Make a campaign known. The same again changes nothing.
    Open(Open),
    /// End a campaign: what it has not sold goes back to sale.
    Close(Close),
    /// Show a campaign, and what it has.
    Get(Get),
    /// Show the campaigns.
    List(List),
    /// Keep units for a campaign; nobody else gets them from then on.
    Grant(Grant),
    /// Take units back that a campaign neither holds nor has sold.
    Revoke(Revoke),
}

/// Make a campaign known. The same again changes nothing.
#[derive(Debug, Args)]
pub struct Open {
    /// Its id.
    #[arg(value_name = "CAMPAIGN")]
    id: String,
    /// From when on it sells, such as 2027-05-31T09:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = dates::instant)]
    starts_at: u64,
    /// From when on it does not any more.
    #[arg(long, value_name = "TIME", value_parser = dates::instant)]
    ends_at: u64,
    /// Who is let in: everybody, those who came first, or in an order that is drawn.
    #[arg(long, value_enum, default_value = "none")]
    admission: Admission,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Admission {
    /// Everybody.
    None,
    /// Those who came first.
    Queue,
    /// In an order that is drawn.
    Lottery,
}

/// End a campaign: what it has not sold goes back to sale.
#[derive(Debug, Args)]
pub struct Close {
    /// Its id.
    #[arg(value_name = "CAMPAIGN")]
    id: String,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Show a campaign, and what it has.
#[derive(Debug, Args)]
pub struct Get {
    /// Its id.
    #[arg(value_name = "CAMPAIGN")]
    id: String,
    #[command(flatten)]
    reading: Reading,
}

/// Show the campaigns.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Units of a SKU at a location.
#[derive(Debug, Args)]
struct Share {
    campaign: String,
    sku: String,
    /// How many.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    units: u32,
    /// Where; the cluster's default location if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    #[command(flatten)]
    asking: Asking,
}

/// Keep units for a campaign; nobody else gets them from then on.
#[derive(Debug, Args)]
pub struct Grant {
    #[command(flatten)]
    share: Share,
}

/// Take units back that a campaign neither holds nor has sold.
#[derive(Debug, Args)]
pub struct Revoke {
    #[command(flatten)]
    share: Share,
}

#[derive(Serialize)]
struct CampaignRow {
    campaign: String,
    starts_at: String,
    ends_at: String,
    admission: &'static str,
    closed: bool,
    revision: u64,
}

#[derive(Serialize)]
struct AllocationRow {
    sku: String,
    location: String,
    granted: u64,
    held: u64,
    sold: u64,
    /// Kept from everybody else still.
    left: u64,
}

#[derive(Serialize)]
struct CampaignAnswer {
    #[serde(flatten)]
    campaign: CampaignRow,
    allocations: Vec<AllocationRow>,
}

impl Campaign {
    /// Shows or changes it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Open(Open { id, starts_at, ends_at, admission, cluster }) => {
                let admission = match admission {
                    Admission::None => v1::CampaignAdmission::None,
                    Admission::Queue => v1::CampaignAdmission::Queue,
                    Admission::Lottery => v1::CampaignAdmission::Lottery,
                };
                let (starts_at_ms, ends_at_ms) = (starts_at, ends_at);
                let campaign = v1::Campaign {
                    campaign_id: id,
                    starts_at_ms,
                    ends_at_ms,
                    admission: admission.into(),
                    ..v1::Campaign::default()
                };
                Answer::record(&CampaignRow::from(cluster.open_campaign(campaign).await?)).print(format);
                Ok(())
            }
            Self::Close(Close { id, cluster }) => {
                Answer::record(&CampaignRow::from(cluster.close_campaign(&id).await?)).print(format);
                Ok(())
            }
            Self::Get(Get { id, reading }) => {
                let (campaign, allocations) = reading.campaign(&id).await?;
                let campaign = CampaignRow::from(campaign);
                let allocations: Vec<_> = allocations.into_iter().map(AllocationRow::from).collect();
                let shown: Vec<_> = allocations.iter().map(AllocationRow::table).collect();
                let header = ["sku", "location", "granted", "held", "sold", "left"];
                eprintln!("{}: from {} to {}{}", campaign.campaign, campaign.starts_at, campaign.ends_at, {
                    if campaign.closed { ", closed" } else { "" }
                });
                Answer::rows(&CampaignAnswer { campaign, allocations }, header, shown).print(format);
                Ok(())
            }
            Self::List(List { cluster }) => {
                let rows: Vec<_> = cluster.campaigns(None).await?.into_iter().map(CampaignRow::from).collect();
                let shown: Vec<_> = rows.iter().map(CampaignRow::table).collect();
                Answer::rows(&rows, ["campaign", "starts", "ends", "closed"], shown).print(format);
                Ok(())
            }
            Self::Grant(Grant { share: Share { campaign, sku, units, location, asking } }) => {
                let grant = v1::Grant { campaign_id: campaign, sku, location_id: location, units };
                asking.ask(Operation::Grant(grant), format).await
            }
            Self::Revoke(Revoke { share: Share { campaign, sku, units, location, asking } }) => {
                let revoke = v1::Revoke { campaign_id: campaign, sku, location_id: location, units };
                asking.ask(Operation::Revoke(revoke), format).await
            }
        }
    }
}

impl CampaignRow {
    fn table(&self) -> [String; 4] {
        [
            self.campaign.clone(),
            self.starts_at.clone(),
            self.ends_at.clone(),
            if self.closed { "yes" } else { "no" }.to_owned(),
        ]
    }
}

impl AllocationRow {
    fn table(&self) -> [String; 6] {
        let n = |units: u64| units.to_string();
        [self.sku.clone(), self.location.clone(), n(self.granted), n(self.held), n(self.sold), n(self.left)]
    }
}

impl From<v1::Campaign> for CampaignRow {
    fn from(campaign: v1::Campaign) -> Self {
        let admission = match campaign.admission() {
            v1::CampaignAdmission::Unspecified | v1::CampaignAdmission::None => "none",
            v1::CampaignAdmission::Queue => "queue",
            v1::CampaignAdmission::Lottery => "lottery",
        };
        Self {
            admission,
            campaign: campaign.campaign_id,
            starts_at: dates::instant_text(campaign.starts_at_ms),
            ends_at: dates::instant_text(campaign.ends_at_ms),
            closed: campaign.closed,
            revision: campaign.revision,
        }
    }
}

impl From<v1::Allocation> for AllocationRow {
    fn from(of: v1::Allocation) -> Self {
        let left = if of.closed { 0 } else { of.granted.saturating_sub(of.held).saturating_sub(of.sold) };
        Self { sku: of.sku, location: of.location_id, granted: of.granted, held: of.held, sold: of.sold, left }
    }
}
