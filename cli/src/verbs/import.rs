//! `holdfast import`.

use std::path::PathBuf;

use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_client::{Client, Command, PutItem};
use holdfast_proto::v1::Item;
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::failure::{EXIT_USAGE, Failure};
use crate::input::{self, CatalogueReader, DirtKind, DirtTally, DirtyRow};
use crate::output::{self, Answer, Format};

/// Items asked for at once.
const IN_FLIGHT: usize = 512;

/// Make items of a catalogue: a CSV file whose header names its columns.
///
/// `product_id` becomes the SKU, `product_name`, `brand_name` and `primary_category` the name, brand and category, every
/// other column an attribute. Rows that cannot be used are counted by kind, shown with their line, and stop nothing.
#[derive(Debug, Args)]
pub struct Import {
    /// The catalogue, packed by gzip or not.
    file: PathBuf,
    #[command(flatten)]
    cluster: ClusterFlags,
}

#[derive(Serialize)]
struct ImportAnswer {
    rows: u64,
    imported: u64,
    dirty: DirtTally,
}

impl Import {
    /// Reads the file and makes the items.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let file = self.file.display().to_string();
        let mut reader = CatalogueReader::new(input::open(&self.file)?).map_err(|failure| failure.about(&file))?;
        let client = self.cluster.connect().await?;
        let mut answer = ImportAnswer { rows: 0, imported: 0, dirty: DirtTally::default() };
        let bar = output::spinner("importing");
        let mut asked = FuturesUnordered::new();
        loop {
            let next = reader.next_item().map_err(|failure| failure.about(&file))?;
            let is_end = next.is_none();
            match next {
                Some(Ok((line, item))) => {
                    answer.rows += 1;
                    asked.push(put(&client, line, item));
                }
                Some(Err(dirty)) => {
                    answer.rows += 1;
                    answer.dirty.note(&file, &dirty);
                }
                None => {}
            }
            while asked.len() >= IN_FLIGHT || (is_end && !asked.is_empty()) {
                match asked.next().await {
                    Some(Ok(())) => answer.imported += 1,
                    Some(Err((line, failure))) if failure.exit() == EXIT_USAGE => {
                        answer.dirty.note(&file, &DirtyRow::new(line, DirtKind::Refused, failure.message()));
                    }
                    Some(Err((line, failure))) => {
                        return Err(failure.about(format!("{file}:{line}")));
                    }
                    None => break,
                }
                bar.set_message(format!("importing: {} items", answer.imported));
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

async fn put(client: &Client, line: u64, item: Item) -> Result<(), (u64, Failure)> {
    let answer = client.execute(Command::from(PutItem::new(item))).await;
    answer.map(drop).map_err(|error| (line, crate::connect::failure_of(error)))
}
