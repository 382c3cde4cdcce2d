//! Orders with external steps.

use holdfast_inventory::commands::{ReportStep, ResolveOrder, StartOrder, StepReport};
use holdfast_inventory::{Compensation, EndpointId, MAX_STEPS, OrderFilter, StepKind, StepName, StepSpec};
use holdfast_proto::v1::report_step::Report;
use holdfast_proto::v1::{self, CommandError};

use super::fields::{invalid, name_at, optional_name};
use super::reservation_id;

/// How long a step may take that does not say.
const DEFAULT_DEADLINE_MS: u64 = 60_000;
/// How often an endpoint is called for a step that does not say.
const DEFAULT_ATTEMPTS: u32 = 5;

pub(super) fn start(wire: &v1::StartOrder) -> Result<StartOrder, CommandError> {
    if wire.steps.len() > MAX_STEPS {
        let problem = format!("has {} steps", wire.steps.len());
        return Err(invalid("steps", &problem, &format!("1 to {MAX_STEPS} steps")));
    }
    let steps = wire.steps.iter().enumerate().map(|(at, step)| step_at(at, step)).collect::<Result<_, _>>()?;
    Ok(StartOrder { reservation: reservation_id(wire.reservation_id)?, steps })
}

fn step_at(at: usize, wire: &v1::OrderStepSpec) -> Result<StepSpec, CommandError> {
    let field = |name: &str| format!("steps[{at}].{name}");
    let compensation_field = || field("compensation_endpoint");
    let called = optional_name(&wire.compensation_endpoint, EndpointId::new, compensation_field)?;
    let compensation = match (called, wire.compensation_awaited) {
        (Some(_), true) => {
            let hint = "leave one of compensation_endpoint and compensation_awaited unset";
            return Err(invalid(compensation_field(), "is set beside compensation_awaited", hint));
        }
        (Some(endpoint), false) => Compensation::Call { endpoint },
        (None, true) => Compensation::Await,
        (None, false) => Compensation::None,
    };
    let deadline_ms = if wire.deadline_ms == 0 { DEFAULT_DEADLINE_MS } else { wire.deadline_ms };
    let endpoint = optional_name(&wire.endpoint, EndpointId::new, || field("endpoint"))?;
    Ok(StepSpec {
        name: name_at(|| field("name"), &wire.name, StepName::new)?,
        kind: endpoint.map_or(StepKind::Await, |endpoint| StepKind::Call { endpoint }),
        deadline_ms,
        max_attempts: if wire.max_attempts == 0 { DEFAULT_ATTEMPTS } else { wire.max_attempts },
        compensation,
        compensation_deadline_ms: match wire.compensation_deadline_ms {
            0 => deadline_ms,
            given => given,
        },
        payload: wire.payload.clone(),
    })
}

pub(super) fn report(wire: v1::ReportStep) -> Result<ReportStep, CommandError> {
    let report = match wire.report {
        Some(Report::Done(answer)) => StepReport::Done { answer, is_fallback: false },
        Some(Report::Failed(why)) => StepReport::Failed { why },
        None => return Err(invalid("report", "is missing", "say that the step is done, or why it failed")),
    };
    Ok(ReportStep {
        order: reservation_id(wire.reservation_id)?,
        step: name_at(|| "step".to_owned(), &wire.step, StepName::new)?,
        is_compensation: wire.is_compensation,
        report,
        // What is called is reported by the node that calls it.
        attempt: 0,
    })
}

pub(super) fn resolve(wire: v1::ResolveOrder) -> Result<ResolveOrder, CommandError> {
    Ok(ResolveOrder { order: reservation_id(wire.reservation_id)?, confirm: wire.confirm, reason: wire.reason })
}

/// Which orders to list.
pub(crate) fn order_filter(open_only: bool, stuck_only: bool) -> OrderFilter {
    match (stuck_only, open_only) {
        (true, _) => OrderFilter::Stuck,
        (false, true) => OrderFilter::Open,
        (false, false) => OrderFilter::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(change: impl FnOnce(&mut v1::OrderStepSpec)) -> v1::StartOrder {
        let pay = v1::OrderStepSpec { name: "pay".to_owned(), ..v1::OrderStepSpec::default() };
        let mut steps = vec![pay.clone(), v1::OrderStepSpec { name: "fraud".to_owned(), ..pay }];
        change(&mut steps[1]);
        v1::StartOrder { reservation_id: Some(v1::Id { high: 1, low: 1 }), steps }
    }

    #[test]
    fn what_a_step_does_not_say_has_a_default() {
        let step = start(&wire(|_| {})).unwrap().steps.remove(0);
        assert_eq!((step.kind, step.compensation), (StepKind::Await, Compensation::None));
        assert_eq!((step.deadline_ms, step.compensation_deadline_ms, step.max_attempts), (60_000, 60_000, 5));
    }

    #[test]
    fn a_step_that_is_none_is_refused_by_its_field() {
        let refused = |change: fn(&mut v1::OrderStepSpec)| start(&wire(change)).unwrap_err().field;
        assert_eq!(refused(|step| step.name.clear()), "steps[1].name");
        assert_eq!(refused(|step| step.endpoint = "pay\nments".to_owned()), "steps[1].endpoint");
        assert_eq!(refused(|step| step.compensation_endpoint = "\n".to_owned()), "steps[1].compensation_endpoint");
        let both = refused(|step| {
            step.compensation_endpoint = "refunds".to_owned();
            step.compensation_awaited = true;
        });
        assert_eq!(both, "steps[1].compensation_endpoint");
        let many = v1::StartOrder { steps: vec![v1::OrderStepSpec::default(); 9], ..wire(|_| {}) };
        assert_eq!(start(&many).unwrap_err().field, "steps");
        assert_eq!(
            start(&v1::StartOrder { reservation_id: None, ..wire(|_| {}) }).unwrap_err().field,
            "reservation_id"
        );
    }

    #[test]
    fn a_report_says_something() {
        let wire = v1::ReportStep { step: "pay".to_owned(), ..v1::ReportStep::default() };
        assert_eq!(report(wire.clone()).unwrap_err().field, "report");
        let wire = v1::ReportStep { report: Some(Report::Done(Vec::new())), ..wire };
        assert_eq!(report(wire).unwrap_err().field, "reservation_id");
    }
}
