//! A sale while it goes on: what it has sold, holds and has left, looked at again and again.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use holdfast_client::{Client, EventWatch, Watch};
use holdfast_proto::v1;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::open::OpenedRow;
use super::report::hits_of;
use super::{allocations, campaign, limit_of};
use crate::connect::failure_of;
use crate::dates;
use crate::failure::Failure;

/// Looks that the curve goes back.
const MAX_CURVE: usize = 40;
/// From little to much.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

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
    /// The same of the last looks, this one last; nothing of the first.
    pub curve: Vec<f64>,
    /// How often a customer was refused by one of its limits since the first look.
    pub limit_hits: u64,
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
    let mut curve = VecDeque::new();
    let mut seen = 0;
    let filter = v1::EventFilter { kinds: vec!["limit.hit".to_owned()], ..v1::EventFilter::default() };
    let mut refusals = client.watch_events(EventWatch { filter, ..EventWatch::default() });
    let mut limit_hits = 0;
    loop {
        let now = Instant::now();
        let mut look = look(client, id).await?;
        look.limit_hits = limit_hits;
        if let Some((then, sold)) = before {
            #[allow(clippy::cast_precision_loss)] // a rate
            let units = look.sold.saturating_sub(sold) as f64;
            look.sold_per_s = units / (now - then).as_secs_f64().max(0.001);
            if curve.len() == MAX_CURVE {
                curve.pop_front();
            }
            curve.push_back(look.sold_per_s);
            look.curve = curve.iter().copied().collect();
        }
        before = Some((now, look.sold));
        let limits: BTreeSet<String> = look.lines.iter().map(|line| limit_of(id, &line.sku)).collect();
        show(&look);
        seen += 1;
        if look.closed || looks.is_some_and(|looks| seen >= looks) {
            return Ok(());
        }
        limit_hits += count_hits(&mut refusals, &limits, Instant::now() + every).await?;
    }
}

/// How often a customer is refused by one of those limits until then.
async fn count_hits(
    refusals: &mut Watch<v1::WatchEventsResponse>,
    limits: &BTreeSet<String>,
    until: Instant,
) -> Result<u64, Failure> {
    let mut hits = 0;
    while let Ok(answer) = timeout_at(until, refusals.next()).await {
        hits += hits_of(&answer.map_err(failure_of)?.events, limits);
    }
    Ok(hits)
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
        curve: Vec::new(),
        limit_hits: 0,
        lines,
    })
}

/// The curve as a line of bars, the highest of which is the fastest look; blank where nothing was sold.
pub fn sparkline(curve: &[f64]) -> String {
    let most = curve.iter().copied().fold(0.0, f64::max);
    let bar = |rate: f64| {
        if rate <= 0.0 {
            return ' ';
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // 1 to 8, as the rate is above 0 and at most `most`
        let height = (rate / most * 8.0).ceil() as usize;
        BARS[height.clamp(1, BARS.len()) - 1]
    };
    curve.iter().map(|rate| bar(*rate)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_look_has_the_highest_bar_and_an_idle_one_none() {
        assert_eq!(sparkline(&[0.0, 1.0, 8.0, 4.0, 0.001]), " ▁█▄▁");
        assert_eq!((sparkline(&[]), sparkline(&[0.0, 0.0])), (String::new(), "  ".to_owned()));
    }
}
