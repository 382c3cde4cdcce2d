//! Flash sales: when they are, and what of the stock is kept for them.

use serde::{Deserialize, Serialize};

use crate::{CampaignId, Field, InvalidArgument, LocationId, LogTime, Revision, Sku};

/// Most campaigns that are known at a time.
pub const MAX_CAMPAIGNS: usize = 256;
/// Most allocations of one shard. Those of campaigns that are over are among them until others need the room.
pub const MAX_ALLOCATIONS: usize = 4_096;
/// Most campaigns that have units of one item at one location.
pub const MAX_ALLOCATIONS_OF_PLACE: usize = 16;

/// What lets a customer into a campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CampaignAdmission {
    /// Nothing: everybody is let in.
    #[default]
    None,
    /// A token, which those get who came first.
    Queue,
    /// A token, in an order that is drawn.
    Lottery,
}

/// What is said of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignSpec {
    /// From this instant of log time on it sells.
    pub starts_at: LogTime,
    /// From this instant on it does not any more.
    pub ends_at: LogTime,
    /// What lets a customer in.
    pub admission: CampaignAdmission,
    /// It was ended by hand. It is not opened again.
    pub closed: bool,
}

impl CampaignSpec {
    /// Checks what does not depend on anything else.
    ///
    /// # Errors
    ///
    /// `ends_at_ms`, where it does not lie after the beginning, or is no instant that comes.
    pub fn validate(&self) -> Result<(), InvalidArgument> {
        let is_window = self.starts_at < self.ends_at && self.ends_at.0 <= i64::MAX as u64;
        if is_window { Ok(()) } else { Err(InvalidArgument::of(Field::EndsAt)) }
    }
}

/// Where a campaign stands in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CampaignPhase {
    /// It has not begun.
    #[default]
    Announced,
    /// It sells.
    Open,
    /// It is over, by time or by hand.
    Closed,
}

impl CampaignPhase {
    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// A campaign as a shard knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its name.
    pub id: CampaignId,
    /// What is said of it.
    pub spec: CampaignSpec,
    /// Where it stands.
    pub phase: CampaignPhase,
    /// Of the campaign in the cluster's own records.
    pub revision: Revision,
}

/// What of an item at a location is kept for a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The campaign.
    pub campaign: CampaignId,
    /// The item.
    pub sku: Sku,
    /// Where.
    pub location: LocationId,
    /// Units given to it and not taken back.
    pub granted: u64,
    /// Units of them that are held.
    pub held: u64,
    /// Units of them that are sold.
    pub sold: u64,
    /// Its campaign is not over: what is neither held nor sold is kept from everybody else.
    pub open: bool,
}

impl Allocation {
    /// Units that are neither held nor sold.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.granted.saturating_sub(self.held).saturating_sub(self.sold)
    }
}
