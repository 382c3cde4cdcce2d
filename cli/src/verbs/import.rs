//! `holdfast import`.

use std::path::PathBuf;

use clap::Args;
use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_client::{Client, Command, Error, PutItem};
use holdfast_proto::v1::{ErrorReason, Item};
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::failure::Failure;
use crate::input::{self, CatalogueReader, DirtKind, DirtTally, DirtyRow};
use crate::output::{self, Answer, Format};

use super::stock_file::is_of_the_row;

/// Items asked for at once.
const IN_FLIGHT: usize = 512;

/// Make items of a catalogue: a CSV file whose header names its columns.
///
/// `product_id` becomes the SKU, `product_name`, `brand_name` and `primary_category` the name, brand and category, every
/// other column an attribute. Of an item that is there already all else stays as it is, and so does what a row leaves empty.
/// Rows that cannot be used are counted by kind, shown with their line, and stop nothing.
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
                    Some(Err((line, failure))) if is_of_the_row(&failure) => {
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
    let put = async {
        let put = match client.item(&item.sku).await {
            // Another change in between is not undone.
            Ok(known) => PutItem::new(told_of(&known.value, item)).if_revision(known.value.revision),
            Err(error) if error.reason() == ErrorReason::UnknownSku => PutItem::new(item),
            Err(error) => return Err(error),
        };
        client.execute(Command::from(put)).await.map(drop)
    };
    put.await.map_err(|error: Error| (line, crate::connect::failure_of(error)))
}

/// An item with what a catalogue says of it: how it is stocked and sold is no matter of a catalogue's.
fn told_of(known: &Item, told: Item) -> Item {
    let or = |told: String, known: &String| if told.is_empty() { known.clone() } else { told };
    Item {
        name: or(told.name, &known.name),
        brand: or(told.brand, &known.brand),
        category: or(told.category, &known.category),
        attributes_json: or(told.attributes_json, &known.attributes_json),
        ..known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_changes_what_it_says_of_an_item_and_nothing_else() {
        let known = Item {
            sku: "CREAM-50".to_owned(),
            name: "Cream".to_owned(),
            brand: "Rose & Co".to_owned(),
            attributes_json: r#"{"size":50}"#.to_owned(),
            lot_tracked: true,
            low_stock_threshold: 20,
            revision: 7,
            ..Item::default()
        };
        let told = Item {
            sku: "CREAM-50".to_owned(),
            name: "Night cream".to_owned(),
            category: "face".to_owned(),
            ..Item::default()
        };
        let expected = Item { name: "Night cream".to_owned(), category: "face".to_owned(), ..known.clone() };
        assert_eq!(told_of(&known, told), expected);
    }
}
