//! The page of what somebody has to look at.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use holdfast_client::{Consistency, Documents, Orders};
use holdfast_proto::v1;
use serde::Serialize;

use super::event::{EventShown, latest};
use super::in_time;
use crate::asked::Asked;
use crate::reply::{Answered, Reply};
use crate::wire::{FromWire, IdText};

/// Rows of each list.
const ROWS: usize = 50;

#[derive(Debug, Default, Serialize)]
struct Problems {
    halted: Vec<HaltShown>,
    warnings: Vec<WarningShown>,
    stuck: Vec<StuckShown>,
    alerts: Vec<AlertShown>,
    counts: Vec<CountShown>,
    /// Shortfalls, and what another system's records say otherwise.
    shortfalls: Vec<EventShown>,
}

#[derive(Debug, Serialize)]
struct HaltShown {
    shard: u32,
    invariant: String,
    finding: String,
}

#[derive(Debug, Serialize)]
struct WarningShown {
    node_id: u64,
    what: String,
}

#[derive(Debug, Serialize)]
struct StuckShown {
    reservation_id: IdText,
    /// The step that nobody answered.
    step: String,
    stuck_for_ms: u64,
}

#[derive(Debug, Serialize)]
struct AlertShown {
    time_ms: u64,
    sentence: String,
}

#[derive(Debug, Serialize)]
struct CountShown {
    count_id: IdText,
    sku: String,
    location_id: String,
    opened_at_ms: u64,
    /// Lines that were counted.
    recorded: u64,
}

/// `GET /ui/api/problems`. What cannot be read just now is left out, so that the rest can be seen while the quorum is lost.
pub(super) async fn show(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let routing = client.routing();
        let reader = client.reader(Consistency::Stale);
        let mut problems = Problems::default();
        let standings = join_all(routing.members.iter().map(|member| client.shards_of(member.node_id))).await;
        let mut seen = BTreeSet::new();
        for standing in standings.into_iter().flatten().flatten() {
            let Some(halt) = standing.halt.filter(|_| seen.insert(standing.shard)) else { continue };
            problems.halted.push(HaltShown { shard: standing.shard, invariant: halt.invariant, finding: halt.finding });
        }
        let alerts = join_all(routing.members.iter().map(|member| client.alerts_of(member.node_id))).await;
        let mut seen = BTreeSet::new();
        for alert in alerts.into_iter().flatten().flatten() {
            if seen.insert((alert.shard, alert.seq, alert.rule.clone())) {
                problems.alerts.push(AlertShown { time_ms: alert.time_ms, sentence: alert.sentence });
            }
        }
        problems.alerts.sort_by_key(|alert| std::cmp::Reverse(alert.time_ms));
        problems.alerts.truncate(ROWS);
        let statuses = join_all(routing.members.iter().map(|member| client.status(member.node_id))).await;
        for status in statuses.into_iter().flatten() {
            let node_id = status.node_id;
            problems.warnings.extend(status.warnings.into_iter().map(|what| WarningShown { node_id, what }));
        }
        let now_ms = client.cluster_time_ms();
        let stuck = reader.orders(Orders { open_only: false, stuck_only: true }).take(ROWS).await.unwrap_or_default();
        problems.stuck = stuck.into_iter().map(|order| StuckShown::of(order, now_ms)).collect();
        let open = Documents { open_only: true, ..Documents::default() };
        problems.counts =
            reader.counts(open).take(ROWS).await.unwrap_or_default().into_iter().map(CountShown::of).collect();
        let kinds = ["stock.shortfall", "reconciliation.drift"].map(str::to_owned).to_vec();
        let filter = v1::EventFilter { kinds, ..v1::EventFilter::default() };
        let events = routing.shards.iter().map(|(shard, _)| {
            let head = asked.web.watcher.head(*shard);
            latest(&client, *shard, head, &filter, ROWS)
        });
        problems.shortfalls = join_all(events).await.into_iter().flatten().flatten().collect();
        problems.shortfalls.sort_by_key(|event| std::cmp::Reverse(event.time_ms));
        problems.shortfalls.truncate(ROWS);
        Ok(Reply::ok(&problems))
    })
    .await
}

impl StuckShown {
    fn of(order: v1::Order, now_ms: u64) -> Self {
        let unanswered = |step: &&v1::OrderStep| {
            matches!(step.state(), v1::StepState::Unknown | v1::StepState::Running | v1::StepState::CompensationFailed)
        };
        let step = order.steps.iter().find(unanswered).and_then(|step| step.spec.as_ref());
        Self {
            reservation_id: IdText::from_wire(order.reservation_id),
            step: step.map_or_else(String::new, |spec| spec.name.clone()),
            stuck_for_ms: now_ms.saturating_sub(order.started_at_ms),
        }
    }
}

impl CountShown {
    fn of(count: v1::Count) -> Self {
        Self {
            count_id: IdText::from_wire(count.count_id),
            recorded: count.lines.iter().filter(|line| line.is_counted).count() as u64,
            sku: count.sku,
            location_id: count.location_id,
            opened_at_ms: count.created_at_ms,
        }
    }
}
