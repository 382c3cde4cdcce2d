//! A sale while it goes on: what it has sold, holds and has left, looked at again and again.

use std::time::Duration;

use holdfast_client::Client;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::open::OpenedRow;
use super::{allocations, campaign};
use crate::dates;
use crate::failure::Failure;

/// How it stands at one moment.
#[derive(Debug, Serialize)]
pub struct Look {
    pub time: String,
    pub sale: String,
    pub closed: bool,
    pub granted: u64,
    pub held: u64,
    pub sold: u64,
    pub left: u64,
    /// Since the look before.
    pub sold_per_s: f64,
    pub lines: Vec<OpenedRow>,
}

/// Looks every `every`, so often or until the sale is over, and gives each look out.
pub async fn watch(
    client: &Client,
    id: &str,
    every: Duration,
    looks: Option<u64>,
    mut show: impl FnMut(&Look),
) -> Result<(), Failure> {
    let mut before: Option<(Instant, u64)> = None;
    let mut seen = 0;
    loop {
        let now = Instant::now();
        let mut look = look(client, id).await?;
        if let Some((then, sold)) = before {
            #[allow(clippy::cast_precision_loss)] // a rate
            let units = look.sold.saturating_sub(sold) as f64;
            look.sold_per_s = units / (now - then).as_secs_f64().max(0.001);
        }
        before = Some((now, look.sold));
        show(&look);
        seen += 1;
        if look.closed || looks.is_some_and(|looks| seen >= looks) {
            return Ok(());
        }
        sleep(every).await;
    }
}

async fn look(client: &Client, id: &str) -> Result<Look, Failure> {
    let campaign = campaign(client, id).await?;
    let found = allocations(client, id).await?;
    let now = client.cluster_time_ms();
    let lines: Vec<OpenedRow> = found.iter().map(OpenedRow::of).collect();
    let sum = |of: fn(&OpenedRow) -> u64| lines.iter().map(of).sum();
    Ok(Look {
        time: dates::instant_text(now),
        sale: id.to_owned(),
        closed: campaign.closed || campaign.ends_at_ms <= now,
        granted: sum(|line| line.granted),
        held: sum(|line| line.held),
        sold: sum(|line| line.sold),
        left: sum(|line| line.left),
        sold_per_s: 0.0,
        lines,
    })
}
