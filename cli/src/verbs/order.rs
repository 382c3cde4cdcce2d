//! `holdfast order`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use holdfast_client::Orders;
use holdfast_client::ids::ReservationId;
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::report_step::Report as Told;
use serde::Serialize;

use crate::ask::Asking;
use crate::connect::{Reading, failure_of};
use crate::dates;
use crate::failure::Failure;
use crate::ids::ReservationText;
use crate::output::{Answer, Format};

/// Orders with external steps: payments and the like, done beside a hold.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Have steps decide whether a reservation is sold: all done, it is; one that fails, and what was done is taken back.
    Start(Start),
    /// Say what became of a step that is awaited, or of taking one back.
    Report(Report),
    /// Show an order.
    Get(Get),
    /// Show the orders, by the age of their reservations within each shard.
    List(List),
    /// Decide what is to become of an order that is stuck, or have one come to nothing that goes on.
    Resolve(Resolve),
}

/// Have steps decide whether a reservation is sold: all done, it is; one that fails, and what was done is taken back.
#[derive(Debug, Args)]
pub struct Start {
    /// The reservation, which is held until the steps are over.
    #[arg(value_name = "RESERVATION")]
    reservation: ReservationText,
    /// A step, done once those before it are; repeatable. With an endpoint of the cluster's settings it is called, without one the
    /// step is awaited. After it, with commas: within=SECONDS, attempts=N, undo=ENDPOINT or undo=await, undo-within=SECONDS,
    /// payload=TEXT (to the end).
    #[arg(long = "step", required = true, value_name = "NAME[=ENDPOINT][,…]")]
    steps: Vec<StepText>,
    #[command(flatten)]
    asking: Asking,
}

/// Say what became of a step that is awaited, or of taking one back.
#[derive(Debug, Args)]
pub struct Report {
    /// The order, by its reservation.
    #[arg(value_name = "RESERVATION")]
    reservation: ReservationText,
    /// The step.
    step: String,
    /// It is done.
    #[arg(long, required_unless_present = "failed", conflicts_with = "failed")]
    done: bool,
    /// What it answered, at most 1 024 bytes.
    #[arg(long, requires = "done", value_name = "TEXT", default_value = "", hide_default_value = true)]
    answer: String,
    /// It is not done and will not be: why.
    #[arg(long, value_name = "WHY")]
    failed: Option<String>,
    /// It is about taking the step back.
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Show an order.
#[derive(Debug, Args)]
pub struct Get {
    /// Its reservation.
    #[arg(value_name = "RESERVATION")]
    reservation: ReservationText,
    #[command(flatten)]
    reading: Reading,
}

/// Show the orders, by the age of their reservations within each shard.
#[derive(Debug, Args)]
pub struct List {
    /// Only those that have not ended.
    #[arg(long)]
    open: bool,
    /// Only those that somebody has to look at.
    #[arg(long)]
    stuck: bool,
    /// Only those of this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// At most so many.
    #[arg(long, default_value_t = 1_000, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    reading: Reading,
}

/// Decide what is to become of an order that is stuck, or have one come to nothing that goes on. Say why with --reason.
#[derive(Debug, Args)]
pub struct Resolve {
    /// The order, by its reservation.
    #[arg(value_name = "RESERVATION")]
    reservation: ReservationText,
    /// It stands: its units are tried for anew, and sold. Only of one that is stuck.
    #[arg(long, required_unless_present = "abort", conflicts_with = "abort")]
    confirm: bool,
    /// It does not stand.
    #[arg(long)]
    abort: bool,
    #[command(flatten)]
    asking: Asking,
}

/// `NAME`, `NAME=ENDPOINT`, and what is said of it after commas.
#[derive(Clone, Debug, PartialEq)]
struct StepText(v1::OrderStepSpec);

const FORM: &str = "write NAME or NAME=ENDPOINT, then with commas within=SECONDS, attempts=N, undo=ENDPOINT or undo=await, \
                    undo-within=SECONDS, payload=TEXT";

impl FromStr for StepText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A payload may have commas in it, so that it comes last.
        let (text, payload) = text.split_once(",payload=").unwrap_or((text, ""));
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        let (name, endpoint) = first.split_once('=').unwrap_or((first, ""));
        let mut step = v1::OrderStepSpec {
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            payload: payload.as_bytes().to_vec(),
            ..v1::OrderStepSpec::default()
        };
        for word in words {
            match word.split_once('=').ok_or(FORM)? {
                ("within", seconds) => step.deadline_ms = milliseconds(seconds)?,
                ("undo-within", seconds) => step.compensation_deadline_ms = milliseconds(seconds)?,
                ("attempts", number) => step.max_attempts = number.parse().map_err(|_| FORM)?,
                ("undo", "await") => step.compensation_awaited = true,
                ("undo", endpoint) => step.compensation_endpoint = endpoint.to_owned(),
                _ => return Err(FORM.to_owned()),
            }
        }
        if name.is_empty() { Err(FORM.to_owned()) } else { Ok(Self(step)) }
    }
}

/// Seconds, with a fraction where need be.
fn milliseconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.parse().map_err(|_| FORM.to_owned())?;
    if seconds > 0.0 && seconds < 1e9 { Ok((seconds * 1_000.0).ceil() as u64) } else { Err(FORM.to_owned()) }
}

#[derive(Serialize)]
struct StepRow {
    name: String,
    state: &'static str,
    /// Empty: somebody reports it.
    endpoint: String,
    attempts: u32,
    answer: String,
    fallback: bool,
    /// It did not answer in time.
    uncertain: bool,
    /// It was reported done after its time was over.
    late: bool,
    why: String,
    /// By when what is being done now is to be done.
    deadline: String,
}

#[derive(Serialize)]
struct OrderRow {
    reservation: String,
    order_ref: String,
    state: &'static str,
    steps: Vec<StepRow>,
    /// Why it came to nothing.
    why: String,
    /// What somebody decided of it: confirm or abort; empty: nobody has.
    resolved: &'static str,
    resolved_because: String,
    started_at: String,
    ended_at: String,
    revision: u64,
}

impl Order {
    /// Shows or changes them.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        match self {
            Self::Start(Start { reservation, steps, asking }) => {
                let steps = steps.into_iter().map(|step| step.0).collect();
                let start = v1::StartOrder { reservation_id: Some(reservation.id()), steps };
                ask_and_show(&asking, reservation, Operation::StartOrder(start), format).await
            }
            Self::Report(Report { reservation, step, done: _, answer, failed, undo, asking }) => {
                let told = failed.map_or(Told::Done(answer.into_bytes()), Told::Failed);
                let report = v1::ReportStep {
                    reservation_id: Some(reservation.id()),
                    step,
                    is_compensation: undo,
                    report: Some(told),
                };
                ask_and_show(&asking, reservation, Operation::ReportStep(report), format).await
            }
            Self::Resolve(Resolve { reservation, confirm, abort: _, asking }) => {
                if asking.reason().trim().is_empty() {
                    return Err(Failure::usage("an order is resolved for a reason").hint("say it with --reason"));
                }
                let reason = asking.reason().to_owned();
                let resolve = v1::ResolveOrder { reservation_id: Some(reservation.id()), confirm, reason };
                ask_and_show(&asking, reservation, Operation::ResolveOrder(resolve), format).await
            }
            Self::Get(Get { reservation, reading }) => {
                show(vec![reading.order(reservation.reservation()).await?], true, format);
                Ok(())
            }
            Self::List(List { open, stuck, shard, limit, reading }) => {
                let which = Orders { open_only: open, stuck_only: stuck };
                show(reading.orders(which, shard, limit).await?, false, format);
                Ok(())
            }
        }
    }
}

/// Asks, and shows the order as it stands then.
async fn ask_and_show(
    asking: &Asking,
    reservation: ReservationText,
    operation: Operation,
    format: Format,
) -> Result<(), Failure> {
    let (client, _) = asking.done(operation).await?;
    let order = client.reader(Default::default()).order(reservation.reservation()).await.map_err(failure_of)?;
    show(vec![order.value], true, format);
    Ok(())
}

const HEADER: [&str; 9] =
    ["reservation", "order ref", "state", "step", "step state", "endpoint", "attempts", "answer", "why"];

fn show(found: Vec<v1::Order>, is_one: bool, format: Format) {
    let rows: Vec<OrderRow> = found.into_iter().map(OrderRow::from).collect();
    let shown: Vec<_> = rows.iter().flat_map(OrderRow::table).collect();
    match rows.as_slice() {
        [row] if is_one => Answer::rows(row, HEADER, shown).print(format),
        rows => Answer::rows(&rows, HEADER, shown).print(format),
    }
}

impl OrderRow {
    /// A row for each step.
    fn table(&self) -> Vec<[String; 9]> {
        let row = |step: &StepRow| {
            let late = if step.late { " (came late)" } else { "" };
            let fallback = if step.fallback { " (fallback)" } else { "" };
            [
                self.reservation.clone(),
                self.order_ref.clone(),
                self.state.to_owned(),
                step.name.clone(),
                format!("{}{late}", step.state),
                step.endpoint.clone(),
                step.attempts.to_string(),
                format!("{}{fallback}", step.answer),
                step.why.clone(),
            ]
        };
        self.steps.iter().map(row).collect()
    }
}

impl From<v1::Order> for OrderRow {
    fn from(order: v1::Order) -> Self {
        let state = match order.state() {
            v1::OrderState::Unspecified => "",
            v1::OrderState::Running => "running",
            v1::OrderState::Compensating => "compensating",
            v1::OrderState::Stuck => "stuck",
            v1::OrderState::Confirmed => "confirmed",
            v1::OrderState::Aborted => "aborted",
        };
        let resolution = order.resolution.unwrap_or_default();
        let resolved = match (resolution.at_ms, resolution.confirmed) {
            (0, _) => "",
            (_, true) => "confirm",
            (_, false) => "abort",
        };
        Self {
            reservation: order.reservation_id.map(|id| ReservationId::from(id).to_string()).unwrap_or_default(),
            order_ref: order.order_ref,
            state,
            steps: order.steps.into_iter().map(StepRow::from).collect(),
            why: order.why,
            resolved,
            resolved_because: resolution.reason,
            started_at: dates::instant_text(order.started_at_ms),
            ended_at: dates::instant_text(order.ended_at_ms),
            revision: order.revision,
        }
    }
}

impl From<v1::OrderStep> for StepRow {
    fn from(step: v1::OrderStep) -> Self {
        let state = match step.state() {
            v1::StepState::Unspecified => "",
            v1::StepState::Waiting => "waiting",
            v1::StepState::Running => "running",
            v1::StepState::Done => "done",
            v1::StepState::Failed => "failed",
            v1::StepState::Unknown => "unknown",
            v1::StepState::Compensating => "compensating",
            v1::StepState::Compensated => "compensated",
            v1::StepState::CompensationFailed => "compensation_failed",
        };
        let spec = step.spec.unwrap_or_default();
        Self {
            name: spec.name,
            state,
            endpoint: spec.endpoint,
            attempts: step.attempts,
            answer: String::from_utf8_lossy(&step.answer).into_owned(),
            fallback: step.is_fallback,
            uncertain: step.is_uncertain,
            late: step.is_late,
            why: step.why,
            deadline: dates::instant_text(step.deadline_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_as_it_is_written() {
        let read = |text: &str| text.parse::<StepText>().map(|step| step.0);
        let plain = v1::OrderStepSpec { name: "pay".to_owned(), ..v1::OrderStepSpec::default() };
        assert_eq!(read("pay"), Ok(plain.clone()));
        let called = v1::OrderStepSpec {
            endpoint: "payments".to_owned(),
            deadline_ms: 1_500,
            max_attempts: 3,
            compensation_endpoint: "refunds".to_owned(),
            compensation_deadline_ms: 60_000,
            payload: b"EUR 12,50".to_vec(),
            ..plain.clone()
        };
        let text = "pay=payments,within=1.5,attempts=3,undo=refunds,undo-within=60,payload=EUR 12,50";
        assert_eq!(read(text), Ok(called));
        assert_eq!(read("pay,undo=await"), Ok(v1::OrderStepSpec { compensation_awaited: true, ..plain }));
        for bad in ["", "=payments", "pay,within=0", "pay,within=x", "pay,soon", "pay,often=2"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
