//! What the public is shown of availability: `/public/v1/availability`. A CDN may keep it for a second.

use std::fmt;
use std::str::FromStr;

use axum::http::header;
use serde::Serialize;
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::availability::{Audience, Availability, AvailabilityBatch, AvailabilityStatus, look_at_many, look_at_one};
use crate::changes::{BatchAnswer, Each};
use crate::problem::Problem;
use crate::reply::{Answered, Reply};

/// For a CDN: fresh for a second, and shown for five more while it is asked for anew.
const CACHED: &str = "public, max-age=1, stale-while-revalidate=5";

/// How much of a quantity the public is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Exact,
    /// It, up to so many.
    Capped(u64),
    /// The status alone.
    #[default]
    Status,
}

impl Shown {
    /// As much of a quantity as is shown; `None`: nothing of it.
    pub(crate) fn quantity(self, units: u64) -> Option<u64> {
        match self {
            Self::Exact => Some(units),
            Self::Capped(most) => Some(units.min(most)),
            Self::Status => None,
        }
    }
}

impl FromStr for Shown {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match (text, text.strip_prefix("capped:")) {
            ("exact", _) => Ok(Self::Exact),
            ("status", _) => Ok(Self::Status),
            (_, Some(most)) => most.parse().ok().filter(|most| *most > 0).map(Self::Capped).ok_or(()),
            _ => Err(()),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::Capped(most) => write!(f, "capped:{most}"),
            Self::Status => f.write_str("status"),
        }
    }
}

/// What the public is shown of a SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PublicAvailability {
    sku: String,
    status: AvailabilityStatus,
    /// How many units; not there: that is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    available: Option<u64>,
    /// There are more than `available`; not there: there are not, or that is not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    or_more: Option<bool>,
    /// Of a preorder: when it is out, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    release_at_ms: Option<u64>,
}

impl PublicAvailability {
    fn of(seen: Availability, shown: Shown) -> Self {
        let Availability { sku, status, available, release_at_ms, .. } = seen;
        let (available, or_more) = match (shown, available) {
            (Shown::Status, _) | (_, None) => (None, None),
            (Shown::Exact, Some(units)) => (Some(units), None),
            (Shown::Capped(most), Some(units)) => (Some(units.min(most)), (units > most).then_some(true)),
        };
        Self { sku, status, available, or_more, release_at_ms }
    }
}

/// What may be had of a SKU, as much of it as the shop shows.
#[utoipa::path(get, path = "/public/v1/availability/{sku}", tag = "public",
    params(("sku" = String, Path, description = "An item or a kit, percent-encoded"),
           ("location_id" = Option<String>, Query, description = "Only there"),
           ("channel_id" = Option<String>, Query, description = "As that channel sells")),
    responses((status = 200, description = "What may be had", body = PublicAvailability)))]
pub(crate) async fn get_public_availability(asked: Asked) -> Answered {
    let (seen, token) = look_at_one(&asked, Audience::Public).await.map_err(Problem::for_public)?;
    let shown = PublicAvailability::of(seen, asked.web.shown);
    Ok(Reply::ok(&shown).seen(token).tagged_as_shown(0).with(header::CACHE_CONTROL, CACHED))
}

/// The same of many SKUs; each is answered by itself.
#[utoipa::path(post, path = "/public/v1/availability:batch", tag = "public", request_body = AvailabilityBatch,
    responses((status = 200, description = "What may be had of each, in order", body = BatchAnswer<PublicAvailability>)))]
pub(crate) async fn batch_public_availability(asked: Asked) -> Answered {
    let (results, tokens) = look_at_many(&asked, Audience::Public).await.map_err(Problem::for_public)?;
    let shown = |seen| PublicAvailability::of(seen, asked.web.shown);
    let each = |result: Result<_, Problem>| Each::of(result.map(shown).map_err(Problem::for_public), 200);
    let results = results.into_iter().map(each).collect();
    let reply = Reply::ok(&BatchAnswer::<PublicAvailability> { results }).with(header::CACHE_CONTROL, CACHED);
    Ok(reply.seen_all(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(units: Option<u64>, shown: Shown) -> serde_json::Value {
        let seen = Availability::example("A", AvailabilityStatus::InStock, units);
        serde_json::to_value(PublicAvailability::of(seen, shown)).expect("it is JSON")
    }

    #[test]
    fn the_public_is_shown_what_the_settings_say_and_no_more() {
        use serde_json::json;
        assert_eq!(shown(Some(17), Shown::Exact), json!({"sku": "A", "status": "in_stock", "available": 17}));
        assert_eq!(
            shown(Some(17), Shown::Capped(10)),
            json!({"sku": "A", "status": "in_stock", "available": 10, "or_more": true})
        );
        assert_eq!(shown(Some(10), Shown::Capped(10)), json!({"sku": "A", "status": "in_stock", "available": 10}));
        assert_eq!(shown(Some(17), Shown::Status), json!({"sku": "A", "status": "in_stock"}));
        assert_eq!(shown(None, Shown::Exact), json!({"sku": "A", "status": "in_stock"}));
    }

    #[test]
    fn the_setting_is_read_as_it_is_written() {
        for said in ["exact", "capped:10", "status"] {
            assert_eq!(said.parse::<Shown>().map(|shown| shown.to_string()).as_deref(), Ok(said));
        }
        for bad in ["", "capped", "capped:", "capped:0", "capped:-1", "all"] {
            assert!(bad.parse::<Shown>().is_err(), "{bad}");
        }
    }
}
