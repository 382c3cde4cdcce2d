//! The records of orders with external steps: how one step leads to the next, and which orders are found where.
//!
//! An order is kept with its reservation, on the shard that decides that, and goes with it: what is sold and what was paid for part
//! ways nowhere.

use holdfast_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::State;
use super::records::{ReservationNo, ReservationRecord};
use crate::order::validate_steps;
use crate::{
    Compensation, EndpointId, Limits, LogTime, MAX_CAUSE_BYTES, MAX_STEP_BYTES, MAX_WHY_BYTES, OrderState, Resolution,
    Revision, Step, StepKind, StepSpec, StepState,
};

/// What a reservation has beside its lines where external steps decide whether it is sold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderRecord {
    pub(crate) steps: Vec<Step>,
    pub(crate) state: OrderState,
    pub(crate) started_at: LogTime,
    pub(crate) ended_at: Option<LogTime>,
    pub(crate) why: String,
    pub(crate) resolution: Option<Resolution>,
    pub(crate) revision: Revision,
}

impl Step {
    fn new(spec: StepSpec) -> Self {
        Self {
            spec,
            state: StepState::Waiting,
            attempts: 0,
            deadline: None,
            answer: Vec::new(),
            is_fallback: false,
            is_uncertain: false,
            is_late: false,
            why: String::new(),
        }
    }

    /// The endpoint that is to be called now.
    pub(crate) fn called(&self) -> Option<&EndpointId> {
        match (self.state, &self.spec.kind, &self.spec.compensation) {
            (StepState::Running, StepKind::Call { endpoint }, _)
            | (StepState::Compensating, _, Compensation::Call { endpoint }) => Some(endpoint),
            _ => None,
        }
    }

    /// Something is being done with it now.
    pub(crate) const fn is_current(&self) -> bool {
        matches!(self.state, StepState::Running | StepState::Compensating)
    }

    fn begin(&mut self, state: StepState, now: LogTime, within_ms: u64) {
        self.state = state;
        self.attempts = 0;
        self.deadline = Some(now.plus_ms(within_ms));
    }

    /// What is being done with it now is over.
    pub(crate) fn end(&mut self, state: StepState) {
        self.state = state;
        self.deadline = None;
        self.is_uncertain |= state == StepState::Unknown;
    }

    /// It is declined. Where an earlier attempt may have been done, that is no word about that one: the step is taken back as if it were
    /// done, where it can be, and nobody has to look. False: there was none, or there is nothing to take back.
    pub(crate) fn decline(&mut self) -> bool {
        let may_be_done = self.attempts > 0 && self.spec.compensation != Compensation::None;
        if !may_be_done || is_on(Mutation::LateRefusalBelieved) {
            return false;
        }
        self.state = StepState::Unknown;
        self.deadline = None;
        true
    }

    fn is_to_be_taken_back(&self) -> bool {
        let is_open = match self.state {
            StepState::Done => !is_on(Mutation::StepNotCompensated),
            StepState::Unknown => true,
            _ => false,
        };
        is_open && self.spec.compensation != Compensation::None
    }
}

impl OrderRecord {
    pub(crate) fn new(steps: &[StepSpec], now: LogTime) -> Self {
        let mut order = Self {
            steps: steps.iter().cloned().map(Step::new).collect(),
            state: OrderState::Running,
            started_at: now,
            ended_at: None,
            why: String::new(),
            resolution: None,
            revision: Revision(1),
        };
        order.begin_next_step(now);
        order
    }

    /// The step that is being done or taken back: one at most.
    pub(crate) fn current(&self) -> Option<usize> {
        self.steps.iter().position(Step::is_current)
    }

    /// When what is being done now is over.
    pub(crate) fn due_at(&self) -> Option<LogTime> {
        self.steps[self.current()?].deadline
    }

    /// Begins the first step that waits. False: there is none.
    pub(crate) fn begin_next_step(&mut self, now: LogTime) -> bool {
        let waiting = self.steps.iter().filter(|step| step.state == StepState::Waiting).count();
        if is_on(Mutation::OrderConfirmedEarly) && waiting == 1 && self.steps.len() > 1 {
            return false;
        }
        let Some(step) = self.steps.iter_mut().find(|step| step.state == StepState::Waiting) else { return false };
        step.begin(StepState::Running, now, step.spec.deadline_ms);
        true
    }

    /// Begins to take back the last step that is to be. False: there is none.
    pub(crate) fn begin_next_compensation(&mut self, now: LogTime) -> bool {
        let Some(step) = self.steps.iter_mut().rfind(|step| step.is_to_be_taken_back()) else { return false };
        step.begin(StepState::Compensating, now, step.spec.compensation_deadline_ms);
        true
    }

    /// Where an order ends of which there is nothing more to take back: somebody has to look at what is not known.
    pub(crate) fn end_of_compensation(&self) -> OrderState {
        let is_left = self.steps.iter().any(|step| step.state == StepState::CompensationFailed);
        let is_uncertain = self.steps.iter().any(|step| step.is_uncertain) && self.resolution.is_none();
        if is_left || is_uncertain { OrderState::Stuck } else { OrderState::Aborted }
    }

    /// Notes how it ended. What its steps carry is needed no more.
    pub(crate) fn end(&mut self, state: OrderState, now: LogTime) {
        self.state = state;
        self.ended_at = Some(now);
        self.steps.iter_mut().for_each(|step| step.spec.payload = Vec::new());
    }

    /// Whether it is one that commands could have made.
    fn fits(&self) -> bool {
        let specs: Vec<StepSpec> = self.steps.iter().map(|step| step.spec.clone()).collect();
        let step_fits = |step: &Step| {
            step.is_current() == step.deadline.is_some()
                && step.answer.len() <= MAX_STEP_BYTES
                && step.why.len() <= MAX_WHY_BYTES
        };
        let expected = usize::from(matches!(self.state, OrderState::Running | OrderState::Compensating));
        let reason_fits = |resolution: &Resolution| resolution.reason.len() <= MAX_CAUSE_BYTES;
        validate_steps(&specs).is_ok()
            && self.steps.iter().all(step_fits)
            && self.steps.iter().filter(|step| step.is_current()).count() == expected
            && self.state.is_ended() == self.ended_at.is_some()
            && self.why.len() <= MAX_WHY_BYTES
            && self.resolution.as_ref().is_none_or(reason_fits)
    }
}

impl Limits {
    /// Orders in memory that have not ended, at most: one for 400 reservations.
    #[must_use]
    pub fn open_orders(&self) -> u64 {
        (self.live_reservations / 400).max(1)
    }

    /// Those that have ended, at most: one for 40 reservations.
    #[must_use]
    pub fn ended_orders(&self) -> u64 {
        (self.ended_reservations / 40).max(1)
    }
}

impl ReservationRecord {
    /// Its order, where that has not ended.
    pub(crate) fn open_order(&self) -> Option<&OrderRecord> {
        self.order.as_deref().filter(|order| !order.state.is_ended())
    }

    /// An endpoint is to be called for it.
    pub(crate) fn is_calling(&self) -> bool {
        let called = |order: &OrderRecord| order.current().is_some_and(|at| order.steps[at].called().is_some());
        self.open_order().is_some_and(called)
    }

    pub(super) fn order_fits(&self) -> bool {
        let Some(order) = self.order.as_deref() else { return true };
        let holds = self.is_holding() == (order.state == OrderState::Running) || order.state == OrderState::Confirmed;
        order.fits() && holds && self.part().is_none()
    }
}

impl State {
    /// Changes an order, and counts the change, as one of its reservation too.
    pub(crate) fn change_order<T>(
        &mut self,
        no: ReservationNo,
        change: impl FnOnce(&mut OrderRecord, LogTime) -> T,
    ) -> T {
        let now = self.header.now;
        let mut result = None;
        self.change_reservation(no, |record| {
            let order = record.order.as_deref_mut().expect("whoever changes an order has looked at it");
            result = Some(change(order, now));
            order.revision = order.revision.next();
        });
        result.expect("the change was made")
    }

    /// Forgets orders that ended long ago, or of which there are too many, oldest first, at most `most`. Their reservations stay.
    pub(crate) fn forget_ended_orders(&mut self, most: usize) {
        debug_assert!(self.journal.is_none(), "nothing is forgotten within a chain");
        for _ in 0..most {
            let Some(&(ended_at, no)) = self.indexes.ended_orders.first() else { break };
            let is_old = ended_at.plus_ms(self.header.limits.keep_ended_ms) <= self.header.now;
            if !is_old && self.indexes.ended_orders.len() as u64 <= self.header.limits.ended_orders() {
                break;
            }
            let record = self.reservations.get_mut(no.0).expect("an index has what is there");
            self.indexes.unschedule(no, record);
            record.order = None;
            self.indexes.schedule(no, record);
        }
    }
}
