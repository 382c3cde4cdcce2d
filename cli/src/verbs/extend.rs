//! `holdfast extend`.

use clap::Args;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;

use crate::ask::Asking;
use crate::failure::Failure;
use crate::ids::ReservationText;
use crate::output::Format;

/// Hold for longer.
#[derive(Debug, Args)]
pub struct Extend {
    /// The reservation, by the id that `reserve` printed.
    #[arg(long, value_name = "ID")]
    reservation: ReservationText,
    /// From now on, in seconds; never earlier than it was.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    ttl: u32,
    #[command(flatten)]
    asking: Asking,
}

impl Extend {
    /// Asks for it.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let reservation_id = Some(self.reservation.id());
        self.asking.ask(Operation::Extend(v1::Extend { reservation_id, ttl_s: self.ttl }), format).await
    }
}
