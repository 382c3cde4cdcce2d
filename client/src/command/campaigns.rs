//! Units that campaigns are given.

use holdfast_proto::v1;

use super::into_command;

into_command!(Grant, Revoke);

/// Keeps units of a SKU for a campaign; from then on nobody else gets them. They could be promised to anybody before.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant(pub(crate) v1::Grant);

impl Grant {
    /// So many units at the default location.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, sku: impl Into<String>, units: u32) -> Self {
        Self(v1::Grant { campaign_id: campaign_id.into(), sku: sku.into(), units, ..v1::Grant::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }
}

/// Takes units of a SKU back from a campaign, which neither holds nor has sold them.
#[derive(Clone, Debug, PartialEq)]
pub struct Revoke(pub(crate) v1::Revoke);

impl Revoke {
    /// So many units at the default location.
    #[must_use]
    pub fn of(campaign_id: impl Into<String>, sku: impl Into<String>, units: u32) -> Self {
        Self(v1::Revoke { campaign_id: campaign_id.into(), sku: sku.into(), units, ..v1::Revoke::default() })
    }

    /// At that location.
    #[must_use]
    pub fn at(mut self, location_id: impl Into<String>) -> Self {
        self.0.location_id = location_id.into();
        self
    }
}
