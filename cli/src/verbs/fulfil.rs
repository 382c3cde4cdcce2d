//! `holdfast fulfil`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::lines::PickedUnits;
use super::named::Named;
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Ship committed units.
#[derive(Debug, Args)]
pub struct Fulfil {
    #[command(flatten)]
    named: Named,
    /// Only these units of these lines, the first line being 0, picked of that lot; repeatable. All if not given.
    #[arg(long = "line", value_name = "LINE=UNITS[:LOT]")]
    lines: Vec<PickedUnits>,
    #[command(flatten)]
    asking: Asking,
}

impl Fulfil {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.named.id(&self.asking).await?);
        let lines = self.lines.into_iter().map(|part| part.0).collect();
        self.asking.ask(Operation::Fulfil(v1::Fulfil { reservation_id, lines }), format).await
    }
}
