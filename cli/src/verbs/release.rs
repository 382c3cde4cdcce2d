//! `holdfast release`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use crate::ask::Asking;
use crate::failure::Failure;
use crate::ids::ReservationText;
use crate::output::Format;

/// Give back what a reservation holds.
#[derive(Debug, Args)]
pub struct Release {
    /// The reservation, by the id that `reserve` printed.
    #[arg(long, value_name = "ID")]
    reservation: ReservationText,
    #[command(flatten)]
    asking: Asking,
}

impl Release {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.reservation.id());
        self.asking.ask(Operation::Release(v1::Release { reservation_id }), format).await
    }
}
