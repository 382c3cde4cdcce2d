//! `order report`: what became of a step.

use serde::{Deserialize, Serialize};

use crate::state::ReservationNo;
use crate::turn::Turn;
use crate::{
    EventKind, Field, InvalidArgument, MAX_STEP_BYTES, MAX_WHY_BYTES, OrderState, Refusal, ReservationId, StepName,
    StepState, Success,
};

/// What became of a step, or of taking it back: told by whoever does it, as often as it likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportStep {
    /// The order's reservation.
    pub order: ReservationId,
    /// The step.
    pub step: StepName,
    /// It is about taking the step back.
    pub is_compensation: bool,
    /// What became of it.
    pub report: StepReport,
    /// Which attempt it is, from 1, by the node that makes the call; 0: the step is one that somebody reports.
    pub attempt: u32,
}

/// What became of a step, or of taking it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepReport {
    /// It is done.
    Done {
        /// What it answered: at most [`MAX_STEP_BYTES`].
        answer: Vec<u8>,
        /// The answer is what its endpoint has for such cases.
        is_fallback: bool,
    },
    /// It is not done and will not be, for sure.
    Failed {
        /// Why: at most [`MAX_WHY_BYTES`].
        why: String,
    },
    /// An attempt came to nothing, or may have: it is done again, while it may.
    Retry {
        /// Why: at most [`MAX_WHY_BYTES`].
        why: String,
    },
}

impl ReportStep {
    pub(crate) fn validate(&self) -> Result<(), InvalidArgument> {
        match &self.report {
            StepReport::Done { answer, .. } if answer.len() > MAX_STEP_BYTES => {
                Err(InvalidArgument::of(Field::StepAnswer))
            }
            StepReport::Failed { why } | StepReport::Retry { why } if why.len() > MAX_WHY_BYTES => {
                Err(InvalidArgument::of(Field::Why))
            }
            StepReport::Done { .. } | StepReport::Failed { .. } | StepReport::Retry { .. } => Ok(()),
        }
    }

    pub(crate) fn decide(&self, turn: &mut Turn<'_>) -> Result<Success, Refusal> {
        let no = turn.order(self.order)?;
        let order = turn.order_record(no);
        let at = order.steps.iter().position(|step| step.spec.name == self.step);
        let at = at.ok_or(InvalidArgument::of(Field::StepName))?;
        let step = &order.steps[at];
        let waited_for = if self.is_compensation { StepState::Compensating } else { StepState::Running };
        if step.state == waited_for {
            // What is called is reported by who calls it, and by nobody else.
            if step.called().is_some() != (self.attempt > 0) {
                return Err(self.refuse());
            }
            self.note(turn, no, at);
        } else if !self.is_known(step.state) {
            self.note_late(turn, no, at)?;
        }
        Ok(turn.reservation_success(no))
    }

    fn refuse(&self) -> Refusal {
        Refusal::StepNotRunning { step: self.step.clone() }
    }

    /// It was told before.
    fn is_known(&self, state: StepState) -> bool {
        match (&self.report, self.is_compensation) {
            (StepReport::Done { .. }, false) => state == StepState::Done,
            (StepReport::Done { .. }, true) => state == StepState::Compensated,
            (StepReport::Failed { .. }, false) => state == StepState::Failed,
            (StepReport::Failed { .. }, true) => state == StepState::CompensationFailed,
            // An attempt of what is over by now.
            (StepReport::Retry { .. }, _) => true,
        }
    }

    /// Of what is being done now.
    fn note(&self, turn: &mut Turn<'_>, no: ReservationNo, at: usize) {
        let is_compensation = self.is_compensation;
        let over = turn.state.change_order(no, |order, _| {
            let step = &mut order.steps[at];
            let state = match &self.report {
                StepReport::Done { answer, is_fallback } if !is_compensation => {
                    (step.answer, step.is_fallback) = (answer.clone(), *is_fallback);
                    step.why.clear();
                    StepState::Done
                }
                StepReport::Done { .. } => StepState::Compensated,
                StepReport::Failed { why } => {
                    step.why.clone_from(why);
                    if !is_compensation && step.decline() {
                        return Some(StepState::Failed);
                    }
                    if is_compensation { StepState::CompensationFailed } else { StepState::Failed }
                }
                StepReport::Retry { why } => {
                    // The same attempt told twice counts once.
                    if self.attempt != step.attempts + 1 {
                        return None;
                    }
                    step.attempts += 1;
                    step.why.clone_from(why);
                    if step.attempts < step.spec.max_attempts {
                        return None;
                    }
                    if is_compensation { StepState::CompensationFailed } else { StepState::Unknown }
                }
            };
            step.end(state);
            Some(state)
        });
        if let Some(state) = over {
            turn.go_on_after(no, at, state);
        }
    }

    /// Of what was not waited for any more: it changes what is known, and not what was decided.
    fn note_late(&self, turn: &mut Turn<'_>, no: ReservationNo, at: usize) -> Result<(), Refusal> {
        let order = turn.order_record(no);
        let is_open = matches!(order.state, OrderState::Compensating | OrderState::Stuck);
        let step = &order.steps[at];
        let can_be_late = match self.is_compensation {
            false => step.is_uncertain,
            true => step.state == StepState::CompensationFailed,
        };
        if !is_open || !can_be_late {
            return Err(self.refuse());
        }
        let is_told = turn.state.change_order(no, |order, _| {
            let step = &mut order.steps[at];
            match (&self.report, self.is_compensation) {
                (StepReport::Done { answer, is_fallback }, false) if !step.is_late => {
                    (step.answer, step.is_fallback, step.is_late) = (answer.clone(), *is_fallback, true);
                }
                (StepReport::Done { .. }, true) => step.state = StepState::Compensated,
                (StepReport::Failed { why }, false) if !step.is_late => step.why.clone_from(why),
                (StepReport::Done { .. } | StepReport::Failed { .. } | StepReport::Retry { .. }, _) => return false,
            }
            true
        });
        if is_told {
            turn.record_order(EventKind::OrderStepEnded, no, Some(at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::StepReport;
    use crate::commands::{Commit, IfExpired};
    use crate::test_shop::{Shop, call_step, id, step};
    use crate::*;

    fn done(answer: &str) -> StepReport {
        StepReport::Done { answer: answer.into(), is_fallback: false }
    }

    fn failed(why: &str) -> StepReport {
        StepReport::Failed { why: why.into() }
    }

    fn retry(why: &str) -> StepReport {
        StepReport::Retry { why: why.into() }
    }

    fn shop_with_order(steps: Vec<StepSpec>) -> Shop {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        shop.start_order(1, steps).unwrap();
        shop
    }

    fn states(shop: &Shop) -> (OrderState, Vec<StepState>) {
        let order = shop.inventory.order(id(1)).unwrap();
        (order.state, order.steps.iter().map(|step| step.state).collect())
    }

    #[test]
    fn the_last_step_done_sells_the_reservation_in_the_same_entry() {
        let mut shop = shop_with_order(vec![step("pay", 60), step("fraud", 60)]);
        assert_eq!(shop.report(1, "fraud", done("")), Err(Refusal::StepNotRunning { step: "fraud".parse().unwrap() }));
        shop.report(1, "pay", done("P-1")).unwrap();
        assert_eq!(states(&shop), (OrderState::Running, vec![StepState::Done, StepState::Running]));
        assert_eq!(shop.reservation(1).state, ReservationState::Held);
        let success = shop.report(1, "fraud", done("")).unwrap();
        assert_eq!(success.state, Some(ReservationState::Committed));
        let told = [EventKind::OrderStepEnded, EventKind::ReservationCommitted, EventKind::OrderCommitted];
        assert_eq!(shop.events(), told);
        assert_eq!(shop.inventory.order(id(1)).unwrap().steps[0].answer, b"P-1");
        shop.fulfil(1, &[]).unwrap();
        assert_eq!(shop.inventory.open_orders(), 0);
    }

    #[test]
    fn a_step_told_twice_counts_once() {
        let mut shop = shop_with_order(vec![step("pay", 60), step("fraud", 60)]);
        shop.report(1, "pay", done("P-1")).unwrap();
        shop.report(1, "pay", done("P-2")).unwrap();
        assert_eq!(shop.events(), []);
        assert_eq!(shop.inventory.order(id(1)).unwrap().steps[0].answer, b"P-1");
        assert!(matches!(shop.report(1, "pay", failed("declined")), Err(Refusal::StepNotRunning { .. })));
    }

    #[test]
    fn a_step_that_fails_gives_the_units_back_at_once_and_takes_back_what_was_done_the_last_first() {
        let mut shop = shop_with_order(vec![step("pay", 60), step("gift", 60), step("fraud", 60)]);
        shop.report(1, "pay", done("P-1")).unwrap();
        shop.report(1, "gift", done("")).unwrap();
        shop.report(1, "fraud", failed("too risky")).unwrap();
        assert_eq!((shop.stock("rouge").atp, shop.reservation(1).state), (2, ReservationState::Released));
        let compensating = vec![StepState::Done, StepState::Compensating, StepState::Failed];
        assert_eq!(states(&shop), (OrderState::Compensating, compensating));
        assert!(matches!(shop.report_back(1, "pay", done("")), Err(Refusal::StepNotRunning { .. })));
        shop.report_back(1, "gift", done("")).unwrap();
        shop.report_back(1, "pay", done("")).unwrap();
        assert_eq!(states(&shop).0, OrderState::Aborted);
        let told = [EventKind::OrderStepEnded, EventKind::OrderCompensated, EventKind::OrderAborted];
        assert_eq!(shop.events(), told);
        assert_eq!(shop.inventory.order(id(1)).unwrap().why, "step fraud: too risky");
    }

    #[test]
    fn a_step_that_never_answers_is_taken_back_and_somebody_has_to_look() {
        let mut shop = shop_with_order(vec![step("pay", 60)]);
        shop.after_s(60).tick();
        assert_eq!(states(&shop), (OrderState::Compensating, vec![StepState::Compensating]));
        assert_eq!((shop.stock("rouge").atp, shop.reservation(1).state), (2, ReservationState::Expired));
        shop.report_back(1, "pay", done("")).unwrap();
        assert_eq!(states(&shop), (OrderState::Stuck, vec![StepState::Compensated]));
        assert_eq!(shop.events().last(), Some(&EventKind::OrderStuck));
        // The payment comes late: known, and nothing else.
        shop.report(1, "pay", done("P-9")).unwrap();
        let order = shop.inventory.order(id(1)).unwrap();
        assert!(order.steps[0].is_late && order.steps[0].answer == b"P-9" && order.state == OrderState::Stuck);
        let stuck = shop.inventory.orders(ReservationCursor(0), OrderFilter::Stuck, 9).0;
        assert_eq!(stuck, [order]);
    }

    #[test]
    fn what_cannot_be_taken_back_is_stuck() {
        let mut shop = shop_with_order(vec![step("pay", 60), step("fraud", 60)]);
        shop.report(1, "pay", done("P-1")).unwrap();
        shop.report(1, "fraud", failed("no")).unwrap();
        shop.after_s(60).tick();
        assert_eq!(states(&shop), (OrderState::Stuck, vec![StepState::CompensationFailed, StepState::Failed]));
        // It is forgotten only when somebody has looked.
        shop.after_s(30 * 86_400).tick();
        shop.report_back(1, "pay", done("")).unwrap();
        assert_eq!(states(&shop), (OrderState::Stuck, vec![StepState::Compensated, StepState::Failed]));
    }

    #[test]
    fn a_call_is_tried_until_its_attempts_are_over_and_each_counts_once() {
        let mut shop = shop_with_order(vec![call_step("pay", "payments", 3)]);
        let call = shop.inventory.calls_to_make(9, |_, _| true).remove(0);
        assert_eq!((call.key.order, call.endpoint.as_str(), call.attempts), (id(1), "payments", 0));
        for attempt in [1, 1, 2] {
            shop.report_attempt(1, "pay", false, retry("503"), attempt).unwrap();
        }
        assert_eq!(shop.inventory.calls_to_make(9, |_, _| true)[0].attempts, 2);
        shop.report_attempt(1, "pay", false, retry("503"), 3).unwrap();
        // Whether the last attempt was done nobody knows, so that it is taken back.
        let call = shop.inventory.calls_to_make(9, |_, _| true).remove(0);
        assert_eq!((call.key.is_compensation, call.endpoint.as_str(), call.attempts), (true, "refunds", 0));
        shop.report_attempt(1, "pay", true, done(""), 1).unwrap();
        assert_eq!(states(&shop), (OrderState::Stuck, vec![StepState::Compensated]));
        assert_eq!(shop.inventory.calls_to_make(9, |_, _| true), []);
    }

    #[test]
    fn a_call_that_is_declined_after_an_attempt_that_may_have_been_done_is_taken_back() {
        let mut shop = shop_with_order(vec![call_step("pay", "payments", 3)]);
        shop.report_attempt(1, "pay", false, retry("timeout"), 1).unwrap();
        shop.report_attempt(1, "pay", false, failed("409 in progress"), 2).unwrap();
        assert_eq!(states(&shop), (OrderState::Compensating, vec![StepState::Compensating]));
        assert_eq!((shop.stock("rouge").atp, shop.reservation(1).state), (2, ReservationState::Released));
        shop.report_attempt(1, "pay", true, done(""), 1).unwrap();
        assert_eq!(states(&shop), (OrderState::Aborted, vec![StepState::Compensated]));

        let mut shop = shop_with_order(vec![call_step("pay", "payments", 3)]);
        shop.report_attempt(1, "pay", false, failed("declined"), 1).unwrap();
        assert_eq!(states(&shop), (OrderState::Aborted, vec![StepState::Failed]), "no attempt may have been done");
    }

    #[test]
    fn a_call_is_reported_by_who_makes_it_and_what_is_awaited_by_nobody_else() {
        let mut shop = shop_with_order(vec![call_step("pay", "payments", 3), step("fraud", 60)]);
        assert!(matches!(shop.report(1, "pay", done("")), Err(Refusal::StepNotRunning { .. })));
        shop.report_attempt(1, "pay", false, done("P-1"), 1).unwrap();
        let refused = shop.report_attempt(1, "fraud", false, done(""), 1);
        assert!(matches!(refused, Err(Refusal::StepNotRunning { .. })));
    }

    #[test]
    fn a_fallback_is_marked_as_one() {
        let mut shop = shop_with_order(vec![call_step("fraud", "scores", 3)]);
        let report = StepReport::Done { answer: b"ok".to_vec(), is_fallback: true };
        shop.report_attempt(1, "fraud", false, report, 2).unwrap();
        let order = shop.inventory.order(id(1)).unwrap();
        assert!(order.steps[0].is_fallback && order.state == OrderState::Confirmed);
    }

    #[test]
    fn what_cannot_be_sold_when_all_is_done_is_taken_back() {
        let mut shop = Shop::with_cream(&[("A", 10, 3)]);
        shop.reserve(1, &[("cream", 2)]).unwrap();
        shop.start_order(1, vec![step("pay", 60)]).unwrap();
        shop.block("A", LotStatus::OnHold).unwrap();
        let success = shop.report(1, "pay", done("P-1")).unwrap();
        assert_eq!(success.state, Some(ReservationState::Released));
        assert_eq!(states(&shop), (OrderState::Compensating, vec![StepState::Compensating]));
        shop.report_back(1, "pay", done("")).unwrap();
        assert_eq!(states(&shop).0, OrderState::Aborted);
        assert!(shop.inventory.order(id(1)).unwrap().why.contains("2 held units are short"));
    }

    #[test]
    fn nobody_takes_the_units_of_an_order_that_came_to_nothing_anew() {
        let mut shop = shop_with_order(vec![step("pay", 60)]);
        shop.after_s(60).tick();
        let retake = |commit: &mut Commit| commit.if_expired = IfExpired::Retake;
        let open = Err(Refusal::OrderOpen { state: OrderState::Compensating });
        assert_eq!(shop.commit_with(1, retake), open);
    }

    #[test]
    fn a_chain_that_fails_leaves_no_order() {
        let mut shop = Shop::with_rouge(2);
        shop.reserve(1, &[("rouge", 2)]).unwrap();
        let start = crate::test_shop::start_order(1, vec![step("pay", 60)]);
        let chain = shop.chain(vec![start, crate::test_shop::commit(9)]);
        shop.apply(chain);
        assert_eq!((shop.inventory.order(id(1)), shop.inventory.open_orders()), (None, 0));
        shop.after_s(600).tick();
        assert_eq!(shop.reservation(1).state, ReservationState::Expired);
    }

    #[test]
    fn an_order_that_has_ended_is_forgotten_before_its_reservation_where_there_are_too_many() {
        let mut shop = Shop::with_limits(Limits { ended_reservations: 40, ..Limits::default() });
        shop.receive("rouge", "PAR", 9).unwrap();
        for number in 1..=2 {
            shop.reserve(number, &[("rouge", 1)]).unwrap();
            shop.start_order(number, vec![step("pay", 60)]).unwrap();
            shop.report(number, "pay", done("")).unwrap();
        }
        shop.tick();
        assert!(shop.inventory.order(id(1)).is_none() && shop.inventory.order(id(2)).is_some());
        assert_eq!(shop.reservation(1).state, ReservationState::Committed);
        assert_eq!(shop.report(1, "pay", done("")), Err(Refusal::OrderNotFound));
    }
}
