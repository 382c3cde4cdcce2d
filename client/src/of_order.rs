//! Which reservation an order's reference means.

use std::fmt;

use holdfast_proto::ids::ReservationId;
use holdfast_proto::v1;

use crate::{Client, Consistency, Error, Reservations};

/// Most reservations of one order that are told of.
const MOST: usize = 100;

/// Why an `order_ref` means no one reservation.
#[derive(Debug)]
#[non_exhaustive]
pub enum OfOrderError {
    /// None that is in memory has it; it may have ended long ago.
    None,
    /// These have it, oldest first within each shard; at most 100 are told.
    Several(Vec<v1::Reservation>),
    /// It is not known.
    Failed(Error),
}

impl fmt::Display for OfOrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no reservation with that order_ref is in memory"),
            Self::Several(found) => {
                let id = |one: &v1::Reservation| {
                    let state = one.state().as_str_name().trim_start_matches("RESERVATION_STATE_").to_lowercase();
                    format!("{} ({state})", ReservationId::from(one.reservation_id.unwrap_or_default()))
                };
                let ids: Vec<String> = found.iter().map(id).collect();
                write!(f, "several reservations have that order_ref: {}", ids.join(", "))
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OfOrderError {}

impl Client {
    /// The one reservation with that `order_ref`, ended or not. Asks the leader of every shard; an order with several reservations is
    /// for the caller to choose from.
    pub async fn reservation_of_order(&self, order_ref: &str) -> Result<ReservationId, OfOrderError> {
        let which = Reservations { state: None, order_ref: Some(order_ref.to_owned()) };
        let found = self.reader(Consistency::Linearizable).reservations(which).take(MOST).await;
        match found.map_err(OfOrderError::Failed)?.as_slice() {
            [] => Err(OfOrderError::None),
            [one] => Ok(one.reservation_id.unwrap_or_default().into()),
            several => Err(OfOrderError::Several(several.to_vec())),
        }
    }
}
