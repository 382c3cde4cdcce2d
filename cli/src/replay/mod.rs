//! A shop's event trace played against a cluster: looked at, held, given back, sold.

mod customers;
mod pace;
mod stocking;
mod tally;

use std::io::BufRead;
use std::path::Path;

use holdfast_client::Client;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::consistency::Freshness;
use crate::failure::Failure;
use crate::input::{self, DirtTally, TraceReader};
use crate::ledger::{self, Findings};
use crate::members::Members;
use crate::output;

pub use stocking::Stocking;

use customers::Customers;
use pace::Pace;
use tally::Tally;

/// How a trace is played.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What stock there is to begin with.
    pub stocking: Stocking,
    /// So many times as fast as it was recorded; `None`: as fast as it goes.
    pub speed: Option<f64>,
    /// How fresh a look at a product must be.
    pub freshness: Freshness,
}

/// What a replay came to.
#[derive(Serialize)]
pub struct ReplayReport {
    /// Rows of the file, dirty ones included.
    pub rows: u64,
    /// Rows that could not be used.
    pub dirty: DirtTally,
    /// Looks at a product's availability.
    pub views: u64,
    /// Holds granted.
    pub held: u64,
    /// Holds given back.
    pub released: u64,
    /// Units committed.
    pub sold: u64,
    /// Holds refused for lack of stock.
    pub refused: u64,
    /// Rows about a product that the cluster does not know.
    pub unknown_skus: u64,
    /// Units taken out of a cart that held none.
    pub unmatched_removals: u64,
    /// Units promised beyond what there was, by the ledger and by this program's own records.
    pub oversold: u64,
    /// SKUs whose quantities do not add up on some replica.
    pub unbalanced_skus: usize,
    /// All replicas of each shard are the same.
    pub replicas_identical: bool,
    /// The playing alone, without stocking and checking.
    pub seconds: f64,
}

impl ReplayReport {
    /// Does everything add up?
    pub const fn is_sound(&self) -> bool {
        self.oversold == 0 && self.unbalanced_skus == 0 && self.replicas_identical
    }
}

/// Stocks the products, plays the trace, and checks the ledger.
pub async fn replay(file: &Path, plan: Plan, client: &Client, members: &Members) -> Result<ReplayReport, Failure> {
    let shards = members.shards().await?;
    stocking::stock(file, plan.stocking, client).await?;
    let before = ledger::inspect(members, shards).await?;
    let started = Instant::now();
    let (rows, dirty, tally) = play(file, plan, client).await?;
    let seconds = started.elapsed().as_secs_f64();
    let checking = output::spinner("comparing the replicas");
    let after = ledger::inspect(members, shards).await;
    checking.finish_and_clear();
    let after = after?;
    for breach in &after.breaches {
        output::say(&format!("check: {breach}"));
    }
    Ok(ReplayReport {
        rows,
        dirty,
        views: tally.views,
        held: tally.held,
        released: tally.released,
        sold: tally.sold.values().sum(),
        refused: tally.refused,
        unknown_skus: tally.unknown_skus,
        unmatched_removals: tally.unmatched_removals,
        oversold: after.oversold.max(oversold_by_records(&before, &tally)),
        unbalanced_skus: after.unbalanced.len(),
        replicas_identical: after.identical,
        seconds: (seconds * 1_000.0).round() / 1_000.0,
    })
}

/// Units sold by this program's own records beyond what could be sold when it began.
fn oversold_by_records(before: &Findings, tally: &Tally) -> u64 {
    let sold = tally.sold.iter().map(|(sku, sold)| {
        let levels = before.levels.range((sku.clone(), String::new())..).take_while(|((of, _), _)| of == sku);
        let there: u64 =
            levels.map(|(_, l)| l.on_hand.saturating_sub(l.committed + l.damaged + l.quality_control)).sum();
        sold.saturating_sub(there)
    });
    sold.sum()
}

/// The trace behind its header, which must be right.
pub fn open(file: &Path) -> Result<TraceReader<Box<dyn BufRead + Send>>, Failure> {
    TraceReader::new(input::open(file)?).map_err(|failure| failure.about(file.display()))
}

async fn play(file: &Path, plan: Plan, client: &Client) -> Result<(u64, DirtTally, Tally), Failure> {
    let name = file.display().to_string();
    let mut reader = open(file)?;
    let customers = Customers::start(client, plan.freshness);
    let bar = output::spinner("replaying");
    let (mut rows, mut dirty) = (0, DirtTally::default());
    let started = Instant::now();
    let mut pace = Pace::new(plan.speed);
    let mut unreadable = None;
    loop {
        let row = match reader.next_event() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(failure) => {
                unreadable = Some(failure.about(format!("{name}, after {rows} rows, which were played")));
                break;
            }
        };
        rows += 1;
        if rows % 512 == 0 {
            bar.set_message(format!("replaying: row {rows}"));
        }
        match row {
            Err(row) => dirty.note(&name, &row),
            Ok(event) => {
                if let Some(due_after) = pace.due_after(event.at_s) {
                    sleep_until(started + due_after).await;
                }
                if customers.send(event).await.is_err() {
                    break;
                }
            }
        }
    }
    let tally = customers.finish().await;
    bar.finish_and_clear();
    match unreadable {
        Some(failure) => Err(failure),
        None => Ok((rows, dirty, tally?)),
    }
}
