//! `order start`: external steps decide whether a hold is sold.

use serde::{Deserialize, Serialize};

use super::FULL_RETRY_MS;
use crate::order::validate_steps;
use crate::state::OrderRecord;
use crate::turn::Turn;
use crate::{EventKind, InvalidArgument, LineCounts, Refusal, ReservationId, ReservationState, StepSpec, Success};

/// Has steps done one after the other. All done: the reservation is sold in the entry of the last one. One that fails, or does not
/// answer in time: the units are given back, and what was done is taken back, the last first.
///
/// While it runs, the hold does not end by its time: it is extended by as much as the steps may take together, at most as an extend
/// could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOrder {
    /// The reservation, which must be held.
    pub reservation: ReservationId,
    /// 1 to [`MAX_STEPS`](crate::MAX_STEPS), each name once.
    pub steps: Vec<StepSpec>,
}

impl StartOrder {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        validate_steps(&self.steps)
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.reservation(self.reservation)?;
        let record = turn.state.reservation(no);
        if record.order.is_some() {
            return Err(Refusal::Exists);
        }
        if record.part().is_some() {
            return Err(Refusal::ReservationNotFound);
        }
        if record.state() != ReservationState::Held {
            return Err(record.refuse_without_hold());
        }
        // Nobody is to pay for what is known not to be there.
        let short = record.lines.iter().map(|line| line.units.short).sum();
        if short > 0 {
            return Err(Refusal::HoldShort { units: short });
        }
        debug_assert!(!record.has(LineCounts::sold), "what is held only has nothing sold");
        let within_ms = self.steps.iter().map(|step| step.deadline_ms).fold(0, u64::saturating_add);
        let until = turn.now().plus_ms(within_ms);
        if until > record.max_expires_at {
            return Err(Refusal::ExtendLimitReached { max_expires_at: record.max_expires_at });
        }
        if turn.state.indexes.open_orders.len() as u64 >= turn.state.header.limits.open_orders() {
            return Err(Refusal::Overloaded { retry_after_ms: FULL_RETRY_MS });
        }
        let order = OrderRecord::new(&self.steps, turn.now());
        turn.state.change_reservation(no, |record| {
            record.expires_at = record.expires_at.max(until);
            record.order = Some(Box::new(order));
        });
        turn.record_order(EventKind::OrderStarted, no, None);
        Ok(turn.reservation_success(no))
    }
}

#[cfg(test)]
mod tests {
    use crate::test_shop::{OPENING, Shop, id, start_order, step};
    use crate::*;

    #[test]
    fn a_hold_does_not_end_by_its_time_while_its_order_runs() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let success = shop.start_order(1, vec![step("pay", 900), step("fraud", 300)]).unwrap();
        assert_eq!(success.expires_at, Some(LogTime(OPENING + 1_200_000)));
        assert_eq!(shop.events(), [EventKind::OrderStarted]);
        shop.after_s(700).tick();
        assert_eq!((shop.stock("rouge").atp, shop.reservation(1).state), (0, ReservationState::Held));
        assert_eq!(shop.inventory.next_due(), Some(LogTime(OPENING + 900_000)), "the first step's deadline");
    }

    #[test]
    fn steps_that_take_longer_than_a_hold_may_last_are_refused() {
        let mut shop = Shop::with_rouge(2);
        shop.put_item("rouge", ItemSpec { max_hold_s: Some(900), ..ItemSpec::default() }).unwrap();
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let refused = Refusal::ExtendLimitReached { max_expires_at: LogTime(OPENING + 900_000) };
        assert_eq!(shop.start_order(1, vec![step("pay", 900), step("fraud", 1)]), Err(refused));
        shop.start_order(1, vec![step("pay", 899), step("fraud", 1)]).unwrap();
        assert_eq!(shop.start_order(1, vec![step("pay", 1)]), Err(Refusal::Exists));
    }

    #[test]
    fn only_what_is_held_and_there_gets_an_order() {
        let mut shop = Shop::with_rouge(9);
        assert_eq!(shop.start_order(1, vec![step("pay", 60)]), Err(Refusal::ReservationNotFound));
        for (number, refused) in [(1, Refusal::AlreadyCommitted), (2, Refusal::AlreadyReleased)] {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            if number == 1 { shop.commit(1) } else { shop.release(2) }.unwrap();
            assert_eq!(shop.start_order(number, vec![step("pay", 60)]), Err(refused));
        }
        let mut shop = Shop::with_cream(&[("A", 10, 3)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        assert_eq!(shop.start_order(1, vec![step("pay", 60)]), Err(Refusal::HoldShort { units: 2 }));
    }

    #[test]
    fn while_it_runs_nobody_else_decides_what_becomes_of_the_reservation() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        shop.start_order(1, vec![step("pay", 60)]).unwrap();
        let open = Err(Refusal::OrderOpen { state: OrderState::Running });
        assert_eq!(shop.commit(1), open);
        assert_eq!(shop.release(1), open);
        assert_eq!(shop.cancel(1), open);
        assert_eq!(shop.extend(1, 900), open);
        assert_eq!(shop.amend(1, &[("rouge", 2)]), open);
    }

    #[test]
    fn no_more_run_than_may() {
        let mut shop = Shop::with_limits(Limits { live_reservations: 400, ..Limits::default() });
        shop.receive("rouge", "PAR", 9).unwrap();
        (1..=2).for_each(|number| drop(shop.reserve(number, &[("rouge", 1)]).unwrap()));
        shop.start_order(1, vec![step("pay", 60)]).unwrap();
        assert!(matches!(shop.start_order(2, vec![step("pay", 60)]), Err(Refusal::Overloaded { .. })));
        shop.report(1, "pay", done("")).unwrap();
        shop.start_order(2, vec![step("pay", 60)]).unwrap();
    }

    fn done(answer: &str) -> crate::commands::StepReport {
        crate::commands::StepReport::Done { answer: answer.into(), is_fallback: false }
    }

    #[test]
    fn steps_that_are_none_are_refused_by_their_field() {
        let mut shop = Shop::with_rouge(1);
        shop.reserve(1, &[("rouge", 1)]).unwrap();
        let mut refused = |change: fn(&mut Vec<StepSpec>)| {
            let Operation::StartOrder(mut it) = start_order(1, vec![step("pay", 60), step("fraud", 60)]) else {
                unreachable!()
            };
            change(&mut it.steps);
            match shop.run(Operation::StartOrder(it)) {
                Err(Refusal::InvalidArgument(refused)) => (refused.field, refused.line),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(Vec::clear), (Field::Steps, None));
        assert_eq!(
            refused(|steps| *steps = (0..9).map(|at| step(&format!("s{at}"), 60)).collect()),
            (Field::Steps, None)
        );
        assert_eq!(refused(|steps| steps[1].name = steps[0].name.clone()), (Field::StepName, Some(1)));
        assert_eq!(refused(|steps| steps[0].deadline_ms = 99), (Field::StepDeadline, Some(0)));
        assert_eq!(refused(|steps| steps[0].compensation_deadline_ms = 0), (Field::CompensationDeadline, Some(0)));
        assert_eq!(refused(|steps| steps[1].max_attempts = 0), (Field::MaxAttempts, Some(1)));
        assert_eq!(refused(|steps| steps[1].payload = vec![0; 1_025]), (Field::StepPayload, Some(1)));
        assert!(shop.inventory.order(id(1)).is_none());
    }
}
