//! What counts, transfers and expected receipts have in common: how they are listed, and their lines.

use holdfast_client::Documents;
use holdfast_proto::v1;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::problem::Problem;
use crate::wire::CauseSaid;

/// The parameters that [`documents`] reads.
pub(crate) const KNOWN: [&str; 5] = ["open_only", "sku", "location_id", "limit", "cursor"];

/// Which of them the query asks for.
pub(crate) fn documents(asked: &Asked) -> Result<Documents, Problem> {
    Ok(Documents {
        open_only: asked.query_number("open_only")?.unwrap_or(false),
        sku: asked.query_text("sku").map(str::to_owned),
        location_id: asked.query_text("location_id").map(str::to_owned),
    })
}

/// Units of one lot.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentLine {
    /// Empty where the SKU is not tracked by lot.
    #[serde(default)]
    lot_id: String,
    /// 1 to 2 000 000 000.
    units: u32,
}

impl DocumentLine {
    pub(crate) fn wire(self) -> v1::DocumentLine {
        let Self { lot_id, units } = self;
        v1::DocumentLine { lot_id, units }
    }
}

/// Nothing has to be said.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EndRequest {
    #[schema(nullable = false)]
    pub(crate) cause: Option<CauseSaid>,
}
