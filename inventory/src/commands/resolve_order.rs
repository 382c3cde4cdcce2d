//! `order resolve`: somebody decides what is to become of an order.

use serde::{Deserialize, Serialize};

use super::{Commit, IfExpired};
use crate::turn::{GiveBack, Turn};
use crate::{
    EventKind, Field, InvalidArgument, MAX_CAUSE_BYTES, OrderState, Refusal, ReservationId, Resolution, StepState,
    Success,
};

/// Decides what is to become of an order that is stuck, or has one come to nothing that is not.
///
/// Confirmed: the units are tried for anew, as after any hold whose time was over, and sold. Not confirmed: what is not known or
/// could not be taken back is somebody's business, and the order is over; one that runs comes to nothing first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveOrder {
    /// The order's reservation.
    pub order: ReservationId,
    /// True: it stands. False: it does not.
    pub confirm: bool,
    /// Why: 1 to [`MAX_CAUSE_BYTES`] bytes.
    pub reason: String,
}

impl ResolveOrder {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        let is_bad = self.reason.trim().is_empty() || self.reason.len() > MAX_CAUSE_BYTES;
        if is_bad { Err(InvalidArgument::of(Field::Why)) } else { Ok(()) }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.order(self.order)?;
        let order = turn.order_record(no);
        let resolution = Resolution { confirmed: self.confirm, reason: self.reason.clone(), at: turn.now() };
        match (order.state, self.confirm) {
            (OrderState::Confirmed, true) | (OrderState::Aborted, false) => {}
            (state @ (OrderState::Confirmed | OrderState::Aborted), _) => return Err(Refusal::OrderEnded { state }),
            (state @ (OrderState::Running | OrderState::Compensating), true) => {
                return Err(Refusal::OrderOpen { state });
            }
            (OrderState::Stuck, true) => {
                let reservation = self.order;
                let if_expired = IfExpired::Retake;
                let commit = Commit { reservation, parts: Vec::new(), last: false, if_expired, cancel_at: None };
                commit.sell(turn, no)?;
                turn.state.change_order(no, |order, now| {
                    order.resolution = Some(resolution);
                    order.end(OrderState::Confirmed, now);
                });
                turn.record_order(EventKind::OrderCommitted, no, None);
            }
            (OrderState::Stuck, false) => {
                turn.state.change_order(no, |order, now| {
                    order.resolution = Some(resolution);
                    order.end(OrderState::Aborted, now);
                });
                turn.record_order(EventKind::OrderAborted, no, None);
            }
            (OrderState::Compensating, false) => {
                turn.state.change_order(no, |order, _| {
                    order.resolution.get_or_insert(resolution);
                });
            }
            (OrderState::Running, false) => {
                // What is being done may be done already.
                let at = order.current();
                turn.state.change_order(no, |order, _| {
                    order.resolution = Some(resolution);
                    order.why.clone_from(&self.reason);
                    if let Some(at) = at {
                        order.steps[at].end(StepState::Unknown);
                    }
                });
                turn.record_order(EventKind::OrderStepEnded, no, at);
                turn.abort_order(no, None, GiveBack::Release);
            }
        }
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::StepReport;
    use crate::test_shop::{Shop, id, step};
    use crate::*;

    fn done() -> StepReport {
        StepReport::Done { answer: Vec::new(), is_fallback: false }
    }

    fn stuck_shop() -> Shop {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.start_order(1, vec![step("pay", 60)]).unwrap();
        shop.after_s(60).report_back(1, "pay", done()).unwrap();
        assert_eq!(shop.inventory.order(id(1)).unwrap().state, OrderState::Stuck);
        shop
    }

    #[test]
    fn a_stuck_order_is_confirmed_where_its_units_are_still_there() {
        let mut shop = stuck_shop();
        assert_eq!(shop.resolve(1, true).unwrap().state, Some(ReservationState::Committed));
        assert_eq!(
            shop.events(),
            [EventKind::ReservationCommitted, EventKind::AvailabilityOut, EventKind::OrderCommitted]
        );
        assert_eq!(shop.resolve(1, false), Err(Refusal::OrderEnded { state: OrderState::Confirmed }));
        shop.resolve(1, true).unwrap();
        assert_eq!(shop.inventory.order(id(1)).unwrap().resolution.unwrap().reason, "seen in the bank's list");
    }

    #[test]
    fn a_stuck_order_whose_units_are_sold_elsewhere_is_not_confirmed_and_stays_stuck() {
        let mut shop = stuck_shop();
        shop.reserve(2, &[("rouge", 1)]).unwrap();
        assert!(matches!(shop.resolve(1, true), Err(Refusal::InsufficientStock { .. })));
        assert_eq!(shop.inventory.order(id(1)).unwrap().state, OrderState::Stuck);
        shop.resolve(1, false).unwrap();
        assert_eq!(shop.events(), [EventKind::OrderAborted]);
        assert_eq!(shop.inventory.open_orders(), 0);
    }

    #[test]
    fn an_order_that_runs_is_made_to_come_to_nothing_and_is_not_confirmed() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        assert_eq!(shop.resolve(1, false), Err(Refusal::OrderNotFound));
        shop.start_order(1, vec![step("pay", 60), step("fraud", 60)]).unwrap();
        shop.report(1, "pay", done()).unwrap();
        assert_eq!(shop.resolve(1, true), Err(Refusal::OrderOpen { state: OrderState::Running }));
        assert_eq!(shop.resolve(1, false).unwrap().state, Some(ReservationState::Released));
        shop.report_back(1, "fraud", done()).unwrap();
        shop.report_back(1, "pay", done()).unwrap();
        // Whoever had it come to nothing knows of the step that was not heard of.
        assert_eq!(shop.inventory.order(id(1)).unwrap().state, OrderState::Aborted);
    }

    #[test]
    fn a_reason_is_asked_for() {
        let mut shop = stuck_shop();
        for reason in [String::new(), "x".repeat(256)] {
            let resolve = crate::commands::ResolveOrder { order: id(1), confirm: false, reason };
            let refused = Refusal::InvalidArgument(InvalidArgument::of(Field::Why));
            assert_eq!(shop.run(Operation::ResolveOrder(resolve)), Err(refused));
        }
    }
}
