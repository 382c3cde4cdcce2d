//! `holdfast move`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::Condition;
use super::stock::Place;
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Give units another condition, where they lie.
#[derive(Debug, Args)]
pub struct Move {
    #[command(flatten)]
    place: Place,
    /// How many.
    #[arg(long)]
    units: u32,
    /// What they are; resellable if not given.
    #[arg(long, value_enum, value_name = "CONDITION")]
    from: Option<Condition>,
    /// What they are from now on.
    #[arg(long, value_enum, value_name = "CONDITION")]
    to: Condition,
    #[command(flatten)]
    asking: Asking,
}

impl Move {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self { place: Place { sku, location, lot }, units, from, to, asking } = self;
        let (from, to) = (Condition::wire(from), Condition::wire(Some(to)));
        let move_units = v1::Move { sku, location_id: location, lot_id: lot, units, from, to };
        asking.ask(Operation::Move(move_units), format).await
    }
}
