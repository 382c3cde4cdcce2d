//! Flash sales: `/v1/campaigns`, `/v1/campaigns/{campaign_id}` and what is done to one.

use axum::http::StatusCode;
use holdfast_client::{Allocations, Client, Error};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::limits::PAGE;
use crate::paging::{Page, Taken, page_from, page_of};
use crate::problem::Problem;
use crate::queues;
use crate::records::Record;
use crate::reply::{Answered, Done, Reply};
use crate::sheet::{Form, Sheet};
use crate::wire::{CauseSaid, FromWire, from_wire, said, shortened, words};

words! {
    /// Who is let in.
    CampaignAdmission { None, Queue, Lottery } else None
}

/// A flash sale. Instants are of cluster time, in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Campaign {
    campaign_id: String,
    /// It sells from then on,
    starts_at_ms: u64,
    /// and before then.
    ends_at_ms: u64,
    admission: CampaignAdmission,
    /// It was ended by hand.
    closed: bool,
    revision: u64,
}

from_wire!(Campaign { campaign_id, starts_at_ms, ends_at_ms, admission, closed, revision });

/// What of a SKU at a location is kept for a campaign.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Allocation {
    campaign_id: String,
    sku: String,
    location_id: String,
    /// Units given to it and not taken back.
    granted: u64,
    held: u64,
    sold: u64,
    /// Its campaign is over: what is neither held nor sold is on sale again.
    closed: bool,
}

from_wire!(Allocation { campaign_id, sku, location_id, granted, held, sold, closed });

/// A campaign with what it has.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CampaignShown {
    campaign: Campaign,
    /// At most 500.
    allocations: Vec<Allocation>,
    /// Where `/allocations` goes on; not there: these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// Allocations as a table.
pub(crate) const SHEET: Sheet = Sheet {
    name: "allocations",
    each: None,
    columns: &["campaign_id", "sku", "location_id", "granted", "held", "sold", "closed"],
};

/// When a campaign sells, and to whom.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CampaignSaid {
    /// In milliseconds since the Unix epoch.
    starts_at_ms: u64,
    ends_at_ms: u64,
    /// Everybody if it is not said.
    #[serde(default)]
    #[schema(nullable = false)]
    admission: Option<CampaignAdmission>,
}

/// Nothing has to be said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseRequest {}

/// Units that a campaign is given, or that are taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShareRequest {
    sku: String,
    /// Empty: the cluster's default location.
    #[serde(default)]
    location_id: String,
    /// 1 to 2 000 000 000.
    units: u32,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The campaigns, in the order of their ids.
#[utoipa::path(get, path = "/v1/campaigns", tag = "campaigns",
    params(("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Campaign>)))]
pub(crate) async fn list_campaigns(asked: Asked) -> Answered {
    asked.only_query(&["limit", "cursor"])?;
    let items = asked.client()?.campaigns(None).await?;
    asked.page_of_records::<Campaign, _>(items, |it| &it.campaign_id)
}

/// A campaign with what it has of which SKU where.
#[utoipa::path(get, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    responses((status = 200, description = "The campaign", body = CampaignShown)))]
pub(crate) async fn get_campaign(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, asked.path("campaign_id"));
    let campaign = client.campaigns(Some(id)).await?.into_iter().next().unwrap_or_default();
    let which = Allocations { campaign_id: Some(id.to_owned()), sku: None };
    let Taken { entries, next_cursor, seen } =
        page_from(asked.reader(&client, None)?.allocations(which), None, PAGE).await?;
    let revision = campaign.revision;
    let (campaign, allocations) = (Campaign::from_wire(campaign), Vec::from_wire(entries));
    let shown = CampaignShown { campaign, allocations, next_cursor };
    Ok(Reply::ok(&shown).seen_all(seen).tagged_as_shown(revision))
}

/// What of which SKU where is kept for a campaign, shard by shard.
#[utoipa::path(get, path = "/v1/campaigns/{campaign_id}/allocations", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded"),
           ("format" = Option<Form>, Query, description = "Else by `Accept`: JSON, or a table"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Allocation>)))]
pub(crate) async fn list_allocations(asked: Asked) -> Answered {
    let form = asked.form()?;
    asked.only_query(&["format", "limit", "cursor"])?;
    let client = asked.client()?;
    let which = Allocations { campaign_id: Some(asked.path("campaign_id").to_owned()), sku: None };
    let found = page_of(asked.reader(&client, None)?.allocations(which), &asked).await?;
    found.in_form::<Allocation>(form, &asked, &SHEET)
}

/// Makes a campaign known. The same again changes nothing.
#[utoipa::path(put, path = "/v1/campaigns/{campaign_id}", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = CampaignSaid, responses((status = 200, description = "It is known", body = Campaign)))]
pub(crate) async fn open_campaign(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let CampaignSaid { starts_at_ms, ends_at_ms, admission } = asked.body()?;
    let campaign = v1::Campaign {
        campaign_id: asked.path("campaign_id").to_owned(),
        starts_at_ms,
        ends_at_ms,
        admission: said(admission, CampaignAdmission::wire),
        ..v1::Campaign::default()
    };
    let id = campaign.campaign_id.clone();
    asked.at_revision("campaign", |client| revision_of(client, id)).await?;
    let (known, is_anothers) = asked.put_record::<v1::Campaign>(Record::Campaign(campaign)).await?;
    let revision = known.revision;
    Ok(Reply::ok(&Campaign::from_wire(known)).tagged(revision).replayed(is_anothers))
}

/// What is done to a campaign, by the verb behind its id.
pub(crate) async fn change_campaign(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (id, verb) = asked.path_and_verb("campaign_id")?;
    // Of the others a shard decides, which knows no revision of the campaign.
    if verb == "close" {
        asked.no_if_none_match()?
    } else {
        asked.no_conditions()?
    }
    match verb {
        "close" => close_campaign(&asked, id).await,
        "grant" => grant(&asked, id).await,
        "revoke" => revoke(&asked, id).await,
        "join" => queues::join(&asked, id).await,
        "admit" => queues::admit(&asked, id).await,
        "commit_draw" => queues::commit_draw(&asked, id).await,
        "draw" => queues::draw(&asked, id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to a campaign", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Ends a campaign: what it has not sold goes back to sale. The same again is answered the same.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:close", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = CloseRequest, responses((status = 200, description = "It is over", body = Campaign)))]
pub(crate) async fn close_campaign(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let CloseRequest {} = asked.body()?;
    asked.at_revision("campaign", |client| revision_of(client, id.to_owned())).await?;
    let (closed, is_anothers) =
        asked.put_record_under::<v1::Campaign>(Some(key), Record::CampaignEnd(id.to_owned())).await?;
    let revision = closed.revision;
    Ok(Reply::ok(&Campaign::from_wire(closed)).tagged(revision).replayed(is_anothers))
}

/// Of a campaign as it is known now.
async fn revision_of(client: Client, campaign_id: String) -> Result<u64, Error> {
    Ok(client.campaigns(Some(&campaign_id)).await?.first().map_or(0, |campaign| campaign.revision))
}

/// Keeps units for a campaign that could be promised to anybody.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:grant", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = ShareRequest, responses((status = 200, description = "It has them", body = Done)))]
pub(crate) async fn grant(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let ShareRequest { sku, location_id, units, cause } = asked.body()?;
    let grant = v1::Grant { campaign_id: id.to_owned(), sku, location_id, units };
    asked.execute(Some(key), Operation::Grant(grant), cause, StatusCode::OK).await
}

/// Takes units back that a campaign neither holds nor has sold.
#[utoipa::path(post, path = "/v1/campaigns/{campaign_id}:revoke", tag = "campaigns",
    params(("campaign_id" = String, Path, description = "Its id, percent-encoded")),
    request_body = ShareRequest, responses((status = 200, description = "They are taken back", body = Done)))]
pub(crate) async fn revoke(asked: &Asked, id: &str) -> Answered {
    let key = asked.key_needed()?;
    let ShareRequest { sku, location_id, units, cause } = asked.body()?;
    let revoke = v1::Revoke { campaign_id: id.to_owned(), sku, location_id, units };
    asked.execute(Some(key), Operation::Revoke(revoke), cause, StatusCode::OK).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::has_every_field;

    #[test]
    fn a_table_has_every_field() {
        has_every_field(&SHEET, &Allocation::from_wire(v1::Allocation::default()), &[]);
    }
}
