//! The page of what somebody has to look at.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use holdfast_client::{Client, Documents, Error, Orders, Reader};
use holdfast_proto::v1;
use serde::Serialize;

use super::event::{EventShown, latest};
use super::{in_time, own_copy, part};
use crate::asked::Asked;
use crate::reply::{Answered, Reply};
use crate::wire::{FromWire, IdText};

/// Rows of each list.
const ROWS: usize = 50;

#[derive(Debug, Default, Serialize)]
struct Problems {
    /// Nodes that did not say everything in time: what they alone know is missing.
    silent: Vec<u64>,
    halted: Vec<HaltShown>,
    warnings: Vec<WarningShown>,
    alerts: Vec<AlertShown>,
    /// `null`, as the two below: it could not be read just now.
    stuck: Option<Vec<StuckShown>>,
    counts: Option<Vec<CountShown>>,
    /// Shortfalls, and what another system's records say otherwise.
    shortfalls: Option<Vec<EventShown>>,
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

/// `GET /ui/api/problems`. Each part is asked for by itself, all at once, and what does not come in time is `null` or its node named as
/// silent: nodes that hang keep nobody from what the others know.
pub(super) async fn show(asked: Asked) -> Answered {
    asked.only_query(&[])?;
    let client = asked.client()?;
    in_time(async {
        let reader = own_copy(&asked, &client);
        let members = client.routing().members;
        let of_nodes = join_all(members.iter().map(|member| OfNode::ask(&client, member.node_id)));
        let open = Documents { open_only: true, ..Documents::default() };
        let (of_nodes, stuck, counts, shortfalls) = tokio::join!(
            of_nodes,
            part(reader.orders(Orders { open_only: false, stuck_only: true }).take(ROWS)),
            part(reader.counts(open).take(ROWS)),
            part(shortfalls(&asked, &client, reader)),
        );
        let now_ms = client.cluster_time_ms();
        Ok(Reply::ok(&Problems {
            stuck: stuck.map(|stuck| stuck.into_iter().map(|order| StuckShown::of(order, now_ms)).collect()),
            counts: counts.map(|counts| counts.into_iter().map(CountShown::of).collect()),
            shortfalls,
            ..Problems::of(of_nodes)
        }))
    })
    .await
}

async fn shortfalls(asked: &Asked, client: &Client, reader: Reader<'_>) -> Result<Vec<EventShown>, Error> {
    let kinds = ["stock.shortfall", "reconciliation.drift"].map(str::to_owned).to_vec();
    let filter = v1::EventFilter { kinds, ..v1::EventFilter::default() };
    let shards = client.routing().shards;
    let events = shards.iter().map(|(shard, _)| latest(reader, *shard, asked.web.watcher.head(*shard), &filter, ROWS));
    let mut events: Vec<EventShown> =
        join_all(events).await.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.time_ms));
    events.truncate(ROWS);
    Ok(events)
}

/// What a node says; `None`: it did not in time.
struct OfNode {
    node_id: u64,
    standings: Option<Vec<v1::ShardStanding>>,
    alerts: Option<Vec<v1::Alert>>,
    warnings: Option<Vec<String>>,
}

impl OfNode {
    async fn ask(client: &Client, node_id: u64) -> Self {
        let (standings, alerts, status) = tokio::join!(
            part(client.shards_of(node_id)),
            part(client.alerts_of(node_id)),
            part(client.status(node_id)),
        );
        Self { node_id, standings, alerts, warnings: status.map(|status| status.warnings) }
    }
}

impl Problems {
    /// What the nodes say, each thing once.
    fn of(nodes: Vec<OfNode>) -> Self {
        let mut problems = Self::default();
        let (mut halted, mut alerted) = (BTreeSet::new(), BTreeSet::new());
        for OfNode { node_id, standings, alerts, warnings } in nodes {
            if standings.is_none() || alerts.is_none() || warnings.is_none() {
                problems.silent.push(node_id);
            }
            for standing in standings.into_iter().flatten() {
                let Some(halt) = standing.halt.filter(|_| halted.insert(standing.shard)) else { continue };
                problems.halted.push(HaltShown {
                    shard: standing.shard,
                    invariant: halt.invariant,
                    finding: halt.finding,
                });
            }
            for alert in alerts.into_iter().flatten() {
                if alerted.insert((alert.shard, alert.seq, alert.rule)) {
                    problems.alerts.push(AlertShown { time_ms: alert.time_ms, sentence: alert.sentence });
                }
            }
            let warnings = warnings.into_iter().flatten();
            problems.warnings.extend(warnings.map(|what| WarningShown { node_id, what }));
        }
        problems.alerts.sort_by_key(|alert| std::cmp::Reverse(alert.time_ms));
        problems.alerts.truncate(ROWS);
        problems
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_nodes_know_is_told_once_and_who_says_nothing_is_named() {
        let halt = v1::ShardHalt { invariant: "H-ATP".to_owned(), ..v1::ShardHalt::default() };
        let standing = v1::ShardStanding { shard: 4, halt: Some(halt), ..v1::ShardStanding::default() };
        let alert = |seq| v1::Alert { seq, time_ms: seq, sentence: format!("at {seq}"), ..v1::Alert::default() };
        let says = |node_id, alerts: &[u64]| OfNode {
            node_id,
            standings: Some(vec![standing.clone()]),
            alerts: Some(alerts.iter().copied().map(alert).collect()),
            warnings: Some(vec!["the disk is nearly full".to_owned()]),
        };
        let hangs = OfNode { node_id: 2, standings: None, alerts: None, warnings: None };
        let told = Problems::of(vec![says(1, &[7, 8]), hangs, says(3, &[8, 9])]);
        let sentences: Vec<&str> = told.alerts.iter().map(|alert| alert.sentence.as_str()).collect();
        assert_eq!((told.halted.len(), sentences, told.silent), (1, vec!["at 9", "at 8", "at 7"], vec![2]));
        assert_eq!(told.warnings.iter().map(|warning| warning.node_id).collect::<Vec<_>>(), [1, 3]);
    }
}
