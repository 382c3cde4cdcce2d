//! Campaigns, and units that they are given.

use holdfast_inventory::commands::{Grant, Revoke};
use holdfast_inventory::{CampaignAdmission, CampaignId, CampaignSpec, LogTime, Units};
use holdfast_proto::v1::{self, CommandError, ErrorReason};

use super::Words;
use super::fields::{enum_at, invalid, location_at, optional_name, sku_at};

/// A campaign with its id, to be opened.
///
/// # Errors
///
/// `INVALID_ARGUMENT` at the first field at fault.
pub(crate) fn campaign(wire: Option<v1::Campaign>) -> Result<(CampaignId, CampaignSpec), CommandError> {
    let wire = wire.ok_or_else(|| invalid("campaign", "is missing", "send the campaign with its id"))?;
    let id = campaign_id("campaign.campaign_id", &wire.campaign_id)?;
    let admission = match enum_at("campaign.admission", wire.admission, "none, queue or lottery")? {
        v1::CampaignAdmission::Unspecified | v1::CampaignAdmission::None => CampaignAdmission::None,
        v1::CampaignAdmission::Queue => CampaignAdmission::Queue,
        v1::CampaignAdmission::Lottery => CampaignAdmission::Lottery,
    };
    if wire.closed {
        return Err(invalid("campaign.closed", "is set", "leave it out: a campaign is closed by CloseCampaign"));
    }
    let (starts_at, ends_at) = (LogTime(wire.starts_at_ms), LogTime(wire.ends_at_ms));
    let spec = CampaignSpec { starts_at, ends_at, admission, closed: false };
    spec.validate().map_err(|_| {
        let hint = format!("an instant after starts_at_ms, which is {starts_at}, in milliseconds since the Unix epoch");
        invalid("campaign.ends_at_ms", &format!("is {ends_at}"), &hint)
    })?;
    Ok((id, spec))
}

/// The campaign that a request names.
///
/// # Errors
///
/// `INVALID_ARGUMENT` where it is none.
pub(crate) fn campaign_id(field: &str, text: &str) -> Result<CampaignId, CommandError> {
    let missing = || invalid(field, "is empty", "1 to 64 bytes of printable UTF-8");
    optional_name(text, CampaignId::new, || field.to_owned())?.ok_or_else(missing)
}

/// The error where there is no such campaign.
pub(crate) fn unknown_campaign(field: &str, id: &CampaignId) -> CommandError {
    let message = format!("there is no campaign {id}; `holdfast campaign open` makes one");
    CommandError::of(ErrorReason::UnknownCampaign, message).at(field).with("campaign_id", id)
}

pub(super) fn grant(wire: &v1::Grant, words: &Words) -> Result<Grant, CommandError> {
    Ok(Grant {
        campaign: campaign_id("campaign_id", &wire.campaign_id)?,
        sku: sku_at(|| "sku".to_owned(), &wire.sku)?,
        location: location_at(|| "location_id".to_owned(), &wire.location_id, &words.default_location)?,
        units: Units(wire.units),
    })
}

pub(super) fn revoke(wire: v1::Revoke, words: &Words) -> Result<Revoke, CommandError> {
    let v1::Revoke { campaign_id, sku, location_id, units } = wire;
    let Grant { campaign, sku, location, units } = grant(&v1::Grant { campaign_id, sku, location_id, units }, words)?;
    Ok(Revoke { campaign, sku, location, units })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> v1::Campaign {
        v1::Campaign { campaign_id: "drop".into(), starts_at_ms: 5, ends_at_ms: 6, ..Default::default() }
    }

    fn refused(wire: v1::Campaign) -> String {
        let error = campaign(Some(wire)).unwrap_err();
        assert_eq!(error.reason(), ErrorReason::InvalidArgument);
        error.field
    }

    #[test]
    fn a_campaign_has_a_name_a_window_and_says_who_is_let_in() {
        let (id, spec) = campaign(Some(wire())).unwrap();
        assert_eq!((id.as_str(), spec.starts_at, spec.ends_at, spec.closed), ("drop", LogTime(5), LogTime(6), false));
        assert_eq!(campaign(None).unwrap_err().field, "campaign");
        assert_eq!(refused(v1::Campaign { campaign_id: String::new(), ..wire() }), "campaign.campaign_id");
        assert_eq!(refused(v1::Campaign { ends_at_ms: 5, ..wire() }), "campaign.ends_at_ms");
        assert_eq!(refused(v1::Campaign { ends_at_ms: u64::MAX, ..wire() }), "campaign.ends_at_ms");
        let admission = |admission| campaign(Some(v1::Campaign { admission, ..wire() })).unwrap().1.admission;
        assert_eq!([0, 1].map(admission), [CampaignAdmission::None; 2]);
        assert_eq!([2, 3].map(admission), [CampaignAdmission::Queue, CampaignAdmission::Lottery]);
        assert_eq!(refused(v1::Campaign { admission: 9, ..wire() }), "campaign.admission");
        assert_eq!(refused(v1::Campaign { closed: true, ..wire() }), "campaign.closed");
    }
}
