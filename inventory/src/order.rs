//! Orders with external steps: what a payment provider or the shop itself does beside the stock. What is asked, and what is shown.

use serde::{Deserialize, Serialize};

use crate::state::{ReservationNo, ReservationRecord};
use crate::{EndpointId, Field, InvalidArgument, Inventory, LogTime, OrderRef, ReservationCursor, ReservationId};
use crate::{Revision, StepName};

/// Most steps of one order.
pub const MAX_STEPS: usize = 8;
/// Most bytes of what a step carries, and of what it answers.
pub const MAX_STEP_BYTES: usize = 1_024;
/// Longest reason why a step failed, in bytes.
pub const MAX_WHY_BYTES: usize = 255;
/// Most attempts of one call.
pub const MAX_ATTEMPTS: u32 = 100;
/// The shortest time that a step may have, in ms.
pub const MIN_STEP_DEADLINE_MS: u64 = 100;
/// The longest time that a step may have, in ms.
pub const MAX_STEP_DEADLINE_MS: u64 = 14_400_000;
/// How many records a page of a list looks at for each one that it may have.
const LOOKS: usize = 64;

/// A step of an order, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Its name, once in an order. It is part of the key under which an endpoint knows the call.
    pub name: StepName,
    /// Who does it.
    pub kind: StepKind,
    /// How long it may take once the ones before it are done, in ms of log time.
    pub deadline_ms: u64,
    /// How often an endpoint is called at most, for the step as for its compensation.
    pub max_attempts: u32,
    /// What takes it back.
    pub compensation: Compensation,
    /// How long taking it back may take, in ms of log time.
    pub compensation_deadline_ms: u64,
    /// What an endpoint is told beside the order; opaque.
    pub payload: Vec<u8>,
}

/// Who does a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepKind {
    /// An endpoint of the cluster's settings is called.
    Call {
        /// Which.
        endpoint: EndpointId,
    },
    /// Somebody reports it.
    Await,
}

/// What takes a step back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compensation {
    /// Nothing needs to.
    None,
    /// An endpoint of the cluster's settings is called.
    Call {
        /// Which.
        endpoint: EndpointId,
    },
    /// Somebody reports that it is taken back.
    Await,
}

impl StepSpec {
    /// Checks the numbers.
    fn validate(&self) -> Result<(), Field> {
        let fits = |ms: u64| (MIN_STEP_DEADLINE_MS..=MAX_STEP_DEADLINE_MS).contains(&ms);
        if !fits(self.deadline_ms) {
            return Err(Field::StepDeadline);
        }
        if !fits(self.compensation_deadline_ms) {
            return Err(Field::CompensationDeadline);
        }
        if self.max_attempts == 0 || self.max_attempts > MAX_ATTEMPTS {
            return Err(Field::MaxAttempts);
        }
        if self.payload.len() > MAX_STEP_BYTES { Err(Field::StepPayload) } else { Ok(()) }
    }
}

/// Checks the steps of an order.
pub(crate) fn validate_steps(steps: &[StepSpec]) -> Result<(), InvalidArgument> {
    if steps.is_empty() || steps.len() > MAX_STEPS {
        return Err(InvalidArgument::of(Field::Steps));
    }
    for (at, step) in steps.iter().enumerate() {
        step.validate().map_err(|field| InvalidArgument::in_line(field, at))?;
        if steps[..at].iter().any(|other| other.name == step.name) {
            return Err(InvalidArgument::in_line(Field::StepName, at));
        }
    }
    Ok(())
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum OrderState {
    /// Its steps are done, one after the other; its units stay held.
    Running,
    /// It came to nothing: its units are given back, and what was done is taken back, the last first.
    Compensating,
    /// It came to nothing, and of some step it is not known whether it was done, or whether it was taken back: somebody has to look.
    Stuck,
    /// All steps are done, and its units are sold.
    Confirmed,
    /// It came to nothing, and everything is taken back.
    Aborted,
}

impl OrderState {
    /// Nothing more happens to it.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Confirmed | Self::Aborted)
    }

    /// Its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Stuck => "stuck",
            Self::Confirmed => "confirmed",
            Self::Aborted => "aborted",
        }
    }
}

impl std::fmt::Display for OrderState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StepState {
    /// Its turn has not come.
    Waiting,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It was not done, and will not be.
    Failed,
    /// It did not answer in time: it may be done or not.
    Unknown,
    /// It is being taken back.
    Compensating,
    /// It is taken back.
    Compensated,
    /// It may not be taken back.
    CompensationFailed,
}

/// A step as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What was asked for. What it carries is forgotten once the order has ended.
    pub spec: StepSpec,
    /// Where it stands.
    pub state: StepState,
    /// Attempts at what is being done now, or was last, that came to nothing: the step, or its compensation.
    pub attempts: u32,
    /// By when what is being done now is to be done.
    pub deadline: Option<LogTime>,
    /// What it answered; opaque, at most [`MAX_STEP_BYTES`].
    pub answer: Vec<u8>,
    /// The answer is not its own, but what its endpoint has for such cases.
    pub is_fallback: bool,
    /// It did not answer in time. What is known of it since stands in `is_late` and `answer`.
    pub is_uncertain: bool,
    /// It was reported done after its time was over.
    pub is_late: bool,
    /// Why it failed, or the last attempt did.
    pub why: String,
}

/// What somebody decided of an order that was stuck, or was to come to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// True: it stands. False: it does not.
    pub confirmed: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: LogTime,
}

/// An order as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its reservation, whose id is its own.
    pub id: ReservationId,
    /// The caller's own word for it.
    pub order_ref: Option<OrderRef>,
    /// Where it stands.
    pub state: OrderState,
    /// Its steps, in the order in which they are done.
    pub steps: Vec<Step>,
    /// When it began.
    pub started_at: LogTime,
    /// When it ended.
    pub ended_at: Option<LogTime>,
    /// Why it came to nothing.
    pub why: String,
    /// What somebody decided of it.
    pub resolution: Option<Resolution>,
    /// How often it was changed.
    pub revision: Revision,
}

/// Which of an order's calls is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    /// The order.
    pub order: ReservationId,
    /// The step.
    pub step: StepName,
    /// The step is to be taken back.
    pub is_compensation: bool,
}

/// A call that the node that leads the shard is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepCall {
    /// Which it is.
    pub key: CallKey,
    /// The caller's own word for the order.
    pub order_ref: Option<OrderRef>,
    /// What is called.
    pub endpoint: EndpointId,
    /// What it carries.
    pub payload: Vec<u8>,
    /// Of a compensation: what the step answered, where it did.
    pub answer: Vec<u8>,
    /// Attempts that came to nothing.
    pub attempts: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// By when it is to be done.
    pub deadline: LogTime,
}

/// Which orders a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderFilter {
    /// All in memory.
    #[default]
    All,
    /// Those that have not ended.
    Open,
    /// Those that somebody has to look at.
    Stuck,
}

impl Inventory {
    /// The order of that reservation, as long as it is in memory.
    #[must_use]
    pub fn order(&self, id: ReservationId) -> Option<Order> {
        self.state.reservation(self.state.find_reservation(id)?).show_order()
    }

    /// Up to `limit` orders from the cursor on, by the age of their reservations; and where to go on, if there may be more. Looks at
    /// no more than 64 for each one asked for, so a page may be short of what it could have.
    #[must_use]
    pub fn orders(
        &self,
        from: ReservationCursor,
        filter: OrderFilter,
        limit: usize,
    ) -> (Vec<Order>, Option<ReservationCursor>) {
        let indexes = &self.state.indexes;
        let index = if filter == OrderFilter::All { &indexes.orders } else { &indexes.open_orders };
        let mut page = Vec::new();
        for (looked, no) in index.range(ReservationNo(from.0)..).enumerate() {
            if page.len() == limit || looked == limit.saturating_mul(LOOKS) {
                return (page, Some(ReservationCursor(no.0)));
            }
            let order = self.state.reservation(*no).show_order();
            page.extend(order.filter(|order| filter != OrderFilter::Stuck || order.state == OrderState::Stuck));
        }
        (page, None)
    }

    /// How many orders have not ended.
    #[must_use]
    pub fn open_orders(&self) -> u64 {
        self.state.indexes.open_orders.len() as u64
    }

    /// Whether an endpoint is to be called for any order.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        !self.state.indexes.calling.is_empty()
    }

    /// What is to be called for that order now.
    #[must_use]
    pub fn call_to_make(&self, order: ReservationId) -> Option<StepCall> {
        self.state.reservation(self.state.find_reservation(order)?).call_to_make(|_, _| true)
    }

    /// Up to `limit` calls that are to be made and that are wanted, by the age of the reservations.
    #[must_use]
    pub fn calls_to_make(&self, limit: usize, is_wanted: impl Fn(&CallKey, &EndpointId) -> bool) -> Vec<StepCall> {
        let records = self.state.indexes.calling.iter().map(|no| self.state.reservation(*no));
        records.filter_map(|record| record.call_to_make(&is_wanted)).take(limit).collect()
    }
}

impl ReservationRecord {
    fn show_order(&self) -> Option<Order> {
        let order = self.order.as_deref()?;
        Some(Order {
            id: self.id,
            order_ref: self.order_ref().cloned(),
            state: order.state,
            steps: order.steps.clone(),
            started_at: order.started_at,
            ended_at: order.ended_at,
            why: order.why.clone(),
            resolution: order.resolution.clone(),
            revision: order.revision,
        })
    }

    fn call_to_make(&self, is_wanted: impl Fn(&CallKey, &EndpointId) -> bool) -> Option<StepCall> {
        let order = self.order.as_deref()?;
        let step = &order.steps[order.current()?];
        let endpoint = step.called()?;
        let is_compensation = step.state == StepState::Compensating;
        let key = CallKey { order: self.id, step: step.spec.name.clone(), is_compensation };
        if !is_wanted(&key, endpoint) {
            return None;
        }
        Some(StepCall {
            key,
            order_ref: self.order_ref().cloned(),
            endpoint: endpoint.clone(),
            payload: step.spec.payload.clone(),
            answer: if is_compensation { step.answer.clone() } else { Vec::new() },
            attempts: step.attempts,
            max_attempts: step.spec.max_attempts,
            deadline: step.deadline?,
        })
    }
}
