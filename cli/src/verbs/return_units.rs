//! `holdfast return`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::{Condition, PickedUnits};
use super::named::Named;
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Take shipped units back.
#[derive(Debug, Args)]
pub struct Return {
    #[command(flatten)]
    named: Named,
    /// These units of these lines, the first line being 0, of that lot; repeatable.
    #[arg(long = "line", value_name = "LINE=UNITS[:LOT]", required = true)]
    lines: Vec<PickedUnits>,
    /// Where they came back to; where they were shipped from if not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    location: String,
    /// In what state they are; quality-control if not given.
    #[arg(long, value_enum)]
    condition: Option<Condition>,
    #[command(flatten)]
    asking: Asking,
}

impl Return {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.named.id(&self.asking).await?);
        let units = v1::Return {
            reservation_id,
            lines: self.lines.into_iter().map(|part| part.0).collect(),
            location_id: self.location,
            condition: Condition::wire(self.condition),
        };
        self.asking.ask(Operation::Return(units), format).await
    }
}
