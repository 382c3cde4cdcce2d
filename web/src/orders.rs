//! Orders with external steps: `/v1/orders`, `/v1/orders/{reservation_id}` and what is done to one.

use axum::http::{StatusCode, header};
use holdfast_client::ids::ReservationId;
use holdfast_client::{Client, Consistency, Orders};
use holdfast_proto::v1;
use holdfast_proto::v1::command::Operation;
use holdfast_proto::v1::report_step::Report;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::asked::Asked;
use crate::changes::reply_of;
use crate::event_subjects::{OrderState, StepState};
use crate::paging::{Page, page_of};
use crate::problem::Problem;
use crate::reply::{Answered, Done, Reply};
use crate::wire::{CauseSaid, IdText, Text, from_wire, reservation_id, shortened};

/// A step as it was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderStepSpec {
    /// 1 to 64 bytes of printable UTF-8, once in an order.
    #[schema(example = "pay")]
    name: String,
    /// The endpoint that is called; empty: somebody reports the step.
    #[serde(default)]
    endpoint: String,
    /// How long it may take once the ones before it are done; 0: 60 000. 100 to 14 400 000.
    #[serde(default)]
    deadline_ms: u64,
    /// How often an endpoint is called at most, for the step as for its compensation; 0: 5. At most 100.
    #[serde(default)]
    max_attempts: u32,
    /// The endpoint that is called to take it back,
    #[serde(default)]
    compensation_endpoint: String,
    /// or somebody reports it; neither: nothing needs to.
    #[serde(default)]
    compensation_awaited: bool,
    /// How long taking it back may take; 0: as long as the step.
    #[serde(default)]
    compensation_deadline_ms: u64,
    /// What an endpoint is told beside the order: at most 1 024 bytes.
    #[serde(default)]
    #[schema(required = false)]
    payload: Text,
}

from_wire!(OrderStepSpec {
    name,
    endpoint,
    deadline_ms,
    max_attempts,
    compensation_endpoint,
    compensation_awaited,
    compensation_deadline_ms,
    payload,
});

impl OrderStepSpec {
    fn wire(self) -> v1::OrderStepSpec {
        v1::OrderStepSpec {
            name: self.name,
            endpoint: self.endpoint,
            deadline_ms: self.deadline_ms,
            max_attempts: self.max_attempts,
            compensation_endpoint: self.compensation_endpoint,
            compensation_awaited: self.compensation_awaited,
            compensation_deadline_ms: self.compensation_deadline_ms,
            payload: self.payload.0.into_bytes(),
        }
    }
}

/// A step as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderStep {
    /// What it carries is forgotten once the order has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    spec: Option<OrderStepSpec>,
    state: StepState,
    /// Attempts that came to nothing: of the step, or of its compensation.
    attempts: u32,
    /// By when what is being done now is to be done; 0: nothing is.
    deadline_ms: u64,
    answer: Text,
    /// The answer is what its endpoint has for such cases.
    is_fallback: bool,
    /// It did not answer in time.
    is_uncertain: bool,
    /// It was reported done after its time was over.
    is_late: bool,
    /// Why it failed, or the last attempt did.
    why: String,
}

from_wire!(OrderStep { spec, state, attempts, deadline_ms, answer, is_fallback, is_uncertain, is_late, why });

/// What somebody decided of an order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrderResolution {
    confirmed: bool,
    reason: String,
    at_ms: u64,
}

from_wire!(OrderResolution { confirmed, reason, at_ms });

/// An order. Instants are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Order {
    reservation_id: IdText,
    order_ref: String,
    state: OrderState,
    steps: Vec<OrderStep>,
    started_at_ms: u64,
    /// 0: it has not ended.
    ended_at_ms: u64,
    /// Why it came to nothing.
    why: String,
    /// What somebody decided of it, if anybody did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resolution: Option<OrderResolution>,
    revision: u64,
}

from_wire!(Order { reservation_id, order_ref, state, steps, started_at_ms, ended_at_ms, why, resolution, revision });

/// What decides whether a hold is sold.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartOrderRequest {
    /// The hold.
    reservation_id: IdText,
    /// 1 to 8, done one after the other. What they may take together must not be longer than the hold may last.
    steps: Vec<OrderStepSpec>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// What became of a step that is awaited: `done` or `failed`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportStepRequest {
    step: String,
    /// It is about taking the step back.
    #[serde(default)]
    is_compensation: bool,
    /// At most 1 024 bytes of the step's answer; may be empty.
    #[serde(default)]
    #[schema(nullable = false)]
    done: Option<Text>,
    /// Why it is not done and will not be, at most 255 bytes.
    #[serde(default)]
    #[schema(nullable = false)]
    failed: Option<String>,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// Why somebody decides an order.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveOrderRequest {
    /// 1 to 255 bytes.
    reason: String,
    #[serde(default)]
    #[schema(nullable = false)]
    cause: Option<CauseSaid>,
}

/// The orders with external steps, shard by shard, by the age of their reservations.
#[utoipa::path(get, path = "/v1/orders", tag = "orders",
    params(("open_only" = Option<bool>, Query, description = "Only those that have not ended"),
           ("stuck_only" = Option<bool>, Query, description = "Only those that somebody has to look at"),
           ("limit" = Option<u32>, Query, description = "Entries of a page, 100 if not said", minimum = 1, maximum = 500),
           ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Page<Order>)))]
pub(crate) async fn list_orders(asked: Asked) -> Answered {
    asked.only_query(&["open_only", "stuck_only", "limit", "cursor"])?;
    let which = Orders {
        open_only: asked.query_number("open_only")?.unwrap_or(false),
        stuck_only: asked.query_number("stuck_only")?.unwrap_or(false),
    };
    let client = asked.client()?;
    Ok(page_of(asked.reader(&client, None)?.orders(which), &asked).await?.reply::<Order>())
}

/// The order of a reservation.
#[utoipa::path(get, path = "/v1/orders/{reservation_id}", tag = "orders",
    params(("reservation_id" = String, Path, description = "The reservation's id", format = "uuid")),
    responses((status = 200, description = "The order", body = Order)))]
pub(crate) async fn get_order(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let (client, id) = (asked.client()?, reservation_id(asked.path("reservation_id"), "reservation_id")?);
    let read = asked.reader(&client, Some(client.shard_of_slot(id.slot())))?.order(id).await?;
    let revision = read.value.revision;
    Ok(Reply::read::<Order, _>(read).tagged(revision))
}

/// Has external steps decide whether a reservation that is held is sold.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = StartOrderRequest,
    responses((status = 201, description = "It goes on by itself", body = Done,
        headers(("Location" = String, description = "The order's path")))))]
pub(crate) async fn start_order(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_conditions()?;
    let key = asked.key_needed()?;
    let StartOrderRequest { reservation_id, steps, cause } = asked.body()?;
    let id = reservation_id.reservation("reservation_id")?;
    let steps = steps.into_iter().map(OrderStepSpec::wire).collect();
    let start = Operation::StartOrder(v1::StartOrder { reservation_id: Some(id.into()), steps });
    let (success, is_replayed) = asked.decide(Some(key), start, cause).await?;
    Ok(reply_of(&success, StatusCode::CREATED).replayed(is_replayed).with(header::LOCATION, format!("/v1/orders/{id}")))
}

/// What is done to an order, by the verb behind its reservation's id.
pub(crate) async fn change_order(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    asked.no_if_none_match()?;
    let (id, verb) = asked.path_and_verb("reservation_id")?;
    let id = reservation_id(id, "reservation_id")?;
    let revision =
        |client: Client| async move { Ok(client.reader(Consistency::Linearizable).order(id).await?.value.revision) };
    asked.at_revision("order", revision).await?;
    match verb {
        "report" => report_step(&asked, id).await,
        "confirm" => confirm_order(&asked, id).await,
        "abort" => abort_order(&asked, id).await,
        other => {
            let detail = format!("`{}` is nothing that is done to an order", shortened(other));
            Err(Problem::invalid("path", detail).with_status(404))
        }
    }
}

/// Reports what became of a step that is awaited, or of taking one back.
#[utoipa::path(post, path = "/v1/orders/{reservation_id}:report", tag = "orders",
    params(("reservation_id" = String, Path, description = "The reservation's id", format = "uuid")),
    request_body = ReportStepRequest, responses((status = 200, description = "It is noted", body = Done)))]
pub(crate) async fn report_step(asked: &Asked, id: ReservationId) -> Answered {
    let key = asked.key_needed()?;
    let ReportStepRequest { step, is_compensation, done, failed, cause } = asked.body()?;
    let report = match (done, failed) {
        (Some(answer), None) => Report::Done(answer.0.into_bytes()),
        (None, Some(why)) => Report::Failed(why),
        _ => {
            let detail = "or `failed` is there, one of them: the step's answer, or why it is not done and will not be";
            return Err(Problem::invalid("done", detail));
        }
    };
    let report = v1::ReportStep { reservation_id: Some(id.into()), step, is_compensation, report: Some(report) };
    asked.execute(Some(key), Operation::ReportStep(report), cause, StatusCode::OK).await
}

/// Has an order stand that is stuck: its units are tried for anew, and sold.
#[utoipa::path(post, path = "/v1/orders/{reservation_id}:confirm", tag = "orders",
    params(("reservation_id" = String, Path, description = "The reservation's id", format = "uuid")),
    request_body = ResolveOrderRequest, responses((status = 200, description = "It stands", body = Done)))]
pub(crate) async fn confirm_order(asked: &Asked, id: ReservationId) -> Answered {
    resolve(asked, id, true).await
}

/// Has an order come to nothing: what was done of it is taken back.
#[utoipa::path(post, path = "/v1/orders/{reservation_id}:abort", tag = "orders",
    params(("reservation_id" = String, Path, description = "The reservation's id", format = "uuid")),
    request_body = ResolveOrderRequest, responses((status = 200, description = "It comes to nothing", body = Done)))]
pub(crate) async fn abort_order(asked: &Asked, id: ReservationId) -> Answered {
    resolve(asked, id, false).await
}

async fn resolve(asked: &Asked, id: ReservationId, confirm: bool) -> Answered {
    let key = asked.key_needed()?;
    let ResolveOrderRequest { reason, cause } = asked.body()?;
    let resolve = v1::ResolveOrder { reservation_id: Some(id.into()), confirm, reason };
    asked.execute(Some(key), Operation::ResolveOrder(resolve), cause, StatusCode::OK).await
}
