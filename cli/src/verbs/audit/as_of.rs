//! `holdfast audit asof`.

use clap::Args;
use serde::Serialize;

use crate::connect::Reading;
use crate::dates;
use crate::failure::Failure;
use crate::output::{Answer, Format};

/// Show the quantities of a SKU as they were at some time, worked out from the change log.
#[derive(Debug, Args)]
pub struct AsOf {
    /// The SKU.
    sku: String,
    /// When: 2027-05-31T09:00:00Z. Everything of that millisecond counts.
    #[arg(value_parser = dates::instant)]
    time: u64,
    #[command(flatten)]
    reading: Reading,
}

#[derive(Serialize)]
struct LevelRow {
    location: String,
    /// Empty: all lots of the location together.
    lot: String,
    on_hand: u64,
    reserved: u64,
    committed: u64,
    damaged: u64,
    quality_control: u64,
}

#[derive(Serialize)]
struct AsOfAnswer {
    sku: String,
    time: String,
    /// The last event that counts.
    seq: u64,
    levels: Vec<LevelRow>,
}

const HEADER: [&str; 7] = ["location", "lot", "on hand", "reserved", "committed", "damaged", "quality control"];

impl AsOf {
    /// Shows them.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { sku, time, reading } = self;
        let was = reading.stock_as_of(&sku, time).await?;
        let levels = was.levels.into_iter().map(|level| {
            let quantities = level.quantities.unwrap_or_default();
            LevelRow {
                location: level.location_id,
                lot: level.lot_id,
                on_hand: quantities.on_hand,
                reserved: quantities.reserved,
                committed: quantities.committed,
                damaged: quantities.damaged,
                quality_control: quantities.quality_control,
            }
        });
        let answer = AsOfAnswer { sku, time: dates::instant_text(time), seq: was.seq, levels: levels.collect() };
        let rows = answer.levels.iter().map(|row| {
            let n = |number: u64| number.to_string();
            let (on_hand, reserved, committed) = (n(row.on_hand), n(row.reserved), n(row.committed));
            [
                row.location.clone(),
                row.lot.clone(),
                on_hand,
                reserved,
                committed,
                n(row.damaged),
                n(row.quality_control),
            ]
        });
        Answer::rows(&answer, HEADER, rows).print(format);
        Ok(())
    }
}
