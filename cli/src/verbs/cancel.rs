//! `holdfast cancel`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use super::named::Named;
use crate::ask::Asking;
use crate::failure::Failure;
use crate::output::Format;

/// Give back what a reservation has committed and not shipped.
#[derive(Debug, Args)]
pub struct Cancel {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    asking: Asking,
}

impl Cancel {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.named.id(&self.asking).await?);
        self.asking.ask(Operation::Cancel(v1::Cancel { reservation_id }), format).await
    }
}
