//! Orders with external steps.

use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::report_step::Report;

use super::into_command;
use crate::ids::ReservationId;

into_command!(StartOrder, ReportStep, ResolveOrder);

/// Has external steps decide whether a reservation that is held is sold.
#[derive(Clone, Debug, PartialEq)]
pub struct StartOrder(pub(crate) v1::StartOrder);

impl StartOrder {
    /// Of that reservation; name the steps.
    #[must_use]
    pub fn of(id: ReservationId) -> Self {
        Self(v1::StartOrder { reservation_id: Some(id.into()), steps: Vec::new() })
    }

    /// One more step, done once those before it are.
    #[must_use]
    pub fn step(mut self, step: OrderStep) -> Self {
        self.0.steps.push(step.0);
        self
    }
}

/// A step of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderStep(v1::OrderStepSpec);

impl OrderStep {
    /// A step that somebody reports with [`ReportStep`].
    #[must_use]
    pub fn awaited(name: impl Into<String>) -> Self {
        Self(v1::OrderStepSpec { name: name.into(), ..v1::OrderStepSpec::default() })
    }

    /// A step for which an endpoint of the cluster's settings is called.
    #[must_use]
    pub fn call(name: impl Into<String>, endpoint: impl Into<String>) -> Self {
        Self(v1::OrderStepSpec { name: name.into(), endpoint: endpoint.into(), ..v1::OrderStepSpec::default() })
    }

    /// It may take so long once the steps before it are done. A minute if not said.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.0.deadline_ms = whole_ms(deadline);
        self
    }

    /// The endpoint is called so often at most, for the step as for its compensation. Five times if not said.
    #[must_use]
    pub fn attempts(mut self, most: u32) -> Self {
        self.0.max_attempts = most;
        self
    }

    /// That endpoint is called to take it back.
    #[must_use]
    pub fn undone_by(mut self, endpoint: impl Into<String>) -> Self {
        self.0.compensation_endpoint = endpoint.into();
        self
    }

    /// Somebody reports that it is taken back.
    #[must_use]
    pub fn undo_awaited(mut self) -> Self {
        self.0.compensation_awaited = true;
        self
    }

    /// Taking it back may take so long. As long as the step if not said.
    #[must_use]
    pub fn undone_within(mut self, deadline: Duration) -> Self {
        self.0.compensation_deadline_ms = whole_ms(deadline);
        self
    }

    /// What an endpoint is told beside the order, at most 1 024 bytes.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.0.payload = payload.into();
        self
    }
}

/// Reports what became of a step that is awaited, or of taking one back.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportStep(pub(crate) v1::ReportStep);

impl ReportStep {
    /// The step is done; what it answered, at most 1 024 bytes.
    #[must_use]
    pub fn done(id: ReservationId, step: impl Into<String>, answer: impl Into<Vec<u8>>) -> Self {
        Self::of(id, step, Report::Done(answer.into()))
    }

    /// The step is not done and will not be, for sure.
    #[must_use]
    pub fn failed(id: ReservationId, step: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(id, step, Report::Failed(why.into()))
    }

    /// It is about taking the step back.
    #[must_use]
    pub fn of_compensation(mut self) -> Self {
        self.0.is_compensation = true;
        self
    }

    fn of(id: ReservationId, step: impl Into<String>, report: Report) -> Self {
        let (reservation_id, step) = (Some(id.into()), step.into());
        Self(v1::ReportStep { reservation_id, step, is_compensation: false, report: Some(report) })
    }
}

/// Decides what is to become of an order that is stuck, or has one come to nothing that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolveOrder(pub(crate) v1::ResolveOrder);

impl ResolveOrder {
    /// It stands: its units are tried for anew, and sold. Only of one that is stuck.
    #[must_use]
    pub fn confirm(id: ReservationId, reason: impl Into<String>) -> Self {
        Self(v1::ResolveOrder { reservation_id: Some(id.into()), confirm: true, reason: reason.into() })
    }

    /// It does not stand.
    #[must_use]
    pub fn abort(id: ReservationId, reason: impl Into<String>) -> Self {
        Self(v1::ResolveOrder { reservation_id: Some(id.into()), confirm: false, reason: reason.into() })
    }
}

/// Milliseconds of a duration; more than a number has are as many as it can have, which a node refuses.
fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
