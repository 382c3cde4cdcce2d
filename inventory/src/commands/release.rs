//! `release`: a hold is given back.

use serde::{Deserialize, Serialize};

use crate::turn::{GiveBack, Turn};
use crate::{EventKind, Refusal, ReservationId, Success};

/// Gives back everything that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The reservation.
    pub reservation: ReservationId,
}

impl Release {
    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        record.check_no_order()?;
        if !record.is_holding() {
            return Err(record.refuse_without_hold());
        }
        turn.give_back(no, GiveBack::Release);
        turn.record(EventKind::ReservationReleased, Some(no), None);
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::Shop;
    use crate::*;

    #[test]
    fn what_is_given_back_may_be_promised_again_and_is_given_back_once() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let success = shop.release(1).unwrap();
        assert_eq!((success.atp_after, success.state), (1, Some(ReservationState::Released)));
        assert_eq!(shop.release(1), Err(Refusal::AlreadyReleased));
        assert_eq!(shop.commit(1), Err(Refusal::AlreadyReleased));
        assert_eq!(shop.release(2), Err(Refusal::ReservationNotFound));
    }
}
