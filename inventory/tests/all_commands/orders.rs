//! What the model knows of orders: external steps, one after the other, decide whether a reservation is sold.

use holdfast_inventory::commands::{Commit, IfExpired, ReportStep, ResolveOrder, StartOrder, StepReport};
use holdfast_inventory::{
    Compensation, Field, OrderState, ReservationId, ReservationState, StepKind, StepSpec, StepState,
};

use crate::model::{Hold, Model, Said, invalid, why};
use crate::settle::GiveBack;
use crate::{OPEN_ORDERS, shard_of};

#[derive(Clone, Debug)]
pub struct Step {
    pub spec: StepSpec,
    pub state: StepState,
    /// Calls that came to nothing.
    pub attempts: u32,
    /// By when what is being done with it now must be done.
    pub until: Option<u64>,
    /// It once did not answer in time, or was given up.
    pub is_uncertain: bool,
    /// It was said to be done after that.
    pub is_late: bool,
}

#[derive(Clone, Debug)]
pub struct Order {
    pub state: OrderState,
    pub steps: Vec<Step>,
    /// Somebody has said that it comes to nothing, or that it stands.
    pub is_resolved: bool,
}

impl Step {
    pub fn is_current(&self) -> bool {
        self.until.is_some()
    }

    /// An endpoint is called, for the step or to take it back.
    pub fn is_called(&self) -> bool {
        match self.state {
            StepState::Running => self.spec.kind != StepKind::Await,
            StepState::Compensating => matches!(self.spec.compensation, Compensation::Call { .. }),
            _ => false,
        }
    }

    fn comes_out(&mut self, state: StepState) {
        (self.state, self.until) = (state, None);
        self.is_uncertain |= state == StepState::Unknown;
    }
}

impl Order {
    pub fn current(&self) -> Option<usize> {
        self.steps.iter().position(Step::is_current)
    }

    pub fn due_at(&self) -> Option<u64> {
        self.steps[self.current()?].until
    }
}

impl Hold {
    pub fn open_order(&self) -> Option<&Order> {
        self.order.as_ref().filter(|order| !order.state.is_ended())
    }

    /// While an order decides what becomes of it, nobody else does.
    pub fn check_no_order(&self) -> Said<()> {
        match self.order.as_ref().map(|order| order.state) {
            None | Some(OrderState::Confirmed) => Ok(()),
            Some(OrderState::Aborted) => why("AlreadyReleased"),
            Some(OrderState::Running | OrderState::Compensating | OrderState::Stuck) => why("OrderOpen"),
        }
    }
}

impl Model {
    pub fn start_order(&mut self, start: &StartOrder) -> Said<()> {
        let at = self.find(start.reservation)?;
        let hold = &self.holds[at];
        if hold.order.is_some() {
            return why("Exists");
        }
        if hold.state() != ReservationState::Held {
            return hold.why_not();
        }
        if hold.lines.iter().any(|line| !line.remote && line.units.short > 0) {
            return why("HoldShort");
        }
        let until = self.now + start.steps.iter().map(|step| step.deadline_ms).sum::<u64>();
        if until > hold.max_expires_at {
            return why("ExtendLimitReached");
        }
        let is_here = |other: &&Hold| shard_of(other.id.slot()) == shard_of(hold.id.slot());
        if self.holds.iter().filter(is_here).filter(|other| other.open_order().is_some()).count() >= OPEN_ORDERS {
            return why("Overloaded");
        }
        let step = |spec: &StepSpec| Step {
            spec: spec.clone(),
            state: StepState::Waiting,
            attempts: 0,
            until: None,
            is_uncertain: false,
            is_late: false,
        };
        let steps = start.steps.iter().map(step).collect();
        let hold = &mut self.holds[at];
        hold.expires_at = hold.expires_at.max(until);
        hold.order = Some(Order { state: OrderState::Running, steps, is_resolved: false });
        self.begin(at, 0);
        Ok(())
    }

    fn order(&mut self, at: usize) -> &mut Order {
        self.holds[at].order.as_mut().expect("whoever asks has found it")
    }

    fn find_order(&self, id: ReservationId) -> Said<usize> {
        let found = self.holds.iter().position(|hold| hold.id == id && hold.order.is_some());
        found.map_or_else(|| why("OrderNotFound"), Ok)
    }

    /// Where the order of a reservation stands, and whether that lies on several shards.
    pub fn order_of(&self, id: ReservationId) -> Option<(OrderState, bool)> {
        let hold = self.holds.iter().find(|hold| hold.id == id)?;
        hold.order.as_ref().map(|order| (order.state, hold.is_spread))
    }

    fn begin(&mut self, at: usize, number: usize) {
        let now = self.now;
        let step = &mut self.order(at).steps[number];
        (step.state, step.attempts, step.until) = (StepState::Running, 0, Some(now + step.spec.deadline_ms));
    }

    /// What is being done with a step is over.
    fn step_comes_out(&mut self, at: usize, number: usize, state: StepState) {
        self.order(at).steps[number].comes_out(state);
        match state {
            StepState::Done if number + 1 < self.order(at).steps.len() => self.begin(at, number + 1),
            StepState::Done => match self.sell_all(at, IfExpired::Fail) {
                Ok(()) => self.order(at).state = OrderState::Confirmed,
                Err(_) => self.abort(at, GiveBack::Release),
            },
            StepState::Failed => self.abort(at, GiveBack::Release),
            // Silence: the units end as by time, and may be tried for anew.
            StepState::Unknown => self.abort(at, GiveBack::Expire),
            _ => self.take_next_back(at),
        }
    }

    fn sell_all(&mut self, at: usize, if_expired: IfExpired) -> Said<()> {
        let reservation = self.holds[at].id;
        self.sell_hold(at, &Commit { reservation, parts: Vec::new(), last: false, if_expired, cancel_at: None })
    }

    fn abort(&mut self, at: usize, what: GiveBack) {
        self.order(at).state = OrderState::Compensating;
        self.give_back(at, what);
        self.take_next_back(at);
    }

    /// The last of what was done, or may have been, is taken back; where nothing is left, the order is over, or somebody has to look.
    fn take_next_back(&mut self, at: usize) {
        let now = self.now;
        let order = self.order(at);
        let is_left = |step: &&mut Step| {
            matches!(step.state, StepState::Done | StepState::Unknown) && step.spec.compensation != Compensation::None
        };
        if let Some(step) = order.steps.iter_mut().rev().find(is_left) {
            (step.state, step.attempts) = (StepState::Compensating, 0);
            step.until = Some(now + step.spec.compensation_deadline_ms);
            return;
        }
        let failed = order.steps.iter().any(|step| step.state == StepState::CompensationFailed);
        let silent = order.steps.iter().any(|step| step.is_uncertain) && !order.is_resolved;
        order.state = if failed || silent { OrderState::Stuck } else { OrderState::Aborted };
    }

    /// The time of what is being done of an order is over.
    pub fn order_is_due(&mut self, at: usize) {
        let Some(number) = self.order(at).current() else { return };
        let is_undone = self.order(at).steps[number].state == StepState::Compensating;
        self.step_comes_out(at, number, if is_undone { StepState::CompensationFailed } else { StepState::Unknown });
    }

    pub fn report_step(&mut self, report: &ReportStep) -> Said<()> {
        let at = self.find_order(report.order)?;
        let undo = report.is_compensation;
        let order = self.order(at);
        let number = order.steps.iter().position(|step| step.spec.name == report.step);
        let Some(number) = number else { return invalid(Field::StepName) };
        let is_to_be_looked_at = matches!(order.state, OrderState::Compensating | OrderState::Stuck);
        let step = &mut order.steps[number];
        let (done, failed) = match undo {
            false => (StepState::Done, StepState::Failed),
            true => (StepState::Compensated, StepState::CompensationFailed),
        };
        if step.state == if undo { StepState::Compensating } else { StepState::Running } {
            if step.is_called() != (report.attempt > 0) {
                return why("StepNotRunning");
            }
            let state = match &report.report {
                StepReport::Done { .. } => done,
                // What is declined after an attempt that may have been done is taken back as if it were.
                StepReport::Failed { .. }
                    if !undo && step.attempts > 0 && step.spec.compensation != Compensation::None =>
                {
                    step.comes_out(StepState::Failed);
                    step.state = StepState::Unknown;
                    self.abort(at, GiveBack::Release);
                    return Ok(());
                }
                StepReport::Failed { .. } => failed,
                // Each attempt counts once, and the last one that may be made is the end.
                StepReport::Retry { .. } if report.attempt != step.attempts + 1 => return Ok(()),
                StepReport::Retry { .. } => {
                    step.attempts += 1;
                    if step.attempts < step.spec.max_attempts {
                        return Ok(());
                    }
                    if undo { failed } else { StepState::Unknown }
                }
            };
            self.step_comes_out(at, number, state);
            return Ok(());
        }
        let is_known = match &report.report {
            StepReport::Done { .. } => step.state == done,
            StepReport::Failed { .. } => step.state == failed,
            StepReport::Retry { .. } => true,
        };
        if is_known {
            return Ok(());
        }
        // What comes after its time is noted as long as somebody may look at it, and decides nothing.
        let is_awaited = if undo { step.state == StepState::CompensationFailed } else { step.is_uncertain };
        if !is_to_be_looked_at || !is_awaited {
            return why("StepNotRunning");
        }
        if let StepReport::Done { .. } = &report.report {
            if undo { step.state = StepState::Compensated } else { step.is_late = true }
        }
        Ok(())
    }

    pub fn resolve_order(&mut self, resolve: &ResolveOrder) -> Said<()> {
        let at = self.find_order(resolve.order)?;
        match (self.order(at).state, resolve.confirm) {
            (OrderState::Confirmed, true) | (OrderState::Aborted, false) => return Ok(()),
            (OrderState::Confirmed | OrderState::Aborted, _) => return why("OrderEnded"),
            (OrderState::Running | OrderState::Compensating, true) => return why("OrderOpen"),
            (OrderState::Stuck, true) => {
                self.sell_all(at, IfExpired::Retake)?;
                self.order(at).state = OrderState::Confirmed;
            }
            (OrderState::Stuck, false) => self.order(at).state = OrderState::Aborted,
            (OrderState::Compensating, false) => {}
            (OrderState::Running, false) => {
                // Its present step may be done already, and nobody has to look at that any more.
                let order = self.order(at);
                order.is_resolved = true;
                let current = order.current().expect("one that runs has a step that is being done");
                order.steps[current].comes_out(StepState::Unknown);
                self.abort(at, GiveBack::Release);
            }
        }
        self.order(at).is_resolved = true;
        Ok(())
    }
}
