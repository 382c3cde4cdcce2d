//! A flash sale from its plan to its report: what a file says of it, held against the stock, opened, watched, closed and verified.
//!
//! Promises that a sale is opened as often as it is asked for with the same outcome: what is there already is left as it is, and ids
//! follow from what the file says. Leaves campaigns, limits and allocations to the cluster.

mod file;
mod kits;
mod open;
mod plan;
mod report;
mod verify;
mod watch;

pub use file::Sale;
pub use open::{Opened, OpenedRow, close, open};
pub use plan::plan;
pub use report::{SaleReport, Step, report};
pub use verify::verify;
pub use watch::{Look, sparkline, watch};

use holdfast_client::ids::CommandId;
use holdfast_client::{Allocations, Client, Consistency};
use holdfast_proto::v1;

use crate::connect::failure_of;
use crate::failure::Failure;

/// The longest name of a limit, in bytes.
const MAX_LIMIT_BYTES: usize = 64;

/// The limit per customer of one SKU in a sale: the same whenever it is asked for.
fn limit_of(sale: &str, sku: &str) -> String {
    let name = format!("{sale}/{sku}");
    if name.len() <= MAX_LIMIT_BYTES { name } else { CommandId::of_key(&name).to_string() }
}

/// What a sale has of which SKU where, by SKU and location.
async fn allocations(client: &Client, id: &str) -> Result<Vec<v1::Allocation>, Failure> {
    let which = Allocations { campaign_id: Some(id.to_owned()), sku: None };
    let mut found =
        client.reader(Consistency::Linearizable).allocations(which).take(usize::MAX).await.map_err(failure_of)?;
    found.sort_by(|a, b| (&a.sku, &a.location_id).cmp(&(&b.sku, &b.location_id)));
    Ok(found)
}

/// The campaign of a sale.
async fn campaign(client: &Client, id: &str) -> Result<v1::Campaign, Failure> {
    let found = client.campaigns(Some(id)).await.map_err(failure_of)?;
    found.into_iter().next().ok_or_else(|| Failure::usage(format!("there is no sale {id}")))
}

/// Units that a sale may still sell.
const fn left(of: &v1::Allocation) -> u64 {
    if of.closed { 0 } else { of.granted.saturating_sub(of.held).saturating_sub(of.sold) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_by_its_sale_and_sku_and_never_too_long() {
        assert_eq!(limit_of("drop-7", "LIP-01"), "drop-7/LIP-01");
        let long = limit_of("drop-7", &"X".repeat(64));
        assert!(long.len() <= MAX_LIMIT_BYTES && long == limit_of("drop-7", &"X".repeat(64)));
        assert_ne!(long, limit_of("drop-8", &"X".repeat(64)));
    }
}
