//! Orders with external steps: what follows when a step is over, and how what was done is taken back.

use holdfast_mutation::{Mutation, is_on};

use super::{GiveBack, Turn};
use crate::commands::{Commit, IfExpired};
use crate::state::{OrderRecord, ReservationNo, ReservationRecord};
use crate::{EventKind, LogTime, MAX_WHY_BYTES, OrderState, Refusal, ReservationId, StepState, Subject};

/// What a step that ran out of time is said to have failed of.
const NO_ANSWER: &str = "no answer within its deadline";

impl Turn<'_> {
    /// The reservation, and that it has an order.
    pub(crate) fn order(&mut self, id: ReservationId) -> Result<ReservationNo, Refusal> {
        let no = self.state.find_reservation(id).ok_or(Refusal::OrderNotFound)?;
        if self.state.reservation(no).order.is_none() {
            return Err(Refusal::OrderNotFound);
        }
        self.reservation(id)
    }

    pub(crate) fn order_record(&self, no: ReservationNo) -> &OrderRecord {
        self.state.reservation(no).order.as_deref().expect("whoever asks has found it")
    }

    /// Ends what of an open order is over by now.
    pub(super) fn end_what_is_due_of_order(&mut self, no: ReservationNo) {
        let is_due = |record: &ReservationRecord, now: LogTime| {
            record.open_order().and_then(OrderRecord::due_at).is_some_and(|deadline| deadline <= now)
        };
        while is_due(self.state.reservation(no), self.now()) {
            let (at, state) = self.state.change_order(no, |order, _| {
                let at = order.current().expect("something of it is due");
                let step = &mut order.steps[at];
                let state = match step.state {
                    StepState::Compensating => StepState::CompensationFailed,
                    _ if is_on(Mutation::SilentStepConfirmed) => StepState::Done,
                    _ => StepState::Unknown,
                };
                if step.attempts == 0 {
                    step.why = NO_ANSWER.to_owned();
                }
                step.end(state);
                (at, state)
            });
            self.go_on_after(no, at, state);
        }
    }

    /// A step is over, or taken back, or cannot be: tells of it, and begins what follows.
    pub(crate) fn go_on_after(&mut self, no: ReservationNo, at: usize, state: StepState) {
        self.record_order(EventKind::OrderStepEnded, no, Some(at));
        match state {
            StepState::Done => {
                if !self.state.change_order(no, |order, now| order.begin_next_step(now)) {
                    self.sell_order(no);
                }
            }
            StepState::Failed => self.abort_order(no, Some(at), GiveBack::Release),
            // Whoever finds later that it was done after all may try for the units anew, as after any hold whose time is over.
            StepState::Unknown => self.abort_order(no, Some(at), GiveBack::Expire),
            StepState::Compensated | StepState::CompensationFailed => self.compensate(no),
            StepState::Waiting | StepState::Running | StepState::Compensating => {
                unreachable!("a step that is over is neither waiting nor going on")
            }
        }
    }

    /// All steps are done: the units are sold in this very entry, or everything is taken back.
    fn sell_order(&mut self, no: ReservationNo) {
        let reservation = self.state.reservation(no).id;
        let commit =
            Commit { reservation, parts: Vec::new(), last: false, if_expired: IfExpired::Fail, cancel_at: None };
        match commit.sell(self, no) {
            Ok(()) => {
                self.state.change_order(no, |order, now| order.end(OrderState::Confirmed, now));
                self.record_order(EventKind::OrderCommitted, no, None);
            }
            Err(refusal) => {
                self.state.change_order(no, |order, _| order.why = bounded(&refusal.to_string()));
                self.abort_order(no, None, GiveBack::Release);
            }
        }
    }

    /// The order comes to nothing: its units are given back at once, for no sale has to wait until a payment is taken back; then what
    /// was done is taken back.
    pub(crate) fn abort_order(&mut self, no: ReservationNo, because_of: Option<usize>, what: GiveBack) {
        self.state.change_order(no, |order, _| {
            order.state = OrderState::Compensating;
            if let Some(step) = because_of.map(|at| &order.steps[at]) {
                order.why = bounded(&format!("step {}: {}", step.spec.name, step.why));
            }
        });
        self.give_back(no, what);
        let kind = match what {
            GiveBack::Expire => EventKind::ReservationExpired,
            GiveBack::Release | GiveBack::CancelSold | GiveBack::CancelAll => EventKind::ReservationReleased,
        };
        self.record(kind, Some(no), None);
        self.compensate(no);
    }

    /// Begins to take the next step back; where there is none left, the order has come to its end, or to somebody who looks at it.
    fn compensate(&mut self, no: ReservationNo) {
        let has_more = self.state.change_order(no, |order, now| {
            let has_more = order.begin_next_compensation(now);
            if !has_more {
                match order.end_of_compensation() {
                    OrderState::Stuck => order.state = OrderState::Stuck,
                    ended => order.end(ended, now),
                }
            }
            has_more
        });
        if has_more {
            return;
        }
        let order = self.order_record(no);
        let state = order.state;
        if order.steps.iter().any(|step| step.state == StepState::Compensated) {
            self.record_order(EventKind::OrderCompensated, no, None);
        }
        let kind = if state == OrderState::Stuck { EventKind::OrderStuck } else { EventKind::OrderAborted };
        self.record_order(kind, no, None);
    }

    pub(crate) fn record_order(&mut self, kind: EventKind, no: ReservationNo, step: Option<usize>) {
        let order = self.order_record(no);
        let step = step.map(|at| &order.steps[at]);
        let subject = Subject::Order {
            state: order.state,
            step: step.map(|step| (step.spec.name.clone(), step.state)),
            revision: order.revision,
        };
        self.record(kind, Some(no), Some(subject));
    }
}

impl ReservationRecord {
    /// Refuses what a caller may not do with a reservation of which an order decides what becomes of it.
    pub(crate) fn check_no_order(&self) -> Result<(), Refusal> {
        match self.order.as_deref().map(|order| order.state) {
            None | Some(OrderState::Confirmed) => Ok(()),
            Some(OrderState::Aborted) => Err(Refusal::AlreadyReleased),
            Some(state @ (OrderState::Running | OrderState::Compensating | OrderState::Stuck)) => {
                Err(Refusal::OrderOpen { state })
            }
        }
    }
}

/// The beginning of a text, as much as is kept of it.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_WHY_BYTES)].to_owned()
}
