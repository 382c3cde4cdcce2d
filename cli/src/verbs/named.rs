//! A reservation as it is named on the command line: by its id, or by the order's reference.

use clap::Args;
use holdfast_client::OfOrderError;
use holdfast_proto::v1::Id;

use crate::ask::Asking;
use crate::connect::failure_of;
use crate::failure::Failure;
use crate::ids::ReservationText;

/// Which reservation is meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Named {
    /// The reservation, by the id that `reserve` printed.
    #[arg(long, value_name = "ID")]
    reservation: Option<ReservationText>,
    /// The one reservation with this reference of the shop; refused where several have it.
    #[arg(long, value_name = "REF", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    order_ref: Option<String>,
}

impl Named {
    /// Its id as the wire has it.
    pub async fn id(&self, asking: &Asking) -> Result<Id, Failure> {
        if let Some(reservation) = &self.reservation {
            return Ok(reservation.id());
        }
        let order_ref = self.order_ref.as_deref().unwrap_or_default();
        let found = asking.connect().await?.reservation_of_order(order_ref).await;
        found.map(Into::into).map_err(|error| match error {
            OfOrderError::Failed(error) => failure_of(error),
            OfOrderError::None => {
                let failure = Failure::not_found(error.to_string()).about(order_ref);
                failure.hint("one that ended long ago is not remembered; `holdfast reservation list` shows what is")
            }
            other => Failure::usage(other.to_string()).about(order_ref).hint("name one of them with --reservation"),
        })
    }
}
