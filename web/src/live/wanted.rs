//! What a reader wants to hear of: SKUs, or those of categories and campaigns as they are when it asks.

use std::collections::BTreeSet;

use holdfast_client::{Allocations, Client, Consistency};
use holdfast_proto::v1;
use serde::Deserialize;
use utoipa::ToSchema;

use super::SKUS;
use crate::problem::Problem;

/// Items that are looked through for categories.
const ITEMS: usize = 200_000;
/// Names in one list.
const NAMES: usize = SKUS;

/// What a reader subscribes to, or no longer does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = LiveWanted)]
pub(crate) struct Wanted {
    pub(super) skus: Vec<String>,
    /// The SKUs of items of these categories, as they are now.
    pub(super) categories: Vec<String>,
    /// The SKUs of which these campaigns have some, as they are now.
    pub(super) campaigns: Vec<String>,
}

impl Wanted {
    /// The SKUs that it comes to; at most [`SKUS`] together with `known`.
    pub(super) async fn skus(&self, client: &Client, known: &BTreeSet<String>) -> Result<BTreeSet<String>, Problem> {
        for (field, names) in [("skus", &self.skus), ("categories", &self.categories), ("campaigns", &self.campaigns)] {
            if names.len() > NAMES {
                return Err(Problem::invalid(field, format!("has {} names: at most {NAMES}", names.len())));
            }
            if let Some(at) = names.iter().position(|name| name.is_empty() || name.len() > 64) {
                return Err(Problem::invalid(format!("{field}[{at}]"), "has 1 to 64 bytes"));
            }
        }
        let mut skus: BTreeSet<String> = self.skus.iter().cloned().collect();
        let reader = client.reader(Consistency::Stale);
        for campaign in &self.campaigns {
            let which = Allocations { campaign_id: Some(campaign.clone()), sku: None };
            skus.extend(reader.allocations(which).take(SKUS + 1).await?.into_iter().map(|it| it.sku));
        }
        if !self.categories.is_empty() {
            let (mut items, mut looked) = (reader.items(), 0);
            while let Some(v1::Item { sku, category, .. }) = items.next().await? {
                looked += 1;
                if self.categories.contains(&category) {
                    skus.insert(sku);
                }
                if skus.len() > SKUS || looked == ITEMS {
                    break;
                }
            }
        }
        let all = skus.union(known).count();
        if all > SKUS {
            return Err(Problem::overloaded(format!(
                "one reader hears of at most {SKUS} SKUs; these are {all} or more"
            )));
        }
        Ok(skus)
    }
}
