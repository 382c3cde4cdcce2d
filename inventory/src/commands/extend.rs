//! `extend`: a hold lives longer.

use serde::{Deserialize, Serialize};

use crate::commands::MAX_TTL_S;
use crate::turn::Turn;
use crate::{EventKind, Field, InvalidArgument, Refusal, ReservationId, Success};

/// Moves the expiry to now plus the time to live, never to an earlier time than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extend {
    /// The reservation.
    pub reservation: ReservationId,
    /// From now, in seconds, 1 to [`MAX_TTL_S`].
    pub ttl_s: u32,
}

impl Extend {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        if self.ttl_s == 0 || self.ttl_s > MAX_TTL_S { Err(InvalidArgument::of(Field::Ttl)) } else { Ok(()) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        record.check_no_order()?;
        if !record.is_holding() {
            return Err(record.refuse_without_hold());
        }
        let asked = turn.now().plus_seconds(self.ttl_s);
        if asked > record.max_expires_at {
            return Err(Refusal::ExtendLimitReached { max_expires_at: record.max_expires_at });
        }
        if asked > record.expires_at {
            turn.state.change_reservation(no, |record| record.expires_at = asked);
            turn.record(EventKind::ReservationExtended, Some(no), None);
        }
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{OPENING, Shop};
    use crate::*;

    #[test]
    fn the_later_of_the_present_and_the_new_expiry_holds() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        assert_eq!(shop.after_s(60).extend(1, 60).unwrap().expires_at, Some(LogTime(OPENING + 600_000)));
        assert_eq!(shop.extend(1, 600).unwrap().expires_at, Some(LogTime(OPENING + 660_000)));
        assert_eq!(shop.events(), [EventKind::ReservationExtended]);
        assert_eq!(shop.inventory.next_due(), Some(LogTime(OPENING + 660_000)));
    }

    #[test]
    fn a_hold_is_not_extended_beyond_the_item_s_longest() {
        let mut shop = Shop::with_rouge(1);
        shop.put_item("rouge", ItemSpec { max_hold_s: Some(900), ..ItemSpec::default() }).unwrap();
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let refused = shop.after_s(400).extend(1, 501);
        assert_eq!(refused, Err(Refusal::ExtendLimitReached { max_expires_at: LogTime(OPENING + 900_000) }));
        shop.extend(1, 500).unwrap();
    }

    #[test]
    fn a_hold_that_is_over_is_not_extended() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let refused = shop.after_s(600).extend(1, 600);
        assert_eq!(refused, Err(Refusal::ReservationExpired { expired_at: LogTime(OPENING + 600_000) }));
    }
}
