//! Campaigns, and units that they are given, in the log.

use holdfast_inventory::commands::{Grant, PutCampaign, Revoke};
use holdfast_inventory::{CampaignAdmission, CampaignId, CampaignSpec, LocationId, LogTime, Revision, Sku, Units};
use holdfast_proto::log::v1 as log;

use super::DecodeError;
use super::from_log::name;

pub(super) fn put_to_log(it: &PutCampaign) -> log::PutCampaign {
    let spec = Some(spec_to_log(&it.spec));
    log::PutCampaign { campaign_id: it.campaign.as_str().to_owned(), spec, revision: it.revision.0 }
}

pub(super) fn put_from_log(it: &log::PutCampaign) -> Result<PutCampaign, DecodeError> {
    Ok(PutCampaign {
        campaign: name(CampaignId::new(&it.campaign_id))?,
        spec: spec_from_log(it.spec.as_ref())?,
        revision: Revision(it.revision),
    })
}

pub(crate) fn spec_to_log(spec: &CampaignSpec) -> log::CampaignSpec {
    log::CampaignSpec {
        starts_at_ms: spec.starts_at.0,
        ends_at_ms: spec.ends_at.0,
        admission: match spec.admission {
            CampaignAdmission::None => 0,
            CampaignAdmission::Queue => 1,
            CampaignAdmission::Lottery => 2,
        },
        closed: spec.closed,
    }
}

pub(crate) fn spec_from_log(spec: Option<&log::CampaignSpec>) -> Result<CampaignSpec, DecodeError> {
    let spec = spec.ok_or_else(|| DecodeError::malformed("a campaign without a window".to_owned()))?;
    Ok(CampaignSpec {
        starts_at: LogTime(spec.starts_at_ms),
        ends_at: LogTime(spec.ends_at_ms),
        admission: match spec.admission {
            0 => CampaignAdmission::None,
            1 => CampaignAdmission::Queue,
            2 => CampaignAdmission::Lottery,
            other => return Err(DecodeError::malformed(format!("admission {other}"))),
        },
        closed: spec.closed,
    })
}

pub(super) fn grant_to_log(it: &Grant) -> log::Allocate {
    allocate(&it.campaign, &it.sku, &it.location, it.units)
}

pub(super) fn revoke_to_log(it: &Revoke) -> log::Allocate {
    allocate(&it.campaign, &it.sku, &it.location, it.units)
}

fn allocate(campaign: &CampaignId, sku: &Sku, location: &LocationId, units: Units) -> log::Allocate {
    log::Allocate {
        campaign_id: campaign.as_str().to_owned(),
        sku: sku.as_str().to_owned(),
        location_id: location.as_str().to_owned(),
        units: units.0,
    }
}

pub(super) fn grant_from_log(it: &log::Allocate) -> Result<Grant, DecodeError> {
    Ok(Grant {
        campaign: name(CampaignId::new(&it.campaign_id))?,
        sku: name(Sku::new(&it.sku))?,
        location: name(LocationId::new(&it.location_id))?,
        units: Units(it.units),
    })
}

pub(super) fn revoke_from_log(it: &log::Allocate) -> Result<Revoke, DecodeError> {
    let Grant { campaign, sku, location, units } = grant_from_log(it)?;
    Ok(Revoke { campaign, sku, location, units })
}
