//! `holdfast alert`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use holdfast_proto::v1::{self, ShardStanding};
use serde::Serialize;

use crate::connect::ClusterFlags;
use crate::dates;
use crate::failure::Failure;
use crate::members::Members;
use crate::output::{self, Answer, Format};

/// What is abnormal: corrections of the books by size and by rate, and what audits found broken.
#[derive(Debug, Subcommand)]
pub enum Alert {
    /// Show what the nodes found abnormal, each once, oldest first; what audits found broken, and what is halted.
    List(List),
}

/// Show what the nodes found abnormal, each once, oldest first; what audits found broken, and what is halted.
#[derive(Debug, Args)]
pub struct List {
    /// Of that shard only.
    #[arg(long)]
    shard: Option<u32>,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// By which an alert is the same on every node: when, where, with which event, by which rule.
type Key = (u64, u32, u64, String);

#[derive(Debug, Serialize)]
struct AlertRow {
    shard: u32,
    /// The event of the change log with which it became abnormal.
    seq: u64,
    time_ms: u64,
    time: String,
    rule: String,
    sku: String,
    location: String,
    actors: Vec<String>,
    units: u64,
    on_hand: u64,
    corrections: u64,
    sentence: String,
    /// The nodes that keep it.
    nodes: Vec<u64>,
}

/// What an audit found broken, on one node's replica.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct BreachRow {
    shard: u32,
    node: u64,
    audited_at: String,
    halted: bool,
    sentence: String,
}

#[derive(Serialize)]
struct ListAnswer {
    alerts: Vec<AlertRow>,
    breaches: Vec<BreachRow>,
    /// Older alerts that each node has forgotten, where it has.
    forgotten: BTreeMap<u64, u64>,
    /// Nodes that did not answer, and why.
    unreachable: BTreeMap<u64, String>,
}

impl Alert {
    /// Looks.
    pub async fn run(self, format: Format) -> Result<(), Failure> {
        let Self::List(List { shard, cluster }) = self;
        let members = Members::find(&cluster.addresses()).await?;
        let shards = members.shards().await?;
        if let Some(shard) = shard.filter(|shard| *shard >= shards) {
            let failure = Failure::usage(format!("there is no shard {shard}"));
            return Err(failure.hint(format!("shards are 0 to {}", shards - 1)));
        }
        let answer = gather(&members, shard).await?;
        print(&answer, format);
        Ok(())
    }
}

async fn gather(members: &Members, shard: Option<u32>) -> Result<ListAnswer, Failure> {
    let mut alerts: BTreeMap<Key, AlertRow> = BTreeMap::new();
    let mut answer = ListAnswer {
        alerts: Vec::new(),
        breaches: Vec::new(),
        forgotten: BTreeMap::new(),
        unreachable: BTreeMap::new(),
    };
    let nodes: Vec<u64> = members.nodes().map(|(node, _)| node).collect();
    for node in &nodes {
        let told = match members.alerts(*node, shard).await {
            Ok(told) => members.shard_standings(*node).await.map(|standings| (told, standings)),
            Err(failure) => Err(failure),
        };
        match told {
            Ok((told, standings)) => {
                told.alerts.into_iter().for_each(|alert| take_in(&mut alerts, *node, alert));
                if told.forgotten > 0 {
                    answer.forgotten.insert(*node, told.forgotten);
                }
                let wanted = standings.iter().filter(|standing| shard.is_none_or(|shard| shard == standing.shard));
                answer.breaches.extend(wanted.flat_map(|standing| breaches_of(*node, standing)));
            }
            Err(failure) => drop(answer.unreachable.insert(*node, failure.to_string())),
        }
    }
    if answer.unreachable.len() == nodes.len() {
        let why: Vec<&str> = answer.unreachable.values().map(String::as_str).collect();
        return Err(Failure::unavailable(format!("no node says what it found: {}", why.join("; "))));
    }
    answer.alerts = alerts.into_values().collect();
    Ok(answer)
}

fn take_in(alerts: &mut BTreeMap<Key, AlertRow>, node: u64, alert: v1::Alert) {
    let key = (alert.time_ms, alert.shard, alert.seq, format!("{} {} {}", alert.rule, alert.sku, alert.location_id));
    let row = alerts.entry(key).or_insert_with(|| AlertRow {
        shard: alert.shard,
        seq: alert.seq,
        time_ms: alert.time_ms,
        time: dates::instant_text(alert.time_ms),
        rule: alert.rule,
        sku: alert.sku,
        location: alert.location_id,
        actors: alert.actors,
        units: alert.units,
        on_hand: alert.on_hand,
        corrections: alert.corrections,
        sentence: alert.sentence,
        nodes: Vec::new(),
    });
    row.nodes.push(node);
}

fn breaches_of(node: u64, standing: &ShardStanding) -> Vec<BreachRow> {
    let row = |audited_at_ms: u64, sentence: String| BreachRow {
        shard: standing.shard,
        node,
        audited_at: dates::instant_text(audited_at_ms),
        halted: standing.halt.is_some(),
        sentence,
    };
    let mut rows: Vec<BreachRow> = Vec::new();
    if let Some(audit) = &standing.last_audit {
        let told = |breach: &v1::AuditBreach| {
            row(audit.audited_at_ms, format!("{} is broken on node {node}: {}", breach.invariant, breach.finding))
        };
        rows.extend(audit.breaches.iter().map(told));
    }
    // A halt whose breach this replica does not have is told by the node that has found it, or by none if that is gone.
    if let Some(halt) = standing.halt.as_ref().filter(|halt| rows.is_empty() && halt.node_id == node) {
        rows.push(row(halt.halted_at_ms, format!("{} was broken on node {node}: {}", halt.invariant, halt.finding)));
    }
    rows
}

fn print(answer: &ListAnswer, format: Format) {
    let breaches = answer.breaches.iter().map(|breach| {
        let state = if breach.halted { "audit, halted" } else { "audit" };
        [breach.audited_at.clone(), breach.shard.to_string(), state.to_owned(), breach.sentence.clone()]
    });
    let alerts = answer
        .alerts
        .iter()
        .map(|alert| [alert.time.clone(), alert.shard.to_string(), alert.rule.clone(), alert.sentence.clone()]);
    Answer::rows(answer, ["time", "shard", "rule", "what"], breaches.chain(alerts)).print(format);
    for (node, forgotten) in &answer.forgotten {
        output::say(&format!("node {node} has forgotten {forgotten} older ones; the change log has what happened"));
    }
    for (node, why) in &answer.unreachable {
        output::say(&format!("node {node}: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_three_nodes_found_is_shown_once() {
        let alert = |seq| v1::Alert { shard: 1, seq, rule: "size".to_owned(), ..v1::Alert::default() };
        let mut alerts = BTreeMap::new();
        for node in 1..=3 {
            take_in(&mut alerts, node, alert(9));
        }
        take_in(&mut alerts, 2, alert(8));
        let rows: Vec<(u64, Vec<u64>)> = alerts.into_values().map(|row| (row.seq, row.nodes)).collect();
        assert_eq!(rows, [(8, vec![2]), (9, vec![1, 2, 3])]);
    }

    #[test]
    fn a_halt_is_told_by_the_node_that_found_the_breach() {
        let halt = v1::ShardHalt { invariant: "H-LEDGER".to_owned(), node_id: 2, ..v1::ShardHalt::default() };
        let standing = v1::ShardStanding { shard: 1, halt: Some(halt), ..v1::ShardStanding::default() };
        let told: Vec<u64> = (1..=3).flat_map(|node| breaches_of(node, &standing)).map(|row| row.node).collect();
        assert_eq!(told, [2]);
    }
}
