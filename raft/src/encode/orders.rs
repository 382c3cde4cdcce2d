//! Orders with external steps, to the log's types and back.

use holdfast_inventory::commands::{ReportStep, ResolveOrder, StartOrder, StepReport};
use holdfast_inventory::{Compensation, EndpointId, Operation, ReservationId, StepKind, StepName, StepSpec};
use holdfast_proto::log::v1 as log;
use holdfast_proto::log::v1::command::Operation as LogOperation;
use holdfast_proto::log::v1::report_step::Report;

use super::DecodeError;
use super::from_log::{id, name};

pub(super) fn start_to_log(it: &StartOrder) -> log::StartOrder {
    let (reservation_high, reservation_low) = halves(it.reservation);
    log::StartOrder { reservation_high, reservation_low, steps: it.steps.iter().map(step_to_log).collect() }
}

fn step_to_log(step: &StepSpec) -> log::OrderStep {
    let (compensation, compensation_endpoint) = match &step.compensation {
        Compensation::None => (1, String::new()),
        Compensation::Call { endpoint } => (2, endpoint.as_str().to_owned()),
        Compensation::Await => (3, String::new()),
    };
    log::OrderStep {
        name: step.name.as_str().to_owned(),
        endpoint: match &step.kind {
            StepKind::Call { endpoint } => endpoint.as_str().to_owned(),
            StepKind::Await => String::new(),
        },
        deadline_ms: step.deadline_ms,
        max_attempts: step.max_attempts,
        compensation,
        compensation_endpoint,
        compensation_deadline_ms: step.compensation_deadline_ms,
        payload: step.payload.clone(),
    }
}

pub(super) fn report_to_log(it: &ReportStep) -> log::ReportStep {
    let (order_high, order_low) = halves(it.order);
    log::ReportStep {
        order_high,
        order_low,
        step: it.step.as_str().to_owned(),
        is_compensation: it.is_compensation,
        attempt: it.attempt,
        report: Some(match &it.report {
            StepReport::Done { answer, is_fallback } => {
                Report::Done(log::StepDone { answer: answer.clone(), is_fallback: *is_fallback })
            }
            StepReport::Failed { why } => Report::Failed(why.clone()),
            StepReport::Retry { why } => Report::Retry(why.clone()),
        }),
    }
}

pub(super) fn resolve_to_log(it: &ResolveOrder) -> log::ResolveOrder {
    let (order_high, order_low) = halves(it.order);
    log::ResolveOrder { order_high, order_low, confirm: it.confirm, reason: it.reason.clone() }
}

pub(super) fn from_log(message: LogOperation) -> Result<Operation, DecodeError> {
    Ok(match message {
        LogOperation::StartOrder(it) => Operation::StartOrder(Box::new(StartOrder {
            reservation: order(it.reservation_high, it.reservation_low),
            steps: it.steps.into_iter().map(step_from_log).collect::<Result<_, _>>()?,
        })),
        LogOperation::ReportStep(it) => Operation::ReportStep(Box::new(ReportStep {
            order: order(it.order_high, it.order_low),
            step: name(StepName::new(&it.step))?,
            is_compensation: it.is_compensation,
            attempt: it.attempt,
            report: match it.report {
                Some(Report::Done(done)) => StepReport::Done { answer: done.answer, is_fallback: done.is_fallback },
                Some(Report::Failed(why)) => StepReport::Failed { why },
                Some(Report::Retry(why)) => StepReport::Retry { why },
                None => return Err(DecodeError::malformed("a step's report says nothing")),
            },
        })),
        LogOperation::ResolveOrder(it) => Operation::ResolveOrder(ResolveOrder {
            order: order(it.order_high, it.order_low),
            confirm: it.confirm,
            reason: it.reason,
        }),
        other => return Err(DecodeError::malformed(format!("{other:?} is nothing of orders"))),
    })
}

fn step_from_log(it: log::OrderStep) -> Result<StepSpec, DecodeError> {
    Ok(StepSpec {
        name: name(StepName::new(&it.name))?,
        kind: if it.endpoint.is_empty() {
            StepKind::Await
        } else {
            StepKind::Call { endpoint: name(EndpointId::new(&it.endpoint))? }
        },
        deadline_ms: it.deadline_ms,
        max_attempts: it.max_attempts,
        compensation: match it.compensation {
            1 => Compensation::None,
            2 => Compensation::Call { endpoint: name(EndpointId::new(&it.compensation_endpoint))? },
            3 => Compensation::Await,
            other => return Err(DecodeError::malformed(format!("compensation {other}"))),
        },
        compensation_deadline_ms: it.compensation_deadline_ms,
        payload: it.payload,
    })
}

fn halves(id: ReservationId) -> (u64, u64) {
    ((id.0 >> 64) as u64, id.0 as u64)
}

fn order(high: u64, low: u64) -> ReservationId {
    ReservationId(id(high, low))
}
