//! Orders with external steps, as they are shown.

use holdfast_inventory::{Compensation, Order, OrderState, Resolution, Step, StepKind, StepSpec, StepState};
use holdfast_proto::v1;

use super::id;

pub(super) const fn order_state(state: OrderState) -> v1::OrderState {
    match state {
        OrderState::Running => v1::OrderState::Running,
        OrderState::Compensating => v1::OrderState::Compensating,
        OrderState::Stuck => v1::OrderState::Stuck,
        OrderState::Confirmed => v1::OrderState::Confirmed,
        OrderState::Aborted => v1::OrderState::Aborted,
    }
}

pub(super) const fn step_state(state: StepState) -> v1::StepState {
    match state {
        StepState::Waiting => v1::StepState::Waiting,
        StepState::Running => v1::StepState::Running,
        StepState::Done => v1::StepState::Done,
        StepState::Failed => v1::StepState::Failed,
        StepState::Unknown => v1::StepState::Unknown,
        StepState::Compensating => v1::StepState::Compensating,
        StepState::Compensated => v1::StepState::Compensated,
        StepState::CompensationFailed => v1::StepState::CompensationFailed,
    }
}

pub(crate) fn order(order: &Order) -> v1::Order {
    let resolution =
        |it: &Resolution| v1::OrderResolution { confirmed: it.confirmed, reason: it.reason.clone(), at_ms: it.at.0 };
    v1::Order {
        reservation_id: Some(id(order.id.0)),
        order_ref: order.order_ref.as_ref().map(ToString::to_string).unwrap_or_default(),
        state: order_state(order.state).into(),
        steps: order.steps.iter().map(step).collect(),
        started_at_ms: order.started_at.0,
        ended_at_ms: order.ended_at.map_or(0, |at| at.0),
        why: order.why.clone(),
        resolution: order.resolution.as_ref().map(resolution),
        revision: order.revision.0,
    }
}

fn step(step: &Step) -> v1::OrderStep {
    v1::OrderStep {
        spec: Some(spec(&step.spec)),
        state: step_state(step.state).into(),
        attempts: step.attempts,
        deadline_ms: step.deadline.map_or(0, |at| at.0),
        answer: step.answer.clone(),
        is_fallback: step.is_fallback,
        is_uncertain: step.is_uncertain,
        is_late: step.is_late,
        why: step.why.clone(),
    }
}

fn spec(spec: &StepSpec) -> v1::OrderStepSpec {
    let compensation_endpoint = match &spec.compensation {
        Compensation::Call { endpoint } => endpoint.to_string(),
        Compensation::None | Compensation::Await => String::new(),
    };
    v1::OrderStepSpec {
        name: spec.name.to_string(),
        endpoint: match &spec.kind {
            StepKind::Call { endpoint } => endpoint.to_string(),
            StepKind::Await => String::new(),
        },
        deadline_ms: spec.deadline_ms,
        max_attempts: spec.max_attempts,
        compensation_endpoint,
        compensation_awaited: spec.compensation == Compensation::Await,
        compensation_deadline_ms: spec.compensation_deadline_ms,
        payload: spec.payload.clone(),
    }
}
