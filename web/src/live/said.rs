//! What readers are told of availability, and in which form each audience is told it.

use holdfast_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Shown;

/// At or below its threshold: `Last items remaining`. It was out and is back: `Restocked`.
const LOW: &str = "Last items remaining";
const BACK: &str = "Restocked";

/// How much there is, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LiveLevel)]
pub(crate) enum Level {
    InStock,
    Low,
    Out,
}

/// What may be promised of a SKU at a location now.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = LiveAvailability)]
pub(crate) struct Said {
    /// `availability`.
    #[serde(rename = "type")]
    kind: &'static str,
    pub(super) sku: String,
    pub(super) location_id: String,
    pub(super) status: Level,
    /// Not there where the audience is told the status alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) quantity: Option<u64>,
    /// It was out, and is back.
    pub(super) back: bool,
    /// A sentence for a customer; empty: nothing to say.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(required = false)]
    message: &'static str,
}

impl Said {
    pub(super) fn of(change: &v1::AvailabilityChange, shown: Shown) -> Self {
        let status = match change.level() {
            v1::AvailabilityLevel::Unspecified | v1::AvailabilityLevel::InStock => Level::InStock,
            v1::AvailabilityLevel::Low => Level::Low,
            v1::AvailabilityLevel::Out => Level::Out,
        };
        let message = match (change.back, status) {
            (true, Level::InStock | Level::Low) => BACK,
            (_, Level::Low) => LOW,
            _ => "",
        };
        Self {
            kind: "availability",
            sku: change.sku.clone(),
            location_id: change.location_id.clone(),
            status,
            quantity: shown.quantity(change.atp),
            back: change.back,
            message,
        }
    }
}
