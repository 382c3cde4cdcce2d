//! `holdfast stock import` and `holdfast stock export`: a shop's opening stock from a file, and its stock into one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_client::ids::CommandId;
use holdfast_client::v1::command::Operation;
use holdfast_client::{Client, Command, CommandKey, ExecuteOptions, Lots, Success};
use holdfast_proto::v1;
use holdfast_web::sheet::defused;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::connect::{ClusterFlags, failure_of};
use crate::dates;
use crate::failure::{EXIT_USAGE, Failure};
use crate::input::{self, DirtKind, DirtTally, DirtyRow, STOCK_COLUMNS, StockReader};
use crate::output::{self, Answer, Format};

/// Rows asked for at once.
const IN_FLIGHT: usize = 512;

/// Receive what a CSV file lists: columns sku and quantity, and location, lot and best_before where they are known.
///
/// Each row is decided once under an id that follows from its line and what it says: the same file again within what the cluster
/// remembers changes nothing. Rows that cannot be used are counted by kind, shown with their line, and stop nothing.
#[derive(Debug, Args)]
pub struct Import {
    /// The file, packed by gzip or not.
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Write the stock to stdout as CSV, in the form that import reads: a row for each lot at each location. No cell is a formula for a
/// spreadsheet: what begins like one has an apostrophe before it, which import takes off.
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct ImportAnswer {
    rows: u64,
    received: u64,
    units: u64,
    /// Rows that were received before.
    replayed: u64,
    dirty: DirtTally,
}

impl Import {
    /// Reads the file and receives what it lists.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let file = self.file.display().to_string();
        let mut reader = StockReader::new(input::open(&self.file)?).map_err(|failure| failure.about(&file))?;
        let client = self.cluster.connect().await?;
        let mut answer = ImportAnswer { rows: 0, received: 0, units: 0, replayed: 0, dirty: DirtTally::default() };
        let bar = output::spinner("importing");
        let mut asked = FuturesUnordered::new();
        loop {
            let next = reader.next_units().map_err(|failure| failure.about(&file))?;
            let is_end = next.is_none();
            answer.rows += u64::from(!is_end);
            match next {
                Some(Ok((_, receive))) if receive.units == 0 => {}
                Some(Ok((line, receive))) => asked.push(take_in(&client, line, receive)),
                Some(Err(dirty)) => answer.dirty.note(&file, &dirty),
                None => {}
            }
            while asked.len() >= IN_FLIGHT || (is_end && !asked.is_empty()) {
                match asked.next().await {
                    Some(Ok((units, done))) => {
                        answer.received += 1;
                        answer.units += u64::from(units);
                        answer.replayed += u64::from(done.replayed);
                    }
                    Some(Err((line, failure))) if is_of_the_row(&failure) => {
                        answer.dirty.note(&file, &DirtyRow::new(line, DirtKind::Refused, failure.message()));
                    }
                    Some(Err((line, failure))) => return Err(failure.about(format!("{file}:{line}"))),
                    None => break,
                }
                bar.set_message(format!("importing: {} rows", answer.received));
            }
            if is_end {
                break;
            }
        }
        bar.finish_and_clear();
        Answer::record(&answer).print(format);
        Ok(())
    }
}

/// Whether a failure says something of the row rather than of the cluster: bad input, an unknown item, an item or a lot that is
/// otherwise already.
pub(super) fn is_of_the_row(failure: &Failure) -> bool {
    const NOT_FOUND: u8 = 3;
    const REFUSED: u8 = 4;
    [EXIT_USAGE, NOT_FOUND, REFUSED].contains(&failure.exit())
}

async fn take_in(client: &Client, line: u64, receive: v1::Receive) -> Result<(u32, Success), (u64, Failure)> {
    let units = receive.units;
    let key = CommandKey::Own(CommandId::of_key(&format!("stock import, line {line}: {receive:?}")));
    let options = ExecuteOptions { key, ..ExecuteOptions::default() };
    let done = client.execute_with(Command::from(Operation::Receive(receive)), options).await;
    done.map(|done| (units, done)).map_err(|error| (line, failure_of(error)))
}

impl Export {
    /// Writes every row.
    pub async fn run(self) -> Result<(), Failure> {
        let client = self.cluster.connect().await?;
        let locations = client.locations().await.map_err(failure_of)?;
        let zones: BTreeMap<String, TimeZone> =
            locations.into_iter().map(|location| (location.location_id.clone(), dates::zone_of(&location))).collect();
        let reader = client.reader(Default::default());
        let mut by_lot = BTreeSet::new();
        let mut out = csv::Writer::from_writer(io::stdout().lock());
        write(&mut out, STOCK_COLUMNS)?;
        let mut lots = reader.all_lots(Lots::default());
        while let Some(lot) = lots.next().await.map_err(failure_of)? {
            for level in lot.levels.iter().filter(|level| level.on_hand > 0) {
                let zone = zones.get(&level.location_id).cloned().unwrap_or(TimeZone::UTC);
                let best_before = dates::day_text(lot.best_before_ms, &zone);
                write(&mut out, [&lot.sku, &level.location_id, &lot.lot_id, &best_before, &level.on_hand.to_string()])?;
            }
            by_lot.insert(lot.sku);
        }
        let mut levels = reader.stocks();
        while let Some(level) = levels.next().await.map_err(failure_of)? {
            if level.on_hand > 0 && !by_lot.contains(&level.sku) {
                write(&mut out, [&level.sku, &level.location_id, "", "", &level.on_hand.to_string()])?;
            }
        }
        out.flush().map_err(|error| unwritable(&error))
    }
}

fn write<const N: usize>(out: &mut csv::Writer<impl Write>, fields: [&str; N]) -> Result<(), Failure> {
    out.write_record(fields.map(defused)).map_err(|error| unwritable(&error))
}

fn unwritable(error: &impl std::fmt::Display) -> Failure {
    Failure::usage(format!("the stock cannot be written to stdout: {error}"))
}
