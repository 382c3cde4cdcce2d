//! `cancel`: what is sold and not shipped is given back.

use serde::{Deserialize, Serialize};

use crate::turn::{GiveBack, Turn};
use crate::{EventKind, Refusal, ReservationId, Success};

/// Gives back everything that is committed and not shipped, and what is still held with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The reservation.
    pub reservation: ReservationId,
}

impl Cancel {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        record.check_no_order()?;
        if record.state().is_ended() {
            return Err(record.refuse_without_hold());
        }
        turn.give_back(no, GiveBack::CancelAll);
        turn.record(EventKind::ReservationCancelled, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn cancelling_after_a_partial_shipment_ends_as_fulfilled() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        shop.fulfil(1, &[(0, 1)]).unwrap();
        assert_eq!(shop.cancel(1).unwrap().state, Some(ReservationState::Fulfilled));
        let units = shop.reservation(1).lines[0].units;
        assert_eq!((units.fulfilled, units.cancelled, shop.stock("rouge").atp), (1, 2, 4));
    }

    #[test]
    fn what_is_sold_and_cancelled_may_be_promised_again() {
        let mut shop = Shop::with_rouge(5);
        shop.reserve(1, &[("rouge", 3)]).unwrap();
        shop.commit(1).unwrap();
        assert_eq!(shop.cancel(1).unwrap().state, Some(ReservationState::Cancelled));
        assert_eq!(shop.stock("rouge").atp, 5);
        assert_eq!(shop.cancel(1), Err(Refusal::AlreadyReleased));
    }
}
